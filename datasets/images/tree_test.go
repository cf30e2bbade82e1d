package images

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"image"
	"image/draw"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// thing is a file, a folder, a link or a pipe.
type thing struct {
	kind    byte   // as in tar
	content string // of a file, or where a link leads
}

// things are a tree by path: a folder with links in it.
type things map[string]thing

func fileOf(content string) thing { return thing{tar.TypeReg, content} }

func symlink(target string) thing { return thing{tar.TypeSymlink, target} }

// things is the folder with the other things in it.
func (f folder) things(others things) things {
	all := things{}
	for name, content := range f {
		if name, ok := strings.CutSuffix(name, "/"); ok {
			all[name] = thing{kind: tar.TypeDir}
		} else {
			all[name] = fileOf(content)
		}
	}
	maps.Copy(all, others)
	return all
}

// write writes the tree to disk.
func (all things) write(t testing.TB) string {
	t.Helper()
	root := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var hard []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		to, x := filepath.Join(root, name), all[name]
		must(os.MkdirAll(filepath.Dir(to), 0o755))
		switch x.kind {
		case tar.TypeReg:
			must(os.WriteFile(to, []byte(x.content), 0o644))
		case tar.TypeDir:
			must(os.MkdirAll(to, 0o755))
		case tar.TypeSymlink:
			must(os.Symlink(x.content, to))
		case tar.TypeFifo:
			must(syscall.Mkfifo(to, 0o644))
		case tar.TypeLink:
			hard = append(hard, name)
		}
	}
	for _, name := range hard {
		first := all[name].content // a link may be to another
		for all[first].kind == tar.TypeLink {
			first = all[first].content
		}
		must(os.Link(filepath.Join(root, first), filepath.Join(root, name)))
	}
	return root
}

// packing is how a tree is made an archive.
type packing struct {
	prefix      string
	format      tar.Format
	hasFolders  bool
	isZipped    bool
	pieces      int // gzip files in a row
	tars        int // archives in a row
	zeros       int // after the end
	order       *rand.Rand
	replacement bool // each image is there before, with other content
}

// randomPacking is one of the ways in which programs pack.
func randomPacking(rng *rand.Rand) packing {
	return packing{
		prefix:      []string{"", "./", "set-1.0/", "./set-1.0/", "a/b/c/"}[rng.IntN(5)],
		format:      []tar.Format{tar.FormatPAX, tar.FormatGNU}[rng.IntN(2)],
		hasFolders:  rng.IntN(2) == 0,
		isZipped:    rng.IntN(2) == 0,
		pieces:      1 + rng.IntN(3),
		tars:        1 + rng.IntN(2),
		zeros:       []int{0, 1, 512, 10_000}[rng.IntN(4)],
		order:       rng,
		replacement: rng.IntN(4) == 0,
	}
}

