// Package training is what the programs share that make the models that are part of the
// library: the loop over the batches of an epoch, the command line, and the model's card.
package training

import (
	"context"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/datasets/internal/weights"
	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/ml/train/optimizer"
)

// Config says how a model is trained.
type Config struct {
	Epochs       int     `json:"epochs"`
	Batch        int     `json:"batch"`         // examples in a step
	LearningRate float64 `json:"learning_rate"` // of Adam, the highest: it rises over the steps of Warmup and falls to 0 along a cosine
	Seed         uint64  `json:"seed"`
}

// Loop trains the numbers of a model with Adam.
type Loop struct {
	Config
	Warmup      int     // steps until the learning rate is reached
	WeightDecay float64 // share of the learning rate by which weights shrink in a step
	Examples    int     // number of them

	// Inputs makes the inputs of the graph from the examples of a batch, given by their indices.
	Inputs func(chosen []int) []*tensors.Tensor

	// Loss builds the loss of a batch from its inputs. See [Weight].
	Loss func(root *model.Scope, inputs []*Node) *Node
}

// Run trains the parts of a model on a backend. An epoch takes every example once, but for
// a rest that fills no batch. After each one the state is saved in a run directory, from
// where training goes on if it was interrupted, with the loss and the minutes it took; run
// may be nil. The error is that of ctx, of the backend or of the run directory.
func (l Loop) Run(ctx context.Context, backend compute.Backend, parts []weights.Part, run *rundir.Run) error {
	store, first, err := begin(parts, run)
	if err != nil {
		return err
	}
	adam := optimizer.Adam().LearningRate(l.rate(0)).Betas(0.9, 0.999).Epsilon(1e-8).WeightDecay(l.WeightDecay).Done()
	step, err := model.NewExec(backend, store, func(root *model.Scope, inputs []*Node) *Node {
		loss := l.Loss(root, inputs)
		adam.UpdateGraph(root, loss.Graph(), loss)
		return loss
	})
	if err != nil {
		return err
	}
	for epoch := first; epoch < l.Epochs; epoch++ {
		start := time.Now()
		order := rand.New(rand.NewPCG(l.Seed, 2+uint64(epoch))).Perm(l.Examples)
		loss := 0.0
		for i := range l.steps() {
			if err := ctx.Err(); err != nil {
				return fmt.Errorf("interrupted in epoch %d: %w", epoch+1, err)
			}
			if err := setRate(store, l.rate(epoch*l.steps()+i)); err != nil {
				return err
			}
			out, err := step.Call1(engine.Args(l.Inputs(order[i*l.Batch : (i+1)*l.Batch]))...)
			if err != nil {
				return err
			}
			loss += float64(tensors.ToScalar[float32](out)) / float64(l.steps())
		}
		fmt.Printf("epoch %d of %d: loss %.5f\n", epoch+1, l.Epochs, loss)
		if run != nil {
			if err := save(run, store, epoch, map[string]float64{"loss": loss, "minutes": time.Since(start).Minutes()}); err != nil {
				return err
			}
		}
	}
	return fetch(store, parts)
}

// steps returns the number of batches in an epoch.
func (l Loop) steps() int { return l.Examples / l.Batch }

// rate returns the learning rate of a step, counted over all epochs.
func (l Loop) rate(step int) float64 {
	rising := 1.0
	if l.Warmup > 0 {
		rising = min(1, float64(step+1)/float64(l.Warmup))
	}
	return l.LearningRate * rising * (1 + math.Cos(math.Pi*float64(step)/float64(l.Epochs*l.steps()))) / 2
}

// setRate sets the optimiser's learning rate, once it has one.
func setRate(store *model.Store, rate float64) error {
	for v := range store.IterVariables() {
		if v.Name() == optimizer.ParamLearningRate {
			return v.SetValue(tensors.FromScalar(float32(rate)))
		}
	}
	return nil
}

// Main is the main function of a program that makes a model in a folder of this
// repository, which the flag -out changes. It ends early when it is interrupted.
func Main(folder string, run func(ctx context.Context, out string) error) {
	out := flag.String("out", filepath.FromSlash(folder), "`folder` for weights.bin, card.json and README.md")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *out); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
