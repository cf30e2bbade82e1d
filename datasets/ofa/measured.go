package ofa

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/mobilenetv3"
	"github.com/ctnas/ctnas/datasets"
	"github.com/ctnas/ctnas/datasets/internal/lines"
)

// Measured are sub-networks of OFA's supernet of width 1.0 with their top-1 accuracies on ImageNet's validation
// images, measured with the supernet's weights. It is safe for concurrent use.
type Measured struct {
	source   datasets.Source
	networks []Network
	table    *space.Table
}

// Network is a network with its accuracy.
type Network struct {
	Net          mobilenetv3.Net
	Accuracy     float64 // top-1, in [0, 1]: the mean of its measurements
	Measurements int     // how often it was measured, at least 1; 0 of a network whose accuracy is predicted
}

// OpenMeasured opens the measured networks at path, which is the file [datasets.OFAMeasured], compressed with gzip or
// not, or a folder that holds it. If path is empty, it is looked for as [datasets.Find] does. If it is nowhere, what is
// opened are as many random networks as the file has, with the accuracies that [EmbeddedTop1] predicts; the kind of
// these is [datasets.Surrogate], and a note says how to get the file.
//
// Nothing in the file is believed that can be computed: the multiply-adds and the parameters of each network are
// counted again. The error names the file, the line and what is wrong there.
func OpenMeasured(ctx context.Context, path string, all ...datasets.Option) (*Measured, error) {
	found, err := datasets.Find(ctx, datasets.OFAMeasured, path, all...)
	if path == "" && errors.Is(err, datasets.ErrNoData) {
		return predictedNetworks(strings.TrimPrefix(err.Error(), "datasets: "))
	}
	if err != nil {
		return nil, err
	}
	networks, err := readMeasuredFile(ctx, found.Path)
	if err != nil {
		return nil, err
	}
	return newMeasured(networks, datasets.Source{
		Kind: datasets.Real,
		Description: fmt.Sprintf("real ImageNet top-1 accuracies of %d sub-networks of the Once-for-All supernet of width 1.0, measured by DyNAS-T, from %s",
			len(networks), filepath.Base(found.Path)),
		Path: found.Path, Notes: found.Notes,
	})
}

func newMeasured(networks []Network, source datasets.Source) (*Measured, error) {
	s, err := mobilenetv3.New(mobilenetv3.OFAWidth1(), 0)
	if err != nil {
		return nil, err
	}
	labelled := make([]space.Labelled, len(networks))
	for i, n := range networks {
		labelled[i] = space.Labelled{Arch: n.Net, Accuracy: n.Accuracy}
	}
	table, err := space.NewTable(s, string(source.Kind), labelled)
	if err != nil {
		return nil, fmt.Errorf("ofa: %w", err)
	}
	return &Measured{source, networks, table}, nil
}

// publishedNetworks is how many networks the file has.
const publishedNetworks = 2162

// predictedNetworks returns what stands in for the measured networks where these are not here.
func predictedNetworks(note string) (*Measured, error) {
	s, err := mobilenetv3.New(mobilenetv3.OFAWidth1(), 0)
	if err != nil {
		return nil, err
	}
	p := EmbeddedTop1()
	archs, err := space.Draw(rand.New(rand.NewPCG(1, publishedNetworks)), s, publishedNetworks, nil)
	if err != nil {
		return nil, fmt.Errorf("ofa: %w", err)
	}
	nets := make([]mobilenetv3.Net, len(archs))
	for i, a := range archs {
		nets[i] = a.(mobilenetv3.Net) // as the space draws them
	}
	networks := make([]Network, len(nets))
	for i, accuracy := range p.Accuracies(nets) {
		networks[i] = Network{Net: nets[i], Accuracy: accuracy}
	}
	return newMeasured(networks, datasets.Source{
		Kind:        datasets.Surrogate,
		Description: fmt.Sprintf("%d random networks with accuracies of %s", len(networks), p.Source()),
		Notes:       []string{note},
	})
}

// Source says what the accuracies are.
func (m *Measured) Source() datasets.Source { return m.source }

// Networks returns all networks, in the order of the file.
func (m *Measured) Networks() []Network { return slices.Clone(m.networks) }

// Benchmark returns what a search may ask: only these networks can be sampled and queried.
func (m *Measured) Benchmark() *space.Table { return m.table }

