package datasets

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"

	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
)

// Epochs are the training budgets of NAS-Bench-101. A search asks for accuracies
// at the last one.
var Epochs = [...]int{4, 12, 36, 108}

// last is the index in [Epochs] of the full budget.
const last = len(Epochs) - 1

// runs is how often the benchmark trained each cell at each budget, and images
// how many it evaluated a network on.
const (
	runs   = 3
	images = 9984
)

// Row is what a table knows of one cell. Accuracies are in [0, 1].
//
// Test is the mean over three runs of 108 epochs. Validation depends on the
// file: the mean over three runs in the official TFRecord files, one run in the
// CSV pair; the authors' JSON does not say whether its accuracies are means.
type Row struct {
	Cell       nasbench101.Cell
	Hash       [16]byte             // the official module hash
	Test       float64              // test accuracy
	Validation [len(Epochs)]float64 // validation accuracy at each of Epochs; NaN where the table has none
	Seconds    float64              // training time of 108 epochs; NaN where the table has none
}

// unmeasured returns a row of which only the cell is known.
func unmeasured(c nasbench101.Cell) Row {
	nan := math.NaN()
	return Row{Cell: c, Test: nan, Validation: [...]float64{nan, nan, nan, nan}, Seconds: nan}
}

// NASBench101 is the whole table of NAS-Bench-101. It is safe for concurrent use.
type NASBench101 struct {
	source Source
	rows   []Row // in ascending order of hash

	labels [len(Epochs)]func() *labels // for Benchmark, made once
	tests  func() []float64            // for Report, ascending, made once
	digest func() string               // of all cells and their accuracies
}

func newNASBench101(rows []Row, source Source) *NASBench101 {
	return &NASBench101{
		source: source,
		rows:   rows,
		labels: labelsOf(rows),
		tests: sync.OnceValue(func() []float64 {
			tests := make([]float64, len(rows))
			for i := range rows {
				tests[i] = rows[i].Test
			}
			slices.Sort(tests)
			return tests
		}),
		digest: sync.OnceValue(func() string { return digestOf(rows) }),
	}
}

// digestOf returns the beginning of the SHA-256 of the cells' hashes and accuracies.
func digestOf(rows []Row) string {
	const size = 16 + 8 + 8*len(Epochs)
	data := make([]byte, 0, size*len(rows))
	for i := range rows {
		data = append(data, rows[i].Hash[:]...)
		data = binary.LittleEndian.AppendUint64(data, math.Float64bits(rows[i].Test))
		for _, v := range rows[i].Validation {
			data = binary.LittleEndian.AppendUint64(data, math.Float64bits(v))
		}
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}

// labelsOf collects the labels of each budget, when they are first asked for.
func labelsOf(rows []Row) (of [len(Epochs)]func() *labels) {
	for budget := range of {
		of[budget] = sync.OnceValue(func() *labels { return newLabels(rows, budget) })
	}
	return of
}

// OpenNASBench101 opens the NAS-Bench-101 table at path, which may be
//   - an official TFRecord file, nasbench_full.tfrecord or nasbench_only108.tfrecord;
//   - the authors' nas_bench.json;
//   - a folder that holds one of these files, or test108.csv.gz and
//     val_sample.csv.gz (or these without .gz), directly or in its folder nasbench101. If it holds several,
//     the first of this list counts.
//
// If path is empty, the table is looked for in the folder that CTNAS_DATA names,
// then in the user's cache (the folder ctnas of [os.UserCacheDir], or the one that
// CTNAS_CACHE names), where a table opened earlier serves even if its source is
// gone. If there is none and [AllowDownload] or CTNAS_DOWNLOAD=1 allows it, the
// official file is fetched into the cache. Else the table is the one that
// [OpenSurrogate] opens, with a note that says how to get the real one.
//
// The first opening reads and verifies everything, which takes some seconds, and
// leaves a compact copy in the cache; the next one reads that. The copy is made
// again when it is damaged, or when the source has another size or time.
func OpenNASBench101(ctx context.Context, path string, all ...Option) (*NASBench101, error) {
	t, err := openNASBench101(ctx, path, checkWhole, all...)
	if path != "" || !errors.Is(err, ErrNoData) {
		return t, err
	}
	noData := strings.TrimPrefix(err.Error(), "datasets: ")
	if t, err = OpenSurrogate(ctx, all...); err != nil {
		return nil, err
	}
	t.source.Notes = append(t.source.Notes, noData)
	return t, nil
}

// openNASBench101 opens a table that passes the given check.
func openNASBench101(ctx context.Context, path string, check func([]Row) error, all ...Option) (*NASBench101, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("datasets: opening NAS-Bench-101: %w", err)
	}
	o, err := collect(all)
	if err != nil {
		return nil, err
	}
	ctx = watched(ctx, "NAS-Bench-101", o.progress)
	cache, cacheErr := cacheDir()
	from, notes, err := locate(path, cache)
	if errors.Is(err, ErrNoData) && cacheErr == nil {
		var t *NASBench101
		if t, err = openCached(cache, check, notes, err); err == nil {
			return t, nil
		}
	}
	if errors.Is(err, ErrNoData) && o.download {
		var found Found
		found, err = Find(ctx, only108File, "", all...)
		from, notes = origin{[]string{found.Path}, readTFRecordFile}, append(notes, found.Notes...)
	}
	if err != nil {
		return nil, err
	}

	var stamp, file string
	if cacheErr == nil {
		if stamp, err = from.stamp(); err != nil {
			return nil, err
		}
		file = from.cacheFile(cache)
		t, err := readCache(file, stamp, check)
		if err == nil {
			t.source.Path, t.source.Notes = from.path(), notes
			return t, nil
		}
		if errors.Is(err, errDamagedCache) {
			notes = append(notes, fmt.Sprintf("the cached copy %s was %v, so the table was read again", file, err))
		}
	}

	t, err := readOrigin(ctx, from, check)
	if err != nil {
		return nil, err
	}
	if cacheErr == nil {
		cacheErr = writeCache(file, stamp, t)
	}
	if cacheErr != nil {
		notes = append(notes, fmt.Sprintf("the table could not be cached, so each opening reads it all: %v", cacheErr))
	}
	t.source.Notes = notes
	return t, nil
}

