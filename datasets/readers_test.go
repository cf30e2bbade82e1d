package datasets

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/ctnas/ctnas/datasets/internal/lines"
)

func TestReadTFRecord(t *testing.T) {
	tempCache(t)
	checkRows(t, mustOpen(t, only108Fixture).rows, 108)
	checkRows(t, mustOpen(t, fullFixture).rows, 4, 12, 36, 108)
}

func TestReadJSON(t *testing.T) {
	tempCache(t)
	checkRows(t, mustOpen(t, jsonFixture).rows, 108)
}

func TestReadCSV(t *testing.T) {
	tempCache(t)
	tests, validations := csvPair(t)
	rows := mustOpen(t, writeCSV(t, zip(t, tests), zip(t, validations))).rows
	for i, w := range expected(t) {
		row := rows[i]
		if row.Cell.String() != w.Cell || fmt.Sprintf("%x", row.Hash) != w.Hash || row.Test != float64(w.TestHits)/(3*9984) {
			t.Errorf("row %d is %v, want %v", i, row, w)
		}
		if i != 1 && i != 4 && i != 5 {
			for k := 1; k < columns; k++ {
				if !math.IsNaN(*row.number(k)) {
					t.Errorf("row %d has the validation accuracies %v and takes %v s", i, row.Validation, row.Seconds)
				}
			}
			continue
		}
		for e := range Epochs {
			if want := float64(1000*(e+1)+i) / 9984; row.Validation[e] != want {
				t.Errorf("row %d: validation accuracies %v, want %v for %d epochs", i, row.Validation, want, Epochs[e])
			}
		}
		if row.Seconds != 100.5 {
			t.Errorf("row %d: %v seconds, want 100.5", i, row.Seconds)
		}
	}
}

// The accuracies are single-precision: three equal sums must be equal means.
func TestExact(t *testing.T) {
	a := (float64(float32(9000./9984)) + float64(float32(9001./9984)) + float64(float32(9300./9984))) / 3
	b := (float64(float32(9300./9984)) + float64(float32(9002./9984)) + float64(float32(8999./9984))) / 3
	if exact(a) != exact(b) || exact(a) != 27301./(3*9984) {
		t.Errorf("exact gives %v and %v", exact(a), exact(b))
	}
	if got := exact(0.91234); got != 0.91234 {
		t.Errorf("exact(0.91234) = %v", got)
	}
}

// Each byte of a TFRecord file is under a checksum.
func TestTFRecordFlippedByte(t *testing.T) {
	data := content(t, only108Fixture)
	for i := 0; i < len(data); i += 5 {
		flipped := bytes.Clone(data)
		flipped[i] ^= 1 << (i % 8)
		if _, err := readTFRecord(context.Background(), bytes.NewReader(flipped)); err == nil {
			t.Fatalf("a flipped bit in byte %d was not seen", i)
		}
	}
	data[500] ^= 4
	_, err := open(t, write(t, only108File, data))
	wantError(t, err, only108File, "record 2", "checksum", "get it again")
}

func TestTFRecordTruncated(t *testing.T) {
	data := content(t, only108Fixture)
	for cut := 1; cut < len(data); cut += 11 {
		rows, err := readTFRecord(context.Background(), bytes.NewReader(data[:cut]))
		if err == nil && len(rows) == 8 {
			t.Fatalf("a file cut at byte %d was not seen", cut)
		}
	}
	_, err := open(t, write(t, only108File, data[:len(data)-100]))
	wantError(t, err, only108File, "record 24", "middle", "get it again")
	if !strings.Contains(err.Error(), "unexpected EOF") {
		t.Errorf("error %v", err)
	}
}

// frame makes a record of data.
func frame(data []byte) []byte {
	record := binary.LittleEndian.AppendUint64(nil, uint64(len(data)))
	record = binary.LittleEndian.AppendUint32(record, maskedSum(record))
	record = append(record, data...)
	return binary.LittleEndian.AppendUint32(record, maskedSum(data))
}

