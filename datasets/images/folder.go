package images

import (
	"cmp"
	"context"
	"fmt"
	"image"
	"maps"
	"path"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"

	"github.com/ctnas/ctnas/datasets"
)

// The parts of an image folder.
const (
	trainPart = "train"
	testPart  = "test"
)

// testParts are the names under which the test images may be, the first that is there with labels.
var testParts = []string{testPart, "val", "valid"}

// imageNetNormalization is the mean and deviation over ImageNet's training images,
// which suits photographs.
var imageNetNormalization = Normalization{Mean: [3]float64{0.485, 0.456, 0.406}, Std: [3]float64{0.229, 0.224, 0.225}}

// openVolume opens the set in a volume at a path.
func openVolume(ctx context.Context, v volume, root string) (*Set, error) {
	at, found, err := locateSet(v, ".")
	if err != nil {
		return nil, err
	}
	switch {
	case found.hasBatches:
		return readCIFAR10(func(name string) ([]byte, error) { return v.read(path.Join(at, name)) })
	case found.other != "":
		return nil, fmt.Errorf("this is %s, which is not read: get the binary version of CIFAR-10, cifar-10-binary.tar.gz", found.other)
	}
	l := listing{volume: v, root: at, skipped: map[string]int{}, links: map[string]string{}}
	return l.set(ctx, found, func(name string) (image.Image, error) {
		data, err := v.read(name)
		if err != nil {
			return nil, fmt.Errorf("images: %w", err)
		}
		m, err := decodeNamed(name, data)
		if err != nil {
			return nil, fmt.Errorf("images: %s: %w", root, err)
		}
		return m, nil
	})
}

// contents are what a folder has.
type contents struct {
	items      []item // without those that are ignored
	folders    []string
	parts      []string // train, and those with test images in the order of testParts
	hasBatches bool     // whether this is the binary version of CIFAR-10
	other      string   // a version or a set that is not read
}

func contentsOf(v volume, folder string) (contents, error) {
	items, err := v.list(folder)
	if err != nil {
		return contents{}, err
	}
	var c contents
	for _, it := range items {
		if isIgnored(it.name) {
			continue
		}
		c.items = append(c.items, it)
		if it.kind == isFolder {
			c.folders = append(c.folders, it.name)
		}
		c.hasBatches = c.hasBatches || it.kind == isFile && isBatch(it.name)
	}
	for _, part := range append([]string{trainPart}, testParts...) {
		if slices.Contains(c.folders, part) {
			c.parts = append(c.parts, part)
		}
	}
	c.other = otherCIFAR(func(name string) bool { return slices.Contains(c.items, item{name: name, kind: isFile}) })
	return c, nil
}

// isWhole says whether these are the contents of a set.
func (c contents) isWhole() bool {
	return c.hasBatches || len(c.parts) > 1 && c.parts[0] == trainPart
}

// depthLimit is how deep a set may be in folders of which each has nothing else.
const depthLimit = 8

// locateSet finds the folder of the set: that at the top, or else the only one in it
// that is one, as archives have another around. If there is none, it gives the folder
// that is most like one.
func locateSet(v volume, top string) (at string, c contents, err error) {
	at = top
	for depth := 0; ; depth++ {
		if c, err = contentsOf(v, at); err != nil {
			return "", contents{}, err
		}
		if c.isWhole() && !slices.Contains(c.folders, binaryFolder) || depth == depthLimit {
			return at, c, nil
		}
		var whole []string
		var inside contents
		for _, name := range c.folders {
			sub, err := contentsOf(v, path.Join(at, name))
			if err != nil {
				continue // it may be none of the set's
			}
			if sub.hasBatches && name == binaryFolder {
				return path.Join(at, name), sub, nil
			}
			if sub.isWhole() {
				whole, inside = append(whole, name), sub
			}
		}
		switch {
		case c.isWhole():
			return at, c, nil
		case len(whole) == 1:
			return path.Join(at, whole[0]), inside, nil
		case len(whole) > 1:
			return "", contents{}, fmt.Errorf("there are several image sets, in %s and %s: pass the folder of one", whole[0], whole[1])
		case c.other != "" || len(c.parts) > 0 || len(c.folders) != 1:
			return at, c, nil
		}
		at = path.Join(at, c.folders[0])
	}
}

// file is an image: its path, and by what it comes before others of its class.
type file struct {
	name, key string
}

// listing collects the images of an image folder, and what it leaves out.
type listing struct {
	volume
	root    string
	skipped map[string]int    // files in class folders that are no images, by extension
	odd     []string          // pipes and the like in the place of images
	links   map[string]string // dead links beside class folders, and what they are
}

