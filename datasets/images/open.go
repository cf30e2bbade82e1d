package images

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/ctnas/ctnas/datasets"
)

// envData names a folder of data sets, as in package datasets.
const envData = "CTNAS_DATA"

// The names under which the folder cifar10 of a data folder may hold CIFAR-10: the
// exact one first.
const (
	cifarFolder  = "cifar10"
	binaryFolder = "cifar-10-batches-bin"
	jpegArchive  = "images.tar.gz"
)

// Open opens the images at path, which may be
//   - CIFAR-10 in its binary version: cifar-10-binary.tar.gz, or the folder of its
//     data_batch_1.bin … data_batch_5.bin, test_batch.bin and batches.meta.txt;
//   - an image folder, or a .tar.gz or .tar of one: JPEG and PNG files in
//     train/<class>/ and test/<class>/, or val/<class>/ as ImageNet has it, or
//     valid/<class>/. An archive is the same set as its folder, and either may be in
//     another folder.
//
// If path is empty, it opens CIFAR-10. It takes the first of
//   - $CTNAS_DATA/cifar10, which may hold cifar-10-binary.tar.gz, its folder
//     cifar-10-batches-bin, a copy in JPEG files as images.tar.gz, or that copy's
//     folders train and test;
//   - the binary version where [datasets.Find] finds it: in the user's cache or, if
//     the options or the user allow it, at its source;
//   - [Shapes], which are always there. A note says that they stand in.
//
// The set's Source says which it is. It is [datasets.Real] if it is the binary version
// of CIFAR-10, or has the numbers of images and classes of ImageNet (ILSVRC 2012).
// All else is [datasets.Proxy], also CIFAR-10 in JPEG files, which have lost detail.
//
// A folder is read as its images are asked for; what is in an archive, and the binary
// version, is held in memory, as it is encoded there. Links are followed; one to nothing
// in the place of an image is an error. The Source's notes say what was left out: files
// of the classes that are not JPEG or PNG, pipes and the like, and dead links beside the
// classes. Files that systems and editors add are ignored.
//
// Images are read as Pillow's convert("RGB") reads them, which torchvision uses: alpha is
// dropped, and colours are what the file has beside it; of 16 bits the upper 8 are
// taken, but 16-bit grey is cut off at 255; EXIF orientation is ignored.
func Open(ctx context.Context, path string, options ...datasets.Option) (*Set, error) {
	if path != "" {
		return openAt(ctx, path)
	}
	path, err := locate()
	if err != nil {
		return nil, err
	}
	var notes []string
	if path == "" {
		found, err := datasets.Find(ctx, datasets.CIFAR10, "", options...)
		if errors.Is(err, datasets.ErrNoData) {
			set := Shapes()
			set.Source.Notes = []string{"drawn shapes stand in for CIFAR-10: " + err.Error()}
			return set, nil
		}
		if err != nil {
			return nil, err
		}
		path, notes = found.Path, found.Notes
	}
	set, err := openAt(ctx, path)
	if err != nil {
		return nil, err
	}
	if !set.isCIFAR10() {
		return nil, fmt.Errorf("images: %s is not CIFAR-10, but has %s", path, set.contents())
	}
	set.Source.Notes = append(notes, set.Source.Notes...)
	return set, nil
}

// Locate returns where [Open] finds CIFAR-10 in $CTNAS_DATA, without reading it. The error wraps [datasets.ErrNoData] if it
// is not there.
func Locate() (path string, err error) {
	path, err = locate()
	if err == nil && path == "" {
		err = fmt.Errorf("images: %w for CIFAR-10 in %s", datasets.ErrNoData, envData)
	}
	return path, err
}

// locate is [Locate], but for the error: the path is empty if there is none.
func locate() (path string, err error) {
	data := os.Getenv(envData)
	if data == "" {
		return "", nil
	}
	folder := filepath.Join(data, cifarFolder)
	for _, name := range []string{datasets.CIFAR10, binaryFolder, jpegArchive, trainPart} {
		path := filepath.Join(folder, name)
		switch _, err := os.Stat(path); {
		case err == nil && name == trainPart:
			return folder, nil
		case err == nil:
			return path, nil
		case !errors.Is(err, fs.ErrNotExist):
			return "", fmt.Errorf("images: %w", err)
		}
	}
	return "", nil
}

// openAt opens the images at a path, whatever their format.
func openAt(ctx context.Context, path string) (*Set, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("images: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("images: %w", err)
	}
	var set *Set
	switch {
	case info.IsDir():
		set, err = openVolume(ctx, disk(path), path)
	case info.Mode().IsRegular():
		set, err = openArchive(ctx, path)
	default:
		err = errors.New("this is neither a folder nor a file")
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("images: stopped reading %s: %w", path, ctx.Err())
	}
	if err != nil {
		return nil, fmt.Errorf("images: %s: %w", path, err)
	}
	set.Source.Path = path
	set.Source.Description += fmt.Sprintf(", %s, from %s", set.contents(), filepath.Base(path))
	return set, nil
}

// openArchive opens what is in an archive file.
func openArchive(ctx context.Context, file string) (*Set, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	a, err := readArchive(ctx, f)
	if err != nil {
		return nil, err
	}
	return openVolume(ctx, a, file)
}

// contents says how much there is.
func (s *Set) contents() string {
	return fmt.Sprintf("%s training and %s test images in %s classes",
		thousands(s.Train.Len()), thousands(s.Test.Len()), thousands(len(s.Classes)))
}

// isCIFAR10 says whether classes and numbers of images are those of CIFAR-10.
func (s *Set) isCIFAR10() bool {
	return slices.Equal(s.Classes, cifar10Classes) && s.Train.evenly(cifar10Train) && s.Test.evenly(cifar10Test)
}

// evenly says whether there are n images, as many of each class of CIFAR-10.
func (m Images) evenly(n int) bool {
	counts := make([]int, len(cifar10Classes))
	for _, label := range m.Labels {
		counts[label]++
	}
	for _, count := range counts {
		if count*len(counts) != n {
			return false
		}
	}
	return true
}
