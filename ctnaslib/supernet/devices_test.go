package supernet

import (
	"context"
	"errors"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
)

// severalDevices is a backend of at least two devices.
func severalDevices(t *testing.T) compute.Backend {
	t.Helper()
	if !strings.HasPrefix(os.Getenv("GOMLX_BACKEND"), "xla") {
		t.Skip("needs a backend with two devices: set GOMLX_BACKEND to an XLA plugin")
	}
	b, err := engine.Open()
	if err != nil {
		t.Fatal(err)
	}
	if b.NumDevices() < 2 {
		t.Skipf("the backend has %d device", b.NumDevices())
	}
	return b
}

// Two devices that share each batch do what one does. The Go backend has one device, so
// this needs an XLA plugin ($GOMLX_BACKEND=xla:…); the CPU plugin says it has several.
func TestTwoDevices(t *testing.T) {
	b := severalDevices(t)
	data := shapesData(t)
	for _, method := range []Method{SPOS, DARTS} {
		var losses [2]float64
		for i, devices := range []int{1, 2} {
			c := Small(method, data.Classes)
			c.Stacks, c.Devices = 1, devices
			n, err := NewNet(b, data, c)
			if err != nil {
				t.Fatal(err)
			}
			batch := first(t, n)
			for step := range 4 {
				if method == SPOS {
					losses[i], _, err = n.trainOn([]nasbench101.Cell{cells(9, 1)[0]}, batch, 0.05)
				} else {
					losses[i], _, err = n.relaxedStep(step, batch, batch, 0.05, nil)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if _, err := n.accuracy(t.Context(), cells(9, 1)[0], batch); err != nil {
				t.Fatal(err)
			}
			if _, err := n.Encode(); err != nil {
				t.Fatal(err)
			}
		}
		if math.Abs(losses[0]-losses[1]) > 1e-3 {
			t.Errorf("%s: the loss after 4 steps is %g on one device, %g on two", method, losses[0], losses[1])
		}
	}
}

// So do two devices with a cell alone.
func TestTwoDevicesAlone(t *testing.T) {
	b := severalDevices(t)
	data := shapesData(t)
	var accuracies [2]float64
	for i, devices := range []int{1, 2} {
		c := SmallAlone(data.Classes)
		c.Devices = devices
		trained, err := TrainAlone(context.Background(), t.TempDir(), AloneTraining{Backend: b, Data: data, Cell: cells(9, 1)[0], Config: c})
		if err != nil {
			t.Fatal(err)
		}
		if accuracies[i], err = trained.Net.Test(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	if math.Abs(accuracies[0]-accuracies[1]) > 0.02 {
		t.Errorf("test accuracy %g on one device, %g on two", accuracies[0], accuracies[1])
	}
}

// So do two devices with a MobileNetV3 supernet: the loss of a random network, and after a
// step, and the accuracy of a recalibrated part.
func TestTwoDevicesElastic(t *testing.T) {
	b := severalDevices(t)
	data := shapesData(t)
	var losses [2][]float64
	var accuracies [2]float64
	for i, devices := range []int{1, 2} {
		c := SmallElastic(data.Classes)
		c.Devices = devices
		e, err := NewElastic(b, data, c)
		if err != nil {
			t.Fatal(err)
		}
		if accuracies[i], err = e.Validation(t.Context(), c.largest()); err != nil {
			t.Fatal(err)
		}
		err = stream(t.Context(), e.training(), 0, 2, func(step int, b batch) error {
			loss, _, err := e.trainStep(0, step, step, b)
			losses[i] = append(losses[i], loss)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if math.Abs(accuracies[0]-accuracies[1]) > 0.02 {
		t.Errorf("validation accuracy %g on one device, %g on two", accuracies[0], accuracies[1])
	}
	for step := range losses[0] {
		if math.Abs(losses[0][step]-losses[1][step]) > 1e-3 {
			t.Errorf("the loss after %d steps is %g on one device, %g on two", step, losses[0][step], losses[1][step])
		}
	}
}

func TestTooFewDevices(t *testing.T) {
	data := shapesData(t)
	c := Small(SPOS, data.Classes)
	c.Devices = 2
	if _, err := NewNet(backend(t), data, c); err == nil || !strings.Contains(err.Error(), "devices") {
		t.Errorf("error %v", err)
	}
	c.Devices = 3
	if _, err := NewNet(backend(t), data, c); err == nil || !strings.Contains(err.Error(), "shared by 3 devices") {
		t.Errorf("error %v", err)
	}
}

// The text is what the program of TestOutOfMemory gets from XLA's CPU plugin 0.11.2, by
// go-xla v0.4.1.
func TestOutOfMemoryText(t *testing.T) {
	if !outOfMemory(errors.New(`backend "xla": failed to execute computation "step": PJRT error (code=8): Out of memory allocating 12000000000000 bytes.`)) {
		t.Error("a device without memory is not seen")
	}
	if outOfMemory(errors.New("PJRT error (code=13): internal")) {
		t.Error("another error is taken for a device without memory")
	}
}

// Too little memory on a device is said in a sentence with remedies. The program asks for
// more than a process can address.
func TestOutOfMemory(t *testing.T) {
	huge, err := newProgram(severalDevices(t), model.NewStore(), nil, []bool{false}, func(_ *model.Scope, inputs []*Node) []*Node {
		x := Iota(inputs[0].Graph(), shapes.Make(dtypes.Float32, 10_000_000, 30_000_000), 0)
		return []*Node{Add(x, inputs[0])}
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = huge.call(tensors.FromScalar(float32(1)))
	if err == nil || !strings.Contains(err.Error(), "smaller BatchSize") {
		t.Errorf("got %v", err)
	}
}
