package main

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// driver runs the notebook: it speaks Jupyter's protocol, for which Python has the reference client.
//
//go:embed driver.py
var driver string

// runVerb runs a notebook without a browser.
func runVerb(ctx context.Context, args []string, out io.Writer) error {
	flags := newFlags("run")
	output := flags.String("o", "", "the executed copy")
	timeout := flags.Duration("timeout", 30*time.Minute, "longest time for one cell")
	// Flags may come before, between and after the notebooks.
	var notebooks []string
	err := flags.Parse(args)
	for err == nil && flags.NArg() > 0 {
		notebooks = append(notebooks, flags.Arg(0))
		err = flags.Parse(flags.Args()[1:])
	}
	switch {
	case err != nil:
		return err
	case len(notebooks) == 0:
		return errors.New("run needs a notebook, as in: go run ./kernel-setup run notebooks/00-quickstart.ipynb")
	case *timeout < time.Second:
		return fmt.Errorf("-timeout is %v, but must be a second or more", *timeout)
	}
	for i, notebook := range notebooks {
		if err := checkNotebook(notebook); err != nil {
			return err
		}
		if notebooks[i], err = filepath.Abs(notebook); err != nil {
			return err
		}
	}
	env, err := install(ctx, out, extent{})
	if err != nil {
		return err
	}
	outputs, err := env.outputs(notebooks, *output)
	if err != nil {
		return err
	}
	for i, notebook := range notebooks {
		_, runErr := env.execute(ctx, out, notebook, outputs[i], *timeout)
		if len(notebooks) == 1 || ctx.Err() != nil {
			return runErr
		}
		if runErr != nil {
			fmt.Fprintf(out, "  %v\n", runErr)
			err = fmt.Errorf("not all of the %d notebooks ran to their end: the output above says why", len(notebooks))
		}
	}
	return err
}

// checkNotebook tells early, and in plain words, why a file cannot be run.
func checkNotebook(path string) error {
	if _, err := os.Lstat(path); errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("there is no notebook %s", path)
	}
	content, err := readNotebook(path)
	if err != nil {
		return fmt.Errorf("cannot run %s: %w", path, err)
	}
	content = strict(content)
	if err := checkShape(content); err != nil {
		return fmt.Errorf("cannot run %s: %w", path, err)
	}
	var nb struct {
		Metadata struct {
			Kernel struct{ Language any } `json:"kernelspec"`
			Info   struct{ Name any }     `json:"language_info"`
		}
	}
	if err := json.Unmarshal(content, &nb); err != nil {
		return fmt.Errorf("cannot run %s: its metadata is not that of a notebook (%w)", path, err)
	}
	for _, value := range []any{nb.Metadata.Kernel.Language, nb.Metadata.Info.Name} {
		if language, _ := value.(string); language != "" && !strings.EqualFold(language, "go") {
			return fmt.Errorf("%s is a notebook in %s, but the kernel here runs Go", path, language)
		}
	}
	return nil
}

// outputs chooses where the executed copies go: to where the user wants them, which is a
// folder unless it ends in .ipynb, or to notebooks/executed. None takes the place of its own
// notebook, or of a copy of another notebook in that folder.
func (e *environment) outputs(notebooks []string, wanted string) ([]string, error) {
	folder := wanted
	if folder == "" {
		folder = e.repo.path("notebooks", "executed")
	}
	folder, err := filepath.Abs(folder)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(folder)
	file := filepath.Ext(folder) == ".ipynb" && !strings.HasSuffix(wanted, "/") && (err != nil || !info.IsDir())
	if file && len(notebooks) > 1 {
		return nil, fmt.Errorf("-o names the file %s, but %d notebooks leave as many copies: name a folder", wanted, len(notebooks))
	}
	var outputs []string
	for _, notebook := range notebooks {
		output := folder
		if !file {
			output = e.place(notebook, folder, outputs)
		}
		if sameFile(output, notebook) {
			return nil, fmt.Errorf("%s would be overwritten by its own executed copy: choose another place with -o", e.repo.rel(notebook))
		}
		if info, err := os.Stat(output); err == nil && !info.Mode().IsRegular() {
			return nil, fmt.Errorf("cannot write the executed copy: %s is there already, and is no file", e.repo.rel(output))
		}
		if err := os.MkdirAll(filepath.Dir(output), 0o755); err != nil {
			return nil, fmt.Errorf("cannot write the executed copy: %w", err)
		}
		outputs = append(outputs, output)
	}
	return outputs, nil
}

// place is the notebook's path below the folder notebooks, elsewhere its name, and below as many of
// its own folders as it takes not to be the place of another's copy.
func (e *environment) place(notebook, folder string, taken []string) string {
	name := filepath.Base(notebook)
	if rel, err := filepath.Rel(e.repo.path("notebooks"), notebook); err == nil && filepath.IsLocal(rel) {
		name = rel
	}
	for at := strings.TrimSuffix(notebook, name); ; at = filepath.Dir(at) {
		at = filepath.Clean(at)
		output := filepath.Join(folder, name)
		origin := origin(output)
		free := origin == "" || origin == e.portable(notebook)
		if free && !slices.Contains(taken, output) || at == filepath.Dir(at) {
			return output
		}
		name = filepath.Join(filepath.Base(at), name)
	}
}

