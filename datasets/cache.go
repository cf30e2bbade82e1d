package datasets

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
)

// A cache file holds, with all numbers little-endian:
//
//	cacheMagic
//	stamp, kind, description: 4 bytes of length and the text
//	4 bytes: number of cells; 4 bytes: number of these with more than a test accuracy
//	each cell: hash (16 bytes), code (8), test accuracy (8)
//	each of the others: index (4), validation accuracies (8 each), seconds (8)
//	CRC-32C of all this (4)
const (
	cacheMagic  = "ctnas nasbench101 table 1\n" // with another number for another layout
	cacheSuffix = ".table"

	cellSize  = 16 + 8 + 8
	labelSize = 4 + 8*len(Epochs) + 8
)

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
	data, err := os.ReadFile(file)
	if err != nil {
		return "", nil, err
	}
	stamp, source, rows, err := decodeTable(data)
	if err == nil {
		err = check(rows)
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
	return rundir.WriteFile(file, encodeTable(stamp, t.source, t.rows))
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

func encodeTable(stamp string, source Source, rows []Row) []byte {
	le := binary.LittleEndian
	data := []byte(cacheMagic)
	for _, text := range []string{stamp, string(source.Kind), source.Description} {
		data = le.AppendUint32(data, uint32(len(text)))
		data = append(data, text...)
	}
	var labelled []int
	for i := range rows {
		if rows[i].labelled() {
			labelled = append(labelled, i)
		}
	}
	data = slices.Grow(data, 8+len(rows)*cellSize+len(labelled)*labelSize+4)
	data = le.AppendUint32(data, uint32(len(rows)))
	data = le.AppendUint32(data, uint32(len(labelled)))
	for i := range rows {
		data = append(data, rows[i].Hash[:]...)
		data = le.AppendUint64(data, rows[i].Cell.Code())
		data = le.AppendUint64(data, math.Float64bits(rows[i].Test))
	}
	for _, i := range labelled {
		data = le.AppendUint32(data, uint32(i))
		for _, v := range rows[i].Validation {
			data = le.AppendUint64(data, math.Float64bits(v))
		}
		data = le.AppendUint64(data, math.Float64bits(rows[i].Seconds))
	}
	return le.AppendUint32(data, crc32.Checksum(data, castagnoli))
}

// labelled says whether the table knows more of the cell than its test accuracy.
func (r *Row) labelled() bool {
	for _, v := range r.Validation {
		if !math.IsNaN(v) {
			return true
		}
	}
	return !math.IsNaN(r.Seconds)
}

// decodeTable is the inverse of encodeTable. It believes the hashes, which only
// the checksum protects, but nothing else.
func decodeTable(data []byte) (stamp string, source Source, rows []Row, err error) {
	fail := func(what string) (string, Source, []Row, error) { return "", Source{}, nil, errors.New(what) }
	le := binary.LittleEndian

	data, ok := bytes.CutPrefix(data, []byte(cacheMagic))
	if !ok || len(data) < 4 {
		return fail("not a table of this version")
	}
	whole := crc32.Update(crc32.Checksum([]byte(cacheMagic), castagnoli), castagnoli, data[:len(data)-4])
	if whole != le.Uint32(data[len(data)-4:]) {
		return fail("wrong checksum")
	}
	data = data[:len(data)-4]

	var texts [3]string
	for i := range texts {
		if len(data) < 4 || uint64(len(data)-4) < uint64(le.Uint32(data)) {
			return fail("wrong length")
		}
		length := 4 + int(le.Uint32(data))
		texts[i], data = string(data[4:length]), data[length:]
	}
	if len(data) < 8 {
		return fail("wrong length")
	}
	cells, labels := uint64(le.Uint32(data)), uint64(le.Uint32(data[4:]))
	data = data[8:]
	if uint64(len(data)) != cells*cellSize+labels*uint64(labelSize) {
		return fail("wrong length")
	}

	rows = make([]Row, cells)
	for i := range rows {
		cell, err := nasbench101.FromCode(le.Uint64(data[16:]))
		if err != nil {
			return fail(err.Error())
		}
		row := unmeasured(cell)
		row.Hash = [16]byte(data[:16])
		row.Test = math.Float64frombits(le.Uint64(data[24:]))
		if err := checkAccuracy("test", row.Test); err != nil {
			return fail(err.Error())
		}
		if i > 0 && bytes.Compare(rows[i-1].Hash[:], row.Hash[:]) >= 0 {
			return fail("wrong order")
		}
		rows[i] = row
		data = data[cellSize:]
	}
	for ; len(data) > 0; data = data[labelSize:] {
		i := le.Uint32(data)
		if uint64(i) >= cells {
			return fail("wrong index")
		}
		row := &rows[i]
		for e := range Epochs {
			v := math.Float64frombits(le.Uint64(data[4+8*e:]))
			if v < 0 || v > 1 {
				return fail("a validation accuracy is not in [0, 1]")
			}
			row.Validation[e] = v // or NaN
		}
		row.Seconds = math.Float64frombits(le.Uint64(data[labelSize-8:]))
		if row.Seconds < 0 || math.IsInf(row.Seconds, 1) {
			return fail("a training time is not a number of seconds")
		}
	}
	return texts[0], Source{Kind: Kind(texts[1]), Description: texts[2]}, rows, nil
}
