package main

import (
	"context"
	_ "embed"
	"fmt"
	"math"
	"slices"
	"text/template"
	"time"

	"github.com/ctnas/ctnas/ctnaslib/metric"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
	"github.com/ctnas/ctnas/datasets"
	"github.com/ctnas/ctnas/datasets/internal/training"
	"github.com/ctnas/ctnas/datasets/surrogate/internal/model"
	"github.com/gomlx/compute"
	"gonum.org/v1/gonum/stat"
)

// card is all that was measured of a model, card.json.
type card struct {
	Data      string    `json:"data"`
	Training  facts     `json:"training"`
	HeldOut   heldOut   `json:"held_out"`
	Noise     noise     `json:"noise"`
	NAC       nac       `json:"nac"`
	Inference inference `json:"inference"`
}

// heldOut is how well the cells that training never saw are predicted. Accuracies
// and errors are in percent.
type heldOut struct {
	Cells      int          `json:"cells"`
	KendallTau float64      `json:"kendall_tau"`
	R2         float64      `json:"r2"`
	R2NoFailed float64      `json:"r2_without_failed_runs"` // of cells whose test accuracy is above 80 %
	RMSE       float64      `json:"rmse"`
	MAE        float64      `json:"mae"`
	Ranges     []errorRange `json:"ranges"` // of real test accuracy
	Failed     failures     `json:"below_80"`
	Top100     int          `json:"top_100_overlap"`
	Top1000    int          `json:"top_1000_overlap"`
	RealTop100 float64      `json:"real_mean_of_predicted_top_100"`
	BestTop100 float64      `json:"real_mean_of_real_top_100"`
}

// failures counts cells whose test accuracy is below 80 %, mostly because runs failed.
type failures struct {
	Real      int `json:"real"`
	Predicted int `json:"predicted"`
	Both      int `json:"both"`
}

type errorRange struct {
	From  float64 `json:"from"`
	To    float64 `json:"to"`
	Cells int     `json:"cells"`
	Bias  float64 `json:"bias"` // mean of predicted − real
	RMSE  float64 `json:"rmse"`
	MAE   float64 `json:"mae"`
}

// noise compares one run's validation accuracy with the mean test accuracy, on all
// cells whose real validation accuracy is known: what is real, and what the
// surrogate gives for the same cells. As a real mean is that of three runs, the
// surrogate's test accuracy is given the noise of three of its own runs here.
// Accuracies are in percent.
type noise struct {
	Cells           int          `json:"cells"`
	TauReal         float64      `json:"tau_validation_test_real"`
	TauSurrogate    float64      `json:"tau_validation_test_surrogate"`
	TauCrossed      float64      `json:"tau_surrogate_validation_real_test"`
	Ranges          []noiseRange `json:"ranges"` // of each one's own test accuracy
	FailedReal      int          `json:"validation_below_50_real"`
	FailedSurrogate int          `json:"validation_below_50_surrogate"`
}

type noiseRange struct {
	From      float64    `json:"from"`
	To        float64    `json:"to"`
	Real      difference `json:"real"`
	Surrogate difference `json:"surrogate"`
}

// difference is the distribution of validation − test accuracy.
type difference struct {
	Cells int     `json:"cells"`
	Mean  float64 `json:"mean"`
	Std   float64 `json:"std"`
}

type inference struct {
	Cells   int     `json:"cells"`
	Seconds float64 `json:"seconds"`
}

// bounds are the limits of the ranges, in percent.
var bounds = []float64{0, 80, 86, 88, 89, 90, 91, 92, 93, 94, 100}

func measure(ctx context.Context, backend compute.Backend, m *model.Model, p parts) (*card, error) {
	c := &card{}
	c.Inference = inference{nasbench101.NumCells, math.Inf(1)}
	for range 3 { // the fastest, in case other programs are running
		start := time.Now()
		if _, err := m.Predict(ctx, nasbench101.Enumerate()); err != nil {
			return nil, err
		}
		c.Inference.Seconds = min(c.Inference.Seconds, training.RoundTo(time.Since(start).Seconds(), 2))
	}
	fmt.Printf("predicting all cells takes %v s\n", c.Inference.Seconds)

	cells, tests := cellsAndTests(p.heldOut)
	predicted, err := m.Predict(ctx, cells)
	if err != nil {
		return nil, err
	}
	if c.HeldOut, err = measureHeldOut(predicted, tests); err != nil {
		return nil, err
	}
	fmt.Printf("Kendall's tau on %d held-out cells: %.4f\n", len(cells), c.HeldOut.KendallTau)
	if c.Noise, err = measureNoise(ctx, m, slices.Concat(p.train, p.tuning, p.heldOut)); err != nil {
		return nil, err
	}
	c.NAC, err = measureNAC(ctx, backend, m, slices.Concat(p.train, p.tuning, p.heldOut))
	return c, err
}

