package darts

import (
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
// Fields may come by position; lists and tuples stand for each other; the two edges of a node may be a list of
// their own; and the whole may be a dictionary or a JSON object, in which a concatenation may be missing and other
// keys make no difference. No calls but range, list, tuple and dict are read. The error says what is wrong and where.
func Parse(text string) (Genotype, error) {
	g, err := parse(escapes.ReplaceAllString(comments.ReplaceAllString(text, ""), " $1"))
	if err != nil {
		return Genotype{}, fmt.Errorf("darts: cannot read the genotype %.60q: %w", text, err)
	}
	return g, nil
}

var (
	comments = regexp.MustCompile(`(?m)^[ \t]*#.*$`)    // on lines of their own
	escapes  = regexp.MustCompile(`\\(?:[nrt]|(["']))`) // of what stands in a string, as in logs of JSON objects
	start    = regexp.MustCompile(`(?:\bclass\s+)?\b(?:Genotype|dict)\s*\(|\{`)
	naming   = regexp.MustCompile(`(\w+)["']?\s*(?::\s*[\w.]+\s*)?[=:]\s*["']?(?:\w+\.)*$`) // before the start
	// A string, a word or number, or a sign.
	token  = regexp.MustCompile(`^(?:[\s\x{a0}]|#[^\n]*|\\)*(?:[uUbBrR]?('[^'\n]*'|"[^"\n]*")|([-+\w.]+)|(\S)|$)`)
	fields = [...]string{"normal", "normal_concat", "reduce", "reduce_concat"} // in the order of the namedtuple
)

func parse(text string) (found Genotype, err error) {
	none := errors.New("it holds no Genotype(normal=[…], normal_concat=…, reduce=[…], reduce_concat=…) and no dictionary with the keys normal and reduce")
	var names []string
	differ := false
	for at := 0; ; {
		match := start.FindStringIndex(text[at:])
		if match == nil {
			break
		}
		r := reader{text: text, at: at + match[0]}
		before, opening := text[:r.at], text[r.at:]
		at += match[1]
		if strings.HasPrefix(opening, "class") {
			continue
		}
		value, e := r.value()
		given, _ := value.(map[string]any)
		if opening[0] != 'G' && given["normal"] == nil {
			if e != nil && strings.Contains(opening, "normal") {
				none = e
			}
			continue // a dictionary of other things, which may hold that of a genotype
		}
		var g Genotype
		if e == nil {
			at = r.at
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

func genotypeOf(given map[string]any) (Genotype, error) {
	var cells [2]Cell
	for c := range cells {
		name, concat := fields[2*c], fields[2*c+1]
		edges, err := appendEdges(nil, given[name])
		if err == nil && len(edges) != 2*Nodes {
			err = fmt.Errorf("there are %d edges, not %d, two for each of the nodes 2 to 5", len(edges), 2*Nodes)
		}
		if err != nil {
			return Genotype{}, fmt.Errorf("%s: %w", name, err)
		}
		for k, e := range edges {
			cells[c][k/2][k%2] = e
		}
		nodes, _ := given[concat].([]any)
		if given[concat] != nil && given[concat] != word("null") && !slices.Equal(nodes, []any{2, 3, 4, 5}) {
			return Genotype{}, fmt.Errorf("%s: the output is of the nodes %.60s; in this space it is of 2, 3, 4 and 5", concat, fmt.Sprint(given[concat]))
		}
	}
	return New(cells[normal], cells[reduce])
}

// appendEdges appends the edges of a list of them, or of a list of nodes, which are lists of two.
func appendEdges(edges []Edge, value any) ([]Edge, error) {
	list, ok := value.([]any)
	if !ok {
		return nil, fmt.Errorf("%.60q is no list of edges", fmt.Sprint(value))
	}
	for _, item := range list {
		pair, _ := item.([]any)
		if len(pair) != 2 {
			return nil, fmt.Errorf("edge %d: %.60q is neither ('operation', node) nor a node of two such edges", len(edges)+1, fmt.Sprint(item))
		}
		if _, isNode := pair[0].([]any); isNode {
			with, err := appendEdges(edges, pair)
			if err == nil && len(with) != len(edges)+2 {
				err = fmt.Errorf("edge %d: %.60q is no node of two edges", len(edges)+1, fmt.Sprint(item))
			}
			if err != nil {
				return nil, err
			}
			edges = with
			continue
		}
		op := slices.Index(opNames[:], fmt.Sprint(pair[0]))
		if op < 0 {
			return nil, fmt.Errorf("edge %d: the space has no operation %.60q; it has %s", len(edges)+1, fmt.Sprint(pair[0]), allOps())
		}
		from, ok := pair[1].(int)
		if !ok {
			return nil, fmt.Errorf("edge %d: %.60q is not the number of a node", len(edges)+1, fmt.Sprint(pair[1]))
		}
		edges = append(edges, Edge{Op(op), from})
	}
	return edges, nil
}

// reader reads literals of Python and JSON.
type reader struct {
	text      string
	at, depth int
}

// word is a name, or a number that is no int.
type word string

// maxDepth bounds the reader's stack, and the length of a range.
const maxDepth = 20

// value is a string, an int, a word, a []any of values, or a map[string]any of them.
func (r *reader) value() (any, error) {
	if r.depth++; r.depth > maxDepth {
		return nil, r.unread(fmt.Sprintf("fewer than %d brackets are expected", maxDepth))
	}
	defer func() { r.depth-- }()
	start := *r
	m := r.next()
	quoted, name, sign := m[1], m[2], m[3]
	if quoted != "" {
		return strings.Trim(quoted, `'" `), nil
	}
	if n, err := strconv.Atoi(name); err == nil {
		return n, nil
	}
	closing := map[string]string{"(": ")", "[": "]", "{": "}"}[sign]
	if name != "" {
		after := r.at
		if closing = ")"; r.next()[3] != "(" {
			r.at = after
			return word(name), nil
		}
	}
	if closing == "" {
		return nil, start.unread("a list, a tuple, a string or a whole number is expected")
	}
	list, entries, err := r.items(closing)
	if err != nil {
		return nil, err
	}
	switch name = name[strings.LastIndexByte(name, '.')+1:]; {
	case name == "dict" || sign == "{":
		return entries, nil
	case len(list) == 1 && (sign == "(" || slices.Contains([]string{"list", "tuple", "array", "int64", "str_"}, name)): // the last three are numpy's
		return list[0], nil
	case name == "":
		return list, nil
	case name == "Genotype":
		return entries, positional(list, entries)
	case name == "range" && len(list) == 2:
		from, _ := list[0].(int)
		to, ok := list[1].(int)
		if list = []any{}; ok {
			for ; from < min(to, maxDepth); from++ {
				list = append(list, from)
			}
			return list, nil
		}
	}
	return nil, start.unread("no call but range(from, to) is expected")
}

// positional adds the fields of a namedtuple that are given without their names.
func positional(list []any, entries map[string]any) error {
	for i, v := range list {
		if i >= len(fields) || entries[fields[i]] != nil {
			return fmt.Errorf("%.60q is one field too many", fmt.Sprint(v))
		}
		entries[fields[i]] = v
	}
	for name := range entries {
		if !slices.Contains(fields[:], name) {
			return fmt.Errorf("there is no field %.60q, only %s", name, strings.Join(fields[:], ", "))
		}
	}
	for _, name := range fields {
		if entries[name] == nil {
			return fmt.Errorf("%s is missing", name)
		}
	}
	return nil
}

// items reads up to the closing bracket: values, and values with a name before = or :.
func (r *reader) items(closing string) (list []any, entries map[string]any, err error) {
	list, entries = []any{}, make(map[string]any)
	for {
		place := *r
		if r.next()[3] == closing {
			return list, entries, nil
		}
		r.at = place.at
		v, err := r.value()
		if err != nil {
			return nil, nil, err
		}
		place = *r
		sign := r.next()[3]
		if sign != "=" && sign != ":" {
			list = append(list, v)
		} else {
			name := fmt.Sprint(v)
			if entries[name] != nil {
				return nil, nil, fmt.Errorf("%.60s is given twice", name)
			}
			if entries[name], err = r.value(); err != nil {
				return nil, nil, fmt.Errorf("%.60s: %w", name, err)
			}
			place = *r
			sign = r.next()[3]
		}
		if sign == closing {
			return list, entries, nil
		}
		if sign != "," {
			return nil, nil, place.unread(fmt.Sprintf("\",\" or %q is expected", closing))
		}
	}
}

// next reads a token: a string, a word or number, or a sign, as the first, second or third of its parts.
func (r *reader) next() []string {
	m := token.FindStringSubmatch(r.text[r.at:]) // matches everywhere
	r.at += len(m[0])
	return m
}

// unread says what is expected at the reader's place, and what is there.
func (r *reader) unread(expected string) error {
	rest := strings.TrimSpace(r.text[r.at:])
	if rest == "" {
		return fmt.Errorf("%s where the text ends; it is cut off", expected)
	}
	return fmt.Errorf("%s in line %d before %.30q", expected, 1+strings.Count(r.text[:strings.LastIndex(r.text, rest)], "\n"), rest)
}
