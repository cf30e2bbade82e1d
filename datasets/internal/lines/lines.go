// Package lines reads tables of comma-separated values, compressed with gzip or not, and says at which line
// something is wrong.
package lines

import (
	"bufio"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
)

// CutShort says in words that a file ends too early, and leaves every other error as it is.
func CutShort(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("the file ends in the middle of it: %w", io.ErrUnexpectedEOF)
	}
	return err
}

// Unzipped gives what a file holds to read, compressed with gzip or not. The error is read's, or says that the file is
// empty or its compression damaged.
func Unzipped(read func(io.Reader) error) func(io.Reader) error {
	return func(r io.Reader) error {
		buffered := bufio.NewReader(r)
		start, err := buffered.Peek(2)
		switch {
		case err == io.EOF && len(start) == 0:
			return errors.New("the file is empty")
		case err != nil && err != io.EOF:
			return err
		case string(start) != "\x1f\x8b":
			return read(buffered)
		}
		z, err := gzip.NewReader(buffered)
		if err != nil {
			return fmt.Errorf("gzip: %w", CutShort(err))
		}
		return read(z)
	}
}

// MaxItem is more than an item of a file needs, a line or an entry of a list, in bytes.
const MaxItem = 1 << 20

// Meter lets Left bytes through, after the byte order mark that Windows puts before a text, and then fails.
type Meter struct {
	r    *bufio.Reader
	Left int
}

// NewMeter returns a meter with [MaxItem] bytes left.
func NewMeter(r io.Reader) *Meter {
	m := &Meter{bufio.NewReader(r), MaxItem}
	if start, _ := m.r.Peek(3); string(start) == "\ufeff" {
		m.r.Discard(3)
	}
	return m
}

func (m *Meter) Read(p []byte) (int, error) {
	if m.Left == 0 {
		return 0, fmt.Errorf("it has more than %d bytes", MaxItem)
	}
	n, err := m.r.Read(p[:min(len(p), m.Left)])
	m.Left -= n
	return n, err
}

// Each calls add with the named columns of each line after the first, which must name them, in whatever order and
// among others. The error names the line that it is about. Before each line, poll is called with its number, and its
// error is returned as it is.
func Each(r io.Reader, columns []string, poll func(line int) error, add func(line int, field []string) error) error {
	text := NewMeter(r)
	table := csv.NewReader(text)
	table.ReuseRecord = true
	columnAt, err := header(table, columns)
	if err != nil {
		return fmt.Errorf("line 1: %w", err)
	}
	field := make([]string, len(columns))
	for line := 2; ; line++ {
		if err := poll(line); err != nil {
			return err
		}
		text.Left = MaxItem
		record, err := table.Read()
		if err == io.EOF {
			return nil
		}
		at := line // if nothing better is known
		if malformed, ok := errors.AsType[*csv.ParseError](err); ok {
			at, err = malformed.Line, malformed.Err // which does not repeat the line
		} else if err == nil {
			at, _ = table.FieldPos(0)
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", at, CutShort(err))
		}
		for k := range columnAt {
			field[k] = record[columnAt[k]]
		}
		if err := add(at, field); err != nil {
			return fmt.Errorf("line %d: %w", at, err)
		}
		line = at
	}
}

// header reads the first line, and returns the positions of the named columns.
func header(table *csv.Reader, columns []string) ([]int, error) {
	names, err := table.Read()
	if err == io.EOF {
		err = errors.New("there is no header")
	}
	if err != nil {
		return nil, CutShort(err)
	}
	at := make([]int, len(columns))
	for k, name := range columns {
		if at[k] = slices.Index(names, name); at[k] < 0 {
			return nil, fmt.Errorf("the column %s is missing", name)
		}
		if slices.Contains(names[at[k]+1:], name) {
			return nil, fmt.Errorf("the column %s is there twice", name)
		}
	}
	return at, nil
}

// Whole reads the whole number of a column, from 0 to most.
func Whole(column, text string, most int) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, fmt.Errorf("%s: %.40q is not a whole number", column, text)
	}
	if n < 0 || n > most {
		return 0, fmt.Errorf("%s: %d is not between 0 and %d", column, n, most)
	}
	return n, nil
}
