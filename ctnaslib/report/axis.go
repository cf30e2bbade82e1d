package report

import (
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"gonum.org/v1/plot"
)

// The scales and ticks of gonum/plot fail on many ranges: ticks at 93.52 and 93.54 are both labelled "94", a
// logarithmic axis within a decade has no label, and where values are large or close together, they panic or do not
// end. So a chart gives gonum/plot positions between 0 and 1, and ticks at such positions.

// axis is an axis of numbers, from one value to a larger one, both finite.
type axis struct {
	min, max float64
	log      bool
}

// newAxis makes the axis that shows all the values, which are finite and, if it is logarithmic, positive. It widens a
// range without extent, or so narrow that there are not enough floating point numbers in it for ticks. There is at
// least one value.
func newAxis(values []float64, log bool) axis {
	a := axis{min: slices.Min(values), max: slices.Max(values), log: log}
	lowest, highest := -math.MaxFloat64, math.MaxFloat64
	if log {
		lowest = math.SmallestNonzeroFloat64
	}
	if a.min == a.max {
		switch {
		case log:
			a.min, a.max = a.min/2, a.max*2
		case a.min == 0:
			a.min, a.max = -1, 1
		default:
			half := math.Abs(a.min) / 10
			a.min, a.max = a.min-half, a.max+half
		}
	}
	a.min, a.max = max(a.min, lowest), min(a.max, highest)
	largest := max(math.Abs(a.min), math.Abs(a.max))
	unit := largest - math.Nextafter(largest, 0) // between neighbouring numbers at that end
	for a.max-a.min < 32*unit {
		a.min, a.max = max(a.min-2*unit, lowest), min(a.max+2*unit, highest)
	}
	return a
}

// at returns the position of a value: 0 at the lower end of the axis, 1 at the upper.
func (a axis) at(x float64) float64 {
	if a.log {
		return min(logarithm(x, a.min)/logarithm(a.max, a.min), 1)
	}
	if width := a.max - a.min; !math.IsInf(width, 0) {
		return (x - a.min) / width
	}
	return (x/2 - a.min/2) / (a.max/2 - a.min/2)
}

// logarithm returns the logarithm of x/base, for x of at least the base: exact where the two are close, and where
// their ratio is beyond the largest number or they are below the smallest normal one.
func logarithm(x, base float64) float64 {
	if x/2 <= base {
		return math.Log1p((x - base) / base)
	}
	fraction, exponent := math.Frexp(x)
	baseFraction, baseExponent := math.Frexp(base)
	return math.Log(fraction/baseFraction) + math.Ln2*float64(exponent-baseExponent)
}

// ticks returns 3 to 8 ticks at round values. If their labels stand side by side, as under a chart, there is room for so
// many letters, and there are no more ticks than fit, but at least 3; 0 is room for any.
func (a axis) ticks(room int) []plot.Tick {
	var at []decimal
	if a.log {
		at = a.logTicks(room)
	} else {
		at = a.linearTicks(room)
	}
	ticks := make([]plot.Tick, len(at))
	for i, label := range labels(at) {
		ticks[i] = plot.Tick{Value: a.at(at[i].value()), Label: label}
	}
	return ticks
}

// The number of ticks of an axis: at least, at most, and at best.
const fewestTicks, mostTicks, goodTicks = 3, 8, 5

// linearTicks returns the multiples of a step of 1, 2 or 5 times a power of ten. Of two such steps the larger is at
// most 2.5 times the other, so there always is one with 3 to 8 multiples on an axis: the largest with at least 3.
func (a axis) linearTicks(room int) []decimal {
	low, high := shortest(a.min), shortest(a.max)
	var best []decimal
	for exponent := int(math.Ceil(math.Log10(a.max/2-a.min/2))) + 1; ; exponent-- {
		for _, step := range []int64{5, 2, 1} {
			first, last := multiples(low, high, step, exponent)
			if last-first >= mostTicks {
				return best
			}
			if last-first < fewestTicks-1 {
				continue
			}
			var ticks []decimal
			for k := first; k <= last; k++ {
				ticks = append(ticks, decimal{k * step, exponent})
			}
			if best == nil || fit(ticks, room) && distance(len(ticks)) < distance(len(best)) {
				best = ticks
			}
		}
	}
}

// fit says whether the labels of ticks have room side by side.
func fit(ticks []decimal, room int) bool {
	return room == 0 || longest(labels(ticks))*len(ticks) <= room
}

