package experiment

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/gomlx/compute"
	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/stat/distuv"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/metric"
	"github.com/ctnas/ctnas/ctnaslib/report"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/search"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/datasets"
)

// Proposition1Config says how [Proposition1] trains and what it measures on.
type Proposition1Config struct {
	Seeds      int               // trainings, with seeds 1, 2, …
	Labels     int               // architectures to learn from
	HeldOut    int               // other architectures, whose pairs the risks are measured on
	ProbeEvery int               // epochs from one measurement to the next
	NAC        comparator.Config // the comparator; each training sets its seed
}

// Proposition1Paper has the paper's 423 labels and 10 runs.
func Proposition1Paper() Proposition1Config {
	return Proposition1Config{Seeds: 10, Labels: 423, HeldOut: 1000, ProbeEvery: 10, NAC: comparator.Quick()}
}

// Proposition1Small is Proposition1Paper with 2 runs, for a lesson.
func Proposition1Small() Proposition1Config {
	c := Proposition1Paper()
	c.Seeds = 2
	return c
}

// Proposition1 trains comparators and measures, before training and after every
// ProbeEvery epochs, the two risks of the paper's Proposition 1 on the pairs of
// held-out architectures, by their test accuracies: see [Proposition1Risks]. Each
// number of epochs is a row of the result.
//
// It works in run directories under root. A training that was finished before is
// loaded, one that was interrupted continues. Watch, if set, is told of every epoch
// of all trainings.
func Proposition1(ctx context.Context, root string, table *datasets.NASBench101, backend compute.Backend, c Proposition1Config, watch rundir.Watch) (report.Result, error) {
	if c.Seeds < 1 || c.HeldOut < 2 || c.ProbeEvery < 1 || c.ProbeEvery > c.NAC.Epochs {
		return report.Result{}, fmt.Errorf("experiment: Proposition 1 needs at least 1 seed, 2 held-out architectures, and a measurement every 1 to %d epochs, not %d, %d and %d",
			c.NAC.Epochs, c.Seeds, c.HeldOut, c.ProbeEvery)
	}
	result := newResult("proposition1", table.Benchmark().Space().Name(), string(table.Source().Kind), space.Identity(table.Benchmark()), backend, c.Seeds, c, c.versions())
	measured := make([]map[string][]float64, c.NAC.Epochs/c.ProbeEvery+1)
	for i := range measured {
		measured[i] = make(map[string][]float64)
	}
	for seed := range c.Seeds {
		watchSeed := func(p rundir.Progress) {
			p.Done, p.Total = seed*p.Total+p.Done, c.Seeds*p.Total
			watch.Tell(p)
		}
		run, err := c.train(ctx, root, table, backend, uint64(seed+1), watchSeed)
		if err != nil {
			return report.Result{}, err
		}
		for i, risks := range run.Risks {
			for name, value := range risks {
				measured[i][name] = append(measured[i][name], value)
			}
		}
		result.Elapsed += run.Seconds
	}
	for i, perSeed := range measured {
		result.Rows = append(result.Rows, report.NewRow(epochs(i*c.ProbeEvery), perSeed))
	}
	if c.Seeds > 1 {
		for _, risk := range []string{"bce_risk", "ranking_risk"} {
			test, err := result.Compare(epochs(0), epochs(c.NAC.Epochs/c.ProbeEvery*c.ProbeEvery), risk)
			if err != nil {
				return report.Result{}, err
			}
			result.Tests = append(result.Tests, test)
		}
	}
	return result, result.Check()
}

// epochs names a row.
func epochs(n int) string {
	if n == 1 {
		return "after 1 epoch"
	}
	return fmt.Sprintf("after %d epochs", n)
}

// proposition1Run is what the training with one seed left.
type proposition1Run struct {
	Risks   []map[string]float64 // before training, then at each measurement
	Seconds float64              // of the process that finished it
}

func (c Proposition1Config) train(ctx context.Context, root string, table *datasets.NASBench101, backend compute.Backend, seed uint64, watch rundir.Watch) (proposition1Run, error) {
	c.Seeds, c.NAC.Seed = 1, seed // how many others there are does not matter
	return rundir.Once(root, rundir.Key{
		Step: "proposition1", Algorithms: c.versions(), Config: c, Backend: engine.Fingerprint(backend),
		Data: map[string]string{"benchmark": space.Identity(table.Benchmark())},
	}, func(run *rundir.Run) (proposition1Run, error) {
		return c.measure(ctx, run.Dir(), table, backend, watch)
	})
}

