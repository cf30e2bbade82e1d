package torch

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/big"
	"path"
	"strings"

	"github.com/nlpodyssey/gopickle/types"
)

const zipMagic = "PK\x03\x04"

// readZip reads the format of torch.save since PyTorch 1.6: a zip file with the pickle in NAME/data.pkl and each
// storage in NAME/data/KEY. PyTorch does not compress them, but who packs them again may.
func readZip(archive *zip.Reader) (any, error) {
	files := make(map[string]*zip.File)
	var pickled *zip.File
	numpy := false
	for _, f := range archive.File {
		files[f.Name] = f
		if path.Base(f.Name) == "data.pkl" && (pickled == nil || len(f.Name) < len(pickled.Name)) {
			pickled = f
		}
		numpy = numpy || path.Ext(f.Name) == ".npy"
	}
	switch {
	case numpy:
		return nil, errors.New("this is NumPy's format .npz, no checkpoint of PyTorch")
	case pickled == nil:
		return nil, errors.New("this is a zip file, but no checkpoint of PyTorch: it has no data.pkl")
	}
	folder := strings.TrimSuffix(pickled.Name, "data.pkl")
	if files[folder+"constants.pkl"] != nil {
		return nil, errors.New("this is a TorchScript program, no checkpoint of PyTorch; in Python, torch.save(torch.jit.load(FILE).state_dict(), …) makes one of it")
	}
	if f, ok := files[folder+"byteorder"]; ok {
		order, err := content(f, min(f.UncompressedSize64, 16))
		if err != nil {
			return nil, err
		}
		if text := strings.TrimSpace(string(order)); text != "little" {
			return nil, fmt.Errorf("its numbers are %.20s-endian, not little-endian; save it on another machine", text)
		}
	}
	if pickled.UncompressedSize64 > maxPickle {
		return nil, errLong
	}
	data, err := content(pickled, pickled.UncompressedSize64)
	if err != nil {
		return nil, err
	}
	length, err := check(data)
	if err != nil {
		return nil, err
	}
	return unpickle(data[:length], func(id storageID) (*storage, error) {
		f, ok := files[folder+"data/"+id.key]
		if !ok {
			return nil, fmt.Errorf("storage %.20q with %d numbers is not in the file", id.key, id.count)
		}
		if size := uint64(id.element.size); f.UncompressedSize64%size != 0 || f.UncompressedSize64/size != uint64(id.count) {
			return nil, fmt.Errorf("storage %.20q has %d bytes in the file, where %d numbers of %d bytes are expected", id.key, f.UncompressedSize64, id.count, size)
		}
		load := func() ([]byte, error) { return content(f, f.UncompressedSize64) }
		return &storage{int(f.UncompressedSize64), load}, nil
	})
}

// content returns that of a file of so many bytes in an archive.
func content(f *zip.File, size uint64) ([]byte, error) {
	r, err := f.Open()
	if err != nil {
		return nil, fmt.Errorf("%.40q in the zip file cannot be read: %w", f.Name, err)
	}
	defer r.Close()
	data, err := io.ReadAll(r) // grows with what is there, whatever the size claims
	if err != nil {
		return nil, fmt.Errorf("%.40q in the zip file cannot be read: %w", f.Name, err)
	}
	if uint64(len(data)) != size {
		return nil, fmt.Errorf("%.40q in the zip file has %d bytes, where %d are expected", f.Name, len(data), size)
	}
	return data, nil
}

var errLong = fmt.Errorf("its pickle is longer than %d MiB; save the state dict alone", maxPickle>>20)

// others are formats that are taken for PyTorch's, by what is in them at a place.
var others = []struct {
	at         int
	text, what string
}{
	{0, "\x89HDF\r\n\x1a\n", "a file of HDF5, as Keras writes it"},
	{0, "\x93NUMPY", "an array of NumPy"},
	{0, "\x1f\x8b", "compressed with gzip: unpack it"},
	{0, "\xfd7zXZ", "compressed with xz: unpack it"},
	{0, "BZh", "compressed with bzip2: unpack it"},
	{257, "ustar", "a tar archive: unpack it, or, if PyTorch before 0.2 wrote it, load and save it with a newer one"},
	{0, "GGUF", "a file of GGUF"},
	{0, "version https://git-lfs", "a pointer of Git LFS to a file: get the file itself"},
	{0, "<", "a web page, or XML: get the file itself"},
	{8, `{"`, "a file of safetensors: load it in Python and torch.save its tensors"},
	{0, "\x80", "a pickle that torch.save did not write, or not to its end"},
}