// readOrigin reads and verifies a table from its source.
func readOrigin(ctx context.Context, from origin, check func([]Row) error) (*NASBench101, error) {
	rows, err := from.read(ctx, from.files)
	if err != nil {
		return nil, err
	}
	sortRows(rows)
	if err := check(rows); err != nil {
		return nil, badFile(from.files[0], err)
	}
	t := newNASBench101(rows, Source{Kind: Real, Path: from.path()})
	t.source.Description = fmt.Sprintf("real NAS-Bench-101, %s cells, %s with validation accuracy, from %s",
		thousands(len(rows)), thousands(len(t.labels[last]().cells)), strings.Join(from.names(), " and "))
	return t, nil
}

// Source says which data this is.
func (t *NASBench101) Source() Source { return t.source }

// Benchmark returns what a search may ask: validation accuracies.
func (t *NASBench101) Benchmark() *Benchmark {
	return t.benchmark(last)
}

// BenchmarkAt returns a Benchmark of validation accuracies after fewer epochs, one of
// [Epochs]: cheaper labels, of less worth. The error says that the table has none.
func (t *NASBench101) BenchmarkAt(epochs int) (*Benchmark, error) {
	budget := slices.Index(Epochs[:], epochs)
	if budget < 0 {
		return nil, fmt.Errorf("datasets: NAS-Bench-101 has no accuracies after %d epochs, but after %v", epochs, Epochs)
	}
	b := t.benchmark(budget)
	if b.Len() == 0 {
		return nil, fmt.Errorf("datasets: this table (%s) has no validation accuracies after %d epochs", t.source.Kind, epochs)
	}
	return b, nil
}

func (t *NASBench101) benchmark(budget int) *Benchmark {
	return &Benchmark{labels: t.labels[budget](), kind: t.source.Kind, version: func() string {
		return fmt.Sprintf("%s, digest %s, after %d epochs", t.source.Description, t.digest(), Epochs[budget])
	}}
}

// Report returns the handle for reports, and the only one that knows test accuracies.
func (t *NASBench101) Report() *Report {
	return &Report{rows: t.rows, tests: t.tests}
}

// bestTest is the mean test accuracy of the benchmark's best cell, as published.
const (
	bestHash = "02e5a0247bbdcf2860b7e96f74961594"
	bestTest = 0.943176
)

