//go:build goexperiment.simd && amd64

package dagnet

import "simd/archsimd"

var vectorised = archsimd.X86.AVX2()

// columns is how many columns are computed at once, in a register for every eight.
const columns = 64

// mulAdd does what scalarMulAdd does, in the same order.
func mulAdd(c, a, b []float32, m, k, n int) {
	if !vectorised || n%columns != 0 {
		scalarMulAdd(c, a, b, m, k, n)
		return
	}
	const block = 128 // rows of b that stay in the fastest cache
	for from := 0; from < k; from += block {
		to := min(from+block, k)
		for j := 0; j < n; j += columns {
			for i := range m {
				row := c[i*n+j:][:columns]
				c0, c1, c2, c3 := load(row), load(row[8:]), load(row[16:]), load(row[24:])
				c4, c5, c6, c7 := load(row[32:]), load(row[40:]), load(row[48:]), load(row[56:])
				at := from*n + j
				for _, v := range a[i*k+from : i*k+to] {
					x, y := archsimd.BroadcastFloat32x8(v), b[at:][:columns]
					c0, c1, c2, c3 = c0.Add(x.Mul(load(y))), c1.Add(x.Mul(load(y[8:]))), c2.Add(x.Mul(load(y[16:]))), c3.Add(x.Mul(load(y[24:])))
					c4, c5, c6, c7 = c4.Add(x.Mul(load(y[32:]))), c5.Add(x.Mul(load(y[40:]))), c6.Add(x.Mul(load(y[48:]))), c7.Add(x.Mul(load(y[56:])))
					at += n
				}
				for r, sum := range [...]archsimd.Float32x8{c0, c1, c2, c3, c4, c5, c6, c7} {
					sum.StoreSlice(row[8*r:])
				}
			}
		}
	}
}

func load(s []float32) archsimd.Float32x8 { return archsimd.LoadFloat32x8Slice(s) }
