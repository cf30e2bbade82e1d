package search

import (
	"os"
	"strings"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/internal/toy"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
)

// Whatever stands in the file of labels, it is an error that says what to delete, or a label can be
// added and read back.
func FuzzKeptLabels(f *testing.F) {
	f.Add("", true)
	f.Add("{\"id\":\"a\",\"arch\":\"b\",\"accuracy\":0.5}\n{\"id\":\"c\"", true)
	f.Add("{}\n", false)
	f.Fuzz(func(t *testing.T, text string, header bool) {
		root := t.TempDir()
		k, err := openKeptLabels(root, toy.Benchmark{})
		if err != nil {
			t.Fatal(err)
		}
		if header {
			text = k.header + "\n" + text
		}
		if err := os.WriteFile(k.path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if k, err = openKeptLabels(root, toy.Benchmark{}); err != nil {
			if !strings.Contains(err.Error(), k.path) || !strings.Contains(err.Error(), "delete") {
				t.Errorf("error %v", err)
			}
			return
		}
		cell := nasbench101.Space{}.All()[7]
		if err := k.add("an id", cell, 0.25, surelyComputed); err != nil {
			t.Fatal(err)
		}
		again, err := openKeptLabels(root, toy.Benchmark{})
		if err != nil {
			t.Fatal(err)
		}
		if accuracy, ok, err := again.find("an id"); accuracy != 0.25 || !ok || err != nil {
			t.Errorf("the label is %g, %v, %v", accuracy, ok, err)
		}
		for id, l := range k.known {
			if *again.known[id].Accuracy != *l.Accuracy && id != "an id" {
				t.Errorf("the label of %q is lost", id)
			}
		}
	})
}
