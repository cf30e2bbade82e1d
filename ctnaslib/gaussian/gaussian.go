// Package gaussian is a comparator for few labels: a Gaussian process (GP) over what an architecture is made of.
//
// Like NAC it is trained on the order of labelled architectures alone, and answers P[α is at least as good as β]. The
// labels are replaced by the normal scores of their ranks, so that only their order counts (Thurstone's model of
// comparisons: each architecture has a utility that is normally distributed, and the better of two is the one of
// the higher utility). What is known of the utilities in advance is the kernel's:
//
//	k(α, β) = Σ_g v_g ⟨x_g, y_g⟩ + a·m(Σ_g w_g |x_g − y_g|²),   m(d) = (1 + √(3d))·exp(−√(3d))
//
// over the groups g of [Features]: a linear model, with a smooth function of all (Matérn's, of ν = 3/2) for what is
// not linear. The variances v and a, the weights w and the noise of the labels are those of the highest marginal
// likelihood, under wide priors. A NAC of some hundred labels has to learn from the labels which architectures are
// alike; this one is told, and orders the best of a space better from as few.
//
// It computes in float64 with gonum, without a backend. A fit of n labels takes O(n³).
//
//	features, err := gaussian.NewFeatures(s, reference)
//	model, err := gaussian.Fit(features, labelled, nil)
//	p, err := model.Compare(a, b)
//	samples, err := model.Sample(rng, 10) // functions that the labels leave open, for Thompson sampling
package gaussian

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distuv"

	"github.com/ctnas/ctnas/ctnaslib/space"
)

// Version is raised when the same labels lead to other utilities.
const Version = 1

// Hyper are the numbers of the kernel.
type Hyper struct {
	Linear    []float64 // v, by group
	Weight    []float64 // w, by group
	Amplitude float64   // a
	Noise     float64   // variance of the labels' noise, where that of all labels is 1
}

// guess is where a first fit begins.
func guess(groups int) Hyper {
	h := Hyper{Amplitude: 0.5, Noise: 0.3}
	for range groups {
		h.Linear = append(h.Linear, 0.5/float64(groups))
		h.Weight = append(h.Weight, 1/float64(groups))
	}
	return h
}

// Linear returns where to start for a kernel that is linear, without the smooth function.
func Linear(features *Features) *Hyper {
	h := guess(features.groups)
	h.Amplitude = 0
	return &h
}

// numbers returns pointers to what can be fitted of h. An Amplitude of 0 stays 0.
func (h *Hyper) numbers() []*float64 {
	var all []*float64
	for g := range h.Linear {
		if h.Amplitude > 0 {
			all = append(all, &h.Weight[g])
		}
		all = append(all, &h.Linear[g])
	}
	if h.Amplitude > 0 {
		all = append(all, &h.Amplitude)
	}
	return append(all, &h.Noise)
}

// The priors are log-normal: medians, and the standard deviation of logarithms.
const (
	usualPart  = 0.3
	usualSum   = 1
	wide       = 1.5
	lessWide   = 1
	usualNoise = 0.3
)

func (h Hyper) logPrior() float64 {
	sum := 0.0
	normal := func(x, median, spread float64) {
		z := math.Log(x/median) / spread
		sum -= z * z / 2
	}
	for g := range h.Linear {
		normal(h.Weight[g], usualPart, wide)
		normal(h.Linear[g], usualPart, wide)
	}
	if h.Amplitude > 0 {
		normal(h.Amplitude, usualSum, lessWide)
	}
	normal(h.Noise, usualNoise, wide)
	return sum
}

// Comparator is the posterior of the utilities. It does not change, and is safe for concurrent use.
type Comparator struct {
	Hyper Hyper

	features *Features
	data     *data
	gram     mat.Cholesky // of the kernel's matrix with the noise
	weights  []float64    // its inverse times the scores
}

// data are the labelled architectures.
type data struct {
	points   []point
	scores   []float64
	columns  [][]float64 // by column, the values of all points
	products [][]float64 // by group, [points, points]
}

// Fit learns from labelled architectures. It looks for the numbers of the kernel from start on, which may be those of
// a fit of fewer labels, or [Linear]; from usual ones if start is nil. The error says that there are fewer than two
// labels or that one is not a number.
func Fit(features *Features, labelled []space.Labelled, start *Hyper) (*Comparator, error) {
	c, err := prepare(features, labelled, start)
	if err != nil {
		return nil, err
	}
	c.search()
	return c, c.solve()
}

