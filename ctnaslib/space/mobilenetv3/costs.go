package mobilenetv3

import (
	"fmt"
	"slices"
)

// Skeleton is what all networks of a space have in common.
type Skeleton struct {
	Width      float64        // multiplier of every layer's channels
	Resolution int            // of the images, in pixels
	Classes    int            // outputs
	Strides    [Units + 1]int // of the stem, and of the first block of each unit
}

// OFA returns the skeleton of OFA's published supernet for ImageNet of width 1.2, which its accuracy predictor is of.
func OFA() Skeleton {
	return Skeleton{Width: 1.2, Resolution: 224, Classes: 1000, Strides: [...]int{2, 2, 2, 2, 1, 2}}
}

// OFAWidth1 returns the skeleton of OFA's published supernet for ImageNet of width 1.0.
func OFAWidth1() Skeleton {
	s := OFA()
	s.Width = 1
	return s
}

// Check reports what is wrong with the skeleton.
func (s Skeleton) Check() error {
	const maxWidth, maxResolution, maxClasses = 64, 8192, 1 << 20 // so that multiply-adds are no more than an int64 holds
	if !(s.Width > 0 && s.Width <= maxWidth) || s.Resolution < 1 || s.Resolution > maxResolution || s.Classes < 1 || s.Classes > maxClasses {
		return fmt.Errorf("mobilenetv3: width, resolution and classes must be positive and at most %d, %d and %d, not %g, %d and %d", maxWidth, maxResolution, maxClasses, s.Width, s.Resolution, s.Classes)
	}
	for _, stride := range s.Strides {
		if stride < 1 || stride > 2 {
			return fmt.Errorf("mobilenetv3: strides must be 1 or 2, not %v", s.Strides)
		}
	}
	return nil
}

// The channels of MobileNetV3-Large (Howard et al., ICCV 2019, Table 1): of the stem and the first block, of the five
// units, and of the last two layers.
var (
	stemChannels = 16
	unitChannels = [Units]int{24, 40, 80, 112, 160}
	lastChannels = [2]int{960, 1280}
)

// Activation is a layer's non-linearity.
type Activation int

const (
	Linear    Activation = iota
	ReLU                 // max(x, 0)
	HardSwish            // x·min(max(x+3, 0), 6)/6
)

// unitOptions are what MobileNetV3-Large chooses for each unit (its Table 1, as OFA groups it into units).
type unitOptions struct {
	squeeze    bool // squeeze-and-excitation in every block
	activation Activation
}

var options = [Units]unitOptions{{false, ReLU}, {true, ReLU}, {false, HardSwish}, {true, HardSwish}, {true, HardSwish}}

// Divisible rounds a number of channels to a multiple of 8, upwards where rounding down would lose more than a tenth:
// make_divisible of the MobileNet papers' code.
func Divisible(channels float64) int {
	n := max(8, int(channels+4)/8*8)
	if float64(n) < 0.9*channels {
		n += 8
	}
	return n
}

// Channels are the channels that the skeleton gives every network.
type Channels struct {
	Stem  int // outputs of the stem and of the first, fixed block
	Units [Units]int
	Final int // of the 1×1 convolution before pooling
	Mix   int // of the 1×1 convolution after pooling
}

// Channels returns the channels of the skeleton's networks.
func (s Skeleton) Channels() Channels {
	scaled := func(channels int) int { return Divisible(float64(channels) * s.Width) }
	c := Channels{Stem: scaled(stemChannels), Final: scaled(lastChannels[0]), Mix: scaled(lastChannels[1])}
	for u, channels := range unitChannels {
		c.Units[u] = scaled(channels)
	}
	return c
}

// Bottleneck is an inverted-bottleneck block of a network: a 1×1 convolution to Middle channels, a depthwise
// convolution, squeeze-and-excitation if Squeeze is not 0, and a 1×1 convolution to Out channels; with batch norm
// after each convolution, and the input added to the output where both have the same shape.
type Bottleneck struct {
	In, Middle, Out int // channels; without the first convolution if In = Middle
	Kernel, Stride  int // of the depthwise convolution
	Squeeze         int // channels of the squeezed image, 0 for none
	Activation      Activation
	Size            int // of the input, in pixels
}

// OutSize returns the size of the output, in pixels.
func (b Bottleneck) OutSize() int { return halved(b.Size, b.Stride) }

// Residual says whether the input is added to the output.
func (b Bottleneck) Residual() bool { return b.Stride == 1 && b.In == b.Out }

