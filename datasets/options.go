package datasets

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"
)

// Option changes how data is looked for.
type Option func(*options)

type options struct {
	download bool
	progress func(Progress)
}

// AllowDownload lets data that is not on this machine be fetched into the user's
// cache. Without it, nothing is downloaded unless CTNAS_DOWNLOAD is 1.
func AllowDownload() Option { return func(o *options) { o.download = true } }

// OnProgress calls f, never twice at once, about ten times a second while a
// download, the first opening of a table or an export takes its time.
func OnProgress(f func(Progress)) Option { return func(o *options) { o.progress = f } }

// collect applies the options to what the environment says.
func collect(all []Option) (options, error) {
	var o options
	if text := os.Getenv(envDownload); text != "" {
		var err error
		if o.download, err = strconv.ParseBool(text); err != nil {
			return o, fmt.Errorf("datasets: %s is %q; set it to 1 to allow downloads, else to 0", envDownload, text)
		}
	}
	for _, option := range all {
		option(&o)
	}
	return o, nil
}

// Progress says how far a long step is.
type Progress struct {
	Step  Step
	Name  string // of what is worked on
	Done  int64  // bytes if downloading, else cells
	Total int64  // 0 if it is not known
}

// Step is a kind of work that takes time.
type Step string

// The steps.
const (
	Downloading Step = "downloading"
	Reading     Step = "reading"
	Verifying   Step = "verifying"
	Writing     Step = "writing"
)

// between is the shortest time from one report of a step to the next.
const between = 100 * time.Millisecond

// watch is in the context of work whose progress is followed.
type watch struct {
	name string
	tell func(Progress)

	mu   sync.Mutex
	step Step
	told time.Time
}

type watchKey struct{}

// watched is ctx for work on what is called name, of which f is told.
func watched(ctx context.Context, name string, f func(Progress)) context.Context {
	if f == nil {
		return ctx
	}
	return context.WithValue(ctx, watchKey{}, &watch{name: name, tell: f})
}

// report tells who watches about a step: its beginning, its end, and now and then
// what is between.
func report(ctx context.Context, step Step, done, total int64) {
	w, ok := ctx.Value(watchKey{}).(*watch)
	if !ok {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if now := time.Now(); step != w.step || done == total || now.Sub(w.told) >= between {
		w.step, w.told = step, now
		w.tell(Progress{step, w.name, done, total})
	}
}
