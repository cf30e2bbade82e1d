package darts

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Parse reads a genotype as the DARTS code and its followers write it:
//
//	Genotype(normal=[('sep_conv_3x3', 0), …], normal_concat=range(2, 6), reduce=[…], reduce_concat=[2, 3, 4, 5])
//
// with the edges of node 2 first, two for each node; both quotes, both forms of the
// concatenation and any white space will do. The error says what is wrong and where.
func Parse(text string) (Genotype, error) {
	p := parser{text: text}
	g, err := p.genotype()
	if err != nil {
		return Genotype{}, fmt.Errorf("darts: cannot read the genotype %.60q: %w", text, err)
	}
	return g, nil
}

// parser reads a text from left to right.
type parser struct {
	text string
	at   int
}

func (p *parser) genotype() (Genotype, error) {
	if err := p.expect("Genotype", "("); err != nil {
		return Genotype{}, err
	}
	var cells [2]Cell
	var seen []string
	for len(seen) < 4 {
		if len(seen) > 0 {
			if err := p.expect(","); err != nil {
				return Genotype{}, err
			}
		}
		name := p.word()
		if slices.Contains(seen, name) {
			return Genotype{}, fmt.Errorf("%s is given twice", name)
		}
		seen = append(seen, name)
		if err := p.expect("="); err != nil {
			return Genotype{}, err
		}
		var err error
		switch name {
		case "normal":
			cells[normal], err = p.cell()
		case "reduce":
			cells[reduce], err = p.cell()
		case "normal_concat", "reduce_concat":
			err = p.concat()
		default:
			err = fmt.Errorf("there is no field %q, only normal, normal_concat, reduce and reduce_concat", name)
		}
		if err != nil {
			return Genotype{}, fmt.Errorf("%s: %w", name, err)
		}
	}
	p.accept(",")
	if err := p.expect(")"); err != nil {
		return Genotype{}, err
	}
	if p.space(); p.at < len(p.text) {
		return Genotype{}, fmt.Errorf("%.20q follows after its end", p.text[p.at:])
	}
	return New(cells[normal], cells[reduce])
}

// cell reads [('op', from), …].
func (p *parser) cell() (cell Cell, err error) {
	var edges []Edge
	err = p.list(func() error {
		e, err := p.edge()
		if edges = append(edges, e); err != nil {
			return fmt.Errorf("edge %d: %w", len(edges), err)
		}
		return nil
	})
	if err != nil {
		return cell, err
	}
	if len(edges) != 2*Nodes {
		return cell, fmt.Errorf("there are %d edges, not %d, two for each of the nodes 2 to 5", len(edges), 2*Nodes)
	}
	for k, e := range edges {
		cell[k/2][k%2] = e
	}
	return cell, nil
}

// list reads [item, item, …].
func (p *parser) list(item func() error) error {
	if err := p.expect("["); err != nil {
		return err
	}
	for !p.accept("]") {
		if err := item(); err != nil {
			return err
		}
		if p.accept("]") {
			return nil
		}
		if err := p.expect(","); err != nil {
			return err
		}
	}
	return nil
}

// edge reads ('op', from).
func (p *parser) edge() (e Edge, err error) {
	if err := p.expect("("); err != nil {
		return e, err
	}
	quote := "'"
	if p.accept(`"`) {
		quote = `"`
	} else if err := p.expect(quote); err != nil {
		return e, err
	}
	name := p.word()
	op := slices.Index(opNames[:], name)
	if op < 0 {
		return e, fmt.Errorf("the space has no operation %q; it has %s", name, allOps())
	}
	if err := p.expect(quote, ","); err != nil {
		return e, err
	}
	from, err := p.number()
	if err != nil {
		return e, err
	}
	p.accept(",")
	return Edge{Op(op), from}, p.expect(")")
}

// concat reads range(2, 6) or [2, 3, 4, 5]: in this space a cell's output is all of
// its nodes.
func (p *parser) concat() error {
	if p.accept("range") {
		return p.expect("(", "2", ",", "6", ")")
	}
	var nodes []int
	err := p.list(func() error {
		n, err := p.number()
		nodes = append(nodes, n)
		return err
	})
	if err == nil && !slices.Equal(nodes, []int{2, 3, 4, 5}) {
		err = fmt.Errorf("the output is of the nodes %v; in this space it is of 2, 3, 4 and 5", nodes)
	}
	return err
}

// expect reads the given tokens, or says what is there instead.
func (p *parser) expect(tokens ...string) error {
	for _, token := range tokens {
		if !p.accept(token) {
			rest := "its end"
			if p.at < len(p.text) {
				rest = fmt.Sprintf("%.20q", p.text[p.at:])
			}
			return fmt.Errorf("%q is expected before %s", token, rest)
		}
	}
	return nil
}

// accept reads a token if it comes next.
func (p *parser) accept(token string) bool {
	p.space()
	if !strings.HasPrefix(p.text[p.at:], token) {
		return false
	}
	p.at += len(token)
	return true
}

func (p *parser) space() {
	for p.at < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.at]) >= 0 {
		p.at++
	}
}

// word reads letters, digits and underscores.
func (p *parser) word() string {
	p.space()
	start := p.at
	for p.at < len(p.text) && (p.text[p.at] == '_' || '0' <= p.text[p.at] && p.text[p.at] <= '9' || 'a' <= p.text[p.at]|0x20 && p.text[p.at]|0x20 <= 'z') {
		p.at++
	}
	return p.text[start:p.at]
}

func (p *parser) number() (int, error) {
	word := p.word()
	n, err := strconv.Atoi(word)
	if err != nil {
		return 0, fmt.Errorf("%q is not the number of a node", word)
	}
	return n, nil
}