// tar packs the tree.
func (all things) tar(t testing.TB, p packing) []byte {
	t.Helper()
	names := slices.Sorted(maps.Keys(all))
	p.order.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	var headers []*tar.Header
	var contents []string
	add := func(name string, x thing) {
		h := &tar.Header{Name: p.prefix + name, Typeflag: x.kind, Mode: 0o644, Format: p.format}
		content := ""
		switch x.kind {
		case tar.TypeReg:
			content, h.Size = x.content, int64(len(x.content))
		case tar.TypeDir:
			h.Name += "/"
		case tar.TypeSymlink:
			h.Linkname = x.content
		case tar.TypeLink:
			h.Linkname = p.prefix + x.content
		}
		headers, contents = append(headers, h), append(contents, content)
	}
	// A hard link is to what is there when it is made, so it keeps what is replaced later.
	isHard := func(x thing) bool { return x.kind == tar.TypeLink }
	if p.replacement && !slices.ContainsFunc(slices.Collect(maps.Values(all)), isHard) {
		for _, name := range names {
			if x := all[name]; x.kind == tar.TypeReg {
				add(name, fileOf("older "+x.content))
			}
		}
	}
	if p.hasFolders {
		folders := map[string]bool{}
		for name := range all {
			for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
				folders[dir] = true
			}
		}
		for _, dir := range slices.Sorted(maps.Keys(folders)) {
			add(dir, thing{kind: tar.TypeDir})
		}
	}
	for _, name := range names {
		add(name, all[name])
	}
	var plain bytes.Buffer
	for i := range p.tars {
		w := tar.NewWriter(&plain)
		for k := i * len(headers) / p.tars; k < (i+1)*len(headers)/p.tars; k++ {
			if err := w.WriteHeader(headers[k]); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write([]byte(contents[k])); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	data := plain.Bytes()
	if p.isZipped {
		var b bytes.Buffer
		for i := range p.pieces {
			w := gzip.NewWriter(&b)
			if _, err := w.Write(data[i*len(data)/p.pieces : (i+1)*len(data)/p.pieces]); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
		}
		data = b.Bytes()
	}
	return append(data, make([]byte, p.zeros)...)
}

// randomTree is an image folder with all that may be in one.
func randomTree(t testing.TB, rng *rand.Rand) things {
	pick := func(choices ...string) string { return choices[rng.IntN(len(choices))] }
	all := things{}
	classes := []string{"cat", "Zebra", "sea lion", "caf\u00e9", "\u00fc", "日本", "-x", strings.Repeat("long ", 30) + "x"}
	rng.Shuffle(len(classes), func(i, j int) { classes[i], classes[j] = classes[j], classes[i] })
	classes = classes[:1+rng.IntN(len(classes))]
	decomposed := strings.NewReplacer("\u00e9", "e\u0301", "\u00fc", "u\u0308")
	var files []string
	for _, part := range []string{"train", pick("test", "val", "valid")} {
		for _, class := range classes {
			if rng.IntN(2) == 0 {
				class = decomposed.Replace(class)
			}
			for i := range 1 + rng.IntN(5) {
				stem := path.Join(part, class, fmt.Sprintf("%s%d", pick("", "a b", "IMG_", "e\u0301", "\u00e9"), i))
				m := gradient(1+rng.IntN(12), 1+rng.IntN(12))
				name, x := stem+pick(".png", ".PNG", ".jpg"), fileOf(pngFile(t, m)) // the content counts
				if rng.IntN(3) == 0 {
					name, x = stem+pick(".jpg", ".jpeg", ".JPE", ".jfif"), fileOf(jpegFile(t, m))
				}
				switch kind := rng.IntN(8); {
				case kind == 0 && len(files) > 0:
					x = thing{tar.TypeLink, pick(files...)}
				case kind == 1 && len(files) > 0:
					x = symlink("../../" + pick(files...))
				case kind == 2:
					blob := fmt.Sprintf("blobs/%d", len(all))
					all[blob], x = x, symlink("../../link/"+path.Base(blob))
					all["link"] = symlink("./blobs/../blobs")
				case kind == 3:
					blob := fmt.Sprintf("blobs/%d", len(all))
					all[blob], x = x, thing{tar.TypeLink, blob}
				}
				all[name] = x
				files = append(files, name)
				all[path.Join(part, class, pick(".hidden", ".x.png", "Thumbs.db", "._1.jpg"))] = fileOf("of a system")
				all[stem+pick(".txt", ".bmp", ".webp", ".GIF", "")] = fileOf("no image")
			}
		}
		all[path.Join(part, pick("labels.txt", ".DS_Store", "notes"))] = fileOf("beside the classes")
		all[path.Join(part, "log")] = symlink("../README")
		all[path.Join(part, ".#lock")] = symlink("user@host.1:2")
	}
	all["README"] = fileOf("a set")
	all["__MACOSX/train/._cat"] = fileOf("of a system")
	if rng.IntN(3) == 0 { // a class that is a link
		all["elsewhere/1.png"] = fileOf(pngFile(t, gradient(5, 5)))
		all["train/z"], all["test/z"] = symlink("../elsewhere"), symlink("../train/z")
		if len(slices.DeleteFunc(slices.Collect(maps.Keys(all)), func(name string) bool { return !strings.HasPrefix(name, "test/") })) == 1 {
			delete(all, "test/z")
			delete(all, "train/z")
		}
	}
	return all
}

// digest is one of all that a set holds.
func digest(t testing.TB, set *Set) string {
	t.Helper()
	h := sha256.New()
	fmt.Fprintf(h, "%q %v %v %v", set.Classes, set.Train.Labels, set.Test.Labels, set.Normalization)
	for _, part := range []Images{set.Train, set.Test} {
		for i := range part.Len() {
			m, err := part.Read(i)
			if err != nil {
				_, _ = io.WriteString(h, "damaged")
				continue
			}
			b := m.Bounds()
			rgba := image.NewRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
			draw.Draw(rgba, rgba.Rect, m, b.Min, draw.Src)
			_ = binary.Write(h, binary.BigEndian, []int32{int32(b.Dx()), int32(b.Dy())})
			h.Write(rgba.Pix)
		}
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// However a folder is packed, the archive is the same set.
func TestArchiveIsItsFolder(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 1))
		tree := randomTree(t, rng)
		root := tree.write(t)
		want := mustOpen(t, root)
		wantDigest := digest(t, want)
		for _, part := range []Images{want.Train, want.Test} {
			for i := range part.Len() {
				if _, err := part.Read(i); err != nil {
					t.Fatal(err)
				}
			}
		}
		for range 4 {
			p := randomPacking(rng)
			got := mustOpen(t, writeFile(t, []string{"set.tar", "set.tar.gz"}[rng.IntN(2)], tree.tar(t, p)))
			if digest(t, got) != wantDigest {
				t.Fatalf("tree %d packed as %+v: %q and %s, want %q and %s", seed, p, got.Classes, got.contents(), want.Classes, want.contents())
			}
			if !slices.Equal(got.Source.Notes, want.Source.Notes) {
				t.Errorf("tree %d packed as %+v has notes %q, want %q", seed, p, got.Source.Notes, want.Source.Notes)
			}
		}
		// It may also be in a folder of its own.
		outer := t.TempDir()
		if err := os.Rename(root, filepath.Join(outer, "set")); err != nil {
			t.Fatal(err)
		}
		if got := mustOpen(t, outer); digest(t, got) != wantDigest {
			t.Fatalf("tree %d is another set in a folder of its own", seed)
		}
	}
}

