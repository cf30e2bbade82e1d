package nb

import (
	"encoding/gob"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/report"
	"github.com/ctnas/ctnas/ctnaslib/train"
)

// printed runs f, outside a notebook, and returns what it printed to a stream, such
// as &os.Stderr.
func printed(t *testing.T, stream **os.File, f func()) string {
	t.Helper()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	before := *stream
	*stream = writer
	defer func() { *stream = before }()
	f()
	writer.Close()
	text, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestProgress(t *testing.T) {
	text := printed(t, &os.Stderr, func() {
		watch := Progress("epoch")
		watch(train.Progress{Done: 1, Total: 3, Values: map[string]float64{"loss": 0.7, "tau": 0.5}})
		watch(train.Progress{Done: 2, Total: 3, Values: map[string]float64{"loss": 0.6}}) // too soon for a line
		watch(train.Progress{Done: 3, Total: 3, Values: map[string]float64{"loss": 0.25}})
	})
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) != 2 {
		t.Fatalf("printed %d lines, want the first and the last:\n%s", len(lines), text)
	}
	if !strings.HasPrefix(lines[0], "epoch 1/3, ") || !strings.Contains(lines[0], "left") {
		t.Errorf("first line %q", lines[0])
	}
	if !strings.HasPrefix(lines[1], "epoch 3/3 in ") || !strings.HasSuffix(lines[1], ", loss 0.25, tau 0.5") {
		t.Errorf("last line %q", lines[1])
	}
}

// A run whose loss is not finite for a while goes on being drawn.
func TestCurvesOfWhatIsNotFinite(t *testing.T) {
	curves := make([]report.Series, 2)
	for step, y := range []float64{math.NaN(), 0.5, math.Inf(1), math.Inf(-1), 0.25} {
		curves[0] = extended(curves[0], float64(step), y)
		curves[1] = extended(curves[1], float64(step), math.NaN())
	}
	if want := []float64{1, 4}; !slices.Equal(curves[0].X, want) || len(curves[1].Y) != 0 {
		t.Errorf("curves %+v, want points at %g", curves, want)
	}
	if charts := drawn("epoch", []string{"loss", "tau"}, curves); len(charts) != 1 || charts[0].Title != "loss" {
		t.Errorf("the charts are %+v", charts)
	}
}

// Stages are named, each with its own time, also when they take turns; the last line of a run is
// shown though one of a stage was just before.
func TestProgressOfStages(t *testing.T) {
	text := printed(t, &os.Stderr, func() {
		watch := Progress("iteration")
		watch(train.Progress{Stage: "labels", Done: 1, Total: 2})
		watch(train.Progress{Stage: "labels", Done: 2, Total: 2})
		watch.Stage("comparator, epoch")(train.Progress{Done: 1, Total: 5, Values: map[string]float64{"loss": 0.5}})
		watch(train.Progress{Done: 1, Total: 1, Values: map[string]float64{"reward": 0.5}})
	})
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) != 2 || !strings.HasPrefix(lines[0], "labels 1/2, ") || !strings.HasPrefix(lines[1], "iteration 1/1 in ") || !strings.HasSuffix(lines[1], "reward 0.5") || strings.Contains(lines[1], "loss") {
		t.Errorf("printed\n%s", text)
	}
}

// Drawings are in a row, each a picture of its own with its caption, which is text.
func TestRow(t *testing.T) {
	got := row([]Picture{{SVG: "<svg/>", Caption: "a < b"}, {SVG: "<svg/>"}})
	if strings.Count(got, `src="data:image/svg+xml;base64,PHN2Zy8+"`) != 2 || !strings.Contains(got, "<figcaption>a &lt; b</figcaption>") {
		t.Errorf("the row is %s", got)
	}
}

// What is no drawing is an error, not an empty place in the notebook.
func TestCheckPictures(t *testing.T) {
	if err := checkPictures([]Picture{{SVG: `<?xml version="1.0"?><svg/>`}}); err != nil {
		t.Error(err)
	}
	for _, pictures := range [][]Picture{nil, {{}}, {{SVG: "<svg/>"}, {SVG: "accuracy.svg", Caption: "b"}}} {
		if err := checkPictures(pictures); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v: error %v", pictures, err)
		}
	}
}

// GoNB's pipe takes the picture and its width.
func TestDisplayed(t *testing.T) {
	data := displayed([]byte("picture"))
	if err := gob.NewEncoder(io.Discard).Encode(data); err != nil {
		t.Error(err)
	}
	if width := data.Metadata["image/png"].(map[string]int)["width"]; width != 800 {
		t.Errorf("the picture is %d pixels wide", width)
	}
}

func TestTable(t *testing.T) {
	table := report.Table{Header: []string{"method", "KTau"}, Rows: [][]string{{"CTNAS", "0.751"}}}
	if got := printed(t, &os.Stdout, func() { Table(table) }); !strings.Contains(got, "| CTNAS | 0.751 |") {
		t.Errorf("printed %q", got)
	}
}
