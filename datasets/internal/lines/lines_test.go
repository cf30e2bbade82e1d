package lines

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

// read returns the columns a and b of a table, line by line.
func read(text string) (string, error) {
	var all strings.Builder
	err := Unzipped(func(r io.Reader) error {
		return Each(r, []string{"a", "b"}, func(int) error { return nil }, func(line int, field []string) error {
			_, err := fmt.Fprintf(&all, "%d:%s,%s ", line, field[0], field[1])
			return err
		})
	})(strings.NewReader(text))
	return all.String(), err
}

func zipped(text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	io.WriteString(z, text)
	z.Close()
	return b.String()
}

func TestEach(t *testing.T) {
	for text, want := range map[string]string{
		"a,b\n1,2\n3,4\n":                    "2:1,2 3:3,4 ",
		"\ufeffb,x,a\r\n1,9,2\r\n\r\n3,9,4":  "2:2,1 4:4,3 ",
		zipped("a,b\n\"1\n1\",2\n3,4\n"):     "2:1\n1,2 4:3,4 ",
		zipped("a,b\n1,2\n") + zipped("3,4"): "2:1,2 3:3,4 ",
		"a,b\n":                              "",
	} {
		if got, err := read(text); got != want || err != nil {
			t.Errorf("%q is read as %q (%v), want %q", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"":                            "the file is empty",
		"\n":                          "line 1: there is no header",
		"a;b\n1;2\n":                  "line 1: the column a is missing",
		"a,b,a\n1,2,3\n":              "line 1: the column a is there twice",
		"a,b\n1,2\n3\n":               "line 3: wrong number of fields",
		"a,b\n1,\"2\n":                `line 2: extraneous or missing " in quoted-field`,
		zipped("a,b\n1,2\n")[:20]:     "the file ends in the middle of it",
		zipped("a,b\n1,2\n")[:4]:      "gzip: the file ends in the middle of it",
		zipped("a,b\n1,2\n") + "more": "the file ends in the middle",
		"\x1f\x8bno gzip at all":      "gzip: invalid header",
	} {
		if got, err := read(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is read as %q (%v), want the error %q", text, got, err, want)
		}
	}
	stop := errors.New("stop")
	if err := Each(strings.NewReader("a\n1\n"), []string{"a"}, func(int) error { return stop }, nil); err != stop {
		t.Errorf("the error of poll is %v", err)
	}
}

func TestWhole(t *testing.T) {
	if n, err := Whole("c", "7", 7); n != 7 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	for text, want := range map[string]string{"8": "c: 8 is not between 0 and 7", "-1": "c: -1 is not", "1.5": `c: "1.5" is not a whole number`, "": "c: "} {
		if _, err := Whole("c", text, 7); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q gives the error %v, want %q", text, err, want)
		}
	}
}
