package datasets

import (
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

// readCSVFiles reads test108.csv.gz and val_sample.csv.gz.
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

func unzipped(read func(io.Reader) error) func(io.Reader) error {
	return func(r io.Reader) error {
		z, err := gzip.NewReader(r)
		if err == io.EOF {
			err = errors.New("the file is empty")
		}
		if err != nil {
			return err
		}
		return read(z)
	}
}

// readTests reads the table of all cells, with the columns edges, ops, params and
// test3, the sum over three runs of the number of test images classified
// correctly. Its rows must be in ascending order of hash.
func readTests(ctx context.Context, r io.Reader) ([]Row, error) {
	var rows []Row
	err := eachLine(ctx, r, []string{"edges", "ops", "params", "test3"}, func(field []string) error {
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
		rows = append(rows, row)
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
				i+2, rows[i].Cell, rows[i].Hash, rows[i-1].Hash)
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
	return eachLine(ctx, r, columns, func(field []string) error {
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
func eachLine(ctx context.Context, r io.Reader, columns []string, add func(field []string) error) error {
	lines := csv.NewReader(r)
	lines.ReuseRecord = true
	header, err := lines.Read()
	if err == io.EOF {
		err = errors.New("there is no header")
	}
	if err != nil {
		return fmt.Errorf("line 1: %w", err)
	}
	at := make([]int, len(columns))
	for k, name := range columns {
		if at[k] = slices.Index(header, name); at[k] < 0 {
			return fmt.Errorf("line 1: the column %s is missing", name)
		}
	}
	field := make([]string, len(columns))
	for line := 2; ; line++ {
		if err := polled(ctx, line, line); err != nil {
			return err
		}
		record, err := lines.Read()
		if err == io.EOF {
			return nil
		}
		var malformed *csv.ParseError
		if errors.As(err, &malformed) {
			err = malformed.Err // which does not repeat the line
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", line, err)
		}
		for k := range at {
			field[k] = record[at[k]]
		}
		if err := add(field); err != nil {
			return fmt.Errorf("line %d: %w", line, err)
		}
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
