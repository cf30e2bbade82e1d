package notebook

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/ctnas/ctnas/internal/install"
)

// object is a JSON object. In what parse returns, numbers are of type [json.Number].
type object = map[string]any

// parse reads a notebook that has the right shape. What is no number, as Python writes it, becomes null.
func parse(content []byte) (object, error) {
	if err := checkShape(strict(content)); err != nil {
		return nil, err
	}
	content = noJSON.ReplaceAllFunc(bytes.TrimPrefix(content, byteOrderMark), func(token []byte) []byte {
		if token[0] == '"' {
			return token
		}
		return []byte("null")
	})
	in := json.NewDecoder(bytes.NewReader(content))
	in.UseNumber()
	var nb object
	if err := in.Decode(&nb); err != nil {
		return nil, fmt.Errorf("it is no valid JSON (%w)", err)
	}
	return nb, nil
}

// cellsOf returns the cells of a notebook that parse returned.
func cellsOf(nb object) []object {
	list, _ := nb["cells"].([]any)
	var cells []object
	for _, cell := range list {
		if cell, ok := cell.(object); ok {
			cells = append(cells, cell)
		}
	}
	return cells
}

// joined returns a text that a notebook holds, which may be a list of its lines.
func joined(text any) string {
	switch text := text.(type) {
	case string:
		return text
	case []any:
		var all strings.Builder
		for _, line := range text {
			line, _ := line.(string)
			all.WriteString(line)
		}
		return all.String()
	}
	return ""
}

// objectIn returns the object under a key, which it makes where there is none.
func objectIn(parent object, key string) object {
	inner, ok := parent[key].(object)
	if !ok {
		inner = object{}
		parent[key] = inner
	}
	return inner
}

// Normal returns a notebook as JupyterLab writes it after opening it, so that opening and saving it changes nothing.
// A notebook in normal form stays the same.
func Normal(content []byte) ([]byte, error) {
	nb, err := parse(content)
	if err != nil {
		return nil, err
	}
	return normal(nb), nil
}

// normal brings what parse returned into normal form, and writes it.
func normal(nb object) []byte {
	metadata := objectIn(nb, "metadata")
	if spec, _ := metadata["kernelspec"].(object); spec["name"] == install.KernelName {
		metadata["kernelspec"] = object{"display_name": install.KernelDisplay, "language": "go", "name": install.KernelName}
		metadata["language_info"] = maps.Clone(install.LanguageInfo)
	}
	delete(metadata, "orig_nbformat")
	delete(metadata, "signature")
	if minor, _ := nb["nbformat_minor"].(json.Number); len(minor) != 1 || minor < "5" { // Ids of cells came with 4.5.
		nb["nbformat_minor"] = json.Number("5")
	}
	taken := map[string]bool{}
	for i, cell := range cellsOf(nb) {
		normalCell(cell, i, taken)
	}
	var out bytes.Buffer
	writeValue(&out, nb, "")
	out.WriteByte('\n')
	return out.Bytes()
}

// normalCell gives a cell all of its fields, and texts as lists of lines. The ids in taken are those of the cells before it.
func normalCell(cell object, index int, taken map[string]bool) {
	cell["source"] = lines(joined(cell["source"]))
	delete(objectIn(cell, "metadata"), "trusted")
	id, _ := cell["id"].(string)
	for n := index; id == "" || taken[id]; n++ {
		id = "cell-" + strconv.Itoa(n)
	}
	taken[id] = true
	cell["id"] = id
	if cell["cell_type"] != "code" {
		delete(cell, "outputs")
		delete(cell, "execution_count")
		return
	}
	if _, ok := cell["execution_count"]; !ok {
		cell["execution_count"] = nil
	}
	outputs, ok := cell["outputs"].([]any)
	if !ok {
		cell["outputs"] = []any{}
	}
	for _, output := range outputs {
		if output, ok := output.(object); ok {
			normalOutput(output)
		}
	}
}

// normalOutput splits the texts of an output into lines.
func normalOutput(output object) {
	delete(output, "transient")
	if output["output_type"] == "stream" {
		output["text"] = lines(joined(output["text"]))
		return
	}
	data, _ := output["data"].(object)
	for kind, value := range data {
		_, list := value.([]any)
		_, text := value.(string)
		switch {
		case kind == "application/json" || strings.HasSuffix(kind, "+json"): // not a text
		case !list && !text:
		case strings.HasPrefix(kind, "text/") || kind == "application/javascript" || kind == "image/svg+xml":
			data[kind] = lines(joined(value))
		default:
			data[kind] = joined(value)
		}
	}
}

// lines splits a text as Python's splitlines does, which knows more ends of lines than Go.
func lines(text string) []any {
	split := []any{}
	for len(text) > 0 {
		end := strings.IndexAny(text, "\n\r\v\f\x1c\x1d\x1e\u0085\u2028\u2029")
		switch {
		case end < 0:
			end = len(text)
		case strings.HasPrefix(text[end:], "\r\n"):
			end += 2
		default:
			_, size := utf8.DecodeRuneInString(text[end:])
			end += size
		}
		split = append(split, text[:end])
		text = text[end:]
	}
	return split
}

// writeValue writes JSON as nbformat does: keys in order, one space a level, and no escapes that are not needed.
func writeValue(out *bytes.Buffer, value any, indent string) {
	inner := indent + " "
	switch value := value.(type) {
	case object:
		writeList(out, '{', '}', indent, slices.Sorted(maps.Keys(value)), func(key string) {
			writeString(out, key)
			out.WriteString(": ")
			writeValue(out, value[key], inner)
		})
	case []any:
		writeList(out, '[', ']', indent, value, func(v any) { writeValue(out, v, inner) })
	case string:
		writeString(out, value)
	case json.Number:
		out.WriteString(number(value))
	case bool:
		out.WriteString(strconv.FormatBool(value))
	default:
		out.WriteString("null")
	}
}

// writeList writes the items of a list or an object, each on its line.
func writeList[T any](out *bytes.Buffer, open, end byte, indent string, items []T, write func(T)) {
	out.WriteByte(open)
	for i, item := range items {
		if i > 0 {
			out.WriteByte(',')
		}
		out.WriteString("\n" + indent + " ")
		write(item)
	}
	if len(items) > 0 {
		out.WriteString("\n" + indent)
	}
	out.WriteByte(end)
}

// number returns a number as it comes back from the browser: whole ones without a point.
func number(n json.Number) string {
	f, err := n.Float64()
	size := math.Abs(f)
	switch {
	case err != nil:
		return n.String()
	case f == math.Trunc(f) && size < 1<<53:
		return strconv.FormatInt(int64(f), 10)
	case size >= 1e-4 && size < 1e16:
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	return strconv.FormatFloat(f, 'e', -1, 64)
}

func writeString(out *bytes.Buffer, text string) {
	const short = "\b\f\n\r\t\"\\"
	out.WriteByte('"')
	for _, r := range text {
		switch i := strings.IndexRune(short, r); {
		case i >= 0:
			out.WriteByte('\\')
			out.WriteByte("bfnrt\"\\"[i])
		case r < ' ':
			fmt.Fprintf(out, `\u%04x`, r)
		default:
			out.WriteRune(r)
		}
	}
	out.WriteByte('"')
}
