package cluster

import (
	"bytes"
	"cmp"
	_ "embed"
	"fmt"
	"path/filepath"
	"strings"
	"text/template"
	"time"
)

// script is a batch script.
type script struct {
	Options
	Name    string  // of its file, without ".sh"
	Tasks   [][]int // of an array; nil of the job that collects
	List    string  // the file with a line for each task
	Minutes int     // the time limit
	Warning int     // seconds before the time limit, when Slurm sends SIGUSR1
	Grace   int     // seconds from then until the program is killed
	Late    int     // seconds from the start after which SIGTERM means that the time is over
	Restart int     // how often a task that was killed is tried again
}

const (
	warning  = 120 * time.Second // before the time limit, for a step and a checkpoint
	restarts = 5
)

//go:embed script.sh
var scriptText string

var scripts = template.Must(template.New("script").Funcs(template.FuncMap{"quote": Quote}).Parse(scriptText))

// arrayScript returns the script of an array job.
func (o Options) arrayScript(name string, tasks [][]int, limit time.Duration) script {
	before := min(warning, limit/2)
	return script{
		Options: o, Name: name, Tasks: tasks, List: filepath.Join(o.Folder, name+".txt"), Minutes: int(limit.Minutes()),
		Warning: int(before.Seconds()), Grace: int(before.Seconds() / 2), Late: int((limit - before/2).Seconds()), Restart: restarts,
	}
}

// collectScript returns the script of the job that collects. It asks for what the units had: only on their backend are
// their results found.
func (o Options) collectScript() script {
	return script{Options: o, Name: "collect", Minutes: int(cmp.Or(o.Time, time.Hour).Minutes())}
}

// text returns the text of the script.
func (s script) text() ([]byte, error) {
	var text bytes.Buffer
	if err := scripts.Execute(&text, s); err != nil {
		return nil, fmt.Errorf("cannot write the batch script: %w", err)
	}
	return text.Bytes(), nil
}

// Array returns Slurm's list of the tasks.
func (s script) Array() string {
	list := fmt.Sprintf("1-%d", len(s.Tasks))
	if s.Limit > 0 {
		list += fmt.Sprintf("%%%d", s.Limit)
	}
	return list
}

// Command returns the program with what it shall do and its further arguments, for a shell.
func (s script) Command(verb string) string {
	words := []string{Quote(s.Program), verb}
	for _, arg := range s.Args {
		words = append(words, Quote(arg))
	}
	return strings.Join(words, " ")
}

// Quote returns a word as it is typed into a shell, in quotes.
func Quote(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }
