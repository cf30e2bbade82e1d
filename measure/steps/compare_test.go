package steps

import (
	"math"
	"strings"
	"testing"

	"github.com/gomlx/compute"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/engine"
)

func TestCompare(t *testing.T) {
	backend, err := engine.OpenConfig("go")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []Step{Training("Quick", comparator.Quick()), Scoring(10)} {
		if d, err := s.Compare(backend, backend); err != nil || d.Difference != 0 || d.First[0] <= 0 || d.First[1] <= 0 {
			t.Errorf("%s differs from itself by %+v (%v)", s.Name, d, err)
		}
	}
	for off, bad := range map[float64]bool{Tolerance / 2: false, 2 * Tolerance: true, math.NaN(): true, math.Inf(1): true} {
		opened := 0
		s := Step{"step", func(compute.Backend) (func() ([]float64, error), error) {
			opened++
			numbers := [][]float64{{1, 0}, {1, off}}[opened-1]
			return func() ([]float64, error) { return numbers, nil }, nil
		}}
		d, err := s.Compare(backend, backend)
		if bad != (err != nil) || bad && !strings.Contains(err.Error(), "call 1") {
			t.Errorf("numbers that differ by %g: %+v (%v)", off, d, err)
		}
	}
}

type described struct {
	compute.Backend
	text string
}

func (d described) Description() string { return d.text }

func TestPlugin(t *testing.T) {
	for text, want := range map[string]string{
		`xla:cpu - PJRT "cpu" plugin (/home/x/.ctnas/xla/pjrt_c_api_cpu_plugin.so) v0.115 [4 device(s)]`: `xla:cpu - PJRT "cpu" plugin (pjrt_c_api_cpu_plugin.so) v0.115 [4 device(s)]`,
		"Go Portable Compute Backend": "Go Portable Compute Backend",
	} {
		if got := Plugin(described{text: text}); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
