package rundir

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
)

// machine tells this machine, since it was started, and this container on it from others: processes of the same
// machine see each other's PIDs.
var machine = sync.OnceValue(func() string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	space, spaceErr := os.Readlink("/proc/self/ns/pid")
	if err != nil || spaceErr != nil {
		host, _ := os.Hostname()
		return host
	}
	return strings.TrimSpace(string(boot)) + " " + space
})

// born returns when a process started, in the system's ticks, "" where that cannot be found out and for one that has
// ended, be it still known to its parent.
func born(pid int) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	const state, start = 0, 19 // fields after the name, which ends in the last bracket
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) <= start || bytes.ContainsAny(fields[state], "ZXx") {
		return ""
	}
	return string(fields[start])
}

// alive says whether a process of this machine runs.
func alive(pid int, since string) bool {
	if since != "" {
		return born(pid) == since
	}
	process, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	err = process.Signal(syscall.Signal(0))
	return err == nil || errors.Is(err, syscall.EPERM)
}

// Job returns the job that this process is part of, as the batch system Slurm names it in $SLURM_JOB_ID and the
// variables of array jobs, such as "1234" or "1234_7"; "" for none.
func Job() string {
	if array, task := os.Getenv("SLURM_ARRAY_JOB_ID"), os.Getenv("SLURM_ARRAY_TASK_ID"); array != "" && task != "" {
		return array + "_" + task
	}
	return os.Getenv("SLURM_JOB_ID")
}
