// Package style is the house style of the project's pictures: the colours, the same for a method in every chart and
// drawing, static and interactive. They are those of Okabe and Ito, and for weight sharing those of Tol's "muted", which
// readers without full colour vision can tell apart.
package style

import "strings"

// Colours, as CSS has them.
const (
	Blue      = "#0072B2"
	Vermilion = "#D55E00"
	Green     = "#009E73"
	Purple    = "#CC79A7"
	Sky       = "#56B4E9"
	Orange    = "#E69F00"
	Brown     = "#8C510A"
	Grey      = "#6B6B6B" // of what there is to compare with, such as random search

	Ink   = "#222222" // of texts
	Faint = "#666666" // of texts that matter less, of axes and arrows
	Grid  = "#E4E4E4"
	Paper = "#FFFFFF" // behind everything, so that pictures can be read on a dark page
	Quiet = "#EEEEEE" // of boxes that matter less
)

// Palette are the colours of series without a fixed one, in the order in which they are taken.
var Palette = []string{Blue, Vermilion, Green, Purple, Sky, Orange, Brown}

// methods are the fixed colours, by a method's name, which a comma or a bracket may follow. The first that fits holds.
var methods = []struct{ name, colour string }{
	{"CTNAS, one-hot", Sky},
	{"CTNAS, test labels", Vermilion},
	{"CTNAS, messages both ways", Sky},
	{"CTNAS", Blue},
	{"authors' code", Blue},
	{"curriculum", Blue},
	{"Thompson", Green},
	{"linear Thompson", Sky},
	{"Local search", Purple},
	{"NAC", Blue},
	{"RegressionNAS, one-hot", Purple},
	{"RegressionNAS", Vermilion},
	{"Regression", Vermilion},
	{"ReNAS", Purple},
	{"Ridge on pairs of choices", Purple},
	{"Evolution (OFA's)", Brown},
	{"Evolution", Orange},
	{"Regularised evolution", Orange},
	{"fixed", Orange},
	{"fixed baseline", Orange},
	{"Random search", Grey},
	{"Random network", Grey},
	{"random", Grey},
	{"random cells", Grey},
	{"random updating", Grey},
	{"Best sampled", Grey},
	{"SPOS", "#332288"},
	{"FairNAS", "#CC6677"},
	{"ENAS", "#999933"},
	{"DARTS", "#44AA99"},
	{"FBNet", "#AA4499"},
	{"one cell alone", Grey},
	{"OFA's predictor of width 1.2", Grey},
}

// Of returns the colour that a method has in every chart, or false for what has no fixed colour.
func Of(name string) (colour string, ok bool) {
	for _, m := range methods {
		if rest, ok := strings.CutPrefix(name, m.name); ok && (rest == "" || strings.HasPrefix(rest, ",") || strings.HasPrefix(rest, " (")) {
			return m.colour, true
		}
	}
	return "", false
}

// Colours returns a colour for each of the names of the series of a chart: a method's own, or where that is taken or there is none, one of
// [Palette] that no other series of the chart has, as long as there are some.
func Colours(names []string) []string {
	colours := make([]string, len(names))
	taken := make(map[string]bool)
	for i, name := range names {
		if colour, ok := Of(name); ok && !taken[colour] {
			colours[i], taken[colour] = colour, true
		}
	}
	next := 0
	for i := range colours {
		if colours[i] != "" {
			continue
		}
		for tries := 0; taken[Palette[next%len(Palette)]] && tries < len(Palette); tries++ {
			next++
		}
		colours[i] = Palette[next%len(Palette)]
		next++
	}
	return colours
}
