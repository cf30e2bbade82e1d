package supernet

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/space/mobilenetv3"
	"github.com/gomlx/compute"
	"github.com/gomlx/gomlx/core/tensors"
)

// ElasticTraining is the training of a MobileNetV3 supernet by progressive shrinking.
// What it leads to is a function of all fields but Watch.
type ElasticTraining struct {
	Backend compute.Backend
	Data    *Data
	Config  ElasticConfig
	Watch   rundir.Watch // told of each round, if set
}

// TrainedElastic is what [TrainElastic] leads to.
type TrainedElastic struct {
	Net    *Elastic
	Status rundir.Status
	Dir    string // the run directory

	// Metrics are, of each round, means over its steps: "loss" and "accuracy" on the
	// training images, and "stage", counted from 0.
	Metrics []rundir.Metrics
}

// TrainElastic trains a supernet by progressive shrinking in a run directory under root,
// which it continues or loads as [Train] does.
func TrainElastic(ctx context.Context, root string, t ElasticTraining) (*TrainedElastic, error) {
	run, err := t.Data.open(root, "elastic", t.Backend, t.Config)
	if err != nil {
		return nil, err
	}
	defer run.Close()
	p := &elasticTraining{ElasticTraining: t}
	for stage, s := range t.Config.Stages {
		for first := 0; first < s.Steps; first += max(1, t.Config.Round) {
			p.rounds = append(p.rounds, round{stage, first, min(first+t.Config.Round, s.Steps), p.steps})
		}
		p.steps += s.Steps
	}
	status, err := run.Do(ctx, p, len(p.rounds), 1, t.Watch)
	if err != nil {
		return nil, fmt.Errorf("supernet: %w", err)
	}
	trained := &TrainedElastic{Net: p.net, Status: status, Dir: run.Dir()}
	trained.Metrics, err = run.Metrics()
	return trained, err
}

// round is a part of a stage: its steps from first up to last, and how many steps there
// were before the stage.
type round struct{ stage, first, last, before int }

// elasticTraining is an ElasticTraining as a [rundir.Process]. A step is a round.
type elasticTraining struct {
	ElasticTraining
	rounds []round
	steps  int // of all stages
	net    *Elastic
}

func (p *elasticTraining) Start() (err error) {
	p.net, err = NewElastic(p.Backend, p.Data, p.Config)
	return err
}

func (p *elasticTraining) Decode(state []byte) (err error) {
	p.net, err = DecodeElastic(p.Backend, p.Data, p.Config, state)
	return err
}

func (p *elasticTraining) Encode() ([]byte, error) { return p.net.Encode() }

func (p *elasticTraining) Step(ctx context.Context, k int) (map[string]float64, error) {
	r := p.rounds[k]
	if r.first == 0 {
		if err := p.net.begin(r.stage); err != nil {
			return nil, err
		}
	}
	means, err := trainRound(ctx, p.net.training(), r.before+r.first, r.before+r.last, func(step int, b batch) (loss, accuracy float64, err error) {
		return p.net.trainStep(r.stage, step-r.before, step, b)
	})
	if err == nil {
		means["stage"] = float64(r.stage)
	}
	return means, err
}

// rate is the learning rate of a step of the stage.
func (s Stage) rate(step int) float64 {
	if step < s.Warmup {
		return s.LearningRate * float64(step+1) / float64(s.Warmup)
	}
	return cosine(s.LearningRate, step-s.Warmup, s.Steps-s.Warmup)
}

// draw is a random sub-network of the stage.
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

// begin prepares for a stage: the optimiser starts anew; after the first stage its
// weights become the teacher; and before a stage that narrows blocks their channels are
// sorted, so that the most important ones stay.
func (e *Elastic) begin(stage int) error {
	if stage == 0 {
		return nil
	}
	if stage == 1 {
		if err := e.copyScope(scopeWeights, scopeTeacher); err != nil {
			return err
		}
	}
	for _, p := range e.parameters {
		if err := e.set(scopeVelocity+"/"+p.name, make([]float32, p.size()), p.dims); err != nil {
			return err
		}
	}
	before, now := e.config.Stages[stage-1], e.config.Stages[stage]
	if now.Only == "" && len(now.Expansions) > len(before.Expansions) {
		return e.sortChannels(before.Expansions)
	}
	return nil
}

// trainStep does one step of a stage: the sum of the gradients of some sub-networks.
// The loss and the accuracy are their means.
func (e *Elastic) trainStep(stage, step, global int, b batch) (loss, accuracy float64, err error) {
	s := e.config.Stages[stage]
	learn := e.accumulate
	if stage > 0 {
		learn = e.distil
	}
	rng := engine.Stream(e.config.Seed, "supernet: step", global)
	for range s.Networks {
		n, err := s.draw(rng)
		if err != nil {
			return 0, 0, err
		}
		out, err := learn.call(append(choiceOf(n), b.images, b.labels)...)
		if err != nil {
			return 0, 0, fmt.Errorf("supernet: cannot train %s: %w", n, err)
		}
		loss += scalar(out[0]) / float64(s.Networks)
		accuracy += scalar(out[1]) / float64(b.size*s.Networks)
	}
	if _, err := e.apply.call(tensors.FromScalar(float32(s.rate(step)))); err != nil {
		return 0, 0, fmt.Errorf("supernet: cannot train: %w", err)
	}
	return loss, accuracy, nil
}

