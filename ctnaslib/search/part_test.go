package search

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/mobilenetv3"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
	"github.com/ctnas/ctnas/ctnaslib/train"
)

// part is a benchmark that has accuracies of about half of a space.
type part struct{ space space.Space }

func (p part) Space() space.Space { return p.space }
func (part) Source() string       { return "proxy" }

func (p part) has(a space.Arch) bool {
	sum := 0
	for _, b := range a.ID() {
		sum += int(b)
	}
	return sum%2 == 0
}

func (p part) Sample(rng *rand.Rand, n int) (archs []space.Arch, err error) {
	for len(archs) < n {
		if a := p.space.Sample(rng); p.has(a) {
			archs = append(archs, a)
		}
	}
	return archs, nil
}

func (p part) Validation(a space.Arch) (float64, error) {
	if !p.has(a) {
		return 0, fmt.Errorf("no %s: %w", a, space.ErrNotQueryable)
	}
	return float64(len(a.String())) / 1000, nil
}

// On a part of a space, a search that was interrupted ends as it would have.
func TestBananasOnAPartGoesOn(t *testing.T) {
	config := smallBananas(43)
	config.Predictor.Epochs, config.Predictor.Width, config.Children, config.Parents = 5, 8, 30, 5
	p := toyProblem(t)
	p.Benchmark = part{nasbench101.Space{}}
	for seed := range uint64(3) {
		config.Seed = seed
		want, err := Bananas(t.Context(), t.TempDir(), p, config)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		interrupted := p
		interrupted.Watch = func(step train.Progress) {
			if step.Stage == "" && step.Done == 3 {
				stop()
			}
		}
		root := t.TempDir()
		if _, err := Bananas(ctx, root, interrupted, config); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		got, err := Bananas(t.Context(), root, p, config)
		if err != nil {
			t.Fatal(err)
		}
		for i, l := range want.Labelled {
			if got.Labelled[i].Arch.ID() != l.Arch.ID() {
				t.Fatalf("seed %d: label %d is that of %s, uninterrupted of %s", seed, i+1, got.Labelled[i].Arch, l.Arch)
			}
		}
	}
}

// Children without accuracy are no end of a search.
func TestGeneticOnAPart(t *testing.T) {
	nets, err := mobilenetv3.New(mobilenetv3.OFA(), 0)
	if err != nil {
		t.Fatal(err)
	}
	found, err := Genetic(t.Context(), t.TempDir(), Problem{Benchmark: part{nets}}, GeneticConfig{Labels: 40, Population: 20, Parents: 5, Mutants: 10, Seed: 1})
	if err != nil || found.Queries != 40 {
		t.Errorf("%+v, %v", found, err)
	}
}
