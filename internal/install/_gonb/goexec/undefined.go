package goexec

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// undefinedName matches what the compiler says of a name that no cell has defined; of a name in a package it says more.
var undefinedName = regexp.MustCompile(`(?m): undefined: (\w+)$`)

// explained puts before the compiler's complaints what to do, where cells above have not been run, as after a restart.
func explained(complaints string) string {
	var names []string
	for _, match := range undefinedName.FindAllStringSubmatch(complaints, -1) {
		if !slices.Contains(names, match[1]) {
			names = append(names, match[1])
		}
	}
	if len(names) == 0 {
		return complaints
	}
	return fmt.Sprintf("Run the cells above first: no cell that has run since the kernel started defines %s.\n%s", strings.Join(names, ", "), complaints)
}
