package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/ctnas/ctnas/internal/install"
)

// committed is a notebook as the last commit has it.
type committed struct {
	path    string // absolute
	content []byte // nil of a link
	mode    os.FileMode
}

// errNoHistory is the error of readHistory where there is no git, or no commit.
var errNoHistory = errors.New("there is no history")

// readHistory returns the notebooks in the folder notebooks of the last commit, in the order of their names.
func readHistory(ctx context.Context, r install.Repo) ([]committed, error) {
	git := func(args ...string) ([]byte, error) {
		return exec.CommandContext(ctx, "git", append([]string{"-C", string(r)}, args...)...).Output()
	}
	tree, err := git("ls-tree", "-z", "HEAD", "notebooks/")
	if err != nil {
		return nil, errNoHistory
	}
	var all []committed
	for line := range bytes.SplitSeq(tree, []byte{0}) {
		about, path, _ := strings.Cut(string(line), "\t")
		mode, _, _ := strings.Cut(about, " ")
		f := committed{path: r.Path(filepath.FromSlash(path))}
		switch {
		case filepath.Ext(path) != ".ipynb":
			continue
		case mode == "120000":
			f.mode = os.ModeSymlink
			all = append(all, f)
			continue
		case mode == "100755":
			f.mode = 0o755
		case mode == "100644":
			f.mode = 0o644
		default:
			continue
		}
		if f.content, err = git("cat-file", "--filters", "HEAD:./"+path); err != nil { // with the line ends of this machine
			return nil, fmt.Errorf("git does not give %s of the last commit: %w", path, err)
		}
		all = append(all, f)
	}
	return all, nil
}
