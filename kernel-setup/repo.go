package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
)

const modulePath = "github.com/ctnas/ctnas"

// repo is the absolute path of the root folder of this repository.
type repo string

// findRepo walks up from dir to the go.mod of this module.
func findRepo(dir string) (repo, error) {
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
			return repo(at), nil
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

// path returns the absolute path of something in the repository.
func (r repo) path(elem ...string) string {
	return filepath.Join(append([]string{string(r)}, elem...)...)
}

// private returns the absolute path of something that kernel-setup installed.
func (r repo) private(elem ...string) string {
	return r.path(append([]string{".ctnas"}, elem...)...)
}

// rel shortens a path for the reader: relative to the repository where it lies inside.
func (r repo) rel(path string) string {
	if rel, err := filepath.Rel(string(r), path); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return path
}

// writeFile writes a file in one move, and only where its content changes.
func writeFile(path string, content []byte) error {
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, content) {
		return nil
	} else if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	part := path + ".part"
	if err := os.WriteFile(part, content, 0o644); err != nil {
		return err
	}
	return os.Rename(part, path)
}

// hash is a short digest of what a step of the set-up depends on.
func hash(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s\n", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil))[:32]
}