// metrics makes a ModelMetrics whose evaluations all have the given accuracies.
func metrics(evaluations int, params uint64, validation, test float64) []byte {
	var data, message []byte
	for number, v := range map[protowire.Number]float64{evaluationSeconds: 10, evaluationValidation: validation, evaluationTest: test} {
		data = protowire.AppendTag(data, number, protowire.Fixed64Type)
		data = protowire.AppendFixed64(data, math.Float64bits(v))
	}
	for range evaluations {
		message = protowire.AppendTag(message, metricsEvaluation, protowire.BytesType)
		message = protowire.AppendBytes(message, data)
	}
	message = protowire.AppendTag(message, metricsParams, protowire.VarintType)
	return protowire.AppendVarint(message, params)
}

func TestTFRecordErrors(t *testing.T) {
	const hash, params = "043721b9c7fe8c5fad811d47d83132ec", 882570
	good := metrics(3, params, 0.5, 0.5)
	record := func(fields ...any) []byte {
		data, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		return frame(data)
	}
	right := record(hash, 108, "0100", "input,output", good)
	other := strings.Replace(hash, "0", "1", 1)

	for name, test := range map[string]struct {
		file []byte
		want string
	}{
		"not JSON":         {frame([]byte("hello")), "record 1: it is not a run"},
		"an object":        {frame([]byte("{}")), "record 1: it is not a run"},
		"4 fields":         {record(hash, 108, "0100", "input,output"), "4 fields"},
		"6 fields":         {record(hash, 108, "0100", "input,output", good, 1), "6 fields"},
		"200 epochs":       {record(hash, 200, "0100", "input,output", good), "200 epochs"},
		"short hash":       {record(hash[2:], 108, "0100", "input,output", good), "not a module hash"},
		"not square":       {record(hash, 108, "010", "input,output", good), "not a square"},
		"cyclic":           {record(hash, 108, "0110", "input,output", good), "cycle"},
		"unknown op":       {record(hash, 108, "010001000", "input,dense,output", good), `unknown operation "dense"`},
		"8 vertices":       {record(hash, 108, strings.Repeat("0", 64), "input,output", good), "this one has 8"},
		"not base64":       {record(hash, 108, "0100", "input,output", "?"), "base64"},
		"not a protobuf":   {record(hash, 108, "0100", "input,output", []byte{0xff, 0xff}), "not a protobuf"},
		"2 evaluations":    {record(hash, 108, "0100", "input,output", metrics(2, params, 0.5, 0.5)), "2 evaluations"},
		"parameters":       {record(hash, 108, "0100", "input,output", metrics(3, params+1, 0.5, 0.5)), "882570 parameters, not 882571"},
		"test in percent":  {record(hash, 108, "0100", "input,output", metrics(3, params, 0.5, 50)), "test accuracy 50"},
		"validation NaN":   {record(hash, 108, "0100", "input,output", metrics(3, params, math.NaN(), 0.5)), "validation accuracy NaN"},
		"wrong hash":       {bytes.Repeat(record(other, 108, "0100", "input,output", good), 3), "record 1: the cell 1: has the hash " + hash},
		"2 runs":           {bytes.Repeat(right, 2), "2 runs of 108 epochs"},
		"4 runs":           {bytes.Repeat(right, 4), "record 4: the cell 1: has more than 3"},
		"only 36 epochs":   {bytes.Repeat(record(hash, 36, "0100", "input,output", good), 3), "0 runs of 108 epochs"},
		"two cells of one": {append(bytes.Clone(right), record(hash, 108, "010001000", "input,maxpool3x3,output", metrics(3, uint64(parse(t, "101:M").Params()), 0.5, 0.5))...), "record 2: the cell is 101:M, but record 1"},
		"huge record":      {frame(make([]byte, maxRecord+1)), "more than a run"},
		"another benchmark": {
			record("|avg_pool_3x3~0|", 200, "0100", "input,output", good), "200 epochs"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := open(t, write(t, only108File, test.file))
			wantError(t, err, only108File, "record", test.want, "get it again")
		})
	}
}

