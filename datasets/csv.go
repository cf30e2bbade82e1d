package datasets

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
)

// readCSVFiles reads test108.csv.gz and val_sample.csv.gz, or what was unpacked of them.
func readCSVFiles(ctx context.Context, files []string) (rows []Row, err error) {
	err = readFile(files[0], unzipped(func(r io.Reader) error {
		rows, err = readTests(ctx, r)
		return err
	}))
	if err != nil {
		return nil, err
	}
	err = readFile(files[1], unzipped(func(r io.Reader) error { return readValidations(ctx, r, rows) }))
	if err != nil {
		return nil, err
	}
	return rows, nil
}

// unzipped gives what a file holds to read, compressed with gzip or not.
func unzipped(read func(io.Reader) error) func(io.Reader) error {
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
			return fmt.Errorf("gzip: %w", cutShort(err))
		}
		return read(z)
	}
}

// maxItem is more than a line or a cell needs, in bytes: they have less than 2,000.
const maxItem = 1 << 20

// meter lets so many bytes through, after the byte order mark that Windows puts before a text.
type meter struct {
	r    *bufio.Reader
	left int
}

func newMeter(r io.Reader) *meter {
	m := &meter{bufio.NewReader(r), maxItem}
	if start, _ := m.r.Peek(3); string(start) == "\ufeff" {
		m.r.Discard(3)
	}
	return m
}

func (m *meter) Read(p []byte) (int, error) {
	if m.left == 0 {
		return 0, fmt.Errorf("it has more than %d bytes", maxItem)
	}
	n, err := m.r.Read(p[:min(len(p), m.left)])
	m.left -= n
	return n, err
}

// readTests reads the table of all cells, with the columns edges, ops, params and
// test3, the sum over three runs of the number of test images classified
// correctly. Its rows must be in ascending order of hash.
func readTests(ctx context.Context, r io.Reader) ([]Row, error) {
	var rows []Row
	var at []int // lines
	err := eachLine(ctx, r, []string{"edges", "ops", "params", "test3"}, func(line int, field []string) error {
		if len(rows) == nasbench101.NumCells {
			return errTooMany
		}
		cell, err := nasbench101.Parse(field[0] + ":" + field[1])
		if err != nil {
			return err
		}
		params, err := whole("params", field[2], 1<<31-1)
		if err != nil {
			return err
		}
		if err := checkParams(cell, int64(params)); err != nil {
			return err
		}
		test3, err := whole("test3", field[3], runs*images)
		if err != nil {
			return err
		}
		row := unmeasured(cell)
		row.Test = float64(test3) / (runs * images)
		rows, at = append(rows, row), append(at, line)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := hashRows(ctx, rows); err != nil {
		return nil, err
	}
	for i := 1; i < len(rows); i++ {
		if bytes.Compare(rows[i-1].Hash[:], rows[i].Hash[:]) >= 0 {
			return nil, fmt.Errorf("line %d: the cell %v is out of order or there twice: its hash is %x after %x",
				at[i], rows[i].Cell, rows[i].Hash, rows[i-1].Hash)
		}
	}
	return rows, nil
}

// readValidations adds to rows what the second file knows of some of them: the
// number of validation images that one run classified correctly after each number
// of epochs, and the seconds that 108 epochs took.
func readValidations(ctx context.Context, r io.Reader, rows []Row) error {
	columns := []string{"row", "hash", "val4", "val12", "val36", "val108", "train_seconds_108"}
	measured := make([]bool, len(rows))
	return eachLine(ctx, r, columns, func(_ int, field []string) error {
		i, err := whole("row", field[0], len(rows)-1)
		if err != nil {
			return err
		}
		hash, err := parseHash(field[1])
		if err != nil {
			return err
		}
		row := &rows[i]
		if row.Hash != hash {
			return fmt.Errorf("row %d is the cell %v with the hash %x, not %s", i, row.Cell, row.Hash, field[1])
		}
		if measured[i] {
			return fmt.Errorf("row %d is there twice", i)
		}
		measured[i] = true
		for e := range Epochs {
			hits, err := whole(columns[2+e], field[2+e], images)
			if err != nil {
				return err
			}
			row.Validation[e] = float64(hits) / images
		}
		if row.Seconds, err = strconv.ParseFloat(field[6], 64); err != nil {
			return fmt.Errorf("%s: %q is not a number", columns[6], field[6])
		}
		return checkSeconds(row.Seconds)
	})
}

// eachLine calls add with the named columns of each line after the first, which
// must name them, and says which line its error is about.
func eachLine(ctx context.Context, r io.Reader, columns []string, add func(line int, field []string) error) error {
	text := newMeter(r)
	lines := csv.NewReader(text)
	lines.ReuseRecord = true
	header, err := lines.Read()
	if err == io.EOF {
		err = errors.New("there is no header")
	}
	if err != nil {
		return fmt.Errorf("line 1: %w", cutShort(err))
	}
	columnAt := make([]int, len(columns))
	for k, name := range columns {
		if columnAt[k] = slices.Index(header, name); columnAt[k] < 0 {
			return fmt.Errorf("line 1: the column %s is missing", name)
		}
	}
	field := make([]string, len(columns))
	for line := 2; ; line++ {
		if err := polled(ctx, line, line); err != nil {
			return err
		}
		text.left = maxItem
		record, err := lines.Read()
		if err == io.EOF {
			return nil
		}
		at := line // if nothing better is known
		if malformed, ok := errors.AsType[*csv.ParseError](err); ok {
			at, err = malformed.Line, malformed.Err // which does not repeat the line
		} else if err == nil {
			at, _ = lines.FieldPos(0)
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", at, cutShort(err))
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

// whole reads a whole number from 0 to most.
func whole(name, text string, most int) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, fmt.Errorf("%s: %.40q is not a whole number", name, text)
	}
	if n < 0 || n > most {
		return 0, fmt.Errorf("%s: %d is not between 0 and %d", name, n, most)
	}
	return n, nil
}
