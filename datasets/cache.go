package datasets

import (
	"bytes"
	"cmp"
	"encoding/binary"
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

// cacheSuffix ends the names of cache files, which package rundir seals. They hold a
// [cacheHead] by encoding/gob, then of each row the hash, and in 8 bytes each, little-endian,
// the cell's code and the numbers.
const cacheSuffix = ".table"

// cacheHead says what a cached table was made from, and is the table's source.
type cacheHead struct{ Stamp, Kind, Description string }

// How many numbers a row has, and how many bytes.
const (
	columns = 1 + len(Epochs) + 1
	rowSize = 16 + 8 + 8*columns
)

// number returns one of a row's numbers: the test accuracy, the validation accuracies, the seconds.
func (r *Row) number(column int) *float64 {
	switch column {
	case 0:
		return &r.Test
	case columns - 1:
		return &r.Seconds
	}
	return &r.Validation[column-1]
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
	var head bytes.Buffer
	if err := gob.NewEncoder(&head).Encode(cacheHead{stamp, string(source.Kind), source.Description}); err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	data := slices.Grow(head.Bytes(), rowSize*len(rows))
	for i := range rows {
		data = le.AppendUint64(append(data, rows[i].Hash[:]...), rows[i].Cell.Code())
		for k := range columns {
			data = le.AppendUint64(data, math.Float64bits(*rows[i].number(k)))
		}
	}
	return data, nil
}

// decodeTable returns the inverse of encodeTable. It believes the hashes, which only
// the file's seal protects, but nothing else.
func decodeTable(data []byte) (stamp string, source Source, rows []Row, err error) {
	fail := func(err error) (string, Source, []Row, error) { return "", Source{}, nil, err }
	le := binary.LittleEndian
	var head cacheHead
	rest := bytes.NewReader(data)
	if err := gob.NewDecoder(rest).Decode(&head); err != nil {
		return fail(fmt.Errorf("not a table of this version: %w", err))
	}
	data = data[len(data)-rest.Len():]
	if len(data)%rowSize != 0 {
		return fail(errors.New("wrong length"))
	}
	rows = make([]Row, len(data)/rowSize)
	for i := range rows {
		row, data := &rows[i], data[i*rowSize:]
		row.Hash = [16]byte(data)
		if row.Cell, err = nasbench101.FromCode(le.Uint64(data[16:])); err != nil {
			return fail(err)
		}
		for k := range columns {
			*row.number(k) = math.Float64frombits(le.Uint64(data[24+8*k:]))
		}
		if err := row.check(); err != nil {
			return fail(err)
		}
		if i > 0 && bytes.Compare(rows[i-1].Hash[:], row.Hash[:]) >= 0 {
			return fail(errors.New("wrong order"))
		}
	}
	return head.Stamp, Source{Kind: Kind(head.Kind), Description: head.Description}, rows, nil
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
