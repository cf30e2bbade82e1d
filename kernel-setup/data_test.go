package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ctnas/ctnas/datasets"
	"github.com/ctnas/ctnas/internal/install/installtest"
)

// alone hides the data of whoever runs the tests, and returns an empty cache.
func alone(t *testing.T) (cache string) {
	t.Helper()
	for _, name := range []string{"CTNAS_DATA", "CTNAS_DOWNLOAD", "CTNAS_MIRROR"} {
		t.Setenv(name, "")
	}
	cache = t.TempDir()
	t.Setenv("CTNAS_CACHE", cache)
	return cache
}

func TestDataList(t *testing.T) {
	cache, data := alone(t), t.TempDir()
	t.Setenv("CTNAS_DATA", data)
	t.Setenv("CTNAS_DOWNLOAD", "1") // A list downloads nothing all the same.
	where := map[string]string{}
	for _, a := range datasets.Assets() {
		switch a.ID {
		case datasets.OFAPredictor:
			where[a.ID] = filepath.Join(data, a.Path)
			installtest.Write(t, where[a.ID], "")
			if err := os.Truncate(where[a.ID], a.Size); err != nil {
				t.Fatal(err)
			}
		case datasets.OFAWeights:
			where[a.ID] = filepath.Join(cache, a.Path)
			installtest.Write(t, where[a.ID], "weights")
		case datasets.CIFAR10:
			installtest.Write(t, filepath.Join(data, a.Path), "cut off")
		}
	}
	out := new(bytes.Buffer)
	if err := dispatch(t.Context(), []string{"data"}, out); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	for _, a := range datasets.Assets() {
		for _, part := range []string{a.ID, a.About, a.Licence, a.URL} {
			if !strings.Contains(text, part) {
				t.Errorf("the list does not have %q", part)
			}
		}
		if path := where[a.ID]; path != "" && !strings.Contains(text, "yes, in "+path+"\n") {
			t.Errorf("the list does not say that there is %s", path)
		}
	}
	for part, times := range map[string]int{"here:": 7, "here:    yes": 2, "here:    no\n": 4, "here:    unusable: datasets: " + data: 1, "522.8 MB": 1, "170.1 MB": 1, "not published": 3, "compiled from the files at": 1} {
		if n := strings.Count(text, part); n != times {
			t.Errorf("%q is %d times in the list, want %d:\n%s", part, n, times, text)
		}
	}
}

// CIFAR-10 is there in whatever form package images opens it.
func TestDataListCIFAR10(t *testing.T) {
	for _, name := range []string{"images.tar.gz", "cifar-10-batches-bin/batches.meta.txt", "train/cat/1.png"} {
		alone(t)
		data := t.TempDir()
		t.Setenv("CTNAS_DATA", data)
		list := func() string {
			out := new(bytes.Buffer)
			if err := dispatch(t.Context(), []string{"data"}, out); err != nil {
				t.Fatal(err)
			}
			return out.String()
		}
		if strings.Contains(list(), "here:    yes") {
			t.Error("in an empty folder something is there")
		}
		installtest.Write(t, filepath.Join(data, "cifar10", name), "")
		where := filepath.Join(data, "cifar10")
		if first, _, _ := strings.Cut(name, "/"); first != "train" {
			where = filepath.Join(where, first)
		}
		if text := list(); !strings.Contains(text, "yes, in "+where+"\n") {
			t.Errorf("with cifar10/%s the list is\n%s", name, text)
		}
	}
}

func TestDataListTable(t *testing.T) {
	alone(t)
	data := t.TempDir()
	t.Setenv("CTNAS_DATA", data)
	for i, name := range tableFiles {
		installtest.Write(t, filepath.Join(data, "nasbench101", name), "")
		out := new(bytes.Buffer)
		if err := dispatch(t.Context(), []string{"data"}, out); err != nil {
			t.Fatal(err)
		}
		whole := i == len(tableFiles)-1
		if strings.Contains(out.String(), "yes, in "+filepath.Join(data, "nasbench101")) != whole {
			t.Errorf("with %d of %d files the list is\n%s", i+1, len(tableFiles), out)
		}
	}
}

