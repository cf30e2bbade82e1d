package mobilenetv3

import (
	"fmt"
	"math/rand/v2"

	"github.com/ctnas/ctnas/ctnaslib/space"
)

// Space is the set of networks of a skeleton with at most so many multiply-adds. It is comparable with ==, safe for
// concurrent use, and made by [New].
type Space struct {
	Skeleton
	limit int64
}

var (
	_ space.Space    = Space{}
	_ space.Featured = Space{}
	_ space.Crossing = Space{}
)

// New returns the space of a skeleton's networks with at most limit multiply-adds for one image; 0 is no limit. The
// error says what is wrong with the skeleton, or that the limit leaves no network.
func New(s Skeleton, limit int64) (Space, error) {
	if err := s.Check(); err != nil {
		return Space{}, err
	}
	if least, _ := s.Range(); limit != 0 && limit < least {
		return Space{}, fmt.Errorf("mobilenetv3: a limit of %d multiply-adds is too small: the smallest network has %d", limit, least)
	}
	return Space{s, limit}, nil
}

// Limit returns the largest number of multiply-adds of a network, 0 for none.
func (s Space) Limit() int64 { return s.limit }

// Contains says whether a network keeps to the limit.
func (s Space) Contains(n Net) bool { return s.limit == 0 || s.MAdds(n) <= s.limit }

// Name returns "mobilenetv3" with the width, the resolution and the limit, such as "mobilenetv3 ×1.2 at 224, at most 600M".
func (s Space) Name() string {
	name := fmt.Sprintf("mobilenetv3 ×%g at %d", s.Width, s.Resolution)
	if s.limit > 0 {
		name += fmt.Sprintf(", at most %gM", float64(s.limit)/1e6)
	}
	return name
}

// Nodes returns 22: input, output and at most 20 blocks.
func (Space) Nodes() int { return NumBlock + 2 }

// Ops returns 48: padding, input, 9 choices of a block in each of 5 units, output.
func (Space) Ops() int { return numOps }

// Features returns 120; see [Net.Vector].
func (Space) Features() int { return Features }

// rare is the probability to keep to the limit below which it is not left to chance.
const rare = 1e-3

// Sample draws each depth, kernel and expansion uniformly, as OFA and the authors do, given that the network keeps to
// the limit. So a network of few blocks is more likely than one of many, of which there are more.
func (s Space) Sample(rng *rand.Rand) space.Arch {
	if s.limit == 0 {
		return randomNet(rng)
	}
	if b := s.below(); b.probability < rare {
		return b.draw(rng)
	}
	for {
		if n := randomNet(rng); s.Contains(n) {
			return n
		}
	}
}

func randomNet(rng *rand.Rand) Net {
	var n Net
	for u := range Units {
		for i := range MinDepth + rng.IntN(MaxDepth-MinDepth+1) {
			n.blocks[u][i] = randomBlock(rng)
		}
	}
	return n
}

func randomBlock(rng *rand.Rand) Block {
	return Block{Kernels[rng.IntN(len(Kernels))], Expansions[rng.IntN(len(Expansions))]}
}

// tries is how many random changes or children of networks are compared with a limit. If any change keeps to it, one
// that is drawn with a probability of 1/90 does: a kernel or an expansion that becomes smaller, or larger by a step,
// which costs less than another block. So changes that are there are missed with a probability of 2·10⁻¹⁰.
const tries = 2000

// Mutate changes one depth, kernel or expansion of a network, each with the same probability, to another value; a
// unit that grows ends in random blocks. It tries again while the result breaks the limit. The error says that a is
// not a [Net], or that no change keeps to the limit.
func (s Space) Mutate(rng *rand.Rand, a space.Arch) (space.Arch, error) {
	n, ok := a.(Net)
	if !ok || n == (Net{}) {
		return nil, fmt.Errorf("mobilenetv3: cannot mutate %v, it is not a network of this space", a)
	}
	for range tries {
		if mutant := n.changed(rng); s.Contains(mutant) {
			return mutant, nil
		}
	}
	return nil, fmt.Errorf("mobilenetv3: cannot mutate %s: no small change of it has at most %d multiply-adds", n, s.limit)
}

