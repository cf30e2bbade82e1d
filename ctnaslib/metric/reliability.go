package metric

import "fmt"

// Bin is a bin of a reliability diagram.
type Bin struct {
	Predicted float64 // mean of the predicted probabilities in the bin
	Observed  float64 // how often the event then happened
	Count     int     // predictions in the bin
}

// Reliability sorts predicted probabilities into bins of equal width over [0, 1] and counts in each how often the
// event happened: happened[i] belongs to p[i]. For a calibrated prediction Observed is near Predicted in each. Empty
// bins are left out.
//
// The error says that the slices differ in length, that there is no bin, or which value is not a probability.
func Reliability(p []float64, happened []bool, bins int) ([]Bin, error) {
	if len(happened) != len(p) {
		return nil, fmt.Errorf("metric: reliability needs an outcome for each prediction, got %d and %d", len(happened), len(p))
	}
	if bins < 1 {
		return nil, fmt.Errorf("metric: reliability needs at least one bin, not %d", bins)
	}
	sums := make([]Bin, bins)
	for i, value := range p {
		if !(0 <= value && value <= 1) {
			return nil, fmt.Errorf("metric: prediction %d is %g, which is not a probability", i, value)
		}
		b := &sums[min(int(value*float64(bins)), bins-1)]
		b.Count++
		b.Predicted += value
		if happened[i] {
			b.Observed++
		}
	}
	var filled []Bin
	for _, b := range sums {
		if b.Count > 0 {
			n := float64(b.Count)
			filled = append(filled, Bin{b.Predicted / n, b.Observed / n, b.Count})
		}
	}
	return filled, nil
}