// store is a server of two assets: a.bin is only in its mirror, b.bin only at its own place.
type store struct {
	*httptest.Server
	requests int
	assets   []datasets.Asset
}

func newStore(t *testing.T) *store {
	t.Helper()
	content := []byte(strings.Repeat("data ", 100_000))
	s := &store{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests++
		if r.URL.Path != "/mirror/test/a.bin" && r.URL.Path != "/b.bin" {
			http.NotFound(w, r)
			return
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	}))
	t.Cleanup(s.Close)
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256(content))
	s.assets = []datasets.Asset{
		{ID: "a.bin", Path: "test/a.bin", URL: s.URL + "/gone", Size: int64(len(content)), Digest: digest},
		{ID: "b.bin", Path: "test/b.bin", URL: s.URL + "/b.bin", Digest: digest},
	}
	return s
}

func (s *store) fetch(ctx context.Context, to string, ids ...string) (string, error) {
	out := new(bytes.Buffer)
	err := fetchData(ctx, out, s.assets, ids, to)
	return out.String(), err
}

func TestDataFetch(t *testing.T) {
	cache := alone(t)
	s := newStore(t)
	t.Setenv("CTNAS_MIRROR", s.URL+"/mirror")
	text, err := s.fetch(t.Context(), "", "a.bin")
	if path := filepath.Join(cache, "test", "a.bin"); err != nil || !strings.HasSuffix(text, "a.bin is now in "+path+"\n") || !strings.HasPrefix(text, "downloading a.bin: 0.") {
		t.Errorf("output %q, %v; want that it is now in %s", text, err, path)
	}
	folder := t.TempDir()
	text, err = s.fetch(t.Context(), folder, "b.bin")
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{
		"note: " + s.URL + "/mirror/test/b.bin did not give it: 404 Not Found\n",
		"b.bin is now in " + filepath.Join(folder, "test", "b.bin") + "\n",
		"To use it, set CTNAS_DATA=" + folder + "\n",
	} {
		if !strings.Contains(text, part) {
			t.Errorf("output %q does not have %q", text, part)
		}
	}
	t.Setenv("CTNAS_MIRROR", "")

	s.requests = 0
	t.Setenv("CTNAS_DATA", folder)
	text, err = s.fetch(t.Context(), folder, "b.bin")
	if want := fmt.Sprintf("b.bin was already in %s\n", filepath.Join(folder, "test", "b.bin")); err != nil || text != want || s.requests > 0 {
		t.Errorf("output %q, %v after %d requests; want %q", text, err, s.requests, want)
	}
}

func TestDataFetchFails(t *testing.T) {
	alone(t)
	s := newStore(t)
	_, err := s.fetch(t.Context(), "", "a.bin", "c.bin")
	installtest.WantError(t, err, `"c.bin"`, "go run ./kernel-setup data")
	if s.requests > 0 {
		t.Error("something was fetched, though a name is wrong")
	}
	_, err = s.fetch(t.Context(), "", "a.bin")
	installtest.WantError(t, err, "cannot fetch a.bin", s.URL+"/gone", "404")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.fetch(ctx, t.TempDir(), "b.bin")
	installtest.WantError(t, err, "stopped fetching b.bin")
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v is not that of the context", err)
	}
}

