// Package nb is the notebook's side of the library: it shows what package report made and what a run is doing, in a
// GoNB cell, and does the same in a terminal as far as a terminal can. It is the only package that knows GoNB. What
// goes wrong ends the cell with one sentence, so that cells need no error handling: see [Must].
//
//	%%
//	table := nb.Must(datasets.OpenNASBench101(nb.Context(), "", nb.DataProgress()))
//	nb.Markdown("**%s**", table.Source().Description)
package nb

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"html"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/janpfeifer/gonb/gonbui"
	"github.com/janpfeifer/gonb/gonbui/protocol"

	"github.com/ctnas/ctnas/ctnaslib/report"
	"github.com/ctnas/ctnas/ctnaslib/train"
	"github.com/ctnas/ctnas/datasets"
)

// Must returns value, or ends the cell with the error's one sentence.
func Must[T any](value T, err error) T {
	Check(err)
	return value
}

// Check ends the cell with the error's one sentence, if there is an error.
func Check(err error) {
	if err == nil {
		return
	}
	gonbui.Sync()
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// Context is cancelled by the notebook's interrupt button, and by Ctrl-C in a terminal, so that a run stops cleanly
// and keeps its checkpoint. The second interrupt ends the process at once.
func Context() context.Context { return interrupted() }

var interrupted = sync.OnceValue(func() context.Context {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx
})

// Markdown shows formatted text; in a terminal, it prints it as it is.
func Markdown(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !gonbui.IsNotebook {
		fmt.Println(text)
		return
	}
	gonbui.DisplayMarkdown(text)
	gonbui.Sync()
}

// Table shows a table; in a terminal, it prints it as Markdown.
func Table(t report.Table) {
	if !gonbui.IsNotebook {
		fmt.Println(t.Markdown())
		return
	}
	gonbui.DisplayHTML(t.HTML())
	gonbui.Sync()
}

// Picture is a drawing with a caption under it.
type Picture struct {
	SVG, Caption string
}

// Pictures shows drawings side by side, smaller where they would be wider than the page. In a terminal it prints the captions.
func Pictures(pictures ...Picture) {
	Check(checkPictures(pictures))
	if !gonbui.IsNotebook {
		for _, p := range pictures {
			fmt.Printf("[picture] %s\n", p.Caption)
		}
		return
	}
	gonbui.DisplayHTML(row(pictures))
	gonbui.Sync()
}

// checkPictures names what cannot be shown.
func checkPictures(pictures []Picture) error {
	if len(pictures) == 0 {
		return errors.New("nb: there is no picture to show; give at least one")
	}
	for i, p := range pictures {
		if !strings.Contains(p.SVG, "<svg") {
			return fmt.Errorf("nb: picture %d (%q) is no drawing; its SVG should hold one, such as that of a cell's method SVG", i+1, p.Caption)
		}
	}
	return nil
}

// row returns the HTML of drawings side by side.
func row(pictures []Picture) string {
	var row strings.Builder
	row.WriteString(`<div style="display:flex;gap:24px;align-items:flex-end">`)
	for _, p := range pictures {
		fmt.Fprintf(&row, `<figure style="margin:0;min-width:0;text-align:center"><img style="max-width:100%%" src="data:image/svg+xml;base64,%s"><figcaption>%s</figcaption></figure>`,
			base64.StdEncoding.EncodeToString([]byte(p.SVG)), html.EscapeString(p.Caption))
	}
	row.WriteString(`</div>`)
	return row.String()
}

// Charts draws charts side by side, as one picture: see [report.PNG]. In a terminal it prints their titles.
func Charts(charts ...report.Chart) {
	picture := Must(report.PNG(charts...))
	if !gonbui.IsNotebook {
		for _, c := range charts {
			fmt.Printf("[picture] %s\n", c.Title)
		}
		return
	}
	gonbui.SendData(displayed(picture))
	gonbui.Sync()
}

// displayed returns what shows a PNG of [report.PNG] as wide as it is meant to be. Its types are those that GoNB can send.
func displayed(picture []byte) *protocol.DisplayData {
	return &protocol.DisplayData{
		Data:     map[protocol.MIMEType]any{protocol.MIMEImagePNG: picture},
		Metadata: map[string]any{string(protocol.MIMEImagePNG): map[string]int{"width": report.Width}},
	}
}

// Progress shows how far a run is, with the last values of its metrics and an estimate of the time left: as one line
// that changes in place in a notebook, as a line every ten seconds in a terminal. The stages of a run, such as the
// training of a comparator before a search, are shown in the same line under their names, also of several that are
// under way at a time. The steps of the run itself are called what. The watch is for one run at a time.
func Progress(what string) train.Watch {
	line := newLine()
	stages := make(map[string]*stage)
	return func(p train.Progress) {
		s := stages[p.Stage]
		if s == nil || p.Total != s.total || p.Done < s.done {
			s = &stage{total: p.Total, start: time.Now(), first: p.Done - 1, last: make(map[string]float64)}
			stages[p.Stage] = s
		}
		whole := p.Stage == "" && p.Done == p.Total // more comes after a stage
		line.show(cmp.Or(p.Stage, what)+" "+s.step(p), int64(p.Done), int64(p.Total), whole)
	}
}

// stage is a part of a run that is under way.
type stage struct {
	total, done int
	start       time.Time
	first       int                // steps that were done before this process
	last        map[string]float64 // of each metric
}

// step returns the text that a step adds to the name of its stage.
func (s *stage) step(p train.Progress) string {
	maps.Copy(s.last, p.Values)
	s.done = p.Done
	elapsed := time.Since(s.start)
	if p.Done == p.Total {
		return fmt.Sprintf("%d/%d in %s%s", p.Done, p.Total, elapsed.Round(time.Second), listed(s.last))
	}
	left := elapsed / time.Duration(p.Done-s.first) * time.Duration(p.Total-p.Done)
	return fmt.Sprintf("%d/%d, %s left%s", p.Done, p.Total, left.Round(time.Second), listed(s.last))
}

// DataProgress shows how far a download, or the first opening of a table, is.
func DataProgress() datasets.Option {
	lines := make(map[datasets.Step]*line)
	return datasets.OnProgress(func(p datasets.Progress) {
		if lines[p.Step] == nil {
			lines[p.Step] = newLine()
		}
		lines[p.Step].show(fmt.Sprintf("%s %s", p.Step, p.Name), p.Done, p.Total, p.Done == p.Total)
	})
}

// line is a line of progress that changes in place.
type line struct {
	id    string
	shown time.Time
}

func newLine() *line { return &line{id: gonbui.UniqueId()} }

// show shows the text, unless it did so a moment ago and this is not the last. The last text stays.
func (l *line) show(text string, done, total int64, last bool) {
	pause := 10 * time.Second
	if gonbui.IsNotebook {
		pause = 300 * time.Millisecond
	}
	if !last && time.Since(l.shown) < pause {
		return
	}
	l.shown = time.Now()
	switch {
	case !gonbui.IsNotebook:
		fmt.Fprintln(os.Stderr, text)
	case last:
		gonbui.UpdateHTML(l.id, "")
		gonbui.DisplayHTML("<code>" + html.EscapeString(text) + "</code>")
		gonbui.Sync()
	default:
		gonbui.UpdateHTML(l.id, fmt.Sprintf(`<progress value="%d" max="%d"></progress> <code>%s</code>`, done, total, html.EscapeString(text)))
	}
}

// listed writes values in the order of their names, such as ", loss 0.31, tau 0.7".
func listed(values map[string]float64) string {
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(values)) {
		fmt.Fprintf(&text, ", %s %.3g", strings.ReplaceAll(name, "_", " "), values[name])
	}
	return text.String()
}