// Cross takes each unit's depth, and each block, from one of two networks, with equal probability, given that the
// child keeps to the limit; a block that only one of them has is taken from that. The error says that a or b is not a
// [Net], or that no child keeps to the limit.
func (s Space) Cross(rng *rand.Rand, a, b space.Arch) (space.Arch, error) {
	m, ok1 := a.(Net)
	n, ok2 := b.(Net)
	if !ok1 || !ok2 || m == (Net{}) || n == (Net{}) {
		return nil, fmt.Errorf("mobilenetv3: cannot cross %v and %v, they are not networks of this space", a, b)
	}
	for range tries {
		var child Net
		for u := range Units {
			deeper, other := byDepth(m, n, u)
			depth := len([]Net{m, n}[rng.IntN(2)].Blocks(u))
			for i := range depth {
				child.blocks[u][i] = deeper.blocks[u][i]
				if i < len(other.Blocks(u)) && rng.IntN(2) == 0 {
					child.blocks[u][i] = other.blocks[u][i]
				}
			}
		}
		if s.Contains(child) {
			return child, nil
		}
	}
	if b := newBelow(s, s.children(m, n)); b != nil {
		return b.draw(rng), nil
	}
	return nil, fmt.Errorf("mobilenetv3: cannot cross %s and %s: no child of theirs has at most %d multiply-adds", m, n, s.limit)
}

// byDepth returns two networks, the one with the deeper unit first.
func byDepth(m, n Net, unit int) (deeper, other Net) {
	if len(n.Blocks(unit)) > len(m.Blocks(unit)) {
		return n, m
	}
	return m, n
}

// children returns the choices of Cross.
func (s Space) children(m, n Net) choices {
	var c choices
	for u := range Units {
		c.depths[u][len(m.Blocks(u))] += 0.5
		c.depths[u][len(n.Blocks(u))] += 0.5
		deeper, other := byDepth(m, n, u)
		for i, b := range deeper.Blocks(u) {
			c.blocks[u][i] = []option{{b, 1, s.Bottleneck(u, i, b).Cost().MAdds}}
			if i < len(other.Blocks(u)) {
				d := other.blocks[u][i]
				c.blocks[u][i][0].probability = 0.5
				c.blocks[u][i] = append(c.blocks[u][i], option{d, 0.5, s.Bottleneck(u, i, d).Cost().MAdds})
			}
		}
	}
	return c
}

// changed returns the network with one choice changed.
func (n Net) changed(rng *rand.Rand) Net {
	choices := Units
	for u := range Units {
		choices += 2 * len(n.Blocks(u))
	}
	at := rng.IntN(choices)
	if at < Units {
		old := len(n.Blocks(at))
		depth := MinDepth + other(rng, old-MinDepth, MaxDepth-MinDepth+1)
		for i := old; i < depth; i++ {
			n.blocks[at][i] = randomBlock(rng)
		}
		for i := depth; i < old; i++ {
			n.blocks[at][i] = Block{}
		}
		return n
	}
	at -= Units
	u := 0
	for ; at >= 2*len(n.Blocks(u)); u++ {
		at -= 2 * len(n.Blocks(u))
	}
	b := &n.blocks[u][at/2]
	if at%2 == 0 {
		b.Kernel = Kernels[other(rng, indexOf(Kernels, b.Kernel), len(Kernels))]
	} else {
		b.Expansion = Expansions[other(rng, indexOf(Expansions, b.Expansion), len(Expansions))]
	}
	return n
}

// other draws one of 0 … n−1 that is not i.
func other(rng *rand.Rand, i, n int) int { return (i + 1 + rng.IntN(n-1)) % n }

// Parse reads a [Net] from its text; see the function [Parse]. The error also says that the network breaks the limit.
func (s Space) Parse(text string) (space.Arch, error) {
	n, err := Parse(text)
	if err == nil && !s.Contains(n) {
		err = fmt.Errorf("mobilenetv3: %s has %d multiply-adds, but this space ends at %d", n, s.MAdds(n), s.limit)
	}
	if err != nil {
		return nil, err
	}
	return n, nil
}
