package main

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/engine"
)

// programVariable makes the test program the program itself.
const programVariable = "CTNAS_TEST_FIGURES"

func TestMain(m *testing.M) {
	if os.Getenv(programVariable) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

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

// What does not go together is said in a sentence.
func TestArguments(t *testing.T) {
	for args, want := range map[string]string{
		"-list -only 3 table1":          "-list and -only do not go together",
		"-only 3 table1 table2":         "-only is of one experiment, not of 2",
		"-only= table1":                 "-only says nothing",
		"-part= table1":                 "-part says nothing",
		"-gpus 2 table1":                "-gpus is for jobs: it needs -slurm",
		"-collect -status table1":       "-collect and -status do not go together",
		"-slurm -sbatch constraint=a t": "is no option of sbatch",
		"-slurm -sbatch @missing t":     "missing",
		"-slurm table7":                 "unknown experiment",
	} {
		if _, err := parse(strings.Fields(args)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", args, err, want)
		}
	}
	path := filepath.Join(t.TempDir(), "options")
	if err := os.WriteFile(path, []byte("#!/bin/bash\n#SBATCH --constraint=a100\n\n# a comment\n--qos=long # with reason\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := parse([]string{"-slurm", "-sbatch=@" + path, "-sbatch", "--reservation=x", "-time", "90m", "table1"})
	if want := []string{"--constraint=a100", "--qos=long # with reason", "--reservation=x"}; err != nil || !slices.Equal(c.jobs.Lines, want) || c.jobs.Time.Minutes() != 90 {
		t.Errorf("options %q (%v), want %q", c.jobs.Lines, err, want)
	}
}

// Every flag of jobs is known to be one.
func TestJobFlags(t *testing.T) {
	var c choice
	flags := flag.NewFlagSet("figures", flag.ContinueOnError)
	slurmFlags(flags, &c.jobs)
	flags.VisitAll(func(f *flag.Flag) {
		if !slices.Contains(jobFlags, f.Name) {
			t.Errorf("-%s is accepted without -slurm", f.Name)
		}
	})
}

// Every table of a result shows the pictures that lie beside it.
func TestTablesShowTheirPictures(t *testing.T) {
	tables, err := filepath.Glob("*/table.md")
	if err != nil || len(tables) == 0 {
		t.Fatalf("there are no tables (%v)", err)
	}
	for _, table := range tables {
		text, err := os.ReadFile(table)
		if err != nil {
			t.Fatal(err)
		}
		entries, err := os.ReadDir(filepath.Dir(table))
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			picture := slices.Contains([]string{".svg", ".png"}, filepath.Ext(entry.Name()))
			if picture && !strings.Contains(string(text), "]("+entry.Name()+")") {
				t.Errorf("%s does not show %s", table, entry.Name())
			}
		}
	}
}
