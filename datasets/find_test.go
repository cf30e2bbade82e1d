package datasets

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
)

func TestAssets(t *testing.T) {
	digests := regexp.MustCompile(`^(sha256:[0-9a-f]{64}|git:[0-9a-f]{40})$`)
	seen := map[string]bool{}
	for _, a := range Assets() {
		if seen[a.ID] || a.ID != path.Base(a.Path) || !filepath.IsLocal(a.Path) {
			t.Errorf("the asset %q lies at %q", a.ID, a.Path)
		}
		seen[a.ID] = true
		if !strings.HasSuffix(a.About, ".") || a.Licence == "" {
			t.Errorf("%s: %q, licence %q", a.ID, a.About, a.Licence)
		}
		name := a.ID
		if a.ID == NASBench301 {
			name = "model_v2.onnx" // which alone says too little
		}
		if a.Compiled {
			name = path.Base(a.URL) // of the folder of what it was compiled from
		}
		if u, err := url.Parse(a.URL); err != nil || u.Scheme != "https" || path.Base(u.Path) != name {
			t.Errorf("%s: URL %q, %v", a.ID, a.URL, err)
		}
		if a.Digest == "" && a.check == nil && !a.Compiled || a.Digest != "" && !digests.MatchString(a.Digest) {
			t.Errorf("%s: digest %q", a.ID, a.Digest)
		}
	}
	for _, id := range []string{only108File, jsonFile, CIFAR10, OFAPredictor, OFAWeights, OFAMeasured, NASBench301} {
		if !seen[id] {
			t.Errorf("there is no asset %s", id)
		}
	}
}

func TestDigest(t *testing.T) {
	for kind, want := range map[string]string{ // of sha256sum and of git hash-object
		"sha256": "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
		"git":    "git:b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0",
	} {
		if got, err := digest(kind, strings.NewReader("hello"), 5); err != nil || got != want {
			t.Errorf("%s, %v; want %s", got, err, want)
		}
	}
	_, err := digest("md4", nil, 0)
	wantError(t, err, "md4")
}

// The real files, where there are some, have the digests in the registry.
func TestRealAssets(t *testing.T) {
	data := os.Getenv(envData)
	if data == "" {
		t.Skip(envData + " is not set")
	}
	for _, a := range Assets() {
		found, err := Find(t.Context(), a.ID, data)
		if err != nil {
			t.Log(err)
			continue
		}
		if err := a.verify(t.Context(), found.Path, ""); err != nil {
			t.Error(found, err)
		}
	}
}

// replaceAsset lets the registry say something else of the asset with a's ID.
func replaceAsset(t *testing.T, a Asset) {
	before := assets
	t.Cleanup(func() { assets = before })
	assets = append(slices.Clone(assets), a)
	if i := slices.IndexFunc(before, func(b Asset) bool { return b.ID == a.ID }); i >= 0 {
		assets = slices.Delete(assets, i, i+1)
	}
}

func TestFind(t *testing.T) {
	cache := tempCache(t)
	t.Setenv(envData, "")
	data := payload(20)
	s := serve(t, data, nil)
	a := assetOn(s, data)
	replaceAsset(t, a)
	place := func(folder string) string {
		t.Helper()
		file := filepath.Join(folder, a.Path)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, data, 0o644); err != nil {
			t.Fatal(err)
		}
		return file
	}
	want := func(given, path string, place Place, options ...Option) {
		t.Helper()
		found, err := Find(t.Context(), a.ID, given, options...)
		if err != nil || found.Path != path || found.Place != place || found.Asset.ID != a.ID {
			t.Errorf("found %+v, %v; want %s from %s", found, err, path, place)
		}
		if text := found.String(); !strings.Contains(text, a.ID) || !strings.Contains(text, string(place)) || !strings.Contains(text, path) {
			t.Errorf("the sentence about it is %q", text)
		}
	}

	// Nowhere, and nothing is downloaded unasked.
	_, err := Find(t.Context(), a.ID, "")
	wantError(t, err, "no data found for file.bin", "go run ./kernel-setup data file.bin", envDownload+"=1", envData, a.Path)
	if !errors.Is(err, ErrNoData) || len(s.requests()) != 0 {
		t.Errorf("error %v after %d requests", err, len(s.requests()))
	}
	t.Setenv(envDownload, "perhaps")
	_, err = Find(t.Context(), a.ID, "")
	wantError(t, err, envDownload, `"perhaps"`)
	t.Setenv(envDownload, "0")
	if _, err = Find(t.Context(), a.ID, ""); !errors.Is(err, ErrNoData) {
		t.Errorf("error %v is not ErrNoData", err)
	}

	// Downloads, allowed in both ways.
	file := filepath.Join(cache, a.Path)
	want("", file, Downloaded, AllowDownload())
	want("", file, Cache)
	os.Remove(file)
	t.Setenv(envDownload, "1")
	want("", file, Downloaded)

	// CTNAS_DATA goes before the cache, and what is given before both.
	folder := t.TempDir()
	t.Setenv(envData, folder)
	want("", file, Cache)
	want("", place(folder), DataFolder)
	given := place(t.TempDir())
	want(given, given, Given)
	want(filepath.Dir(filepath.Dir(given)), given, Given)
	want(filepath.Dir(given), given, Given)

	// What is there but wrong.
	damaged := write(t, "file.bin", data[:9])
	_, err = Find(t.Context(), a.ID, damaged)
	wantError(t, err, damaged, "it has 9 bytes, not 1,048,576", "get it again")
	empty := t.TempDir()
	_, err = Find(t.Context(), a.ID, empty, AllowDownload())
	wantError(t, err, empty, a.Path)
	_, err = Find(t.Context(), a.ID, empty+"/gone")
	wantError(t, err, "gone")
	_, err = Find(t.Context(), "photo", "")
	wantError(t, err, `no asset "photo"`, CIFAR10)
	t.Setenv(envData, empty+"/gone")
	_, err = Find(t.Context(), a.ID, "")
	wantError(t, err, envData, "gone", "correct it")

	// A damaged file in the cache is not replaced behind the user's back.
	t.Setenv(envData, "")
	if err := os.Truncate(file, 5); err != nil {
		t.Fatal(err)
	}
	_, err = Find(t.Context(), a.ID, "", AllowDownload())
	wantError(t, err, file, "it has 5 bytes", "get it again")
	if found, err := Fetch(t.Context(), a, ""); err != nil || found.Place != Downloaded || found.Path != file || len(found.Notes) != 1 {
		t.Errorf("fetched %+v, %v; want it with a note", found, err)
	}
}

