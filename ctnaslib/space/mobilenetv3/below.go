package mobilenetv3

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"sync"
)

// choices describe random networks, whose depths and blocks are drawn independently of each other.
type choices struct {
	depths [Units][MaxDepth + 1]float64 // probability of each depth
	blocks [Units][MaxDepth][]option
}

// option is one of the blocks that a network may have at some point.
type option struct {
	block       Block
	probability float64
	above       int64 // multiply-adds above the cheapest option at that point
}

// below draws networks from choices, given that they keep to the limit of a space. It adds up multiply-adds above the
// smallest network, in grains, each choice rounded down. So it never misses a network that fits, but proposes some
// that do not, which draw refuses.
//
// Those are few. A network makes at most 25 choices, so one that does not fit makes a choice that costs more than 1/25
// of the room that the limit leaves, far more than all roundings together. With the cheapest option instead it fits,
// and at most 170 networks become the same one in this way, each no more likely than that one.
//
// It does not change once it is made, and is safe for concurrent use.
type below struct {
	choices
	space       Space
	deep        [Units][MaxDepth + 1]int64 // multiply-adds of a depth above the cheapest, with the cheapest blocks
	grain       int64
	probability float64 // that a draw from choices is proposed

	// The probability that what comes after a point takes at most so many grains: after the units before one, and
	// after the blocks before one of a unit of some depth.
	units  [Units + 1][]float64
	places [Units][MaxDepth + 1][MaxDepth + 1][]float64
}

// grains is how finely what a limit leaves above the smallest network is counted.
const grains = 4096

// newBelow returns nil if none of the choices keeps to the limit.
func newBelow(s Space, c choices) *below {
	b := &below{choices: c, space: s}
	smallest := s.fixed().MAdds
	for u := range Units {
		var sum int64 // of the cheapest blocks
		cheapest := int64(-1)
		for d := 1; d <= MaxDepth; d++ {
			if b.blocks[u][d-1] != nil {
				sum += b.fromCheapest(u, d-1)
			}
			b.deep[u][d] = sum
			if b.depths[u][d] > 0 && cheapest < 0 { // a deeper unit costs more
				cheapest = sum
			}
		}
		for d := range b.deep[u] {
			b.deep[u][d] -= cheapest
		}
		smallest += cheapest
	}
	room := s.limit - smallest
	if room < 0 {
		return nil
	}
	b.grain = max(1, room/grains)
	size := int(room/b.grain) + 1
	b.units[Units] = make([]float64, size)
	for r := range size {
		b.units[Units][r] = 1
	}
	for u := Units - 1; u >= 0; u-- {
		b.units[u] = make([]float64, size)
		for d, p := range b.depths[u] {
			if p == 0 {
				continue
			}
			b.places[u][d][d] = b.units[u+1]
			for i := d - 1; i >= 0; i-- {
				b.places[u][d][i] = make([]float64, size)
				for _, o := range b.blocks[u][i] {
					b.add(b.places[u][d][i], o.probability, o.above, b.places[u][d][i+1])
				}
			}
			b.add(b.units[u], p, b.deep[u][d], b.places[u][d][0])
		}
	}
	b.probability = b.units[0][size-1]
	return b
}

// fromCheapest makes what the options of a block cost relative to the cheapest of them, which it returns.
func (b *below) fromCheapest(unit, i int) int64 {
	options := b.blocks[unit][i]
	cheapest := slices.MinFunc(options, func(a, b option) int { return cmp.Compare(a.above, b.above) }).above
	for k := range options {
		options[k].above -= cheapest
	}
	return cheapest
}

// add adds to a table what a choice contributes after which another table counts. The conversion keeps the sums the
// same on every processor: it forbids fused operations.
func (b *below) add(to []float64, p float64, above int64, from []float64) {
	if above/b.grain >= int64(len(to)) {
		return
	}
	n := int(above / b.grain)
	for r, rest := range from[:len(to)-n] {
		to[r+n] += float64(p * rest)
	}
}

// draw draws a network that keeps to the limit.
func (b *below) draw(rng *rand.Rand) Net {
	for {
		if n := b.propose(rng); b.space.Contains(n) {
			return n
		}
	}
}

func (b *below) propose(rng *rand.Rand) Net {
	var n Net
	left := int64(len(b.units[0]) - 1)
	for u := range Units {
		d := pick(rng, MaxDepth+1, func(d int) float64 {
			return b.weight(b.depths[u][d], b.deep[u][d], b.places[u][d][0], left)
		})
		left -= b.deep[u][d] / b.grain
		for i := range d {
			options := b.blocks[u][i]
			k := pick(rng, len(options), func(k int) float64 {
				return b.weight(options[k].probability, options[k].above, b.places[u][d][i+1], left)
			})
			left -= options[k].above / b.grain
			n.blocks[u][i] = options[k].block
		}
	}
	return n
}

// weight returns the probability of a choice and of a rest that fits.
func (b *below) weight(p float64, above int64, after []float64, left int64) float64 {
	if p == 0 || above/b.grain > left {
		return 0
	}
	return p * after[left-above/b.grain]
}

// pick draws one of 0 … n−1 in proportion to its weight.
func pick(rng *rand.Rand, n int, weight func(int) float64) int {
	total := 0.0
	for k := range n {
		total += weight(k)
	}
	at, picked := total*rng.Float64(), 0
	for k := range n {
		if w := weight(k); w > 0 {
			picked = k
			if at -= w; at < 0 {
				break
			}
		}
	}
	return picked
}

// choices of every network: depths, kernels and expansions are uniform.
func (s Space) choices() choices {
	var c choices
	for u := range Units {
		for d := MinDepth; d <= MaxDepth; d++ {
			c.depths[u][d] = 1. / (MaxDepth - MinDepth + 1)
		}
		for i := range MaxDepth {
			for _, b := range allBlocks {
				c.blocks[u][i] = append(c.blocks[u][i], option{b, 1 / float64(len(allBlocks)), s.Bottleneck(u, i, b).Cost().MAdds})
			}
		}
	}
	return c
}

// below of the choices of every network.
func (s Space) below() *below {
	b, _ := belows.LoadOrStore(s, sync.OnceValue(func() *below { return newBelow(s, s.choices()) }))
	return b.(func() *below)()
}

var belows sync.Map // of Space: func() *below
