package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Here says, by an error that wraps [ErrNoSlurm], that jobs cannot be submitted on this machine: Slurm is not installed,
// or does not answer.
func Here(ctx context.Context) error {
	for _, name := range []string{"sbatch", "squeue", "sinfo"} {
		if _, err := exec.LookPath(name); err != nil {
			return fmt.Errorf("cluster: %w (%s is not in $PATH)", ErrNoSlurm, name)
		}
	}
	if _, err := command(ctx, "sinfo", "-h"); err != nil {
		return fmt.Errorf("%w: %w", ErrNoSlurm, err)
	}
	return nil
}

// Keep copies a program to a folder, under a name that says what is in it: jobs go on with the program that they began
// with, whatever is built meanwhile. It returns the path of the copy.
func Keep(program, folder string) (string, error) {
	content, err := os.ReadFile(program)
	if err == nil {
		err = os.MkdirAll(folder, 0o755)
	}
	if err != nil {
		return "", fmt.Errorf("cluster: cannot copy the program for the jobs: %w", err)
	}
	sum := sha256.Sum256(content)
	path := filepath.Join(folder, filepath.Base(program)+"-"+hex.EncodeToString(sum[:6]))
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	file, err := os.CreateTemp(folder, ".program*")
	if err != nil {
		return "", fmt.Errorf("cluster: cannot copy the program for the jobs: %w", err)
	}
	defer os.Remove(file.Name())
	_, err = file.Write(content)
	if err = errors.Join(err, file.Chmod(0o755), file.Close()); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return "", fmt.Errorf("cluster: cannot copy the program for the jobs: %w", err)
	}
	return path, nil
}

// Build builds the Go program of a package, such as "../figures", with SIMD, and keeps it in a folder as [Keep] does.
// The error is the compiler's.
func Build(ctx context.Context, pkg, folder string) (string, error) {
	dir, err := os.MkdirTemp("", "ctnas-build")
	if err != nil {
		return "", fmt.Errorf("cluster: cannot build %s: %w", pkg, err)
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, filepath.Base(pkg))
	build := exec.CommandContext(ctx, "go", "build", "-o", program, pkg)
	build.Env = append(os.Environ(), "GOEXPERIMENT=simd")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("cluster: cannot build %s: %s (%w)", pkg, strings.Join(strings.Fields(string(out)), " "), err)
	}
	return Keep(program, folder)
}
