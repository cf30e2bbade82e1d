package space_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
)

// A table is read as it stands; what is wrong with a line is said with its number.
func TestReadTable(t *testing.T) {
	s := nasbench101.Space{}
	table, err := space.ReadTable(s, "proxy", strings.NewReader("run,accuracy,architecture\n1,0.9,101:A\n2,1,101:M\n3,0.9,101:A\n"))
	if err != nil || table.Len() != 2 || table.Source() != "proxy" {
		t.Fatalf("%d architectures, %v", table.Len(), err)
	}
	other, err := space.ReadTable(s, "proxy", strings.NewReader("architecture,accuracy\n101:A,0.9\n101:M,0.99\n"))
	if err != nil || other.Version() == table.Version() || space.Identity(other) == space.Identity(table) {
		t.Errorf("tables of other labels have the versions %q and %q, %v", table.Version(), other.Version(), err)
	}
	if space.Identity(space.Count(table)) != space.Identity(table) {
		t.Error("a table that counts is taken for another")
	}
	marked, err := space.ReadTable(s, "proxy", strings.NewReader("\ufeffarchitecture,note,note,accuracy\r\n101:A,,,0.9\r\n"))
	if err != nil || marked.Len() != 1 {
		t.Errorf("a table as spreadsheets write it: %v", err)
	}
	for text, want := range map[string]string{
		"": "it has no first line",
		"architecture,accuracy,accuracy\n101:A,0.9,0.1\n": "the columns 2 and 3 of the table are both called accuracy",
		"cell,accuracy\n101:A,0.9\n":                      "columns called architecture and accuracy",
		"architecture,accuracy\n101:A\n":                  "cannot read the table",
		"architecture,accuracy\n101:A,0.9\n101:Z,0.9\n":   "line 3",
		"architecture,accuracy\n101:A,high\n":             `line 2 of the table: the accuracy "high" is not a number`,
		"architecture,accuracy\n101:A,93.5\n":             "divide percent by 100",
		"architecture,accuracy\n101:A,NaN\n":              "not in [0, 1]",
		"architecture,accuracy\n101:A,0.9\n101:A,0.8\n":   "line 3 of the table: 101:A has the accuracy 0.8, but 101:A, which is the same architecture, has 0.9",
		"architecture,accuracy\n101:A,0.9\n\"101:M,0.8\n": "cannot read the table",
	} {
		if _, err := space.ReadTable(s, "proxy", strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: error %v, want one line with %q", text, err, want)
		}
	}
	if _, err := table.Sample(rand.New(rand.NewPCG(1, 1)), 3); err == nil || !strings.Contains(err.Error(), "has 2 architectures") {
		t.Errorf("three of two: error %v", err)
	}
}

// Failed queries and repeated ones do not count.
func TestCount(t *testing.T) {
	table, err := space.ReadTable(nasbench101.Space{}, "proxy", strings.NewReader("architecture,accuracy\n101:A,0.9\n101:M,0.8\n"))
	if err != nil {
		t.Fatal(err)
	}
	counted := space.Count(table)
	for _, text := range []string{"101:A", "101:B", "101:A", "101:M"} {
		cell, _ := nasbench101.Parse(text)
		if _, err := counted.Validation(cell); (text == "101:B") != errors.Is(err, space.ErrNotQueryable) {
			t.Errorf("%s: error %v", text, err)
		}
	}
	if counted.Queries() != 2 {
		t.Errorf("%d queries, want 2", counted.Queries())
	}
}

// Choices are distinct, and each number is as likely at each place.
func TestChoose(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	var counts [3][5]int
	const draws = 20_000
	for range draws {
		chosen, err := space.Choose(rng, 5, 3)
		if err != nil {
			t.Fatal(err)
		}
		if sorted := slices.Sorted(slices.Values(chosen)); len(slices.Compact(sorted)) != 3 {
			t.Fatalf("%v repeats", chosen)
		}
		for place, i := range chosen {
			counts[place][i]++
		}
	}
	for place := range counts {
		for i, n := range counts[place] {
			if n < draws/5-400 || n > draws/5+400 { // 7 standard deviations
				t.Errorf("%d was drawn %d times at place %d, want about %d", i, n, place, draws/5)
			}
		}
	}
	for _, n := range []int{-1, 6} {
		if _, err := space.Choose(rng, 5, n); err == nil {
			t.Errorf("%d of 5 is no error", n)
		}
	}
}