// readMeasuredFile reads the measured networks from a file, compressed or not.
func readMeasuredFile(ctx context.Context, path string) (networks []Network, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("ofa: %w", err)
	}
	defer f.Close()
	err = lines.Unzipped(func(r io.Reader) error {
		networks, err = readMeasured(ctx, r)
		return err
	})(f)
	switch {
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return nil, fmt.Errorf("ofa: stopped reading %s: %w", path, err)
	case err != nil:
		return nil, fmt.Errorf("ofa: %s: %w; correct the file, or get it again", path, err)
	}
	return networks, nil
}

// The columns of the file.
var measuredColumns = []string{"ks", "e", "d", "r", "params", "macs", "top1_mean", "n_meas"}

// maxNetworks is how many networks a file may have: far more than were ever measured.
const maxNetworks = 1_000_000

// readMeasured reads the measured networks from a table.
func readMeasured(ctx context.Context, r io.Reader) ([]Network, error) {
	var networks []Network
	lineOf := make(map[mobilenetv3.Net]int)
	err := lines.Each(r, measuredColumns, func(int) error { return ctx.Err() }, func(line int, field []string) error {
		n, err := parseMeasured(field)
		if err != nil {
			return err
		}
		if first, twice := lineOf[n.Net]; twice {
			return fmt.Errorf("the network is there already, in line %d; give each network one line, with the mean of its measurements", first)
		}
		if len(networks) == maxNetworks {
			return fmt.Errorf("there are more than %d networks", maxNetworks)
		}
		lineOf[n.Net] = line
		networks = append(networks, n)
		return nil
	})
	if err == nil && len(networks) < 2 {
		err = fmt.Errorf("it has %d networks, and a ranking takes at least two", len(networks))
	}
	return networks, err
}

// parseMeasured reads a line, whose fields are in the order of measuredColumns.
func parseMeasured(field []string) (n Network, err error) {
	var lists [3][]int
	for i, length := range []int{mobilenetv3.NumBlock, mobilenetv3.NumBlock, mobilenetv3.Units} {
		if lists[i], err = digits(measuredColumns[i], field[i], length); err != nil {
			return n, err
		}
	}
	kernels, expansions, depths := lists[0], lists[1], lists[2]
	if n.Net, err = mobilenetv3.FromOFA(depths, kernels, expansions); err != nil {
		return n, err
	}
	for i := range kernels {
		if i%mobilenetv3.MaxDepth >= depths[i/mobilenetv3.MaxDepth] && (kernels[i] != 0 || expansions[i] != 0) {
			return n, fmt.Errorf("ks and e: block %d is beyond the depth of unit %d, so both must be 0, not %d and %d", i+1, i/mobilenetv3.MaxDepth+1, kernels[i], expansions[i])
		}
	}
	if field[3] != strconv.Itoa(resolution) {
		return n, fmt.Errorf("r: %.40q is not %d, the resolution of the networks here", field[3], resolution)
	}
	cost := mobilenetv3.OFAWidth1().Cost(n.Net)
	for i, want := range []int64{cost.Params, cost.MAdds} {
		if got, err := lines.Whole(measuredColumns[4+i], field[4+i], math.MaxInt); err != nil {
			return n, err
		} else if int64(got) != want {
			return n, fmt.Errorf("%s: the network has %d at width 1.0, not %d", measuredColumns[4+i], want, got)
		}
	}
	if n.Accuracy, err = percent(measuredColumns[6], field[6]); err != nil {
		return n, err
	}
	n.Measurements, err = lines.Whole(measuredColumns[7], field[7], math.MaxInt32)
	if err == nil && n.Measurements == 0 {
		err = fmt.Errorf("%s: a network that was never measured has no accuracy", measuredColumns[7])
	}
	return n, err
}

// digits reads so many numbers of one digit.
func digits(column, text string, length int) ([]int, error) {
	values := make([]int, len(text))
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return nil, fmt.Errorf("%s: %.40q is not %d digits", column, text, length)
		}
		values[i] = int(text[i] - '0')
	}
	if len(values) != length {
		return nil, fmt.Errorf("%s: %.40q has %d digits, not %d", column, text, len(values), length)
	}
	return values, nil
}

// percent reads a percentage, and returns it in [0, 1].
func percent(column, text string) (float64, error) {
	v, err := strconv.ParseFloat(text, 64)
	switch {
	case err != nil || math.IsNaN(v):
		return 0, fmt.Errorf("%s: %.40q is not a number", column, text)
	case v < 0 || v > 100:
		return 0, fmt.Errorf("%s: %g is not a percentage, which is between 0 and 100", column, v)
	case v <= 1:
		return 0, fmt.Errorf("%s: %g looks like a fraction; write it in percent", column, v)
	}
	return v / 100, nil
}
