package experiment

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/gomlx/compute"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/metric"
	"github.com/ctnas/ctnas/ctnaslib/report"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/search"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/mobilenetv3"
	"github.com/ctnas/ctnas/ctnaslib/supernet"
	"github.com/ctnas/ctnas/datasets"
	"github.com/ctnas/ctnas/datasets/images"
)

// Shrinking trains a MobileNetV3 supernet by progressive shrinking, compares some of its
// sub-networks with the same networks trained alone, and searches it by CTNAS: the whole
// of Sec. 5.2, small.
type Shrinking struct {
	Net        supernet.ElasticConfig
	Alone      []string // texts of sub-networks that are also trained alone, for as many steps as the supernet's first stage has
	Search     search.Config
	HeldOut    int // further sub-networks that Kendall's tau is measured on
	Validation int // training images held out to validate on
	Images     int // of the training images, and of the test images, that are used; 0 is all
	Seeds      int
}

// uniformNet is the text of [mobilenetv3.Uniform].
func uniformNet(depth, kernel, expansion int) string {
	n, _ := mobilenetv3.Uniform(depth, mobilenetv3.Block{Kernel: kernel, Expansion: expansion}) // those below are of the space
	return n.String()
}

// The sub-networks that are looked at one by one.
var subNetworks = []struct{ name, text string }{
	{"largest", uniformNet(4, 7, 6)}, {"middle", uniformNet(3, 5, 4)}, {"smallest", uniformNet(2, 3, 3)},
}

// ShrinkingAt is the experiment at the size of a preset: Small on the pure Go backend, and
// for all others [supernet.ProxyElastic].
func ShrinkingAt(p Preset, classes int) Shrinking {
	s := Shrinking{Net: supernet.ProxyElastic(), Search: p.mobile("", 100).Config.(search.Config), HeldOut: 50, Validation: 1024, Seeds: 1}
	s.Search.Labels = 100
	if p == Small {
		s.Net = supernet.SmallElastic(classes)
		s.Search.Labels, s.HeldOut, s.Validation, s.Images = 20, 10, 64, 640
	}
	s.Alone = []string{uniformNet(2, 3, 3)}
	return s
}

// shrunk is what is known of a sub-network. It is stored in a run directory.
type shrunk struct {
	Net      string               `json:"net"`
	Accuracy float64              `json:"network"` // test accuracy, in percent
	MAdds    float64              `json:"madds_m"`
	KTau     *float64             `json:"ktau"`    // of NAC's ranking of other sub-networks
	Queries  int                  `json:"queries"` // labels of the supernet
	Curves   map[string][]float64 `json:"curves"`
	Seconds  float64              `json:"seconds"` // of the process that finished it
}

// Run does all of it for every seed, in run directories under root. What was done before
// is not done again. Watch, if set, is told of each row.
func (s Shrinking) Run(ctx context.Context, root string, set *images.Set, backend compute.Backend, watch rundir.Watch) (report.Result, error) {
	data, err := someImages(set, s.Images, s.Validation)
	if err != nil {
		return report.Result{}, err
	}
	identity, err := data.Identity()
	if err != nil {
		return report.Result{}, err
	}
	r := shrinkingRun{s, ctx, root, data, identity, backend, watch}
	var order []string
	outcomes := make(map[string][]shrunk)
	done, total := 0, s.Seeds*(len(subNetworks)+len(s.Alone)+2)
	for seed := uint64(1); seed <= uint64(s.Seeds); seed++ {
		net := s.Net
		net.Seed = seed
		add := func(name string, config any, run func() (shrunk, error)) error {
			o, err := r.stored(name, config, seed, run)
			if err != nil {
				return fmt.Errorf("experiment: %s with seed %d: %w", name, seed, err)
			}
			if outcomes[name] == nil {
				order = append(order, name)
			}
			outcomes[name] = append(outcomes[name], o)
			done++
			watch.Tell(rundir.Progress{Done: done, Total: total, Values: map[string]float64{"network": o.Accuracy}})
			return nil
		}
		for _, sub := range subNetworks {
			if err := add(sub.name+", shrunk", net, func() (shrunk, error) { return r.part(net, sub.text) }); err != nil {
				return report.Result{}, err
			}
			for _, text := range s.Alone {
				if text != sub.text {
					continue
				}
				alone := net
				alone.Stages = []supernet.Stage{net.Stages[0]}
				alone.Stages[0].Only = text
				if err := add(sub.name+", alone", alone, func() (shrunk, error) { return r.part(alone, text) }); err != nil {
					return report.Result{}, err
				}
			}
		}
		both := map[string]any{"net": net, "search": s.Search, "held_out": s.HeldOut}
		if err := add(nameMobile, both, func() (shrunk, error) { return r.ctnas(net) }); err != nil {
			return report.Result{}, err
		}
		if err := add(nameAnyNetwork, net, func() (shrunk, error) { return r.random(net) }); err != nil {
			return report.Result{}, err
		}
	}
	return r.result(order, outcomes)
}

