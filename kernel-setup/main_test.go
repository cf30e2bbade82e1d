package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ctnas/ctnas/internal/install"
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

// Help is shown for a verb alone, whatever else is asked for, and nothing is done.
func TestHelp(t *testing.T) {
	r := install.Repo(installtest.Repo(t))
	t.Chdir(string(r))
	installtest.Path(t, nil)
	for args, want := range map[string]string{
		"run -h": "run NOTEBOOK", "run a.ipynb -h": "run NOTEBOOK", "run --help": "run NOTEBOOK", "lab -h": "lab [JupyterLab", "lab --no-browser --help": "lab [JupyterLab",
		"lab -help": "lab [JupyterLab", "install -h": "install [-user]", "install -user -h": "install [-user]", "check -h": "check\n", "data -h": "data [NAME",
		"reset -h": "reset [-edits]", "uninstall -yes -h": "uninstall [-yes]", "help reset": "reset [-edits]",
	} {
		var out bytes.Buffer
		if err := dispatch(t.Context(), strings.Fields(args), &out); err != nil {
			t.Errorf("%s: %v", args, err)
		}
		if text := out.String(); !strings.HasPrefix(text, "Usage:\n  go run ./kernel-setup "+want) || strings.Contains(text, "Needs Go") {
			t.Errorf("%s shows\n%s", args, text)
		}
	}
	for _, args := range []string{"", "-h", "--help", "help", "help fly"} {
		var out bytes.Buffer
		if err := dispatch(t.Context(), strings.Fields(args), &out); err != nil || out.String() != usage {
			t.Errorf("%q shows %s (%v)", args, &out, err)
		}
	}
	if _, err := os.Stat(r.Private()); !errors.Is(err, os.ErrNotExist) {
		t.Error("help has installed something")
	}
}

// Ctrl-C ends a question at once, and nothing is changed.
func TestInterruptedQuestion(t *testing.T) {
	r := install.Repo(installtest.Repo(t))
	t.Chdir(string(r))
	t.Setenv("JUPYTER_DATA_DIR", t.TempDir())
	installtest.Write(t, r.Private("bin", "gonb"), "")
	ctx, cancel := context.WithCancel(t.Context())
	waits, _ := io.Pipe()
	ended := make(chan error)
	go func() { ended <- uninstallVerb(nil, interruptible{ctx, waits}, io.Discard) }()
	cancel()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("an interrupted question gave no error")
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the question still waits")
	}
	if _, err := os.Stat(r.Private("bin", "gonb")); err != nil {
		t.Error(err)
	}
	var answer bytes.Buffer
	if _, err := io.Copy(&answer, interruptible{t.Context(), strings.NewReader("yes\n")}); err != nil || answer.String() != "yes\n" {
		t.Errorf("read %q (%v)", &answer, err)
	}
}
