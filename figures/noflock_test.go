//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ctnas/ctnas/ctnaslib/rundir"
)

// noLocksVariable makes the program one on whose file systems nothing can be locked.
const noLocksVariable = "CTNAS_TEST_NO_LOCKS"

func init() {
	if os.Getenv(noLocksVariable) == "" {
		return
	}
	if err := withoutLocks(); err != nil {
		fmt.Fprintln(os.Stderr, "no locks cannot be had:", err)
		os.Exit(75)
	}
}

// withoutLocks lets flock, and fcntl's locks, fail in this process and those that it starts, as on a file system that
// does not have them.
func withoutLocks() error {
	const (
		number, command = 0, 24 // in seccomp's data: of the system call, its second argument
		load            = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		equal           = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		allow, refuse   = 0x7fff0000, 0x00050000 | uint32(unix.ENOLCK)
	)
	filter := []unix.SockFilter{
		{Code: load, K: number},
		{Code: equal, K: unix.SYS_FLOCK, Jt: 7},
		{Code: equal, K: unix.SYS_FCNTL, Jf: 5},
		{Code: load, K: command},
		{Code: equal, K: unix.F_SETLK, Jt: 4},
		{Code: equal, K: unix.F_SETLKW, Jt: 3},
		{Code: equal, K: unix.F_OFD_SETLK, Jt: 2},
		{Code: equal, K: unix.F_OFD_SETLKW, Jt: 1},
		{Code: unix.BPF_RET, K: allow},
		{Code: unix.BPF_RET, K: refuse},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	const setFilter, allThreads = 1, 1
	if _, _, errno := unix.Syscall(unix.SYS_SECCOMP, setFilter, allThreads, uintptr(unsafe.Pointer(&program))); errno != 0 {
		return errno
	}
	file, err := os.CreateTemp("", "locked")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX); err != unix.ENOLCK {
		return fmt.Errorf("flock still answers %v", err)
	}
	return nil
}

// Where nothing can be locked by flock, two processes that run the same units at the same time make the table of one,
// and do no step twice.
func TestWithoutFlock(t *testing.T) {
	asProgram(t)
	args := func(more ...string) []string { return append(more, append(smallTable1, "table1")...) }
	mustProgram(t, args("-runs", "whole")...)
	t.Setenv(noLocksVariable, "1")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var both [2]*exec.Cmd
	var said [2]strings.Builder
	for i, part := range []string{"1/1", "6,5,4,3,2,1"} {
		verb := "-part"
		if i == 1 {
			verb = "-only"
		}
		both[i] = exec.Command(self, args("-runs", "runs", verb, part)...)
		both[i].Stderr = &said[i]
		if err := both[i].Start(); err != nil {
			t.Fatal(err)
		}
	}
	for i := range both {
		if err := both[i].Wait(); err != nil {
			if both[i].ProcessState.ExitCode() == 75 {
				t.Skipf("NOT TESTED WITHOUT FLOCK: %s", said[i].String())
			}
			t.Errorf("%v\n%s", err, said[i].String())
		}
	}
	mustProgram(t, args("-runs", "runs", "-collect")...)
	if got, want := without(t, "runs/small/table1/result.json"), without(t, "whole/small/table1/result.json"); got != want {
		t.Errorf("the parts make\n%s\none process made\n%s", got, want)
	}
	logs, err := filepath.Glob("runs/*/metrics.jsonl")
	if err != nil || len(logs) == 0 {
		t.Fatal("nothing was logged", err)
	}
	for _, path := range logs {
		metrics, err := rundir.ReadMetrics(filepath.Dir(path))
		if err != nil {
			t.Error(err)
		}
		for i, m := range metrics {
			if m.Step != i {
				t.Errorf("%s has step %d in the place of step %d", path, m.Step, i)
			}
		}
	}
}
