package datasets

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// client gets files over HTTP.
type client struct {
	http  *http.Client
	stall time.Duration // the longest wait for the next byte
	pause time.Duration // before the second try; each one after waits twice as long
	tries int           // how many in a row may get no further
}

// network is the client for the world outside.
var network = client{http: &http.Client{Transport: plain()}, stall: time.Minute, pause: time.Second, tries: 5}

// plain returns the standard transport, less the compression, under which a file's
// length and ranges would not be those of the file.
func plain() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DisableCompression = true
	return t
}

// passing is an error that may be gone at the next try.
type passing struct{ error }

func (e passing) Unwrap() error { return e.error }

// get brings a part of an asset to its full length. It tries again after errors that may
// pass, as long as it gets further. It says whether what was there before was kept.
func (c client) get(ctx context.Context, a Asset, source, part string) (resumed bool, err error) {
	most := a.resumable(part)
	for failures := 0; ; {
		resumed = resumed || a.resumable(part) > 0
		err := c.try(ctx, a, source, part)
		if err == nil || ctx.Err() != nil || !errors.As(err, new(passing)) {
			return resumed, err
		}
		if now := a.resumable(part); now > most {
			most, failures = now, 0
		}
		if failures++; failures >= c.tries {
			return resumed, fmt.Errorf("%w (the last of %d tries)", err, c.tries)
		}
		// Half to one and a half times the pause, so that a class does not knock in step.
		pause := c.pause << (failures - 1)
		if err := sleep(ctx, pause/2+rand.N(pause)); err != nil {
			return resumed, err
		}
	}
}

// resumable returns how much of an asset has arrived in a file. Whether it is of what the
// source has now, the digest tells when all is there; without one, nothing is kept.
func (a Asset) resumable(part string) int64 {
	info, err := os.Stat(part)
	if err != nil || a.Digest == "" && a.check == nil {
		return 0
	}
	return info.Size()
}

// sleep waits, unless ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// try makes one request for what a part lacks.
func (c client) try(ctx context.Context, a Asset, source, part string) (err error) {
	stalled := fmt.Errorf("no byte came for %v", c.stall)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watchdog := time.AfterFunc(c.stall, func() { cancel(stalled) })
	defer watchdog.Stop()
	defer func() {
		if err != nil && context.Cause(ctx) == stalled {
			err = passing{stalled}
		}
	}()
	start := a.resumable(part)
	if start > 0 && start == a.Size {
		return nil
	}
	response, err := c.ask(ctx, source, start)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	total, flags := response.ContentLength, os.O_TRUNC
	switch response.StatusCode {
	case http.StatusRequestedRangeNotSatisfiable:
		return nil // All is here, or what is here is of something else.
	case http.StatusPartialContent:
		_, text, _ := strings.Cut(response.Header.Get("Content-Range"), "/")
		total, _ = strconv.ParseInt(text, 10, 64)
		flags = os.O_APPEND
	default:
		start = 0
	}
	if total > 0 {
		if err := a.checkSize(total); err != nil {
			return err
		}
	} else {
		total = a.Size // or 0
	}
	file, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|flags, 0o644)
	if err != nil {
		return err
	}
	err = receive(file, response.Body, start, total, func(arrived int64) {
		watchdog.Reset(c.stall)
		report(ctx, Downloading, arrived, total)
	})
	return errors.Join(err, file.Close())
}

// ask asks a source for a file, or for the rest of it if so much of it is here. The
// response has what was asked for, or all of the file, or says that there is no more.
func (c client) ask(ctx context.Context, source string, start int64) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, source, nil)
	if err != nil {
		return nil, err
	}
	if start > 0 {
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-", start))
	}
	response, err := c.http.Do(request)
	if err != nil {
		if inner, ok := errors.AsType[*url.Error](err); ok {
			err = inner.Err // which does not repeat the URL
		}
		return nil, passing{err}
	}
	switch code := response.StatusCode; {
	case code == http.StatusOK, start > 0 && (code == http.StatusPartialContent || code == http.StatusRequestedRangeNotSatisfiable):
		return response, nil
	case code >= 500 || code == http.StatusRequestTimeout || code == http.StatusTooManyRequests:
		err = passing{errors.New(response.Status)}
	default:
		err = errors.New(response.Status)
	}
	response.Body.Close()
	return nil, err
}

// receive writes a body to a file of which so much is there already. The total is that of
// the whole file, or 0 if it is not known.
func receive(file *os.File, body io.Reader, start, total int64, arrived func(int64)) error {
	body = counted{body, func(n int) {
		start += int64(n)
		arrived(start)
	}}
	if total > 0 {
		body = io.LimitReader(body, total-start+1) // one more shows that it is too long
	}
	_, err := io.Copy(file, body)
	if err == nil && start < total {
		err = fmt.Errorf("it ended after %s of %s bytes", thousands(int(start)), thousands(int(total)))
	}
	if err != nil && !isDisk(err) {
		err = passing{err}
	}
	return err
}

// counted says how much was read of a reader.
type counted struct {
	io.Reader
	moved func(n int)
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.moved(n)
	return n, err
}