// With learns from labelled architectures with the kernel that it is given. The errors are those of [Fit].
func With(features *Features, labelled []space.Labelled, hyper Hyper) (*Comparator, error) {
	c, err := prepare(features, labelled, &hyper)
	if err != nil {
		return nil, err
	}
	return c, c.solve()
}

func prepare(features *Features, labelled []space.Labelled, start *Hyper) (*Comparator, error) {
	if len(labelled) < 2 {
		return nil, fmt.Errorf("gaussian: at least two labels are needed, not %d", len(labelled))
	}
	if err := space.CheckLabels(labelled); err != nil {
		return nil, err
	}
	c := &Comparator{features: features, Hyper: guess(features.groups)}
	if start != nil {
		if len(start.Linear) != features.groups || len(start.Weight) != features.groups {
			return nil, fmt.Errorf("gaussian: the kernel is of %d groups, the features have %d; fit it on the same space", len(start.Linear), features.groups)
		}
		c.Hyper = Hyper{slices.Clone(start.Linear), slices.Clone(start.Weight), start.Amplitude, start.Noise}
	}
	c.data = features.data(labelled)
	return c, nil
}

func (f *Features) data(labelled []space.Labelled) *data {
	n := len(labelled)
	d := &data{scores: NormalScores(labelled), columns: make([][]float64, len(f.group)), products: make([][]float64, f.groups)}
	for i := range d.columns {
		d.columns[i] = make([]float64, n)
	}
	for i, l := range labelled {
		p := f.point(l.Arch)
		d.points = append(d.points, p)
		for j, column := range p.columns {
			d.columns[column][i] = p.values[j]
		}
	}
	for i, p := range d.points {
		for g, row := range f.products(d, p) {
			if i == 0 {
				d.products[g] = make([]float64, n*n)
			}
			copy(d.products[g][i*n:], row)
		}
	}
	return d
}

// products returns, by group, the products of a point with all of d.
func (f *Features) products(d *data, p point) [][]float64 {
	n := len(d.points)
	flat := make([]float64, f.groups*n)
	rows := make([][]float64, f.groups)
	for g := range rows {
		rows[g] = flat[g*n : (g+1)*n]
	}
	for i, column := range p.columns {
		floats.AddScaled(rows[f.group[column]], p.values[i], d.columns[column])
	}
	return rows
}

// NormalScores returns what the labels are replaced by: the quantiles of the normal distribution at their ranks; equal ones
// have that of their middle rank.
func NormalScores(labelled []space.Labelled) []float64 {
	order := make([]int, len(labelled))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(labelled[a].Accuracy, labelled[b].Accuracy) })
	scores := make([]float64, len(labelled))
	for from := 0; from < len(order); {
		to := from + 1
		for to < len(order) && labelled[order[to]].Accuracy == labelled[order[from]].Accuracy {
			to++
		}
		for _, i := range order[from:to] {
			scores[i] = distuv.UnitNormal.Quantile(float64(from+to) / 2 / float64(len(order)))
		}
		from = to
	}
	return scores
}

// matern is Matérn's function of a squared distance.
func matern(squared float64) float64 {
	t := math.Sqrt(3 * max(0, squared))
	return (1 + t) * math.Exp(-t)
}

// jitter keeps the matrix of the kernel regular where two points are alike.
const jitter = 1e-6

// factorize returns the matrix of the kernel with the noise, false if rounding made it singular.
func (c *Comparator) factorize(h Hyper) (gram mat.Cholesky, ok bool) {
	n := len(c.data.points)
	k := mat.NewSymDense(n, nil)
	raw := k.RawSymmetric()
	for i := range n {
		for j := i; j < n; j++ {
			raw.Data[i*raw.Stride+j] = kernel(h, c.data.points[i].squares, c.data.points[j].squares, c.data.products, i*n+j)
		}
		raw.Data[i*raw.Stride+i] += h.Noise + jitter
	}
	ok = gram.Factorize(k)
	return gram, ok
}

// kernel returns k of two points, by group of their squared lengths and of their product, at a place of products.
func kernel(h Hyper, a, b []float64, products [][]float64, at int) float64 {
	linear, squared := 0.0, 0.0
	for g := range h.Linear {
		product := products[g][at]
		linear += h.Linear[g] * product
		squared += h.Weight[g] * (a[g] + b[g] - 2*product)
	}
	return linear + h.Amplitude*matern(squared)
}