// notPyTorch says what a file is that starts so.
func notPyTorch(head []byte) error {
	what := "neither a zip file nor a pickle with its magic number"
	for _, o := range others {
		if len(head) > o.at && bytes.HasPrefix(head[o.at:], []byte(o.text)) {
			what = o.what
			break
		}
	}
	if len(head) == 0 {
		what = "empty"
	} else if len(head) > 2 && head[0] == 0x08 && head[1] < 0x20 && bytes.IndexByte([]byte{0x12, 0x1a, 0x22, 0x3a, 0x42}, head[2]) >= 0 {
		what = "a graph of ONNX" // its version, and the tag of one of its next fields
	}
	return fmt.Errorf("this is no checkpoint of PyTorch, it is %s", what)
}

// legacy is a file of the format before that: pickles of a magic number, a version, facts
// of the machine, the object, and the storages' keys; then in the order of these each
// storage, its length before it.
type legacy struct {
	r        io.ReaderAt
	head     []byte // the beginning of the file, with all pickles
	size     int64
	at       int64 // of what is to be read next
	storages map[string]described
}

// described is a storage and what the pickle says of it.
type described struct {
	storageID
	*storage
}

// next reads the next pickle.
func (l *legacy) next() (any, error) {
	length, err := check(l.head[l.at:])
	if errors.Is(err, errEnds) && int64(len(l.head)) < l.size {
		err = errLong
	}
	if err != nil {
		return nil, err
	}
	data := l.head[l.at:][:length]
	l.at += int64(length)
	return unpickle(data, func(id storageID) (*storage, error) {
		s, ok := l.storages[id.key]
		if !ok {
			if int64(id.count) > l.size/int64(id.element.size) {
				return nil, fmt.Errorf("storage %.20q with %d numbers is not in the file", id.key, id.count)
			}
			s = described{id, &storage{size: id.count * id.element.size}}
			l.storages[id.key] = s
		}
		if s.storageID != id {
			return nil, fmt.Errorf("storage %.20q is described in two ways", id.key)
		}
		return s.storage, nil
	})
}

func (l *legacy) read() (any, error) {
	var magic, version, machine, object, keys any
	for i, to := range []*any{&magic, &version, &machine, &object, &keys} {
		var err error
		if *to, err = l.next(); i == 0 && (err != nil || !isMagic(magic)) {
			return nil, notPyTorch(l.head)
		} else if err != nil {
			return nil, err
		}
	}
	if version != 1001 {
		return nil, errors.New("its format is of a version that is not known")
	}
	_, facts := entries(machine)
	switch facts["little_endian"] {
	case true:
	case false:
		return nil, errors.New("its numbers are big-endian, not little-endian; save it on another machine")
	default:
		return nil, errors.New("it does not say whether its numbers are little-endian: it is damaged")
	}
	list, ok := keys.(*types.List)
	if !ok || list.Len() != len(l.storages) {
		return nil, errors.New("the list of its storages is malformed")
	}
	for _, key := range *list {
		name, _ := key.(string)
		s, ok := l.storages[name]
		if !ok || s.load != nil {
			return nil, errors.New("the list of its storages is malformed")
		}
		if err := l.place(s); err != nil {
			return nil, err
		}
	}
	return object, nil
}

// place finds the numbers of the next storage.
func (l *legacy) place(s described) error {
	var count [8]byte
	if _, err := l.r.ReadAt(count[:], l.at); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	start, length := l.at+int64(len(count)), int64(s.size)
	if length > l.size-start || le.Uint64(count[:]) != uint64(s.count) {
		return fmt.Errorf("the file is truncated or damaged: storage %.20q is not there", s.key)
	}
	s.load = func() ([]byte, error) {
		data := make([]byte, length)
		_, err := io.ReadFull(io.NewSectionReader(l.r, start, length), data)
		return data, err
	}
	l.at = start + length
	return nil
}

// isMagic says whether a pickle's object is PyTorch's magic number.
func isMagic(object any) bool {
	n, ok := object.(*big.Int)
	return ok && n.Text(16) == "1950a86a20f9469cfc6c"
}
