package datasets

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
	"github.com/ctnas/ctnas/datasets/internal/lines"
)

// readCSVFiles reads test108.csv.gz and val_sample.csv.gz, or what was unpacked of them.
func readCSVFiles(ctx context.Context, files []string) (rows []Row, err error) {
	err = readFile(files[0], lines.Unzipped(func(r io.Reader) error {
		rows, err = readTests(ctx, r)
		return err
	}))
	if err != nil {
		return nil, err
	}
	err = readFile(files[1], lines.Unzipped(func(r io.Reader) error { return readValidations(ctx, r, rows) }))
	var short cutOff
	if errors.As(err, &short) {
		return nil, badFile(files[0], short)
	}
	if err != nil {
		return nil, err
	}
	return rows, nil
}

// cutOff is the error of a file that lacks a row, of which the other knows something.
type cutOff struct{ rows, row int }

func (c cutOff) Error() string {
	return fmt.Sprintf("it has %d rows, but %s has labels of row %d", c.rows, validationFile, c.row)
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
		params, err := lines.Whole("params", field[2], 1<<31-1)
		if err != nil {
			return err
		}
		if err := checkParams(cell, int64(params)); err != nil {
			return err
		}
		test3, err := lines.Whole("test3", field[3], runs*images)
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
		i, err := lines.Whole("row", field[0], nasbench101.NumCells-1)
		if err != nil {
			return err
		}
		if i >= len(rows) {
			return cutOff{len(rows), i}
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
			hits, err := lines.Whole(columns[2+e], field[2+e], images)
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

// eachLine calls add as [lines.Each] does, says how far it is, and stops when ctx is done.
func eachLine(ctx context.Context, r io.Reader, columns []string, add func(line int, field []string) error) error {
	return lines.Each(r, columns, func(line int) error { return polled(ctx, line, line) }, add)
}
