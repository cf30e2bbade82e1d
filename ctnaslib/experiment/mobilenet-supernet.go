package experiment

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gomlx/compute"

	"github.com/ctnas/ctnas/ctnaslib/ctnas"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/metric"
	"github.com/ctnas/ctnas/ctnaslib/nn"
	"github.com/ctnas/ctnas/ctnaslib/onceforall"
	"github.com/ctnas/ctnas/ctnaslib/report"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/search"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/mobilenetv3"
	"github.com/ctnas/ctnas/ctnaslib/train"
	"github.com/ctnas/ctnas/datasets"
	"github.com/ctnas/ctnas/datasets/images"
)

// Shrinking trains a MobileNetV3 supernet by progressive shrinking, compares some of its
// sub-networks with the same networks trained alone, and searches it by CTNAS: the whole
// of Sec. 5.2, small.
type Shrinking struct {
	Net        onceforall.Config
	Alone      []string // texts of sub-networks that are also trained alone, for as many steps as the supernet's first stage has
	Search     ctnas.Config
	HeldOut    int // further sub-networks that Kendall's tau is measured on
	Validation int // training images held out to validate on
	Images     int // of the training images, and of the test images, that are used; 0 is all
	Seeds      int

	wrong error // with the preset that it was made for
}

// uniformNet returns the text of [mobilenetv3.Uniform].
func uniformNet(depth, kernel, expansion int) string {
	n, _ := mobilenetv3.Uniform(depth, mobilenetv3.Block{Kernel: kernel, Expansion: expansion}) // those below are of the space
	return n.String()
}

type subNetwork struct{ name, text string }

// The sub-networks that are looked at one by one.
var subNetworks = []subNetwork{
	{"largest", uniformNet(4, 7, 6)}, {"middle", uniformNet(3, 5, 4)}, {"smallest", uniformNet(2, 3, 3)},
}