// shortest returns the shortest decimal that stands for a floating point number: 93.51, where the number itself is a
// little more. So a tick at 93.51 is on an axis from 93.51 on.
func shortest(x float64) *big.Rat {
	exact, ok := new(big.Rat).SetString(strconv.FormatFloat(x, 'e', -1, 64))
	if !ok {
		return new(big.Rat)
	}
	return exact
}

// distance returns the difference between a number of ticks and a good one.
func distance(ticks int) int { return max(ticks-goodTicks, goodTicks-ticks) }

// multiples returns the first and the last number whose product with step · 10^exponent lies between low and high.
func multiples(low, high *big.Rat, step int64, exponent int) (first, last int64) {
	size, _ := new(big.Rat).SetString(fmt.Sprintf("%de%d", step, exponent))
	floor := func(x *big.Rat) int64 {
		x = new(big.Rat).Quo(x, size)
		return new(big.Int).Div(x.Num(), x.Denom()).Int64() // which rounds down, as a denominator is positive
	}
	return -floor(new(big.Rat).Neg(low)), floor(high)
}

// logTicks returns powers of ten, all or every second, fifth, tenth and so on; or if they are less than three, 1, 2
// and 5 times the powers of ten, or every second of these; or if they are as well, round values at equal distances.
func (a axis) logTicks(room int) []decimal {
	within := func(d decimal) bool { return a.min <= d.value() && d.value() <= a.max }
	from, to := int(math.Floor(math.Log10(a.min)))-1, int(math.Ceil(math.Log10(a.max)))+1 // with a decade to spare at either end
	var round, best []decimal
	for exponent := from; exponent <= to; exponent++ {
		for _, number := range []int64{1, 2, 5} {
			if d := (decimal{number, exponent}); within(d) {
				round = append(round, d)
			}
		}
	}
	for _, step := range []int{1, 2, 5, 10, 20, 50, 100, 200} {
		powers := slices.DeleteFunc(slices.Clone(round), func(d decimal) bool { return d.number != 1 || d.exponent%step != 0 })
		if len(powers) < fewestTicks {
			break
		}
		if len(powers) <= mostTicks {
			best = powers
			if fit(best, room) {
				break
			}
		}
	}
	switch {
	case best != nil:
		return best
	case len(round) < fewestTicks:
		return a.linearTicks(room)
	case len(round) < 2*fewestTicks || fit(round, room):
		return round
	}
	for i := range (len(round) + 1) / 2 {
		best = append(best, round[2*i])
	}
	return best
}

// decimal is number · 10^exponent.
type decimal struct {
	number   int64
	exponent int
}

// value returns the nearest floating point number, which is infinite beyond the largest.
func (d decimal) value() float64 {
	value, _ := strconv.ParseFloat(fmt.Sprintf("%de%d", d.number, d.exponent), 64)
	return value
}

// text returns the decimal as [big.Float.Text] writes it. The 128 bits hold all digits of a label that is not too long.
func (d decimal) text(format byte, digits int) string {
	x, _, err := big.ParseFloat(fmt.Sprintf("%de%d", d.number, d.exponent), 10, 128, big.ToNearestEven)
	if err != nil {
		return ""
	}
	return x.Text(format, digits)
}

// plain returns the decimal written out, such as "93.50" or "−10,000".
func (d decimal) plain() string { return grouped(d.text('f', max(0, -d.exponent))) }

// scientific returns the decimal with an exponent, such as "9.35e+01".
func (d decimal) scientific() string {
	if d.number == 0 {
		return "0"
	}
	digits := strings.TrimRight(strconv.FormatInt(max(d.number, -d.number), 10), "0")
	return grouped(strings.TrimSuffix(d.text('e', len(digits)-1), "e+00"))
}

// labels returns the decimals as text: all written out, or if that is long, all with an exponent.
func labels(of []decimal) []string {
	plain, scientific := make([]string, len(of)), make([]string, len(of))
	for i, d := range of {
		plain[i], scientific[i] = d.plain(), d.scientific()
	}
	const short = 9 // 1,000,000
	if l := longest(plain); l > short && l > longest(scientific) {
		return scientific
	}
	return plain
}

// longest returns the number of letters of the longest label.
func longest(labels []string) int {
	most := 0
	for _, label := range labels {
		most = max(most, utf8.RuneCountInString(label))
	}
	return most
}
