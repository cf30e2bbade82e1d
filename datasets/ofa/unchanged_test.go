package ofa_test

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/space/mobilenetv3"
	"github.com/ctnas/ctnas/datasets/ofa"
)

// The embedded model's predictions are the same to the last bit in every version of the program.
func TestUnchanged(t *testing.T) {
	p := ofa.Embedded()
	s, err := mobilenetv3.New(mobilenetv3.OFA(), 0)
	if err != nil {
		t.Fatal(err)
	}
	b, err := p.Benchmark(s)
	if err != nil {
		t.Fatal(err)
	}
	const version = "a surrogate of the accuracy predictor of Once-for-All: a smaller model of it, not the published one, digest c41efa4800947740"
	if got := b.Version(); got != version {
		t.Errorf("the version is %q, want %q", got, version)
	}
	if runtime.GOARCH != "amd64" {
		t.Skip("other processors fuse multiplications and additions")
	}
	archs, err := b.Sample(rand.New(rand.NewPCG(1, 2)), 20_000)
	if err != nil {
		t.Fatal(err)
	}
	nets := make([]mobilenetv3.Net, len(archs))
	for i, a := range archs {
		nets[i] = a.(mobilenetv3.Net)
	}
	var bits []byte
	for _, v := range p.Accuracies(nets) {
		bits = binary.LittleEndian.AppendUint64(bits, math.Float64bits(v))
	}
	const want = "9a9f0db76338d45c4c62c95151c844d8969d744ecd99c2b38bb53679478ad204"
	if got := fmt.Sprintf("%x", sha256.Sum256(bits)); got != want {
		t.Errorf("%d networks have predictions of the digest %s, want %s", len(nets), got, want)
	}
}
