package supernet

import (
	"math"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/nn/nntest"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
)

// Two devices that share each batch do what one does. The Go backend has one device, so this needs an XLA plugin.
func TestTwoDevices(t *testing.T) {
	b := nntest.TwoDevices(t)
	data := nntest.Data(t)
	for _, method := range []Method{SPOS, DARTS} {
		var losses [2]float64
		for i, devices := range []int{1, 2} {
			c := Small(method, data.Classes)
			c.Stacks, c.Devices = 1, devices
			n, err := New(b, data, c)
			if err != nil {
				t.Fatal(err)
			}
			batch := first(t, n)
			for step := range 4 {
				if method == SPOS {
					losses[i], _, err = n.trainOn([]nasbench101.Cell{cells(9, 1)[0]}, batch, 0.05)
				} else {
					losses[i], _, err = n.relaxationStep(step, batch, batch, 0.05, nil)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if _, err := n.accuracy(t.Context(), cells(9, 1)[0], batch); err != nil {
				t.Fatal(err)
			}
			if _, err := n.model.Encode(); err != nil {
				t.Fatal(err)
			}
		}
		if math.Abs(losses[0]-losses[1]) > 1e-3 {
			t.Errorf("%s: the loss after 4 steps is %g on one device, %g on two", method, losses[0], losses[1])
		}
	}
}

// So do two devices with a cell trained from scratch.
func TestTwoDevicesScratch(t *testing.T) {
	b := nntest.TwoDevices(t)
	data := nntest.Data(t)
	var accuracies [2]float64
	for i, devices := range []int{1, 2} {
		c := SmallScratch(data.Classes)
		c.Devices = devices
		trained, err := TrainFromScratch(t.Context(), t.TempDir(), ScratchTraining{Backend: b, Data: data, Cell: cells(9, 1)[0], Config: c})
		if err != nil {
			t.Fatal(err)
		}
		if accuracies[i], err = trained.Net.Test(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if math.Abs(accuracies[0]-accuracies[1]) > 0.02 {
		t.Errorf("test accuracy %g on one device, %g on two", accuracies[0], accuracies[1])
	}
}
