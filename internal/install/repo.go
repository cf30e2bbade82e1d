package install

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"

	"github.com/google/renameio/v2"
)

const modulePath = "github.com/ctnas/ctnas"

// Repo is the absolute path of the root folder of this repository.
type Repo string

// FindRepo walks up from dir to the go.mod of this module.
func FindRepo(dir string) (Repo, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	for at := dir; ; at = filepath.Dir(at) {
		mod, err := os.ReadFile(filepath.Join(at, "go.mod"))
		if err == nil && moduleOf(mod) == modulePath {
			return Repo(at), nil
		}
		if at == filepath.Dir(at) {
			return "", fmt.Errorf("%s is not inside the repository of %s: change to its folder first", dir, modulePath)
		}
	}
}

var (
	moduleLine = regexp.MustCompile(`(?m)^module\s+(\S+)`)
	goLine     = regexp.MustCompile(`(?m)^go\s+(\S+)`)
)

// moduleOf returns the module path that a go.mod declares.
func moduleOf(mod []byte) string {
	if m := moduleLine.FindSubmatch(mod); m != nil {
		return string(m[1])
	}
	return ""
}

// Path returns the absolute path of something in the repository.
func (r Repo) Path(elem ...string) string {
	return filepath.Join(append([]string{string(r)}, elem...)...)
}

// Private returns the absolute path of something that kernel-setup installed.
func (r Repo) Private(elem ...string) string {
	return r.Path(append([]string{".ctnas"}, elem...)...)
}

// Rel shortens a path for the reader: relative to the repository where it lies inside.
func (r Repo) Rel(path string) string {
	if rel, err := filepath.Rel(string(r), path); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return path
}

// writeFile writes a file in one move, and only where its content changes.
func writeFile(path string, content []byte) error { return writeWithMode(path, content, 0o644) }

// writeProgram is [writeFile] for what can be started.
func writeProgram(path string, content []byte) error { return writeWithMode(path, content, 0o755) }

func writeWithMode(path string, content []byte, mode os.FileMode) error {
	old, err := os.ReadFile(path)
	info, infoErr := os.Stat(path)
	switch {
	case err == nil && infoErr == nil && bytes.Equal(old, content) && info.Mode().Perm()&0o111 == mode&0o111:
		return nil
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return renameio.WriteFile(path, content, mode, renameio.WithStaticPermissions(mode), renameio.WithTempDir(filepath.Dir(path)))
}

// hash returns a short digest of what a step of the set-up depends on.
func hash(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s\n", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil))[:32]
}
