package torch

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"math/big"
	"path"
	"strings"

	"github.com/nlpodyssey/gopickle/types"
)

const zipMagic = "PK\x03\x04"

var errNoCheckpoint = errors.New("this is no checkpoint of PyTorch: neither a zip file nor a pickle with its magic number")

// readZip reads the format of torch.save since PyTorch 1.6: a zip file, uncompressed,
// with the pickle in NAME/data.pkl and each storage in NAME/data/KEY.
func readZip(r io.ReaderAt, size int64) (any, error) {
	archive, err := zip.NewReader(r, size)
	if err != nil {
		return nil, fmt.Errorf("the zip file is damaged: %w", err)
	}
	files := make(map[string]*zip.File)
	var folder string
	for _, f := range archive.File {
		files[f.Name] = f
		if path.Base(f.Name) == "data.pkl" && strings.Count(f.Name, "/") == 1 {
			folder = path.Dir(f.Name)
		}
	}
	if folder == "" {
		return nil, errors.New("this is a zip file, but no checkpoint of PyTorch: it has no data.pkl")
	}
	if f, ok := files[folder+"/byteorder"]; ok {
		if order, err := content(f, int64(len("little"))); err != nil || string(order) != "little" {
			return nil, errors.New("its numbers are not little-endian; save it on another machine")
		}
	}
	file := files[folder+"/data.pkl"]
	if file.UncompressedSize64 > maxPickle {
		return nil, errEnds
	}
	data, err := content(file, int64(file.UncompressedSize64))
	if err != nil {
		return nil, err
	}
	length, err := check(data)
	if err != nil {
		return nil, err
	}
	return unpickle(data[:length], func(id storageID) (*storage, error) {
		f, ok := files[folder+"/data/"+id.key]
		if !ok || int64(id.count) > size/int64(id.element.size) {
			return nil, fmt.Errorf("storage %.20q with %d numbers is not in the file", id.key, id.count)
		}
		load := func() ([]byte, error) { return content(f, int64(id.count*id.element.size)) }
		return &storage{id.element, id.count, load}, nil
	})
}

// content is that of a file of so many bytes in an archive.
func content(f *zip.File, size int64) ([]byte, error) {
	if f.Method != zip.Store || f.UncompressedSize64 != uint64(size) {
		return nil, fmt.Errorf("%.40q in the zip file has %d bytes or is compressed, where %d bytes are expected as they are", f.Name, f.UncompressedSize64, size)
	}
	r, err := f.Open()
	if err != nil {
		return nil, fmt.Errorf("%.40q in the zip file is damaged: %w", f.Name, err)
	}
	defer r.Close()
	data, err := io.ReadAll(r) // grows with what is there, whatever the size claims
	if err != nil {
		return nil, fmt.Errorf("%.40q in the zip file is damaged: %w", f.Name, err)
	}
	return data, nil
}

// readLegacy reads the format before that: pickles of a magic number, a version, facts
// of the machine, the object, and the storages' keys; then in the order of these each
// storage, its length before it.
func readLegacy(r io.ReaderAt, size int64) (any, error) {
	head := make([]byte, min(size, maxPickle))
	if _, err := r.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	storages := make(map[string]*storage)
	at := int64(0) // of what is to be read next
	next := func() (any, error) {
		length, err := check(head[at:])
		if err != nil {
			return nil, err
		}
		data := head[at:][:length]
		at += int64(length)
		return unpickle(data, func(id storageID) (*storage, error) {
			s, ok := storages[id.key]
			if !ok {
				s = &storage{element: id.element, count: id.count}
				storages[id.key] = s
			}
			if s.element != id.element || s.count != id.count || int64(id.count) > size/int64(id.element.size) {
				return nil, fmt.Errorf("storage %.20q with %d numbers is not in the file", id.key, id.count)
			}
			return s, nil
		})
	}
	if magic, err := next(); err != nil || !isMagic(magic) {
		return nil, errNoCheckpoint
	}
	if version, err := next(); err != nil || version != 1001 {
		return nil, errors.New("its format is of a version that is not known")
	}
	machine, err := next()
	if err != nil {
		return nil, err
	}
	if entries(machine)["little_endian"].value != true {
		return nil, errors.New("its numbers are not little-endian; save it on another machine")
	}
	object, err := next()
	if err != nil {
		return nil, err
	}
	keys, err := next()
	if err != nil {
		return nil, err
	}
	list, ok := keys.(*types.List)
	if !ok || list.Len() != len(storages) {
		return nil, errors.New("the list of its storages is malformed")
	}
	for _, key := range *list {
		name, _ := key.(string)
		s, ok := storages[name]
		if !ok || s.load != nil {
			return nil, errors.New("the list of its storages is malformed")
		}
		var count [8]byte
		if _, err := r.ReadAt(count[:], at); err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		start, length := at+int64(len(count)), int64(s.count*s.element.size)
		if length > size-start || le.Uint64(count[:]) != uint64(s.count) {
			return nil, fmt.Errorf("the file is truncated or damaged: storage %.20q is not there", name)
		}
		s.load = func() ([]byte, error) {
			data := make([]byte, length)
			_, err := io.ReadFull(io.NewSectionReader(r, start, length), data)
			return data, err
		}
		at = start + length
	}
	return object, nil
}

// isMagic says whether a pickle's object is PyTorch's magic number.
func isMagic(object any) bool {
	n, ok := object.(*big.Int)
	return ok && n.Text(16) == "1950a86a20f9469cfc6c"
}
