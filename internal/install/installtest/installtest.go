// Package installtest has what the tests of the set-up, of its verbs and of notebooks share.
package installtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// CleanNotebook is a notebook that has not been run.
const CleanNotebook = `{
 "cells": [
  {
   "cell_type": "code",
   "execution_count": null,
   "id": "a",
   "metadata": {},
   "outputs": [],
   "source": [
    "%%\n",
    "x := 1 < 2 && 'ü' > 0.50"
   ]
  }
 ],
 "metadata": {},
 "nbformat": 4,
 "nbformat_minor": 5
}
`

// DirtyNotebook is [CleanNotebook] after it was run.
var DirtyNotebook = strings.NewReplacer(
	`"execution_count": null`, `"execution_count": 3`,
	`"outputs": []`, `"outputs": [{"name": "stdout", "output_type": "stream", "text": ["hello"]}]`,
).Replace(CleanNotebook)

// Repo makes an empty repository with a go.mod of our module, and returns its path.
func Repo(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	Write(t, filepath.Join(dir, "go.mod"), "module github.com/ctnas/ctnas\n\ngo 1.26.5\n")
	return dir
}

// Write writes a file that may be executed, and makes its folder.
func Write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
		t.Fatal(err)
	}
}

// Path makes a PATH that holds only these shell scripts, by name.
func Path(t *testing.T, scripts map[string]string) {
	t.Helper()
	dir := t.TempDir()
	for name, script := range scripts {
		Write(t, filepath.Join(dir, name), "#!/bin/sh\n"+script+"\n")
	}
	t.Setenv("PATH", dir)
}

// WantError checks that an error is one line and names what it should.
func WantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", parts)
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("error of several lines: %v", err)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("error %q does not mention %q", err, p)
		}
	}
}
