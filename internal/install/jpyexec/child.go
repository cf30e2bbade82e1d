// Package jpyexec is how programs are started here so that they end with whoever started them.
//
// Its files are also compiled into GoNB, as part of GoNB's package of the same name, which runs
// the cells' programs; kernel-setup says where GoNB calls it. So it imports the standard library alone.
package jpyexec

import (
	"io"
	"os"
	"strconv"
	"syscall"
	"time"
	"unicode/utf8"
)

// A ProgramError says how a cell's program ended, if not well. GoNB answers with it, so that
// nothing that a program prints can be taken for it.
type ProgramError string

// Error returns what [os.ProcessState] says of the end, as in "exit status 1".
func (e ProgramError) Error() string { return string(e) }

// CopyText copies what src prints to dst as it comes, but never ends a write inside a character:
// GoNB makes a message of each write, and in JSON half a character is lost.
func CopyText(dst io.Writer, src io.Reader) error {
	buffer := make([]byte, 32<<10)
	kept := 0 // bytes of a character that is not complete
	for {
		n, err := src.Read(buffer[kept:])
		n += kept
		whole := n
		if err == nil {
			whole -= incomplete(buffer[:n])
		}
		if whole > 0 {
			if _, err := dst.Write(buffer[:whole]); err != nil {
				return err
			}
		}
		kept = copy(buffer, buffer[whole:n])
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// incomplete counts the bytes at the end of text that begin a character and lack its rest.
func incomplete(text []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(text); n++ {
		if last := text[len(text)-n:]; utf8.RuneStart(last[0]) {
			if utf8.FullRune(last) {
				return 0
			}
			return n
		}
	}
	return 0
}

// EndWithParent ends a kernel once the Jupyter that started it is gone, whatever ended that: it
// interrupts the cell, and then kills all that the kernel has started. Jupyter starts each kernel
// in a process group of its own, and names itself in JPY_PARENT_PID.
func EndWithParent() {
	parent, err := strconv.Atoi(os.Getenv("JPY_PARENT_PID"))
	if err != nil || syscall.Getpgrp() != os.Getpid() {
		return
	}
	for os.Getppid() == parent {
		time.Sleep(300 * time.Millisecond)
	}
	syscall.Kill(os.Getpid(), syscall.SIGINT) // GoNB passes it on to the cell.
	time.Sleep(time.Second)
	os.RemoveAll(os.Getenv("GONB_TMP_DIR")) // GoNB has set it, to where it compiles the cells.
	syscall.Kill(0, syscall.SIGKILL)
}
