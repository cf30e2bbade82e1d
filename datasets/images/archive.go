package images

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
)

// What an archive may hold: all images are kept in memory, and a little of each member.
const (
	archiveLimit = 1 << 30
	memberSize   = 256  // about what a member takes beside its content and its name
	nameLimit    = 4096 // what systems allow
	linkLimit    = 40   // links on one path; with more it is taken for a loop, as systems do
)

// archive is the volume of a .tar or .tar.gz.
type archive struct {
	top   *node
	left  int64         // how many bytes it may still take
	links []string      // names of images that are symbolic links
	later map[int]*node // files to be read, by their number: links to them are images
}

// node is a file, a folder or a link in an archive. Hard links share one.
type node struct {
	kind   kind
	inside map[string]*node // of a folder
	data   []byte           // of a file
	isRead bool             // whether data is there
	number int              // of the member that has the data
	target string           // of a link
	isHard bool             // of a link: whether its target is named from the top
}

// readArchive reads a .tar or .tar.gz: the names of all members, and the content of
// those of use. What only links name so is read in a second pass.
func readArchive(ctx context.Context, r io.ReadSeeker) (*archive, error) {
	a := &archive{top: newFolder(), left: archiveLimit, later: map[int]*node{}}
	if err := eachMember(ctx, r, a.add); err != nil {
		return nil, err
	}
	for _, name := range a.links {
		if n, err := a.find(name); err == nil && n.kind == isFile && !n.isRead {
			a.later[n.number] = n
		}
	}
	if len(a.later) == 0 {
		return a, nil
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	err := eachMember(ctx, r, func(number int, header *tar.Header, content io.Reader) error {
		if n := a.later[number]; n != nil {
			return a.load(n, header, content)
		}
		return nil
	})
	return a, err
}

func newFolder() *node { return &node{kind: isFolder, inside: map[string]*node{}} }

// take counts bytes that the archive takes.
func (a *archive) take(bytes int64) error {
	if a.left -= bytes; a.left < 0 {
		return errors.New("it holds more than 1 GiB of images, extract it and pass the folder")
	}
	return nil
}

// load reads the content of a file.
func (a *archive) load(n *node, header *tar.Header, content io.Reader) (err error) {
	if err := a.take(header.Size); err != nil {
		return err
	}
	if header.Size > fileLimit {
		return tooLarge(header.Name)
	}
	if n.data, err = io.ReadAll(content); err != nil {
		return fmt.Errorf("%s: %w", header.Name, cutOff(err))
	}
	n.isRead = true
	return nil
}

// add adds a member. One of the same name as another replaces it, as when it is
// extracted.
func (a *archive) add(number int, header *tar.Header, content io.Reader) error {
	n := &node{number: number}
	switch header.Typeflag {
	case tar.TypeXGlobalHeader, 'V': // a comment, a label of the archive
		return nil
	case tar.TypeReg, tar.TypeCont, tar.TypeGNUSparse:
	case tar.TypeDir:
		n = newFolder()
	case tar.TypeSymlink:
		n.kind, n.target = isLink, header.Linkname
	case tar.TypeLink:
		n.kind, n.target, n.isHard = isLink, header.Linkname, true
	default:
		n.kind = isOdd
	}
	name, err := memberName(header.Name)
	if err != nil {
		return err
	}
	if err := a.take(memberSize + int64(len(name)+len(n.target))); err != nil {
		return err
	}
	parent := a.top
	folder, base := path.Split(name)
	for element := range strings.SplitSeq(strings.TrimSuffix(folder, "/"), "/") {
		if element == "" {
			break // at the top
		}
		if parent, err = a.folderIn(parent, element, name); err != nil {
			return err
		}
	}
	if n.kind == isFolder {
		if name != "." {
			_, err = a.folderIn(parent, base, name)
		}
		return err
	}
	if old := parent.inside[base]; name == "." || old != nil && old.kind == isFolder {
		return fmt.Errorf("the archive has %s both as a folder and as a file, pack it again", name)
	}
	if n.isHard {
		if target := a.member(n.target); target != nil && target.kind != isFolder {
			n = target
			if n.kind == isFile && !n.isRead && isWanted(base) {
				a.later[n.number] = n
			}
		}
	}
	parent.inside[base] = n
	switch {
	case n.kind == isLink && isWanted(base):
		a.links = append(a.links, name)
	case n.kind == isFile && n.number == number && isWanted(base):
		return a.load(n, header, content)
	}
	return nil
}

// folderIn returns the folder of this name in another, made if it is not there, on the way
// to a member.
func (a *archive) folderIn(parent *node, name, member string) (*node, error) {
	n := parent.inside[name]
	if n == nil {
		if err := a.take(memberSize + int64(len(name))); err != nil {
			return nil, err
		}
		n = newFolder()
		parent.inside[name] = n
	}
	if n.kind != isFolder {
		return nil, fmt.Errorf("the archive has %s in or as a folder that is also a file or a link, pack it again", member)
	}
	return n, nil
}

// memberName returns the name of a member without needless parts.
func memberName(name string) (string, error) {
	if len(name) > nameLimit {
		return "", fmt.Errorf("a name in the archive has %s bytes, more than any system allows", thousands(len(name)))
	}
	clean := path.Clean(name)
	if path.IsAbs(clean) {
		return "", fmt.Errorf("the archive names %s from the root of a disk, pack it again without that (tar does so unless told -P)", name)
	}
	if clean == ".." || strings.HasPrefix(clean, "../") {
		return "", fmt.Errorf("the archive names %s, which is outside of it; do not trust it, get or pack it again", name)
	}
	return clean, nil
}

// member returns the member of a name, if it is there; links are not followed.
func (a *archive) member(name string) *node {
	clean, err := memberName(name)
	if err != nil {
		return nil
	}
	n := a.top
	for element := range strings.SplitSeq(clean, "/") {
		if n = n.inside[element]; n == nil {
			return nil
		}
	}
	return n
}

// find follows a path, and all links on it, as a system does. The error is why that
// does not lead anywhere.
func (a *archive) find(name string) (*node, error) {
	way := []*node{a.top} // from the top to where it is
	todo, links := strings.Split(name, "/"), 0
	for len(todo) > 0 {
		element := todo[0]
		todo = todo[1:]
		here := way[len(way)-1]
		if here.kind != isFolder {
			return nil, errors.New(whyOutside)
		}
		switch element {
		case "", ".":
			continue
		case "..":
			if len(way) == 1 {
				return nil, errors.New(whyOutside)
			}
			way = way[:len(way)-1]
			continue
		}
		n := here.inside[element]
		switch {
		case n == nil:
			return nil, errors.New(whyOutside)
		case n.kind != isLink:
			way = append(way, n)
			continue
		}
		if links++; links > linkLimit {
			return nil, errors.New(whyLoop)
		}
		if path.IsAbs(n.target) || n.target == "" {
			return nil, errors.New(whyOutside)
		}
		if n.isHard {
			way = way[:1]
		}
		todo = append(strings.Split(n.target, "/"), todo...)
	}
	return way[len(way)-1], nil
}

func (a *archive) list(folder string) ([]item, error) {
	n, err := a.find(folder)
	if err != nil {
		return nil, fmt.Errorf("%s %w", folder, err)
	}
	var items []item
	for _, name := range slices.Sorted(maps.Keys(n.inside)) {
		n := n.inside[name]
		it := item{name: name, kind: n.kind}
		if n.kind == isLink {
			if to, err := a.find(path.Join(folder, name)); err == nil {
				it.kind = to.kind
			} else {
				it.link = linkTo(n.target, err.Error())
			}
		}
		items = append(items, it)
	}
	return items, nil
}

func (a *archive) read(file string) ([]byte, error) {
	n, err := a.find(file)
	if err != nil || !n.isRead {
		return nil, fmt.Errorf("%s is missing", path.Base(file))
	}
	return n.data, nil
}

// isWanted says whether a file of this name may be of use.
func isWanted(name string) bool {
	return isImage(name) || isBatch(name) || name == cifarMeta
}

// eachMember visits the members of a .tar or .tar.gz, or of several, one after the
// other. An archive that does not end as it should is an error.
func eachMember(ctx context.Context, r io.Reader, visit func(number int, header *tar.Header, content io.Reader) error) error {
	watched := &watchedReader{ctx: ctx, r: r}
	in := bufio.NewReaderSize(watched, 1<<16)
	start, err := in.Peek(16)
	if err != nil && err != io.EOF {
		return err
	}
	if len(start) == 0 {
		return errors.New("it is empty, get it again")
	}
	start = bytes.Clone(start)
	isZipped := bytes.HasPrefix(start, gzipMagic)
	if isZipped {
		unzipped, err := newUnzipper(in)
		if err != nil {
			return cutOff(err)
		}
		in = bufio.NewReaderSize(unzipped, 1<<16)
	}
	for number := 0; ; {
		first := number
		for archive := tar.NewReader(in); ; number++ {
			header, err := archive.Next()
			if err == io.EOF {
				break
			}
			isOther := errors.Is(err, tar.ErrHeader) || !isZipped && errors.Is(err, io.ErrUnexpectedEOF)
			switch {
			case err == nil:
			case isOther && number == 0:
				return notArchive(start, err)
			case isOther && number == first:
				return errors.New("after the end of the archive there is something else, get it again")
			default:
				return cutOff(err)
			}
			if err := visit(number, header, archive); err != nil {
				return err
			}
		}
		if more, err := skipZeros(in); err != nil {
			return cutOff(err)
		} else if !more {
			break
		}
	}
	// What is zipped has a checksum at its end; a .tar only has zeros there.
	if !isZipped && watched.zeros < tarBlock {
		return cutOff(io.ErrUnexpectedEOF)
	}
	return nil
}

// notArchive returns the error of a file that starts so and is no .tar or .tar.gz because of
// err.
func notArchive(start []byte, err error) error {
	switch format := formatOf(start); {
	case format == nil:
		return fmt.Errorf("this is not a .tar.gz or .tar, nor the folder of an image set: %w", err)
	case format.isImage:
		return fmt.Errorf("this is one %s image, pass a folder of classes of them", format.name)
	default:
		return fmt.Errorf("this is %s, which is not read: extract it and pass the folder, or pack that as .tar.gz", format.name)
	}
}

// tarBlock is the size of which all in a .tar is a multiple.
const tarBlock = 512

// skipZeros skips blocks of zeros, and says whether something follows them.
func skipZeros(r *bufio.Reader) (more bool, err error) {
	for {
		block, err := r.Peek(tarBlock)
		switch {
		case err != nil && err != io.EOF:
			return false, err
		case len(bytes.Trim(block, "\x00")) > 0:
			return true, nil
		case err == io.EOF:
			return false, nil
		}
		if _, err := r.Discard(tarBlock); err != nil {
			return false, err
		}
	}
}

func cutOff(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("the archive is cut off or damaged, get it again: %w", err)
}

// watchedReader reads until ctx is done, and counts the zeros at the end of what was
// read.
type watchedReader struct {
	ctx   context.Context
	r     io.Reader
	zeros int
}

func (w *watchedReader) Read(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := w.r.Read(p)
	if rest := len(bytes.TrimRight(p[:n], "\x00")); rest > 0 {
		w.zeros = n - rest
	} else {
		w.zeros += n
	}
	return n, err
}

// unzipper reads what one or more gzip files in a row hold, with zeros between and
// after them, which fill blocks of tapes and of some file systems.
type unzipper struct {
	in     *bufio.Reader
	member *gzip.Reader
}

var gzipMagic = []byte{0x1f, 0x8b}

func newUnzipper(in *bufio.Reader) (*unzipper, error) {
	member, err := gzip.NewReader(in)
	if err != nil {
		return nil, err
	}
	member.Multistream(false)
	return &unzipper{in, member}, nil
}

func (u *unzipper) Read(p []byte) (int, error) {
	for {
		n, err := u.member.Read(p)
		if n > 0 && err == io.EOF {
			err = nil
		}
		if n > 0 || err != io.EOF {
			return n, err
		}
		if err := u.next(); err != nil {
			return 0, err
		}
	}
}

// next goes on to the next gzip file. The error is io.EOF after the last.
func (u *unzipper) next() error {
	for {
		b, err := u.in.ReadByte()
		if err != nil {
			return err
		}
		if b != 0 {
			break
		}
	}
	if err := u.in.UnreadByte(); err != nil {
		return err
	}
	if start, err := u.in.Peek(len(gzipMagic)); err != nil && err != io.EOF {
		return err
	} else if !bytes.Equal(start, gzipMagic) {
		return errors.New("after the end of the .gz there is something else")
	}
	if err := u.member.Reset(u.in); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	u.member.Multistream(false)
	return nil
}
