package train

import (
	"fmt"

	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/space"
)

// Digest returns a short digest of labelled architectures in their order, for the keys of stored
// results.
func Digest(labelled []space.Labelled) string {
	lines := make([]string, len(labelled))
	for i, l := range labelled {
		lines[i] = fmt.Sprint(l.Arch, " ", l.Accuracy)
	}
	return rundir.Digest(lines)
}
