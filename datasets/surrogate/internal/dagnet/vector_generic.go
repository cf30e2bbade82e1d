//go:build !(goexperiment.simd && amd64)

package dagnet

func mulAdd(c, a, b []float32, m, k, n int) { scalarMulAdd(c, a, b, m, k, n) }