// NAS-Bench-101 is fetched where that is allowed, and only then.
func TestOpenDownloads(t *testing.T) {
	cache := tempCache(t)
	t.Setenv(envData, t.TempDir())
	fixture := content(t, only108Fixture)
	s := serve(t, fixture, cut(1))
	a, err := assetOf(only108File)
	if err != nil {
		t.Fatal(err)
	}
	a.URL, a.Size, a.Digest = s.URL, int64(len(fixture)), fmt.Sprintf("sha256:%x", sha256.Sum256(fixture))
	replaceAsset(t, a)

	_, err = openNASBench101(t.Context(), "", acceptAll)
	if !errors.Is(err, ErrNoData) || len(s.requests()) != 0 {
		t.Fatalf("error %v after %d requests, want ErrNoData and none", err, len(s.requests()))
	}
	steps := map[Step]int64{}
	table, err := openNASBench101(t.Context(), "", acceptAll, AllowDownload(), OnProgress(func(p Progress) { steps[p.Step] = p.Done }))
	if err != nil {
		t.Fatal(err)
	}
	checkRows(t, table.rows, 108)
	if s := table.Source(); s.Path != filepath.Join(cache, a.Path) || s.Kind != Real || len(s.Notes) != 1 || !strings.Contains(s.Notes[0], envData) {
		t.Errorf("source %+v, want the cache and a note about %s", s, envData)
	}
	if steps[Downloading] != a.Size || steps[Verifying] != 8 {
		t.Errorf("progress ended at %v", steps)
	}

	// A server without it, and a user who wants it.
	tempCache(t)
	t.Setenv(envDownload, "1")
	s.fault = fail(99, http.StatusNotFound)
	_, err = openNASBench101(t.Context(), "", acceptAll)
	wantError(t, err, "cannot fetch "+only108File, "404")
}

// The authors' file has no publicly known digest: its content is checked.
func TestFetchJSONOfAnotherBenchmark(t *testing.T) {
	a, err := assetOf(jsonFile)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		string(content(t, jsonFixture)):        "it has 8 cells, but NAS-Bench-101 has 423,624",
		`[{"matrix": [[0, 1], [0, 0]]}]`:       "cell 1:",
		"<html>Please log in to the hotel":     "it is not a JSON list of cells",
		string(content(t, jsonFixture)[:1000]): "the file ends in the middle",
	} {
		s, folder := serve(t, []byte(text), nil), t.TempDir()
		a.URL = s.URL
		_, err := impatient.fetch(t.Context(), a, folder)
		wantError(t, err, "what came is not it", want)
		if files, _ := filepath.Glob(filepath.Join(folder, nasbenchFolder, "*")); len(files) != 0 {
			t.Errorf("what is left is %v, want nothing", files)
		}
	}
}

func TestReadingProgress(t *testing.T) {
	row, line := "", "1,,882570,100\n"
	for range 3 * poll {
		row += line
	}
	var steps []Progress
	ctx := watched(context.Background(), "table", func(p Progress) { steps = append(steps, p) })
	if _, err := readTests(ctx, strings.NewReader("edges,ops,params,test3\n"+row)); err == nil {
		t.Error("a table with the same cell over and over was accepted")
	}
	if len(steps) == 0 || steps[0] != (Progress{Reading, "table", poll, nasbench101.NumCells}) {
		t.Fatalf("progress %+v", steps)
	}
	if last := steps[len(steps)-1]; last != (Progress{Verifying, "table", 3 * poll, 3 * poll}) {
		t.Errorf("the last progress is %+v", last)
	}
}
