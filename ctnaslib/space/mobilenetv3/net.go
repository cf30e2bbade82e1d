// Package mobilenetv3 is the MobileNetV3-like search space of the paper's ImageNet experiments (Sec. 5.2), that of
// Once-for-All (OFA; Cai et al., ICLR 2020): five units of two to four inverted-bottleneck blocks, each with a kernel
// of 3, 5 or 7 and an expansion of 3, 4 or 6. It has (9² + 9³ + 9⁴)⁵ ≈ 2·10¹⁹ networks.
//
//	s, err := mobilenetv3.New(mobilenetv3.OFA(), 600e6) // at most 600M multiply-adds
//	net := s.Sample(rng).(mobilenetv3.Net)
//	s.MAdds(net)  // multiply-adds at the skeleton's resolution
//	net.Vector()  // the 120 numbers that the authors' comparator reads
package mobilenetv3

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ctnas/ctnas/ctnaslib/space"
)

// The limits of the space.
const (
	Units    = 5
	MinDepth = 2 // blocks of a unit
	MaxDepth = 4
	NumBlock = Units * MaxDepth // blocks of the deepest network
)

// Kernels are the sizes of a block's depthwise convolution, Expansions its middle channels per input channel.
var (
	Kernels    = [3]int{3, 5, 7}
	Expansions = [3]int{3, 4, 6}
)

// Block is what a network chooses of an inverted-bottleneck block.
type Block struct {
	Kernel    int // one of [Kernels]
	Expansion int // one of [Expansions]
}

// allBlocks are the nine blocks that there are: those of the smallest kernel first.
var allBlocks = func() (all []Block) {
	for _, k := range Kernels {
		for _, e := range Expansions {
			all = append(all, Block{k, e})
		}
	}
	return all
}()

// Net is a network of the space. A Net made by this package is valid. Nets are comparable with ==, immutable and safe
// for concurrent use. The zero Net is not a network.
type Net struct {
	blocks [Units][MaxDepth]Block // zero beyond a unit's depth
}

var _ space.Vector = Net{}

// NewNet makes a network from the blocks of its five units. The error names what is not of the space.
func NewNet(units [][]Block) (Net, error) {
	var n Net
	if len(units) != Units {
		return n, fmt.Errorf("mobilenetv3: a network has %d units, not %d", Units, len(units))
	}
	for u, blocks := range units {
		if len(blocks) < MinDepth || len(blocks) > MaxDepth {
			return Net{}, fmt.Errorf("mobilenetv3: unit %d has %d blocks; it may have %d to %d", u+1, len(blocks), MinDepth, MaxDepth)
		}
		for i, b := range blocks {
			if !slices.Contains(allBlocks, b) {
				return Net{}, fmt.Errorf("mobilenetv3: block %d of unit %d has kernel %d and expansion %d; there are kernels of %v and expansions of %v", i+1, u+1, b.Kernel, b.Expansion, Kernels, Expansions)
			}
			n.blocks[u][i] = b
		}
	}
	return n, nil
}

// Uniform returns the network whose units all have depth blocks, each of them b. The error says that they are not of
// the space.
func Uniform(depth int, b Block) (Net, error) {
	unit := slices.Repeat([]Block{b}, max(0, depth))
	return NewNet([][]Block{unit, unit, unit, unit, unit})
}

// FromOFA makes a network from the lists of OFA's code: the depths of the units, and a kernel and an expansion for
// each of 20 blocks, four in a unit. Those beyond a unit's depth mean nothing. The error names what is not of the
// space.
func FromOFA(depths, kernels, expansions []int) (Net, error) {
	if len(depths) != Units || len(kernels) != NumBlock || len(expansions) != NumBlock {
		return Net{}, fmt.Errorf("mobilenetv3: OFA's lists have %d depths, %d kernels and %d expansions, not %d, %d and %d",
			Units, NumBlock, NumBlock, len(depths), len(kernels), len(expansions))
	}
	units := make([][]Block, Units)
	for u, d := range depths {
		if d < MinDepth || d > MaxDepth {
			return Net{}, fmt.Errorf("mobilenetv3: unit %d has a depth of %d; it may be %d to %d", u+1, d, MinDepth, MaxDepth)
		}
		for i := u * MaxDepth; i < u*MaxDepth+d; i++ {
			units[u] = append(units[u], Block{kernels[i], expansions[i]})
		}
	}
	return NewNet(units)
}

