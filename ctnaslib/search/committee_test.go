package search

import (
	"context"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/internal/toy"
	"github.com/ctnas/ctnas/ctnaslib/metric"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
)

// tiny is a small NAC for fast tests.
func tiny(seed uint64) comparator.Config {
	c := comparator.Released()
	c.Layers, c.Width, c.Epochs, c.BatchSize, c.LearningRate, c.Seed = 2, 16, 30, 32, 5e-3, seed
	return c
}

func TestCommittee(t *testing.T) {
	labelled, root := toy.Labelled(rand.New(rand.NewPCG(5, 99)), 60), t.TempDir()
	training := comparator.Training{Backend: backend(t), Space: nasbench101.Space{}, Labelled: labelled, Config: tiny(5)}
	c, err := TrainCommittee(context.Background(), root, training, 3)
	if err != nil {
		t.Fatal(err)
	}
	// Member k is what Train makes of the labels without every third, from k on.
	for k := range 3 {
		own := training
		own.Labelled = nil
		for i, l := range labelled {
			if i%3 != k {
				own.Labelled = append(own.Labelled, l)
			}
		}
		own.Config = tiny(5 + uint64(k)<<32)
		trained, err := comparator.Train(context.Background(), t.TempDir(), own)
		if err != nil {
			t.Fatal(err)
		}
		want, err := trained.NAC.Utilities(space.Archs(labelled))
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.of(k, space.Archs(labelled))
		if err != nil {
			t.Fatal(err)
		}
		// The same but for zero and scale, which are the mean and the deviation.
		sum, squares := 0.0, 0.0
		for i, v := range got {
			sum += v
			squares += v * v
			if i > 1 && math.Abs((v-got[0])/(got[1]-got[0])-(want[i]-want[0])/(want[1]-want[0])) > 1e-6 {
				t.Errorf("member %d is not the NAC trained without its part", k)
				break
			}
		}
		if math.Abs(sum) > 1e-9 || math.Abs(squares/59-1) > 1e-9 {
			t.Errorf("member %d: mean %g and variance %g, want 0 and 1", k, sum/60, squares/59)
		}
	}
	unseen, err := c.Unseen(labelled)
	if err != nil {
		t.Fatal(err)
	}
	for k := range 3 {
		own, err := c.of(k, space.Archs(labelled))
		if err != nil {
			t.Fatal(err)
		}
		for i := k; i < len(labelled); i += 3 {
			if unseen[i] != own[i] {
				t.Fatalf("architecture %d was not judged by member %d", i, k)
			}
		}
	}
	archs, accuracies := split(toy.Labelled(rand.New(rand.NewPCG(6, 99)), 200))
	const committees = 4
	tau, alone := 0.0, 0.0 // means over committees of different seeds
	for seed := range uint64(committees) {
		training.Config = tiny(seed)
		c, err := TrainCommittee(context.Background(), root, training, 3)
		if err != nil {
			t.Fatal(err)
		}
		together, err := c.Utilities(archs)
		if err != nil {
			t.Fatal(err)
		}
		one, err := metric.KendallTau(together, accuracies)
		if err != nil {
			t.Fatal(err)
		}
		tau += one / committees
		for _, n := range c.members {
			one, err := n.KendallTau(archs, accuracies)
			if err != nil {
				t.Fatal(err)
			}
			alone += one / 3 / committees
		}
	}
	if tau < alone+0.005 {
		t.Errorf("committees have tau %.3f, their members %.3f on average", tau, alone)
	}
	for _, members := range []int{1, 31} {
		if _, err := TrainCommittee(context.Background(), root, training, members); err == nil || !strings.Contains(err.Error(), "from 2 members") {
			t.Errorf("%d members: error %v", members, err)
		}
	}
}
