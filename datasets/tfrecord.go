package datasets

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
	"github.com/ctnas/ctnas/datasets/internal/lines"
	"github.com/ctnas/ctnas/datasets/internal/wire"
)

func readTFRecordFile(ctx context.Context, files []string) (rows []Row, err error) {
	err = readFile(files[0], func(r io.Reader) error {
		rows, err = readTFRecord(ctx, r)
		return err
	})
	return rows, err
}

// readTFRecord reads the official format (google-research/nasbench,
// nasbench/api.py): each record is one training run of a cell, and each cell has
// three at each budget.
func readTFRecord(ctx context.Context, r io.Reader) ([]Row, error) {
	t := runTable{index: make(map[[16]byte]int)}
	records := recordReader{r: r}
	for number := 1; ; number++ {
		if err := polled(ctx, number, len(t.sums)); err != nil {
			return nil, err
		}
		record, err := records.next()
		if err == io.EOF {
			break
		}
		if err == nil {
			err = t.add(number, record)
		}
		if err != nil {
			return nil, fmt.Errorf("record %d: %w", number, err)
		}
	}
	rows := make([]Row, len(t.sums))
	for i := range t.sums {
		s := &t.sums[i]
		if err := s.divide(); err != nil {
			return nil, fmt.Errorf("record %d: %w", s.record, err)
		}
		rows[i] = s.row
	}
	if err := hashRows(ctx, rows); err != nil {
		return nil, err
	}
	if i, err := checkHashes(rows, t.claimed); err != nil {
		return nil, fmt.Errorf("record %d: %w", t.sums[i].record, err)
	}
	return rows, nil
}

// runTable collects runs by cell.
type runTable struct {
	sums    []runSum
	claimed [][16]byte       // their hashes, as the file says
	index   map[[16]byte]int // of these
}

// runSum is the sum of the runs of a cell.
type runSum struct {
	row    Row // accuracies and seconds are sums over the runs so far
	runs   [len(Epochs)]int
	record int // the first of this cell
}

func (t *runTable) add(number int, record []byte) error {
	run, err := parseRun(record)
	if err != nil {
		return err
	}
	i, known := t.index[run.hash]
	if !known {
		if len(t.sums) == nasbench101.NumCells {
			return errTooMany
		}
		i = len(t.sums)
		t.index[run.hash] = i
		t.sums = append(t.sums, runSum{row: Row{Cell: run.cell}, record: number})
		t.claimed = append(t.claimed, run.hash)
	}
	s := &t.sums[i]
	if s.row.Cell != run.cell && s.row.Cell.Hash() != run.cell.Hash() {
		return fmt.Errorf("the cell is %v, but record %d with its hash has %v", run.cell, s.record, s.row.Cell)
	}
	if s.runs[run.epochs] == runs {
		return fmt.Errorf("the cell %v has more than %d runs of %d epochs", run.cell, runs, Epochs[run.epochs])
	}
	s.runs[run.epochs]++
	s.row.Validation[run.epochs] += run.validation
	if run.epochs == last {
		s.row.Test += run.test
		s.row.Seconds += run.seconds
	}
	return nil
}

// divide makes the sums means.
func (s *runSum) divide() error {
	for e, n := range s.runs {
		switch {
		case n == runs:
			s.row.Validation[e] = exact(s.row.Validation[e] / runs)
		case n == 0 && e != last:
			s.row.Validation[e] = math.NaN()
		default:
			return fmt.Errorf("the cell %v has %d runs of %d epochs in the file, not %d", s.row.Cell, n, Epochs[e], runs)
		}
	}
	s.row.Test = exact(s.row.Test / runs)
	s.row.Seconds /= runs
	return nil
}

// recordReader takes a TFRecord file apart. A record is its length in 8 bytes, the
// checksum of these, the data, and the checksum of the data.
type recordReader struct {
	r    io.Reader
	data []byte
}

// The length of a record's head, and more than any record needs: the official ones
// have about 400 bytes.
const (
	headLength = 12
	maxRecord  = 1 << 20
)

// next gives the data of the next record, valid until the call after, or io.EOF
// after the last one.
func (t *recordReader) next() ([]byte, error) {
	var head [headLength]byte
	if _, err := io.ReadFull(t.r, head[:]); err == io.EOF {
		return nil, io.EOF
	} else if err != nil {
		return nil, lines.CutShort(err)
	}
	if !startsTFRecord(head[:]) {
		return nil, errors.New("the checksum of its length is wrong")
	}
	length := binary.LittleEndian.Uint64(head[:])
	if length > maxRecord {
		return nil, fmt.Errorf("it has %d bytes, more than a run of NAS-Bench-101 can have", length)
	}
	t.data = slices.Grow(t.data[:0], int(length)+4)[:length+4]
	if _, err := io.ReadFull(t.r, t.data); err != nil {
		return nil, lines.CutShort(err)
	}
	data, sum := t.data[:length], t.data[length:]
	if maskedSum(data) != binary.LittleEndian.Uint32(sum) {
		return nil, errors.New("the checksum of its data is wrong")
	}
	return data, nil
}

