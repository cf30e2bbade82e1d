//go:build !(goexperiment.simd && amd64)

package dagnet

func mulAdd(c, a, b []float32, m, k, n int)    { scalarMulAdd(c, a, b, m, k, n) }
func add(dst, x []float32)                     { scalarAdd(dst, x) }
func addRelu(dst, x, y []float32)              { scalarAddRelu(dst, x, y) }
func addReluGrad(dx, dy, x, y, grad []float32) { scalarAddReluGrad(dx, dy, x, y, grad) }
