package nb

import (
	"cmp"
	"fmt"
	"os"
	"strconv"
)

// Seed returns the seed of a notebook: $CTNAS_SEED, else otherwise. Environment variables are the parameters of notebooks,
// because papermill writes none for Go: CTNAS_SEED=7 papermill in.ipynb out.ipynb. A value that is no seed ends the cell.
func Seed(otherwise uint64) uint64 { return Must(seed(os.Getenv("CTNAS_SEED"), otherwise)) }

func seed(text string, otherwise uint64) (uint64, error) {
	if text == "" {
		return otherwise, nil
	}
	value, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("CTNAS_SEED is %q, but must be a whole number from 0 on", text)
	}
	return value, nil
}

// Preset returns the name of the size that a notebook runs at: $CTNAS_PRESET, else otherwise. What takes the name says
// which there are.
func Preset(otherwise string) string { return cmp.Or(os.Getenv("CTNAS_PRESET"), otherwise) }