// shrinkingRun is a Shrinking at work.
type shrinkingRun struct {
	Shrinking
	ctx     context.Context
	root    string
	data    *supernet.Data
	images  string // [supernet.Data.Identity]
	backend compute.Backend
	watch   rundir.Watch
}

// versions are those of all that the experiment runs.
func (r shrinkingRun) versions() rundir.Versions {
	return supernet.Versions().With(r.Search.Versions(), rundir.Versions{"shrinking": 1})
}

func (r shrinkingRun) stored(name string, config any, seed uint64, run func() (shrunk, error)) (shrunk, error) {
	return rundir.Once(r.root, rundir.Key{
		Step: "shrunk", Algorithms: r.versions(), Backend: engine.Fingerprint(r.backend),
		Config: map[string]any{"name": name, "config": config, "seed": seed},
		Data:   map[string]string{"images": r.images},
	}, func(*rundir.Run) (shrunk, error) {
		start := time.Now()
		o, err := run()
		o.Seconds = time.Since(start).Seconds()
		return o, err
	})
}

func (r shrinkingRun) train(c supernet.ElasticConfig) (*supernet.TrainedElastic, error) {
	return supernet.TrainElastic(r.ctx, r.root, supernet.ElasticTraining{Backend: r.backend, Data: r.data, Config: c, Watch: r.watch.Stage(fmt.Sprintf("supernet, seed %d: round", c.Seed))})
}

// part trains a supernet, and tests a sub-network of it.
func (r shrinkingRun) part(c supernet.ElasticConfig, text string) (shrunk, error) {
	trained, err := r.train(c)
	if err != nil {
		return shrunk{}, err
	}
	n, err := mobilenetv3.Parse(text)
	if err != nil {
		return shrunk{}, err
	}
	o, err := r.test(trained.Net, n)
	o.Curves = curves(trained.Metrics)
	return o, err
}

func (r shrinkingRun) test(e *supernet.Elastic, n mobilenetv3.Net) (shrunk, error) {
	accuracy, err := e.Test(r.ctx, n)
	return shrunk{Net: n.String(), Accuracy: 100 * accuracy, MAdds: float64(r.Net.MAdds(n)) / 1e6}, err
}

// ctnas searches the supernet by its accuracies on held-out images.
func (r shrinkingRun) ctnas(c supernet.ElasticConfig) (shrunk, error) {
	trained, err := r.train(c)
	if err != nil {
		return shrunk{}, err
	}
	labels, err := trained.Labels(r.ctx, 0)
	if err != nil {
		return shrunk{}, err
	}
	config := r.Search
	config.Seed = c.Seed
	found, err := search.CTNAS(r.ctx, trained.Dir, search.Problem{Backend: r.backend, Benchmark: labels, Watch: r.watch.Stage(fmt.Sprintf("%s, seed %d", nameMobile, c.Seed))}, config)
	if err != nil {
		return shrunk{}, err
	}
	o, err := r.test(trained.Net, found.Best.(mobilenetv3.Net))
	if err != nil {
		return o, err
	}
	o.Queries = found.Queries
	others, err := r.draw(c, r.HeldOut)
	if err != nil {
		return o, err
	}
	accuracies, err := trained.Net.Ranker(r.ctx).Utilities(others)
	if err != nil {
		return o, err
	}
	utilities, err := found.Ranker.Utilities(others)
	if err != nil {
		return o, err
	}
	tau, err := metric.KendallTau(utilities, accuracies)
	o.KTau = &tau
	return o, err
}

