package onceforall

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/gomlx/gomlx/core/tensors"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/nn"
	"github.com/ctnas/ctnas/ctnaslib/space/mobilenetv3"
	"github.com/ctnas/ctnas/ctnaslib/train"
)

// Training is the training of a supernet by progressive shrinking.
type Training = nn.Training[Config]

// Trained is what [Train] leads to.
type Trained struct {
	Net           *Supernet
	train.Outcome // its metrics are those of [nn.Process], and "stage", counted from 0
}

// Train trains a supernet by progressive shrinking from random weights in a run directory under root, which it
// continues or loads as [nn.Training.Run] does. Its errors are those of the configuration, the images and the run
// directory.
func Train(ctx context.Context, root string, t Training) (*Trained, error) {
	net, err := New(t.Backend, t.Data, t.Config)
	if err != nil {
		return nil, err
	}
	p := &process{net: net}
	p.Model = net.model
	steps := 0
	for stage, s := range t.Config.Stages {
		rounds := nn.Rounds(steps, steps+s.Steps, t.Config.CheckpointInterval)
		p.Rounds = append(p.Rounds, rounds...)
		p.stages = append(p.stages, slices.Repeat([]position{{stage, steps}}, len(rounds))...)
		steps += s.Steps
	}
	outcome, err := t.Run(ctx, root, "once for all", Versions(), p, len(p.Rounds))
	if err != nil {
		return nil, fmt.Errorf("onceforall: %w", err)
	}
	return &Trained{net, outcome}, nil
}

// Benchmark makes a benchmark of the trained supernet, until ctx ends, for the networks of at most limit multiply-adds,
// 0 for all. The error says what is wrong with the limit.
func (t *Trained) Benchmark(ctx context.Context, limit int64) (*nn.Benchmark, error) {
	s, err := mobilenetv3.New(t.Net.config.Skeleton, limit)
	if err != nil {
		return nil, err
	}
	return nn.NewBenchmark(t.Dir, s, t.Net.Ranker(ctx)), nil
}

// position is a stage, and how many steps there are before it.
type position struct{ stage, before int }

// process is the training of a supernet in its stages.
type process struct {
	nn.Process
	net    *Supernet
	stages []position // of each round
}

func (p *process) Step(ctx context.Context, round int) (map[string]float64, error) {
	at := p.stages[round]
	if p.Rounds[round].First == at.before {
		if err := p.net.begin(at.stage); err != nil {
			return nil, err
		}
	}
	p.TrainStep = func(_ context.Context, step int, b nn.Batch) (loss, accuracy float64, err error) {
		return p.net.trainStep(at.stage, step-at.before, step, b)
	}
	means, err := p.Process.Step(ctx, round)
	means["stage"] = float64(at.stage)
	return means, err
}

// rate returns the learning rate of a step of the stage, counted from 0.
func (s Stage) rate(step int) float64 {
	if step < s.Warmup {
		return s.LearningRate * float64(step+1) / float64(s.Warmup)
	}
	return nn.Cosine(s.LearningRate, step-s.Warmup, s.Steps-s.Warmup)
}

// draw returns a random sub-network of the stage.
func (s Stage) draw(rng *rand.Rand) (mobilenetv3.Net, error) {
	if s.Only != "" {
		return mobilenetv3.Parse(s.Only)
	}
	of := func(values []int) int { return values[rng.IntN(len(values))] }
	units := make([][]mobilenetv3.Block, mobilenetv3.Units)
	for u := range units {
		for range of(s.Depths) {
			units[u] = append(units[u], mobilenetv3.Block{Kernel: of(s.Kernels), Expansion: of(s.Expansions)})
		}
	}
	return mobilenetv3.NewNet(units)
}

