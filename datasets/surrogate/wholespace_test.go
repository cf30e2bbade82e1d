//go:build unix

package surrogate_test

import (
	"math"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
)

// The whole space has the distribution that the benchmark has, whose published
// median is 0.9064 and whose best cell has 0.9432. The project promises it in 10 s on
// 2 free cores; what counts here is the processor's time, as other tests may keep
// this one waiting.
func TestWholeSpace(t *testing.T) {
	if testing.Short() {
		t.Skip("predicts all cells")
	}
	cells := nasbench101.Enumerate()
	start := cpuTime(t)
	tests := predict(t, cells)
	took := cpuTime(t) - start
	t.Logf("%d cells took %v of processor time", len(cells), took)
	if took > 20*time.Second {
		t.Errorf("the whole space took %v of processor time, want less than 10 s on each of 2 cores", took)
	}
	slices.Sort(tests)
	if tests[0] < 0 || tests[len(tests)-1] > 0.95 || tests[len(tests)-1] < 0.935 {
		t.Errorf("accuracies from %v to %v", tests[0], tests[len(tests)-1])
	}
	if median := tests[len(tests)/2]; math.Abs(median-0.9064) > 0.002 {
		t.Errorf("the median is %v, want about 0.9064", median)
	}
}

func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
