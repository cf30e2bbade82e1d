package steps

import (
	"fmt"
	"math"
	"regexp"
	"time"

	"github.com/gomlx/compute"

	"github.com/ctnas/ctnas/ctnaslib/engine"
)

const (
	Tolerance = 1e-4 // by how much numbers of two backends may differ
	Compared  = 5    // calls whose numbers are compared
)

// Duel is a step on two backends: first the one whose numbers are right, then the other.
type Duel struct {
	Do         [2]func() ([]float64, error) // does the step, and returns its numbers
	First      [2]float64                   // milliseconds of the first call, with compiling
	Difference float64                      // the largest between their numbers
}

// Compare makes the first calls of a step on two backends. The error says where a number of the other differs from the
// right one by more than [Tolerance].
func (s Step) Compare(right, other compute.Backend) (*Duel, error) {
	d := &Duel{}
	for i, b := range []compute.Backend{right, other} {
		var err error
		if d.Do[i], err = s.On(b); err != nil {
			return nil, err
		}
	}
	for call := range Compared {
		var numbers [2][]float64
		for i, do := range d.Do {
			start := time.Now()
			var err error
			if numbers[i], err = do(); err != nil {
				return nil, err
			}
			if call == 0 {
				d.First[i] = Milliseconds(start)
			}
		}
		for k, want := range numbers[0] {
			got := numbers[1][k]
			difference := math.Abs(got - want)
			if !(difference <= Tolerance) { // also not a number
				return nil, fmt.Errorf("%s gives %g where %s gives %g (%s, call %d)", engine.Describe(other), got, engine.Describe(right), want, s.Name, call+1)
			}
			d.Difference = max(d.Difference, difference)
		}
	}
	return d, nil
}

// Milliseconds returns the milliseconds since start.
func Milliseconds(start time.Time) float64 { return float64(time.Since(start).Microseconds()) / 1000 }

// Plugin describes the plugin of a backend, without its folder, which is another one on another machine.
func Plugin(b compute.Backend) string { return folder.ReplaceAllString(b.Description(), "") }

var folder = regexp.MustCompile(`[^\s("]*/`)
