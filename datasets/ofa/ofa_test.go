package ofa

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/metric"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/mobilenetv3"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
	"github.com/ctnas/ctnas/datasets"
	"github.com/ctnas/ctnas/datasets/internal/weights"
	"github.com/ctnas/ctnas/datasets/ofa/internal/mlp"
)

// Also without the published file: the accuracies of testdata/predictor.csv are those
// of the original's code.
func TestEmbedded(t *testing.T) {
	if len(file) > 200_000 {
		t.Errorf("the weights have %d bytes, want at most 200,000", len(file))
	}
	parts, err := mlp.Decode(file)
	if err == nil {
		err = weights.Check(parts)
	}
	if err != nil {
		t.Fatal(err)
	}
	p := Embedded()
	if p.Source().Kind != datasets.Surrogate {
		t.Errorf("its kind is %s", p.Source().Kind)
	}
	var nets []mobilenetv3.Net
	var want []float64
	for _, g := range readGolden(t) {
		if g.resolution == resolution {
			nets, want = append(nets, g.net), append(want, g.accuracy)
		}
	}
	got := p.Accuracies(nets)
	worst := 0.0
	for i := range got {
		worst = max(worst, math.Abs(got[i]-want[i]))
	}
	tau, err := metric.KendallTau(got, want)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d networks: Kendall's tau %.3f, the largest error %.4f", len(nets), tau, worst)
	if len(nets) < 50 || tau < 0.85 || worst > 0.005 {
		t.Errorf("Kendall's tau %.3f and errors up to %.4f on %d networks, want at least 0.85 and at most 0.005 on 50", tau, worst, len(nets))
	}
}

// One network has the same accuracy alone and among many.
func TestAccuraciesInBatches(t *testing.T) {
	s := newSpace(t, 0)
	rng := rand.New(rand.NewPCG(1, 1))
	nets := make([]mobilenetv3.Net, 2100)
	for i := range nets {
		nets[i] = s.Sample(rng).(mobilenetv3.Net)
	}
	all := Embedded().Accuracies(nets)
	if len(all) != len(nets) {
		t.Fatalf("%d accuracies of %d networks", len(all), len(nets))
	}
	for _, i := range []int{0, 1023, 1024, 2099} {
		if one := Embedded().Accuracies(nets[i : i+1])[0]; math.Abs(one-all[i]) > 1e-12 {
			t.Errorf("network %d has %v alone, %v among others", i, one, all[i])
		}
	}
	if none := Embedded().Accuracies(nil); len(none) != 0 {
		t.Errorf("no network has %v", none)
	}
}

func newSpace(t *testing.T, limit int64) mobilenetv3.Space {
	t.Helper()
	s, err := mobilenetv3.New(mobilenetv3.OFA(), limit)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newBenchmark(t *testing.T, limit int64) *Benchmark {
	t.Helper()
	b, err := Embedded().Benchmark(newSpace(t, limit))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBenchmark(t *testing.T) {
	b := newBenchmark(t, 400e6)
	if b.Source() != "surrogate" || b.Space() != space.Space(newSpace(t, 400e6)) {
		t.Errorf("source %q, space %v", b.Source(), b.Space())
	}
	archs, err := b.Sample(rand.New(rand.NewPCG(1, 2)), 500)
	if err != nil || len(archs) != 500 {
		t.Fatalf("%d networks, %v", len(archs), err)
	}
	again, err := b.Sample(rand.New(rand.NewPCG(1, 2)), 500)
	if err != nil || !slices.Equal(archs, again) {
		t.Errorf("the same seed gives other networks, %v", err)
	}
	distinct := make(map[string]bool)
	for _, a := range archs {
		distinct[a.ID()] = true
		if madds := newSpace(t, 0).MAdds(a.(mobilenetv3.Net)); madds > 400e6 {
			t.Errorf("%v has %d multiply-adds", a, madds)
		}
	}
	if len(distinct) != len(archs) {
		t.Errorf("%d of %d networks are distinct", len(distinct), len(archs))
	}

	nets := []mobilenetv3.Net{archs[0].(mobilenetv3.Net), archs[1].(mobilenetv3.Net)}
	want := Embedded().Accuracies(nets)
	for _, net := range []int{0, 1, 0, 0} {
		v, err := b.Validation(archs[net])
		if err != nil || math.Abs(v-want[net]) > 1e-12 {
			t.Errorf("network %d has %v, %v; want %v", net, v, err, want[net])
		}
	}
}

func TestBenchmarkRefuses(t *testing.T) {
	b := newBenchmark(t, 400e6)
	cell, err := nasbench101.Parse("101:B")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		arch space.Arch
		want string
	}{
		{extremes()[1], "has 843101040 multiply-adds, but this space ends at 400000000"}, // see mobilenetv3/testdata/costs.csv
		{mobilenetv3.Net{}, "not a network"},
		{cell, "not a network"},
		{nil, "not a network"},
	} {
		if v, err := b.Validation(test.arch); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v has %v, %v; want the error %q", test.arch, v, err, test.want)
		}
	}
	if _, err := b.Sample(rand.New(rand.NewPCG(1, 3)), -1); err == nil {
		t.Error("−1 networks are sampled")
	}

	small := mobilenetv3.OFA()
	small.Resolution = 160
	s, err := mobilenetv3.New(small, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Embedded().Benchmark(s); err == nil || !strings.Contains(err.Error(), "at 160") {
		t.Errorf("a space of another resolution gives the error %v", err)
	}
}

func TestBenchmarkConcurrently(t *testing.T) {
	b := newBenchmark(t, 600e6)
	archs, err := b.Sample(rand.New(rand.NewPCG(1, 4)), 50)
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for _, a := range archs {
				if _, err := b.Validation(a); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
}

func TestOpenWithoutData(t *testing.T) {
	t.Setenv("CTNAS_DATA", "")
	t.Setenv("CTNAS_DOWNLOAD", "")
	t.Setenv("CTNAS_CACHE", t.TempDir())
	p, err := Open(context.Background(), "")
	if err != nil {
		t.Fatal(err)
	}
	s := p.Source()
	if s.Kind != datasets.Surrogate || len(s.Notes) != 1 || !strings.Contains(s.Notes[0], datasets.OFAPredictor) {
		t.Errorf("it opened %v with the notes %q, want the surrogate and how to get %s", s, s.Notes, datasets.OFAPredictor)
	}
	if len(Embedded().Source().Notes) != 0 {
		t.Error("the notes of one opening are in the next")
	}
	if _, err := Open(context.Background(), filepath.Join(t.TempDir(), "none.pth")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a path where nothing is gives the error %v", err)
	}
}

func TestOpenDamaged(t *testing.T) {
	const size = 1_492_497 // of the published file, which is checked first
	other, err := os.ReadFile("../torch/testdata/legacy.pth")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		content []byte
		want    string
	}{
		{[]byte("short"), "1,492,497"},
		{make([]byte, size), "no checkpoint of PyTorch"},
		{append(other, make([]byte, size-len(other))...), `not the accuracy predictor: torch: there is no tensor "0.weight"`},
	} {
		file := filepath.Join(t.TempDir(), datasets.OFAPredictor)
		if err := os.WriteFile(file, test.content, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Open(context.Background(), file)
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), file) {
			t.Errorf("a file that begins with %.5q gives the error %v, want %q and the file's name", bytes.TrimRight(test.content, "\x00"), err, test.want)
		}
	}
}
