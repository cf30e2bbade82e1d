package space_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
)

// A benchmark from a CSV file of labels of one's own.
func ExampleReadTable() {
	table, err := space.ReadTable(nasbench101.Space{}, "proxy", strings.NewReader("architecture,accuracy\n101:A,0.931\n101:M,0.842\n"))
	if err != nil {
		fmt.Println(err)
		return
	}
	archs, err := table.Sample(rand.New(rand.NewPCG(1, 1)), 2)
	fmt.Println(len(archs), "architectures", err)

	cell, _ := nasbench101.Parse("101:A")
	fmt.Println(table.Validation(cell))

	other, _ := nasbench101.Parse("101:B")
	_, err = table.Validation(other)
	fmt.Println(err, errors.Is(err, space.ErrNotQueryable))

	_, err = space.ReadTable(nasbench101.Space{}, "proxy", strings.NewReader("architecture,accuracy\n101:A,93.1\n"))
	fmt.Println(err)
	// Output:
	// 2 architectures <nil>
	// 0.931 <nil>
	// space: no label for 101:B: the benchmark has no accuracy of this architecture true
	// space: line 2 of the table: the accuracy 93.1 of 101:A is not in [0, 1]; divide percent by 100
}

// Asking for the same architecture again does not count.
func ExampleCount() {
	table, _ := space.ReadTable(nasbench101.Space{}, "proxy", strings.NewReader("architecture,accuracy\n101:A,0.931\n101:M,0.842\n"))
	counted := space.Count(table)
	cell, _ := nasbench101.Parse("101:A")
	for range 3 {
		if _, err := counted.Validation(cell); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println(counted.Queries())
	// Output: 1
}
