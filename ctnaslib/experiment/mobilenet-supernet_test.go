package experiment

import (
	"strings"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/report"
	"github.com/ctnas/ctnas/ctnaslib/train"
	"github.com/ctnas/ctnas/datasets/images"
)

// tinyShrinking is the experiment for a few steps.
func tinyShrinking(set *images.Set) Shrinking {
	s := ShrinkingAt(Small, len(set.Classes))
	s.Net.Resolution, s.Net.BatchSize, s.Net.Calibration = 4, 8, 8
	for i := range s.Net.Stages {
		s.Net.Stages[i].Steps, s.Net.Stages[i].Warmup, s.Net.Stages[i].Networks = 2, 0, 1
	}
	s.Images, s.Validation, s.HeldOut = 32, 8, 4
	s.Search.Labels, s.Search.Iterations, s.Search.PolicySteps = 6, 2, 1
	s.Search.NAC.Epochs = 5
	return s
}

// The whole of it, cut down to a few steps: every row is there, says that it is a proxy,
// and a second run computes nothing.
func TestShrinking(t *testing.T) {
	backend, err := engine.OpenConfig("go")
	if err != nil {
		t.Fatal(err)
	}
	set := images.Shapes()
	s := tinyShrinking(set)
	root, done := t.TempDir(), 0
	var texts []string
	var results []report.Result
	for range 2 {
		result, err := s.Run(t.Context(), root, set, backend, func(step train.Progress) {
			if step.Stage != "" {
				return
			}
			n, total := step.Done, step.Total

			if total != 6 {
				t.Errorf("%d of %d", n, total)
			}
			done++
		})
		if err != nil {
			t.Fatal(err)
		}
		results = append(results, result)
		texts = append(texts, result.Table(mobileNetSupernet.Columns...).Markdown())
		if figures := mobileNetSupernet.Figures(result); len(figures) != 1 || len(figures[0].Chart.Series) != 2 {
			t.Errorf("figures %v", figures)
		}
	}
	if done != 12 || texts[0] != texts[1] {
		t.Errorf("%d rows were made; the tables are\n%s\n%s", done, texts[0], texts[1])
	}
	checkCollected(t, root, must(s.Plan(root, set, backend, nil)), results[1])
	for _, name := range []string{"largest, shrunk", "middle, shrunk", "smallest, shrunk", "smallest, alone", nameMobile, nameAnyNetwork, "proxy"} {
		if !strings.Contains(texts[0], name) {
			t.Errorf("there is no %q in\n%s", name, texts[0])
		}
	}
}