// set makes a set of the images, by class and name.
func (l *listing) set(ctx context.Context, c contents, read func(name string) (image.Image, error)) (*Set, error) {
	if len(c.parts) == 0 {
		return nil, noImages(c)
	}
	first, err := l.part(ctx, c.parts[0])
	if err != nil {
		return nil, err
	}
	if !c.isWhole() {
		return nil, noImages(c)
	}
	train, last := first, l.testPart(c.parts[1:])
	test, err := l.part(ctx, last)
	if err != nil {
		return nil, err
	}
	if len(train) == 0 || len(test) == 0 {
		return nil, noImages(c)
	}
	classes := slices.Sorted(maps.Keys(train))
	if err := l.compare(train, trainPart, test, last); err != nil {
		return nil, err
	}
	if err := l.compare(test, last, train, trainPart); err != nil {
		return nil, err
	}
	set := &Set{Classes: classes, Normalization: imageNetNormalization,
		Source: datasets.Source{Kind: datasets.Proxy, Description: "an image folder", Notes: l.notes(c, classes)}}
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
		set.Source.Kind, set.Source.Description = datasets.Real, "real ImageNet (ILSVRC 2012)"
	}
	return set, nil
}

// testPart returns the first of the parts that has folders of classes, or else the first: ImageNet's own test images have
// no labels.
func (l *listing) testPart(parts []string) string {
	for _, part := range parts {
		items, err := l.list(path.Join(l.root, part))
		if err != nil || slices.ContainsFunc(items, func(it item) bool { return it.kind == isFolder && !isIgnored(it.name) }) {
			return part
		}
	}
	return parts[0]
}

// noImages returns the error of a folder with these contents.
func noImages(c contents) error {
	has := "nothing"
	for i, it := range c.items {
		switch {
		case i == 0:
			has = it.name
		case i < 5:
			has += ", " + it.name
		case i == 5:
			has += ", …"
		}
		if it.kind == isLink && i < 5 {
			has += " (" + it.link + ")"
		}
	}
	return fmt.Errorf("there are no images to train and test on, which should be in %s/<class> and %s/<class> (or val/<class>, valid/<class>) as .jpg, .jpeg or .png files; there is %s",
		trainPart, testPart, has)
}

// part collects the images of a part, by class. The name of a class has letters with
// accents as one character (NFC), as most systems write them: some take them apart.
func (l *listing) part(ctx context.Context, part string) (map[string][]file, error) {
	folder := path.Join(l.root, part)
	items, err := l.list(folder)
	if err != nil {
		return nil, err
	}
	classes := map[string][]file{}
	for _, it := range items {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if isIgnored(it.name) {
			continue
		}
		name := path.Join(folder, it.name)
		switch it.kind {
		case isFolder:
			class := norm.NFC.String(it.name)
			files, err := l.class(name)
			if err != nil {
				return nil, err
			}
			classes[class] = append(classes[class], files...)
		case isLink:
			l.links[name] = it.link
		case isFile:
			if isImage(it.name) {
				return nil, misplaced(name)
			}
		}
	}
	return classes, nil
}

func misplaced(name string) error {
	return fmt.Errorf("%s is misplaced: images should be in class folders, such as %s/cat/1.jpg", name, trainPart)
}

// class collects the images of a class folder.
func (l *listing) class(folder string) ([]file, error) {
	items, err := l.list(folder)
	if err != nil {
		return nil, err
	}
	var files []file
	for _, it := range items {
		if isIgnored(it.name) {
			continue
		}
		name := path.Join(folder, it.name)
		switch {
		case it.kind == isFolder:
			if image := l.firstImage(name, depthLimit); image != "" {
				return nil, misplaced(image)
			}
		case !isImage(it.name):
			l.skipped[strings.ToLower(path.Ext(it.name))]++
		case it.kind == isLink:
			return nil, fmt.Errorf("%s is %s: put the image itself in its place, or delete the link", name, it.link)
		case it.kind == isOdd:
			l.odd = append(l.odd, name)
		default:
			files = append(files, file{name, norm.NFC.String(it.name)})
		}
	}
	return files, nil
}

// firstImage returns an image in a folder or in those in it down to a depth, if there is
// one.
func (l *listing) firstImage(folder string, depth int) string {
	items, err := l.list(folder)
	if err != nil {
		return ""
	}
	for _, it := range items {
		name := path.Join(folder, it.name)
		switch {
		case isIgnored(it.name):
		case it.kind == isFile && isImage(it.name):
			return name
		case it.kind == isFolder && depth > 0:
			if image := l.firstImage(name, depth-1); image != "" {
				return image
			}
		}
	}
	return ""
}

