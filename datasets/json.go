package datasets

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
	"github.com/ctnas/ctnas/datasets/internal/lines"
)

func readJSONFile(ctx context.Context, files []string) (rows []Row, err error) {
	err = readFile(files[0], func(r io.Reader) error {
		rows, err = readJSON(ctx, r)
		return err
	})
	return rows, err
}

// jsonRow is a cell in the authors' file. What was not measured is null in the file and nil here; where the file lacks it, it
// stays NaN. Params and Test must be known, so nil says that one of them is missing.
type jsonRow struct {
	Matrix     [][]int  `json:"matrix"`
	Ops        []string `json:"ops"`
	Params     *int64   `json:"n_params"`
	Seconds    *float64 `json:"training_time"`
	Validation *float64 `json:"validation_accuracy"`
	Test       *float64 `json:"test_accuracy"`
	Hash       string   `json:"hash_"`
}

// readJSON reads the authors' format: a list with one object for each cell. The
// list is read piece by piece, never as a whole.
func readJSON(ctx context.Context, r io.Reader) ([]Row, error) {
	var rows []Row
	var claimed [][16]byte
	first := make(map[[16]byte]int)

	text := lines.NewMeter(r)
	list := json.NewDecoder(text)
	open, err := list.Token()
	if err == nil && open != json.Delim('[') {
		err = fmt.Errorf("it starts with %v", open)
	}
	if err != nil {
		return nil, fmt.Errorf("it is not a JSON list of cells: %w", lines.CutShort(err))
	}
	for number := 1; ; number++ {
		text.Left = lines.MaxItem
		if !list.More() {
			break
		}
		if len(rows) == nasbench101.NumCells {
			return nil, fmt.Errorf("cell %d: %w", number, errTooMany)
		}
		if err := polled(ctx, number, len(rows)); err != nil {
			return nil, err
		}
		object := jsonRow{Seconds: new(math.NaN()), Validation: new(math.NaN())}
		if err := list.Decode(&object); err != nil {
			return nil, fmt.Errorf("cell %d: %w", number, notJSON(err))
		}
		row, err := object.row()
		if err != nil {
			return nil, fmt.Errorf("cell %d: %w", number, err)
		}
		if earlier, known := first[row.Hash]; known {
			return nil, fmt.Errorf("cell %d: it is the same as cell %d", number, earlier)
		}
		first[row.Hash] = number
		rows = append(rows, row)
		claimed = append(claimed, row.Hash)
	}
	if _, err := list.Token(); err != nil {
		return nil, fmt.Errorf("after cell %d: the list does not end: %w", len(rows), notJSON(err))
	}
	if _, err := list.Token(); err != io.EOF {
		return nil, fmt.Errorf("after cell %d: the file goes on after the list of cells", len(rows))
	}
	if err := hashRows(ctx, rows); err != nil {
		return nil, err
	}
	if i, err := checkHashes(rows, claimed); err != nil {
		return nil, fmt.Errorf("cell %d: %w", i+1, err)
	}
	return rows, nil
}

// notJSON says in words what is wrong with a cell.
func notJSON(err error) error {
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("%s cannot be a %s", cmp.Or(e.Field, "it"), e.Value)
	}
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("it is not JSON, which has no NaN or Infinity: %w", e)
	}
	return lines.CutShort(err)
}

// row checks everything about the cell but its hash.
func (o jsonRow) row() (Row, error) {
	missing := func(number *float64) bool { return number != nil && math.IsNaN(*number) }
	if o.Params == nil || missing(o.Seconds) || missing(o.Validation) || o.Test == nil {
		return Row{}, errors.New("one of n_params, training_time, validation_accuracy and test_accuracy is missing")
	}
	cell, err := nasbench101.New(o.Matrix, o.Ops)
	if err != nil {
		return Row{}, err
	}
	row := unmeasured(cell)
	if row.Hash, err = parseHash(o.Hash); err != nil {
		return Row{}, err
	}
	if err := checkParams(cell, *o.Params); err != nil {
		return Row{}, err
	}
	row.Test = *o.Test
	if o.Validation != nil {
		row.Validation[last] = *o.Validation
	}
	if o.Seconds != nil {
		row.Seconds = *o.Seconds
	}
	if err := row.check(); err != nil {
		return Row{}, err
	}
	row.Validation[last], row.Test = exact(row.Validation[last]), exact(row.Test)
	return row, nil
}
