package datasets

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
	"github.com/ctnas/ctnas/datasets/surrogate"
)

// predictedSuffix ends the names of cached surrogate tables. It is not that of real
// ones, so that none is ever taken for a table whose source is gone.
const predictedSuffix = ".predicted"

// OpenSurrogate opens the table that package surrogate predicts for NAS-Bench-101:
// a test accuracy for each of the 423,624 cells, and the validation accuracy of one
// run of 108 epochs. It needs no data, and is what [OpenNASBench101] opens where
// there is none. Its kind is [Surrogate]. The first opening computes all
// predictions, which takes some seconds, and the next one reads them from the cache.
func OpenSurrogate(ctx context.Context, all ...Option) (*NASBench101, error) {
	o, err := collect(all)
	if err != nil {
		return nil, err
	}
	ctx = watched(ctx, "the NAS-Bench-101 surrogate", o.progress)
	stamp := "surrogate " + surrogate.Version()
	var file string
	cache, cacheErr := cacheDir()
	if cacheErr == nil {
		file = filepath.Join(cache, nasbenchFolder, "surrogate-"+surrogate.Version()+predictedSuffix)
		if t, err := readCache(file, stamp, checkCount); err == nil {
			return t, nil
		}
	}
	rows, err := predictRows(ctx)
	if err != nil {
		return nil, fmt.Errorf("datasets: stopped computing the surrogate: %w", err)
	}
	t := newNASBench101(rows, Source{
		Kind: Surrogate,
		Description: fmt.Sprintf("a surrogate of NAS-Bench-101, %s cells: predictions of a model of the benchmark, not the published measurements",
			thousands(len(rows))),
	})
	if cacheErr == nil {
		cacheErr = writeCache(file, stamp, t)
	}
	if cacheErr != nil {
		t.source.Notes = []string{fmt.Sprintf("the surrogate's predictions could not be cached, so each opening computes them: %v", cacheErr)}
	}
	return t, nil
}

// predictRows returns the surrogate's table, in ascending order of hash.
func predictRows(ctx context.Context) ([]Row, error) {
	cells := nasbench101.Enumerate()
	tests, err := surrogate.Predict(ctx, cells)
	if err != nil {
		return nil, err
	}
	rows := make([]Row, len(cells))
	for i, c := range cells {
		rows[i] = unmeasured(c)
		rows[i].Test = tests[i]
	}
	if err := hashRows(ctx, rows); err != nil {
		return nil, err
	}
	for i := range rows {
		rows[i].Validation[last] = surrogate.Validation(rows[i].Test, rows[i].Hash, 0)
	}
	sortRows(rows)
	return rows, nil
}
