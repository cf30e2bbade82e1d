package datasets

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/gofrs/flock"

	"github.com/ctnas/ctnas/ctnaslib/rundir"
)

// A download of FILE has beside it, until it is done:
//
//	FILE.part       what has arrived so far
//	FILE.part.from  where that is from
//	FILE.lock       locked by the process at work
//
// and for ever, if its digest is not publicly known, the one of the first download:
//
//	FILE.sha256     in the format of sha256sum
const (
	partSuffix   = ".part"
	fromSuffix   = ".part.from"
	lockSuffix   = ".lock"
	digestSuffix = ".sha256"
)

// Fetch makes sure that an asset is in a data folder, whole and checked, and
// downloads it if it is not; the folder "" is the user's cache. The place that
// CTNAS_MIRROR names is asked first, if there is one, then the official source.
//
// A download that was interrupted, in whatever way, is continued where it stopped.
// If several processes fetch the same asset, one downloads it and the others wait.
// The file has its name only when it is whole and has its digest, or, where none
// is publicly known, the one of the first download and the right content.
func Fetch(ctx context.Context, a Asset, folder string, all ...Option) (Found, error) {
	return network.fetch(ctx, a, folder, all...)
}

func (c client) fetch(ctx context.Context, a Asset, folder string, all ...Option) (Found, error) {
	o, err := collect(all)
	if err != nil {
		return Found{}, err
	}
	ctx = watched(ctx, a.ID, o.progress)
	found := Found{Asset: a, Place: Given}
	if folder == "" {
		found.Place = Cache
		if folder, err = cacheDir(); err != nil {
			return Found{}, fmt.Errorf("datasets: cannot fetch %s: %w", a.ID, err)
		}
	}
	found.Path = filepath.Join(folder, filepath.FromSlash(a.Path))
	if found.Path, err = filepath.Abs(found.Path); err != nil {
		return Found{}, fmt.Errorf("datasets: %w", err)
	}
	sources, err := a.sources()
	if err != nil {
		return Found{}, err
	}
	if err = a.verify(ctx, found.Path, found.Path+digestSuffix); err == nil {
		return found, nil
	}
	unlock, err := lock(ctx, found.Path, a.Size)
	if err == nil {
		defer func() { unlock(err == nil) }()
		// Another process may have been faster.
		if err = a.verify(ctx, found.Path, found.Path+digestSuffix); err == nil {
			return found, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			found.Notes = append(found.Notes, fmt.Sprintf("the file that was there is replaced: %v", err))
		}
		found.Place = Downloaded
		err = c.download(ctx, sources, &found)
	}
	switch {
	case err == nil:
		return found, nil
	case ctx.Err() != nil:
		return Found{}, fmt.Errorf("datasets: stopped fetching %s: %w; what has arrived is kept, so fetch it again to continue", a.ID, ctx.Err())
	case errors.Is(err, syscall.ENOSPC):
		return Found{}, fmt.Errorf("datasets: cannot fetch %s, the disk of %s is full: %w; make room and fetch it again to continue", a.ID, folder, err)
	case isDisk(err):
		return Found{}, fmt.Errorf("datasets: cannot fetch %s, the folder %s cannot be written: %w; choose another one or set %s", a.ID, folder, err, envCache)
	}
	return Found{}, fmt.Errorf("datasets: cannot fetch %s: %w; try again, or get it in another way and put it at %s", a.ID, err, found.Path)
}

// isDisk says whether an error is of a file, not of the network.
func isDisk(err error) bool {
	return errors.As(err, new(*fs.PathError)) || errors.As(err, new(*os.LinkError))
}

// sources are the URLs to get an asset from.
func (a Asset) sources() ([]string, error) {
	text := os.Getenv(envMirror)
	if text == "" {
		return []string{a.URL}, nil
	}
	mirror, err := url.Parse(text)
	if err != nil || mirror.Scheme != "http" && mirror.Scheme != "https" || mirror.Host == "" {
		return nil, fmt.Errorf("datasets: %s is %q; set it to the URL of a data folder, such as https://host/path", envMirror, text)
	}
	return []string{mirror.JoinPath(a.Path).String(), a.URL}, nil
}

