package datasets

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// impatient is a client that gives up soon.
var impatient = client{http: &http.Client{Transport: plain()}, stall: 5 * time.Second, pause: time.Millisecond, tries: 4}

// payload is a file of a megabyte; another seed, another file.
func payload(seed byte) []byte {
	data := make([]byte, 1<<20)
	rand.NewChaCha8([32]byte{seed}).Read(data)
	return data
}

// assetOn is an asset that a server has, with publicly known size and digest.
func assetOn(s *server, data []byte) Asset {
	return Asset{
		ID: "file.bin", About: "A test.", Path: "test/file.bin", URL: s.URL + "/official/file.bin",
		Size: int64(len(data)), Digest: fmt.Sprintf("sha256:%x", sha256.Sum256(data)),
	}
}

// server serves a file, and its fault may spoil a response.
type server struct {
	*httptest.Server
	fault func(w *answer, r *http.Request) (done bool)

	mu     sync.Mutex
	ranges []string // of all requests
	bytes  atomic.Int64
	data   []byte
	etag   string
}

func serve(t *testing.T, data []byte, fault func(*answer, *http.Request) bool) *server {
	t.Helper()
	s := &server{data: data, etag: `"1"`, fault: fault}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.ranges = append(s.ranges, r.Header.Get("Range"))
	a := &answer{ResponseWriter: w, s: s, number: len(s.ranges), left: -1}
	data, etag := s.data, s.etag
	s.mu.Unlock()
	if etag != "" {
		w.Header().Set("ETag", etag)
	}
	if s.fault != nil && s.fault(a, r) {
		return
	}
	http.ServeContent(a, r, "", time.Time{}, bytes.NewReader(data))
}

// requests are the Range headers of the requests so far.
func (s *server) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.ranges...)
}

// answer counts what is sent, and breaks the connection when left has been.
type answer struct {
	http.ResponseWriter
	s      *server
	number int // of the request, from 1
	left   int
	slow   time.Duration // after each 64 KB
}

func (a *answer) Write(data []byte) (int, error) {
	sent := 0
	for len(data) > 0 {
		n := min(len(data), 64<<10)
		if a.left >= 0 {
			n = min(n, a.left)
			a.left -= n
		}
		if _, err := a.ResponseWriter.Write(data[:n]); err != nil {
			return sent, err
		}
		a.ResponseWriter.(http.Flusher).Flush()
		a.s.bytes.Add(int64(n))
		sent, data = sent+n, data[n:]
		if a.left == 0 {
			panic(http.ErrAbortHandler)
		}
		time.Sleep(a.slow)
	}
	return sent, nil
}

// cut breaks the first n answers off after about a third.
func cut(n int) func(*answer, *http.Request) bool {
	return func(w *answer, _ *http.Request) bool {
		if w.number <= n {
			w.left = 350_000
		}
		return false
	}
}

// fail answers the first n requests with a status.
func fail(n, status int) func(*answer, *http.Request) bool {
	return func(w *answer, _ *http.Request) bool {
		if w.number <= n {
			http.Error(w.ResponseWriter, "no", status)
		}
		return w.number <= n
	}
}

// wantFile checks that the asset is there, and nothing else is.
func wantFile(t *testing.T, folder string, a Asset, data []byte, others ...string) {
	t.Helper()
	if got := content(t, filepath.Join(folder, a.Path)); !bytes.Equal(got, data) {
		t.Errorf("the file has %d bytes that are not those of the server", len(got))
	}
	wantNames(t, folder, append(others, a.ID)...)
}

