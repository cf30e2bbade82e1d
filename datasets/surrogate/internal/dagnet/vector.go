package dagnet

// The kernels below are all the arithmetic that takes time. Each sums in one
// fixed order and rounds after every operation (the conversions float32(x*y) stop
// the compiler from fusing), so the vectorised versions give the same bits.

// Lane is the number of floats that the vectorised kernels take at once; row
// lengths are its multiples.
const Lane = 16

// scalarMulAdd adds the product of a, m×k, and b, k×n, to c, m×n.
func scalarMulAdd(c, a, b []float32, m, k, n int) {
	for i := range m {
		row, x := c[i*n:(i+1)*n], a[i*k:(i+1)*k]
		p := 0
		for ; p+4 <= k; p += 4 {
			x0, x1, x2, x3 := x[p], x[p+1], x[p+2], x[p+3]
			b0, b1, b2, b3 := b[p*n:], b[(p+1)*n:], b[(p+2)*n:], b[(p+3)*n:]
			b0, b1, b2, b3 = b0[:len(row)], b1[:len(row)], b2[:len(row)], b3[:len(row)]
			for j, y := range row {
				y += float32(x0 * b0[j])
				y += float32(x1 * b1[j])
				y += float32(x2 * b2[j])
				y += float32(x3 * b3[j])
				row[j] = y
			}
		}
		for ; p < k; p++ {
			for j, y := range b[p*n : (p+1)*n] {
				row[j] += float32(x[p] * y)
			}
		}
	}
}

// add adds x to dst.
func add(dst, x []float32) {
	for i, v := range x {
		dst[i] += v
	}
}

// addRelu adds max(x+y, 0) to dst.
func addRelu(dst, x, y []float32) {
	y, dst = y[:len(x)], dst[:len(x)]
	for i, v := range x {
		dst[i] += max(v+y[i], 0)
	}
}
