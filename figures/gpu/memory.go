package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ctnas/ctnas/ctnaslib/supernet"
)

// memory tells how much of the card's memory training takes, by the size of the batches.
func memory(ctx context.Context, w *worker) error {
	data, err := w.data(ctx, heldOut)
	if err != nil {
		return err
	}
	before, err := peakMemory(ctx, func() error { time.Sleep(time.Second); return nil })
	if err != nil {
		w.row("memory", nil, "Not measured: nvidia-smi is not there or tells nothing, and go-xla does not tell the memory of a device.")
		return nil
	}
	w.row("nothing but the plugin", map[string]float64{"memory_gib": before}, "")
	batches := []int{64, 128, 256, 512}
	if w.small {
		batches = []int{8, 16}
	}
	all := networks(w.size)
	for _, name := range []string{rowAlone, rowLargest, string(supernet.SPOS)} { // the last takes the longest to compile
		n := all[slices.IndexFunc(all, func(n network) bool { return n.name == name })]
		for _, batch := range batches {
			name := fmt.Sprintf("%s, batch %d", name, batch)
			most, err := peakMemory(ctx, func() error {
				open, err := n.open(w, data, batch)
				if err == nil {
					_, err = open.StepTime(ctx, w.steps)
				}
				return err
			})
			if err != nil {
				w.row(name, nil, err.Error())
				break // larger ones do not fit either
			}
			w.row(name, map[string]float64{"memory_gib": most}, "")
		}
	}
	return nil
}

// peakMemory returns the most memory of the first card that was used, in GiB, of what is seen ten times a second, while
// a function was at work. The error is the one of the function, or says that nothing was seen.
func peakMemory(ctx context.Context, do func() error) (float64, error) {
	watching, stop := context.WithCancel(ctx)
	defer stop()
	cmd := exec.CommandContext(watching, "nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits", "--id=0", "--loop-ms=100")
	seen, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	most := make(chan float64)
	go func() {
		largest := 0.0
		for lines := bufio.NewScanner(seen); lines.Scan(); {
			if mib, err := strconv.ParseFloat(strings.TrimSpace(lines.Text()), 64); err == nil {
				largest = max(largest, mib/1024)
			}
		}
		most <- largest
	}()
	err = do()
	stop()
	largest := <-most
	_ = cmd.Wait() // it was stopped
	if err == nil && largest == 0 {
		err = errors.New("nvidia-smi told nothing meanwhile")
	}
	return largest, err
}
