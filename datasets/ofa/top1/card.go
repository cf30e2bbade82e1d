package top1

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"

	"gonum.org/v1/gonum/mat"

	"github.com/ctnas/ctnas/ctnaslib/metric"
	"github.com/ctnas/ctnas/ctnaslib/space/mobilenetv3"
)

// Card is what is known of a model: how far it is from measured networks that it was not fitted to.
type Card struct {
	Data     string `json:"data"`
	Fitted   Config `json:"fitted"`
	Networks int    `json:"networks"`
	Weights  int    `json:"weights"`
	Largest  int64  `json:"largest_madds"` // multiply-adds of a measured network

	// Of networks that were held out at random, a tenth at a time: all, and by their multiply-adds.
	HeldOut []Errors `json:"held_out"`

	// Of networks beyond all that a model was fitted to: in multiply-adds, and in accuracy.
	Beyond []Errors `json:"beyond"`

	// Of the published predictor's answers, as they are brought to this scale, for the networks of the first of HeldOut and
	// for the last of Beyond that is of multiply-adds.
	Rivals []Errors `json:"rivals"`
}

// Errors compares predicted with measured accuracies. Those are in percent, differences of them in percentage points.
type Errors struct {
	Of       string  `json:"of"` // which networks, and which model of which others
	From     int64   `json:"from_madds,omitempty"`
	To       int64   `json:"to_madds,omitempty"` // less than this; 0: no end
	Networks int     `json:"networks"`
	MAE      float64 `json:"mae"`
	Bias     float64 `json:"bias"` // mean of predicted less measured
	Largest  float64 `json:"largest_error"`
	Tau      float64 `json:"kendall_tau"`
}

// LargestM returns the multiply-adds of the largest measured network as text, such as "506M".
func (card Card) LargestM() string { return fmt.Sprintf("%dM", card.Largest/1e6) }

// Sample is a measured network.
type Sample struct {
	Net       mobilenetv3.Net
	Accuracy  float64 // in [0, 1]
	Predicted float64 // by the published predictor
}

// fitter makes a model of samples: a function of a sample's Net and Predicted.
type fitter func(fitted []Sample) (func(tested []Sample) []float64, error)

// fitter returns Fit with the configuration.
func (c Config) fitter() fitter {
	return func(fitted []Sample) (func([]Sample) []float64, error) {
		nets, accuracies := columns(fitted)
		m, err := Fit(nets, accuracies, c)
		if err != nil {
			return nil, err
		}
		return func(tested []Sample) []float64 {
			nets, _ := columns(tested)
			return m.Accuracies(nets)
		}, nil
	}
}

func columns(samples []Sample) (nets []mobilenetv3.Net, accuracies []float64) {
	for _, s := range samples {
		nets, accuracies = append(nets, s.Net), append(accuracies, s.Accuracy)
	}
	return nets, accuracies
}

// folds is how many models are fitted to hold out each network once.
const folds = 10

// Measure fits models of a configuration to parts of the samples, and returns their errors on the rest. Data says what the
// samples are. It stops when ctx is done.
func Measure(ctx context.Context, data string, samples []Sample, c Config) (Card, error) {
	card := Card{Data: data, Fitted: c, Networks: len(samples), Weights: 1 + features + pairs}
	for _, s := range samples {
		card.Largest = max(card.Largest, madds(s))
	}
	held, err := heldOut(ctx, samples, c.fitter())
	if err != nil {
		return card, err
	}
	if err := card.byRange(samples, held); err != nil {
		return card, err
	}
	for _, millions := range []int64{300, 350, 400, 450} {
		of := fmt.Sprintf("at least %dM multiply-adds, by a model of those below", millions)
		e, err := beyond(ctx, of, samples, c.fitter(), func(s Sample) bool { return madds(s) >= millions*1e6 })
		if err != nil {
			return card, err
		}
		card.Beyond = append(card.Beyond, e)
	}
	for _, percent := range []float64{76.5, 77} {
		e, err := beyond(ctx, fmt.Sprintf("at least %g %%, by a model of those below", percent), samples, c.fitter(), func(s Sample) bool { return 100*s.Accuracy >= percent })
		if err != nil {
			return card, err
		}
		card.Beyond = append(card.Beyond, e)
	}
	return card, card.addRivals(ctx, samples, c)
}

// addRivals measures what else could be the model.
func (card *Card) addRivals(ctx context.Context, samples []Sample, c Config) error {
	single := c
	single.Pairs = 0
	for _, rival := range []struct {
		name string
		fit  fitter
	}{
		{"the published predictor on a line", polynomial(1)}, {"the published predictor on a parabola", polynomial(2)},
		{"this model without pairs", single.fitter()},
	} {
		held, err := heldOut(ctx, samples, rival.fit)
		if err != nil {
			return err
		}
		all, err := compare(rival.name+", held out", samples, held)
		if err != nil {
			return err
		}
		above, err := beyond(ctx, rival.name+", at least 400M, by a model of those below", samples, rival.fit, func(s Sample) bool { return madds(s) >= 400e6 })
		if err != nil {
			return err
		}
		card.Rivals = append(card.Rivals, all, above)
	}
	return nil
}