// begin prepares for a stage: the optimiser starts again; after the first stage its weights become the teacher; and
// before a stage that narrows blocks their channels are sorted, so that the most important ones stay.
func (s *Supernet) begin(stage int) error {
	if stage == 0 {
		return nil
	}
	if stage == 1 {
		if err := s.copyScope(nn.Weights, scopeTeacher); err != nil {
			return err
		}
	}
	for _, p := range s.model.Parameters {
		if err := s.set(scopeVelocity+"/"+p.Name, make([]float32, p.Size()), p.Dims); err != nil {
			return err
		}
	}
	before, now := s.config.Stages[stage-1], s.config.Stages[stage]
	if before.narrowedBy(now) {
		return s.sortChannels(before.Expansions)
	}
	return nil
}

// trainStep does one step of a stage, both counted from 0, whose number among those of all stages is global: the sum of
// the gradients of some sub-networks. The loss and the accuracy are their means.
func (s *Supernet) trainStep(stage, step, global int, b nn.Batch) (loss, accuracy float64, err error) {
	now, learn := s.config.Stages[stage], s.accumulate
	if stage > 0 {
		learn = s.distil
	}
	rng := engine.Stream(s.config.Seed, stepStream, global)
	for range now.Networks {
		n, err := now.draw(rng)
		if err != nil {
			return 0, 0, err
		}
		l, a, err := learn.Measure(b, append(choiceOf(n), b.Images, b.Labels)...)
		if err != nil {
			return 0, 0, fmt.Errorf("onceforall: cannot train %s: %w", n, err)
		}
		loss += l / float64(now.Networks)
		accuracy += a / float64(now.Networks)
	}
	if _, err := s.apply.Call(tensors.FromScalar(float32(now.rate(step)))); err != nil {
		return 0, 0, fmt.Errorf("onceforall: cannot train: %w", err)
	}
	return loss, accuracy, nil
}

// StepTime returns how long a step of a stage, counted from 0, takes, without the time to read its images: the median
// of so many, at least 1, after a first one that compiles. The steps train the supernet.
func (s *Supernet) StepTime(ctx context.Context, stage, steps int) (time.Duration, error) {
	if stage < 0 || stage >= len(s.config.Stages) {
		return 0, fmt.Errorf("onceforall: there is no stage %d; there are %d, counted from 0", stage, len(s.config.Stages))
	}
	return s.model.StepTime(ctx, steps, func(step int, b nn.Batch) error {
		_, _, err := s.trainStep(stage, step, step, b)
		return err
	})
}

// FLOPs returns the number of floating point operations of a sub-network's step of a stage, counted from 0, for one
// image, forward: those of the largest network, which every step computes and masks, and in stages with a teacher its
// own, counted as a third, as it has no backward pass. Training takes about three times as many.
func (c Config) FLOPs(stage int) float64 {
	forward := 2 * float64(c.MAdds(c.largest()))
	if stage > 0 {
		forward += forward / 3
	}
	return forward
}

// get returns a copy of a variable's values.
func (s *Supernet) get(name string) ([]float32, error) {
	v := s.model.Store.GetVariable(name)
	if v == nil {
		return nil, fmt.Errorf("onceforall: there are no weights %s", name)
	}
	t, err := v.Value()
	if err != nil {
		return nil, fmt.Errorf("onceforall: cannot read %s: %w", name, err)
	}
	return tensors.CopyFlatData[float32](t)
}

// set gives a variable other values.
func (s *Supernet) set(name string, values []float32, dims []int) error {
	if err := s.model.Store.GetVariable(name).SetValue(tensors.FromFlatDataAndDimensions(values, dims...)); err != nil {
		return fmt.Errorf("onceforall: cannot change %s: %w", name, err)
	}
	return nil
}