// Squeezed returns the number of channels into which squeeze-and-excitation squeezes.
func Squeezed(channels int) int { return Divisible(float64(channels / 4)) }

// Bottleneck returns block i of a unit, both counted from 0, with the choices of b.
func (s Skeleton) Bottleneck(unit, i int, b Block) Bottleneck {
	c := s.Channels()
	in, size := c.Stem, halved(s.Resolution, s.Strides[0])
	for u := range unit {
		in, size = c.Units[u], halved(size, s.Strides[u+1])
	}
	out := Bottleneck{In: in, Size: size, Out: c.Units[unit], Kernel: b.Kernel, Stride: s.Strides[unit+1], Activation: options[unit].activation}
	if i > 0 {
		out.In, out.Size, out.Stride = out.Out, out.OutSize(), 1
	}
	out.Middle = Divisible(float64(out.In * b.Expansion))
	if options[unit].squeeze {
		out.Squeeze = Squeezed(out.Middle)
	}
	return out
}

// First returns the fixed block before the units.
func (s Skeleton) First() Bottleneck {
	c := s.Channels().Stem
	return Bottleneck{In: c, Middle: c, Out: c, Kernel: 3, Stride: 1, Activation: ReLU, Size: halved(s.Resolution, s.Strides[0])}
}

func halved(size, stride int) int { return (size + stride - 1) / stride }

// Cost is what a network or a part of it costs.
type Cost struct {
	MAdds  int64 // multiply-adds of one image in convolutions and linear layers
	Params int64 // trainable parameters
}

func (c *Cost) add(other Cost) { c.MAdds += other.MAdds; c.Params += other.Params }

// conv returns the cost of a convolution, with scale and shift of batch norm for each output if norm.
func conv(in, out, kernel, groups, size int, norm bool) Cost {
	weights := int64(in / groups * out * kernel * kernel)
	c := Cost{MAdds: weights * int64(size*size), Params: weights}
	if norm {
		c.Params += 2 * int64(out)
	}
	return c
}

// Cost returns the cost of the block.
func (b Bottleneck) Cost() Cost {
	var c Cost
	if b.In != b.Middle {
		c.add(conv(b.In, b.Middle, 1, 1, b.Size, true))
	}
	c.add(conv(b.Middle, b.Middle, b.Kernel, b.Middle, b.OutSize(), true))
	if b.Squeeze > 0 {
		c.add(linear(b.Middle, b.Squeeze))
		c.add(linear(b.Squeeze, b.Middle))
	}
	c.add(conv(b.Middle, b.Out, 1, 1, b.OutSize(), true))
	return c
}

// linear returns the cost of a linear layer with bias.
func linear(in, out int) Cost {
	return Cost{MAdds: int64(in * out), Params: int64(in*out + out)}
}

// fixed returns the cost of what every network has: stem, first block, and the layers after the units.
func (s Skeleton) fixed() Cost {
	c := s.Channels()
	size := halved(s.Resolution, s.Strides[0])
	cost := conv(3, c.Stem, 3, 1, size, true)
	cost.add(s.First().Cost())
	for _, stride := range s.Strides[1:] {
		size = halved(size, stride)
	}
	cost.add(conv(c.Units[Units-1], c.Final, 1, 1, size, true))
	cost.add(conv(c.Final, c.Mix, 1, 1, 1, false))
	cost.add(linear(c.Mix, s.Classes))
	return cost
}

// Cost returns the cost of a network.
func (s Skeleton) Cost(n Net) Cost {
	cost := s.fixed()
	for u := range Units {
		for i, b := range n.Blocks(u) {
			cost.add(s.Bottleneck(u, i, b).Cost())
		}
	}
	return cost
}

// MAdds returns the multiply-adds of a network for one image: of its convolutions and linear layers, those of
// squeeze-and-excitation included, but not of batch norm, activations and biases.
func (s Skeleton) MAdds(n Net) int64 { return s.Cost(n).MAdds }

// Range returns the least and the largest number of multiply-adds of a network.
func (s Skeleton) Range() (least, most int64) {
	least, most = s.fixed().MAdds, s.fixed().MAdds
	for u := range Units {
		for i := range MaxDepth {
			var madds []int64
			for _, b := range allBlocks {
				madds = append(madds, s.Bottleneck(u, i, b).Cost().MAdds)
			}
			most += slices.Max(madds)
			if i < MinDepth {
				least += slices.Min(madds)
			}
		}
	}
	return least, most
}
