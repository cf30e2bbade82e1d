package jpyexec

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf8"
)

// writes keeps every write apart, as GoNB's messages are.
type writes [][]byte

func (w *writes) Write(p []byte) (int, error) {
	*w = append(*w, bytes.Clone(p))
	return len(p), nil
}

func TestCopyText(t *testing.T) {
	for _, text := range []string{
		"", "plain", "naïve 漢字 🐈\n", strings.Repeat("τ ± 漢 🐈", 10_000), strings.Repeat("x", 32<<10-1) + "🐈",
	} {
		for name, slow := range map[string]func(io.Reader) io.Reader{
			"at once": func(r io.Reader) io.Reader { return r }, "byte by byte": iotest.OneByteReader, "by halves": iotest.HalfReader, "with EOF": iotest.DataErrReader,
		} {
			var got writes
			if err := CopyText(&got, slow(strings.NewReader(text))); err != nil {
				t.Fatal(err)
			}
			if all := bytes.Join(got, nil); string(all) != text {
				t.Errorf("%s: %d bytes became %d others", name, len(text), len(all))
			}
			for _, w := range got {
				if !utf8.Valid(w) {
					t.Errorf("%s: a write of %q has half a character", name, w)
				}
			}
		}
	}
}

// What is no text arrives all the same, and no byte waits for ever.
func FuzzCopyText(f *testing.F) {
	for _, seed := range []string{"漢字", "\xff\xfe", "\xe6\xbc", "\xf0\x9f\x90", "a\x80\x80\x80\x80", "\xf8\x88\x80\x80\x80"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var got writes
		if err := CopyText(&got, iotest.OneByteReader(bytes.NewReader(text))); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(bytes.Join(got, nil), text) {
			t.Errorf("%q became %q", text, got)
		}
	})
}

func TestCopyTextFails(t *testing.T) {
	broken := errors.New("broken")
	if err := CopyText(io.Discard, iotest.ErrReader(broken)); err != broken {
		t.Errorf("reading gave %v", err)
	}
	r, w := io.Pipe()
	r.CloseWithError(broken)
	if err := CopyText(w, strings.NewReader("text")); err != broken {
		t.Errorf("writing gave %v", err)
	}
}

// TestMain plays the programs that the tests start.
func TestMain(m *testing.M) {
	switch os.Getenv("CTNAS_TEST_ROLE") {
	case "tied": // starts a tied program, and waits
		cmd := exec.Command("sleep", "60")
		defer Tie(cmd, syscall.SIGKILL)()
		cmd.Start()
		os.Stdout.WriteString(strconv.Itoa(cmd.Process.Pid) + "\n")
		time.Sleep(time.Minute)
	case "jupyter": // starts a kernel, and waits
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "CTNAS_TEST_ROLE=kernel", "JPY_PARENT_PID="+strconv.Itoa(os.Getpid()))
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		cmd.Stdout = os.Stdout
		cmd.Start()
		time.Sleep(time.Minute)
	case "kernel": // starts a program of its own, as a cell may
		signal.Ignore(os.Interrupt) // It is for the cell.
		cmd := exec.Command("sleep", "60")
		cmd.Start()
		os.Stdout.WriteString(strconv.Itoa(cmd.Process.Pid) + "\n")
		EndWithParent()
	default:
		os.Exit(m.Run())
	}
}

// A program that is killed takes with it what it has started.
func TestNoOrphans(t *testing.T) {
	for _, role := range []string{"tied", "jupyter"} {
		t.Run(role, func(t *testing.T) {
			if role == "tied" && runtime.GOOS != "linux" {
				t.Skip("only Linux can do it")
			}
			if _, err := exec.LookPath("sleep"); err != nil {
				t.Skip("there is no sleep command")
			}
			folder := t.TempDir()
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), "CTNAS_TEST_ROLE="+role, "GONB_TMP_DIR="+folder)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			line := make([]byte, 16)
			n, err := out.Read(line)
			if err != nil {
				t.Fatal(err)
			}
			started, err := strconv.Atoi(strings.TrimSpace(string(line[:n])))
			if err != nil {
				t.Fatal(err)
			}
			cmd.Process.Kill()
			cmd.Wait()
			deadline := time.Now().Add(20 * time.Second)
			for running(started) {
				if time.Now().After(deadline) {
					syscall.Kill(started, syscall.SIGKILL)
					t.Fatal("the program is still running")
				}
				time.Sleep(50 * time.Millisecond)
			}
			if _, err := os.Stat(folder); role == "jupyter" && err == nil {
				t.Error("the kernel's folder is still there")
			}
		})
	}
}

// running tells a process that runs from one that is gone or only waits to be collected.
func running(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil || !strings.Contains(string(stat), ") Z ")
}
