// Package datasets finds, verifies and reads the data that the library is
// measured on, and says which data it is.
//
//	table, err := datasets.OpenNASBench101(ctx, "")
//	table.Source()    // what this is, for every result made from it
//	table.Benchmark() // validation accuracy, counted: what a search may ask
//	table.Report()    // test accuracy: what only a report may ask
//
// Nothing read from a file is believed: each cell's module hash and parameter
// count are computed again and compared, and a table must be whole. What passed
// is kept in a compact cache file, so the next opening takes a fraction of a
// second. Damaged or foreign files give one error that names the file, the
// record and what to do.
//
// [Assets] are the published files that the library can use. [Find] looks for one
// in the same places for all of them; nothing is downloaded unless the caller or
// the user allows it. [Fetch] downloads one: it resumes, tries again, checks, and
// leaves a whole file or none.
package datasets

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Kind says what the numbers of a result were measured on.
type Kind string

// The kinds of data. No table of results mixes them silently.
const (
	Real      Kind = "real"      // the published benchmark
	Surrogate Kind = "surrogate" // a model of the benchmark
	Proxy     Kind = "proxy"     // scaled-down training
)

// Source says where data came from.
type Source struct {
	Kind Kind

	// Description is one sentence for results, such as "real NAS-Bench-101, 423,624
	// cells, 423,624 with validation accuracy, from nasbench_only108.tfrecord". It
	// is the same on every machine.
	Description string

	// Path is the file or folder that was opened here.
	Path string

	// Notes say what a user should know about this opening, such as that the cache
	// could not be written. There are none if all went well.
	Notes []string
}

// String returns the description.
func (s Source) String() string { return s.Description }

// ErrNoData is in the error of a search for data that found none.
var ErrNoData = errors.New("no data found")

// The environment variables that say where data lies.
const (
	envData     = "CTNAS_DATA"     // a folder of data sets, such as nasbench101/nasbench_only108.tfrecord
	envCache    = "CTNAS_CACHE"    // instead of the folder ctnas in the user's cache
	envDownload = "CTNAS_DOWNLOAD" // 1 allows downloads, as AllowDownload does
	envMirror   = "CTNAS_MIRROR"   // the URL of a data folder, asked before the official sources
)

// cacheDir returns the folder for what this package fetches and derives from data. It is
// laid out like the folder of CTNAS_DATA, and need not exist.
func cacheDir() (string, error) {
	if dir := os.Getenv(envCache); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no cache folder: %w; set %s", err, envCache)
	}
	return filepath.Join(dir, "ctnas"), nil
}
