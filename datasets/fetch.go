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

	"github.com/ctnas/ctnas/ctnaslib/rundir"
)

// A download of FILE has beside it, until it is done:
//
//	FILE.part    what has arrived so far
//	FILE.locks   locked by the process at work, and gone with it, unless that was killed
//
// and for ever, if its digest is not publicly known, the one of the first download:
//
//	FILE.sha256  in the format of sha256sum
const (
	partSuffix   = ".part"
	lockSuffix   = ".locks"
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
	found := Found{Asset: a, Place: Given}
	if folder == "" {
		found.Place = Cache
		if folder, err = cacheDir(); err != nil {
			return Found{}, fmt.Errorf("datasets: cannot fetch %s: %w", a.ID, err)
		}
	}
	if found.Path, err = filepath.Abs(filepath.Join(folder, filepath.FromSlash(a.Path))); err != nil {
		return Found{}, fmt.Errorf("datasets: %w", err)
	}
	if err = a.verify(ctx, found.Path, found.Path); err != nil {
		sources, unusable := a.sources()
		if unusable != nil {
			return Found{}, unusable
		}
		err = c.fetchLocked(watched(ctx, a.ID, o.progress), sources, &found)
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

// sources returns the URLs to get an asset from.
func (a Asset) sources() ([]string, error) {
	text := os.Getenv(envMirror)
	if text == "" && a.Compiled {
		return nil, fmt.Errorf("datasets: %s cannot be fetched, as it was compiled from the files at %s; put it at %s in the folder of %s, or set %s to a mirror that has it",
			a.ID, a.URL, a.Path, envData, envMirror)
	}
	if text == "" {
		return []string{a.URL}, nil
	}
	mirror, err := url.Parse(text)
	if err != nil || mirror.Scheme != "http" && mirror.Scheme != "https" || mirror.Host == "" {
		return nil, fmt.Errorf("datasets: %s is %q; set it to the URL of a data folder, such as https://host/path", envMirror, text)
	}
	sources := []string{mirror.JoinPath(a.Path).String()}
	if !a.Compiled {
		sources = append(sources, a.URL)
	}
	return sources, nil
}

// fetchLocked waits until no other process fetches the file, and downloads it if it is
// not there then. What the other one has is reported as progress.
func (c client) fetchLocked(ctx context.Context, sources []string, found *Found) error {
	locks := found.Path + lockSuffix
	var lock *rundir.Lock
	for {
		err := os.MkdirAll(locks, 0o755)
		if err == nil {
			lock, err = rundir.LockFolder(locks)
		}
		if err == nil {
			break
		}
		if !errors.Is(err, rundir.ErrInUse) && !errors.Is(err, fs.ErrNotExist) { // which another process has just taken away
			return err
		}
		if info, err := os.Stat(found.Path + partSuffix); err == nil {
			report(ctx, Downloading, info.Size(), found.Asset.Size)
		}
		if err := sleep(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
	defer lock.Remove()
	err := found.Asset.verify(ctx, found.Path, found.Path)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			found.Notes = append(found.Notes, fmt.Sprintf("the file that was there is replaced: %v", err))
		}
		found.Place = Downloaded
		err = c.download(ctx, sources, found)
	}
	return err
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
	part := file + partSuffix
	for again := false; ; again = true {
		resumed, err := c.get(ctx, a, source, part)
		if err != nil {
			return err
		}
		if err = a.verify(ctx, part, file); err == nil {
			return a.finish(part, file)
		}
		if ctx.Err() != nil {
			return err
		}
		if err := os.Remove(part); err != nil {
			return err
		}
		if again || !resumed {
			return fmt.Errorf("what came is not it: %w", err)
		}
		// What was there before may have been damaged, or the source's file has changed on the way.
	}
}

// finish gives a part, which is the verified asset, its name.
func (a Asset) finish(part, file string) error {
	f, err := os.OpenFile(part, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	err = f.Sync()
	if a.Digest == "" && err == nil {
		var got string
		if got, err = digest("sha256", f, 0); err == nil {
			err = rundir.WriteFile(file+digestSuffix, fmt.Appendf(nil, "%s  %s\n", strings.TrimPrefix(got, "sha256:"), a.ID))
		}
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(part, file)
}

// verify checks that a file, which is to have a name, is the whole asset. If its digest
// is not publicly known, it is the one of the first download of that name; at the first
// one the content counts.
func (a Asset) verify(ctx context.Context, file, name string) error {
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
	want, advice := a.Digest, ""
	if want == "" {
		line, err := os.ReadFile(name + digestSuffix)
		switch {
		case errors.Is(err, fs.ErrNotExist) && a.check == nil:
			return nil
		case errors.Is(err, fs.ErrNotExist):
			return a.check(ctx, f)
		case err != nil:
			return err
		}
		hex, _, _ := strings.Cut(string(line), " ")
		want, advice = "sha256:"+hex, fmt.Sprintf(" as at the first download; if the source has changed, delete %s", name+digestSuffix)
	}
	kind, _, _ := strings.Cut(want, ":")
	got, err := digest(kind, f, info.Size())
	if err == nil && got != want {
		err = fmt.Errorf("it has the digest %s, not %s%s", got, want, advice)
	}
	return err
}

// digest returns the digest of r, which has so many bytes, in the form of [Asset].
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
