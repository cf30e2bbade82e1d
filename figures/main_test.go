package main

import (
	"strings"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/engine"
)

// A program knows the versions of the libraries that it was built with.
func TestVersions(t *testing.T) {
	backend, err := engine.Open()
	if err != nil {
		t.Fatal(err)
	}
	versions := engine.Versions(backend)
	if !strings.HasPrefix(versions["gomlx"], "v") || !strings.Contains(versions["backend"], "gomlx v") {
		t.Errorf("the versions are %v", versions)
	}
}
