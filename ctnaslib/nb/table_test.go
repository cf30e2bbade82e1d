package nb

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ctnas/ctnas/ctnaslib/report"
)

// A table is looked at until it is done; what it says meanwhile is shown when it changes.
func TestLiveTable(t *testing.T) {
	looks := 0
	look := func() (report.Table, bool, error) {
		looks++
		return report.Table{Caption: fmt.Sprintf("%d finished", looks/3), Header: []string{"unit"}, Rows: [][]string{{"CTNAS"}}}, looks == 7, nil
	}
	var whole string
	said := printed(t, &os.Stderr, func() {
		whole = printed(t, &os.Stdout, func() {
			if err := LiveTable(t.Context(), time.Millisecond, look); err != nil {
				t.Error(err)
			}
		})
	})
	if said != "0 finished\n1 finished\n2 finished\n" || !strings.Contains(whole, "| CTNAS |") || strings.Count(whole, "unit") != 1 {
		t.Errorf("it said %q, and showed\n%s", said, whole)
	}
	wrong := errors.New("wrong")
	if err := LiveTable(t.Context(), time.Millisecond, func() (report.Table, bool, error) { return report.Table{}, false, wrong }); err != wrong {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := LiveTable(ctx, time.Hour, func() (report.Table, bool, error) { return report.Table{}, false, nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	for _, every := range []time.Duration{0, -time.Second} {
		if err := LiveTable(t.Context(), every, look); err == nil {
			t.Errorf("a table is looked at every %v", every)
		}
	}
	if err := LiveTable(t.Context(), time.Second, nil); err == nil {
		t.Error("nothing is looked at, without an error")
	}
}
