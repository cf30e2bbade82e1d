package search

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/train"
)

func TestThompson(t *testing.T) {
	config := DefaultThompson(43)
	config.Seed = 4
	root, p := t.TempDir(), toyProblem(t)
	var rounds []int
	p.Watch = func(step train.Progress) {
		if step.Stage == "" {
			rounds = append(rounds, step.Done)
		}
	}
	found, err := Thompson(t.Context(), root, p, config)
	if err != nil {
		t.Fatal(err)
	}
	if found.Queries != 43 || len(found.Labelled) != 43 || !slices.Equal(rounds, []int{1, 2, 3, 4, 5}) {
		t.Errorf("%d queries, %d labels, rounds %v", found.Queries, len(found.Labelled), rounds)
	}
	if random, bought := meanLabel(found.Labelled[:20]), meanLabel(found.Labelled[20:]); bought < random+0.1 {
		t.Errorf("the labels bought in rounds have quality %.2f, the random ones %.2f", bought, random)
	}
	again, err := Thompson(t.Context(), root, toyProblem(t), config)
	if err != nil || again.Best != found.Best || again.Status != rundir.Loaded || again.Queries != 43 {
		t.Errorf("the second call gave %v, %v", again, err)
	}
	// Interrupted in the third round, it continues to the same labels.
	root = t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	p.Watch = func(step train.Progress) {
		if step.Stage == "" && step.Done == 3 {
			cancel()
		}
	}
	if _, err := Thompson(ctx, root, p, config); !errors.Is(err, context.Canceled) {
		t.Fatalf("interrupted: error %v", err)
	}
	resumed, err := Thompson(t.Context(), root, toyProblem(t), config)
	if err != nil || resumed.Status != rundir.Resumed || fmt.Sprint(resumed.Labelled) != fmt.Sprint(found.Labelled) {
		t.Errorf("after an interrupt: %v, %v, want %v", resumed, err, found.Best)
	}
	config.First = 44
	if _, err := Thompson(t.Context(), root, toyProblem(t), config); err == nil || !strings.Contains(err.Error(), "First 44") {
		t.Errorf("more random labels than labels: error %v", err)
	}
	config.First, config.Labels = 12, 12
	random, err := Thompson(t.Context(), root, toyProblem(t), config)
	if err != nil || random.Queries != 12 {
		t.Errorf("all labels at random: %+v, %v", random, err)
	}
}

// On a table of a few architectures most mutants have no accuracy. They cost nothing, and the whole table can be bought.
func TestThompsonOnTable(t *testing.T) {
	s := knownSpace(t)
	archs, err := space.Draw(rand.New(rand.NewPCG(1, 0)), s, 90, nil)
	if err != nil {
		t.Fatal(err)
	}
	var labels []space.Labelled
	for _, a := range archs {
		labels = append(labels, space.Labelled{Arch: a, Accuracy: known(a)})
	}
	table, err := space.NewTable(s, "real", labels)
	if err != nil {
		t.Fatal(err)
	}
	found, err := Thompson(t.Context(), t.TempDir(), Problem{Benchmark: table}, DefaultThompson(40))
	if err != nil {
		t.Fatal(err)
	}
	best := slices.MaxFunc(labels, func(a, b space.Labelled) int { return cmp.Compare(a.Accuracy, b.Accuracy) })
	if found.Queries != 40 || found.Best.ID() != best.Arch.ID() {
		bought := slices.ContainsFunc(found.Labelled, func(l space.Labelled) bool { return l.Arch.ID() == best.Arch.ID() })
		t.Errorf("%d queries, the answer is %s (%g), want %s (%g), which was bought: %t", found.Queries, found.Best, known(found.Best), best.Arch, best.Accuracy, bought)
	}
	mutantsAlone := DefaultThompson(90)
	mutantsAlone.Random, mutantsAlone.Generations = 0, 1
	if found, err = Thompson(t.Context(), t.TempDir(), Problem{Benchmark: table}, mutantsAlone); err != nil || found.Queries != 90 {
		t.Errorf("the whole table without random candidates: %v, %v", found, err)
	}
	if _, err := Thompson(t.Context(), t.TempDir(), Problem{Benchmark: table}, DefaultThompson(91)); err == nil || !strings.Contains(err.Error(), "fewer Labels") {
		t.Errorf("more labels than there are: error %v", err)
	}
}

// knownSpace is a space of 4^10 architectures whose best is known: see [known].
func knownSpace(t testing.TB) *space.Choices {
	t.Helper()
	var config space.ChoicesConfig
	config.Name = "known"
	for range 10 {
		config.Choices = append(config.Choices, space.Choice{Name: "c", Options: []string{"a", "b", "c", "d"}})
	}
	s, err := space.NewChoices(config)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// known is 1 for the architecture whose every choice is its best and lower for all others: each choice has a best
// option of its own, which counts less where its neighbour is wrong.
func known(a space.Arch) float64 {
	quality, right := 0.0, true
	for i, option := range a.(space.Chosen).Options() {
		miss := math.Abs(float64(option - (i*7+2)%4))
		if !right {
			miss += 0.5
		}
		quality -= miss
		right = option == (i*7+2)%4
	}
	return math.Exp(quality / 10)
}

// A space of a million architectures with a known best: this search finds it with fewer queries than its rivals.
func TestThompsonFindsKnownOptimum(t *testing.T) {
	s := knownSpace(t)
	const budget = 300
	needs := func(labelled []space.Labelled) int {
		for i, l := range labelled {
			if l.Accuracy == 1 {
				return i + 1
			}
		}
		return budget + 1
	}
	searches := map[string]func(p Problem, seed uint64) (*Found, error){
		"Thompson": func(p Problem, seed uint64) (*Found, error) {
			c := DefaultThompson(120)
			c.Seed = seed
			return Thompson(t.Context(), t.TempDir(), p, c)
		},
		"Random": func(p Problem, seed uint64) (*Found, error) {
			return Random(t.Context(), t.TempDir(), p, RandomConfig{Labels: budget, Seed: seed})
		},
		"Evolution": func(p Problem, seed uint64) (*Found, error) {
			return Evolution(t.Context(), t.TempDir(), p, EvolutionConfig{Labels: budget, Population: 20, Tournament: 10, Seed: seed})
		},
		"Local": func(p Problem, seed uint64) (*Found, error) {
			return Local(t.Context(), t.TempDir(), p, LocalConfig{Labels: budget, First: 10, Patience: 30, Seed: seed})
		},
	}
	queries := make(map[string]int)
	for name, search := range searches {
		for seed := range uint64(5) {
			p := Problem{Benchmark: drawn{s, known}}
			found, err := search(p, seed)
			if err != nil {
				t.Fatal(err)
			}
			queries[name] += needs(found.Labelled)
		}
	}
	t.Logf("queries of five seeds until the best is found: %v", queries)
	for name := range searches {
		if name != "Thompson" && 3*queries["Thompson"] > 2*queries[name] {
			t.Errorf("it needs %d queries, %s %d", queries["Thompson"], name, queries[name])
		}
	}
	if queries["Thompson"] > 5*120 {
		t.Errorf("five seeds need %d queries", queries["Thompson"])
	}
}

// drawn is a benchmark of a whole space.
type drawn struct {
	of      space.Space
	quality func(space.Arch) float64
}

func (d drawn) Space() space.Space { return d.of }

func (d drawn) Source() string { return "toy" }

func (d drawn) Sample(rng *rand.Rand, n int) ([]space.Arch, error) {
	return space.Draw(rng, d.of, n, nil)
}

func (d drawn) Validation(a space.Arch) (float64, error) { return d.quality(a), nil }