// wantNames checks which files the folder of the test's asset has.
func wantNames(t *testing.T, folder string, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(folder, "test"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{}
	for _, name := range names {
		want[name] = true
	}
	for _, e := range entries {
		if !want[e.Name()] {
			t.Errorf("there is a file %s", e.Name())
		}
		delete(want, e.Name())
	}
	if len(want) > 0 {
		t.Errorf("there is no %v", want)
	}
}

// resumed checks that the last request asked for the rest of the file, and that
// nothing was sent twice but what got lost when a connection broke.
func resumed(t *testing.T, s *server) {
	t.Helper()
	ranges := s.requests()
	if last := ranges[len(ranges)-1]; !strings.HasPrefix(last, "bytes=") || last == "bytes=0-" {
		t.Errorf("requests with the ranges %q", ranges)
	}
	if sent, size := s.bytes.Load(), int64(len(s.data)); sent > size+size/2 {
		t.Errorf("%d bytes were sent for a file of %d", sent, size)
	}
}

// Faults after which the file arrives all the same.
func TestFetchRecovers(t *testing.T) {
	data := payload(1)
	for name, c := range map[string]struct {
		fault  func(*answer, *http.Request) bool
		resume bool
		most   int // requests
	}{
		"no fault":          {fault: nil, most: 1},
		"cut off":           {fault: cut(1), resume: true, most: 2},
		"cut off twice":     {fault: cut(2), resume: true, most: 3},
		"500":               {fault: fail(2, 500), most: 3},
		"503":               {fault: fail(1, 503), most: 2},
		"too many requests": {fault: fail(3, 429), most: 4},
		"connection refused, as it were": {most: 2, fault: func(w *answer, _ *http.Request) bool {
			if w.number == 1 {
				panic(http.ErrAbortHandler)
			}
			return false
		}},
		"range ignored": {most: 2, fault: func(w *answer, r *http.Request) bool {
			r.Header.Del("Range")
			return cut(1)(w, r)
		}},
		"range not satisfiable": {most: 3, fault: func(w *answer, r *http.Request) bool {
			if w.number == 2 {
				w.Header().Set("Content-Range", "bytes */7")
				http.Error(w.ResponseWriter, "no", http.StatusRequestedRangeNotSatisfiable)
				return true
			}
			return cut(1)(w, r)
		}},
		"range not satisfiable, for no reason": {most: 3, fault: func(w *answer, r *http.Request) bool {
			return cut(1)(w, r) || w.number == 2 && fail(2, 416)(w, r)
		}},
		"another range": {most: 3, fault: func(w *answer, r *http.Request) bool {
			if w.number == 2 {
				r.Header.Set("Range", "bytes=5-")
			}
			return cut(1)(w, r)
		}},
		"less than the range": {resume: true, most: 3, fault: func(w *answer, r *http.Request) bool {
			if w.number == 2 {
				r.Header.Set("Range", r.Header.Get("Range")+"800000")
			}
			return cut(1)(w, r)
		}},
		"no validator": {most: 2, fault: func(w *answer, r *http.Request) bool {
			w.Header().Del("ETag")
			return cut(1)(w, r)
		}},
		"weak validator": {most: 2, fault: func(w *answer, r *http.Request) bool {
			w.Header().Set("ETag", `W/"1"`)
			return cut(1)(w, r)
		}},
		"a date for a validator": {resume: true, most: 2, fault: func(w *answer, r *http.Request) bool {
			w.Header().Del("ETag")
			cut(1)(w, r)
			http.ServeContent(w, r, "", time.Unix(1e9, 0), bytes.NewReader(data))
			return true
		}},
		"redirect": {resume: true, most: 4, fault: func(w *answer, r *http.Request) bool {
			if strings.HasPrefix(r.URL.Path, "/official") {
				http.Redirect(w.ResponseWriter, r, "/moved", http.StatusFound)
				return true
			}
			return cut(2)(w, r)
		}},
		"no length": {most: 1, fault: func(w *answer, _ *http.Request) bool {
			w.Write(data)
			return true
		}},
		"no length, and cut off": {most: 2, fault: func(w *answer, r *http.Request) bool {
			if w.number == 1 {
				w.Write(data[:300_000])
			}
			return w.number == 1
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, folder := serve(t, data, c.fault), t.TempDir()
			a := assetOn(s, data)
			found, err := impatient.fetch(t.Context(), a, folder)
			if err != nil {
				t.Fatal(err)
			}
			if found.Place != Downloaded || found.Path != filepath.Join(folder, a.Path) || len(found.Notes) != 0 {
				t.Errorf("found %+v", found)
			}
			wantFile(t, folder, a, data)
			if n := len(s.requests()); n > c.most {
				t.Errorf("%d requests, want at most %d", n, c.most)
			}
			if c.resume {
				resumed(t, s)
			}
			requests := len(s.requests())
			if found, err := impatient.fetch(t.Context(), a, folder); err != nil || found.Place != Given || len(s.requests()) != requests {
				t.Errorf("the second time %+v, %v after %d requests", found, err, len(s.requests())-requests)
			}
		})
	}
}

// A server that says nothing for a while is asked again.
func TestFetchStalled(t *testing.T) {
	data, folder := payload(2), t.TempDir()
	s := serve(t, data, func(w *answer, r *http.Request) bool {
		if w.number > 2 {
			return false
		}
		if w.number == 2 {
			w.Header().Set("Content-Length", fmt.Sprint(len(data)))
			w.Write(data[:400_000])
		}
		<-r.Context().Done()
		return true
	})
	hasty := impatient
	hasty.stall, hasty.tries = 200*time.Millisecond, 20
	a := assetOn(s, data)
	if _, err := hasty.fetch(t.Context(), a, folder); err != nil {
		t.Fatal(err)
	}
	wantFile(t, folder, a, data)
	resumed(t, s)
}

// The file changes on the server after the first try, under a server that knows
// If-Range and one that does not.
func TestFetchChanged(t *testing.T) {
	for _, knows := range []bool{true, false} {
		before, after, folder := payload(3), payload(4), t.TempDir()
		var s *server
		s = serve(t, before, func(w *answer, r *http.Request) bool {
			if w.number == 2 && !knows {
				r.Header.Del("If-Range")
			}
			cut(1)(w, r)
			s.mu.Lock()
			s.data, s.etag = after, `"2"`
			s.mu.Unlock()
			return false
		})
		a := assetOn(s, after)
		if _, err := impatient.fetch(t.Context(), a, folder); err != nil {
			t.Fatal(err)
		}
		wantFile(t, folder, a, after)
	}
}

// Faults that end in an error of one sentence, leave nothing that looks whole, and
// are over when the server is well again.
func TestFetchFails(t *testing.T) {
	data := payload(5)
	for name, c := range map[string]struct {
		fault    func(*answer, *http.Request) bool
		requests int
		want     []string
		part     bool // what came stays for the next time
	}{
		"always 500": {fault: fail(99, 500), requests: 4, want: []string{"500 Internal Server Error", "of 4 tries", "try again"}},
		"404":        {fault: fail(99, 404), requests: 1, want: []string{"404 Not Found"}},
		"403":        {fault: fail(99, 403), requests: 1, want: []string{"403 Forbidden"}},
		"206 unasked": {requests: 1, want: []string{"206"}, fault: func(w *answer, r *http.Request) bool {
			r.Header.Set("Range", "bytes=0-9")
			return false
		}},
		"always cut off at the same place": {requests: 4, want: []string{"unexpected EOF", "of 4 tries"}, part: true, fault: func(w *answer, r *http.Request) bool {
			r.Header.Del("Range")
			return cut(99)(w, r)
		}},
		"another length": {requests: 1, want: []string{"it has 5 bytes, not 1,048,576"}, fault: func(w *answer, _ *http.Request) bool {
			w.Header().Set("Content-Length", "5")
			w.Write([]byte("hello"))
			return true
		}},
		"endless": {requests: 1, want: []string{"1,048,577 bytes, not 1,048,576"}, fault: func(w *answer, _ *http.Request) bool {
			for range 20 {
				w.Write(data)
			}
			return true
		}},
		"another file, and cut off": {requests: 4, want: []string{"what came is not it", "it has the digest sha256:"}, fault: func(w *answer, r *http.Request) bool {
			if w.number%2 == 1 {
				w.left = 350_000
			}
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(payload(6)))
			return true
		}},
		"another file": {requests: 1, want: []string{"what came is not it", "it has the digest sha256:"}, fault: func(w *answer, _ *http.Request) bool {
			w.Write(payload(6))
			return true
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, folder := serve(t, data, c.fault), t.TempDir()
			a := assetOn(s, data)
			_, err := impatient.fetch(t.Context(), a, folder)
			wantError(t, err, append(c.want, a.URL, filepath.Join(folder, a.Path))...)
			if n := len(s.requests()); n != c.requests {
				t.Errorf("%d requests, want %d", n, c.requests)
			}
			var left []string
			if c.part {
				left = append(left, "file.bin.part")
			}
			wantNames(t, folder, left...)
			s.fault = nil
			if _, err := impatient.fetch(t.Context(), a, folder); err != nil {
				t.Fatal(err)
			}
			wantFile(t, folder, a, data)
		})
	}
}

