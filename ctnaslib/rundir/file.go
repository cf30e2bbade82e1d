package rundir

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/renameio/v2"
)

// abandoned is how long a temporary file has not been touched that a killed process left. One that
// is being written lives for milliseconds.
const abandoned = 10 * time.Second

// WriteFile writes a file whole or not at all: whoever opens the path, also after a crash or on a
// full disk, finds the old file or the new one. What a process that was killed meanwhile left beside
// it is taken away by the next WriteFile of the path. The error names the path.
func WriteFile(path string, data []byte) error {
	return WriteStream(path, whole(data))
}

// WriteStream writes a file as [WriteFile] does, from what write writes piece by piece: for files too large to be made
// in memory. If write returns an error, the old file stays.
func WriteStream(path string, write func(io.Writer) error) error {
	err := removeUnfinished(filepath.Dir(path), abandoned, filepath.Base(path))
	if err == nil {
		err = replace(path, write)
	}
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	return nil
}

// whole writes data at once.
func whole(data []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	}
}

// replace writes a file as [WriteStream] does, and takes nothing away. Its temporary file is beside the
// path: renameio's own choice, $TMPDIR where that can be, is one that nobody looks through after a kill.
func replace(path string, write func(io.Writer) error) error {
	f, err := renameio.NewPendingFile(path, renameio.WithPermissions(0o644), renameio.WithExistingPermissions(), renameio.WithTempDir(filepath.Dir(path)))
	if err != nil {
		return err
	}
	defer f.Cleanup() // does nothing once the file has its name
	buffered := bufio.NewWriter(f)
	if err := write(buffered); err != nil {
		return err
	}
	if err := buffered.Flush(); err != nil {
		return err
	}
	return f.CloseAtomicallyReplace()
}

// removeUnfinished removes the temporary files, at least so old, that [replace] has left in a folder for
// files of these names.
func removeUnfinished(dir string, age time.Duration, names ...string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if !entry.Type().IsRegular() || !slices.ContainsFunc(names, func(name string) bool { return unfinished(entry.Name(), name) }) {
			continue
		}
		info, err := entry.Info()
		if err == nil && time.Since(info.ModTime()) >= age {
			err = os.Remove(filepath.Join(dir, entry.Name()))
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// unfinished says whether a file is a temporary one that [replace] made for a name: after a dot and the
// name it has digits.
func unfinished(file, name string) bool {
	digits, ok := strings.CutPrefix(file, "."+name)
	return ok && digits != "" && strings.Trim(digits, "0123456789") == ""
}
