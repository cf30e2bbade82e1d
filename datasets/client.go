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
var network = client{
	http:  &http.Client{Transport: plain()},
	stall: time.Minute,
	pause: time.Second,
	tries: 5,
}

// plain is the standard transport, less the compression, under which a file's
// length and ranges would not be those of the file.
func plain() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DisableCompression = true
	return t
}

// passing is an error that may be gone at the next try.
type passing struct{ error }

func (e passing) Unwrap() error { return e.error }

// get brings a part to its full length. It tries again after errors that may
// pass, as long as it gets further.
func (c client) get(ctx context.Context, a Asset, source string, part partial) error {
	most, _ := part.resumable(source)
	for failures := 0; ; {
		err := c.try(ctx, a, source, part)
		if err == nil || ctx.Err() != nil || !errors.As(err, new(passing)) {
			return err
		}
		if now, _ := part.resumable(source); now > most {
			most, failures = now, 0
		}
		if failures++; failures >= c.tries {
			return fmt.Errorf("%w (the last of %d tries)", err, c.tries)
		}
		// Half to one and a half times the pause, so that a class does not knock in step.
		pause := c.pause << (failures - 1)
		if err := sleep(ctx, pause/2+rand.N(pause)); err != nil {
			return err
		}
	}
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
func (c client) try(ctx context.Context, a Asset, source string, part partial) error {
	stalled := fmt.Errorf("no byte came for %v", c.stall)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watchdog := time.AfterFunc(c.stall, func() { cancel(stalled) })
	defer watchdog.Stop()

	request, err := http.NewRequestWithContext(ctx, http.MethodGet, source, nil)
	if err != nil {
		return err
	}
	offset, validator := part.resumable(source)
	switch {
	case offset > 0 && offset == a.Size:
		return nil
	case offset > 0:
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
		request.Header.Set("If-Range", validator)
	}
	response, err := c.http.Do(request)
	if err != nil {
		var inner *url.Error
		if errors.As(err, &inner) {
			err = inner.Err // which does not repeat the URL
		}
		if context.Cause(ctx) == stalled {
			err = stalled
		}
		return passing{err}
	}
	defer response.Body.Close()

	total := response.ContentLength
	switch code := response.StatusCode; {
	case code == http.StatusOK:
		offset, validator = 0, validatorOf(response)
	case code == http.StatusPartialContent && offset > 0:
		var start int64
		start, total = contentRange(response)
		if start != offset || changed(response, validator) {
			return again(part, errors.New("the file has changed on the way"))
		}
	case code == http.StatusRequestedRangeNotSatisfiable && offset > 0:
		if _, total := contentRange(response); total == offset && !changed(response, validator) {
			return nil
		}
		return again(part, errors.New("the file has changed on the way"))
	case code >= 500 || code == http.StatusRequestTimeout || code == http.StatusTooManyRequests:
		return passing{errors.New(response.Status)}
	default:
		return errors.New(response.Status)
	}
	if total > 0 {
		if err := a.checkSize(total); err != nil {
			return err
		}
	} else {
		total = a.Size // or 0
	}

	file, err := part.open(offset, source, validator)
	if err != nil {
		return err
	}
	var body io.Reader = response.Body
	if total > 0 {
		body = io.LimitReader(body, total-offset+1) // one more shows that it is too long
	}
	err = copyTo(file, body, func(n int) {
		watchdog.Reset(c.stall)
		offset += int64(n)
		report(ctx, Downloading, offset, total)
	})
	if closing := file.Close(); err == nil {
		err = closing
	}
	switch {
	case context.Cause(ctx) == stalled:
		return passing{stalled}
	case err != nil:
		return err
	case total > 0 && offset < total:
		return passing{fmt.Errorf("it ended after %s of %s bytes", thousands(int(offset)), thousands(int(total)))}
	}
	return nil
}

// copyTo copies until the end of from. Errors of from may pass, those of to do not.
func copyTo(to *os.File, from io.Reader, moved func(n int)) error {
	buffer := make([]byte, 256<<10)
	for {
		n, readErr := from.Read(buffer)
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return err
			}
			moved(n)
		}
		if readErr == io.EOF {
			return nil
		}
		if readErr != nil {
			return passing{readErr}
		}
	}
}

// again makes the next try begin with nothing.
func again(part partial, why error) error {
	if err := part.discard(); err != nil {
		return err
	}
	return passing{why}
}

// validatorOf is what tells one version of a source's file from another: its ETag,
// else its date. Without either, or with a weak ETag alone, a download cannot resume.
func validatorOf(r *http.Response) string {
	if tag := r.Header.Get("ETag"); strings.HasPrefix(tag, `"`) {
		return tag
	}
	return r.Header.Get("Last-Modified")
}

// changed says whether the source says that its file is no longer the one with the
// validator. A server that understands If-Range has no need to.
func changed(r *http.Response, validator string) bool {
	now := r.Header.Get("Last-Modified")
	if strings.HasPrefix(validator, `"`) {
		now = r.Header.Get("ETag")
	}
	return now != "" && now != validator
}

// contentRange is where a part of a file starts, and the length of the whole file;
// -1 if they are not said.
func contentRange(r *http.Response) (start, total int64) {
	text := r.Header.Get("Content-Range")
	var end int64
	if _, err := fmt.Sscanf(text, "bytes %d-%d/%d", &start, &end, &total); err == nil {
		return start, total
	}
	if _, err := fmt.Sscanf(text, "bytes */%d", &total); err == nil {
		return -1, total
	}
	if _, err := fmt.Sscanf(text, "bytes %d-%d/", &start, &end); err == nil {
		return start, -1
	}
	return -1, -1
}