func measureHeldOut(predicted, real []float64) (h heldOut, err error) {
	h.Cells = len(real)
	if h.KendallTau, err = metric.KendallTau(predicted, real); err != nil {
		return h, err
	}
	h.KendallTau = training.RoundTo(h.KendallTau, 4)
	h.R2 = training.RoundTo(stat.RSquaredFrom(predicted, real, nil), 4)
	var healthyPredicted, healthyReal []float64
	for i, t := range real {
		if t < 0.8 {
			h.Failed.Real++
		}
		if predicted[i] < 0.8 {
			h.Failed.Predicted++
			if t < 0.8 {
				h.Failed.Both++
			}
		}
		if t > 0.8 {
			healthyPredicted, healthyReal = append(healthyPredicted, predicted[i]), append(healthyReal, t)
		}
	}
	h.R2NoFailed = training.RoundTo(stat.RSquaredFrom(healthyPredicted, healthyReal, nil), 4)
	all := errorsIn(predicted, real, 0, 100)
	h.RMSE, h.MAE = all.RMSE, all.MAE
	for k := 1; k < len(bounds); k++ {
		if r := errorsIn(predicted, real, bounds[k-1], bounds[k]); r.Cells > 0 {
			h.Ranges = append(h.Ranges, r)
		}
	}
	h.Top100, h.RealTop100, h.BestTop100 = overlap(predicted, real, 100)
	h.Top1000, _, _ = overlap(predicted, real, 1000)
	return h, nil
}

// errorsIn returns the errors of the cells whose real accuracy is in [from, to) percent.
func errorsIn(predicted, real []float64, from, to float64) errorRange {
	r := errorRange{From: from, To: to}
	for i, t := range real {
		if 100*t < from || 100*t >= to {
			continue
		}
		e := 100 * (predicted[i] - t)
		r.Cells++
		r.Bias += e
		r.RMSE += e * e
		r.MAE += math.Abs(e)
	}
	n := float64(max(r.Cells, 1))
	r.Bias, r.RMSE, r.MAE = training.RoundTo(r.Bias/n, 3), training.RoundTo(math.Sqrt(r.RMSE/n), 3), training.RoundTo(r.MAE/n, 3)
	return r
}

// overlap counts the cells that are among the n best both predicted and real, and
// gives the mean real accuracy of either n in percent.
func overlap(predicted, real []float64, n int) (common int, predictedMean, realMean float64) {
	top := training.Best(real, n)
	isTop := make(map[int]bool, n)
	for _, i := range top {
		isTop[i] = true
		realMean += 100 * real[i] / float64(n)
	}
	for _, i := range training.Best(predicted, n) {
		if isTop[i] {
			common++
		}
		predictedMean += 100 * real[i] / float64(n)
	}
	return common, training.RoundTo(predictedMean, 3), training.RoundTo(realMean, 3)
}

func measureNoise(ctx context.Context, m *model.Model, rows []datasets.Row) (n noise, err error) {
	rows = slices.DeleteFunc(rows, func(row datasets.Row) bool { return math.IsNaN(row.Validation[last]) })
	cells, realTests := cellsAndTests(rows)
	tests, err := m.Predict(ctx, cells)
	if err != nil {
		return n, err
	}
	realValidations, validations := make([]float64, len(rows)), make([]float64, len(rows))
	noisyTests := make([]float64, len(rows))
	for i, row := range rows {
		realValidations[i] = row.Validation[last]
		validations[i] = m.Noise.Validation(tests[i], row.Hash, 0)
		noisyTests[i] = -m.Noise.Median(tests[i])
		for run := range uint64(3) {
			noisyTests[i] += m.Noise.Validation(tests[i], row.Hash, 1+run) / 3
		}
		if realValidations[i] < 0.5 {
			n.FailedReal++
		}
		if validations[i] < 0.5 {
			n.FailedSurrogate++
		}
	}
	n.Cells = len(rows)
	for _, pair := range []struct {
		tau         *float64
		validations []float64
		tests       []float64
	}{{&n.TauReal, realValidations, realTests}, {&n.TauSurrogate, validations, noisyTests}, {&n.TauCrossed, validations, realTests}} {
		tau, err := metric.KendallTau(pair.validations, pair.tests)
		if err != nil {
			return n, err
		}
		*pair.tau = training.RoundTo(tau, 4)
	}
	for k := 1; k < len(bounds); k++ {
		from, to := bounds[k-1], bounds[k]
		n.Ranges = append(n.Ranges, noiseRange{from, to,
			differenceIn(realValidations, realTests, from, to), differenceIn(validations, noisyTests, from, to)})
	}
	return n, nil
}

func differenceIn(validations, tests []float64, from, to float64) difference {
	var d []float64
	for i, t := range tests {
		if 100*t >= from && 100*t < to {
			d = append(d, 100*(validations[i]-t))
		}
	}
	if len(d) < 2 {
		return difference{Cells: len(d)}
	}
	mean, std := stat.MeanStdDev(d, nil)
	return difference{len(d), training.RoundTo(mean, 3), training.RoundTo(std, 3)}
}

//go:embed card.md.tmpl
var text string

var page = template.Must(template.New("card").Funcs(template.FuncMap{
	"tau":     func(x float64) string { return fmt.Sprintf("%.4f", x) },
	"percent": func(x float64) string { return fmt.Sprintf("%.2f", x) },
	"between": func(from, to float64) string {
		switch {
		case from == 0:
			return fmt.Sprintf("below %g %%", to)
		case to == 100:
			return fmt.Sprintf("%g %% and above", from)
		}
		return fmt.Sprintf("%g – %g %%", from, to)
	},
	"std": func(d difference) string {
		if d.Cells < 2 {
			return "–"
		}
		return fmt.Sprintf("%+.2f ± %.2f", d.Mean, d.Std)
	},
}).Parse(text))
