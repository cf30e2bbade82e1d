package datasets

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
)

// damage flips a bit in the middle of a file.
func damage(t *testing.T, file string) {
	t.Helper()
	data := content(t, file)
	data[len(data)/2] ^= 1
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// cached is the only file in the cache.
func cached(t *testing.T, cache string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(cache, nasbenchFolder, "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("the cache holds %v, %v; want one file", files, err)
	}
	return files[0]
}

// Whether the second opening read the cache shows when the source cannot be read.
func TestCacheIsUsed(t *testing.T) {
	cache := tempCache(t)
	for _, fixture := range []string{only108Fixture, fullFixture} {
		source := write(t, filepath.Base(fixture), content(t, fixture))
		first := mustOpen(t, source)
		info, err := os.Stat(source)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(source, make([]byte, info.Size()), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(source, info.ModTime(), info.ModTime()); err != nil {
			t.Fatal(err)
		}
		second := mustOpen(t, source)
		if first.source.Description != second.source.Description || first.source.Path != second.source.Path || first.source.Kind != second.source.Kind {
			t.Errorf("sources %v and %v differ", first.source, second.source)
		}
		if fixture == only108Fixture {
			checkRows(t, second.rows, 108)
		} else {
			checkRows(t, second.rows, Epochs[:]...)
		}

		// With another time, it is another file.
		if err := os.Chtimes(source, time.Now(), info.ModTime().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		_, err = open(t, source)
		wantError(t, err, filepath.Base(source), "record 1")
	}
	if files, _ := filepath.Glob(filepath.Join(cache, nasbenchFolder, "*")); len(files) != 2 {
		t.Errorf("the cache holds %v, want two tables and nothing else", files)
	}
}

func TestCacheIsRebuilt(t *testing.T) {
	cache := tempCache(t)
	mustOpen(t, only108Fixture)
	file := cached(t, cache)
	good := content(t, file)
	for name, data := range map[string][]byte{
		"flipped":         append(append(bytes.Clone(good[:200]), good[200]^8), good[201:]...),
		"truncated":       good[:len(good)-9],
		"empty":           {},
		"another version": bytes.Replace(good, []byte("Stamp"), []byte("stamp"), 1),
		"an older layout": binary.LittleEndian.AppendUint32([]byte("x"), crc32.Checksum([]byte("x"), castagnoli)),
		"longer":          append(bytes.Clone(good), 0),
	} {
		if err := os.WriteFile(file, data, 0o644); err != nil {
			t.Fatal(err)
		}
		table := mustOpen(t, only108Fixture)
		checkRows(t, table.rows, 108)
		if notes := table.Source().Notes; len(notes) != 1 || !strings.Contains(notes[0], file) || !strings.Contains(notes[0], "damaged") {
			t.Errorf("%s: notes %q, want one about %s", name, notes, file)
		}
		if !bytes.Equal(content(t, file), good) {
			t.Errorf("%s: the cached copy was not made again", name)
		}
		if notes := mustOpen(t, only108Fixture).Source().Notes; len(notes) != 0 {
			t.Errorf("%s: notes %q the second time", name, notes)
		}
	}
}

// Each byte of a cache file is under its seal.
func TestCacheFlippedByte(t *testing.T) {
	cache := tempCache(t)
	mustOpen(t, only108Fixture)
	file := cached(t, cache)
	good := content(t, file)
	unusable := func(data []byte) bool {
		if err := os.WriteFile(file, data, 0o644); err != nil {
			t.Fatal(err)
		}
		_, _, err := readCacheFile(file, func([]Row) error { return nil })
		return errors.Is(err, errDamagedCache)
	}
	for i := range good {
		damaged := bytes.Clone(good)
		damaged[i] ^= 0x20
		if !unusable(damaged) {
			t.Fatalf("a flipped bit in byte %d was not seen", i)
		}
		if !unusable(good[:i]) {
			t.Fatalf("a file cut at byte %d was not seen", i)
		}
	}
}

// What the seal does not protect, a table that was written wrongly, is noticed too.
func TestCacheDecode(t *testing.T) {
	tempCache(t)
	table := mustOpen(t, only108Fixture)
	for name, spoil := range map[string]func(rows []Row){
		"order":                 func(rows []Row) { rows[0].Hash, rows[1].Hash = rows[1].Hash, rows[0].Hash },
		"the same cell twice":   func(rows []Row) { rows[1] = rows[0] },
		"the test accuracy":     func(rows []Row) { rows[2].Test = math.NaN() },
		"a validation accuracy": func(rows []Row) { rows[2].Validation[1] = 1.5 },
		"a negative time":       func(rows []Row) { rows[3].Seconds = -1 },
		"an endless time":       func(rows []Row) { rows[3].Seconds = math.Inf(1) },
	} {
		rows := slices.Clone(table.rows)
		spoil(rows)
		data, err := encodeTable("stamp", table.source, rows)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, _, err := decodeTable(data); err == nil {
			t.Errorf("%s goes unnoticed", name)
		}
	}
}

func TestCacheCannotBeWritten(t *testing.T) {
	// A file where the folder should be stops even root.
	t.Setenv(envCache, filepath.Join(write(t, "file", nil), "cache"))
	for range 2 {
		table := mustOpen(t, only108Fixture)
		checkRows(t, table.rows, 108)
		if notes := table.Source().Notes; len(notes) != 1 || !strings.Contains(notes[0], "could not be cached") {
			t.Errorf("notes %q, want one about the cache", notes)
		}
	}
	t.Setenv(envCache, "")
	for _, name := range []string{"HOME", "XDG_CACHE_HOME", "LocalAppData", "home"} {
		t.Setenv(name, "")
	}
	table := mustOpen(t, only108Fixture)
	if notes := table.Source().Notes; len(notes) != 1 || !strings.Contains(notes[0], envCache) {
		t.Errorf("notes %q, want one that says to set %s", notes, envCache)
	}
	if _, err := open(t, ""); !errors.Is(err, ErrNoData) {
		t.Errorf("error %v, want ErrNoData", err)
	}
}

func TestCheckWhole(t *testing.T) {
	tempCache(t)
	t.Setenv(envData, "")
	_, err := OpenNASBench101(context.Background(), only108Fixture)
	wantError(t, err, only108File, "it has 8 cells, but NAS-Bench-101 has 423,624", "get it again")

	rows := make([]Row, nasbench101.NumCells)
	for i := range rows {
		rows[i].Hash = [16]byte{byte(i >> 16), byte(i >> 8), byte(i)}
	}
	wantError(t, checkWhole(rows), bestHash, "0.9432")
	i, _ := findRow(rows, [16]byte{2, 0xe5, 0xa1})
	best := parse(t, "110011000101000100101:BAMAA")
	rows[i-1].Hash, rows[i-1].Test = best.Hash(), 0.9431
	if err := checkWhole(rows); err != nil {
		t.Error(err)
	}
	rows[i-1].Test = 94.31
	wantError(t, checkWhole(rows), bestHash)
}

// Opening the table from the cache, as every cell of a notebook does: that of $CTNAS_DATA, else the surrogate.
func BenchmarkOpen(b *testing.B) {
	b.Setenv(envCache, b.TempDir())
	open := func() {
		if _, err := OpenNASBench101(b.Context(), ""); err != nil {
			b.Fatal(err)
		}
	}
	open() // fills the cache
	for b.Loop() {
		open()
	}
}
