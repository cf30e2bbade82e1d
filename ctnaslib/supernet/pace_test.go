package supernet

import (
	"testing"
	"time"
)

// Every network tells how long a step takes; it is less than all steps took, with compiling and
// reading.
func TestStepTime(t *testing.T) {
	data := shapesData(t)
	const steps = 2
	timed := func(name string, measure func() (time.Duration, error)) {
		t.Helper()
		start := time.Now()
		step, err := measure()
		if err != nil || step <= 0 || step > time.Since(start)/steps {
			t.Errorf("%s: a step takes %v of %v (error %v)", name, step, time.Since(start), err)
		}
	}
	m, err := NewMixed(backend(t), data, SmallMixed(data.Classes))
	if err != nil {
		t.Fatal(err)
	}
	timed("mixed", func() (time.Duration, error) { return m.StepTime(t.Context(), steps) })
	config := SmallElastic(data.Classes)
	e, err := NewElastic(backend(t), data, config)
	if err != nil {
		t.Fatal(err)
	}
	for _, stage := range []int{0, 1} {
		timed(config.Stages[stage].Name, func() (time.Duration, error) { return e.StepTime(t.Context(), stage, steps) })
	}
	for _, stage := range []int{-1, len(config.Stages)} {
		if _, err := e.StepTime(t.Context(), stage, steps); err == nil {
			t.Errorf("there is a stage %d", stage)
		}
	}
}

// OFA's largest network, of width 1.2 at 224 pixels, and its teacher beside it.
func TestElasticFLOPs(t *testing.T) {
	c := PaperElastic()
	_, most := c.Range()
	if got, want := c.FLOPs(0), 2*float64(most); got != want {
		t.Errorf("%g FLOPs, want %g", got, want)
	}
	if got, want := c.FLOPs(1), 8*float64(most)/3; got < 0.999*want || got > 1.001*want {
		t.Errorf("%g FLOPs with a teacher, want %g", got, want)
	}
}
