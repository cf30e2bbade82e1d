package darts

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Parse reads the genotype that a text holds, as the DARTS code and its followers write it:
//
//	Genotype(normal=[('sep_conv_3x3', 0), …], normal_concat=range(2, 6), reduce=[…], reduce_concat=[2, 3, 4, 5])
//
// with the edges of node 2 first, two for each node. More may stand around it: the text may be a line of a log, an
// assignment, a whole genotypes.py or train.log; if it holds several genotypes that differ, the error names them.
// Fields may come by position; lists and tuples stand for each other; the two edges of a node may be a list of their
// own; and the whole may be a dictionary or a JSON object, in which a concatenation may be missing and other keys
// make no difference. No calls but range, list, tuple and dict are read. The error says what is wrong and where.
func Parse(text string) (Genotype, error) {
	g, err := parse(text)
	if err != nil {
		return Genotype{}, fmt.Errorf("darts: cannot read the genotype %.60q: %w", text, err)
	}
	return g, nil
}

// The parts of a genotype, as regular expressions. A cell and a concatenation are matched without comments.
const (
	gap    = `[\s\x{a0}\\]*`
	comma  = gap + `,` + gap
	end    = gap + `,?` + gap + `[)\]]`
	quoted = `[uUbBrR]?(?:'[^'\n]*'|"[^"\n]*")`
	word   = `(` + quoted + `|[-+\w.]+)`
	edge   = `[(\[]` + gap + word + comma + word + end
	node   = `[(\[]` + gap + edge + comma + edge + end
	either = `(?:` + edge + `|` + node + `)`
	list   = `[(\[]` + gap + `(?:` + either + `(?:` + comma + either + `)*)?` + end
	nodes  = `(?:(?:\w+\.)*range` + gap + `\(` + gap + `2` + comma + `6|[(\[]` + gap + `2` + comma + `3` + comma + `4` + comma + `5)` + end
	call   = `(?:(?:\w+\.)*(?:list|tuple|array)` + gap + `)?\(` + gap

	// What stands within brackets but other brackets, and what closes them. A text that is cut off closes all.
	remark = `#[^\n]*`
	gaps   = `(?:[\s\x{a0}\\]|` + remark + `)*`
	flat   = `[^()\[\]{}'"#]|` + remark + `|` + quoted + `|['"][^'"\n]*\z`
	closed = `(?:[)\]}]|\z)`
)

var (
	comments = regexp.MustCompile(`(?m)^[ \t]*#.*$`)                               // on lines of their own
	escapes  = regexp.MustCompile(`\\(?:[nrt]|(["']))`)                            // of what stands in a string, as in logs of JSON objects
	scalars  = regexp.MustCompile(`(?:\w*\.)*\b(?:int64|str_)\(\s*([^()]*?)\s*\)`) // of numpy
	start    = regexp.MustCompile(`(?:\bclass\s+)?\b(?:Genotype|dict)\s*\(|\{`)
	naming   = regexp.MustCompile(`(\w+)["']?\s*(?::\s*[\w.]+\s*)?[=:]\s*["']?(?:\w+\.)*$`)                                               // before the start
	field    = regexp.MustCompile(`(?s)^` + gaps + `(?:` + word + gaps + `[=:]` + gaps + `)?(` + nested(maxDepth) + `)?` + gaps + `(.?)`) // matches everywhere
	remarks  = regexp.MustCompile(remark)
	matching = regexp.MustCompile(`\([^()\[\]{}]*\)|\[[^()\[\]{}]*\]`)

	edges    = regexp.MustCompile(edge)
	cell     = regexp.MustCompile(`^(?:` + list + `|` + call + list + end + `)$`)
	cellHead = regexp.MustCompile(`^(?:` + call + `)?[(\[]` + gap + `(?:` + either + comma + `)*`)
	concat   = regexp.MustCompile(`^(?:` + nodes + `|` + call + nodes + end + `)$`)
)

// maxDepth is how many brackets of a value may be within each other.
const maxDepth = 8

var fields = [...]string{"normal", "normal_concat", "reduce", "reduce_concat"} // in the order of the namedtuple

// nested returns the expression of a value with so many brackets within each other.
func nested(depth int) string {
	within := `(?:` + flat + `)*`
	for range depth - 1 {
		within = `(?:` + flat + `|[(\[{]` + within + closed + `)*`
	}
	return quoted + `|(?:[\w.]+` + gaps + `)?[(\[{]` + within + closed + `|[-+\w.]+`
}

func parse(text string) (found Genotype, err error) {
	text = comments.ReplaceAllString(text, "")
	text = escapes.ReplaceAllString(text, " $1")
	text = scalars.ReplaceAllString(text, "$1")
	none := errors.New("it holds no Genotype(normal=[…], normal_concat=…, reduce=[…], reduce_concat=…) and no dictionary with the keys normal and reduce")
	normal := strings.LastIndex(text, fields[0]) // no dictionary after it is one of a genotype
	var names []string
	differ := false
	for at := 0; ; {
		match := start.FindStringIndex(text[at:])
		if match == nil {
			break
		}
		before, opening := text[:at+match[0]], text[at+match[0]:]
		at += match[1]
		if strings.HasPrefix(opening, "class") || opening[0] != 'G' && at > normal {
			continue
		}
		given, end, e := fieldsOf(text, at, opening[0])
		if opening[0] != 'G' && given[fields[0]] == "" {
			if e != nil {
				none = e
			}
			continue // a dictionary of other things, which may hold that of a genotype
		}
		var g Genotype
		if e == nil {
			at = end
			g, e = genotypeOf(given)
		}
		name := fmt.Sprintf("line %d", 1+strings.Count(before, "\n"))
		if m := naming.FindStringSubmatch(before[max(0, len(before)-200):]); m != nil {
			name = m[1] + " in " + name
		}
		differ = differ || len(names) > 0 && (e != nil || err != nil || g != found)
		names, found, err = append(names, name), g, e
	}
	if len(names) == 0 {
		return Genotype{}, none
	}
	if differ {
		return Genotype{}, fmt.Errorf("it holds %d genotypes, give the text of one: %.500s", len(names), strings.Join(names, ", "))
	}
	return found, err
}

