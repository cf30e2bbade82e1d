package datasets

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// The names of the files of a NAS-Bench-101 table.
const (
	nasbenchFolder = "nasbench101"
	fullFile       = "nasbench_full.tfrecord"
	only108File    = "nasbench_only108.tfrecord"
	jsonFile       = "nas_bench.json"
	testFile       = "test108.csv" + gz
	validationFile = "val_sample.csv" + gz
	gz             = ".gz" // may be missing
)

const howToGet = "fetch it with \"go run ./kernel-setup data " + only108File + "\", or set " + envDownload + "=1, or set " +
	envData + " to a folder that holds " + nasbenchFolder + "/" + only108File + " or " + nasbenchFolder + "/" + jsonFile +
	", or pass the path of such a file"

// origin is a table on disk: its files, and the reader of their format.
type origin struct {
	files []string
	read  func(ctx context.Context, files []string) ([]Row, error)
}

// formats are the tables that a folder may hold. Those with more in them come first.
var formats = []origin{
	{[]string{fullFile}, readTFRecordFile},
	{[]string{only108File}, readTFRecordFile},
	{[]string{jsonFile}, readJSONFile},
	{[]string{testFile, validationFile}, readCSVFiles},
	{[]string{strings.TrimSuffix(testFile, gz), strings.TrimSuffix(validationFile, gz)}, readCSVFiles},
}

// path returns the file of the origin, or the folder if there are several files.
func (o origin) path() string {
	if len(o.files) > 1 {
		return filepath.Dir(o.files[0])
	}
	return o.files[0]
}

// names returns the files' names without their folder.
func (o origin) names() []string {
	names := make([]string, len(o.files))
	for i, file := range o.files {
		names[i] = filepath.Base(file)
	}
	return names
}

// stamp changes when a file is replaced or written.
func (o origin) stamp() (string, error) {
	var stamp strings.Builder
	for _, file := range o.files {
		info, err := os.Stat(file)
		if err != nil {
			return "", fmt.Errorf("datasets: %w", err)
		}
		fmt.Fprintf(&stamp, "%s\n%d %d\n", file, info.Size(), info.ModTime().UnixNano())
	}
	return stamp.String(), nil
}

// cacheFile returns where the compact copy of the table belongs: one file for each
// place that tables are read from.
func (o origin) cacheFile(cache string) string {
	place := sha256.Sum256([]byte(strings.Join(o.files, "\n")))
	name, _, _ := strings.Cut(o.names()[0], ".")
	return filepath.Join(cache, nasbenchFolder, fmt.Sprintf("%s-%x%s", name, place[:8], cacheSuffix))
}

// locate finds the table to open, as [OpenNASBench101] says. The error is an
// ErrNoData if path is empty and there is none. The notes say which places were
// expected to hold one.
func locate(path, cache string) (o origin, notes []string, err error) {
	if path != "" {
		o, err = locateAt(path)
		return o, nil, err
	}
	if data := os.Getenv(envData); data != "" {
		o, err := locateIn(data)
		if err != nil {
			return origin{}, nil, badDataFolder(data, err)
		}
		if o.files != nil {
			return o, nil, nil
		}
		notes = append(notes, fmt.Sprintf("%s=%s holds no NAS-Bench-101 table", envData, data))
	}
	if cache != "" {
		o, err := locateIn(cache)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return origin{}, nil, fmt.Errorf("datasets: the cache %s cannot be used: %w", cache, err)
		}
		if o.files != nil {
			return o, notes, nil
		}
	}
	return origin{}, notes, fmt.Errorf("datasets: %w for NAS-Bench-101: %s", ErrNoData, strings.Join(append(notes, howToGet), "; "))
}

// locateAt finds the table at a path that the caller named.
func locateAt(path string) (origin, error) {
	info, err := os.Stat(path)
	if err != nil {
		return origin{}, fmt.Errorf("datasets: no NAS-Bench-101 table: %w", err)
	}
	if !info.IsDir() {
		return locateFile(path)
	}
	o, err := locateIn(path)
	if err != nil {
		return origin{}, fmt.Errorf("datasets: %w", err)
	}
	if o.files == nil {
		return origin{}, fmt.Errorf("datasets: the folder %s holds no NAS-Bench-101 table; it should hold %s, %s, or %s and %s",
			path, only108File, jsonFile, testFile, validationFile)
	}
	return o, nil
}

// locateFile finds the format of a file by its name, else by its first bytes.
func locateFile(path string) (origin, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return origin{}, fmt.Errorf("datasets: %w", err)
	}
	switch name := filepath.Base(path); {
	case name+gz == testFile || name+gz == validationFile || name == testFile || name == validationFile:
		return locateAt(filepath.Dir(path))
	case strings.HasSuffix(name, ".tfrecord"):
		return origin{[]string{path}, readTFRecordFile}, nil
	case strings.HasSuffix(name, ".json"):
		return origin{[]string{path}, readJSONFile}, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return origin{}, fmt.Errorf("datasets: %w", err)
	}
	defer f.Close()
	start := make([]byte, 64)
	n, err := io.ReadFull(f, start)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return origin{}, fmt.Errorf("datasets: %w", err)
	}
	switch start = start[:n]; {
	case startsTFRecord(start):
		return origin{[]string{path}, readTFRecordFile}, nil
	case bytes.HasPrefix(bytes.TrimSpace(start), []byte("[")):
		return origin{[]string{path}, readJSONFile}, nil
	}
	return origin{}, fmt.Errorf("datasets: %s is no NAS-Bench-101 table; pass %s, %s, or the folder of %s and %s",
		path, only108File, jsonFile, testFile, validationFile)
}

// locateIn finds the table in a folder or in its folder nasbench101. The origin
// has no files if there is none.
func locateIn(folder string) (origin, error) {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return origin{}, err
	}
	if _, err := os.ReadDir(folder); err != nil {
		return origin{}, err
	}
	for _, folder := range []string{filepath.Join(folder, nasbenchFolder), folder} {
		for _, format := range formats {
			o := origin{read: format.read}
			var missing error
			for _, name := range format.files {
				file := filepath.Join(folder, name)
				if _, err := os.Stat(file); err == nil {
					o.files = append(o.files, file)
				} else if missing = err; !errors.Is(err, fs.ErrNotExist) {
					return origin{}, err
				}
			}
			if missing == nil {
				return o, nil
			}
			if o.files != nil {
				return origin{}, fmt.Errorf("the table in %s is not complete, add the missing file: %w", folder, missing)
			}
		}
	}
	return origin{}, nil
}

// readFile gives the content of a file to read, and names the file in its error.
func readFile(path string, read func(io.Reader) error) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("datasets: %w", err)
	}
	defer f.Close()
	err = read(bufio.NewReaderSize(f, 1<<20))
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("datasets: stopped reading %s: %w", path, err)
	}
	if err != nil {
		return badFile(path, err)
	}
	return nil
}

// badFile returns the error of a file whose content is not what it should be.
func badFile(path string, err error) error {
	return fmt.Errorf("datasets: %s: %w; the file is damaged or of another benchmark, get it again", path, err)
}
