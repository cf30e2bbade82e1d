package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ctnas/ctnas/ctnaslib/supernet"
)

// memoryParts are the parts that tell how much of the card's memory a step of training takes, by the size of the
// batches, each in a process of its own: what a plugin has kept of one would count for the next.
func memoryParts(s size) []plan {
	part := func(name string, do func(context.Context, *worker) error) plan {
		return plan{name: "memory: " + name, limit: 60 * time.Second, plainMemory: true, do: func(ctx context.Context, w *worker) error {
			most, err := peakMemory(ctx, func() error { return do(ctx, w) })
			if errors.Is(err, errNoMemory) {
				w.row(name, nil, err.Error())
				return nil
			}
			if err == nil {
				w.row(name, map[string]float64{"memory_gib": most}, "")
			}
			return err
		}}
	}
	plans := []plan{part("nothing but the plugin", func(context.Context, *worker) error { time.Sleep(time.Second); return nil })}
	names, batches := []string{rowAlone, string(supernet.SPOS), rowLargest}, []int{64, 128, 256, 512}
	if s.small {
		names, batches = names[:1], []int{8, 16}
	}
	all := networks(s)
	for _, name := range names {
		n := all[slices.IndexFunc(all, func(n network) bool { return n.name == name })]
		for _, batch := range batches {
			plans = append(plans, part(fmt.Sprintf("%s, batch %d", name, batch), func(ctx context.Context, w *worker) error {
				data, err := w.data(ctx, heldOut)
				if err != nil {
					return err
				}
				open, err := n.open(w, data, batch)
				if err == nil {
					_, err = open.StepTime(ctx, 1)
				}
				return err
			}))
		}
	}
	return plans
}

// errNoMemory says that the memory of a process cannot be seen.
var errNoMemory = errors.New("not measured: nvidia-smi is not there, or does not list this process; go-xla does not tell the memory of a device")

// peakMemory returns the most of a card's memory that this process used, in GiB, of what is seen ten times a second,
// while a function was at work. The error is the one of the function, or errNoMemory.
func peakMemory(ctx context.Context, do func() error) (float64, error) {
	watching, stop := context.WithCancel(ctx)
	defer stop()
	cmd := exec.CommandContext(watching, "nvidia-smi", "--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits", "--loop-ms=100")
	seen, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if cmd.Start() != nil {
		return 0, errNoMemory
	}
	most := make(chan float64)
	go func() {
		largest := 0.0
		for lines := bufio.NewScanner(seen); lines.Scan(); {
			largest = max(largest, memoryOf(os.Getpid(), lines.Text()))
		}
		most <- largest
	}()
	err = do()
	stop()
	largest := <-most
	_ = cmd.Wait() // it was stopped
	if err == nil && largest == 0 {
		err = errNoMemory
	}
	return largest, err
}

// memoryOf returns the memory that a line of nvidia-smi, such as "2067, 602", says a process uses, in GiB; 0 if it is
// of another process.
func memoryOf(process int, line string) float64 {
	pid, used, _ := strings.Cut(line, ", ")
	mib, err := strconv.ParseFloat(strings.TrimSpace(used), 64)
	if err != nil || pid != strconv.Itoa(process) {
		return 0
	}
	return mib / 1024
}
