//go:build goexperiment.simd

package engine

// simd says that this program was built with GOEXPERIMENT=simd, which changes how the Go
// backend multiplies matrices, and so the last digits.
const simd = true