// fieldsOf reads the fields of a dictionary, or of a namedtuple, whose fields may have no names and all have to be
// there: one that begins with the letter G. It returns the text of each value, and where the text goes on.
func fieldsOf(text string, at int, begins byte) (given map[string]string, end int, err error) {
	namedtuple, closing := begins == 'G', ")"
	if begins == '{' {
		closing = "}"
	}
	given = make(map[string]string)
	unnamed := 0
	for sign := ","; sign == ","; {
		m := field.FindStringSubmatch(text[at:])
		name, value := unquoted(m[1]), m[2]
		sign, at = m[3], at+len(m[0])
		if m[1] == "" && value == "" && sign == closing {
			break
		}
		if m[1] == "" && namedtuple {
			if unnamed == len(fields) {
				return given, at, fmt.Errorf("%.60q is one field too many", value)
			}
			name = fields[unnamed]
			unnamed++
		}
		switch {
		case value == "":
			what := fmt.Sprintf("a list, a tuple, a string or a number, with at most %d brackets within each other", maxDepth)
			return given, at, unexpected{cmp.Or(name, "a field"), what, text, at - len(sign)}
		case sign != "," && sign != closing:
			return given, at, unexpected{cmp.Or(name, "a field"), fmt.Sprintf(`"," or %q`, closing), text, at - len(sign)}
		case given[name] != "" && name != "":
			return given, at, fmt.Errorf("%.60s is given twice", name)
		}
		given[name] = remarks.ReplaceAllString(value, "")
	}
	for name := range given {
		if namedtuple && !slices.Contains(fields[:], name) {
			return given, at, fmt.Errorf("there is no field %.60q, only %s", name, strings.Join(fields[:], ", "))
		}
	}
	for _, name := range fields {
		if namedtuple && given[name] == "" {
			return given, at, fmt.Errorf("%s is missing", name)
		}
	}
	return given, at, nil
}

func genotypeOf(given map[string]string) (Genotype, error) {
	var cells [2]Cell
	for c := range cells {
		name, nodes := fields[2*c], given[fields[2*c+1]]
		var err error
		if cells[c], err = cellOf(given[name]); err != nil {
			return Genotype{}, fmt.Errorf("%s: %w", name, err)
		}
		if nodes != "" && nodes != "null" && !(concat.MatchString(nodes) && matched(nodes)) {
			return Genotype{}, fmt.Errorf("%s: the output is of %.60s; in this space it is of the nodes 2, 3, 4 and 5", fields[2*c+1], nodes)
		}
	}
	return New(cells[normal], cells[reduce])
}

// cellOf reads the list of a cell's edges, or of nodes, which are lists of two.
func cellOf(text string) (Cell, error) {
	var c Cell
	if !matched(text) {
		return c, fmt.Errorf("the brackets of %.60q do not match", text)
	}
	if !cell.MatchString(text) {
		head := cellHead.FindString(text)
		if head == "" {
			return c, fmt.Errorf("%.60q is no list of edges", text)
		}
		return c, fmt.Errorf("edge %d: %.60q is neither ('operation', node) nor a node of two such edges", 1+len(edges.FindAllString(head, -1)), text[len(head):])
	}
	found := edges.FindAllStringSubmatch(text, -1)
	if len(found) != 2*Nodes {
		return c, fmt.Errorf("there are %d edges, not %d, two for each of the nodes 2 to 5", len(found), 2*Nodes)
	}
	for k, e := range found {
		op := slices.Index(opNames[:], unquoted(e[1]))
		if op < 0 {
			return c, fmt.Errorf("edge %d: the space has no operation %.60q; it has %s", k+1, unquoted(e[1]), allOps())
		}
		from, err := strconv.Atoi(e[2])
		if err != nil {
			return c, fmt.Errorf("edge %d: %.60q is not the number of a node", k+1, e[2])
		}
		c[k/2][k%2] = Edge{Op(op), from}
	}
	return c, nil
}

// matched says whether every bracket is closed by one of its kind.
func matched(text string) bool {
	for range maxDepth {
		text = matching.ReplaceAllString(text, "")
	}
	return !strings.ContainsAny(text, "()[]{}")
}

// unquoted returns a word without its quotes and their prefix, and without spaces within them.
func unquoted(word string) string {
	if at := strings.IndexAny(word, `'"`); at >= 0 {
		return strings.Trim(word[at:], `'" `)
	}
	return word
}

// unexpected is the error of a field where something is expected in a text, and something else is there. It works out
// the line only when it is told: a log may have thousands of dictionaries of other things.
type unexpected struct {
	field, what, text string
	at                int
}

func (u unexpected) Error() string {
	rest := strings.TrimSpace(u.text[u.at:])
	if rest == "" {
		return fmt.Sprintf("%.60s: %s is expected where the text ends; it is cut off", u.field, u.what)
	}
	line := 1 + strings.Count(u.text[:strings.LastIndex(u.text, rest)], "\n")
	return fmt.Sprintf("%.60s: %s is expected in line %d before %.30q", u.field, u.what, line, rest)
}
