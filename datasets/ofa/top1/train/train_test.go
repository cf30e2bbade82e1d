package main

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/space/mobilenetv3"
	"github.com/ctnas/ctnas/datasets/ofa"
	"github.com/ctnas/ctnas/datasets/ofa/top1"
)

// What is written is read back, and the page says what it is made of.
func TestWrite(t *testing.T) {
	t.Setenv("CTNAS_DATA", "")
	t.Setenv("CTNAS_CACHE", t.TempDir())
	stand, err := ofa.OpenMeasured(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	networks := stand.Networks()[:500]
	rng := rand.New(rand.NewPCG(1, 1))
	for range 60 { // so that no range of multiply-adds is empty
		unit := make([]mobilenetv3.Block, mobilenetv3.MaxDepth)
		for i := range unit {
			unit[i] = mobilenetv3.Block{Kernel: 3 + 2*rng.IntN(3), Expansion: 4 + 2*rng.IntN(2)}
		}
		net, err := mobilenetv3.NewNet([][]mobilenetv3.Block{unit, unit, unit, unit, unit})
		if err != nil {
			t.Fatal(err)
		}
		networks = append(networks, ofa.Network{Net: net, Accuracy: ofa.EmbeddedTop1().Accuracies([]mobilenetv3.Net{net})[0]})
	}
	folder := t.TempDir()
	if err := write(t.Context(), folder, "DATA", samplesOf(networks, ofa.Embedded()), top1.Default()); err != nil {
		t.Fatal(err)
	}
	weights, err := os.ReadFile(filepath.Join(folder, "weights.bin"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := top1.Decode(weights); err != nil {
		t.Errorf("the weights are not read back: %v", err)
	}
	for file, words := range map[string][]string{
		"README.md": {"DATA", "7261 numbers", "at least 450M", "the published predictor on a parabola"},
		"card.json": {"DATA", `"weights": 7261`, `"limit": 0.795`},
	} {
		text, err := os.ReadFile(filepath.Join(folder, file))
		for _, word := range words {
			if err != nil || !strings.Contains(string(text), word) {
				t.Errorf("%s lacks %q, %v", file, word, err)
			}
		}
	}
}

func TestRunNeedsTheMeasuredNetworks(t *testing.T) {
	for _, name := range []string{"CTNAS_DATA", "CTNAS_DOWNLOAD", "CTNAS_MIRROR"} {
		t.Setenv(name, "")
	}
	t.Setenv("CTNAS_CACHE", t.TempDir())
	if err := run(context.Background(), t.TempDir()); err == nil || !strings.Contains(err.Error(), "measured networks") {
		t.Errorf("without them, the error is %v", err)
	}
}