// measure trains a NAC with the seed of its configuration in run directories under root.
func (c Proposition1Config) measure(ctx context.Context, root string, table *datasets.NASBench101, backend compute.Backend, watch rundir.Watch) (proposition1Run, error) {
	var done proposition1Run
	seed := c.NAC.Seed
	start := time.Now()
	benchmark := table.Benchmark()
	labelled, err := search.Label(ctx, benchmark, c.Labels, seed)
	if err != nil {
		return done, err
	}
	others, accuracies, err := table.Report().HeldOut(engine.Stream(seed, heldOutStream, 0), c.HeldOut, comparator.Archs(labelled))
	if err != nil {
		return done, err
	}
	probe := func(n *comparator.NAC) (map[string]float64, error) { return probeRisks(n, others, accuracies) }
	untrained, err := comparator.New(backend, benchmark.Space(), c.NAC)
	if err != nil {
		return done, err
	}
	before, err := probe(untrained)
	if err != nil {
		return done, err
	}
	trained, err := comparator.Train(ctx, root, comparator.Training{
		Backend: backend, Space: benchmark.Space(), Labelled: labelled, Config: c.NAC,
		Probe: comparator.Probe{Key: "risks", Measure: probe}, ProbeEvery: c.ProbeEvery, Watch: watch,
	})
	if err != nil {
		return done, err
	}
	done.Risks = append(done.Risks, before)
	for _, m := range trained.Metrics {
		if (m.Step+1)%c.ProbeEvery == 0 {
			delete(m.Values, "loss")
			done.Risks = append(done.Risks, m.Values)
		}
	}
	done.Seconds = time.Since(start).Seconds()
	return done, nil
}

// versions are those of the algorithms behind the two risks.
func (c Proposition1Config) versions() rundir.Versions {
	return c.NAC.Versions().With(rundir.Versions{"proposition1": 1, "labels": 1})
}

func probeRisks(n *comparator.NAC, archs []space.Arch, accuracies []float64) (map[string]float64, error) {
	scores, err := n.Scores(archs)
	if err != nil {
		return nil, err
	}
	bce, ranking, err := Proposition1Risks(scores, accuracies)
	if err != nil {
		return nil, err
	}
	utilities := make([]float64, len(scores))
	for i, s := range scores {
		utilities[i] = s.Utility()
	}
	tau, err := metric.KendallTau(utilities, accuracies)
	return map[string]float64{"bce_risk": bce, "ranking_risk": 100 * ranking, "ktau": tau}, err
}

// Proposition1Risks are the two risks of Proposition 1 over all ordered pairs of
// architectures with these scores and accuracies:
//
//	bce     = mean of −y·log p − (1−y)·log(1−p),   p = NAC(α, α'), y = 1{R_α ≥ R_α'}
//	ranking = mean of 1{(R_α − R_α')·f(α, α') ≤ 0},   f = logit p
//
// Pairs of equal accuracy have no order, and are left out. The error says that no
// pair is left.
func Proposition1Risks(scores []comparator.Score, accuracies []float64) (bce, ranking float64, err error) {
	if len(scores) != len(accuracies) {
		return 0, 0, fmt.Errorf("experiment: the risks need an accuracy for each architecture, got %d scores and %d accuracies", len(scores), len(accuracies))
	}
	pairs := 0
	for i := range scores {
		for j := range scores {
			if accuracies[i] == accuracies[j] {
				continue
			}
			pairs++
			margin := scores[i].First + scores[j].Second // f, or −f for y = 0
			if accuracies[i] < accuracies[j] {
				margin = -margin
			}
			bce += logistic(margin)
			if margin <= 0 {
				ranking++
			}
		}
	}
	if pairs == 0 {
		return 0, 0, errors.New("experiment: the risks need two architectures of different accuracy")
	}
	return bce / float64(pairs), ranking / float64(pairs), nil
}

// logistic is −log σ(margin), computed so that it does not overflow.
func logistic(margin float64) float64 {
	return max(-margin, 0) + math.Log1p(math.Exp(-math.Abs(margin)))
}

// Proposition1Toy is a ranking problem whose probabilities are known: each training
// of architecture i ends with the accuracy Quality[i] plus normal noise, so that one
// of i beats one of j with the probability
//
//	η(i, j) = Φ((Quality[i] − Quality[j]) / (√2·Noise))
type Proposition1Toy struct {
	Quality []float64
	Noise   float64 // standard deviation of an accuracy
	Seed    uint64  // of the start f and of the labels
}

// Proposition1Step is where the minimisation of the toy's risk stands: how far both
// risks are above the smallest that any f can have, and how many pairs f orders
// against the odds.
type Proposition1Step struct {
	Step                     int
	ExcessBCE, ExcessRanking float64
	Wrong                    int
}

// Bound is the most that the excess ranking risk can be, for this excess BCE risk:
// √(2·ExcessBCE).
func (s Proposition1Step) Bound() float64 { return math.Sqrt(2 * s.ExcessBCE) }

// Eta is η(i, j), the probability of the label 1 for the pair (i, j).
func (t Proposition1Toy) Eta(i, j int) float64 {
	return distuv.UnitNormal.CDF((t.Quality[i] - t.Quality[j]) / (math.Sqrt2 * t.Noise))
}