func TestJSONErrors(t *testing.T) {
	text := string(content(t, jsonFixture))
	second := strings.Index(text, ", {\"matrix\"")
	replace := func(old, new string) string {
		if !strings.Contains(text, old) {
			t.Fatalf("the fixture has no %s", old)
		}
		return strings.Replace(text, old, new, 1)
	}
	for name, test := range map[string]struct{ text, want string }{
		"empty":       {"", "not a JSON list"},
		"an object":   {"{}", "not a JSON list"},
		"numbers":     {"[1, 2]", "cell 1"},
		"truncated":   {text[:len(text)-40], "cell 8: the file ends in the middle"},
		"no end":      {text[:second], "after cell 1"},
		"no test":     {replace(`"test_accuracy"`, `"accuracy"`), "cell 1: one of"},
		"no time":     {replace(`"training_time"`, `"time"`), "cell 1: one of"},
		"no accuracy": {replace(`"validation_accuracy"`, `"accuracy"`), "cell 1: one of"},
		"null test":   {replace(`"test_accuracy": 0.`, `"test_accuracy": null, "x": 0.`), "cell 1: one of"},
		"list":        {replace(`"validation_accuracy": 0.`, `"validation_accuracy": [], "x": 0.`), "cell 1: validation_accuracy cannot be a array"},
		"percent":     {replace(`"validation_accuracy": 0.`, `"validation_accuracy": 91.`), "cell 1: the validation accuracy 91"},
		"parameters":  {replace(`"n_params": 882570`, `"n_params": 882571`), "882570 parameters, not 882571"},
		"hash":        {replace(`"hash_": "0437`, `"hash_": "0438`), "cell 1: the cell 1: has the hash 0437"},
		"not a hash":  {replace(`"hash_": "0437`, `"hash_": "xyz`), "not a module hash"},
		"operation":   {replace(`"maxpool3x3"`, `"dense"`), `cell 3: nasbench101: vertex 1: unknown operation "dense"`},
		"cycle":       {replace(`[[0, 1], [0, 0]]`, `[[0, 1], [1, 0]]`), "cell 1: nasbench101: the graph has a cycle"},
		"twice":       {text[:second] + ", " + text[1:], "cell 2: it is the same as cell 1"},
		"word":        {replace(`"n_params": 882570`, `"n_params": "many"`), "cell 1"},
		"NaN":         {replace(`"test_accuracy": 0.`, `"test_accuracy": NaN, "x": 0.`), "cell 1: it is not JSON, which has no NaN or Infinity"},
		"infinite":    {replace(`"test_accuracy": 0.`, `"test_accuracy": 1e999, "x": 0.`), "cell 1: test_accuracy cannot be a number 1e999"},
		"negative":    {replace(`"test_accuracy": 0.`, `"test_accuracy": -0.`), "cell 1: the test accuracy -0."},
		"more":        {text + " []", "after cell 8: the file goes on after the list"},
		"more lists":  {text + "{", "after cell 8: the file goes on after the list"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := open(t, write(t, jsonFile, []byte(test.text)))
			wantError(t, err, jsonFile, test.want, "get it again")
		})
	}
}