func TestFetchNoServer(t *testing.T) {
	s := serve(t, nil, nil)
	a := assetOn(s, payload(1))
	s.Close()
	_, err := impatient.fetch(t.Context(), a, t.TempDir())
	wantError(t, err, a.URL, "refused", "of 4 tries")
}

// Without a publicly known digest, the content counts the first time, and the
// digest of that time after.
func TestFetchUnknownDigest(t *testing.T) {
	data, folder := payload(7), t.TempDir()
	s := serve(t, data, nil)
	a := Asset{ID: "file.bin", Path: "test/file.bin", URL: s.URL, check: func(_ context.Context, r io.Reader) error {
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, data) {
			return errors.New("this is of another benchmark")
		}
		return nil
	}}
	s.data = payload(8)
	_, err := impatient.fetch(t.Context(), a, folder)
	wantError(t, err, "what came is not it: this is of another benchmark")
	wantNames(t, folder)

	s.data = data
	if _, err := impatient.fetch(t.Context(), a, folder); err != nil {
		t.Fatal(err)
	}
	wantFile(t, folder, a, data, "file.bin.sha256")
	recorded := filepath.Join(folder, "test", "file.bin.sha256")
	if want := fmt.Sprintf("%x  file.bin\n", sha256.Sum256(data)); string(content(t, recorded)) != want {
		t.Errorf("recorded %q, want %q", content(t, recorded), want)
	}

	// A damaged file is replaced, but not by another one.
	damage(t, filepath.Join(folder, a.Path))
	found, err := impatient.fetch(t.Context(), a, folder)
	if err != nil || found.Place != Downloaded || len(found.Notes) != 1 || !strings.Contains(found.Notes[0], "replaced: it has the digest") {
		t.Errorf("found %+v, %v; want a new download and a note", found, err)
	}
	wantFile(t, folder, a, data, "file.bin.sha256")
	damage(t, filepath.Join(folder, a.Path))
	s.data = payload(8)
	_, err = impatient.fetch(t.Context(), a, folder)
	wantError(t, err, "as at the first download", "delete "+recorded)
}

