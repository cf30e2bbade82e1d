package supernet

import (
	"context"
	"errors"
	"image"
	"strings"
	"testing"
	"time"

	"github.com/ctnas/ctnas/ctnaslib/nn/nntest"
	"github.com/ctnas/ctnas/ctnaslib/train"
	"github.com/ctnas/ctnas/ctnaslib/train/traintest"
)

// Training killed at any moment, again and again, leads to the weights of training in one go.
func TestKillAndResume(t *testing.T) {
	data := nntest.Data(t)
	c := Small(SPOS, data.Classes)
	c.Stacks, c.Steps, c.CheckpointInterval = 1, 30, 2
	train := func(root string) *Trained {
		trained, err := Train(context.Background(), root, Training{Backend: nntest.Backend(t), Data: data, Config: c})
		if err != nil {
			t.Fatal(err)
		}
		return trained
	}
	if root := traintest.Root(); root != "" {
		train(root)
		return
	}
	if testing.Short() {
		t.Skip("starts many processes")
	}
	want, root := train(t.TempDir()), t.TempDir()
	traintest.Kill(t, root, func(kills int) time.Duration { return time.Duration(kills+1) * 300 * time.Millisecond })
	if !sameVariables(want.Net, train(root).Net) {
		t.Error("the weights differ after the kills")
	}
}

// An image that cannot be read stops the training with an error that says why, and nothing is lost: with the image
// mended, it goes on and leads to the same weights.
func TestBadImage(t *testing.T) {
	data := nntest.Data(t)
	c := Small(SPOS, data.Classes)
	c.Stacks, c.Steps, c.CheckpointInterval = 1, 12, 2
	want, err := Train(context.Background(), t.TempDir(), Training{Backend: nntest.Backend(t), Data: data, Config: c})
	if err != nil {
		t.Fatal(err)
	}
	root, rounds := t.TempDir(), 0
	bad := nntest.Data(t)
	bad.Train.Read = func(i int) (image.Image, error) {
		if rounds >= 3 {
			return nil, errors.New("train/cat/0007.jpg is not an image")
		}
		return data.Train.Read(i)
	}
	watch := func(step train.Progress) {
		rounds = step.Done
	}
	_, err = Train(context.Background(), root, Training{Backend: nntest.Backend(t), Data: bad, Config: c, Watch: watch})
	if err == nil || !strings.Contains(err.Error(), "train/cat/0007.jpg is not an image") || strings.Contains(err.Error(), "\n") {
		t.Fatalf("error %v", err)
	}
	mended, err := Train(context.Background(), root, Training{Backend: nntest.Backend(t), Data: data, Config: c})
	if err != nil {
		t.Fatal(err)
	}
	if mended.Status != "resumed" || !sameVariables(want.Net, mended.Net) {
		t.Errorf("status %s; the weights differ after the bad image", mended.Status)
	}
}

// The labels of shared weights are those of the network. Another training is another version.
func TestBenchmark(t *testing.T) {
	data := nntest.Data(t)
	c := Small(SPOS, data.Classes)
	c.Stacks, c.Steps = 1, 10
	train := func() *Trained {
		trained, err := Train(t.Context(), t.TempDir(), Training{Backend: nntest.Backend(t), Data: data, Config: c})
		if err != nil {
			t.Fatal(err)
		}
		return trained
	}
	trained := train()
	labels := trained.Benchmark(t.Context())
	for _, cell := range cells(8, 5) {
		a, err := labels.Validation(cell)
		if err != nil {
			t.Fatal(err)
		}
		if want, err := trained.Net.Validation(t.Context(), cell); err != nil || a != want {
			t.Errorf("the label of %s is %g, want %g (%v)", cell, a, want, err)
		}
	}
	if again := train().Benchmark(t.Context()); again.Version() != labels.Version() {
		t.Errorf("the same training has the versions %q and %q", again.Version(), labels.Version())
	}
	c.Seed++
	if other := train().Benchmark(t.Context()); other.Version() == labels.Version() {
		t.Errorf("two trainings have the version %q", labels.Version())
	}
}