// compare checks that the classes of a part are in the other, too.
func (l *listing) compare(these map[string][]file, in string, others map[string][]file, other string) error {
	for _, class := range slices.Sorted(maps.Keys(these)) {
		if _, ok := others[class]; ok {
			continue
		}
		if len(these[class]) == 0 {
			return noneIn(in, class)
		}
		why := ""
		for _, like := range slices.Sorted(maps.Keys(others)) {
			if strings.EqualFold(like, class) {
				why = fmt.Sprintf(", which has %s: give both the same name", like)
			}
		}
		if link := l.links[path.Join(l.root, other, class)]; link != "" {
			why = fmt.Sprintf(", where it is %s", link)
		}
		return fmt.Errorf("the class %s of %s is missing in %s%s", class, in, other, why)
	}
	return nil
}

func noneIn(part, class string) error {
	return fmt.Errorf("the class folder %s/%s has no images", part, class)
}

// notes say what was left out, and what a user may have meant otherwise.
func (l *listing) notes(c contents, classes []string) []string {
	var notes []string
	if n := l.skippedNote(); n != "" {
		notes = append(notes, n)
	}
	if len(l.odd) > 0 {
		notes = append(notes, fmt.Sprintf("left out %s: pipes, sockets or devices, not files", some(l.odd)))
	}
	for i, name := range slices.Sorted(maps.Keys(l.links)) {
		if i == 5 {
			notes = append(notes, fmt.Sprintf("left out %d more dead links beside the classes", len(l.links)-i))
			break
		}
		notes = append(notes, fmt.Sprintf("left out %s, %s", name, l.links[name]))
	}
	if len(c.parts) > 2 {
		notes = append(notes, fmt.Sprintf("left out %s: the test images are those of %s", strings.Join(c.parts[2:], " and "), c.parts[1]))
	}
	if len(classes) == 1 {
		notes = append(notes, fmt.Sprintf("there is one class only, %s: a network has nothing to tell apart", classes[0]))
	}
	folded := map[string]string{}
	for _, class := range classes {
		lower := strings.ToLower(class)
		if other, ok := folded[lower]; ok {
			notes = append(notes, fmt.Sprintf("the classes %s and %s differ in upper and lower case only", other, class))
		}
		folded[lower] = class
	}
	return notes
}

// skippedNote is about the files that are no images: how many of which extensions.
func (l *listing) skippedNote() string {
	extensions := slices.SortedFunc(maps.Keys(l.skipped), func(a, b string) int {
		return cmp.Or(cmp.Compare(l.skipped[b], l.skipped[a]), strings.Compare(a, b))
	})
	total := 0
	var counts []string
	for _, ext := range extensions {
		total += l.skipped[ext]
		counts = append(counts, fmt.Sprintf("%s %s", thousands(l.skipped[ext]), cmp.Or(ext, "without extension")))
	}
	switch total {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf("left out a file in the class folders that is not .jpg, .jpeg, .jpe, .jfif or .png (%s)", counts[0])
	}
	return fmt.Sprintf("left out %s files in the class folders that are not .jpg, .jpeg, .jpe, .jfif or .png (%s)", thousands(total), some(counts))
}

// some returns the first of several things, and how many more there are.
func some(things []string) string {
	const shown = 8
	if len(things) <= shown {
		return strings.Join(things, ", ")
	}
	return fmt.Sprintf("%s and %s more", strings.Join(things[:shown], ", "), thousands(len(things)-shown))
}

// listed returns the images of a part.
func listed(part string, files map[string][]file, classes []string, read func(name string) (image.Image, error)) (Images, error) {
	var labels []int32
	var names []string
	for label, class := range classes {
		if len(files[class]) == 0 {
			return Images{}, noneIn(part, class)
		}
		slices.SortFunc(files[class], func(a, b file) int {
			return cmp.Or(strings.Compare(a.key, b.key), strings.Compare(a.name, b.name))
		})
		for _, f := range files[class] {
			labels = append(labels, int32(label))
			names = append(names, f.name)
		}
	}
	return Images{labels, func(i int) (image.Image, error) { return read(names[i]) }}, nil
}

// isImageNet says whether the numbers of classes and images are those of ImageNet.
func (s *Set) isImageNet() bool {
	return len(s.Classes) == 1000 && s.Train.Len() == 1_281_167 && s.Test.Len() == 50_000
}
