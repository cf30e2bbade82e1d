package nasbench301_test

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/ctnas/ctnas/datasets/nasbench301"
)

// The surrogate's predictions are the same to the last bit in every version of the program.
func TestUnchanged(t *testing.T) {
	p := nasbench301.Embedded()
	archs, err := p.Benchmark().Sample(rand.New(rand.NewPCG(1, 2)), 20_000)
	if err != nil {
		t.Fatal(err)
	}
	accuracies, err := p.Accuracies(archs, nasbench301.Epochs)
	if err != nil {
		t.Fatal(err)
	}
	var bits []byte
	for _, v := range accuracies {
		bits = binary.LittleEndian.AppendUint64(bits, math.Float64bits(v))
	}
	const want, description = "a6dde88893a847a09d962673fdb6229bfc54acd6c5282507ff42358ce70946dc", "surrogate of NAS-Bench-301, version de090b42"
	if got := fmt.Sprintf("%x", sha256.Sum256(bits)); got != want {
		t.Errorf("%d genotypes have predictions of the digest %s, want %s", len(archs), got, want)
	}
	if got := p.Source().Description; got != description {
		t.Errorf("the source is %q, want %q", got, description)
	}
}
