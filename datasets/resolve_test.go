package datasets

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// dataFolder makes a folder laid out like that of CTNAS_DATA.
func dataFolder(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	if err := os.CopyFS(filepath.Join(root, nasbenchFolder), os.DirFS("testdata")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{fullFile, jsonFile} {
		if err := os.Remove(filepath.Join(root, nasbenchFolder, name)); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestResolvePath(t *testing.T) {
	tempCache(t)
	root := dataFolder(t)
	tests, validations := csvPair(t)
	folder := writeCSV(t, zip(t, tests), zip(t, validations))
	for path, want := range map[string]string{
		root:                                   only108File,
		filepath.Join(root, nasbenchFolder):    only108File,
		only108Fixture:                         only108File,
		"testdata":                             fullFile,
		jsonFixture:                            jsonFile,
		folder:                                 testFile + " and " + validationFile,
		filepath.Join(folder, testFile):        testFile + " and " + validationFile,
		filepath.Join(folder, validationFile):  testFile + " and " + validationFile,
		write(t, "a", content(t, jsonFixture)): "a",
		write(t, "b", content(t, fullFixture)): "b",
	} {
		queryable := "8"
		if path == folder || filepath.Dir(path) == folder {
			queryable = "3"
		}
		source := mustOpen(t, path).Source()
		if want := "real NAS-Bench-101, 8 cells, " + queryable + " with validation accuracy, from " + want; source.Description != want || source.Kind != Real {
			t.Errorf("%s: source %s %q, want %q", path, source.Kind, source, want)
		}
		if len(source.Notes) != 0 {
			t.Errorf("%s: notes %q", path, source.Notes)
		}
		if !filepath.IsAbs(source.Path) {
			t.Errorf("%s: the source's path is %s", path, source.Path)
		}
	}
}

func TestResolvePathErrors(t *testing.T) {
	tempCache(t)
	_, err := open(t, filepath.Join(t.TempDir(), "gone.tfrecord"))
	wantError(t, err, "gone.tfrecord", "no such file")
	_, err = open(t, write(t, "photo.png", []byte("\x89PNG\r\n\x1a\n and more")))
	wantError(t, err, "photo.png", "is no NAS-Bench-101 table", only108File)
	empty := t.TempDir()
	_, err = open(t, empty)
	wantError(t, err, empty, "holds no NAS-Bench-101 table", only108File)
	if errors.Is(err, ErrNoData) {
		t.Error("a folder that the caller named is not a search for data")
	}
	tests, _ := csvPair(t)
	_, err = open(t, filepath.Dir(write(t, testFile, zip(t, tests))))
	wantError(t, err, "not complete", validationFile)
}

func TestResolveOrder(t *testing.T) {
	cache := tempCache(t)
	ctx := context.Background()
	openAny := func() (*NASBench101, error) { return openNASBench101(ctx, "", acceptAll) }

	t.Setenv(envData, "")
	_, err := openAny()
	wantError(t, err, "no data found for NAS-Bench-101", envData, only108File, jsonFile, "go run ./kernel-setup data "+only108File, envDownload)
	if !errors.Is(err, ErrNoData) {
		t.Errorf("error %v is not ErrNoData", err)
	}

	t.Setenv(envData, filepath.Join(t.TempDir(), "gone"))
	_, err = openAny()
	wantError(t, err, envData, "gone", "no such file")

	empty := t.TempDir()
	t.Setenv(envData, empty)
	_, err = openAny()
	wantError(t, err, empty, "holds no NAS-Bench-101 table", "pass the path")
	if !errors.Is(err, ErrNoData) {
		t.Errorf("error %v is not ErrNoData", err)
	}

	// A table opened earlier, from a file that is gone.
	gone := write(t, only108File, content(t, only108Fixture))
	if _, err := openNASBench101(ctx, gone, acceptAll); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(gone); err != nil {
		t.Fatal(err)
	}
	table, err := openAny()
	if err != nil {
		t.Fatal(err)
	}
	checkRows(t, table.rows, 108)
	if s := table.Source(); !strings.HasSuffix(s.Description, "from "+only108File) || !strings.HasPrefix(s.Path, cache) || len(s.Notes) != 1 {
		t.Errorf("source %+v, want the cached copy and a note about %s", s, envData)
	}

	// The official file in the cache goes before that.
	if err := os.CopyFS(filepath.Join(cache, nasbenchFolder), os.DirFS(filepath.Join(dataFolder(t), nasbenchFolder))); err != nil {
		t.Fatal(err)
	}
	if table, err = openAny(); err != nil || table.Source().Path != filepath.Join(cache, nasbenchFolder, only108File) {
		t.Errorf("opened %+v, %v; want the file in the cache", table.Source(), err)
	}

	// CTNAS_DATA goes before the cache.
	data := dataFolder(t)
	t.Setenv(envData, data)
	if table, err = openAny(); err != nil || table.Source().Path != filepath.Join(data, nasbenchFolder, only108File) {
		t.Errorf("opened %+v, %v; want the file of %s", table.Source(), err, envData)
	}
}

// Of several cached tables without a source, the one made last is opened, if it
// is not damaged.
func TestResolveCachedWithoutSource(t *testing.T) {
	cache := tempCache(t)
	var files []string
	for i, fixture := range []string{jsonFixture, only108Fixture} {
		source := write(t, filepath.Base(fixture), content(t, fixture))
		mustOpen(t, source)
		all, err := filepath.Glob(filepath.Join(cache, nasbenchFolder, "*"+cacheSuffix))
		if err != nil || len(all) != i+1 {
			t.Fatalf("cached tables %v, %v", all, err)
		}
		for _, file := range all {
			if len(files) == 0 || file != files[0] {
				files = append(files, file)
			}
		}
	}
	early := time.Now().Add(-time.Hour)
	if err := os.Chtimes(files[0], early, early); err != nil {
		t.Fatal(err)
	}
	if path := mustOpen(t, "").Source().Path; path != files[1] {
		t.Errorf("opened %s, want %s", path, files[1])
	}
	damage(t, files[1])
	if source := mustOpen(t, "").Source(); source.Path != files[0] || len(source.Notes) != 1 || !strings.Contains(source.Notes[0], "damaged") {
		t.Errorf("opened %+v, want %s and a note", source, files[0])
	}
	damage(t, files[0])
	_, err := open(t, "")
	wantError(t, err, files[0], files[1], "damaged (wrong checksum)", envData, "pass the path")
	if !errors.Is(err, ErrNoData) {
		t.Errorf("error %v is not ErrNoData", err)
	}
}
