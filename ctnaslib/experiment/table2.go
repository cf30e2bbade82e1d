package experiment

import (
	"github.com/ctnas/ctnas/ctnaslib/ctnas"
	"github.com/ctnas/ctnas/ctnaslib/report"
	"github.com/ctnas/ctnas/ctnaslib/search"
	"github.com/ctnas/ctnas/datasets"
)

// MobileLimit is the mobile setting of the paper (Sec. 5.2): at most 600M multiply-adds.
const MobileLimit = 600e6

// The methods of the MobileNetV3 space.
const (
	nameAnyNetwork  = "Random network"
	nameBestSampled = "Best sampled"
	nameMobile      = "CTNAS"
	nameGenerations = "Evolution (OFA's)"
	nameRegularised = "Evolution (regularised)"
)

// mobile returns [ctnas.Quick] with that comparator: how the authors searched this space is
// not in their released code's settings or the paper.
func (p Preset) mobile(name string, queries int) Method {
	c := ctnas.Quick()
	c.Labels, c.NAC = p.queriesOf(queries), p.mobileNAC()
	if p == Small {
		c.Iterations, c.PolicySteps, c.PolicyBatch = 10, 5, 16
	}
	return CTNAS(name, c, nil)
}

func randomOf(name string, labels int) Method {
	m := randomSearch(name, labels)
	m.Anytime = labels > 1
	return m
}

func (p Preset) generations(queries int) Method {
	m := method(nameGenerations, search.OFAGenetic(p.queriesOf(queries)), search.Genetic, func(c *search.GeneticConfig) *uint64 { return &c.Seed })
	m.Anytime = true
	return m
}

// regularised returns regularised evolution with a population of at most 100 and tournaments of a quarter.
func regularised(name string, labels int) Method {
	population := min(100, labels/2)
	return evolution(name, search.EvolutionConfig{Labels: labels, Population: population, Tournament: population / 4})
}

// Table2 returns the paper's Table 2: networks for ImageNet of at most 600M multiply-adds. Ours
// are sub-networks of OFA's supernet of width 1.0, in place of a supernet of the paper's. They are found and judged by a model of
// those that were measured, which is in the scale of ImageNet's validation images: see [ImageNet].
func Table2(p Preset) Experiment {
	paper := func(top1, top5, madds, queries float64) map[string]float64 {
		all := map[string]float64{"top1_mean": top1, "top5_mean": top5, "madds_m": madds, "queries": queries}
		for name, v := range all {
			if v == 0 {
				delete(all, name)
			}
		}
		return all
	}
	only := func(name string, top1, top5, madds, thousands float64) Method {
		return Method{Name: name, Paper: paper(top1, top5, madds, 1000*thousands)}
	}
	labels := p.queriesOf(1000)
	anyNetwork, sampled, ctnas := randomOf(nameAnyNetwork, 1), randomOf(nameBestSampled, labels), p.mobile(nameMobile, 1000)
	anyNetwork.Note = "One random network. The paper does not say what its random search is."
	ctnas.Note = "The accuracy is that of a model fitted to 2,162 sub-networks of OFA's supernet of width 1.0 that were measured on ImageNet; its error is that on measured networks of about as many multiply-adds that it was not fitted to. The paper's networks come from its own supernet."
	anyNetwork.Paper = paper(76.0, 92.6, 314, 1000)
	sampled.Paper, ctnas.Paper = paper(76.7, 93.1, 382, 1000), paper(77.3, 93.4, 482, 1000)
	return p.checked(Experiment{
		ID: "table2", Seeds: p.seeds(),
		Methods: []Method{
			only("MobileNetV2 (1.4×)", 74.7, 0, 585, 0), only("ShuffleNetV2 (2×)", 73.7, 0, 524, 0),
			only("NASNet-A", 74.0, 91.6, 564, 20), only("AmoebaNet-A", 74.5, 92.0, 555, 20),
			only("DARTS", 73.1, 91.0, 595, 19.5), only("P-DARTS", 75.6, 92.6, 577, 11.7),
			only("PC-DARTS", 75.8, 92.7, 597, 3.4), only("CNAS", 75.4, 92.6, 576, 100),
			only("MobileNetV3-Large", 75.2, 0, 219, 0), only("FBNet-C", 74.9, 0, 375, 11.5),
			only("MnasNet-A3", 76.7, 93.3, 403, 8), only("ProxylessNAS", 75.1, 92.3, 465, 0),
			only("OFA", 76.0, 0, 230, 16), only("FBNetV2", 76.3, 92.9, 321, 11.5), only("AtomNAS", 75.9, 92.0, 367, 78),
			anyNetwork, sampled, ctnas, p.generations(1000), thompson(nameThompson, labels),
		},
		Compare: [][2]string{{nameMobile, nameBestSampled}, {nameMobile, nameAnyNetwork}, {nameMobile, nameGenerations}, {nameThompson, nameMobile}, {nameThompson, nameGenerations}},
	})
}

// The columns of accuracies in ImageNet's scale, and beside it.
var (
	byModel = report.Column{Header: "ImageNet top-1 by the model", Unit: "%", Value: "accuracy_mean", StdDev: "accuracy_std", Digits: 2, Better: report.Higher,
		Shows: "accuracy of the network found", About: "accuracy of the network found, by the model of measured networks; mean ± standard deviation over the seeds."}
	modelError = report.Column{Header: "error of the model", Unit: "%", Value: "model_error", Digits: 2,
		About: "mean error on measured networks of about as many multiply-adds."}
	byPredictor = report.Column{Header: "by OFA's predictor of width 1.2", Unit: "%", Value: "predictor_mean", StdDev: "predictor_std", Digits: 2, Better: report.Higher,
		About: "accuracy of the network found, by the predictor that OFA's authors published for a wider supernet."}
)

var table2 = Entry{
	compare: Table2,
	data:    onImageNet,
	beside:  datasets.OFAPredictor,
	Columns: withOrder([]report.Column{byModel, report.Top1, modelError, byPredictor, report.Best, report.KTau, report.Top5, report.MAdds, report.Queries}),
	Figures: func(r report.Result) []report.Figure {
		return []report.Figure{{Name: "accuracy", Chart: r.Chart(byModel)}}
	},
}
