package datasets

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"github.com/ctnas/ctnas/ctnaslib/rundir"
)

// ExportJSON writes a real table as nasbench101/nas_bench.json, in the form of [NASBench101.WriteJSON], into a folder that
// CTNAS_DATA may name, "" for this one, and returns the file's path. The file is written whole or not at all. The error
// says that the table is not the real one, which no file may be taken for, that the folder has a NAS-Bench-101 table
// already, or that ctx ended.
func (t *NASBench101) ExportJSON(ctx context.Context, folder string, all ...Option) (path string, err error) {
	o, err := collect(all)
	if err != nil {
		return "", err
	}
	if t.source.Kind != Real {
		return "", fmt.Errorf("datasets: %s cannot be written as %s, which would be taken for the published measurements; open the real table", t.source, jsonFile)
	}
	if folder, err = filepath.Abs(folder); err != nil {
		return "", fmt.Errorf("datasets: %w", err)
	}
	if _, err := os.Stat(folder); !errors.Is(err, fs.ErrNotExist) {
		there, err := locateIn(folder)
		if err != nil {
			return "", fmt.Errorf("datasets: cannot export into %s: %w", folder, err)
		}
		if there.files != nil {
			return "", fmt.Errorf("datasets: %s is in %s already, and is left as it is; export into another folder", there.names()[0], filepath.Dir(there.files[0]))
		}
	}
	path = filepath.Join(folder, nasbenchFolder, jsonFile)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", fmt.Errorf("datasets: %w", err)
	}
	err = rundir.WriteStream(path, func(w io.Writer) error { return t.writeJSON(watched(ctx, jsonFile, o.progress), w) })
	if err != nil {
		return "", fmt.Errorf("datasets: %w", err)
	}
	return path, nil
}

// WriteJSON writes the table in the format of the authors' nas_bench.json, which their code and [OpenNASBench101] read: a
// list with an object for each cell, in ascending order of hash. The test accuracy is the table's, the mean of three runs;
// the validation accuracy is the table's after 108 epochs, the only budget of this format, and it and the training time are
// null where the table has none. Their code can draw only cells that have one, and ranks among all. The errors are w's and ctx's.
func (t *NASBench101) WriteJSON(ctx context.Context, w io.Writer) error {
	if err := t.writeJSON(ctx, w); err != nil {
		return fmt.Errorf("datasets: writing %s: %w", jsonFile, err)
	}
	return nil
}

func (t *NASBench101) writeJSON(ctx context.Context, w io.Writer) error {
	before := "[\n"
	for i := range t.rows {
		if i%poll == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			report(ctx, Writing, int64(i), int64(len(t.rows)))
		}
		object, err := json.Marshal(t.rows[i].object())
		if err != nil {
			return err
		}
		if _, err := w.Write(append([]byte(before), object...)); err != nil {
			return err
		}
		before = ",\n"
	}
	report(ctx, Writing, int64(len(t.rows)), int64(len(t.rows)))
	_, err := io.WriteString(w, "\n]\n")
	return err
}

// object returns the cell as it is in the authors' file.
func (r *Row) object() jsonRow {
	known := func(number float64) *float64 {
		if math.IsNaN(number) {
			return nil
		}
		return &number
	}
	return jsonRow{
		Matrix: r.Cell.Matrix(), Ops: r.Cell.OpNames(), Params: new(int64(r.Cell.Params())), Hash: fmt.Sprintf("%x", r.Hash),
		Seconds: known(r.Seconds), Validation: known(r.Validation[last]), Test: &r.Test,
	}
}