// origin is the notebook of which a file is an executed copy, if it says so.
func origin(path string) string {
	content, err := readNotebook(path)
	if err != nil {
		return ""
	}
	var nb struct {
		Metadata struct {
			CTNAS struct{ Notebook string }
		}
	}
	if json.Unmarshal(content, &nb) != nil {
		return ""
	}
	return nb.Metadata.CTNAS.Notebook
}

// portable is a text as an executed copy has it.
func (e *environment) portable(text string) string {
	for _, hide := range e.machinePaths() {
		text = regexp.MustCompile(hide[0]).ReplaceAllLiteralString(text, hide[1])
	}
	return text
}

func sameFile(a, b string) bool {
	first, err := os.Stat(a)
	if err != nil {
		return false
	}
	second, err := os.Stat(b)
	return err == nil && os.SameFile(first, second)
}

// job is what the driver is told to do.
type job struct {
	Notebook string      `json:"notebook"`
	Output   string      `json:"output"`
	Folder   string      `json:"folder"` // the cells' working directory
	Kernel   string      `json:"kernel"`
	Timeout  int         `json:"timeout"` // seconds
	Hide     [][2]string `json:"hide"`    // patterns to replace in the executed copy's outputs
}

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

// execute runs the notebook and shows what happens. It returns the time of each cell.
func (e *environment) execute(ctx context.Context, out io.Writer, notebook, output string, timeout time.Duration) (seconds []float64, err error) {
	arg, err := json.Marshal(job{
		Notebook: notebook, Output: output, Folder: filepath.Dir(notebook),
		Kernel: kernelName, Timeout: int(timeout.Seconds()), Hide: e.machinePaths(),
	})
	if err != nil {
		return nil, err
	}
	log, err := os.Create(e.repo.private("kernel.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()

	script := e.repo.private("driver.py")
	if err := writeFile(script, []byte(driver)); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, e.jupyter.python, script, string(arg))
	cmd.Dir = e.repo.private()
	cmd.Env = e.environ
	cmd.Stderr = log
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	// Closing its input asks the driver to stop; it also stops should this program be killed.
	cmd.Cancel = stdin.Close
	cmd.WaitDelay = 5 * time.Second
	events, said := io.Pipe()
	cmd.Stdout = said
	fmt.Fprintf(out, "%s\n", e.repo.rel(notebook))
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", e.jupyter.python, err)
	}
	ended := make(chan error, 1)
	go func() {
		ended <- cmd.Wait() // It does not wait for what the driver may have left running.
		said.Close()
	}()
	v := view{out: out, timeout: timeout}
	readErr := v.read(events)
	events.CloseWithError(readErr)
	waitErr := <-ended

	if _, err := os.Stat(output); err == nil {
		fmt.Fprintf(out, "  %.1f s, executed copy in %s\n", time.Since(start).Seconds(), e.repo.rel(output))
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if v.end == nil {
		logged, _ := os.ReadFile(log.Name())
		return nil, fmt.Errorf("the notebook could not be run to its end (%s; more in %s): %w",
			lastLine(logged), e.repo.rel(log.Name()), errors.Join(readErr, waitErr))
	}
	if err := v.verdict(); err != nil {
		return nil, fmt.Errorf("%s: %w", e.repo.rel(notebook), err)
	}
	return v.seconds, nil
}

// machinePaths are the patterns that make an executed copy the same on every machine.
func (e *environment) machinePaths() [][2]string {
	hide := [][2]string{
		{regexp.QuoteMeta(filepath.Clean(os.TempDir())) + `/gonb_[0-9a-f]{8}`, "cell"},
		{`\bgonb_[0-9a-f]{8}\b`, "cell"},
		{regexp.QuoteMeta(string(e.repo)) + `\b`, "."},
	}
	if home, err := os.UserHomeDir(); err == nil && home != "/" {
		hide = append(hide, [2]string{regexp.QuoteMeta(home) + `\b`, "~"})
	}
	return hide
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
// anew; of a progress bar drawn that way only a line every ten seconds is shown.
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

// title is the line of a cell that says best what it does: its first, leaving
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
			return fmt.Errorf("%s%s does not compile: %s", cell, v.where(compileLine, v.end.Text), complaint(found[0][1]))
		case strings.Contains(v.end.Text, `go get":`):
			return fmt.Errorf("%s failed in \"go get\", which the notebook's first cell should switch off with %%noautoget: %s", cell, complaint(v.end.Text))
		}
		return fmt.Errorf("%s failed: %s", cell, complaint(v.end.Text))
	case "exit":
		said := string(v.stderr)
		if what := panicText.FindString(said); what != "" {
			return fmt.Errorf("%s%s failed: %s", cell, v.where(stackLine, said), what)
		}
		if what := lastLine([]byte(said)); len(what) > 0 {
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
