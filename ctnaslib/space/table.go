package space

import (
	"encoding/csv"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
)

// Table is a [Benchmark] of labels of one's own. It is safe for concurrent use.
type Table struct {
	space    Space
	source   string
	labelled []Labelled
	position map[string]int // by ID
	version  func() string
}

var _ Versioned = (*Table)(nil)

// NewTable makes a benchmark of labels. Source says what they were measured on, such as "real" or "proxy".
// The error names a label that is not in [0, 1], and an architecture that is there twice with different
// labels.
func NewTable(s Space, source string, labelled []Labelled) (*Table, error) {
	t := newTable(s, source)
	for _, l := range labelled {
		if err := t.add(l); err != nil {
			return nil, fmt.Errorf("space: %w", err)
		}
	}
	return t, nil
}

// newTable makes a table without labels. Its version is worked out once, when all are there.
func newTable(s Space, source string) *Table {
	t := &Table{space: s, source: source, position: make(map[string]int)}
	t.version = sync.OnceValue(func() string {
		h := fnv.New64a()
		for _, l := range t.labelled {
			fmt.Fprintln(h, l.Arch, l.Accuracy)
		}
		return fmt.Sprintf("%d labels, digest %x", len(t.labelled), h.Sum64())
	})
	return t
}

func (t *Table) add(l Labelled) error {
	if !(l.Accuracy >= 0 && l.Accuracy <= 1) {
		return fmt.Errorf("the accuracy %g of %s is not in [0, 1]; divide percent by 100", l.Accuracy, l.Arch)
	}
	id := l.Arch.ID()
	if i, ok := t.position[id]; ok {
		if other := t.labelled[i]; other.Accuracy != l.Accuracy {
			return fmt.Errorf("%s has the accuracy %g, but %s, which is the same architecture, has %g; keep one of them, or their mean", l.Arch, l.Accuracy, other.Arch, other.Accuracy)
		}
		return nil
	}
	t.position[id] = len(t.labelled)
	t.labelled = append(t.labelled, l)
	return nil
}

// ReadTable makes a benchmark of a CSV file of architectures, as [Space.Parse] reads them, and accuracies
// in [0, 1]. The first line names the columns; those called "architecture" and "accuracy" count. The error
// names the first line that is wrong.
func ReadTable(s Space, source string, r io.Reader) (*Table, error) {
	lines := csv.NewReader(r)
	header, err := lines.Read()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("space: the table is empty: it has no first line of column names, with architecture and accuracy among them")
	}
	if err != nil {
		return nil, fmt.Errorf("space: the table has no first line of column names: %w", err)
	}
	header[0] = strings.TrimPrefix(header[0], "\ufeff") // which spreadsheets write first
	columns := make(map[string]int)
	for i, name := range header {
		if before, ok := columns[name]; ok && (name == "architecture" || name == "accuracy") {
			return nil, fmt.Errorf("space: the columns %d and %d of the table are both called %s; rename one", before+1, i+1, name)
		}
		columns[name] = i
	}
	architecture, ok := columns["architecture"]
	accuracy, both := columns["accuracy"]
	if !ok || !both {
		return nil, fmt.Errorf("space: the table needs columns called architecture and accuracy, not %q", header)
	}
	t := newTable(s, source)
	for {
		fields, err := lines.Read()
		if errors.Is(err, io.EOF) {
			return t, nil
		}
		if err != nil {
			return nil, fmt.Errorf("space: cannot read the table: %w", err)
		}
		line, _ := lines.FieldPos(0)
		l, err := parseLabelled(s, fields[architecture], fields[accuracy])
		if err == nil {
			err = t.add(l)
		}
		if err != nil {
			return nil, fmt.Errorf("space: line %d of the table: %w", line, err)
		}
	}
}

func parseLabelled(s Space, architecture, accuracy string) (Labelled, error) {
	arch, err := s.Parse(architecture)
	if err != nil {
		return Labelled{}, err
	}
	value, err := strconv.ParseFloat(accuracy, 64)
	if err != nil {
		return Labelled{}, fmt.Errorf("the accuracy %q is not a number", accuracy)
	}
	return Labelled{arch, value}, nil
}

// Len returns the number of architectures.
func (t *Table) Len() int { return len(t.labelled) }

// Space returns the search space of the architectures.
func (t *Table) Space() Space { return t.space }

// Source returns what the labels were measured on.
func (t *Table) Source() string { return t.source }

// Version returns a digest of all labels.
func (t *Table) Version() string { return t.version() }

// Sample draws n distinct architectures of the table.
func (t *Table) Sample(rng *rand.Rand, n int) ([]Arch, error) {
	chosen, err := Choose(rng, len(t.labelled), n)
	if err != nil {
		return nil, fmt.Errorf("space: the table has %d architectures, so %d cannot be drawn from it", len(t.labelled), n)
	}
	archs := make([]Arch, n)
	for k, i := range chosen {
		archs[k] = t.labelled[i].Arch
	}
	return archs, nil
}

// Validation returns the label of a. The error wraps [ErrNotQueryable] where the table has none.
func (t *Table) Validation(a Arch) (float64, error) {
	i, ok := t.position[a.ID()]
	if !ok {
		return 0, fmt.Errorf("space: no label for %s: %w", a, ErrNotQueryable)
	}
	return t.labelled[i].Accuracy, nil
}
