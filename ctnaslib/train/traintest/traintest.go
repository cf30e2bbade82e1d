// Package traintest kills a training or a search, as a machine that goes down does, for the tests that it leads to the same in the
// end.
package traintest

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

// rootVariable names, in the environment of a test process that is to be killed, the folder to work in.
const rootVariable = "CTNAS_TEST_KILLED_ROOT"

// Root returns the folder in which a test works that was started by [Kill], and then returns at once; it is empty in
// the test that calls Kill.
func Root() string { return os.Getenv(rootVariable) }

// Kill starts the calling test in processes of its own, one after the other, with [Root] as their folder, and kills
// each after a delay, which is to grow with the number of kills before it, until one gets through. It returns how many
// were killed, and fails the test if none was, or if a process ends with an error.
func Kill(t *testing.T, root string, delay func(kills int) time.Duration) (kills int) {
	t.Helper()
	for ; ; kills++ {
		child := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
		child.Env = append(os.Environ(), rootVariable+"="+root)
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		kill := time.AfterFunc(delay(kills), func() { child.Process.Kill() })
		err := child.Wait()
		if inTime := kill.Stop(); !inTime && err != nil {
			continue // it was killed
		}
		if err != nil {
			t.Fatalf("after %d kills: %v", kills, err)
		}
		if t.Logf("killed %d times", kills); kills == 0 {
			t.Error("it was never killed")
		}
		return kills
	}
}
