package darts

// Cost is what a network built from a genotype costs. The auxiliary head, which only training uses, is left out.
type Cost struct {
	// Params is the number of trainable parameters: the convolutions' weights, the scales and shifts of batch norm,
	// and the classifier.
	Params int

	// MAdds is the number of multiply-adds for one image, in convolutions and the classifier. Batch norm, pooling,
	// ReLU and sums are not counted.
	MAdds int
}

// CIFARCost returns the cost of the network for CIFAR-10 (quark0/darts, cnn/model.py, NetworkCIFAR, as cnn/train.py
// makes it): 20 cells, 36 channels, 10 classes, images of 32×32 pixels.
func (g Genotype) CIFARCost() Cost {
	const channels, side = 36, 32
	var n network
	n.conv(3, 3, 3*channels, 1, side)
	n.cells(g, 20, channels, [2]source{{3 * channels, side}, {3 * channels, side}}, 10)
	return n.cost
}

// ImageNetCost returns the cost of the network for ImageNet in the mobile setting (quark0/darts, cnn/model.py,
// NetworkImageNet, as cnn/train_imagenet.py makes it): 14 cells, 48 channels, 1,000 classes, images of 224×224
// pixels.
func (g Genotype) ImageNetCost() Cost {
	const channels, side = 48, 224
	var n network
	n.conv(3, 3, channels/2, 1, side/2)
	n.conv(3, channels/2, channels, 1, side/4)
	n.conv(3, channels, channels, 1, side/8)
	n.cells(g, 14, channels, [2]source{{channels, side / 4}, {channels, side / 8}}, 1000)
	return n.cost
}

// network counts the costs of a network while it is built.
type network struct{ cost Cost }

// source is what a cell reads.
type source struct{ channels, side int }

// conv adds a k×k convolution in groups, without bias, with an output of side×side pixels, and its batch norm.
func (n *network) conv(k, in, out, groups, side int) {
	n.weights(k, in, out, groups, side)
	n.cost.Params += 2 * out
}

// weights adds a convolution without batch norm.
func (n *network) weights(k, in, out, groups, side int) {
	w := k * k * in / groups * out
	n.cost.Params += w
	n.cost.MAdds += w * side * side
}

// cells adds the body of the network, after its stem, and the classifier.
func (n *network) cells(g Genotype, cells, channels int, sources [2]source, classes int) {
	for i := range cells {
		kind := normal
		side := sources[1].side
		if i == cells/3 || i == 2*cells/3 {
			kind = reduce
			channels *= 2
			side /= 2
		}
		// The inputs are brought to the cell's channels by a 1×1 convolution. Where the first is of twice the side of
		// the second, two of half the channels and stride 2 do that (FactorizedReduce), at the same cost for each
		// output.
		for _, s := range sources {
			n.conv(1, s.channels, channels, 1, sources[1].side)
		}
		for _, node := range g.cells[kind] {
			for _, e := range node {
				n.operation(e.Op, channels, side, kind == reduce && e.From < Inputs)
			}
		}
		sources = [2]source{sources[1], {Nodes * channels, side}}
	}
	features := sources[1].channels
	n.cost.Params += features*classes + classes
	n.cost.MAdds += features * classes
}

// operation adds an operation with an output of side×side pixels.
func (n *network) operation(op Op, channels, side int, strided bool) {
	switch op {
	case SkipConnect:
		if strided { // a FactorizedReduce
			n.conv(1, channels, channels, 1, side)
		}
	case SepConv3x3, SepConv5x5: // twice depthwise and pointwise
		for range 2 {
			n.separable(map[Op]int{SepConv3x3: 3, SepConv5x5: 5}[op], channels, side)
		}
	case DilConv3x3, DilConv5x5:
		n.separable(map[Op]int{DilConv3x3: 3, DilConv5x5: 5}[op], channels, side)
	}
}

// separable adds a depthwise k×k and a pointwise convolution with one batch norm.
func (n *network) separable(k, channels, side int) {
	n.weights(k, channels, channels, channels, side)
	n.conv(1, channels, channels, 1, side)
}