// Minimise learns a number f(i, j) for every ordered pair, from noisy labels alone:
// it starts with a random f, draws a fresh label y for each pair in each step, and
// goes down the gradient of the cross-entropy, σ(f) − y, by 4/√step. It returns f
// and where it stood before the first and after each step.
func (t Proposition1Toy) Minimise(steps int) (f [][]float64, path []Proposition1Step) {
	rng := rand.New(rand.NewPCG(t.Seed, 0))
	n := len(t.Quality)
	f = make([][]float64, n)
	for i := range f {
		f[i] = make([]float64, n)
		for j := range f[i] {
			f[i][j] = rng.NormFloat64()
		}
	}
	path = append(path, t.at(0, f))
	for step := 1; step <= steps; step++ {
		rate := 4 / math.Sqrt(float64(step))
		for i := range f {
			for j := range f[i] {
				y := 0.0
				if rng.Float64() < t.Eta(i, j) {
					y = 1
				}
				f[i][j] -= rate * (1/(1+math.Exp(-f[i][j])) - y)
			}
		}
		path = append(path, t.at(step, f))
	}
	return f, path
}

// at computes the excess risks of f exactly, from η.
func (t Proposition1Toy) at(step int, f [][]float64) Proposition1Step {
	s := Proposition1Step{Step: step}
	pairs := 0
	for i := range f {
		for j := range f[i] {
			if i == j {
				continue
			}
			pairs++
			eta := t.Eta(i, j)
			s.ExcessBCE += eta*logistic(f[i][j]) + (1-eta)*logistic(-f[i][j]) - entropy(eta)
			if (eta-0.5)*f[i][j] <= 0 && eta != 0.5 {
				s.ExcessRanking += math.Abs(2*eta - 1)
				s.Wrong++
			}
		}
	}
	s.ExcessBCE /= float64(pairs)
	s.ExcessRanking /= float64(pairs)
	return s
}

// entropy is that of a coin, in nats: the smallest cross-entropy any f has for a
// pair.
func entropy(eta float64) float64 {
	h := 0.0
	for _, p := range []float64{eta, 1 - eta} {
		if p > 0 {
			h -= p * math.Log(p)
		}
	}
	return h
}

// Proposition1Columns are the columns of the result's table.
var Proposition1Columns = []report.Column{
	{Header: "cross-entropy", Unit: "nats", Value: "bce_risk_mean", StdDev: "bce_risk_std", Digits: 3},
	{Header: "pairs in the wrong order", Unit: "%", Value: "ranking_risk_mean", StdDev: "ranking_risk_std", Digits: 2},
	report.KTau,
}

// Proposition1Figures draws the result: "risks", both over the epochs, and "bound",
// one against the other during training. The cross-entropy is in bits there, since
// in bits it is never below the share of pairs in the wrong order.
func Proposition1Figures(r report.Result) []report.Figure {
	bce := report.Series{Name: "cross-entropy (bits)"}
	ranking := report.Series{Name: "share in the wrong order"}
	each := report.Series{Name: "measurements", Points: true}
	for _, row := range r.Rows {
		var epoch float64
		if _, err := fmt.Sscanf(row.Method, "after %f epoch", &epoch); err != nil {
			continue
		}
		add := func(s *report.Series, metric string, unit float64) {
			s.X, s.Y = append(s.X, epoch), append(s.Y, row.Metrics[metric+"_mean"]/unit)
			s.Err = append(s.Err, row.Metrics[metric+"_std"]/unit)
		}
		add(&bce, "bce_risk", math.Ln2)
		add(&ranking, "ranking_risk", 100)
		if epoch == 0 {
			continue // untrained networks lie far from all others
		}
		for i, nats := range row.PerSeed["bce_risk"] {
			each.X = append(each.X, nats/math.Ln2)
			each.Y = append(each.Y, row.PerSeed["ranking_risk"][i]/100)
		}
	}
	most := floats.Max(append(each.X, 1))
	bound := report.Series{Name: "bound", X: []float64{0, most}, Y: []float64{0, most}, Reference: true}
	return []report.Figure{
		{Name: "risks", Chart: report.Chart{
			Title: "Two risks on held-out pairs", X: "epochs", Y: "risk", Series: []report.Series{bce, ranking},
		}},
		{Name: "bound", Chart: report.Chart{
			Title: "One risk against the other", X: "cross-entropy (bits)", Y: "share in the wrong order", Series: []report.Series{each, bound},
		}},
	}
}

// Proposition1ToyFigure draws a path of [Proposition1Toy.Minimise]: the excess
// ranking risk and its bound, over the steps, on a logarithmic axis.
func Proposition1ToyFigure(path []Proposition1Step) report.Figure {
	excess := report.Series{Name: "excess ranking risk"}
	bound := report.Series{Name: "bound: √(2 · excess cross-entropy)", Reference: true}
	for step := 1; step < len(path); step = max(step+1, step*3/2) {
		for s, y := range map[*report.Series]float64{&excess: path[step].ExcessRanking, &bound: path[step].Bound()} {
			s.X, s.Y = append(s.X, float64(step)), append(s.Y, y)
		}
	}
	return report.Figure{Name: "toy", Chart: report.Chart{
		Title: "A problem with known odds", X: "steps", Y: "excess risk", LogX: true, Series: []report.Series{excess, bound},
	}}
}
