package images

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
)

// archiveLimit is how many bytes of images an archive may hold. All are kept in memory.
const archiveLimit = 1 << 30

// entry is a file or folder of an archive.
type entry struct {
	name     string // its path, with slashes
	isFolder bool
	data     []byte
}

// readArchiveFile reads a .tar.gz of the binary version of CIFAR-10 or of an image
// folder.
func readArchiveFile(ctx context.Context, file string) (*Set, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	entries, err := readArchive(ctx, bufio.NewReaderSize(f, 1<<20))
	if err != nil {
		return nil, err
	}
	return setOf(entries, file)
}

// setOf makes a set of the entries of an archive file.
func setOf(entries []entry, file string) (*Set, error) {
	for _, e := range entries {
		if path.Ext(e.name) == batchSuffix {
			return readCIFAR10(func(name string) ([]byte, error) { return find(entries, name) })
		}
	}
	folder := tree{}
	for _, e := range entries {
		if err := folder.add(e.name, e.isFolder, e.data); err != nil {
			return nil, err
		}
	}
	return folder.set(readEncoded(file))
}

// find is the content of the file of this name in any folder.
func find(entries []entry, name string) ([]byte, error) {
	for _, e := range entries {
		if path.Base(e.name) == name && !e.isFolder {
			return e.data, nil
		}
	}
	return nil, fmt.Errorf("%s is missing", name)
}

// readArchive reads the folders and the wanted files of a .tar.gz.
func readArchive(ctx context.Context, r io.Reader) ([]entry, error) {
	unzipped, err := gzip.NewReader(r)
	if err != nil {
		return nil, fmt.Errorf("this is not a .tar.gz: %w", err)
	}
	var entries []entry
	left := int64(archiveLimit)
	for archive := tar.NewReader(unzipped); ; {
		header, err := archive.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, badArchive(err, len(entries))
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		e := entry{name: path.Clean(header.Name), isFolder: header.Typeflag == tar.TypeDir}
		if isFile := header.Typeflag == tar.TypeReg; !e.isFolder && !(isFile && isWanted(e.name)) {
			continue
		}
		if left -= header.Size; left < 0 {
			return nil, errors.New("it holds more than 1 GiB of images, extract it and pass the folder")
		}
		if e.data, err = io.ReadAll(archive); err != nil {
			return nil, fmt.Errorf("%s: %w", e.name, badArchive(err, len(entries)))
		}
		entries = append(entries, e)
	}
	// The checksum comes last.
	if _, err := io.Copy(io.Discard, unzipped); err != nil {
		return nil, badArchive(err, len(entries))
	}
	return entries, nil
}

// badArchive is the error of an archive after some good entries.
func badArchive(err error, good int) error {
	if good == 0 && errors.Is(err, tar.ErrHeader) {
		return fmt.Errorf("this is not a .tar.gz: %w", err)
	}
	return fmt.Errorf("the archive is cut off or damaged, get it again: %w", err)
}

// isWanted says whether a file of this name may be of use.
func isWanted(name string) bool {
	return isImage(name) || path.Ext(name) == batchSuffix || path.Base(name) == cifarMeta
}

// isImage says whether a file of this name is taken for an image.
func isImage(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".jpg", ".jpeg", ".png":
		return true
	}
	return false
}
