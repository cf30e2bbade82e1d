package datasets

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Found is an asset on this machine.
type Found struct {
	Asset Asset
	Path  string   // the file
	Place Place    // where that is
	Notes []string // what a user should know, such as that a mirror did not answer
}

// Place is where an asset was found.
type Place string

// The places, in the order in which they are asked.
const (
	Given      Place = "the given path"
	DataFolder Place = "the folder of " + envData
	Cache      Place = "the user's cache"
	Downloaded Place = "its source, just now"
)

// String returns a sentence about what was found and where.
func (f Found) String() string {
	return fmt.Sprintf("%s from %s, in %s", f.Asset.ID, f.Place, f.Path)
}

// Find finds the asset with an ID as [Lookup] does. If it is nowhere and path is
// empty, it is fetched into the user's cache, but only where [AllowDownload] or
// CTNAS_DOWNLOAD=1 allows it.
func Find(ctx context.Context, id, path string, all ...Option) (Found, error) {
	o, err := collect(all)
	if err != nil {
		return Found{}, err
	}
	found, err := Lookup(id, path)
	if !errors.Is(err, ErrNoData) || !o.download {
		return found, err
	}
	a, missing := assetOf(id)
	if missing != nil {
		return Found{}, missing
	}
	if a.Compiled && os.Getenv(envMirror) == "" {
		return Found{}, err
	}
	return Fetch(ctx, a, "", all...)
}

// Lookup finds the asset with an ID on this machine: at the given path, which is
// the file or a folder that holds it, directly or as a data folder does; if path is
// empty, in the folder that CTNAS_DATA names, then in the user's cache. If it is in
// neither, the error is an [ErrNoData] that says how to get it. A table of comma-separated
// values that is published compressed is also found unpacked, without the ending .gz.
//
// A file of the wrong size is an error. Its content is for its reader to check.
func Lookup(id, path string) (Found, error) {
	a, err := assetOf(id)
	if err != nil {
		return Found{}, err
	}
	if path != "" {
		return findAt(a, path)
	}
	var notes []string
	if data := os.Getenv(envData); data != "" {
		if _, err := os.ReadDir(data); err != nil {
			return Found{}, badDataFolder(data, err)
		}
		found, err := findIn(a, data, DataFolder)
		if !errors.Is(err, fs.ErrNotExist) {
			return found, err
		}
		notes = append(notes, fmt.Sprintf("%s=%s holds no %s", envData, data, a.Path))
	}
	if cache, err := cacheDir(); err == nil {
		found, err := findIn(a, cache, Cache)
		if !errors.Is(err, fs.ErrNotExist) {
			found.Notes = notes
			return found, err
		}
	}
	return Found{}, fmt.Errorf("datasets: %w for %s: %s", ErrNoData, a.ID, strings.Join(append(notes, a.howToGet()), "; "))
}

// findAt finds an asset at a path that the caller named.
func findAt(a Asset, given string) (Found, error) {
	info, err := os.Stat(given)
	if err != nil {
		return Found{}, fmt.Errorf("datasets: no %s: %w", a.ID, err)
	}
	if !info.IsDir() {
		return findFile(a, given, Given)
	}
	found, err := findIn(a, given, Given)
	if errors.Is(err, fs.ErrNotExist) {
		found, err = findPacked(a, filepath.Join(given, a.ID), Given)
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("datasets: the folder %s holds neither %s nor %s", given, a.Path, a.ID)
	}
	return found, err
}

// findIn finds an asset in a data folder.
func findIn(a Asset, folder string, place Place) (Found, error) {
	return findPacked(a, filepath.Join(folder, filepath.FromSlash(a.Path)), place)
}

// findPacked finds an asset at a path, or unpacked beside it.
func findPacked(a Asset, file string, place Place) (Found, error) {
	found, err := findFile(a, file, place)
	if unpacked, isTable := strings.CutSuffix(file, ".csv"+gz); isTable && errors.Is(err, fs.ErrNotExist) {
		if plain, err := findFile(a, unpacked+".csv", place); !errors.Is(err, fs.ErrNotExist) {
			return plain, err
		}
	}
	return found, err
}

func findFile(a Asset, file string, place Place) (Found, error) {
	file, err := filepath.Abs(file)
	if err != nil {
		return Found{}, fmt.Errorf("datasets: %w", err)
	}
	info, err := os.Stat(file)
	if err != nil {
		return Found{}, fmt.Errorf("datasets: %w", err)
	}
	if err := a.checkSize(info.Size()); err != nil {
		return Found{}, badFile(file, err)
	}
	return Found{Asset: a, Path: file, Place: place}, nil
}

// checkSize says whether a file of the asset can have this size.
func (a Asset) checkSize(size int64) error {
	switch {
	case size == 0:
		return errors.New("it is empty")
	case a.Size > 0 && size != a.Size:
		return fmt.Errorf("it has %s bytes, not %s", thousands(int(size)), thousands(int(a.Size)))
	}
	return nil
}

// howToGet returns what to do if an asset is not there.
func (a Asset) howToGet() string {
	if a.Compiled {
		return fmt.Sprintf("set %s to a folder that holds %s, which was compiled from the files at %s", envData, a.Path, a.URL)
	}
	return fmt.Sprintf("fetch it with \"go run ./kernel-setup data %s\", or set %s=1, or set %s to a folder that holds %s",
		a.ID, envDownload, envData, a.Path)
}

func badDataFolder(folder string, err error) error {
	return fmt.Errorf("datasets: %s is set to %s, which cannot be used: %w; correct it", envData, folder, err)
}