// solveScores returns the gram's inverse times the scores.
func (c *Comparator) solveScores(gram *mat.Cholesky, scores []float64) ([]float64, error) {
	weights := make([]float64, len(scores))
	if err := gram.SolveVecTo(mat.NewVecDense(len(scores), weights), mat.NewVecDense(len(scores), scores)); err != nil {
		var condition mat.Condition
		if !errors.As(err, &condition) { // a warning
			return nil, fmt.Errorf("gaussian: %w", err)
		}
	}
	return weights, nil
}

// evidence returns the logarithm of the marginal likelihood times the prior, up to a constant.
func (c *Comparator) evidence(h Hyper) float64 {
	gram, ok := c.factorize(h)
	if !ok {
		return math.Inf(-1)
	}
	weights, err := c.solveScores(&gram, c.data.scores)
	if err != nil {
		return math.Inf(-1)
	}
	return -floats.Dot(c.data.scores, weights)/2 - gram.LogDet()/2 + h.logPrior()
}

// search climbs the evidence, one number after the other, by factors.
func (c *Comparator) search() {
	const (
		factor            = 1.5
		rounds            = 4
		moves             = 3 // of a number in a round
		smallest, largest = 1e-4, 30
		gain              = 1e-3 // that is worth a move
	)
	best := c.evidence(c.Hyper)
	for range rounds {
		improved := false
		for _, number := range c.Hyper.numbers() {
			for _, by := range []float64{1 / factor, factor} {
				for range moves {
					old := *number
					*number = min(largest, max(smallest, old*by))
					evidence := c.evidence(c.Hyper)
					if evidence <= best+gain {
						*number = old
						break
					}
					best, improved = evidence, true
				}
			}
		}
		if !improved {
			return
		}
	}
}

func (c *Comparator) solve() (err error) {
	gram, ok := c.factorize(c.Hyper)
	if !ok {
		return errors.New("gaussian: the labelled architectures are too much alike for this kernel; raise its Noise")
	}
	c.gram = gram
	c.weights, err = c.solveScores(&c.gram, c.data.scores)
	return err
}

// row returns the kernel of a point with all labelled ones.
func (c *Comparator) row(p point) []float64 {
	products := c.features.products(c.data, p)
	row := make([]float64, len(c.data.points))
	for i, q := range c.data.points {
		row[i] = kernel(c.Hyper, p.squares, q.squares, products, i)
	}
	return row
}

// Utilities returns the expected utility of each architecture, in standard deviations of the labels'.
func (c *Comparator) Utilities(archs []space.Arch) ([]float64, error) {
	utilities := make([]float64, len(archs))
	for i, a := range archs {
		utilities[i] = floats.Dot(c.row(c.features.point(a)), c.weights)
	}
	return utilities, nil
}

// Compare returns P[a is at least as good as b] (Eq. 1): that a's utility is the higher one, from their joint
// distribution. Compare(a, b) + Compare(b, a) is 1.
func (c *Comparator) Compare(a, b space.Arch) (float64, error) {
	if a.ID() == b.ID() {
		return 0.5, nil
	}
	p, q := c.features.point(a), c.features.point(b)
	difference := c.row(p)
	floats.Sub(difference, c.row(q)) // the covariance of the utilities' difference with the labels
	solved, err := c.solveScores(&c.gram, difference)
	if err != nil {
		return 0, err
	}
	variance := c.prior(p, p) + c.prior(q, q) - 2*c.prior(p, q) - floats.Dot(difference, solved)
	mean := floats.Dot(difference, c.weights)
	if variance < 1e-12 {
		switch {
		case mean > 0:
			return 1, nil
		case mean < 0:
			return 0, nil
		}
		return 0.5, nil
	}
	return distuv.UnitNormal.CDF(mean / math.Sqrt(variance)), nil
}

// prior returns the kernel of two points.
func (c *Comparator) prior(p, q point) float64 {
	products := make([][]float64, c.features.groups)
	for g := range products {
		products[g] = make([]float64, 1)
	}
	j := 0
	for i, column := range p.columns {
		for j < len(q.columns) && q.columns[j] < column {
			j++
		}
		if j < len(q.columns) && q.columns[j] == column {
			products[c.features.group[column]][0] += p.values[i] * q.values[j]
		}
	}
	return kernel(c.Hyper, p.squares, q.squares, products, 0)
}
