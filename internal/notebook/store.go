package notebook

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"html"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/ctnas/ctnas/internal/install"
)

// mark is the key in the metadata of a notebook and of its cells under which we keep how outputs were made.
const mark = "ctnas"

// Stored returns the notebook that is kept with its outputs: executed, without interactive charts, lines of progress and
// the name of its origin, in normal form. Each code cell gets the digests by which [Verify] knows that its outputs are
// those of its code, and the notebook says what made them. Where the outputs differ from those in old, which is the
// notebook as it was or nil, only in how long something took, those of old stay.
func Stored(executed, old []byte, made map[string]any) ([]byte, error) {
	nb, err := parse(executed)
	if err != nil {
		return nil, err
	}
	normal(nb)
	before := map[string][]any{} // the outputs of old, by the digest of the code
	if last, err := parse(old); old != nil && err == nil {
		normal(last)
		eachCode(last, func(cell object, code string) { before[code] = outputsOf(cell) })
	}
	eachCode(nb, func(cell object, code string) {
		outputs := static(outputsOf(cell))
		if last, ok := before[code]; ok && withoutTimes(last) == withoutTimes(outputs) {
			outputs = last
		}
		cell["outputs"] = outputs
		objectIn(cell, "metadata")[mark] = object{"code": code, "outputs": digest(outputs)}
	})
	objectIn(nb, "metadata")[mark] = made
	return normal(nb), nil
}

// eachCode calls do with each code cell of a notebook in normal form, and with the digest of its code and of the code
// of the cells before it.
func eachCode(nb object, do func(cell object, code string)) {
	chain := sha256.New()
	for _, cell := range cellsOf(nb) {
		if cell["cell_type"] == "code" {
			source := strings.TrimSpace(joined(cell["source"]))
			fmt.Fprintf(chain, "%d:%s\n", len(source), source)
			do(cell, short(chain))
		}
	}
}

// short returns the start of a digest, which is enough to tell mistakes.
func short(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil))[:12] }

// digest returns the digest of outputs in normal form.
func digest(outputs []any) string {
	h := sha256.New()
	io.WriteString(h, written(outputs))
	return short(h)
}

// written returns outputs as a notebook has them.
func written(outputs []any) string {
	var text bytes.Buffer
	writeValue(&text, outputs, "")
	return text.String()
}

// outputsOf returns the outputs of a code cell.
func outputsOf(cell object) []any {
	outputs, _ := cell["outputs"].([]any)
	return outputs
}

// htmlOf returns what an output shows as HTML, if it does.
func htmlOf(output any) (text string, ok bool) {
	o, _ := output.(object)
	data, _ := o["data"].(object)
	value, ok := data["text/html"]
	return joined(value), ok
}

// progress matches what package nb leaves of a line of progress, which says how long something took.
var progress = regexp.MustCompile(`^(<progress[^>]*></progress> *)?(<code>[^<]*</code>)?$`)

// interactiveNote takes the place of an interactive chart, which needs a running Jupyter.
const interactiveNote = "*An interactive chart: run the cell to see it.*"

// static returns the outputs that say something without running.
func static(outputs []any) []any {
	kept := []any{}
	for _, output := range outputs {
		text, ok := htmlOf(output)
		switch {
		case ok && progress.MatchString(strings.TrimSpace(text)):
		case ok && strings.Contains(text, "<script"):
			kept = append(kept, object{"data": object{"text/markdown": lines(interactiveNote)}, "metadata": object{}, "output_type": "display_data"})
		default:
			kept = append(kept, output)
		}
	}
	return kept
}

// took matches how long something took, as Go and people write it.
var took = regexp.MustCompile(`\b(?:\d+h)?(?:\d+m)?\d+(?:\.\d+)?[\s\x{a0}]?(?:ns|µs|ms|s|min|seconds?|minutes?)\b|\b\d+h\d+m(?:in)?\b`)

