package space

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
)

// ErrNotQueryable is wrapped by the error of [Benchmark.Validation] for an architecture that the benchmark
// has no accuracy of.
var ErrNotQueryable = errors.New("the benchmark has no accuracy of this architecture")

// Benchmark answers for the validation accuracy of architectures. Queries are what a search costs:
// each counts its own, and [Count] counts for whoever asks a benchmark without a search. It has no way
// to ask for test accuracy, so no search can use it. It is safe for concurrent use.
type Benchmark interface {
	// Space is the search space that the benchmark covers.
	Space() Space

	// Source says what the accuracies were measured on: "real", the published
	// benchmark; "surrogate", a model of it; "proxy", scaled-down training. Results of
	// different sources are never mixed.
	Source() string

	// Sample draws n distinct architectures uniformly from those that can be
	// queried. It is free. The error says how many there are, if fewer than n.
	Sample(rng *rand.Rand, n int) ([]Arch, error)

	// Validation returns the validation accuracy of a, in [0, 1]. The error wraps
	// [ErrNotQueryable] where the benchmark has none of it.
	Validation(a Arch) (float64, error)
}

// Versioned is a [Benchmark] that says what its accuracies are a function of. Labels that were
// bought, and results that were stored, are taken for another benchmark's of the same version.
type Versioned interface {
	Benchmark

	// Version names everything that the accuracies depend on, such as a table with the
	// digest of its numbers: two benchmarks of one version give every architecture the same.
	Version() string
}

// Identity says which benchmark b is, for the keys of stored results: its space, its source,
// its version if it is [Versioned], and its Go type.
func Identity(b Benchmark) string {
	if c, ok := b.(*Counted); ok {
		return Identity(c.Benchmark)
	}
	version := "without a version"
	if v, ok := b.(Versioned); ok {
		version = v.Version()
	}
	return fmt.Sprintf("%s, %s, %s, %T", b.Space().Name(), b.Source(), version, b)
}

// Counted is a [Benchmark] that counts its queries. It is safe for concurrent use.
type Counted struct {
	Benchmark

	mu    sync.Mutex
	asked map[string]bool // by ID
}

// Count returns a benchmark that counts the queries of b from now on.
func Count(b Benchmark) *Counted { return &Counted{Benchmark: b, asked: make(map[string]bool)} }

// Validation returns the benchmark's accuracy of a. The first query of an architecture counts; asking for
// the same one again does not, nor does a query that fails.
func (c *Counted) Validation(a Arch) (float64, error) {
	accuracy, err := c.Benchmark.Validation(a)
	if err == nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.asked[a.ID()] = true
	}
	return accuracy, err
}

// Queries returns the number of architectures whose accuracy was asked for so far.
func (c *Counted) Queries() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.asked)
}

// Draw draws n distinct architectures by [Space.Sample], none of them in exclude. The
// error says that hardly any others were found.
func Draw(rng *rand.Rand, s Space, n int, exclude []Arch) ([]Arch, error) {
	const patience = 10_000 // draws in a row of what is taken
	taken := make(map[string]bool, len(exclude)+n)
	for _, a := range exclude {
		taken[a.ID()] = true
	}
	var archs []Arch
	for repeats := 0; len(archs) < n; {
		a := s.Sample(rng)
		if taken[a.ID()] {
			if repeats++; repeats == patience {
				return nil, fmt.Errorf("space: cannot draw %d architectures: found only %d in the space %q", n, len(archs), s.Name())
			}
			continue
		}
		repeats = 0
		taken[a.ID()] = true
		archs = append(archs, a)
	}
	return archs, nil
}

// Choose draws n different numbers from 0 to total−1, all choices alike, in the order in which they are drawn.
// The error says that there are fewer.
func Choose(rng *rand.Rand, total, n int) ([]int, error) {
	if n < 0 || n > total {
		return nil, fmt.Errorf("space: cannot draw %d of %d", n, total)
	}
	// The first n steps of a shuffle; moved holds the positions that no longer hold
	// their own number.
	moved := make(map[int]int, n)
	at := func(i int) int {
		if k, ok := moved[i]; ok {
			return k
		}
		return i
	}
	chosen := make([]int, n)
	for k := range chosen {
		i := k + rng.IntN(total-k)
		chosen[k] = at(i)
		moved[i] = at(k)
	}
	return chosen, nil
}
