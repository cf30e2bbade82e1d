package notebook

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/ctnas/ctnas/internal/install/installtest"
)

// odd is a notebook of our kernel that nothing of Jupyter has written; oddNormal is what nbformat makes of it, with our kernel's description.
const (
	odd = `{"nbformat":4,"nbformat_minor":2,"cells":[{"metadata":{"trusted":true},"cell_type":"code","source":"a\u2028b\u0085c\r\nd\u000be<&>\u007f\u0001 \ud83d\ude00 \"q\\",` +
		`"outputs":[{"output_type":"display_data","data":{"text/html":"a\nb","image/png":"abc\n","application/json":{"a":["x"]},"image/svg+xml":["<svg>\n</svg>"],"text/plain":""},"metadata":{}},` +
		`{"output_type":"stream","name":"stdout","text":"x\fy"}]},{"cell_type":"markdown","source":["# ti\n","tle"],"outputs":[]}],` +
		`"metadata":{"numbers":[1.5e-7,1e-5,123456789.25,1e22,2.0,-0.50,true],"kernelspec":{"name":"ctnas"}}}`
	oddNormal = `{
 "cells": [
  {
   "cell_type": "code",
   "execution_count": null,
   "id": "cell-0",
   "metadata": {},
   "outputs": [
    {
     "data": {
      "application/json": {
       "a": [
        "x"
       ]
      },
      "image/png": "abc\n",
      "image/svg+xml": [
       "<svg>\n",
       "</svg>"
      ],
      "text/html": [
       "a\n",
       "b"
      ],
      "text/plain": []
     },
     "metadata": {},
     "output_type": "display_data"
    },
    {
     "name": "stdout",
     "output_type": "stream",
     "text": [
      "x\f",
      "y"
     ]
    }
   ],
   "source": [
    "a` + "\u2028" + `",
    "b` + "\u0085" + `",
    "c\r\n",
    "d\u000b",
    "e<&>` + "\x7f" + `\u0001 😀 \"q\\"
   ]
  },
  {
   "cell_type": "markdown",
   "id": "cell-1",
   "metadata": {},
   "source": [
    "# ti\n",
    "tle"
   ]
  }
 ],
 "metadata": {
  "kernelspec": {
   "display_name": "Go (CTNAS)",
   "language": "go",
   "name": "ctnas"
  },
  "language_info": {
   "codemirror_mode": "",
   "file_extension": ".go",
   "mimetype": "text/x-go",
   "name": "go",
   "nbconvert_exporter": "",
   "pygments_lexer": "go",
   "version": "go1.26"
  },
  "numbers": [
   1.5e-07,
   1e-05,
   123456789.25,
   1e+22,
   2,
   -0.5,
   true
  ]
 },
 "nbformat": 4,
 "nbformat_minor": 5
}
`
)

func TestNormal(t *testing.T) {
	for content, want := range map[string]string{
		odd:                       oddNormal,
		oddNormal:                 oddNormal,
		installtest.CleanNotebook: installtest.CleanNotebook,
		// A notebook of another kernel keeps what it says of its language.
		`{"nbformat":4,"nbformat_minor":5,"cells":[],"metadata":{"language_info":{"name":"python"}}}`: "{\n \"cells\": [],\n \"metadata\": {\n  \"language_info\": {\n   \"name\": \"python\"\n  }\n },\n \"nbformat\": 4,\n \"nbformat_minor\": 5\n}\n",
	} {
		if got, err := Normal([]byte(content)); err != nil || string(got) != want {
			t.Errorf("%s\n became\n%s (%v)\nwant\n%s", content, got, err, want)
		}
	}
	_, err := Normal([]byte(`{"nbformat": 3}`))
	installtest.WantError(t, err, "of format 3")
}

// What is in normal form stays as it is.
func FuzzNormal(f *testing.F) {
	for _, seed := range []string{odd, oddNormal, installtest.DirtyNotebook, "\ufeff" + installtest.DirtyNotebook, `{"nbformat":4,"cells":[{"cell_type":"code","id":7,"outputs":NaN,"source":[1]}]}`,
		`{"nbformat":4,"cells":[{"cell_type":"raw","id":"a"},{"cell_type":"code","id":"a","outputs":[1,{"data":{"text/html":[1]}},{"output_type":"stream"}]}],"metadata":[]}`, `[]`, ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, content string) {
		form, err := Normal([]byte(content))
		if err != nil {
			return
		}
		again, err := Normal(form)
		if err != nil || !bytes.Equal(again, form) {
			t.Errorf("%q became %q, and then %q (%v)", content, form, again, err)
		}
	})
}

// The committed notebooks, brought into normal form, are what nbformat writes. That needs Python with nbformat, as kernel-setup installs it.
func TestNormalIsNbformats(t *testing.T) {
	const script = `
import nbformat, os, sys
for name in os.listdir(sys.argv[1]):
    path = os.path.join(sys.argv[1], name)
    nbformat.write(nbformat.read(path, as_version=4), path)
`
	python, err := filepath.Abs("../../.ctnas/venv/bin/python")
	if err != nil {
		t.Fatal(err)
	}
	if exec.Command(python, "-c", "import nbformat").Run() != nil {
		t.Skip("kernel-setup has not installed Jupyter")
	}
	folder, forms := t.TempDir(), map[string][]byte{}
	for i, content := range append(committed(t), oddNormal) {
		form, err := Normal([]byte(content))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(folder, strconv.Itoa(i)+".ipynb")
		installtest.Write(t, path, string(form))
		forms[path] = form
	}
	if said, err := exec.Command(python, "-c", script, folder).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	for path, form := range forms {
		if got, err := Read(path); err != nil || !bytes.Equal(got, form) {
			t.Errorf("nbformat writes %.300q (%v), want %.300q", got, err, form)
		}
	}
}

// A new line may be one of many characters.
func TestLines(t *testing.T) {
	text := strings.Repeat("ab\u2028c\r\n", 50_000)
	if got := lines(text); len(got) != 100_000 || got[0] != "ab\u2028" || got[1] != "c\r\n" {
		t.Errorf("%d lines, the first are %q", len(got), got[:2])
	}
}