// ShrinkingAt returns the experiment at the size of a preset: Small on the pure Go backend, and
// for all others [onceforall.Proxy].
func ShrinkingAt(p Preset, classes int) Shrinking {
	s := Shrinking{Net: onceforall.Proxy(), Search: p.mobile("", 100).Config.(ctnas.Config), HeldOut: 50, Validation: 1024, Seeds: 1, wrong: p.Check()}
	s.Search.Labels = 100
	if p == Small {
		s.Net = onceforall.Small(classes)
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
	KTau     *float64             `json:"ktau"`               // of NAC's ranking of other sub-networks
	NearTop  map[string]float64   `json:"near_top,omitempty"` // of the same ranking
	Queries  int                  `json:"queries"`            // labels of the supernet
	Curves   map[string][]float64 `json:"curves"`
}

// Run does all of it for every seed, in run directories under root. What was done before
// is not done again. Watch, if set, is told of each row.
func (s Shrinking) Run(ctx context.Context, root string, set *images.Set, backend compute.Backend, watch train.Watch) (report.Result, error) {
	r, err := s.runner(root, set, backend, watch)
	if err != nil {
		return report.Result{}, err
	}
	return r.whole(ctx)
}

// Plan cuts the experiment into units, as [Experiment.Plan] does.
func (s Shrinking) Plan(root string, set *images.Set, backend compute.Backend, watch train.Watch) (*Plan, error) {
	r, err := s.runner(root, set, backend, watch)
	if err != nil {
		return nil, err
	}
	return newPlan(r), nil
}

func (s Shrinking) runner(root string, set *images.Set, backend compute.Backend, watch train.Watch) (*shrinkingRun, error) {
	switch {
	case s.wrong != nil:
		return nil, s.wrong
	case s.Seeds < 1:
		return nil, fmt.Errorf("experiment: the MobileNetV3 supernet needs at least one seed, not %d", s.Seeds)
	case set == nil:
		return nil, errors.New("experiment: the MobileNetV3 supernet has no images to be trained on; open some with images.Open")
	case backend == nil:
		return nil, errors.New("experiment: the MobileNetV3 supernet has no backend; open one with engine.Open")
	}
	for _, text := range s.Alone {
		if !slices.ContainsFunc(subNetworks, func(sub subNetwork) bool { return sub.text == text }) {
			return nil, fmt.Errorf("experiment: the sub-network %q of Alone is none of those that are measured: %v", text, subNetworks)
		}
	}
	data, err := someImages(set, s.Images, s.Validation)
	if err != nil {
		return nil, err
	}
	identity, err := data.Identity()
	if err != nil {
		return nil, err
	}
	r := &shrinkingRun{Shrinking: s, data: data, images: identity}
	r.runner = runner[shrunk]{id: "mobilenet-supernet", data: about(shrunkSpace, string(datasets.Proxy)), root: root, backend: backend, parallel: 1, watch: watch,
		values:   func(o shrunk) map[string]float64 { return map[string]float64{"network": o.Accuracy} },
		assemble: func(context.Context) (report.Result, error) { return r.result() },
	}
	for seed := uint64(1); seed <= uint64(s.Seeds); seed++ {
		r.add(seed)
	}
	return r, nil
}

const (
	nameShrunk  = "the supernet" // what the rows of a seed share
	shrunkSpace = "mobilenetv3"  // in results
)

// add adds the tasks of a seed.
func (r *shrinkingRun) add(seed uint64) {
	net := r.Net
	net.Seed = seed
	task := func(name, shares string, config any, run func(context.Context, train.Watch) (shrunk, error)) task[shrunk] {
		return task[shrunk]{name: name, seed: seed, shares: shares, run: run, key: rundir.Key{
			Step: "shrunk", Algorithms: r.versions(), Backend: engine.Fingerprint(r.backend),
			Config: map[string]any{"name": name, "config": config, "seed": seed},
			Data:   map[string]string{"images": r.images},
		}}
	}
	r.shared = append(r.shared, task(nameShrunk, "", net, func(ctx context.Context, watch train.Watch) (shrunk, error) {
		_, err := r.train(ctx, net, watch)
		return shrunk{}, err
	}))
	add := func(name, shares string, config any, run func(context.Context, train.Watch) (shrunk, error)) {
		r.names = append(r.names, name)
		r.tasks = append(r.tasks, task(name, shares, config, run))
	}
	for _, sub := range subNetworks {
		add(sub.name+", shrunk", nameShrunk, net, func(ctx context.Context, watch train.Watch) (shrunk, error) { return r.part(ctx, net, sub.text, watch) })
		if !slices.Contains(r.Alone, sub.text) {
			continue
		}
		alone := net
		alone.Stages = []onceforall.Stage{net.Stages[0]}
		alone.Stages[0].Only = sub.text
		add(sub.name+", alone", "", alone, func(ctx context.Context, watch train.Watch) (shrunk, error) {
			return r.part(ctx, alone, sub.text, watch)
		})
	}
	both := map[string]any{"net": net, "search": r.Search, "held_out": r.HeldOut}
	add(nameMobile, nameShrunk, both, func(ctx context.Context, watch train.Watch) (shrunk, error) { return r.ctnas(ctx, net, watch) })
	add(nameAnyNetwork, nameShrunk, net, func(ctx context.Context, watch train.Watch) (shrunk, error) { return r.random(ctx, net, watch) })
}

// shrinkingRun is a Shrinking at work.
type shrinkingRun struct {
	Shrinking
	data   *nn.Data
	images string   // [nn.Data.Identity]
	names  []string // of the rows, in their order; those of a second seed again
	runner[shrunk]
}

// versions returns the versions of all that the experiment runs.
func (r *shrinkingRun) versions() rundir.Versions {
	return onceforall.Versions().With(r.Search.Versions(), search.Versions(), rundir.Versions{"shrinking": 1})
}

func (r *shrinkingRun) train(ctx context.Context, c onceforall.Config, watch train.Watch) (*onceforall.Trained, error) {
	return onceforall.Train(ctx, r.root, onceforall.Training{Backend: r.backend, Data: r.data, Config: c, Watch: watch.Stage("round")})
}

// part trains a supernet, and tests a sub-network of it.
func (r *shrinkingRun) part(ctx context.Context, c onceforall.Config, text string, watch train.Watch) (shrunk, error) {
	trained, err := r.train(ctx, c, watch)
	if err != nil {
		return shrunk{}, err
	}
	n, err := mobilenetv3.Parse(text)
	if err != nil {
		return shrunk{}, err
	}
	o, err := r.test(ctx, trained.Net, n)
	o.Curves = curves(trained.Metrics)
	return o, err
}

func (r *shrinkingRun) test(ctx context.Context, e *onceforall.Supernet, n mobilenetv3.Net) (shrunk, error) {
	accuracy, err := e.Test(ctx, n)
	return shrunk{Net: n.String(), Accuracy: 100 * accuracy, MAdds: float64(r.Net.MAdds(n)) / 1e6}, err
}

// ctnas searches the supernet by its accuracies on held-out images.
func (r *shrinkingRun) ctnas(ctx context.Context, c onceforall.Config, watch train.Watch) (shrunk, error) {
	trained, err := r.train(ctx, c, watch)
	if err != nil {
		return shrunk{}, err
	}
	labels, err := trained.Benchmark(ctx, 0)
	if err != nil {
		return shrunk{}, err
	}
	config := r.Search
	config.Seed = c.Seed
	found, err := ctnas.Search(ctx, trained.Dir, search.Problem{Backend: r.backend, Benchmark: labels, Watch: watch.Stage("search")}, config)
	if err != nil {
		return shrunk{}, err
	}
	o, err := r.test(ctx, trained.Net, found.Best.(mobilenetv3.Net))
	if err != nil {
		return o, err
	}
	o.Queries = found.Queries
	others, err := r.draw(c, r.HeldOut)
	if err != nil {
		return o, err
	}
	accuracies, err := trained.Net.Ranker(ctx).Utilities(others)
	if err != nil {
		return o, err
	}
	utilities, err := found.Ranker.Utilities(others)
	if err != nil {
		return o, err
	}
	tau, err := metric.KendallTau(utilities, accuracies)
	if err != nil {
		return o, err
	}
	o.KTau = &tau
	o.NearTop, err = nearTop(utilities, accuracies)
	return o, err
}

// random tests a random sub-network.
func (r *shrinkingRun) random(ctx context.Context, c onceforall.Config, watch train.Watch) (shrunk, error) {
	trained, err := r.train(ctx, c, watch)
	if err != nil {
		return shrunk{}, err
	}
	one, err := r.draw(c, 1)
	if err != nil {
		return shrunk{}, err
	}
	return r.test(ctx, trained.Net, one[0].(mobilenetv3.Net))
}

func (r *shrinkingRun) draw(c onceforall.Config, n int) ([]space.Arch, error) {
	s, err := mobilenetv3.New(c.Skeleton, 0)
	if err != nil {
		return nil, err
	}
	return space.Draw(engine.Stream(c.Seed, heldOutStream, 0), s, n, nil)
}

// aboutShrunk returns what a row is.
func aboutShrunk(name string) string {
	switch _, how, _ := strings.Cut(name, ", "); {
	case how == "shrunk":
		return "A part of the supernet, with the supernet's weights."
	case how == "alone":
		return "The same network, trained by itself."
	case name == nameMobile:
		return "The network that CTNAS finds, with the supernet's accuracies as labels."
	}
	return ""
}

// result puts the outcomes together. The curves of a row are those of the first seed.
func (r *shrinkingRun) result() (report.Result, error) {
	result := newResult("mobilenet-supernet", shrunkSpace, string(datasets.Proxy), r.images, r.backend, r.Seeds,
		map[string]any{"experiment": r.Shrinking, "images": r.data.Source}, r.versions())
	r.account(&result)
	for _, name := range r.names[:len(r.names)/r.Seeds] {
		if len(r.outcomes[name]) == 0 {
			continue // they are missing
		}
		perSeed, madds, queries := map[string][]float64{}, 0.0, 0
		for _, o := range r.outcomes[name] {
			perSeed["network"] = append(perSeed["network"], o.Accuracy)
			if o.KTau != nil {
				perSeed["ktau"] = append(perSeed["ktau"], *o.KTau)
			}
			for name, value := range o.NearTop {
				perSeed[name] = append(perSeed[name], value)
			}
			madds += o.MAdds / float64(len(r.outcomes[name]))
			queries = max(queries, o.Queries)
		}
		row := report.NewRow(name, ofAll(perSeed, len(r.outcomes[name])))
		row.Seeds, row.Note = r.seedsOf(name, r.Seeds), aboutShrunk(name)
		row.Metrics["madds_m"] = madds
		if queries > 0 {
			row.Metrics["queries"] = float64(queries)
		}
		row.Curves = r.outcomes[name][0].Curves
		result.Rows = append(result.Rows, row)
	}
	return result, result.Check()
}

// mobileNetSupernet shows the experiment.
var mobileNetSupernet = Entry{
	plan: func(ctx context.Context, o planning) (plannedRun, error) {
		set, err := images.Open(ctx, "")
		if err != nil {
			return nil, err
		}
		s := ShrinkingAt(o.preset, len(set.Classes))
		s.Seeds, s.Search.Labels = cmp.Or(o.seeds, s.Seeds), cmp.Or(o.labels, s.Search.Labels)
		s.Net.Devices = o.devices
		return s.runner(o.root, set, o.backend, o.watch)
	},
	images: true, labelled: true, memory: 600,
	settings: func(p Preset) (any, int) {
		s := ShrinkingAt(p, cifar10Classes)
		return s, s.Seeds
	},
	Columns: withOrder([]report.Column{report.Network, report.KTau, smallMAdds, report.Queries}),
	Figures: func(r report.Result) []report.Figure {
		learning := report.Chart{Title: "MobileNetV3 supernet: learning curves", X: "round", Y: "accuracy on training images (%)"}
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
var smallMAdds = report.Column{Header: "multiply-adds", Unit: "M", Value: "madds_m", Digits: 2, About: "multiplications and additions of a network for one image, in millions."}
