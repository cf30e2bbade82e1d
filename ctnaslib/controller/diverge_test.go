package controller

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
)

var notNumbers = []float64{math.NaN(), math.Inf(1), math.Inf(-1)}

// New refuses settings that no policy can learn with, by their names and values.
func TestConfigErrors(t *testing.T) {
	fields := map[string]struct {
		set func(*Config, float64)
		bad []float64
	}{
		"InitRange":    {func(c *Config, v float64) { c.InitRange = v }, []float64{0, -0.1, 1e-300, 1e10, 1e300}},
		"EntropyBonus": {func(c *Config, v float64) { c.EntropyBonus = v }, []float64{-1e-3, 1e10, 1e300}},
		"LearningRate": {func(c *Config, v float64) { c.LearningRate = v }, []float64{0, -1, 1e-300, 1e3, 1e10, 1e38, 1e300}},
		"Beta1":        {func(c *Config, v float64) { c.Beta1 = v }, []float64{-0.1, 1, 2, 0.99999999999}},
		"Beta2":        {func(c *Config, v float64) { c.Beta2 = v }, []float64{-0.1, 1, 2, 0.99999999999}},
		"WeightDecay":  {func(c *Config, v float64) { c.WeightDecay = v }, []float64{-1e-4, 1e10, 1e38}},
		"Hidden":       {func(c *Config, v float64) { c.Hidden = int(v) }, []float64{0, -5, 1e9, 1 << 62}},
	}
	for name, f := range fields {
		bad := f.bad
		if name != "Hidden" {
			bad = append(bad, notNumbers...)
		}
		for _, v := range bad {
			config := Default()
			f.set(&config, v)
			_, err := New(toy(), config)
			shown := fmt.Sprintf(" is %g;", v)
			if name == "Hidden" {
				shown = fmt.Sprintf(" is %d;", config.Hidden)
			}
			if err == nil || !strings.Contains(err.Error(), name+shown) || !strings.Contains(err.Error(), "set it from") {
				t.Errorf("%s of %g: error %v", name, v, err)
			}
		}
	}
	for name, change := range map[string]func(*Config){
		"no bonus":        func(c *Config) { c.EntropyBonus = 0 },
		"no betas":        func(c *Config) { c.Beta1, c.Beta2 = 0, 0 },
		"no weight decay": func(c *Config) { c.WeightDecay = 0 },
		"one unit":        func(c *Config) { c.Hidden = 1 },
	} {
		config := Default()
		change(&config)
		if _, err := New(toy(), config); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// With the fastest learning and the largest weights that New takes, a policy learns or says
// why not, and its samples are of the space.
func TestExtremesOfConfig(t *testing.T) {
	for _, extreme := range []Config{
		{Hidden: 8, InitRange: 100, EntropyBonus: 1000, LearningRate: 1, Beta1: 0.999999, Beta2: 0.999999, WeightDecay: 1},
		{Hidden: 8, InitRange: 100, LearningRate: 1},
		{Hidden: 8, InitRange: 1e-12, EntropyBonus: 1000, LearningRate: 1e-12, Beta1: 0.999999},
	} {
		for _, size := range []float64{0, 1, -1, maxReward, -maxReward} {
			c := newCells(t, extreme)
			reward := func(archs []space.Arch) ([]float64, error) {
				rewards := make([]float64, len(archs))
				for i, a := range archs {
					rewards[i] = size * convolutions(a)
				}
				return rewards, nil
			}
			learned, err := c.Improve(t.Context(), rand.New(rand.NewPCG(1, 1)), nasbench101.Space{}, 10, 4, reward)
			if err != nil && !strings.Contains(err.Error(), "diverged") {
				t.Errorf("%+v, rewards up to %g: %v", extreme, size, err)
			}
			if err == nil && (!finite(learned.Loss) || !finite(learned.Entropy) || !finite(learned.Reward)) {
				t.Errorf("%+v, rewards up to %g: learned %+v", extreme, size, learned)
			}
		}
	}
}

func TestRewardErrors(t *testing.T) {
	for _, bad := range append([]float64{1e13, -1e300}, notNumbers...) {
		c := newToy(t, Default())
		before, err := c.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Reinforce([][]int{{1}, {0, 2}}, []float64{1, bad}); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("the reward of sequence 1, [0 2], is %g", bad)) {
			t.Errorf("a reward of %g: error %v", bad, err)
		}
		if after, err := c.Encode(); err != nil || string(after) != string(before) {
			t.Errorf("a reward of %g changed the policy, %v", bad, err)
		}
		cells := newCells(t, Default())
		var named space.Arch
		_, err = cells.Improve(t.Context(), rand.New(rand.NewPCG(1, 1)), nasbench101.Space{}, 2, 3, func(archs []space.Arch) ([]float64, error) {
			named = archs[2]
			return []float64{0, 1, bad}, nil
		})
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("the reward of %s is %g;", named, bad)) {
			t.Errorf("a reward of %g of %s: error %v", bad, named, err)
		}
	}
}