// lock waits until no other process fetches file. What the other one has is
// reported as progress. The lock file need not stay once file is there.
func lock(ctx context.Context, file string, size int64) (unlock func(done bool), err error) {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return nil, err
	}
	l := flock.New(file + lockSuffix)
	for {
		locked, err := l.TryLock()
		if err != nil {
			return nil, fmt.Errorf("cannot lock %s: %w", l.Path(), err)
		}
		if locked {
			return func(done bool) {
				if done {
					os.Remove(l.Path())
				}
				l.Unlock()
			}, nil
		}
		if info, err := os.Stat(file + partSuffix); err == nil {
			report(ctx, Downloading, info.Size(), size)
		}
		if err := sleep(ctx, 200*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

// download gets the file from the first of the sources that gives it. Why the
// others did not is in the notes.
func (c client) download(ctx context.Context, sources []string, found *Found) error {
	var failed error
	for _, source := range sources {
		err := c.downloadFrom(ctx, found.Asset, source, found.Path)
		if err == nil || ctx.Err() != nil || isDisk(err) {
			return err // no other source would help
		}
		err = fmt.Errorf("%s did not give it: %w", source, err)
		found.Notes = append(found.Notes, err.Error())
		if failed != nil {
			err = fmt.Errorf("%w; %w", failed, err)
		}
		failed = err
	}
	return failed
}

// downloadFrom gets file from one source.
func (c client) downloadFrom(ctx context.Context, a Asset, source, file string) error {
	part := partial{file: file + partSuffix, from: file + fromSuffix}
	offset, _ := part.resumable(source)
	for {
		if err := c.get(ctx, a, source, part); err != nil {
			return err
		}
		err := a.verify(ctx, part.file, file+digestSuffix)
		if err == nil {
			return part.finish(a, file)
		}
		if ctx.Err() != nil {
			return err
		}
		if err := part.discard(); err != nil {
			return err
		}
		if offset == 0 {
			return fmt.Errorf("what came is not it: %w", err)
		}
		offset = 0 // What was there before may have been damaged, so get all of it anew.
	}
}

// verify checks that a file is the whole asset. If its digest is not publicly
// known, it is the one that recorded holds; if that is not there, the content counts.
func (a Asset) verify(ctx context.Context, file, recorded string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := a.checkSize(info.Size()); err != nil {
		return err
	}
	want := a.Digest
	if want == "" {
		line, err := os.ReadFile(recorded)
		if errors.Is(err, fs.ErrNotExist) {
			if a.check == nil {
				return nil
			}
			return a.check(ctx, f)
		}
		if err != nil {
			return err
		}
		hex, _, _ := strings.Cut(string(line), " ")
		want = "sha256:" + hex
	}
	kind, _, _ := strings.Cut(want, ":")
	got, err := digest(kind, f, info.Size())
	if err != nil {
		return err
	}
	if got != want {
		if a.Digest == "" {
			return fmt.Errorf("it has the digest %s, not %s as at the first download; if the source has changed, delete %s", got, want, recorded)
		}
		return fmt.Errorf("it has the digest %s, not %s", got, want)
	}
	return nil
}

// digest is the digest of the size bytes of r, in the form of [Asset].
func digest(kind string, r io.Reader, size int64) (string, error) {
	var h hash.Hash
	switch kind {
	case "sha256":
		h = sha256.New()
	case "git":
		h = sha1.New()
		fmt.Fprintf(h, "blob %d\x00", size)
	default:
		return "", fmt.Errorf("there is no kind of digest %q", kind)
	}
	if _, err := io.Copy(h, r); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s:%x", kind, h.Sum(nil)), nil
}

// partial is a download that is not finished.
type partial struct {
	file string // what has arrived
	from string // a file with the source and its validator, a line each
}

// resumable is how much of what a source has is here, and the validator, an ETag
// or a date, that the source must still have for the rest to fit. It is 0 if none.
func (p partial) resumable(source string) (offset int64, validator string) {
	text, err := os.ReadFile(p.from)
	if err != nil {
		return 0, ""
	}
	url, validator, _ := strings.Cut(strings.TrimSuffix(string(text), "\n"), "\n")
	info, err := os.Stat(p.file)
	if err != nil || url != source || validator == "" {
		return 0, ""
	}
	return info.Size(), validator
}

// open opens the part to write at offset, which is 0 or its end.
func (p partial) open(offset int64, source, validator string) (*os.File, error) {
	if offset > 0 {
		return os.OpenFile(p.file, os.O_WRONLY|os.O_APPEND, 0o644)
	}
	// Old bytes must never be taken for the new source's.
	f, err := os.OpenFile(p.file, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(p.from, []byte(source+"\n"+validator+"\n"), 0o644); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// discard makes the next download begin anew.
func (p partial) discard() error {
	for _, file := range []string{p.file, p.from} {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// finish gives the part, which is the verified asset, its name.
func (p partial) finish(a Asset, file string) error {
	f, err := os.OpenFile(p.file, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if a.Digest == "" {
		got, err := digest("sha256", f, info.Size())
		if err != nil {
			return err
		}
		line := fmt.Sprintf("%s  %s\n", strings.TrimPrefix(got, "sha256:"), a.ID)
		if err := rundir.WriteFile(file+digestSuffix, []byte(line)); err != nil {
			return err
		}
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(p.file, file); err != nil {
		return err
	}
	return p.discard()
}
