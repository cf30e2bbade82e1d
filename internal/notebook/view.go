package notebook

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/ctnas/ctnas/internal/install"
)

// event is what the driver says; the last one tells how the run ended.
type event struct {
	Event   string
	Cell    int // counts the code cells that are not empty, from 1, as the kernel does
	Cells   int
	Stream  string
	Text    string
	Bytes   int
	Seconds float64
}

// view shows the driver's events to the reader.
type view struct {
	out     io.Writer
	timeout time.Duration
	last    event           // the cell that is or was running
	line    strings.Builder // the output line that is not complete
	stderr  tail            // of this cell
	output  bool            // this cell has shown something
	shown   time.Time       // when it last did
	seconds []float64       // of each cell
	end     *event          // how the run ended
}

// tail is the end of a text that may be long.
type tail []byte

func (t *tail) add(text string) {
	const enough = 1 << 20
	*t = append(*t, text...)
	if len(*t) > 2*enough {
		*t = bytes.Clone((*t)[len(*t)-enough:])
	}
}

// read shows events until the driver closes its output.
func (v *view) read(events io.Reader) error {
	in := bufio.NewReader(events)
	for {
		line, err := in.ReadBytes('\n')
		if len(bytes.TrimSpace(line)) > 0 {
			var e event
			if err := json.Unmarshal(line, &e); err != nil {
				return fmt.Errorf("the driver said %q: %w", line, err)
			}
			v.show(e)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (v *view) show(e event) {
	switch e.Event {
	case "cell":
		v.last, v.output, v.shown, v.stderr = e, false, time.Now(), nil
		fmt.Fprintf(v.out, "[%*d/%d] %s", len(strconv.Itoa(e.Cells)), e.Cell, e.Cells, title(e.Text))
	case "text":
		if e.Stream == "stderr" {
			v.stderr.add(e.Text)
		}
		for _, r := range e.Text {
			v.rune(r)
		}
	case "figure":
		v.flush()
		v.print(fmt.Sprintf("(%s, %d bytes)", e.Text, e.Bytes))
	case "cut":
		v.flush()
		v.print("(" + e.Text + ")")
	case "time":
		v.seconds = append(v.seconds, e.Seconds)
		v.flush()
		if v.output {
			fmt.Fprintf(v.out, "    ")
		}
		fmt.Fprintf(v.out, "  %.1f s\n", e.Seconds)
	default:
		v.end = &e
	}
}

// rune takes the output apart into lines. A carriage return starts the line
// again; of a progress bar drawn that way only a line every ten seconds is shown.
func (v *view) rune(r rune) {
	switch r {
	case '\n', '\r':
		if r == '\n' || time.Since(v.shown) > 10*time.Second {
			v.print(v.line.String())
		}
		v.line.Reset()
	default:
		v.line.WriteRune(r)
	}
}

func (v *view) flush() {
	if v.line.Len() > 0 {
		v.rune('\n')
	}
}

func (v *view) print(line string) {
	if !v.output {
		fmt.Fprintln(v.out)
		v.output = true
	}
	fmt.Fprintf(v.out, "      %s\n", line)
	v.shown = time.Now()
}

// title returns the line of a cell that says best what it does: its first, leaving
// out the kernel's commands and the imports.
func title(source string) string {
	imports := false
	best := ""
	for line := range strings.Lines(source) {
		line = strings.TrimSpace(line)
		if imports {
			imports = line != ")"
			continue
		}
		if imports = line == "import ("; imports || line == "" {
			continue
		}
		if best == "" {
			best = line
		}
		if !strings.HasPrefix(line, "%") && !strings.HasPrefix(line, "import ") {
			best = line
			break
		}
	}
	best = strings.TrimSpace(strings.TrimPrefix(best, "//"))
	if r := []rune(best); len(r) > 72 {
		best = string(r[:71]) + "…"
	}
	return best
}

var (
	// GoNB marks the lines of a stack that lie in a cell, and shows a compile
	// error's cell above it. It counts lines from 1; 0 means that it does not know.
	stackLine   = regexp.MustCompile(`\[\[ Cell (?:\[(\d+)\] )?Line ([1-9]\d*) \]\]`)
	compileLine = regexp.MustCompile(`Cell(?:\[(\d+)\]:)? Line ([1-9]\d*)`)
	compileText = regexp.MustCompile(`(?m)^.*main(?:_test)?\.go:\d+:\d+: (.+)$`)
	panicText   = regexp.MustCompile(`(?m)^(?:panic|fatal error): .+$`)
)

// verdict turns the last event into a sentence, or nil where all went well.
func (v *view) verdict() error {
	cell := fmt.Sprintf("cell %d", v.last.Cell)
	switch v.end.Event {
	case "finished":
		return nil
	case "error":
		found := compileText.FindAllStringSubmatch(v.end.Text, -1)
		switch {
		case len(found) > 0:
			return fmt.Errorf("%s%s does not compile: %s", cell, v.where(compileLine, v.end.Text), install.Complaint(found[0][1]))
		case strings.Contains(v.end.Text, `go get":`):
			return fmt.Errorf("%s failed in \"go get\", which the notebook's first cell should switch off with %%noautoget: %s", cell, install.Complaint(v.end.Text))
		}
		return fmt.Errorf("%s failed: %s", cell, install.Complaint(v.end.Text))
	case "exit":
		said := string(v.stderr)
		if what := panicText.FindString(said); what != "" {
			return fmt.Errorf("%s%s failed: %s", cell, v.where(stackLine, said), what)
		}
		if what := install.LastLine([]byte(said)); len(what) > 0 {
			return fmt.Errorf("%s failed: %s (%s)", cell, what, v.end.Text)
		}
		return fmt.Errorf("%s failed: its program ended with %s", cell, v.end.Text)
	case "stopped":
		return fmt.Errorf("stopped in %s, as its driver was asked to", cell)
	case "timeout":
		return fmt.Errorf("%s was stopped because it took longer than %v: give it more time with -timeout", cell, v.timeout)
	case "dead":
		if v.last.Cell == 0 {
			return errors.New("the kernel did not start: .ctnas/kernel.log says why")
		}
		return fmt.Errorf("the kernel died in %s: .ctnas/kernel.log says why", cell)
	}
	return fmt.Errorf("the driver ended with the unknown event %q", v.end.Event)
}

// where says in which line of which cell an error lies, as far as GoNB tells.
func (v *view) where(pattern *regexp.Regexp, text string) string {
	m := pattern.FindStringSubmatch(text)
	switch {
	case m == nil:
		return ""
	case m[1] == "" || m[1] == strconv.Itoa(v.last.Cell):
		return fmt.Sprintf(" (line %s)", m[2])
	}
	return fmt.Sprintf(" (line %s of cell %s)", m[2], m[1])
}
