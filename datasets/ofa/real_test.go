package ofa

import (
	"context"
	_ "embed"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/metric"
	"github.com/ctnas/ctnas/ctnaslib/space/mobilenetv3"
	"github.com/ctnas/ctnas/datasets"
	"github.com/ctnas/ctnas/datasets/internal/lines"
)

// openReal opens the published predictor, or skips the test.
func openReal(t *testing.T) *Predictor {
	t.Helper()
	if os.Getenv("CTNAS_DATA") == "" {
		t.Skip("CTNAS_DATA is not set")
	}
	p, err := Open(context.Background(), "")
	if err != nil {
		t.Fatal(err)
	}
	if p.Source().Kind != datasets.Real {
		t.Skipf("needs the published predictor, not: %v", p.Source())
	}
	return p
}

// The accuracies are those that the original's PyTorch code gives, in float32.
func TestRealPredictor(t *testing.T) {
	p := openReal(t)
	worst := 0.0
	for _, g := range readGolden(t) {
		got := p.model.(perceptron).at([]mobilenetv3.Net{g.net}, g.resolution)[0]
		worst = max(worst, math.Abs(got-g.accuracy))
	}
	t.Logf("the largest difference is %.1g", worst)
	if worst > 1e-6 {
		t.Errorf("an accuracy differs by %v from the original's", worst)
	}
}

//go:embed card.json
var card []byte

// The card tells the truth about the weights, on networks that it was not written from.
func TestRealAgainstEmbedded(t *testing.T) {
	p := openReal(t)
	var claimed struct {
		Fresh []struct {
			Space      string  `json:"space"`
			KendallTau float64 `json:"kendall_tau"`
			MAE        float64 `json:"mae"`
		} `json:"fresh"`
	}
	if err := json.Unmarshal(card, &claimed); err != nil || len(claimed.Fresh) != 3 {
		t.Fatalf("card.json has %d measurements, %v", len(claimed.Fresh), err)
	}
	for i, limit := range []int64{0, 600e6, 400e6} {
		s, c := newSpace(t, limit), claimed.Fresh[i]
		if s.Name() != c.Space {
			t.Errorf("measurement %d of card.json is of %q, want %q", i, c.Space, s.Name())
		}
		rng := rand.New(rand.NewPCG(7, uint64(i)))
		nets := make([]mobilenetv3.Net, 2000)
		for j := range nets {
			nets[j] = s.Sample(rng).(mobilenetv3.Net)
		}
		got, want := Embedded().Accuracies(nets), p.Accuracies(nets)
		tau, err := metric.KendallTau(got, want)
		if err != nil {
			t.Fatal(err)
		}
		mae := 0.0
		for j := range got {
			mae += 100 * math.Abs(got[j]-want[j]) / float64(len(got))
		}
		t.Logf("%s: Kendall's tau %.4f, mean error %.3f percentage points", s.Name(), tau, mae)
		if math.Abs(tau-c.KendallTau) > 0.01 || math.Abs(mae-c.MAE) > 0.1*c.MAE {
			t.Errorf("card.json says tau %.4f and mean error %.3f; measured %.4f and %.3f", c.KendallTau, c.MAE, tau, mae)
		}
	}
}

// golden is a row of testdata/predictor.csv, which testdata/golden.py wrote.
type golden struct {
	net        mobilenetv3.Net
	resolution int
	accuracy   float64
}

func readGolden(t *testing.T) []golden {
	t.Helper()
	file, err := os.Open("testdata/predictor.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil || len(rows) != 101 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	var all []golden
	for _, row := range rows[1:] {
		net, err := mobilenetv3.FromOFA(numbers(t, row[2]), numbers(t, row[0]), numbers(t, row[1]))
		if err != nil {
			t.Fatal(err)
		}
		accuracy, err := strconv.ParseFloat(row[4], 64)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, golden{net, numbers(t, row[3])[0], accuracy})
	}
	return all
}

func numbers(t *testing.T, text string) []int {
	t.Helper()
	var values []int
	for _, word := range strings.Split(text, "-") {
		v, err := strconv.Atoi(word)
		if err != nil {
			t.Fatal(err)
		}
		values = append(values, v)
	}
	return values
}

// Every measured network has the multiply-adds and the parameters that are counted here, for width 1.0.
func TestRealMeasuredCosts(t *testing.T) {
	m := openRealMeasured(t)
	file, err := os.Open(m.Source().Path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	err = lines.Unzipped(func(r io.Reader) error {
		rows, err := csv.NewReader(r).ReadAll()
		if err != nil {
			return err
		}
		if len(rows) != publishedNetworks+1 || !slices.Equal(rows[0], measuredColumns) {
			t.Fatalf("%d lines, the first is %q", len(rows), rows[0])
		}
		s := mobilenetv3.OFAWidth1()
		for i, n := range m.Networks() {
			c := s.Cost(n.Net)
			if params, macs := fmt.Sprint(c.Params), fmt.Sprint(c.MAdds); params != rows[i+1][4] || macs != rows[i+1][5] || macs != fmt.Sprint(s.MAdds(n.Net)) {
				t.Errorf("%v has %s parameters and %s multiply-adds, not %s and %s", n.Net, params, macs, rows[i+1][4], rows[i+1][5])
			}
		}
		return nil
	})(file)
	if err != nil {
		t.Fatal(err)
	}
}

// What is known of the measured networks, from elsewhere.
func TestRealMeasured(t *testing.T) {
	m := openRealMeasured(t)
	var nets []mobilenetv3.Net
	var accuracies []float64
	for _, n := range m.Networks() {
		nets, accuracies = append(nets, n.Net), append(accuracies, n.Accuracy)
	}
	if least, most := slices.Min(accuracies), slices.Max(accuracies); len(nets) != publishedNetworks || math.Abs(least-0.70998) > 1e-9 || math.Abs(most-0.77466) > 1e-9 {
		t.Errorf("%d networks, accuracies from %v to %v", len(nets), least, most)
	}
	if m.Benchmark().Source() != "real" || m.Benchmark().Len() != publishedNetworks {
		t.Errorf("the benchmark has %d networks, source %s", m.Benchmark().Len(), m.Benchmark().Source())
	}
	for p, want := range map[*Predictor]float64{openReal(t): 0.881, EmbeddedTop1(): 0.97} {
		tau, err := metric.KendallTau(p.Accuracies(nets), accuracies)
		if err != nil || tau < want-0.005 || tau > want+0.02 {
			t.Errorf("%v orders them with Kendall's tau %v (%v), want %v", p.Source(), tau, err, want)
		}
	}
}

// openRealMeasured opens the measured networks, or skips the test.
func openRealMeasured(t *testing.T) *Measured {
	t.Helper()
	if os.Getenv("CTNAS_DATA") == "" {
		t.Skip("CTNAS_DATA is not set")
	}
	m, err := OpenMeasured(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if m.Source().Kind != datasets.Real {
		t.Skipf("needs the measured networks, not: %v", m.Source())
	}
	return m
}
