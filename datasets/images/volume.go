package images

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
)

// volume is a tree of files: a folder on disk or an archive, which are read alike.
// Paths in it have slashes and begin at its top, which is ".". Links are followed.
type volume interface {
	list(folder string) ([]item, error) // by name
	read(file string) ([]byte, error)
}

// item is what is under a name in a folder.
type item struct {
	name string
	kind kind
	link string // of a dead link: what it is, to go on a sentence with
}

// kind is what an item is, or what the link that it is leads to.
type kind int

const (
	isFile kind = iota
	isFolder
	isLink // to nothing
	isOdd  // a pipe, a socket or a device, which may have no end
)

// fileLimit is how large a file may be, as each is read whole.
const fileLimit = 1 << 28

// disk is the volume of a folder.
type disk string

func (d disk) path(name string) string {
	return filepath.Join(string(d), filepath.FromSlash(name))
}

func (d disk) list(folder string) ([]item, error) {
	entries, err := os.ReadDir(d.path(folder))
	if err != nil {
		return nil, err
	}
	items := make([]item, len(entries))
	for i, e := range entries {
		items[i].name = e.Name()
		mode := e.Type()
		if mode&fs.ModeSymlink != 0 {
			file := d.path(path.Join(folder, e.Name()))
			info, err := os.Stat(file)
			if err != nil {
				items[i].kind, items[i].link = isLink, deadLink(file, err)
				continue
			}
			mode = info.Mode()
		}
		switch {
		case mode.IsDir():
			items[i].kind = isFolder
		case !mode.IsRegular():
			items[i].kind = isOdd
		}
	}
	return items, nil
}

// deadLink says what a link is that cannot be followed because of err.
func deadLink(file string, err error) string {
	why := "cannot be opened"
	switch {
	case errors.Is(err, fs.ErrNotExist):
		why = whyMissing
	case errors.Is(err, syscall.ELOOP):
		why = whyLoop
	}
	target, _ := os.Readlink(file)
	return linkTo(target, why)
}

// Why a link is dead.
const (
	whyMissing = "is not there"
	whyLoop    = "leads back to itself"
	whyOutside = "is not in the archive"
)

func linkTo(target, why string) string { return fmt.Sprintf("a link to %s, which %s", target, why) }

// read does not open what is no file: a pipe would keep it waiting.
func (d disk) read(file string) ([]byte, error) {
	name := d.path(file)
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file, but a folder, a pipe or a device", name)
	}
	if info.Size() > fileLimit {
		return nil, tooLarge(name)
	}
	return os.ReadFile(name)
}

func tooLarge(name string) error {
	return fmt.Errorf("%s has more than %d MiB, too much for an image: get it again or delete it", name, fileLimit>>20)
}

// isImage says whether a file of this name is taken for an image.
func isImage(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".jpg", ".jpeg", ".jpe", ".jfif", ".png":
		return true
	}
	return false
}

// isIgnored says whether tools and systems put such files and folders beside those of
// a user: hidden ones, among them the locks of editors, and some that are not.
func isIgnored(name string) bool {
	if strings.HasPrefix(name, ".") {
		return true
	}
	switch strings.ToLower(name) {
	case "__macosx", "__pycache__", "thumbs.db", "desktop.ini", "icon\r", "lost+found", "@eadir", "$recycle.bin":
		return true
	}
	return false
}
