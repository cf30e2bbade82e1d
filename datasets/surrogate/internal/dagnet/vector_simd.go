//go:build goexperiment.simd && amd64

package dagnet

import "simd/archsimd"

var vectorised = archsimd.X86.AVX2()

func mulAdd(c, a, b []float32, m, k, n int) {
	if !vectorised {
		scalarMulAdd(c, a, b, m, k, n)
		return
	}
	const block = 256 // rows of b that stay in the fastest cache, lane columns wide
	for from := 0; from < k; from += block {
		to := min(from+block, k)
		for j := 0; j < n; j += Lane {
			i := 0
			for ; i+4 <= m; i += 4 {
				mulAdd4(c[i*n+j:], a[i*k:(i+4)*k], b[from*n+j:], from, to, k, n)
			}
			for ; i < m; i++ {
				mulAdd1(c[i*n+j:], a[i*k:(i+1)*k], b[from*n+j:], from, to, n)
			}
		}
	}
}

// mulAdd4 is mulAdd for four rows and lane columns, for the products from ≤ p < to.
func mulAdd4(c, a, b []float32, from, to, k, n int) {
	a0, a1, a2, a3 := a[from:to], a[k+from:k+to], a[2*k+from:2*k+to], a[3*k+from:3*k+to]
	a1, a2, a3 = a1[:len(a0)], a2[:len(a0)], a3[:len(a0)]
	c00, c01 := load(c), load(c[8:])
	c10, c11 := load(c[n:]), load(c[n+8:])
	c20, c21 := load(c[2*n:]), load(c[2*n+8:])
	c30, c31 := load(c[3*n:]), load(c[3*n+8:])
	at := 0
	for p, x := range a0 {
		row := b[at : at+Lane]
		b0, b1 := load(row), load(row[8:])
		x0 := archsimd.BroadcastFloat32x8(x)
		c00, c01 = c00.Add(x0.Mul(b0)), c01.Add(x0.Mul(b1))
		x1 := archsimd.BroadcastFloat32x8(a1[p])
		c10, c11 = c10.Add(x1.Mul(b0)), c11.Add(x1.Mul(b1))
		x2 := archsimd.BroadcastFloat32x8(a2[p])
		c20, c21 = c20.Add(x2.Mul(b0)), c21.Add(x2.Mul(b1))
		x3 := archsimd.BroadcastFloat32x8(a3[p])
		c30, c31 = c30.Add(x3.Mul(b0)), c31.Add(x3.Mul(b1))
		at += n
	}
	c00.StoreSlice(c)
	c01.StoreSlice(c[8:])
	c10.StoreSlice(c[n:])
	c11.StoreSlice(c[n+8:])
	c20.StoreSlice(c[2*n:])
	c21.StoreSlice(c[2*n+8:])
	c30.StoreSlice(c[3*n:])
	c31.StoreSlice(c[3*n+8:])
}

// mulAdd1 is mulAdd4 for one row.
func mulAdd1(c, a, b []float32, from, to, n int) {
	c0, c1 := load(c), load(c[8:])
	at := 0
	for _, x := range a[from:to] {
		row := b[at : at+Lane]
		x0 := archsimd.BroadcastFloat32x8(x)
		c0, c1 = c0.Add(x0.Mul(load(row))), c1.Add(x0.Mul(load(row[8:])))
		at += n
	}
	c0.StoreSlice(c)
	c1.StoreSlice(c[8:])
}

func load(s []float32) archsimd.Float32x8 { return archsimd.LoadFloat32x8Slice(s) }

func add(dst, x []float32) {
	if !vectorised {
		scalarAdd(dst, x)
		return
	}
	dst = dst[:len(x)]
	for i := 0; i+8 <= len(x); i += 8 {
		load(dst[i:]).Add(load(x[i:])).StoreSlice(dst[i:])
	}
}

func addRelu(dst, x, y []float32) {
	if !vectorised {
		scalarAddRelu(dst, x, y)
		return
	}
	var zero archsimd.Float32x8
	y, dst = y[:len(x)], dst[:len(x)]
	for i := 0; i+8 <= len(x); i += 8 {
		load(dst[i:]).Add(load(x[i:]).Add(load(y[i:])).Max(zero)).StoreSlice(dst[i:])
	}
}

func addReluGrad(dx, dy, x, y, grad []float32) {
	if !vectorised {
		scalarAddReluGrad(dx, dy, x, y, grad)
		return
	}
	var zero archsimd.Float32x8
	y, dx, dy, grad = y[:len(x)], dx[:len(x)], dy[:len(x)], grad[:len(x)]
	for i := 0; i+8 <= len(x); i += 8 {
		open := load(x[i:]).Add(load(y[i:])).Greater(zero)
		g := load(grad[i:]).Masked(open)
		load(dx[i:]).Add(g).StoreSlice(dx[i:])
		load(dy[i:]).Add(g).StoreSlice(dy[i:])
	}
}
