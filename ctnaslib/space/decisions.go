package space

import (
	"fmt"
	"math/rand/v2"
)

// Forbidden marks, in [State.Next], a choice that a state does not offer.
const Forbidden = -1

// Kind is a kind of decision. A policy has one embedding table and one output
// head for each kind.
type Kind struct {
	Name    string
	Choices int // number of choices of a decision of this kind

	// Pointer says that a choice is scored by attention over the choices'
	// embeddings (as for "which earlier node?"), not by a linear layer.
	Pointer bool

	// Part numbers the parts of a sequence, from 0: a policy decides each by an LSTM of its own, which starts at the
	// part's first decision. The decisions of a part are one after the other.
	Part int
}

// State is a point in the sequence of decisions.
type State struct {
	Kind int // index into [Decisions.Kinds] of the decision to make here

	// Next holds, for each choice of that kind, the state it leads to, or
	// [Forbidden]. A choice may lead to [Decisions.End].
	Next []int
}

// Decisions is a finite automaton that describes every sequence of decisions a
// policy π(α; θ) may take to write down an architecture. Decisions start in
// state 0 and stop on reaching the end.
type Decisions struct {
	Kinds  []Kind
	States []State
	Steps  int // number of decisions of the longest sequence
}

// End returns the state in which a sequence is complete: one past the last of States.
func (d *Decisions) End() int { return len(d.States) }

// MaxChoices returns the largest number of choices over all kinds.
func (d *Decisions) MaxChoices() int {
	most := 0
	for _, k := range d.Kinds {
		most = max(most, k.Choices)
	}
	return most
}

// Walk draws a sequence: each decision uniformly from the choices that are open.
func (d *Decisions) Walk(rng *rand.Rand) []int {
	var sequence []int
	for state := 0; state != d.End(); {
		next := d.States[state].Next
		choice := rng.IntN(len(next))
		for next[choice] == Forbidden {
			choice = rng.IntN(len(next))
		}
		sequence, state = append(sequence, choice), next[choice]
	}
	return sequence
}

// Check walks a sequence through the automaton and reports the first decision
// that is not allowed, is missing, or comes after the end.
func (d *Decisions) Check(sequence []int) error {
	state := 0
	for step, choice := range sequence {
		if state == d.End() {
			return fmt.Errorf("space: the sequence was complete after %d decisions but has %d", step, len(sequence))
		}
		next := d.States[state].Next
		if choice < 0 || choice >= len(next) || next[choice] == Forbidden {
			return fmt.Errorf("space: decision %d (%s) cannot be %d", step, d.Kinds[d.States[state].Kind].Name, choice)
		}
		state = next[choice]
	}
	if state != d.End() {
		return fmt.Errorf("space: the sequence stops after %d decisions, before it is complete", len(sequence))
	}
	return nil
}
