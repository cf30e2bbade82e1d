package nasbench101

import (
	"math/rand/v2"

	"github.com/ctnas/ctnas/ctnaslib/space"
)

// Space is the NAS-Bench-101 search space as a [space.Finite]. It is safe for concurrent use.
type Space struct{}

var _ space.Finite = Space{}

// Name returns "nasbench101".
func (Space) Name() string { return "nasbench101" }

// Nodes returns 7: input, output and at most five operations.
func (Space) Nodes() int { return MaxVertices }

// Ops returns 6: padding, input, the three operations, output.
func (Space) Ops() int { return numIDs }

// Sample draws a [Cell] uniformly from the 423,624 distinct ones.
func (Space) Sample(rng *rand.Rand) space.Arch {
	cells := Enumerate()
	return cells[rng.IntN(len(cells))]
}

// Parse reads a [Cell] from its text form; see the function [Parse].
func (Space) Parse(text string) (space.Arch, error) {
	c, err := Parse(text)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// The kinds of decisions, in the order of Decisions().Kinds.
const (
	kindCount = iota // number of interior vertices, less one
	kindNode         // a vertex
	kindOp           // an operation
)

// decisionSteps is the length of every sequence: for a cell of k interior vertices, 1 for k, 2k for each vertex's
// predecessor and operation, 1 for the output's predecessor, and 2 for each of the 9-(k+1) remaining edges.
const decisionSteps = 1 + 2*(MaxEdges-1) + 1

// Decisions describes a cell as the authors' controller writes it (their released code; the paper leaves it to the
// supplementary): the number k of interior vertices; for each in turn, a predecessor among the vertices before it and
// an operation; the output's predecessor; then the remaining 9-(k+1) edges as pairs of any two vertices. Every
// sequence has 18 decisions.
func (Space) Decisions() *space.Decisions { return decisions }

var decisions = newDecisions()

func newDecisions() *space.Decisions {
	// State 0 chooses k; the decisions 1 to 17 for k = 1 follow, then those for k = 2, and so on.
	const rest = decisionSteps - 1
	d := &space.Decisions{
		Kinds: []space.Kind{
			kindCount: {Name: "number of interior vertices", Choices: MaxVertices - 2},
			kindNode:  {Name: "vertex", Choices: MaxVertices, Pointer: true},
			kindOp:    {Name: "operation", Choices: int(numOps)},
		},
		Steps:  decisionSteps,
		States: []space.State{{Kind: kindCount}},
	}
	for k := 1; k <= MaxVertices-2; k++ {
		d.States[0].Next = append(d.States[0].Next, len(d.States))
		for step := range rest {
			next := len(d.States) + 1
			if step == rest-1 {
				next = 1 + rest*(MaxVertices-2) // the end
			}
			var state space.State
			switch {
			case step < 2*k && step%2 == 1: // operation of vertex (step+1)/2
				state = allow(kindOp, int(numOps), int(numOps), next)
			case step <= 2*k: // predecessor of vertex step/2+1
				state = allow(kindNode, step/2+1, MaxVertices, next)
			default: // one end of a remaining edge
				state = allow(kindNode, k+2, MaxVertices, next)
			}
			d.States = append(d.States, state)
		}
	}
	return d
}

// allow returns a state whose first choices, out of all, lead to the state next.
func allow(kind, choices, all, next int) space.State {
	s := space.State{Kind: kind, Next: make([]int, all)}
	for c := range s.Next {
		s.Next[c] = space.Forbidden
		if c < choices {
			s.Next[c] = next
		}
	}
	return s
}

// Decode turns a sequence of decisions into its [Cell]. A remaining edge from a vertex to itself is dropped, one that
// goes backwards is turned round, and vertices that do not reach the output are pruned, as in the authors' code.
func (s Space) Decode(sequence []int) (space.Arch, error) {
	if err := decisions.Check(sequence); err != nil {
		return nil, err
	}
	k := sequence[0] + 1
	var out graph
	ops := make([]Op, k)
	for v := 1; v <= k; v++ {
		out[sequence[2*v-1]] |= 1 << v
		ops[v-1] = Op(sequence[2*v])
	}
	out[sequence[2*k+1]] |= 1 << (k + 1)
	for e := 2*k + 2; e < len(sequence); e += 2 {
		from, to := min(sequence[e], sequence[e+1]), max(sequence[e], sequence[e+1])
		if from != to {
			out[from] |= 1 << to
		}
	}
	c, err := prune(out, ops)
	if err != nil {
		return nil, err
	}
	return c, nil
}
