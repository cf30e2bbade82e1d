package datasets

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
)

// A machine without any data has the surrogate, and says so.
func TestOpenWithoutData(t *testing.T) {
	if testing.Short() {
		t.Skip("computes the whole surrogate")
	}
	cache := tempCache(t)
	t.Setenv(envData, "")
	t.Setenv(envDownload, "")
	var first time.Duration
	for _, opening := range []string{"first", "second"} {
		start := time.Now()
		table, err := OpenNASBench101(context.Background(), "")
		if err != nil {
			t.Fatal(err)
		}
		took := time.Since(start)
		t.Logf("%s opening: %v", opening, took)
		if opening == "first" {
			first = took
		} else if took > first/4 {
			t.Errorf("the second opening took %v, want much less than the first, %v", took, first)
		}
		source := table.Source()
		if source.Kind != Surrogate || !strings.Contains(source.Description, "surrogate") || table.Benchmark().Source() != "surrogate" {
			t.Errorf("the source is %q: %s", source.Kind, source.Description)
		}
		if len(source.Notes) != 1 || !strings.Contains(source.Notes[0], only108File) {
			t.Errorf("the notes %q do not say how to get the real table", source.Notes)
		}
		if n := table.Benchmark().Len(); n != nasbench101.NumCells {
			t.Errorf("%d cells can be queried, want all", n)
		}
	}
	// The predictions in the cache are not a real table whose source is gone.
	if _, _, err := locate("", cache); err == nil {
		t.Error("the cached surrogate counts as a source")
	}
	if _, err := openCached(cache, checkCount, nil, ErrNoData); err == nil {
		t.Error("the cached surrogate is taken for a real table")
	}
}
