package datasets

import (
	"bytes"
	"context"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/ctnas/ctnas/datasets/internal/lines"
)

// checkFuzzed looks for rows that no reader may let through.
func checkFuzzed(t *testing.T, rows []Row) {
	t.Helper()
	for i, row := range rows {
		if row.Cell.Hash() != row.Hash || !(row.Test >= 0 && row.Test <= 1) || row.Seconds < 0 {
			t.Fatalf("row %d is %v", i, row)
		}
		for _, v := range row.Validation {
			if v < 0 || v > 1 {
				t.Fatalf("row %d has validation accuracies %v", i, row.Validation)
			}
		}
	}
}

func FuzzTFRecord(f *testing.F) {
	data := content(f, only108Fixture)
	f.Add(data[:1000]) // two records and a half
	f.Add(frame([]byte("[]")))
	f.Fuzz(func(t *testing.T, data []byte) {
		if rows, err := readTFRecord(context.Background(), bytes.NewReader(data)); err == nil {
			checkFuzzed(t, rows)
		}
	})
}

// The content of one record, three times with the right checksums.
func FuzzTFRecordContent(f *testing.F) {
	records := recordReader{r: bytes.NewReader(content(f, fullFixture))}
	for range 20 {
		record, err := records.next()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(bytes.Clone(record))
	}
	f.Fuzz(func(t *testing.T, record []byte) {
		if rows, err := readTFRecord(context.Background(), bytes.NewReader(bytes.Repeat(frame(record), 3))); err == nil {
			checkFuzzed(t, rows)
		}
	})
}

func FuzzMetrics(f *testing.F) {
	f.Add(metrics(3, 882570, 0.25, 0.75))
	f.Add(metrics(2, 1<<63, math.NaN(), -1))
	f.Fuzz(func(t *testing.T, message []byte) {
		parseMetrics(message) // must not panic
	})
}

func FuzzJSON(f *testing.F) {
	text := string(content(f, jsonFixture))
	f.Add(text)
	f.Add(text[:strings.Index(text, ", {")] + "]")
	f.Add("\ufeff" + strings.Replace(text, "0.", "NaN, \"x\": 0.", 1))
	f.Add(`[{"matrix": [[0, 1], [0]], "ops": null}]`)
	f.Add(strings.NewReplacer(`"validation_accuracy": 0.`, `"validation_accuracy": null, "x": 0.`, `"training_time": `, `"training_time": null, "y": `).Replace(text))
	f.Fuzz(func(t *testing.T, text string) {
		rows, err := readJSON(context.Background(), strings.NewReader(text))
		if err != nil {
			return
		}
		checkFuzzed(t, rows)
		var written bytes.Buffer
		if err := newNASBench101(rows, Source{}).WriteJSON(context.Background(), &written); err != nil {
			t.Fatal(err)
		}
		again, err := readJSON(context.Background(), &written)
		if err != nil {
			t.Fatal(err)
		}
		sameRows(t, again, rows)
	})
}

func FuzzCSV(f *testing.F) {
	tests, validations := csvPair(f)
	f.Add(tests, validations)
	f.Add("\ufeff"+strings.ReplaceAll(tests, "\n", "\r\n\r\n"), validations)
	f.Add(string(zip(f, tests)), string(zip(f, validations)[:20]))
	f.Add("test3,params,ops,edges\n17209,882570,,1\n", "row,hash,val4,val12,val36,val108,train_seconds_108\n")
	f.Fuzz(func(t *testing.T, tests, validations string) {
		var rows []Row
		err := lines.Unzipped(func(r io.Reader) (err error) {
			rows, err = readTests(context.Background(), r)
			return err
		})(strings.NewReader(tests))
		if err == nil {
			err = lines.Unzipped(func(r io.Reader) error { return readValidations(context.Background(), r, rows) })(strings.NewReader(validations))
		}
		if err == nil {
			checkFuzzed(t, rows)
		}
	})
}

// A cache file of any content under the right seal.
func FuzzCache(f *testing.F) {
	rows, err := readTFRecord(context.Background(), bytes.NewReader(content(f, fullFixture)))
	if err != nil {
		f.Fatal(err)
	}
	data, err := encodeTable("stamp", Source{Kind: Real, Description: "few cells"}, rows[:1])
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		stamp, source, rows, err := decodeTable(data)
		if err != nil {
			return
		}
		data, err = encodeTable(stamp, source, rows)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, again, err := decodeTable(data); err != nil || len(again) != len(rows) {
			t.Fatalf("%d rows were written and %d read back: %v", len(rows), len(again), err)
		}
	})
}
