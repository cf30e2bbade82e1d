package dagnet

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func randoms(rng *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	return x
}

// Whatever kernels this program was built with give the same bits as the scalar
// ones.
func TestKernels(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, size := range [][3]int{{1, 1, 16}, {3, 7, 32}, {9, 300, 48}, {8, 600, 128}} {
		m, k, n := size[0], size[1], size[2]
		a, b, got := randoms(rng, m*k), randoms(rng, k*n), randoms(rng, m*n)
		want := slices.Clone(got)
		mulAdd(got, a, b, m, k, n)
		scalarMulAdd(want, a, b, m, k, n)
		if !slices.Equal(got, want) {
			t.Errorf("mulAdd differs for %d×%d times %d×%d", m, k, k, n)
		}
	}
}

func BenchmarkMulAdd(bench *testing.B) {
	const m, k, n = 1024, 128, 128
	rng := rand.New(rand.NewPCG(1, 2))
	a, b, c := randoms(rng, m*k), randoms(rng, k*n), randoms(rng, m*n)
	for bench.Loop() {
		mulAdd(c, a, b, m, k, n)
	}
	bench.ReportMetric(2*m*k*n*float64(bench.N)/bench.Elapsed().Seconds()/1e9, "GFLOP/s")
}