// tarOf is an archive of these members; the content of files is their link name.
func tarOf(t testing.TB, members ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range members {
		content := ""
		if h.Typeflag == tar.TypeReg {
			content, h.Linkname = h.Linkname, ""
			h.Size = max(h.Size, int64(len(content)))
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil && len(members) > 0 && members[len(members)-1].Size == 0 {
		t.Fatal(err) // unless the last member claims to be larger than it is
	}
	return b.Bytes()
}

// oddMembers are archives with one member more that cannot be right, by what the error
// says of it.
func oddMembers(t testing.TB) map[string][]tar.Header {
	good := []tar.Header{
		{Name: "train/cat/1.png", Typeflag: tar.TypeReg, Linkname: pngFile(t, gradient(2, 2))},
		{Name: "test/cat/1.png", Typeflag: tar.TypeReg, Linkname: pngFile(t, gradient(2, 2))},
	}
	all := map[string][]tar.Header{}
	for want, odd := range map[string]tar.Header{
		"names ../x, which is outside":                           {Name: "../x", Typeflag: tar.TypeReg},
		"names train/../../x.png, which is outside":              {Name: "train/../../x.png", Typeflag: tar.TypeReg},
		"names /etc/train/cat/2.png from the root":               {Name: "/etc/train/cat/2.png", Typeflag: tar.TypeReg},
		"has train/cat/1.png/2.png in or as":                     {Name: "train/cat/1.png/2.png", Typeflag: tar.TypeReg},
		"has train/cat/1.png in or as":                           {Name: "train/cat/1.png/", Typeflag: tar.TypeDir},
		"has train/cat both as":                                  {Name: "train/cat", Typeflag: tar.TypeReg},
		"has 5,011 bytes, more than any system allows":           {Name: "train/cat/" + strings.Repeat("x/", 2500) + "x", Typeflag: tar.TypeReg},
		"train/cat/2.png is a link to ../../../x.png, which is ": {Name: "train/cat/2.png", Typeflag: tar.TypeSymlink, Linkname: "../../../x.png"},
		"is a link to /etc/x.png, which is not in the archive: ": {Name: "train/cat/2.png", Typeflag: tar.TypeSymlink, Linkname: "/etc/x.png"},
		"is a link to 3.png, which is not in the archive":        {Name: "train/cat/2.png", Typeflag: tar.TypeSymlink, Linkname: "3.png"},
		"is a link to 2.png, which leads back to itself":         {Name: "train/cat/2.png", Typeflag: tar.TypeSymlink, Linkname: "2.png"},
		"is a link to train/cat/2.png, which leads back to itse": {Name: "train/cat/2.png", Typeflag: tar.TypeLink, Linkname: "train/cat/2.png"},
		"is a link to train/cat/9.png, which is not in the arch": {Name: "train/cat/2.png", Typeflag: tar.TypeLink, Linkname: "train/cat/9.png"},
		"huge.png has more than 256 MiB, too much for an image":  {Name: "train/cat/huge.png", Typeflag: tar.TypeReg, Size: fileLimit + 1},
		"is a link to ../1.png, which is not in the archive":     {Name: "train/cat/2.png", Typeflag: tar.TypeLink, Linkname: "../1.png"},
	} {
		all[want] = append(slices.Clone(good), odd)
	}
	return all
}

func TestOddMembers(t *testing.T) {
	for want, members := range oddMembers(t) {
		file := writeFile(t, "set.tar", tarOf(t, members...))
		_, err := Open(context.Background(), file)
		wantError(t, err, "images: "+file, want)
	}
}

// A dead link beside the classes, pipes, and links to such do no harm, but are noted.
func TestNotes(t *testing.T) {
	good := animals(t).with("train/ant/note", "-")
	png := pngFile(t, gradient(3, 3))
	for want, others := range map[string]things{
		"left out train/bird, a link to /none/bird, which is not ":                                 {"train/bird": symlink("/none/bird")},
		"left out train/labels.txt, a link to ../labels.txt":                                       {"train/labels.txt": symlink("../labels.txt")},
		"left out train/cat/9.png: pipes, sockets or devices, not files":                           {"train/cat/9.png": {kind: tar.TypeFifo}},
		"left out train/ant/9.png, train/cat/9.png: pipes":                                         {"train/ant/9.png": symlink("../cat/9.png"), "train/cat/9.png": {kind: tar.TypeFifo}},
		"left out a file in the class folders that is not .jpg, .jpeg, .jpe, .jfif or .png (1 .w)": {"train/cat/9.W": fileOf("x")},
		".png (2 .bmp, 1 without extension, 1 .webp)":                                              {"train/cat/9.bmp": fileOf("x"), "test/cat/9.BMP": fileOf("x"), "train/ant/1.webp": fileOf("x"), "train/ant/x": symlink("gone")},
		"left out val: the test images are those of test":                                          {"val/cat/1.png": fileOf(png)},
		"the classes Cat and cat differ in upper and lower case only":                              {"train/Cat/1.png": fileOf(png), "test/Cat/1.png": fileOf(png)},
		"": {"train/.notes": symlink("../notes"), "train/.#labels.txt": symlink("user@host.1234:1"), "train/labels.txt": symlink("../README.md"),
			"train/socket": {kind: tar.TypeFifo}, "train/cat/.#1.jpg": symlink("user@host"), "train/cat/Thumbs.db": fileOf("x"), "train/__MACOSX/cat/._1.jpg": fileOf("x"),
			"train/.DS_Store": fileOf("x"), "train/cat/empty": {kind: tar.TypeDir}},
	} {
		tree := good.things(others)
		for _, p := range []string{tree.write(t), writeFile(t, "set.tar", tree.tar(t, packing{tars: 1, order: rand.New(rand.NewPCG(1, 1))}))} {
			set := mustOpen(t, p)
			notes := set.Source.Notes
			if want == "" && len(notes) > 0 || want != "" && (len(notes) != 1 || !strings.Contains(notes[0], want)) {
				t.Errorf("%s: notes %q, want one with %q", p, notes, want)
			}
			for i := range set.Train.Len() {
				if _, err := set.Train.Read(i); err != nil {
					t.Error(err)
				}
			}
		}
	}
	one := folder{"train/cat/1.png": png, "test/cat/1.png": png}
	if notes := mustOpen(t, one.write(t)).Source.Notes; len(notes) != 1 || !strings.Contains(notes[0], "one class only, cat") {
		t.Errorf("notes %q, want one about the class", notes)
	}
}

func TestDeadLinks(t *testing.T) {
	good := animals(t)
	for want, others := range map[string]things{
		"train/cat/9.png is a link to gone.png, which is not there: put":                             {"train/cat/9.png": symlink("gone.png")},
		"train/cat/9.png is a link to 9.png, which leads back to itself: put":                        {"train/cat/9.png": symlink("9.png")},
		"the class bird of test is missing in train, where it is a link to gone, which is not there": {"train/bird": symlink("gone"), "test/bird/1.png": fileOf("x")},
		"train/cat/more/1.jpg is misplaced":                                                          {"train/cat/more/1.jpg": fileOf("x")},
		"train/9.png is misplaced":                                                                   {"train/9.png": symlink("cat/1.jpg")},
	} {
		root := good.things(others).write(t)
		_, err := Open(context.Background(), root)
		wantError(t, err, "images: "+root, want)
	}
	root := folder{"README": "x"}.things(things{"train": symlink("/none"), "test/cat/1.png": fileOf("x")}).write(t)
	_, err := Open(context.Background(), root)
	wantError(t, err, "there is README, test, train (a link to /none, which is not there)")
}

// Reading what never ends does not hang.
func TestPipes(t *testing.T) {
	root := animals(t).things(things{"pipe.tar": {kind: tar.TypeFifo}, "train/zoo/1.png": {kind: tar.TypeFifo}, "test/zoo/1.png": fileOf("x")}).write(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, err := Open(context.Background(), root)
		wantError(t, err, "the class folder train/zoo has no images")
		_, err = Open(context.Background(), filepath.Join(root, "pipe.tar"))
		wantError(t, err, "pipe.tar: this is neither a folder nor a file")
		_, err = disk(root).read("pipe.tar")
		wantError(t, err, "is not a file")
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("a pipe is read for ever")
	}
}

// Names of a class that differ in how accents are written are one.
func TestAccents(t *testing.T) {
	png := pngFile(t, gradient(2, 2))
	set := mustOpen(t, folder{"train/caf\u00e9/2.png": png, "train/cafe\u0301/1.png": pngFile(t, gradient(1, 1)), "test/cafe\u0301/1.png": png, "train/x/1.png": png, "test/x/1.png": png}.write(t))
	if !slices.Equal(set.Classes, []string{"caf\u00e9", "x"}) || set.Train.Len() != 3 {
		t.Errorf("classes %q, %d training images", set.Classes, set.Train.Len())
	}
	if m, err := set.Train.Read(0); err != nil || m.Bounds().Dx() != 1 {
		t.Errorf("the first image is %v, %v", m, err)
	}
	// The order of images does not depend on it either.
	f := pngFile(t, gradient(3, 3))
	together := mustOpen(t, folder{"train/x/\u00e9.png": png, "train/x/f.png": f, "test/x/1.png": png}.write(t))
	apart := mustOpen(t, folder{"train/x/e\u0301.png": png, "train/x/f.png": f, "test/x/1.png": png}.write(t))
	if digest(t, together) != digest(t, apart) {
		t.Error("images have another order where accents are written apart")
	}
}

// Files that are no .tar.gz, and archives with more after their end.
func TestOtherFiles(t *testing.T) {
	good := animals(t).tarGz(t)
	plain := animals(t).things(nil).tar(t, packing{tars: 1, order: rand.New(rand.NewPCG(1, 1))})
	filled := func(start string) []byte { return []byte(start + strings.Repeat("x", 1000)) }
	for want, data := range map[string][]byte{
		"this is a .zip, which is not read: extract it and pass the folder, or pack that as .tar.gz": filled("PK\x03\x04"),
		"this is a .xz":                                 filled("\xfd7zXZ\x00"),
		"this is a .bz2":                                filled("BZh9"),
		"this is one PNG image, pass a folder":          []byte(pngFile(t, gradient(2, 2))),
		"something else":                                slices.Concat(good, []byte("<html>")),
		"something else, get it again":                  slices.Concat(plain, filled("<html>")),
		"something else, get":                           slices.Concat(plain, []byte("<html>")),
		"the archive is cut off or damaged, get it aga": slices.Concat(good, good[:20]),
	} {
		file := writeFile(t, "set.tar.gz", data)
		_, err := Open(context.Background(), file)
		wantError(t, err, "images: "+file, want)
	}
	for cut := range plain[:len(bytes.TrimRight(plain, "\x00"))] {
		if _, err := readArchive(context.Background(), bytes.NewReader(plain[:cut])); err == nil {
			t.Fatalf("an archive cut at byte %d was not seen", cut)
		}
	}
}

// Other versions of CIFAR-10, and CIFAR-100, unpacked or not.
func TestOtherCIFAR(t *testing.T) {
	for what, files := range map[string]folder{
		"the version of CIFAR-10 for Python": {"data_batch_1": "x", "data_batch_2": "x", "test_batch": "x", "batches.meta": "x", "readme.html": "x"},
		"the version of CIFAR-10 for MATLAB": {"data_batch_1.mat": "x", "test_batch.mat": "x", "batches.meta.mat": "x"},
		"CIFAR-100":                          {"train": "x", "test": "x", "meta": "x", "file.txt~": "x"},
		"CIFAR-100, which":                   {"train.bin": "x", "test.bin": "x", "fine_label_names.txt": "x"},
		"CIFAR-100, ":                        {"train.mat": "x", "test.mat": "x", "meta.mat": "x"},
	} {
		inner := folder{}
		for name, content := range files {
			inner["cifar/"+name] = content
		}
		for _, p := range []string{files.write(t), inner.write(t), files.writeTarGz(t)} {
			_, err := Open(context.Background(), p)
			wantError(t, err, "images: "+p, "this is "+what, "which is not read: get the binary version of CIFAR-10, cifar-10-binary.tar.gz")
		}
	}
}
