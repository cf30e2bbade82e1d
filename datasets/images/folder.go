package images

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"image"
	_ "image/jpeg" // decodes JPEG
	_ "image/png"  // decodes PNG
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ctnas/ctnas/datasets"
)

// The parts of an image folder. Test images are in test, or else in val.
const (
	trainPart = "train"
	testPart  = "test"
	valPart   = "val"
)

// imageNetNormalization is the mean and deviation over ImageNet's training images,
// which suits photographs.
var imageNetNormalization = Normalization{Mean: [3]float64{0.485, 0.456, 0.406}, Std: [3]float64{0.229, 0.224, 0.225}}

// file is an encoded image: its path in the image folder, with slashes, and its
// content if that is in memory.
type file struct {
	name string
	data []byte
}

// tree is an image folder: the images by part and class.
type tree map[string]map[string][]file

// readFolder reads the folder of the binary version of CIFAR-10, or an image folder.
func readFolder(ctx context.Context, root string) (*Set, error) {
	for _, folder := range []string{root, filepath.Join(root, binaryFolder)} {
		if batches, _ := filepath.Glob(filepath.Join(folder, "*_batch*"+batchSuffix)); batches != nil {
			return readCIFAR10(func(name string) ([]byte, error) { return os.ReadFile(filepath.Join(folder, name)) })
		}
	}
	folder := tree{}
	for _, part := range []string{trainPart, testPart, valPart} {
		if err := folder.list(ctx, root, part); err != nil {
			return nil, err
		}
	}
	return folder.set(readEncoded(root))
}

// list adds what is in a part of the folder root, if that is there.
func (t tree) list(ctx context.Context, root, part string) error {
	classes, err := os.ReadDir(filepath.Join(root, part))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, class := range classes {
		if err := ctx.Err(); err != nil {
			return err
		}
		name := path.Join(part, class.Name())
		if class.Type().IsRegular() {
			if err := t.add(name, false, nil); err != nil {
				return err
			}
			continue
		}
		files, err := os.ReadDir(filepath.Join(root, name)) // which may be a link
		if err != nil {
			return err
		}
		if err := t.add(name, true, nil); err != nil {
			return err
		}
		for _, f := range files {
			if err := t.add(path.Join(name, f.Name()), f.IsDir(), nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// add adds a class folder or an image. It ignores other files, what is in no part,
// and what is hidden: tools put such folders beside classes, and such files beside
// images.
func (t tree) add(name string, isFolder bool, data []byte) error {
	elements := strings.Split(name, "/")
	at := slices.IndexFunc(elements, func(e string) bool { return e == trainPart || e == testPart || e == valPart })
	if at < 0 || !isFolder && !isImage(name) {
		return nil
	}
	part, below := elements[at], elements[at+1:]
	if slices.ContainsFunc(below, func(e string) bool { return strings.HasPrefix(e, ".") }) {
		return nil
	}
	switch {
	case isFolder && len(below) == 0:
		return nil
	case isFolder && len(below) != 1, !isFolder && len(below) != 2:
		return fmt.Errorf("%s is misplaced: images should be in class folders, such as %s/cat/1.jpg", name, part)
	}
	classes := t[part]
	if classes == nil {
		classes = map[string][]file{}
		t[part] = classes
	}
	class := classes[below[0]]
	if !isFolder {
		class = append(class, file{name, data})
	}
	classes[below[0]] = class
	return nil
}

// set makes a set of the images, by class and name.
func (t tree) set(read func(file) (image.Image, error)) (*Set, error) {
	train, test := t[trainPart], t[testPart]
	last := testPart
	if test == nil {
		test, last = t[valPart], valPart
	}
	if train == nil || test == nil {
		return nil, fmt.Errorf("there are no images to train and test on, which should be in %s/<class> and %s/<class> (or %s/<class>) as .jpg, .jpeg or .png files",
			trainPart, testPart, valPart)
	}
	classes := slices.Sorted(maps.Keys(train))
	for _, class := range slices.Sorted(maps.Keys(test)) {
		if _, ok := train[class]; !ok {
			return nil, fmt.Errorf("the class %s of %s is missing in %s", class, last, trainPart)
		}
	}
	for _, class := range classes {
		if _, ok := test[class]; !ok {
			return nil, fmt.Errorf("the class %s of %s is missing in %s", class, trainPart, last)
		}
	}
	set := &Set{Classes: classes, Normalization: imageNetNormalization,
		Source: datasets.Source{Kind: datasets.Proxy, Description: "an image folder"}}
	var err error
	if set.Train, err = listed(trainPart, train, classes, read); err != nil {
		return nil, err
	}
	if set.Test, err = listed(last, test, classes, read); err != nil {
		return nil, err
	}
	switch {
	case set.isCIFAR10():
		set.Source.Description = "a copy of CIFAR-10 in image files (not its exact pixels where they are JPEG)"
		set.Normalization = cifar10Normalization
	case set.isImageNet():
		set.Source = datasets.Source{Kind: datasets.Real, Description: "real ImageNet (ILSVRC 2012)"}
	}
	return set, nil
}

// listed are the images of a part.
func listed(part string, files map[string][]file, classes []string, read func(file) (image.Image, error)) (Images, error) {
	var labels []int32
	var all []file
	for label, class := range classes {
		files := files[class]
		if len(files) == 0 {
			return Images{}, fmt.Errorf("the class folder %s/%s has no images", part, class)
		}
		slices.SortFunc(files, func(a, b file) int { return cmp.Compare(a.name, b.name) })
		for i, f := range files {
			if i > 0 && files[i-1].name == f.name {
				return Images{}, fmt.Errorf("%s is there twice", f.name)
			}
			labels = append(labels, int32(label))
		}
		all = append(all, files...)
	}
	return Images{labels, func(i int) (image.Image, error) { return read(all[i]) }}, nil
}

// isImageNet says whether the numbers of classes and images are those of ImageNet.
func (s *Set) isImageNet() bool {
	return len(s.Classes) == 1000 && s.Train.Len() == 1_281_167 && s.Test.Len() == 50_000
}

// pixelLimit is more than any photograph has. A damaged file may claim any size.
const pixelLimit = 1 << 27

// readEncoded decodes the files of the folder or archive root.
func readEncoded(root string) func(file) (image.Image, error) {
	return func(f file) (image.Image, error) {
		data, err := f.data, error(nil)
		if data == nil {
			data, err = os.ReadFile(filepath.Join(root, filepath.FromSlash(f.name)))
			if err != nil {
				return nil, fmt.Errorf("images: %w", err)
			}
		}
		m, err := decode(data)
		if err != nil {
			return nil, fmt.Errorf("images: %s: the image %s cannot be decoded, get it again: %w", root, f.name, err)
		}
		return m, nil
	}
}

func decode(data []byte) (image.Image, error) {
	header, _, err := image.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	if header.Width < 1 || header.Height < 1 || header.Width > pixelLimit/header.Height {
		return nil, fmt.Errorf("it claims to have %d×%d pixels", header.Width, header.Height)
	}
	m, _, err := image.Decode(bytes.NewReader(data))
	return m, err
}