func (s *Supernet) copyScope(from, to string) error {
	for _, p := range s.model.Parameters {
		values, err := s.get(from + "/" + p.Name)
		if err == nil {
			err = s.set(to+"/"+p.Name, values, p.Dims)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// sortChannels puts the middle channels of every block in the order of their importance, the sum of |w| over the
// weights that lead on from a channel; within the widths of expansions that were trained before, so that those
// sub-networks still are what they were. The hidden units of squeeze-and-excitation are sorted likewise. (OFA's code
// sorts those over all widths, which changes what was trained.) With all its channels a block computes the same as
// before.
func (s *Supernet) sortChannels(trained []int) error {
	for number := range mobilenetv3.NumBlock {
		most := largestBlock(s.config.Skeleton, number/mobilenetv3.MaxDepth, number%mobilenetv3.MaxDepth)
		widths, hidden := []int{0}, []int{0}
		for _, x := range slices.Sorted(slices.Values(trained)) {
			width := mobilenetv3.Divisible(float64(most.In * x))
			widths, hidden = append(widths, width), append(hidden, mobilenetv3.Squeezed(width))
		}
		block := blockName(number)
		order, err := s.importance(block+"/project/"+nn.NameKernel, widths)
		if err != nil {
			return err
		}
		reordered := map[string]int{ // the axis of the middle channels
			"expand/" + nn.NameKernel: 1, "expand/" + nn.NameScale: 0, "expand/" + nn.NameShift: 0,
			"depthwise/" + nn.NameDepthwiseKernel: 2, "depthwise/" + nn.NameScale: 0, "depthwise/" + nn.NameShift: 0,
			"project/" + nn.NameKernel: 0,
		}
		if most.Squeeze > 0 {
			reordered["squeeze/reduce/"+nn.NameKernel] = 0
			reordered["squeeze/excite/"+nn.NameKernel] = 1
			reordered["squeeze/excite/"+nn.NameBias] = 0
		}
		if err := s.reorder(block, reordered, order); err != nil {
			return err
		}
		if most.Squeeze > 0 {
			order, err := s.importance(block+"/squeeze/excite/"+nn.NameKernel, hidden)
			if err != nil {
				return err
			}
			err = s.reorder(block, map[string]int{"squeeze/reduce/" + nn.NameKernel: 1, "squeeze/reduce/" + nn.NameBias: 0, "squeeze/excite/" + nn.NameKernel: 0}, order)
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// importance returns the order of the rows of weights [in, out] by the sum of their absolute values, the largest first,
// each between two of the bounds where it was.
func (s *Supernet) importance(name string, bounds []int) ([]int, error) {
	values, err := s.get(nn.Weights + "/" + name)
	if err != nil {
		return nil, err
	}
	rows := bounds[len(bounds)-1]
	width := len(values) / rows
	sums, order := make([]float32, rows), make([]int, rows)
	for r := range rows {
		order[r] = r
		for _, w := range values[r*width : (r+1)*width] {
			sums[r] += max(w, -w)
		}
	}
	for i := 1; i < len(bounds); i++ {
		slices.SortStableFunc(order[bounds[i-1]:bounds[i]], func(a, b int) int { return cmp.Compare(sums[b], sums[a]) })
	}
	return order, nil
}

// reorder puts the entries of a block's parameters along an axis into an order.
func (s *Supernet) reorder(block string, axes map[string]int, order []int) error {
	for _, p := range s.model.Parameters {
		for name, axis := range axes {
			if p.Name != block+"/"+name {
				continue
			}
			values, err := s.get(nn.Weights + "/" + p.Name)
			if err != nil {
				return err
			}
			if err := s.set(nn.Weights+"/"+p.Name, permuted(values, p.Dims, axis, order), p.Dims); err != nil {
				return err
			}
		}
	}
	return nil
}

// permuted takes the entries of a row-major array along an axis in another order.
func permuted(values []float32, dims []int, axis int, order []int) []float32 {
	inner := 1
	for _, d := range dims[axis+1:] {
		inner *= d
	}
	out := make([]float32, 0, len(values))
	for block := 0; block < len(values); block += inner * dims[axis] {
		for _, i := range order {
			out = append(out, values[block+i*inner:block+(i+1)*inner]...)
		}
	}
	return out
}
