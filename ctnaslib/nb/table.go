package nb

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/janpfeifer/gonb/gonbui"

	"github.com/ctnas/ctnas/ctnaslib/report"
)

// LiveTable shows a table that changes, again every so often, until look says that it is done or ctx is. In a terminal it
// prints the captions that differ, and the last table whole. The error is look's, and ctx's.
func LiveTable(ctx context.Context, every time.Duration, look func() (t report.Table, done bool, err error)) error {
	if look == nil || every <= 0 {
		return fmt.Errorf("nb: a table that changes needs a function that looks at it, and a time after which it looks again, not %v", every)
	}
	id, caption := gonbui.UniqueId(), ""
	for {
		t, done, err := look()
		switch {
		case err != nil:
			return err
		case done:
			if gonbui.IsNotebook {
				gonbui.UpdateHTML(id, "")
			}
			Table(t)
			return nil
		case gonbui.IsNotebook:
			gonbui.UpdateHTML(id, t.HTML())
		case t.Caption != caption:
			caption = t.Caption
			fmt.Fprintln(os.Stderr, caption)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("nb: stopped watching; what runs elsewhere goes on: %w", ctx.Err())
		case <-time.After(every):
		}
	}
}
