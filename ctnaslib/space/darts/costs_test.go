package darts

import (
	"math"
	"testing"
)

// The exact costs are those of the authors' code (quark0/darts at f276dd3,
// cnn/model.py), run without its auxiliary head on layers that only count: for each
// convolution its weights and its weights times its output's pixels, for batch norm
// two parameters a channel, and for the classifier its weights.
//
// The published ones are the papers': DARTS (Tables 1 and 3), P-DARTS (1 and 2),
// PC-DARTS (1 and 2), CNAS (2 and 3); parameters in millions, and multiply-adds in
// millions for ImageNet.
var costs = map[string]struct {
	cifar, imagenet Cost

	cifarParams, imagenetParams, imagenetMAdds float64 // published; 0 where there is no number

	// The values that batch norm and ReLU compute in the ImageNet network.
	batchNorm, relu int
}{
	"DARTS_V1":       {Cost{3_169_414, 500_987_520}, Cost{4_510_432, 505_864_704}, 0, 0, 0, 3_876_096, 5_531_904},
	"DARTS_V2":       {Cost{3_349_342, 528_359_040}, Cost{4_718_752, 529_911_552}, 3.3, 4.7, 0, 4_139_520, 5_795_328},
	"PDARTS":         {Cost{3_433_798, 532_174_464}, Cost{4_944_352, 542_819_328}, 3.4, 4.9, 557, 4_101_888, 6_096_384},
	"PC_DARTS_cifar": {Cost{3_634_678, 556_670_592}, Cost{5_270_560, 571_137_408}, 3.6, 5.3, 586, 4_271_232, 6_265_728},
	"PC_DARTS_image": {Cost{3_721_510, 570_466_944}, Cost{5_342_464, 581_627_328}, 0, 5.3, 597, 4_478_208, 6_472_704},
	"CNAS":           {Cost{3_695_374, 564_024_960}, Cost{5_318_368, 577_158_528}, 3.7, 5.3, 576, 4_478_208, 6_557_376},
}

func TestCosts(t *testing.T) {
	for name, want := range costs {
		g := publishedTexts[name].genotype
		if got := g.CIFARCost(); got != want.cifar {
			t.Errorf("%s: the network for CIFAR-10 costs %v, want %v", name, got, want.cifar)
		}
		if got := g.ImageNetCost(); got != want.imagenet {
			t.Errorf("%s: the network for ImageNet costs %v, want %v", name, got, want.imagenet)
		}
	}
}

// All published numbers of parameters are ours, rounded to a tenth of a million.
//
// One is not: DARTS with first-order gradients is stated to have 3.3 M, and DARTS_V1 has
// 3.17 M by the authors' own code. The paper's number is of a genotype that they did
// not publish, as their README reports several runs; it is left out here.
func TestPublishedParams(t *testing.T) {
	for name, p := range costs {
		g := publishedTexts[name].genotype
		check := func(network string, params int, published float64) {
			if published != 0 && math.Abs(float64(params)/1e6-published) > 0.05 {
				t.Errorf("%s on %s: %d parameters, published %.1f M", name, network, params, published)
			}
		}
		check("CIFAR-10", g.CIFARCost().Params, p.cifarParams)
		check("ImageNet", g.ImageNetCost().Params, p.imagenetParams)
	}
}

// CNAS counts as we do. P-DARTS and PC-DARTS are stated to have 2.6 % more. That is
// exactly what counting two operations for each value of batch norm and one for each
// of ReLU adds, as the usual counter for PyTorch did then (thop): with it, we agree to
// 0.1 %.
//
// DARTS_V2 is stated to have 574 M, which is 8 % more than our 530 M and 5.5 % more than
// the 544 M of that counter, although its 4.7 M parameters agree. Its authors did not
// publish how they counted, so that number is left out here.
func TestPublishedMAdds(t *testing.T) {
	for name, p := range costs {
		if p.imagenetMAdds == 0 {
			continue
		}
		madds := float64(publishedTexts[name].genotype.ImageNetCost().MAdds) / 1e6
		tolerance := 0.02
		if name != "CNAS" {
			madds += float64(2*p.batchNorm+p.relu) / 1e6
			tolerance = 0.001
		}
		if math.Abs(madds/p.imagenetMAdds-1) > tolerance {
			t.Errorf("%s: %.1f M multiply-adds, published %.0f M", name, madds, p.imagenetMAdds)
		}
	}
}