func TestCSVErrors(t *testing.T) {
	tests, validations := csvPair(t)
	replace := func(text, old, new string) string {
		if !strings.Contains(text, old) {
			t.Fatalf("the fixture has no %s", old)
		}
		return strings.Replace(text, old, new, 1)
	}
	lines := strings.SplitAfter(tests, "\n")
	swapped := lines[0] + lines[2] + lines[1] + strings.Join(lines[3:], "")
	first := strings.Split(validations, "\n")[1]

	for name, test := range map[string]struct{ tests, validations, file, want string }{
		"empty":            {"", validations, testFile, "line 1: there is no header"},
		"no ops":           {replace(tests, "ops", "nodes"), validations, testFile, "the column ops is missing"},
		"short line":       {replace(tests, lines[3], "1,2\n"), validations, testFile, "line 4: wrong number of fields"},
		"edges":            {replace(tests, "\n1,", "\n2,"), validations, testFile, "line 2: nasbench101: edge digit 0"},
		"letters":          {replace(tests, "BAMB", "BAXB"), validations, testFile, "line 3: nasbench101: unknown operation"},
		"word":             {replace(tests, ",882570,", ",many,"), validations, testFile, `line 2: params: "many" is not a whole number`},
		"parameters":       {replace(tests, ",882570,", ",882571,"), validations, testFile, "line 2: the cell 1: has 882570 parameters, not 882571"},
		"accuracy":         {replace(tests, ",17209\n", ",29953\n"), validations, testFile, "line 2: test3: 29953 is not between 0 and 29952"},
		"negative":         {replace(tests, ",17209\n", ",-1\n"), validations, testFile, "line 2: test3: -1"},
		"order":            {swapped, validations, testFile, "line 3: the cell"},
		"twice":            {replace(tests, lines[1], lines[1]+lines[1]), validations, testFile, "line 3: the cell 1: is out of order or there twice"},
		"no val36":         {tests, replace(validations, "val36", "val37"), validationFile, "the column val36 is missing"},
		"row":              {tests, replace(validations, "\n1,", "\n423624,"), validationFile, "line 2: row: 423624 is not between 0 and 423623"},
		"cut off":          {tests, replace(validations, "\n1,", "\n8,"), testFile, "it has 8 rows, but val_sample.csv.gz has labels of row 8"},
		"other row":        {tests, replace(validations, "\n1,", "\n2,"), validationFile, "line 2: row 2 is the cell"},
		"hash":             {tests, replace(validations, "\n1,1c4b", "\n1,1c4c"), validationFile, "line 2: row 1 is the cell"},
		"not a hash":       {tests, replace(validations, "\n1,1c4b", "\n1,xyz"), validationFile, "line 2: \"xyz"},
		"row twice":        {tests, validations + first + "\n", validationFile, "line 5: row 1 is there twice"},
		"validation":       {tests, replace(validations, ",4001,", ",9985,"), validationFile, "line 2: val108: 9985"},
		"seconds":          {tests, replace(validations, "100.5", "soon"), validationFile, `line 2: train_seconds_108: "soon"`},
		"blank lines":      {replace(tests, "\n", "\n\n\n")[:len(lines[0])+2] + lines[1] + "\r\n1,2\n", validations, testFile, "line 6: wrong number of fields"},
		"twice, further":   {replace(tests, lines[1], "\n"+lines[1]+"\n"+lines[1]), validations, testFile, "line 5: the cell 1: is out of order or there twice"},
		"quote":            {replace(tests, lines[3], "\"1,2\n"), validations, testFile, "line "},
		"NaN":              {replace(tests, ",17209\n", ",NaN\n"), validations, testFile, `line 2: test3: "NaN" is not a whole number`},
		"NaN seconds":      {tests, replace(validations, "100.5", "NaN"), validationFile, "line 2: the training time NaN"},
		"negative seconds": {tests, replace(validations, "100.5", "-1"), validationFile, "line 2: the training time -1"},
		"infinite seconds": {tests, replace(validations, "100.5", "Inf"), validationFile, "line 2: the training time +Inf"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := open(t, writeCSV(t, zip(t, test.tests), zip(t, test.validations)))
			wantError(t, err, test.file, test.want, "get it again")
		})
	}
}

// What Windows, spreadsheets and archivers make of the files changes nothing.
func TestTextsAsTheyAre(t *testing.T) {
	tempCache(t)
	tests, validations := csvPair(t)
	want := mustOpen(t, writeCSV(t, zip(t, tests), zip(t, validations))).rows
	same := func(what, path string) {
		t.Helper()
		rows := mustOpen(t, path).rows
		if len(rows) != len(want) || slices.IndexFunc(rows, func(r Row) bool { return r.Test < 0 }) >= 0 {
			t.Errorf("%s: %d rows", what, len(rows))
		}
		for i := range rows {
			if rows[i].Hash != want[i].Hash || rows[i].Test != want[i].Test {
				t.Errorf("%s: row %d is %v, want %v", what, i, rows[i], want[i])
			}
		}
	}
	windows := func(s string) string { return "\ufeff" + strings.ReplaceAll(s, "\n", "\r\n") }
	same("Windows", writeCSV(t, zip(t, windows(tests)), zip(t, windows(validations))))
	half := len(tests) / 2
	same("two parts", writeCSV(t, append(zip(t, tests[:half]), zip(t, tests[half:])...), zip(t, validations)))
	same("unpacked", writeCSV(t, []byte(tests), []byte(windows(validations))))
	same("blank lines", writeCSV(t, zip(t, strings.ReplaceAll(tests, "\n", "\n\n")), zip(t, validations)))
	folder := t.TempDir()
	for name, text := range map[string]string{"test108.csv": tests, "val_sample.csv": validations} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	same("unpacked, without .gz", folder)
	same("one of the unpacked", filepath.Join(folder, "val_sample.csv"))

	want = mustOpen(t, jsonFixture).rows
	same("JSON of Windows", write(t, jsonFile, []byte(windows(string(content(t, jsonFixture))))))
}