func TestDataArguments(t *testing.T) {
	alone(t)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"data", "photo"}, `"photo"`},
		{[]string{"data", "-to", "folder", "photo", "-to", "other"}, `"photo"`},
		{[]string{"data", "-to", "folder"}, "names of what to fetch"},
		{[]string{"data", "-to"}, "needs an argument"},
		{[]string{"data", "-all"}, "-all"},
		{[]string{"data", "-export", "photo", "-to", "folder"}, `"photo" cannot be exported, only nas_bench.json`},
		{[]string{"data", "-export", "nas_bench.json"}, "add -to FOLDER"},
		{[]string{"data", "photo", "-export", "nas_bench.json", "-to", "folder"}, `"photo"`},
	} {
		installtest.WantError(t, dispatch(t.Context(), c.args, new(bytes.Buffer)), c.want)
	}
	out := new(bytes.Buffer)
	if err := dispatch(t.Context(), []string{"data", "-h"}, out); err != nil || !strings.Contains(out.String(), "data [NAME...]") || !strings.Contains(out.String(), "-export") {
		t.Errorf("%v, %s", err, out)
	}
}

// The real table, where there is one, comes back equal.
func TestDataExport(t *testing.T) {
	data := os.Getenv("CTNAS_DATA")
	if data == "" || testing.Short() {
		t.Skip("CTNAS_DATA is not set, or writing the table takes too long")
	}
	alone(t)
	t.Setenv("CTNAS_DATA", data)
	folder, out := t.TempDir(), new(bytes.Buffer)
	if err := dispatch(t.Context(), []string{"data", "-export", "nas_bench.json", "-to", folder}, out); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "nasbench101", "nas_bench.json")
	for _, part := range []string{"is now in " + path + "\n", "set CTNAS_DATA=" + folder} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("output %q does not have %q", out, part)
		}
	}
	first, err := datasets.OpenNASBench101(t.Context(), data)
	if err != nil {
		t.Fatal(err)
	}
	second, err := datasets.OpenNASBench101(t.Context(), folder)
	if err != nil {
		t.Fatal(err)
	}
	want := slices.Collect(first.Report().Rows())
	i := 0
	for row := range second.Report().Rows() {
		same := func(a, b float64) bool { return a == b || math.IsNaN(a) && math.IsNaN(b) }
		if w := want[i]; row.Hash != w.Hash || row.Test != w.Test || !same(row.Validation[3], w.Validation[3]) || !same(row.Seconds, w.Seconds) {
			t.Fatalf("row %d is %v, want %v", i, row, w)
		}
		i++
	}
	if i != len(want) || second.Benchmark().Len() != first.Benchmark().Len() {
		t.Errorf("%d rows of %d, %d cells of %d that can be queried", i, len(want), second.Benchmark().Len(), first.Benchmark().Len())
	}
}

func TestDataProgress(t *testing.T) {
	for want, c := range map[string]struct {
		p    datasets.Progress
		did  int64
		took time.Duration
	}{
		"downloading a: 0.0 of 522.8 MB":                         {datasets.Progress{Step: datasets.Downloading, Name: "a", Total: 522_767_376}, 0, 0},
		"downloading a: 1.5 MB, 0.5 MB/s":                        {datasets.Progress{Step: datasets.Downloading, Name: "a", Done: 1_500_000}, 1_000_000, 2 * time.Second},
		"downloading a: 100.0 of 190.0 MB, 1.0 MB/s, 1m30s left": {datasets.Progress{Step: datasets.Downloading, Name: "a", Done: 100_000_000, Total: 190_000_000}, 5_000_000, 5 * time.Second},
		"verifying a: 1024 of 423624 cells":                      {datasets.Progress{Step: datasets.Verifying, Name: "a", Done: 1024, Total: 423_624}, 1024, 2 * time.Second},
	} {
		if got := describe(c.p, c.did, c.took); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	out := new(bytes.Buffer)
	bar := progressLine{out: out, live: true}
	bar.show(datasets.Progress{Step: datasets.Downloading, Name: "a", Done: 1e6, Total: 2e6})
	bar.show(datasets.Progress{Step: datasets.Downloading, Name: "a", Done: 2e6, Total: 2e6})
	bar.end()
	if want := "\r\x1b[Kdownloading a: 1.0 of 2.0 MB\r\x1b[Kdownloading a: 2.0 of 2.0 MB\n"; out.String() != want {
		t.Errorf("the terminal got %q, want %q", out, want)
	}
}