// withoutTimes returns the text of outputs without how long things took.
func withoutTimes(outputs []any) string { return took.ReplaceAllString(written(outputs), "") }

// ErrNoOutputs is the error of [Verify] for a notebook that was not run.
var ErrNoOutputs = errors.New("it has no outputs")

// Verify checks that a notebook is in normal form, that its outputs are those which [Stored] kept of this code, and that
// they say the same on every machine, and without running. It needs neither a kernel nor data.
func Verify(content []byte) error {
	nb, err := parse(content)
	if err != nil {
		return err
	}
	if form := normal(nb); !bytes.Equal(form, content) {
		return fmt.Errorf("it is not as JupyterLab would save it, from line %d on", firstDifference(content, form))
	}
	if spec := objectIn(objectIn(nb, "metadata"), "kernelspec"); spec["name"] != install.KernelName {
		return fmt.Errorf("its kernel is %q, not %q", spec["name"], install.KernelName)
	}
	if !ran(nb) {
		return ErrNoOutputs
	}
	var wrong error
	count := 0
	eachCode(nb, func(cell object, code string) {
		if strings.TrimSpace(joined(cell["source"])) != "" { // The kernel counts no others.
			count++
		}
		if err := verifyCell(cell, code, count); err != nil && wrong == nil {
			wrong = fmt.Errorf("its code cell %d %w", count, err)
		}
	})
	return wrong
}

// ran says whether any cell of a notebook was run.
func ran(nb object) bool {
	return slices.ContainsFunc(cellsOf(nb), func(cell object) bool {
		return cell["cell_type"] == "code" && (len(outputsOf(cell)) > 0 || cell["execution_count"] != nil)
	})
}

// machinePath matches paths that another machine does not have.
var machinePath = regexp.MustCompile(`(?:^|[\s"'(=])(/(?:home|root|tmp|Users|work|mnt|private)/[^\s"'<)]*)`)

// verifyCell says what is wrong with the n-th code cell, of which code is the digest.
func verifyCell(cell object, code string, n int) error {
	kept, _ := objectIn(cell, "metadata")[mark].(object)
	outputs := outputsOf(cell)
	switch count, _ := cell["execution_count"].(json.Number); {
	case kept == nil:
		return errors.New("was not run by \"kernel-setup run -store\"")
	case kept["code"] != code:
		return errors.New("has outputs of other code, its own or that of a cell before it")
	case kept["outputs"] != digest(outputs):
		return errors.New("has other outputs than \"kernel-setup run -store\" has kept")
	case string(count) != fmt.Sprint(n) && len(outputs) > 0:
		return fmt.Errorf("was run as number %q, not in order", count)
	}
	for _, output := range outputs {
		o, _ := output.(object)
		text, _ := htmlOf(output)
		switch path := machinePath.FindStringSubmatch(textOf(output)); {
		case o["output_type"] == "error":
			return fmt.Errorf("ended with the error %q", o["evalue"])
		case strings.Contains(text, "<script"):
			return errors.New("has a script in its outputs")
		case path != nil:
			return fmt.Errorf("shows the path %s of the machine on which it was run", path[1])
		}
	}
	return nil
}

// tag matches a tag of HTML, with all that its attributes hold.
var tag = regexp.MustCompile(`<[^>]*>`)

// textOf returns the text that an output shows to a reader.
func textOf(output any) string {
	o, _ := output.(object)
	data, _ := o["data"].(object)
	switch {
	case o["output_type"] == "stream":
		return joined(o["text"])
	case data["text/html"] != nil:
		return html.UnescapeString(tag.ReplaceAllString(joined(data["text/html"]), " "))
	case data["text/markdown"] != nil:
		return joined(data["text/markdown"])
	}
	return joined(data["text/plain"])
}

// firstDifference returns the number of the first line in which two texts differ.
func firstDifference(a, b []byte) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return 1 + bytes.Count(a[:n], []byte("\n"))
}