// All had arrived when the process ended.
func TestFetchAlreadyComplete(t *testing.T) {
	data, folder := payload(9), t.TempDir()
	s := serve(t, data, nil)
	for _, size := range []int64{0, int64(len(data))} {
		a := assetOn(s, data)
		a.Size = size
		leave(t, folder, a, data)
		if _, err := impatient.fetch(t.Context(), a, folder); err != nil {
			t.Fatal(err)
		}
		wantFile(t, folder, a, data)
		if s.bytes.Load() > 100 {
			t.Errorf("%d bytes were sent", s.bytes.Load())
		}
		os.Remove(filepath.Join(folder, a.Path))
	}
}

// leave leaves a part as an earlier process would.
func leave(t *testing.T, folder string, a Asset, data []byte) {
	t.Helper()
	part := filepath.Join(folder, a.Path) + partSuffix
	if err := os.MkdirAll(filepath.Dir(part), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(part, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// A part that was damaged, say by a power failure, costs time but nothing else.
func TestFetchDamagedPart(t *testing.T) {
	data := payload(10)
	for name, part := range map[string][]byte{
		"zeros":    make([]byte, 500_000),
		"complete": make([]byte, len(data)),
		"too long": make([]byte, len(data)+9),
		"empty":    {},
	} {
		s, folder := serve(t, data, nil), t.TempDir()
		a := assetOn(s, data)
		leave(t, folder, a, part)
		if _, err := impatient.fetch(t.Context(), a, folder); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		wantFile(t, folder, a, data)
	}
}

func TestFetchInterrupted(t *testing.T) {
	data, folder := payload(11), t.TempDir()
	s := serve(t, data, func(w *answer, _ *http.Request) bool {
		w.slow = 10 * time.Millisecond
		return false
	})
	a := assetOn(s, data)
	ctx, cancel := context.WithCancel(t.Context())
	var steps []Progress
	start := time.Now()
	_, err := impatient.fetch(ctx, a, folder, OnProgress(func(p Progress) {
		if steps = append(steps, p); p.Done > 0 {
			cancel()
		}
	}))
	wantError(t, err, "stopped fetching file.bin", "to continue")
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v is not that of the context", err)
	}
	wantNames(t, folder, "file.bin.part")
	if _, err := impatient.fetch(t.Context(), a, folder, OnProgress(func(p Progress) { steps = append(steps, p) })); err != nil {
		t.Fatal(err)
	}
	wantFile(t, folder, a, data)
	resumed(t, s)

	for i, p := range steps {
		if p.Step != Downloading || p.Name != a.ID || p.Total != a.Size || i > 0 && p.Done < steps[i-1].Done {
			t.Errorf("progress %+v", p)
		}
	}
	if last, most := steps[len(steps)-1], 4+int(time.Since(start)/between); last.Done != a.Size || len(steps) > most {
		t.Errorf("the last of %d steps is %+v", len(steps), last)
	}
}

func TestFetchMirror(t *testing.T) {
	data, folder := payload(12), t.TempDir()
	s := serve(t, data, func(w *answer, r *http.Request) bool {
		if !strings.HasPrefix(r.URL.Path, "/official/") && r.URL.Path != "/mirror/test/file.bin" {
			return fail(99, 404)(w, r)
		}
		return false
	})
	a := assetOn(s, data)
	good := a.URL
	a.URL = s.URL + "/gone"
	for _, slash := range []string{"", "/"} {
		t.Setenv(envMirror, s.URL+"/mirror"+slash)
		if found, err := impatient.fetch(t.Context(), a, folder+"/1"+slash); err != nil || len(found.Notes) != 0 {
			t.Errorf("found %+v, %v", found, err)
		}
	}
	wantFile(t, folder+"/1", a, data)

	t.Setenv(envMirror, s.URL+"/wrong")
	_, err := impatient.fetch(t.Context(), a, folder+"/2")
	wantError(t, err, s.URL+"/wrong/test/file.bin did not give it: 404 Not Found; ", s.URL+"/gone did not give it: 404")

	a.URL = good
	found, err := impatient.fetch(t.Context(), a, folder+"/2")
	if err != nil || len(found.Notes) != 1 || !strings.Contains(found.Notes[0], "/wrong/test/file.bin did not give it: 404") {
		t.Errorf("found %+v, %v; want it with a note about the mirror", found, err)
	}
	wantFile(t, folder+"/2", a, data)

	for _, wrong := range []string{"host/path", "ftp://host/path", "http://", ":"} {
		t.Setenv(envMirror, wrong)
		_, err := impatient.fetch(t.Context(), a, t.TempDir())
		wantError(t, err, envMirror, fmt.Sprintf("%q", wrong), "https://host/path")
	}
}

// What was compiled from several files is fetched from a mirror or not at all, and is found unpacked, too.
func TestFetchCompiled(t *testing.T) {
	cache := tempCache(t)
	t.Setenv(envData, "")
	t.Setenv(envDownload, "1")
	data, folder := payload(12), t.TempDir()
	s := serve(t, data, func(w *answer, r *http.Request) bool {
		if r.URL.Path != "/mirror/test/file.csv.gz" {
			return fail(99, 404)(w, r)
		}
		return false
	})
	a := Asset{ID: "file.csv.gz", Path: "test/file.csv.gz", URL: s.URL + "/folder", Compiled: true}
	replaceAsset(t, a)
	t.Setenv(envMirror, "")
	_, err := impatient.fetch(t.Context(), a, folder)
	wantError(t, err, "file.csv.gz cannot be fetched, as it was compiled from the files at "+a.URL, "put it at test/file.csv.gz", envData, envMirror)
	_, err = Find(t.Context(), a.ID, "")
	wantError(t, err, "no data found", "compiled from the files at "+a.URL)
	if !errors.Is(err, ErrNoData) || len(s.requests()) != 0 {
		t.Errorf("error %v after %d requests, want ErrNoData and none", err, len(s.requests()))
	}
	t.Setenv(envMirror, s.URL+"/mirror")
	if found, err := Find(t.Context(), a.ID, ""); err != nil || found.Place != Downloaded {
		t.Errorf("found %+v, %v", found, err)
	}
	if got, err := os.ReadFile(filepath.Join(cache, a.Path)); err != nil || !bytes.Equal(got, data) {
		t.Errorf("what was fetched has %d bytes, want %d (%v)", len(got), len(data), err)
	}
	t.Setenv(envMirror, s.URL+"/wrong")
	_, err = impatient.fetch(t.Context(), a, folder)
	wantError(t, err, "/wrong/test/file.csv.gz did not give it: 404")
	if strings.Contains(err.Error(), a.URL) {
		t.Errorf("it was looked for where it is not: %v", err)
	}

	plain := filepath.Join(folder, "test", "file.csv")
	if err := os.WriteFile(plain, []byte("a,b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, given := range []string{folder, filepath.Dir(plain), plain} {
		if found, err := Lookup(a.ID, given); err != nil || found.Path != plain {
			t.Errorf("in %s there is %+v, %v", given, found, err)
		}
	}
}

func TestFetchFullDisk(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("there is no /dev/full")
	}
	data, folder := payload(13), t.TempDir()
	s := serve(t, data, nil)
	a := assetOn(s, data)
	part := filepath.Join(folder, a.Path) + partSuffix
	if err := os.MkdirAll(filepath.Dir(part), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/full", part); err != nil {
		t.Fatal(err)
	}
	_, err := impatient.fetch(t.Context(), a, folder)
	wantError(t, err, "cannot fetch file.bin", "the disk of "+folder+" is full", "make room")
	if !errors.Is(err, syscall.ENOSPC) || len(s.requests()) != 1 {
		t.Errorf("error %v after %d requests", err, len(s.requests()))
	}
	if err := os.Remove(part); err != nil {
		t.Fatal(err)
	}
	if _, err := impatient.fetch(t.Context(), a, folder); err != nil {
		t.Fatal(err)
	}
	wantFile(t, folder, a, data)
}

func TestFetchReadOnly(t *testing.T) {
	data := payload(14)
	s := serve(t, data, nil)
	a := assetOn(s, data)
	// A file where the folder should be stops even root.
	file := write(t, "file", nil)
	_, err := impatient.fetch(t.Context(), a, filepath.Join(file, "cache"))
	wantError(t, err, "cannot be written", file, envCache)

	folder := t.TempDir()
	if _, err := impatient.fetch(t.Context(), a, folder); err != nil {
		t.Fatal(err)
	}
	os.Chmod(filepath.Join(folder, "test"), 0o555)
	defer os.Chmod(filepath.Join(folder, "test"), 0o755)
	if found, err := impatient.fetch(t.Context(), a, folder); err != nil || found.Place != Given {
		t.Errorf("found %+v, %v in a folder that cannot be written but has it", found, err)
	}
	if os.Geteuid() != 0 {
		a.ID, a.Path = "other.bin", "test/other.bin"
		_, err := impatient.fetch(t.Context(), a, folder)
		wantError(t, err, "cannot be written", folder)
	}
}

func TestFetchTwoAtOnce(t *testing.T) {
	data, folder := payload(15), t.TempDir()
	s := serve(t, data, func(w *answer, _ *http.Request) bool {
		w.slow = 20 * time.Millisecond
		return false
	})
	a := assetOn(s, data)
	var waiting atomic.Int64
	var group sync.WaitGroup
	for range 3 {
		group.Go(func() {
			found, err := impatient.fetch(t.Context(), a, folder, OnProgress(func(Progress) {}))
			if err != nil {
				t.Error(err)
			}
			if found.Place == Given {
				waiting.Add(1)
			}
		})
	}
	group.Wait()
	wantFile(t, folder, a, data)
	if waiting.Load() != 2 || len(s.requests()) != 1 {
		t.Errorf("%d waited, %d requests; want 2 and 1", waiting.Load(), len(s.requests()))
	}
}

// With these variables, TestFetchChild is another process that fetches.
const (
	childURL    = "CTNAS_TEST_URL"
	childDigest = "CTNAS_TEST_DIGEST"
	childFolder = "CTNAS_TEST_FOLDER"
)

func TestFetchChild(t *testing.T) {
	if os.Getenv(childURL) == "" {
		t.Skip("for the tests that start processes")
	}
	a := Asset{ID: "file.bin", Path: "test/file.bin", URL: os.Getenv(childURL), Digest: os.Getenv(childDigest)}
	if _, err := impatient.fetch(t.Context(), a, os.Getenv(childFolder)); err != nil {
		t.Fatal(err)
	}
}

// child starts another process that fetches.
func child(t *testing.T, a Asset, folder string) *exec.Cmd {
	t.Helper()
	command := exec.Command(os.Args[0], "-test.run=^TestFetchChild$")
	command.Env = append(os.Environ(), childURL+"="+a.URL, childDigest+"="+a.Digest, childFolder+"="+folder)
	command.Stdout = t.Output()
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	return command
}

func TestFetchTwoProcesses(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	data, folder := payload(16), t.TempDir()
	s := serve(t, data, func(w *answer, _ *http.Request) bool {
		w.slow = 30 * time.Millisecond
		return false
	})
	a := assetOn(s, data)
	first, second := child(t, a, folder), child(t, a, folder)
	if err := errors.Join(first.Wait(), second.Wait()); err != nil {
		t.Fatal(err)
	}
	wantFile(t, folder, a, data)
	if n := len(s.requests()); n != 1 {
		t.Errorf("%d requests, want one", n)
	}
}

func TestFetchKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	data, folder := payload(17), t.TempDir()
	part := filepath.Join(folder, "test", "file.bin.part")
	s := serve(t, data, func(w *answer, _ *http.Request) bool {
		if w.number <= 2 {
			w.slow = 100 * time.Millisecond
		}
		return false
	})
	a := assetOn(s, data)
	had := int64(0)
	for range 2 {
		process := child(t, a, folder)
		for {
			if info, err := os.Stat(part); err == nil && info.Size() > had+150_000 {
				had = info.Size()
				break
			}
			if _, err := os.Stat(filepath.Join(folder, a.Path)); err == nil {
				t.Fatal("the process was too fast to be killed")
			}
			time.Sleep(5 * time.Millisecond)
		}
		process.Process.Kill()
		process.Wait()
	}
	if _, err := os.Stat(filepath.Join(folder, a.Path)); err == nil {
		t.Error("half a file has the name of the whole one")
	}
	if _, err := impatient.fetch(t.Context(), a, folder); err != nil {
		t.Fatal(err)
	}
	wantFile(t, folder, a, data)
	resumed(t, s)
}

// Of a file whose content nothing can tell, no part is continued that may be of another one.
func TestFetchNothingToVerify(t *testing.T) {
	data, folder := payload(18), t.TempDir()
	s := serve(t, data, cut(1))
	a := assetOn(s, data)
	a.Digest = ""
	leave(t, folder, a, payload(19)[:500_000])
	if _, err := impatient.fetch(t.Context(), a, folder); err != nil {
		t.Fatal(err)
	}
	wantFile(t, folder, a, data, "file.bin.sha256")
	for _, r := range s.requests() {
		if r != "" {
			t.Errorf("the range %s was asked for", r)
		}
	}
}
