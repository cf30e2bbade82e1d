package nn

import (
	"errors"
	"testing"
)

// The text is what the program of TestOutOfMemory gets from XLA's CPU plugin 0.11.2, by go-xla v0.4.1.
func TestOutOfMemoryText(t *testing.T) {
	if !outOfMemory(errors.New(`backend "xla": failed to execute computation "step": PJRT error (code=8): Out of memory allocating 12000000000000 bytes.`)) {
		t.Error("a device without memory is not seen")
	}
	if outOfMemory(errors.New("PJRT error (code=13): internal")) {
		t.Error("another error is taken for a device without memory")
	}
}