func TestImproveErrors(t *testing.T) {
	c := newCells(t, Default())
	rng := rand.New(rand.NewPCG(1, 1))
	ones := func(archs []space.Arch) ([]float64, error) { return []float64{1, 1}, nil }
	for _, size := range [][2]int{{0, 2}, {-1, 2}, {2, 0}, {2, -1}} {
		if _, err := c.Improve(t.Context(), rng, nasbench101.Space{}, size[0], size[1], ones); err == nil || !strings.Contains(err.Error(), "at least 1") {
			t.Errorf("%d steps on %d architectures: error %v", size[0], size[1], err)
		}
	}
	if _, err := c.Improve(t.Context(), rng, nasbench101.Space{}, 2, 3, ones); err == nil || !strings.Contains(err.Error(), "2 rewards for 3 architectures") {
		t.Errorf("too few rewards: error %v", err)
	}
	broken := errors.New("no more memory")
	if _, err := c.Improve(t.Context(), rng, nasbench101.Space{}, 2, 2, func([]space.Arch) ([]float64, error) { return nil, broken }); !errors.Is(err, broken) {
		t.Errorf("a reward that fails: error %v", err)
	}
	for _, n := range []int{0, -1} {
		if _, err := c.Sample(rng, n); err == nil || !strings.Contains(err.Error(), "at least 1") {
			t.Errorf("%d samples: error %v", n, err)
		}
	}
}

// Improve stops between two steps.
func TestImproveStops(t *testing.T) {
	c := newCells(t, Default())
	ctx, cancel := context.WithCancel(t.Context())
	steps := 0
	_, err := c.Improve(ctx, rand.New(rand.NewPCG(1, 1)), nasbench101.Space{}, 10, 2, func(archs []space.Arch) ([]float64, error) {
		if steps++; steps == 3 {
			cancel()
		}
		return []float64{0, 1}, nil
	})
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "stopped after 3 of 10 steps") || steps != 3 {
		t.Errorf("cancelled in the third step: %d steps, error %v", steps, err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 0)
	defer cancel()
	if _, err := c.Improve(ctx, nil, nasbench101.Space{}, 1, 1, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("after the deadline: error %v", err)
	}
}

// A policy whose weights are no numbers says so, and how to go on, whatever it is asked;
func TestDiverged(t *testing.T) {
	sequences, rewards := [][]int{{0, 2}, {1}}, []float64{1, 0}
	ask := map[string]func(*Controller) error{
		"Sample":    func(c *Controller) error { _, err := c.Sample(rand.New(rand.NewPCG(1, 1)), 200); return err },
		"LogProb":   func(c *Controller) error { _, _, err := c.LogProb(sequences); return err },
		"Reinforce": func(c *Controller) error { _, err := c.Reinforce(sequences, rewards); return err },
	}
	for name, f := range ask {
		for _, bad := range []float64{math.NaN(), math.Inf(1), 1e308} {
			config := Default()
			config.Hidden = 2
			c := newToy(t, config)
			if _, err := c.Reinforce(sequences, rewards); err != nil {
				t.Fatal(err)
			}
			for _, variable := range []string{"lstm_input_0", "lstm_recurrent_0", "lstm_input_bias_0"} {
				n := len(numbers(c)[variable])
				values := make([]float64, n)
				for i := range values {
					values[i] = bad
				}
				set(t, c, variable, values...)
			}
			set(t, c, "head_bias_0", bad, -bad)
			set(t, c, "point_weight_1", bad, bad)
			err := f(c)
			if err == nil && bad == 1e308 && name != "Reinforce" {
				continue // weights may be that large and give numbers
			}
			if err == nil || !strings.Contains(err.Error(), "diverged by step") || !strings.Contains(err.Error(), "lower LearningRate (it was 0.0002)") {
				t.Errorf("%s with weights of %g: error %v", name, bad, err)
				continue
			}
			for again, g := range ask {
				if err2 := g(c); err2 == nil || err2.Error() != err.Error() {
					t.Errorf("after %s, %s has the error %v", name, again, err2)
				}
			}
			if _, err2 := c.Encode(); err2 == nil || err2.Error() != err.Error() {
				t.Errorf("after %s, Encode has the error %v", name, err2)
			}
			fresh := newToy(t, config)
			if err := ask["Reinforce"](fresh); err != nil {
				t.Errorf("a policy after one that diverged: %v", err)
			}
			for variable, values := range numbers(fresh) {
				for _, v := range values {
					if !finite(v) {
						t.Errorf("a policy after one that diverged has the weight %g in %s", v, variable)
					}
				}
			}
		}
	}
}

// Only one weight is no number: that shows, too, even where samples are of the space.
func TestOneWeightDiverged(t *testing.T) {
	names := numbers(newToy(t, Default()))
	for name := range names {
		config := Default()
		config.Hidden = 2
		c := newToy(t, config)
		values := make([]float64, len(numbers(c)[name]))
		values[len(values)-1] = math.NaN()
		set(t, c, name, values...)
		if _, err := c.Reinforce([][]int{{0, 2}, {1}}, []float64{1, 0}); err == nil || !strings.Contains(err.Error(), "diverged by step ") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// However low the score of all that is open, a sample is of the space.
func TestClosedChoice(t *testing.T) {
	c := newToy(t, Default())
	set(t, c, "head_bias_0", -1e12, -1e12)
	sequences, err := c.Sample(rand.New(rand.NewPCG(1, 1)), 20)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range sequences {
		if err := toy().Check(s); err != nil {
			t.Error(err)
		}
	}
}

// A checkpoint of weights that are no numbers is refused.
func TestRestoreDiverged(t *testing.T) {
	c := newToy(t, Default())
	set(t, c, "head_bias_0", 0, math.NaN())
	data, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if err := newToy(t, Default()).Restore(data); err == nil || !strings.Contains(err.Error(), "head_bias_0 of the checkpoint are not all numbers") {
		t.Errorf("a checkpoint with NaN: error %v", err)
	}
}

// Noise never outweighs that a choice is closed.
func TestNoiseIsFinite(t *testing.T) {
	for _, exponential := range []float64{0, 5e-324, 1e-11, 1, 800} {
		if g := gumbel(exponential); !(math.Abs(g) < 1000) {
			t.Errorf("the noise of %g is %g", exponential, g)
		}
	}
}
