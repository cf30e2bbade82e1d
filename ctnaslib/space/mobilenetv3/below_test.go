package mobilenetv3

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ctnas/ctnas/ctnaslib/space"
)

// small is a skeleton for small images.
func small() Skeleton {
	return Skeleton{Width: 0.25, Resolution: 32, Classes: 10, Strides: [...]int{1, 2, 2, 2, 1, 1}}
}

// smallest is the network of the fewest multiply-adds.
func smallest(t *testing.T) Net {
	t.Helper()
	n, err := Uniform(MinDepth, Block{Kernels[0], Expansions[0]})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// within are all networks of a space, found from the smallest by making one choice
// larger after another.
func within(t *testing.T, s Space) []Net {
	t.Helper()
	if !s.Contains(smallest(t)) {
		t.Fatalf("the smallest network is not in the space %s", s.Name())
	}
	all, known := []Net{smallest(t)}, map[Net]bool{smallest(t): true}
	for k := 0; k < len(all); k++ { // grows
		try := func(n Net) {
			if !known[n] && s.Contains(n) {
				known[n] = true
				all = append(all, n)
			}
		}
		for u := range Units {
			blocks := all[k].Blocks(u)
			for i, b := range blocks {
				for _, larger := range []Block{{b.Kernel + 2, b.Expansion}, {b.Kernel, b.Expansion + 1}, {b.Kernel, b.Expansion + 2}} {
					if slices.Contains(Kernels[:], larger.Kernel) && slices.Contains(Expansions[:], larger.Expansion) {
						n := all[k]
						n.blocks[u][i] = larger
						try(n)
					}
				}
			}
			if d := len(blocks); d < MaxDepth {
				n := all[k]
				n.blocks[u][d] = Block{Kernels[0], Expansions[0]}
				try(n)
			}
		}
	}
	return all
}

// chance is the probability of a network among those of its space, all of them.
func chance(n Net, all []Net) float64 {
	free := func(n Net) float64 {
		blocks := 0
		for u := range Units {
			blocks += len(n.Blocks(u))
		}
		return math.Pow(9, float64(2*Units-blocks))
	}
	total := 0.0
	for _, m := range all {
		total += free(m)
	}
	return free(n) / total
}

// Of a space that a limit leaves few networks of, every one is drawn, as often as by
// drawing without a limit and refusing.
func TestSampleOfFew(t *testing.T) {
	least, _ := OFA().Range()
	smallLeast, _ := small().Range()
	for _, c := range []struct {
		skeleton Skeleton
		limit    int64
	}{
		{OFA(), least}, {OFA(), least + 1}, {OFA(), least + 2_000_000}, {OFA(), least + 4_000_000},
		{small(), smallLeast}, {small(), smallLeast + 25_000}, {small(), smallLeast + 60_000},
	} {
		s := mustNew(t, c.skeleton, c.limit)
		all := within(t, s)
		draws := 200 * len(all)
		rng := rand.New(rand.NewPCG(6, uint64(c.limit)))
		counts := make(map[Net]int)
		begin := time.Now()
		for range draws {
			counts[s.Sample(rng).(Net)]++
		}
		t.Logf("%s: %d networks, %s a draw", s.Name(), len(all), time.Since(begin)/time.Duration(draws))
		χ2 := 0.0
		for _, n := range all {
			expected := chance(n, all) * float64(draws)
			χ2 += (float64(counts[n]) - expected) * (float64(counts[n]) - expected) / expected
			delete(counts, n)
		}
		if len(counts) > 0 {
			t.Errorf("%s: drawn, but not of the space: %v", s.Name(), counts)
		}
		// Five standard deviations of χ² above its mean.
		if free := float64(len(all) - 1); χ2 > free+5*math.Sqrt(2*free)+1e-9 {
			t.Errorf("%s: χ² is %.1f for %d networks", s.Name(), χ2, len(all))
		}
		if archs, err := space.Draw(rng, s, len(all), nil); err != nil || len(archs) != len(all) {
			t.Errorf("%s: drew %d of %d networks, %v", s.Name(), len(archs), len(all), err)
		}
		if _, err := space.Draw(rng, s, len(all)+1, nil); err == nil || !strings.Contains(err.Error(), "found only") {
			t.Errorf("%s: drew more than the %d networks there are: error %v", s.Name(), len(all), err)
		}
	}
}

// shares are the means, over networks, of each kind of choice and of the multiply-adds,
// as a share of a limit.
func shares(s Space, nets []Net) []float64 {
	means := make([]float64, Units*(1+6)+1)
	for _, n := range nets {
		for u := range Units {
			blocks := n.Blocks(u)
			means[7*u] += float64(len(blocks)) / MaxDepth / float64(len(nets))
			for _, b := range blocks {
				by := 1 / float64(len(blocks)*len(nets))
				means[7*u+1+indexOf(Kernels, b.Kernel)] += by
				means[7*u+4+indexOf(Expansions, b.Expansion)] += by
			}
		}
		means[len(means)-1] += float64(s.MAdds(n)) / float64(s.limit) / float64(len(nets))
	}
	return means
}

// What draws networks under a limit that leaves few of them draws, under one that leaves
// more, as drawing without a limit and refusing does.
func TestBelowIsRejection(t *testing.T) {
	for _, c := range []struct {
		skeleton Skeleton
		limit    int64
	}{{OFA(), 300e6}, {OFA(), 350e6}, {OFA(), 450e6}, {OFA(), 800e6}} {
		s := mustNew(t, c.skeleton, c.limit)
		rng := rand.New(rand.NewPCG(7, uint64(c.limit)))
		const n = 4000
		var exact, refused []Net
		drawn := 0
		for range n {
			exact = append(exact, s.below().draw(rng))
		}
		for len(refused) < n {
			drawn++
			if net := randomNet(rng); s.Contains(net) {
				refused = append(refused, net)
			}
		}
		kept := float64(n) / float64(drawn)
		if p := s.below().probability; p < kept*0.9 || p > kept*1.2 {
			t.Errorf("limit %d: %.4f of all networks are thought to keep to it, but %.4f do", c.limit, p, kept)
		}
		a, b := shares(s, exact), shares(s, refused)
		for i := range a {
			// Five standard deviations of the difference of two means of numbers in [0, 1].
			if math.Abs(a[i]-b[i]) > 5*math.Sqrt(2*0.25/n) {
				t.Errorf("limit %d: share %d is %.3f, by refusing %.3f", c.limit, i, a[i], b[i])
			}
		}
	}
}

// Under any limit there are draws, mutants, children and decisions, soon, and all keep to
// it.
func TestTightLimits(t *testing.T) {
	for _, skeleton := range []Skeleton{OFA(), small()} {
		least, most := skeleton.Range()
		free := mustNew(t, skeleton, 0)
		rng := rand.New(rand.NewPCG(8, 8))
		var madds []int64
		for range 2000 {
			madds = append(madds, free.MAdds(free.Sample(rng).(Net)))
		}
		slices.Sort(madds)
		limits := []int64{least, least + 1, least + 12_345, least + (most-least)/1000, least + (most-least)/100, least + (most-least)/20,
			madds[0], madds[2], madds[20], madds[200], madds[1000], most - 1, most, math.MaxInt64}
		for _, limit := range limits {
			quickest := time.Duration(math.MaxInt64)
			for range 5 {
				begin := time.Now()
				mustNew(t, skeleton, limit)
				quickest = min(quickest, time.Since(begin))
			}
			if quickest > 50*time.Millisecond {
				t.Errorf("a limit of %d: New took %s", limit, quickest)
			}
			begin := time.Now()
			s := mustNew(t, skeleton, limit)
			d := s.Decisions()
			var last Net
			for k := range 100 {
				n := s.Sample(rng).(Net)
				walked, err := s.Decode(d.Walk(rng))
				if err != nil {
					t.Fatal(err)
				}
				if !s.Contains(n) || !s.Contains(walked.(Net)) {
					t.Fatalf("%s: %s or %s breaks the limit", s.Name(), n, walked)
				}
				if mutant, err := s.Mutate(rng, n); err == nil && (mutant == space.Arch(n) || !s.Contains(mutant.(Net))) {
					t.Fatalf("%s: %s became %s", s.Name(), n, mutant)
				} else if err != nil && (limit > least+12_345 || !strings.Contains(err.Error(), "no small change")) {
					t.Fatal(err)
				}
				if k > 0 {
					child, err := s.Cross(rng, n, last)
					if err != nil {
						t.Fatal(err)
					}
					if !s.Contains(child.(Net)) {
						t.Fatalf("%s: the child %s breaks the limit", s.Name(), child)
					}
				}
				last = n
			}
			if took := time.Since(begin); took > 10*time.Second {
				t.Errorf("%s: 100 networks took %s", s.Name(), took)
			}
		}
		if _, err := New(skeleton, least-1); err == nil || !strings.Contains(err.Error(), "smallest network") {
			t.Errorf("a limit below the smallest network: error %v", err)
		}
	}
}

// Two networks at a limit have children: themselves, or few others.
func TestCrossAtTheLimit(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	m, err := Parse("7x6,3x3|3x3,3x3|3x3,3x3|3x3,3x3|3x3,3x3")
	if err != nil {
		t.Fatal(err)
	}
	large, err := Uniform(MaxDepth, Block{7, 6})
	if err != nil {
		t.Fatal(err)
	}
	s := mustNew(t, OFA(), OFA().MAdds(m))
	if a, err := s.Cross(rng, m, m); err != nil || a != space.Arch(m) {
		t.Errorf("a network crossed with itself is %v, %v", a, err)
	}
	// Only the smallest choices of the other fit, and those in only one of 2²⁵ children.
	last, n := mustNew(t, OFA(), OFA().MAdds(smallest(t))), smallest(t)
	if a, err := last.Cross(rng, large, n); err != nil || a != space.Arch(n) {
		t.Errorf("the child of the largest and the smallest network is %v, %v", a, err)
	}
	if a, err := s.Cross(rng, large, large); err == nil || !strings.Contains(err.Error(), "no child of theirs") {
		t.Errorf("two networks above the limit have the child %v, %v", a, err)
	}
	if _, err := s.Cross(rng, Net{}, m); err == nil {
		t.Error("no network was crossed")
	}
	if _, err := s.Mutate(rng, Net{}); err == nil {
		t.Error("no network was mutated")
	}
}

// Without a limit, or with a loose one, draws are what they always were: results that are
// stored rest on them.
func TestSampleStays(t *testing.T) {
	for limit, want := range map[int64]string{
		0:     "5x6,7x3,3x4,5x3|5x4,7x3|7x6,5x3,3x3|3x3,5x6,7x6|5x4,7x4,3x4,7x6",
		600e6: "5x6,7x3,3x4,5x3|5x4,7x3|7x6,5x3,3x3|3x3,5x6,7x6|5x4,7x4,3x4,7x6",
		400e6: "5x4,3x3|3x4,5x6|5x3,3x3|5x4,7x6|5x6,7x6",
		300e6: "5x4,3x3|3x4,5x6|5x3,3x3|5x4,7x6|5x6,7x6",
	} {
		if got := mustNew(t, OFA(), limit).Sample(rand.New(rand.NewPCG(1, 2))).String(); got != want {
			t.Errorf("limit %d: drew %s, want %s", limit, got, want)
		}
	}
}