// startsTFRecord says whether start begins with the head of a record.
func startsTFRecord(start []byte) bool {
	return len(start) >= headLength && maskedSum(start[:8]) == binary.LittleEndian.Uint32(start[8:])
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// maskedSum returns the CRC-32C of data, rotated and shifted as TFRecord wants it.
func maskedSum(data []byte) uint32 {
	sum := crc32.Checksum(data, castagnoli)
	return (sum>>15 | sum<<17) + 0xa282ead8
}

// run is one training of a cell.
type run struct {
	hash   [16]byte // as the file claims
	cell   nasbench101.Cell
	epochs int // index in Epochs
	evaluation
}

// parseRun reads a record: a JSON list of the module hash, the number of epochs,
// the adjacency matrix as digits, the operations with commas between, and the
// metrics as a protobuf in base64.
func parseRun(record []byte) (run, error) {
	var (
		hash, adjacency, ops string
		epochs               int
		metrics              []byte
	)
	fields := []any{&hash, &epochs, &adjacency, &ops, &metrics}
	if err := json.Unmarshal(record, &fields); err != nil {
		return run{}, fmt.Errorf("it is not a run of NAS-Bench-101: %w", err)
	}
	if len(fields) != 5 {
		return run{}, fmt.Errorf("it is not a run of NAS-Bench-101: it has %d fields, not 5", len(fields))
	}
	r := run{epochs: slices.Index(Epochs[:], epochs)}
	if r.epochs < 0 {
		return run{}, fmt.Errorf("%d epochs are none of the benchmark's budgets %v", epochs, Epochs)
	}
	var err error
	if r.hash, err = parseHash(hash); err != nil {
		return run{}, err
	}
	if r.cell, err = parseAdjacency(adjacency, ops); err != nil {
		return run{}, err
	}
	var params int64
	if params, r.evaluation, err = parseMetrics(metrics); err != nil {
		return run{}, err
	}
	if err := checkParams(r.cell, params); err != nil {
		return run{}, err
	}
	return r, checkMeasured(r.validation, r.test, r.seconds)
}

// parseAdjacency reads a square matrix of digits, row by row.
func parseAdjacency(digits, ops string) (nasbench101.Cell, error) {
	n := int(math.Sqrt(float64(len(digits))))
	if n*n != len(digits) {
		return nasbench101.Cell{}, fmt.Errorf("the adjacency matrix has %d digits, which is not a square", len(digits))
	}
	matrix := make([][]int, n)
	for i := range matrix {
		matrix[i] = make([]int, n)
		for j := range matrix[i] {
			matrix[i][j] = int(digits[i*n+j]) - '0'
		}
	}
	return nasbench101.New(matrix, strings.Split(ops, ","))
}

// evaluation is the message EvaluationData of the benchmark's
// model_metrics.proto; what the protobuf leaves out is NaN.
type evaluation struct {
	seconds, validation, test float64
}

// The numbers of the fields that are read.
const (
	metricsEvaluation    = 1 // repeated EvaluationData
	metricsParams        = 2 // int32
	evaluationSeconds    = 2 // double
	evaluationValidation = 4 // double
	evaluationTest       = 5 // double
)

// parseMetrics reads the message ModelMetrics: the number of parameters, and the
// evaluation at the end of training, which is the third, after those at the
// beginning and half-way.
func parseMetrics(message []byte) (params int64, end evaluation, err error) {
	nan := math.NaN()
	end = evaluation{nan, nan, nan}
	count := 0
	err = wire.Fields(message, func(f wire.Field) error {
		switch {
		case f.Number == metricsParams && f.Kind == protowire.VarintType:
			params = f.Int()
		case f.Number == metricsEvaluation && f.Kind == protowire.BytesType:
			if count++; count == 3 {
				return end.parse(f.Bytes)
			}
		}
		return nil
	})
	if err != nil {
		return 0, end, fmt.Errorf("its metrics are not a protobuf: %w", err)
	}
	if count < 3 {
		return 0, end, fmt.Errorf("its metrics have %d evaluations, not 3", count)
	}
	return params, end, nil
}

func (e *evaluation) parse(message []byte) error {
	return wire.Fields(message, func(f wire.Field) error {
		switch {
		case f.Kind != protowire.Fixed64Type:
		case f.Number == evaluationSeconds:
			e.seconds = f.Float64()
		case f.Number == evaluationValidation:
			e.validation = f.Float64()
		case f.Number == evaluationTest:
			e.test = f.Float64()
		}
		return nil
	})
}
