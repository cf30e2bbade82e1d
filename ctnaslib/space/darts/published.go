package darts

// The genotypes that their authors published, by the names of their code.
var (
	// DARTSV1 is DARTS_V1, found by DARTS with first-order gradients (quark0/darts, cnn/genotypes.py).
	DARTSV1 = published(
		Cell{
			{{SepConv3x3, 1}, {SepConv3x3, 0}}, {{SkipConnect, 0}, {SepConv3x3, 1}},
			{{SkipConnect, 0}, {SepConv3x3, 1}}, {{SepConv3x3, 0}, {SkipConnect, 2}},
		}, Cell{
			{{MaxPool3x3, 0}, {MaxPool3x3, 1}}, {{SkipConnect, 2}, {MaxPool3x3, 0}},
			{{MaxPool3x3, 0}, {SkipConnect, 2}}, {{SkipConnect, 2}, {AvgPool3x3, 0}},
		})

	// DARTSV2 is DARTS_V2, found by DARTS with second-order gradients (the same file).
	DARTSV2 = published(
		Cell{
			{{SepConv3x3, 0}, {SepConv3x3, 1}}, {{SepConv3x3, 0}, {SepConv3x3, 1}},
			{{SepConv3x3, 1}, {SkipConnect, 0}}, {{SkipConnect, 0}, {DilConv3x3, 2}},
		}, Cell{
			{{MaxPool3x3, 0}, {MaxPool3x3, 1}}, {{SkipConnect, 2}, {MaxPool3x3, 1}},
			{{MaxPool3x3, 0}, {SkipConnect, 2}}, {{SkipConnect, 2}, {MaxPool3x3, 1}},
		})

	// PDARTS was found by P-DARTS on CIFAR-10 (chenxin061/pdarts, genotypes.py). It is of another run than the one in
	// the paper, as the README there says.
	PDARTS = published(
		Cell{
			{{SkipConnect, 0}, {DilConv3x3, 1}}, {{SkipConnect, 0}, {SepConv3x3, 1}},
			{{SepConv3x3, 1}, {SepConv3x3, 3}}, {{SepConv3x3, 0}, {DilConv5x5, 4}},
		}, Cell{
			{{AvgPool3x3, 0}, {SepConv5x5, 1}}, {{SepConv3x3, 0}, {DilConv5x5, 2}},
			{{MaxPool3x3, 0}, {DilConv3x3, 1}}, {{DilConv3x3, 1}, {DilConv5x5, 3}},
		})

	// PCDARTS is PC_DARTS_cifar, found by PC-DARTS on CIFAR-10 (yuhuixu1993/PC-DARTS, genotypes.py).
	PCDARTS = published(
		Cell{
			{{SepConv3x3, 1}, {SkipConnect, 0}}, {{SepConv3x3, 0}, {DilConv3x3, 1}},
			{{SepConv5x5, 0}, {SepConv3x3, 1}}, {{AvgPool3x3, 0}, {DilConv3x3, 1}},
		}, Cell{
			{{SepConv5x5, 1}, {MaxPool3x3, 0}}, {{SepConv5x5, 1}, {SepConv5x5, 2}},
			{{SepConv3x3, 0}, {SepConv3x3, 3}}, {{SepConv3x3, 1}, {SepConv3x3, 2}},
		})

	// PCDARTSImage is PC_DARTS_image, found by PC-DARTS on ImageNet (the same file).
	PCDARTSImage = published(
		Cell{
			{{SkipConnect, 1}, {SepConv3x3, 0}}, {{SepConv3x3, 0}, {SkipConnect, 1}},
			{{SepConv3x3, 1}, {SepConv3x3, 3}}, {{SepConv3x3, 1}, {DilConv5x5, 4}},
		}, Cell{
			{{SepConv3x3, 0}, {SkipConnect, 1}}, {{DilConv5x5, 2}, {MaxPool3x3, 1}},
			{{SepConv3x3, 2}, {SepConv3x3, 1}}, {{SepConv5x5, 0}, {SepConv3x3, 3}},
		})

	// CNAS was found by CNAS, curriculum search (guoyongcs/CNAS, cnas/model/genotypes.py).
	CNAS = published(
		Cell{
			{{DilConv3x3, 1}, {SepConv3x3, 0}}, {{SepConv3x3, 0}, {SkipConnect, 1}},
			{{SepConv3x3, 1}, {MaxPool3x3, 3}}, {{SepConv3x3, 2}, {SepConv3x3, 4}},
		}, Cell{
			{{SepConv3x3, 0}, {SkipConnect, 1}}, {{DilConv5x5, 2}, {SkipConnect, 1}},
			{{DilConv3x3, 2}, {SepConv3x3, 1}}, {{SepConv5x5, 0}, {SepConv3x3, 3}},
		})
)

func published(normal, reduce Cell) Genotype {
	g, err := New(normal, reduce)
	if err != nil {
		panic(err) // a test compares them with their published texts
	}
	return g
}