// random tests a random sub-network.
func (r shrinkingRun) random(c supernet.ElasticConfig) (shrunk, error) {
	trained, err := r.train(c)
	if err != nil {
		return shrunk{}, err
	}
	one, err := r.draw(c, 1)
	if err != nil {
		return shrunk{}, err
	}
	return r.test(trained.Net, one[0].(mobilenetv3.Net))
}

func (r shrinkingRun) draw(c supernet.ElasticConfig, n int) ([]space.Arch, error) {
	s, err := mobilenetv3.New(c.Skeleton, 0)
	if err != nil {
		return nil, err
	}
	return space.Draw(engine.Stream(c.Seed, heldOutStream, 0), s, n, nil)
}

// result puts the outcomes together. The curves of a row are those of the first seed.
func (r shrinkingRun) result(order []string, outcomes map[string][]shrunk) (report.Result, error) {
	result := newResult("mobilenet-supernet", "mobilenetv3", string(datasets.Proxy), r.images, r.backend, r.Seeds,
		map[string]any{"experiment": r.Shrinking, "images": r.data.Source}, r.versions())
	for _, name := range order {
		perSeed, madds, queries := map[string][]float64{}, 0.0, 0
		for _, o := range outcomes[name] {
			perSeed["network"] = append(perSeed["network"], o.Accuracy)
			if o.KTau != nil {
				perSeed["ktau"] = append(perSeed["ktau"], *o.KTau)
			}
			madds += o.MAdds / float64(len(outcomes[name]))
			queries = max(queries, o.Queries)
			result.Elapsed += o.Seconds
		}
		row := report.NewRow(name, perSeed)
		row.Metrics["madds_m"] = madds
		if queries > 0 {
			row.Metrics["queries"] = float64(queries)
		}
		row.Curves = outcomes[name][0].Curves
		result.Rows = append(result.Rows, row)
	}
	return result, result.Check()
}

// shrinking shows the experiment.
var shrinking = Entry{
	Run: func(ctx context.Context, root string, backend compute.Backend, p Preset, watch rundir.Watch) (report.Result, error) {
		set, err := images.Open(ctx, "")
		if err != nil {
			return report.Result{}, err
		}
		return ShrinkingAt(p, len(set.Classes)).Run(ctx, root, set, backend, watch)
	},
	Settings: func(p Preset) (any, int) {
		s := ShrinkingAt(p, cifar10Classes)
		return s, s.Seeds
	},
	Columns: []report.Column{report.Network, report.KTau, smallMAdds, report.Queries},
	Figures: func(r report.Result) []report.Figure {
		learning := report.Chart{X: "round", Y: "accuracy on training images (%)"}
		for _, row := range r.Rows {
			if row.Method != subNetworks[0].name+", shrunk" && !strings.HasSuffix(row.Method, ", alone") {
				continue // of the same training
			}
			s := report.Series{Name: row.Method}
			if row.Method == subNetworks[0].name+", shrunk" {
				s.Name = "supernet"
			}
			for i, y := range row.Curves["accuracy"] {
				s.X, s.Y = append(s.X, float64(i+1)), append(s.Y, 100*y)
			}
			learning.Series = append(learning.Series, s)
		}
		return []report.Figure{{Name: "learning", Chart: learning}}
	},
}

// smallMAdds are multiply-adds of networks for small images.
var smallMAdds = report.Column{Header: "multiply-adds", Unit: "M", Value: "madds_m", Digits: 2}
