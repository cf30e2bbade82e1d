package search

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/encoder"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/internal/toy"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
	"github.com/ctnas/ctnas/ctnaslib/train"
)

// A search whose committees start from the last round's weights is stopped and continued as another is, and its
// later committees are trained for fewer epochs.
func TestWarmStarts(t *testing.T) {
	config := ActiveConfig{Labels: 60, First: 30, Rounds: 3, Pool: 400, Members: 2, WarmEpochs: 4, NAC: smallNAC(), Seed: 4}
	epochs := make(map[string]int) // by stage
	p := toyProblem(t)
	p.Watch = func(step train.Progress) { epochs[step.Stage]++ }
	root := t.TempDir()
	found, err := Active(context.Background(), root, p, config)
	if err != nil {
		t.Fatal(err)
	}
	for _, stage := range []string{"comparator 1 of 2, epoch", "comparator 2 of 2, epoch"} {
		if want := config.NAC.Epochs + 3*4; epochs[stage] != want {
			t.Errorf("%s: %d epochs in all, want %d; stages %v", stage, epochs[stage], want, epochs)
		}
	}
	if random, bought := meanLabel(found.Labelled[:30]), meanLabel(found.Labelled[30:]); bought < random+0.1 {
		t.Errorf("the labels bought in rounds have quality %.2f, the random ones %.2f", bought, random)
	}
	again, err := Active(context.Background(), root, toyProblem(t), config)
	if err != nil || again.Best != found.Best || again.Status != rundir.Loaded {
		t.Errorf("the second call gave %v, %v", again, err)
	}
	for round := 1; round <= 3; round++ {
		root := t.TempDir()
		ctx, cancel := context.WithCancel(context.Background())
		p := toyProblem(t)
		p.Watch = func(step train.Progress) {
			if step.Stage == "" && step.Done == round {
				cancel()
			}
		}
		if _, err := Active(ctx, root, p, config); !errors.Is(err, context.Canceled) {
			t.Fatalf("interrupted: error %v", err)
		}
		resumed, err := Active(context.Background(), root, toyProblem(t), config)
		if err != nil || resumed.Best != found.Best || fmt.Sprint(resumed.Labelled) != fmt.Sprint(found.Labelled) {
			t.Errorf("after an interrupt in round %d: %v, %v, want %v", round, resumed, err, found.Best)
		}
	}
	config.WarmEpochs = -1
	if _, err := Active(context.Background(), root, toyProblem(t), config); err == nil || !strings.Contains(err.Error(), "WarmEpochs") {
		t.Errorf("a negative number of epochs: error %v", err)
	}
}

// What a training starts from is part of its key.
func TestStartIsPartOfTheKey(t *testing.T) {
	training := comparator.Training{
		Backend: backend(t), Space: nasbench101.Space{}, Labelled: toy.Labelled(rand.New(rand.NewPCG(1, 1)), 20), Config: tiny(1),
	}
	root := t.TempDir()
	cold, err := comparator.Train(context.Background(), root, training)
	if err != nil {
		t.Fatal(err)
	}
	if training.Start, err = cold.NAC.Encode(); err != nil {
		t.Fatal(err)
	}
	warm, err := comparator.Train(context.Background(), root, training)
	if err != nil {
		t.Fatal(err)
	}
	first, then := cold.Metrics[0].Values["loss"], warm.Metrics[0].Values["loss"]
	if warm.Status != rundir.Trained || warm.Dir == cold.Dir || then > first/2 {
		t.Errorf("a training from trained weights was %s, its first loss is %g, that of random ones %g", warm.Status, then, first)
	}
	training.Start = []byte("no weights")
	if _, err := comparator.Train(context.Background(), root, training); err == nil || !strings.Contains(err.Error(), "checkpoint") {
		t.Errorf("a start that is no state: error %v", err)
	}
}

// tallied is an encoder that tallies the graphs that are built with it, by the size of their batch.
type tallied struct{ encoder.Encoder }

var tally = struct {
	sync.Mutex
	bySize map[int]int
}{bySize: make(map[int]int)}

func (e tallied) Encode(scope *model.Scope, sizes encoder.Sizes, inputs []*Node) *Node {
	tally.Lock()
	defer tally.Unlock()
	tally.bySize[inputs[0].Shape().Dim(0)]++
	return e.Encoder.Encode(scope, sizes, inputs)
}

// The members of all committees of a search share one graph for each size of a batch, and where a graph takes
// long to compile the sizes are few.
func TestFewGraphsInActive(t *testing.T) {
	config := ActiveConfig{Labels: 75, First: 15, Rounds: 10, Pool: 150, Members: 3, NAC: smallNAC(), Seed: 4}
	config.NAC.Encoder, config.NAC.Epochs, config.NAC.BatchSize = tallied{config.NAC.GCN}, 1, 48
	config.NAC.LearningRate = 1e-2
	p := toyProblem(t)
	if _, err := Active(context.Background(), t.TempDir(), p, config); err != nil {
		t.Fatal(err)
	}
	tally.Lock()
	built := maps.Clone(tally.bySize)
	tally.Unlock()
	for size, graphs := range built {
		if graphs > 2 { // a step and scores
			t.Errorf("%d graphs for batches of %d", graphs, size)
		}
	}
	few := 3 + 5 // steps of 16, 32 and 48; scores of 16, 32, 64, 128 and 256
	if engine.Describe(p.Backend) != "go" && len(built) > few {
		t.Errorf("graphs for %d sizes of batches in a search of 10 rounds, want at most %d: %v", len(built), few, built)
	}
}
