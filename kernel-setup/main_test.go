package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/ctnas/ctnas/internal/install/installtest"
)

func TestDispatch(t *testing.T) {
	var out bytes.Buffer
	if err := dispatch(t.Context(), nil, &out); err != nil || !strings.Contains(out.String(), "run NOTEBOOK") {
		t.Errorf("no verb: %v, %q", err, &out)
	}
	for args, want := range map[string]string{
		"fly":                 `unknown verb "fly"`,
		"install now":         "no arguments",
		"run":                 "needs a notebook",
		"run none.ipynb":      "no notebook none.ipynb",
		"run a.ipynb b.ipynb": "no notebook a.ipynb",
		"run a.ipynb -x":      "-x",
		"run -timeout 1ms a":  "a second or more",
	} {
		installtest.WantError(t, dispatch(t.Context(), strings.Fields(args), &out), want)
	}
}