// endless goes on with the same text after a start.
type endless struct {
	start io.Reader
	text  string
	read  int
}

func (e *endless) Read(p []byte) (int, error) {
	if n, err := e.start.Read(p); err == nil {
		return n, nil
	}
	n := 0
	for n < len(p) {
		n += copy(p[n:], e.text)
	}
	e.read += n
	return n, nil
}

// A line or a cell that never ends is not collected in memory.
func TestEndless(t *testing.T) {
	for _, test := range []struct {
		start, text, want string
		read              func(io.Reader) error
	}{
		{"edges,ops,params,test3\n1,", "x", "line 2: it has more than 1048576 bytes", func(r io.Reader) error { _, err := readTests(context.Background(), r); return err }},
		{"edges,ops,params,test3\n", "\n", "line 2: it has more than 1048576 bytes", func(r io.Reader) error { _, err := readTests(context.Background(), r); return err }},
		{`[{"hash_": "`, "x", "cell 1: it has more than 1048576 bytes", func(r io.Reader) error { _, err := readJSON(context.Background(), r); return err }},
	} {
		r := &endless{start: strings.NewReader(test.start), text: test.text}
		if err := test.read(r); err == nil || err.Error() != test.want || r.read > 2*lines.MaxItem {
			t.Errorf("after %d bytes of %q: error %v, want %q", r.read, test.text, err, test.want)
		}
	}
}

// A damaged gz file is an error, unless the damage is in what gzip does not use.
func TestCSVDamaged(t *testing.T) {
	text, validations := csvPair(t)
	tests := zip(t, text)
	want, err := readTests(context.Background(), strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for i := range tests {
		flipped := bytes.Clone(tests)
		flipped[i] ^= 0x10
		err := lines.Unzipped(func(r io.Reader) error {
			rows, err := readTests(context.Background(), r)
			if err == nil && !slices.EqualFunc(rows, want, func(a, b Row) bool { return a.Hash == b.Hash && a.Test == b.Test }) {
				t.Fatalf("a flipped bit in byte %d was not seen", i)
			}
			return err
		})(bytes.NewReader(flipped))
		if err == nil && i >= 10 {
			t.Fatalf("a flipped bit in byte %d was not seen", i)
		}
	}
	_, err = open(t, writeCSV(t, tests[:len(tests)-10], zip(t, validations)))
	wantError(t, err, testFile, "the file ends in the middle of it: unexpected EOF", "get it again")
	_, err = open(t, writeCSV(t, tests[:5], zip(t, validations)))
	wantError(t, err, testFile, "gzip: the file ends in the middle", "get it again")
	_, err = open(t, writeCSV(t, append(bytes.Clone(tests), "more than a header"...), zip(t, validations)))
	wantError(t, err, testFile, "line 10: gzip: invalid header", "get it again")
	_, err = open(t, writeCSV(t, nil, zip(t, validations)))
	wantError(t, err, testFile, "empty", "get it again")
}

func TestReadersStop(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	tests, validations := csvPair(t)
	folder := writeCSV(t, zip(t, tests), zip(t, validations))
	for _, o := range []origin{
		{[]string{only108Fixture}, readTFRecordFile},
		{[]string{jsonFixture}, readJSONFile},
		{[]string{filepath.Join(folder, testFile), filepath.Join(folder, validationFile)}, readCSVFiles},
	} {
		_, err := o.read(ctx, o.files)
		wantError(t, err, "stopped reading", filepath.Base(o.files[0]))
		if !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "damaged") {
			t.Errorf("error %v, want one of the cancelled context", err)
		}
	}
	if _, err := OpenNASBench101(ctx, only108Fixture); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want one of the cancelled context", err)
	}
}