// polynomial returns a fitter of a polynomial of the published predictor's answers, by least squares.
func polynomial(degree int) fitter {
	powers := func(samples []Sample) *mat.Dense {
		x := mat.NewDense(len(samples), degree+1, nil)
		for i, s := range samples {
			for d := range degree + 1 {
				x.Set(i, d, math.Pow(s.Predicted, float64(d)))
			}
		}
		return x
	}
	return func(fitted []Sample) (func([]Sample) []float64, error) {
		_, accuracies := columns(fitted)
		var coefficients mat.VecDense
		if err := coefficients.SolveVec(powers(fitted), mat.NewVecDense(len(accuracies), accuracies)); err != nil {
			return nil, fmt.Errorf("top1: cannot fit a polynomial of degree %d to %d networks: %w", degree, len(fitted), err)
		}
		return func(tested []Sample) []float64 {
			var y mat.VecDense
			y.MulVec(powers(tested), &coefficients)
			return y.RawVector().Data
		}, nil
	}
}

func madds(s Sample) int64 { return mobilenetv3.OFAWidth1().MAdds(s.Net) }

// heldOut returns of each sample the accuracy by a model of the other nine tenths.
func heldOut(ctx context.Context, samples []Sample, fit fitter) ([]float64, error) {
	predicted := make([]float64, len(samples))
	order := rand.New(rand.NewPCG(1, folds)).Perm(len(samples))
	for f := range folds {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		var fitted, tested []Sample
		var at []int
		for i, k := range order {
			if i%folds == f {
				tested, at = append(tested, samples[k]), append(at, k)
			} else {
				fitted = append(fitted, samples[k])
			}
		}
		model, err := fit(fitted)
		if err != nil {
			return nil, err
		}
		for i, v := range model(tested) {
			predicted[at[i]] = v
		}
	}
	return predicted, nil
}

// beyond returns the errors on the samples that are outside, of a model of the others.
func beyond(ctx context.Context, of string, samples []Sample, fit fitter, outside func(Sample) bool) (Errors, error) {
	if err := ctx.Err(); err != nil {
		return Errors{}, err
	}
	var fitted, tested []Sample
	for _, s := range samples {
		if outside(s) {
			tested = append(tested, s)
		} else {
			fitted = append(fitted, s)
		}
	}
	model, err := fit(fitted)
	if err != nil {
		return Errors{}, err
	}
	return compare(of, tested, model(tested))
}

// byRange adds the errors on held-out samples, all and by multiply-adds.
func (card *Card) byRange(samples []Sample, predicted []float64) error {
	all, err := compare("all", samples, predicted)
	if err != nil {
		return err
	}
	card.HeldOut = append(card.HeldOut, all)
	edges := []int64{0, 200e6, 250e6, 300e6, 350e6, 400e6, 450e6, 0}
	for i, from := range edges[:len(edges)-1] {
		to := edges[i+1]
		var part []Sample
		var its []float64
		for k, s := range samples {
			if m := madds(s); m >= from && (to == 0 || m < to) {
				part, its = append(part, s), append(its, predicted[k])
			}
		}
		of := fmt.Sprintf("%d to %dM", from/1e6, to/1e6)
		if to == 0 {
			of = fmt.Sprintf("at least %dM", from/1e6)
		}
		e, err := compare(of, part, its)
		if err != nil {
			return err
		}
		e.From, e.To = from, to
		card.HeldOut = append(card.HeldOut, e)
	}
	return nil
}

func compare(of string, samples []Sample, predicted []float64) (Errors, error) {
	e := Errors{Of: of, Networks: len(samples)}
	_, measured := columns(samples)
	for i := range measured {
		d := 100 * (predicted[i] - measured[i])
		e.MAE += math.Abs(d) / float64(len(measured))
		e.Bias += d / float64(len(measured))
		e.Largest = max(e.Largest, math.Abs(d))
	}
	var err error
	if e.Tau, err = metric.KendallTau(predicted, measured); err != nil {
		err = fmt.Errorf("top1: networks %s: %w", of, err)
	}
	return e, err
}

//go:embed card.json
var cardFile []byte

var embeddedCard = sync.OnceValues(func() (c Card, err error) {
	err = json.Unmarshal(cardFile, &c)
	return c, err
})

// EmbeddedCard returns the card of the embedded model.
func EmbeddedCard() (Card, error) {
	c, err := embeddedCard()
	if err != nil {
		return c, fmt.Errorf("top1: card.json is damaged: %w", err)
	}
	return c, nil
}

// Error returns the mean error, in percentage points, of the model on measured networks of about so many multiply-adds that
// it was not fitted to. For more multiply-adds than any measured network has, it is the largest of those on networks beyond
// all that a model was fitted to.
func (card Card) Error(madds int64) float64 {
	if madds <= card.Largest {
		for _, e := range card.HeldOut {
			if e.From+e.To > 0 && madds >= e.From && (e.To == 0 || madds < e.To) {
				return e.MAE
			}
		}
	}
	largest := 0.0
	for _, e := range card.Beyond {
		largest = max(largest, e.MAE)
	}
	return largest
}
