package dagnet

// The kernels below are all the arithmetic that takes time. Each sums in one
// fixed order and rounds after every operation (the conversions float32(x*y) stop
// the compiler from fusing), so the vectorised versions give the same bits.

// lane is the number of floats that the vectorised kernels take at once; row
// lengths are its multiples.
const lane = 16

// scalarMulAdd adds the product of a, m×k, and b, k×n, to c, m×n.
func scalarMulAdd(c, a, b []float32, m, k, n int) {
	for i := range m {
		row := c[i*n : (i+1)*n]
		for p, x := range a[i*k : (i+1)*k] {
			if x == 0 {
				continue
			}
			for j, y := range b[p*n : (p+1)*n] {
				row[j] += float32(x * y)
			}
		}
	}
}

// scalarAdd adds x to dst.
func scalarAdd(dst, x []float32) {
	for i, v := range x {
		dst[i] += v
	}
}

// scalarAddRelu adds max(x+y, 0) to dst.
func scalarAddRelu(dst, x, y []float32) {
	y, dst = y[:len(x)], dst[:len(x)]
	for i, v := range x {
		dst[i] += max(v+y[i], 0)
	}
}

// scalarAddReluGrad adds to dx and dy the gradient of what scalarAddRelu adds,
// given the gradient of its sum.
func scalarAddReluGrad(dx, dy, x, y, grad []float32) {
	y, dx, dy, grad = y[:len(x)], dx[:len(x)], dy[:len(x)], grad[:len(x)]
	for i, v := range x {
		if v+y[i] > 0 {
			dx[i] += grad[i]
			dy[i] += grad[i]
		}
	}
}
