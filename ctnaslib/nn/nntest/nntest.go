// Package nntest has what the tests and the examples of networks on images share: a backend, and images that are always
// there.
package nntest

import (
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/gomlx/compute"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/nn"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/datasets/images"
)

var goBackend = sync.OnceValues(func() (compute.Backend, error) { return engine.OpenConfig("go") })

// Backend returns the pure Go backend, the same one at every call.
func Backend(t testing.TB) compute.Backend {
	t.Helper()
	b, err := goBackend()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TwoDevices returns a backend of at least two devices, or skips the test. The Go backend has one device, so this needs
// an XLA plugin ($GOMLX_BACKEND=xla:…); the CPU plugin says that it has several.
func TwoDevices(t testing.TB) compute.Backend {
	t.Helper()
	if !strings.HasPrefix(os.Getenv(compute.ConfigEnvVar), "xla") {
		t.Skipf("needs a backend with two devices: set $%s to an XLA plugin", compute.ConfigEnvVar)
	}
	b, err := engine.Open()
	if err != nil {
		t.Fatal(err)
	}
	if b.NumDevices() < 2 {
		t.Skipf("the backend has %d device", b.NumDevices())
	}
	return b
}

// Data returns some of the drawn shapes: 256 images to train on, 64 to validate and 320 to test.
func Data(t testing.TB) *nn.Data {
	t.Helper()
	data, err := shapes(320, 64)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Open returns the pure Go backend and fewer of the drawn shapes, for an example: 48 images to train on, 16 to validate
// and 64 to test.
func Open() (compute.Backend, *nn.Data, error) {
	backend, err := goBackend()
	if err != nil {
		return nil, nil, err
	}
	data, err := shapes(64, 16)
	return backend, data, err
}

// shapes returns so many drawn shapes, and as many to test, some of them held out.
func shapes(count, validation int) (*nn.Data, error) {
	set := images.Shapes()
	for _, part := range []*images.Images{&set.Train, &set.Test} {
		var err error
		if _, *part, err = part.HoldOut(count, 1); err != nil {
			return nil, err
		}
	}
	return nn.NewData(set, validation)
}

// Sample returns random architectures of a space, which are of the kind A.
func Sample[A space.Arch](s space.Space, seed uint64, count int) []A {
	rng := rand.New(rand.NewPCG(seed, 0))
	archs := make([]A, count)
	for i := range archs {
		archs[i] = s.Sample(rng).(A)
	}
	return archs
}
