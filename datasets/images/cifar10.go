package images

import (
	"fmt"
	"image"
	"slices"
	"strings"

	"github.com/ctnas/ctnas/datasets"
)

// The files of the binary version of CIFAR-10. A batch is a sequence of records: a
// byte with the label, and 32 rows of 32 bytes for red, then for green, then for blue.
const (
	cifarMeta   = "batches.meta.txt" // the names of the classes, one in a line
	testBatch   = "test_batch.bin"
	batchSuffix = ".bin"

	cifarSide  = 32
	planeSize  = cifarSide * cifarSide
	recordSize = 1 + 3*planeSize
)

var trainBatches = []string{"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"}

// What CIFAR-10 has.
const (
	cifar10Train = 50_000
	cifar10Test  = 10_000
)

var cifar10Classes = []string{"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"}

// cifar10Normalization is the mean and deviation over the training images.
var cifar10Normalization = Normalization{Mean: [3]float64{0.4914, 0.4822, 0.4465}, Std: [3]float64{0.2470, 0.2435, 0.2616}}

// isBatch says whether a file of this name is taken for a batch.
func isBatch(name string) bool {
	return strings.Contains(name, "_batch") && strings.HasSuffix(name, batchSuffix)
}

// otherCIFAR returns what a folder with these files has that is not read, or nothing: the
// versions for Python and MATLAB, and CIFAR-100.
func otherCIFAR(has func(name string) bool) string {
	switch {
	case has("data_batch_1") || has("batches.meta"):
		return "the version of CIFAR-10 for Python"
	case has("data_batch_1.mat"):
		return "the version of CIFAR-10 for MATLAB"
	case has("train.bin") && has("test.bin"), has(trainPart) && has(testPart) && has("meta"), has("train.mat") && has("test.mat"):
		return "CIFAR-100"
	}
	return ""
}

// readCIFAR10 reads the binary version, whole.
func readCIFAR10(file func(name string) ([]byte, error)) (*Set, error) {
	set, err := readRecords(file)
	if err == nil && !set.isCIFAR10() {
		err = fmt.Errorf("there are %s, but CIFAR-10 has 5,000 and 1,000 in each of its 10 classes, get it again", set.contents())
	}
	return set, err
}

// readRecords reads files laid out as the binary version, of any number of records.
func readRecords(file func(name string) ([]byte, error)) (*Set, error) {
	meta, err := file(cifarMeta)
	if err != nil {
		return nil, err
	}
	classes := strings.Fields(string(meta))
	train, err := readBatches(file, len(classes), trainBatches...)
	if err != nil {
		return nil, err
	}
	test, err := readBatches(file, len(classes), testBatch)
	if err != nil {
		return nil, err
	}
	source := datasets.Source{Kind: datasets.Real, Description: "real CIFAR-10"}
	return &Set{classes, train, test, cifar10Normalization, source}, nil
}

// readBatches reads the records of several batches, one after the other.
func readBatches(file func(name string) ([]byte, error), classes int, names ...string) (Images, error) {
	var labels []int32
	var records [][]byte
	for _, name := range names {
		data, err := file(name)
		if err != nil {
			return Images{}, err
		}
		if len(data) == 0 || len(data)%recordSize != 0 {
			return Images{}, fmt.Errorf("%s has %s bytes, which is not a number of records of %s bytes; it is damaged, get it again",
				name, thousands(len(data)), thousands(recordSize))
		}
		for record := range slices.Chunk(data, recordSize) {
			if int(record[0]) >= classes {
				return Images{}, fmt.Errorf("%s: record %d has label %d, but %s names %d classes; one of them is damaged, get it again",
					name, len(records), record[0], cifarMeta, classes)
			}
			labels = append(labels, int32(record[0]))
			records = append(records, record)
		}
	}
	return Images{labels, func(i int) (image.Image, error) { return recordImage(records[i]), nil }}, nil
}

// recordImage returns the image of a record.
func recordImage(record []byte) *image.RGBA {
	m := image.NewRGBA(image.Rect(0, 0, cifarSide, cifarSide))
	for i := range planeSize {
		for c := range 3 {
			m.Pix[4*i+c] = record[1+c*planeSize+i]
		}
		m.Pix[4*i+3] = 0xff
	}
	return m
}