// Blocks returns the blocks of a unit, counted from 0, in their order.
func (n Net) Blocks(unit int) []Block {
	blocks := n.blocks[unit]
	depth := slices.Index(blocks[:], Block{})
	if depth < 0 {
		depth = MaxDepth
	}
	return blocks[:depth]
}

// ID returns the text of the network: two networks of different choices are never equal.
func (n Net) ID() string { return n.String() }

// String returns the text that [Parse] reads: of each block its kernel and expansion, such as "5x6", the units
// separated by bars: "3x3,3x4|7x6,5x6,3x3|…".
func (n Net) String() string {
	var units [Units]string
	for u := range Units {
		var blocks []string
		for _, b := range n.Blocks(u) {
			blocks = append(blocks, fmt.Sprintf("%dx%d", b.Kernel, b.Expansion))
		}
		units[u] = strings.Join(blocks, ",")
	}
	return strings.Join(units[:], "|")
}

// Parse reads what [Net.String] wrote. The error names what is wrong in it.
func Parse(text string) (Net, error) {
	var units [][]Block
	for _, unit := range strings.Split(text, "|") {
		var blocks []Block
		for _, word := range strings.Split(unit, ",") {
			kernel, expansion, ok := strings.Cut(word, "x")
			k, err1 := strconv.Atoi(kernel)
			e, err2 := strconv.Atoi(expansion)
			if !ok || err1 != nil || err2 != nil {
				return Net{}, fmt.Errorf("mobilenetv3: %q is no block; write its kernel and expansion, such as 5x6", word)
			}
			blocks = append(blocks, Block{k, e})
		}
		units = append(units, blocks)
	}
	return NewNet(units)
}

// The operations of a [space.Graph]: input and output, and for every unit one of each choice of a block. So a node
// also says at which resolution and width it stands, which the chain of blocks alone does not.
const (
	opInput  = 1
	opBlock  = 2 // plus 9·unit + index in allBlocks
	opOutput = opBlock + 9*Units
	numOps   = opOutput + 1
)

// Graph returns the chain of the network's blocks, between an input and an output.
func (n Net) Graph() space.Graph {
	g := space.Graph{Ops: []int{opInput}}
	for u := range Units {
		for _, b := range n.Blocks(u) {
			g.Edges = append(g.Edges, [2]int{len(g.Ops) - 1, len(g.Ops)})
			g.Ops = append(g.Ops, opBlock+9*u+slices.Index(allBlocks, b))
		}
	}
	g.Edges = append(g.Edges, [2]int{len(g.Ops) - 1, len(g.Ops)})
	g.Ops = append(g.Ops, opOutput)
	return g
}

// Features is the length of [Net.Vector].
const Features = 2 * 3 * NumBlock

// Vector returns what the authors' comparator reads: the kernels of all 20 places for a block, one-hot, then their
// expansions likewise; all zeros where there is no block.
func (n Net) Vector() []float32 {
	v := make([]float32, Features)
	for u := range Units {
		for i, b := range n.Blocks(u) {
			at := 3 * (u*MaxDepth + i)
			v[at+indexOf(Kernels, b.Kernel)] = 1
			v[Features/2+at+indexOf(Expansions, b.Expansion)] = 1
		}
	}
	return v
}

// Counts returns, for the network and then for each unit, the number of blocks of each kernel and of each
// expansion.
func (n Net) Counts() []float32 {
	counts := make([]float32, 6*(1+Units))
	for u := range Units {
		for _, b := range n.Blocks(u) {
			for _, from := range []int{0, 6 * (1 + u)} {
				counts[from+indexOf(Kernels, b.Kernel)]++
				counts[from+3+indexOf(Expansions, b.Expansion)]++
			}
		}
	}
	return counts
}

func indexOf(values [3]int, v int) int { return slices.Index(values[:], v) }
