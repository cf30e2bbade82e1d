package ctnas

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/gomlx/compute"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/space"
)

// spied is NAC, and notes how many pseudo-labelled pairs each of its epochs is offered.
type spied struct {
	comparator.Config
	offered *[]int
}

func (c spied) WithSeed(seed uint64) comparator.Design { c.Seed = seed; return c }

func (c spied) MarshalJSON() ([]byte, error) { return []byte(`"spied"`), nil }

func (c spied) New(b compute.Backend, s space.Space) (comparator.Comparator, error) {
	n, err := comparator.New(b, s, c.Config)
	return spy{n, c.offered}, err
}

type spy struct {
	*comparator.NAC
	offered *[]int
}

func (s spy) TrainEpoch(epoch int, labelled []space.Labelled, pseudo []comparator.Pair, r float64) (float64, error) {
	*s.offered = append(*s.offered, len(pseudo))
	return s.NAC.TrainEpoch(epoch, labelled, pseudo, r)
}

// K may be all pairs there are, and none is none.
func TestEndsOfTopK(t *testing.T) {
	c := small(1)
	c.TopK = math.MaxInt
	mustSearch(t, t.TempDir(), c)
	var offered []int
	c.Schedule, c.TopK, c.PseudoRatio = AsReleased, 0, 0.5
	c.Comparator = spied{c.NAC, &offered}
	mustSearch(t, t.TempDir(), c)
	if len(offered) == 0 || slices.Max(offered) != 0 {
		t.Errorf("with a TopK of 0 the epochs were offered %v pseudo-labelled pairs", offered)
	}
}

// The comparator in Comparator is NAC's own if it is the same.
func TestComparatorInPlaceOfNAC(t *testing.T) {
	c := small(1)
	c.Schedule, c.PseudoRatio = AsReleased, 0.5
	want := mustSearch(t, t.TempDir(), c)
	c.Comparator, c.NAC = c.NAC, comparator.Released()
	got := mustSearch(t, t.TempDir(), c)
	for i, m := range want.Metrics {
		for name, v := range m.Values {
			if got.Metrics[i].Values[name] != v {
				t.Fatalf("%s is %v in iteration %d, with the same comparator as NAC %v", name, got.Metrics[i].Values[name], i+1, v)
			}
		}
	}
}

// embedding changes how the comparator is made, but not what gives it a seed.
type embedding struct{ comparator.Config }

func TestSettingsThatCannotBe(t *testing.T) {
	for want, change := range map[string]func(c *Config){
		"a batch gets 2.56e+14 pseudo-labelled pairs":             func(c *Config) { c.PseudoRatio, c.NAC.BatchSize = 1-1e-12, 256 },
		"lower it, or the comparator's BatchSize":                 func(c *Config) { c.NAC.BatchSize = math.MaxInt32 },
		"WithSeed of ctnas.embedding returns a comparator.Config": func(c *Config) { c.Comparator = embedding{c.NAC} },
	} {
		c := small(1)
		change(&c)
		if _, err := Search(t.Context(), t.TempDir(), toyProblem(t), c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}