// checkWhole says whether rows, in ascending order of hash and each one checked,
// are all of NAS-Bench-101.
func checkWhole(rows []Row) error {
	if err := checkCount(rows); err != nil {
		return err
	}
	var best [16]byte
	if _, err := hex.Decode(best[:], []byte(bestHash)); err != nil {
		return err
	}
	// Single runs of the best cell differ from the mean by less than half a percent.
	i, found := findRow(rows, best)
	if !found || math.Abs(rows[i].Test-bestTest) > 0.005 {
		return fmt.Errorf("the cell %s does not have its published test accuracy, about %.4f", bestHash, bestTest)
	}
	return nil
}

var errTooMany = fmt.Errorf("NAS-Bench-101 has no more than %s cells", thousands(nasbench101.NumCells))

func checkCount(rows []Row) error {
	if len(rows) != nasbench101.NumCells {
		return fmt.Errorf("it has %s cells, but NAS-Bench-101 has %s", thousands(len(rows)), thousands(nasbench101.NumCells))
	}
	return nil
}

// findRow looks for a hash in rows that are in ascending order of hash.
func findRow(rows []Row, hash [16]byte) (int, bool) {
	return sort.Find(len(rows), func(i int) int { return bytes.Compare(hash[:], rows[i].Hash[:]) })
}

// hashRows computes the hashes of all rows, on all cores.
func hashRows(ctx context.Context, rows []Row) error {
	var workers sync.WaitGroup
	var mu sync.Mutex
	done := 0
	for part := range slices.Chunk(rows, len(rows)/runtime.GOMAXPROCS(0)+1) {
		workers.Go(func() {
			for block := range slices.Chunk(part, poll) {
				if ctx.Err() != nil {
					return
				}
				for i := range block {
					block[i].Hash = block[i].Cell.Hash()
				}
				mu.Lock()
				done += len(block)
				report(ctx, Verifying, int64(done), int64(len(rows)))
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	return ctx.Err()
}

// poll is the number of records after which a reader says how far it is and looks
// whether to stop.
const poll = 1024

// polled is called for each record, and looks after each poll of them.
func polled(ctx context.Context, number, cells int) error {
	if number%poll != 0 {
		return nil
	}
	report(ctx, Reading, int64(cells), nasbench101.NumCells)
	return ctx.Err()
}

// checkHashes compares the rows' hashes with those that the file claims. With an
// error, it gives the index of the first that differs.
func checkHashes(rows []Row, claimed [][16]byte) (int, error) {
	for i := range rows {
		if rows[i].Hash != claimed[i] {
			return i, fmt.Errorf("the cell %v has the hash %x, not %x", rows[i].Cell, rows[i].Hash, claimed[i])
		}
	}
	return 0, nil
}

// parseHash reads a module hash in hexadecimal.
func parseHash(text string) (hash [16]byte, err error) {
	if b, err := hex.DecodeString(text); err == nil && len(b) == len(hash) {
		return [16]byte(b), nil
	}
	return hash, fmt.Errorf("%.40q is not a module hash of 32 hexadecimal digits", text)
}

func checkParams(c nasbench101.Cell, params int64) error {
	if want := c.Params(); params != int64(want) {
		return fmt.Errorf("the cell %v has %d parameters, not %d", c, want, params)
	}
	return nil
}

// checkMeasured checks what was measured of a cell.
func checkMeasured(validation, test, seconds float64) error {
	if err := checkAccuracy("validation", validation); err != nil {
		return err
	}
	if err := checkAccuracy("test", test); err != nil {
		return err
	}
	return checkSeconds(seconds)
}

func checkAccuracy(name string, accuracy float64) error {
	if accuracy >= 0 && accuracy <= 1 {
		return nil
	}
	return fmt.Errorf("the %s accuracy %v is not in [0, 1]", name, accuracy)
}

func checkSeconds(seconds float64) error {
	if seconds >= 0 && !math.IsInf(seconds, 1) {
		return nil
	}
	return fmt.Errorf("the training time %v is not a number of seconds", seconds)
}

// exact undoes the rounding in a mean accuracy. The accuracy of a run is a whole
// number of images out of 9,984, stored in single precision; without this,
// cells of equal mean accuracy would differ in the last digits, and in rank.
func exact(accuracy float64) float64 {
	hits := accuracy * runs * images
	if whole := math.Round(hits); math.Abs(hits-whole) < 0.01 {
		return whole / (runs * images)
	}
	return accuracy
}

// thousands prints n with a comma between thousands.
func thousands(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
