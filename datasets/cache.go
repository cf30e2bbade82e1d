package datasets

import (
	"bytes"
	"cmp"
	"encoding/gob"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
)

// cacheSuffix ends the names of cache files, which hold a [cachedTable] by encoding/gob in a
// file that package rundir seals.
const cacheSuffix = ".table"

// cachedTable is a table by columns, each with one entry for each row.
type cachedTable struct {
	Stamp, Kind, Description string

	Hashes  []byte // of 16 bytes each
	Codes   []uint64
	Numbers [][]float64 // as [Row.numbers] has them
}

// numbers are all numbers of a row: the test accuracy, the validation accuracies, the seconds.
func (r *Row) numbers() []*float64 {
	all := []*float64{&r.Test}
	for e := range r.Validation {
		all = append(all, &r.Validation[e])
	}
	return append(all, &r.Seconds)
}

// The reasons not to use a cache file that is there.
var (
	errDamagedCache = errors.New("damaged")
	errStaleCache   = errors.New("made from an older file")
)

// readCache reads a cache file made from the files with this stamp.
func readCache(file, stamp string, check func([]Row) error) (*NASBench101, error) {
	madeFrom, t, err := readCacheFile(file, check)
	if err == nil && madeFrom != stamp {
		err = errStaleCache
	}
	if err != nil {
		return nil, err
	}
	return t, nil
}

func readCacheFile(file string, check func([]Row) error) (stamp string, t *NASBench101, err error) {
	data, err := rundir.ReadSealed(file)
	var source Source
	var rows []Row
	switch {
	case errors.Is(err, rundir.ErrDamaged):
		err = errors.New("wrong checksum")
	case err != nil:
		return "", nil, err
	default:
		if stamp, source, rows, err = decodeTable(data); err == nil {
			err = check(rows)
		}
	}
	if err != nil {
		return "", nil, fmt.Errorf("%w (%w)", errDamagedCache, err)
	}
	return stamp, newNASBench101(rows, source), nil
}

// writeCache writes a cache file. If it fails or is interrupted, what was there
// before is still there.
func writeCache(file, stamp string, t *NASBench101) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	data, err := encodeTable(stamp, t.source, t.rows)
	if err != nil {
		return err
	}
	return rundir.WriteSealed(file, data)
}

// openCached opens the cached table that was made last, when its source is not
// to be found. If there is none, the error is noData.
func openCached(cache string, check func([]Row) error, notes []string, noData error) (*NASBench101, error) {
	type candidate struct {
		file string
		made time.Time
	}
	var candidates []candidate
	folder := filepath.Join(cache, nasbenchFolder)
	entries, _ := os.ReadDir(folder) // a folder that is not there holds no tables
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil && strings.HasSuffix(entry.Name(), cacheSuffix) {
			candidates = append(candidates, candidate{filepath.Join(folder, entry.Name()), info.ModTime()})
		}
	}
	slices.SortFunc(candidates, func(a, b candidate) int {
		return cmp.Or(b.made.Compare(a.made), cmp.Compare(a.file, b.file))
	})
	for _, c := range candidates {
		_, t, err := readCacheFile(c.file, check)
		if err == nil {
			t.source.Path, t.source.Notes = c.file, notes
			return t, nil
		}
		problem := fmt.Sprintf("the cached copy %s is unusable: %v", c.file, err)
		notes = append(notes, problem)
		noData = fmt.Errorf("%w; %s", noData, problem)
	}
	return nil, noData
}

func encodeTable(stamp string, source Source, rows []Row) ([]byte, error) {
	t := cachedTable{Stamp: stamp, Kind: string(source.Kind), Description: source.Description}
	t.Numbers = make([][]float64, len(new(Row).numbers()))
	for i := range rows {
		t.Hashes = append(t.Hashes, rows[i].Hash[:]...)
		t.Codes = append(t.Codes, rows[i].Cell.Code())
		for k, number := range rows[i].numbers() {
			t.Numbers[k] = append(t.Numbers[k], *number)
		}
	}
	var data bytes.Buffer
	err := gob.NewEncoder(&data).Encode(t)
	return data.Bytes(), err
}

// decodeTable is the inverse of encodeTable. It believes the hashes, which only
// the file's seal protects, but nothing else.
func decodeTable(data []byte) (stamp string, source Source, rows []Row, err error) {
	var t cachedTable
	if err := gob.NewDecoder(bytes.NewReader(data)).Decode(&t); err != nil {
		return "", Source{}, nil, fmt.Errorf("not a table of this version: %w", err)
	}
	rows = make([]Row, len(t.Codes))
	whole := len(t.Hashes) == 16*len(rows) && len(t.Numbers) == len(new(Row).numbers())
	for _, column := range t.Numbers {
		whole = whole && len(column) == len(rows)
	}
	if !whole {
		return "", Source{}, nil, errors.New("its columns have different lengths")
	}
	for i := range rows {
		row := &rows[i]
		row.Hash = [16]byte(t.Hashes[16*i:])
		for k, number := range row.numbers() {
			*number = t.Numbers[k][i]
		}
		if row.Cell, err = nasbench101.FromCode(t.Codes[i]); err != nil {
			return "", Source{}, nil, err
		}
		if err := row.check(); err != nil {
			return "", Source{}, nil, err
		}
		if i > 0 && bytes.Compare(rows[i-1].Hash[:], row.Hash[:]) >= 0 {
			return "", Source{}, nil, errors.New("its cells are not in ascending order of hash")
		}
	}
	return t.Stamp, Source{Kind: Kind(t.Kind), Description: t.Description}, rows, nil
}

// check checks the numbers of a row, of which only the test accuracy must be known.
func (r *Row) check() error {
	if err := checkAccuracy("test", r.Test); err != nil {
		return err
	}
	for _, v := range r.Validation {
		if !math.IsNaN(v) {
			if err := checkAccuracy("validation", v); err != nil {
				return err
			}
		}
	}
	if math.IsNaN(r.Seconds) {
		return nil
	}
	return checkSeconds(r.Seconds)
}
