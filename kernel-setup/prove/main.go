// Prove trains a comparator for a few steps on a backend and on pure Go, side by side, and fails if a loss differs by
// more than 1e-4. Kernel-setup builds it and runs it on each plugin before notebooks may use that: in a process of its
// own, because a bad plugin can end the process that loads it.
//
//	prove -backend xla:cpu
//
// The backend is named as in $GOMLX_BACKEND; its plugin is looked for in $PJRT_PLUGIN_LIBRARY_PATH. What is wrong is the
// line on stderr that begins with "prove: ".
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/measure/steps"
)

func main() {
	config := flag.String("backend", "xla", "the backend to compare with pure Go, as in $GOMLX_BACKEND")
	flag.Parse()
	if err := prove(*config); err != nil {
		fmt.Fprintln(os.Stderr, "prove:", err)
		os.Exit(1)
	}
}

func prove(config string) error {
	pureGo, err := engine.OpenConfig("go")
	if err != nil {
		return err
	}
	other, err := engine.OpenConfig(config)
	if err != nil {
		return err
	}
	d, err := steps.Training("Quick", comparator.Quick()).Compare(pureGo, other)
	if err != nil {
		return err
	}
	fmt.Printf("%s and %s differ by %.1e in a loss\n", engine.Describe(other), engine.Describe(pureGo), d.Difference)
	return nil
}