// StepTime is how long a step of a stage takes, without reading its images: the median of
// some, after a first one that compiles. The steps train the supernet.
func (e *Elastic) StepTime(ctx context.Context, stage, steps int) (time.Duration, error) {
	if stage < 0 || stage >= len(e.config.Stages) {
		return 0, fmt.Errorf("supernet: there is no stage %d; there are %d, counted from 0", stage, len(e.config.Stages))
	}
	return stepTime(ctx, e.training(), steps, func(step int, b batch) error {
		_, _, err := e.trainStep(stage, step, step, b)
		return err
	})
}

// FLOPs is the number of floating point operations of a sub-network's step of a stage for one
// image, forward: those of the largest network, which every step computes and masks, and in
// stages with a teacher its own, counted as a third, as it has no backward pass. Training takes
// about three times as many.
func (c ElasticConfig) FLOPs(stage int) float64 {
	forward := 2 * float64(c.MAdds(c.largest()))
	if stage > 0 {
		forward += forward / 3
	}
	return forward
}

// get is a copy of a variable's values.
func (e *Elastic) get(name string) ([]float32, error) {
	v := e.store.GetVariable(name)
	if v == nil {
		return nil, fmt.Errorf("supernet: there are no weights %s", name)
	}
	t, err := v.Value()
	if err != nil {
		return nil, fmt.Errorf("supernet: cannot read %s: %w", name, err)
	}
	return tensors.CopyFlatData[float32](t)
}

// set gives a variable other values.
func (e *Elastic) set(name string, values []float32, dims []int) error {
	if err := e.store.GetVariable(name).SetValue(tensors.FromFlatDataAndDimensions(values, dims...)); err != nil {
		return fmt.Errorf("supernet: cannot change %s: %w", name, err)
	}
	return nil
}

func (e *Elastic) copyScope(from, to string) error {
	for _, p := range e.parameters {
		values, err := e.get(from + "/" + p.name)
		if err == nil {
			err = e.set(to+"/"+p.name, values, p.dims)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// sortChannels puts the middle channels of every block in the order of their importance,
// the sum of |w| over the weights that lead on from a channel; within the widths of
// expansions that were trained before, so that those sub-networks still are what they
// were. The hidden units of squeeze-and-excitation are sorted likewise. (OFA's code
// sorts those over all widths, which changes what was trained.) With all its channels a
// block computes the same as before.
func (e *Elastic) sortChannels(trained []int) error {
	for place := range mobilenetv3.NumBlock {
		most := largestBlock(e.config.Skeleton, place/mobilenetv3.MaxDepth, place%mobilenetv3.MaxDepth)
		widths, hidden := []int{0}, []int{0}
		for _, x := range slices.Sorted(slices.Values(trained)) {
			width := mobilenetv3.Divisible(float64(most.In * x))
			widths, hidden = append(widths, width), append(hidden, mobilenetv3.Squeezed(width))
		}
		block := blockName(place)
		order, err := e.importance(block+"/project/"+nameKernel, widths)
		if err != nil {
			return err
		}
		reordered := map[string]int{ // the axis of the middle channels
			"expand/" + nameKernel: 1, "expand/" + nameScale: 0, "expand/" + nameShift: 0,
			"depthwise/" + nameDepthwise: 2, "depthwise/" + nameScale: 0, "depthwise/" + nameShift: 0,
			"project/" + nameKernel: 0,
		}
		if most.Squeeze > 0 {
			reordered["squeeze/reduce/"+nameKernel] = 0
			reordered["squeeze/excite/"+nameKernel] = 1
			reordered["squeeze/excite/"+nameBias] = 0
		}
		if err := e.reorder(block, reordered, order); err != nil {
			return err
		}
		if most.Squeeze > 0 {
			order, err := e.importance(block+"/squeeze/excite/"+nameKernel, hidden)
			if err != nil {
				return err
			}
			err = e.reorder(block, map[string]int{"squeeze/reduce/" + nameKernel: 1, "squeeze/reduce/" + nameBias: 0, "squeeze/excite/" + nameKernel: 0}, order)
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// importance is the order of the rows of weights [in, out] by the sum of their absolute
// values, the largest first, each between two of the bounds where it was.
func (e *Elastic) importance(name string, bounds []int) ([]int, error) {
	values, err := e.get(scopeWeights + "/" + name)
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
func (e *Elastic) reorder(block string, axes map[string]int, order []int) error {
	for _, p := range e.parameters {
		for name, axis := range axes {
			if p.name != block+"/"+name {
				continue
			}
			values, err := e.get(scopeWeights + "/" + p.name)
			if err != nil {
				return err
			}
			if err := e.set(scopeWeights+"/"+p.name, permuted(values, p.dims, axis, order), p.dims); err != nil {
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
