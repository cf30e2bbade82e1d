package supernet

import (
	"context"
	"errors"
	"image"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// killedRoot names the folder in which the children of TestKillAndResume train.
const killedRoot = "SUPERNET_TEST_ROOT"

// Training killed at any moment, again and again, leads to the weights of training in
// one go.
func TestKillAndResume(t *testing.T) {
	data := shapesData(t)
	c := Small(SPOS, data.Classes)
	c.Stacks, c.Steps, c.Round = 1, 30, 2
	train := func(root string) *Trained {
		trained, err := Train(context.Background(), root, Training{Backend: backend(t), Data: data, Config: c})
		if err != nil {
			t.Fatal(err)
		}
		return trained
	}
	if root := os.Getenv(killedRoot); root != "" {
		train(root)
		return
	}
	if testing.Short() {
		t.Skip("starts many processes")
	}
	want := train(t.TempDir())
	root, kills := t.TempDir(), 0
	for {
		child := exec.Command(os.Args[0], "-test.run=^TestKillAndResume$")
		child.Env = append(os.Environ(), killedRoot+"="+root)
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		// Ever later, so that the training gets through in the end.
		kill := time.AfterFunc(time.Duration(kills+1)*300*time.Millisecond, func() { child.Process.Kill() })
		err := child.Wait()
		if kill.Stop() || err == nil {
			if err != nil {
				t.Fatalf("after %d kills: %v", kills, err)
			}
			break
		}
		kills++
	}
	t.Logf("killed %d times", kills)
	if kills == 0 {
		t.Error("the training was never killed")
	}
	if !sameVariables(want.Net, train(root).Net) {
		t.Errorf("the weights differ after %d kills", kills)
	}
}

// An image that cannot be read stops the training with an error that says why, and
// nothing is lost: with the image mended, it goes on and leads to the same weights.
func TestBadImage(t *testing.T) {
	data := shapesData(t)
	c := Small(SPOS, data.Classes)
	c.Stacks, c.Steps, c.Round = 1, 12, 2
	want, err := Train(context.Background(), t.TempDir(), Training{Backend: backend(t), Data: data, Config: c})
	if err != nil {
		t.Fatal(err)
	}
	root, rounds := t.TempDir(), 0
	bad := *data
	bad.Train.Read = func(i int) (image.Image, error) {
		if rounds >= 3 {
			return nil, errors.New("train/cat/0007.jpg is not an image")
		}
		return data.Train.Read(i)
	}
	watch := func(done, _ int, _ map[string]float64) { rounds = done }
	_, err = Train(context.Background(), root, Training{Backend: backend(t), Data: &bad, Config: c, Watch: watch})
	if err == nil || !strings.Contains(err.Error(), "train/cat/0007.jpg is not an image") || strings.Contains(err.Error(), "\n") {
		t.Fatalf("error %v", err)
	}
	mended, err := Train(context.Background(), root, Training{Backend: backend(t), Data: data, Config: c})
	if err != nil {
		t.Fatal(err)
	}
	if mended.Status != "resumed" || !sameVariables(want.Net, mended.Net) {
		t.Errorf("status %s; the weights differ after the bad image", mended.Status)
	}
}

// Labels of shared weights are computed once, and counted for each search anew.
func TestLabels(t *testing.T) {
	data := shapesData(t)
	c := Small(SPOS, data.Classes)
	c.Stacks, c.Steps = 1, 10
	trained, err := Train(context.Background(), t.TempDir(), Training{Backend: backend(t), Data: data, Config: c})
	if err != nil {
		t.Fatal(err)
	}
	var first []float64
	for range 2 {
		labels, err := trained.Labels(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		var accuracies []float64
		for _, cell := range cells(8, 5) {
			for range 2 {
				a, err := labels.Validation(cell)
				if err != nil {
					t.Fatal(err)
				}
				accuracies = append(accuracies, a)
			}
		}
		if labels.Queries() != 5 {
			t.Errorf("%d queries of 5 cells", labels.Queries())
		}
		if first == nil {
			first = accuracies
			trained.Net = nil // the second time all are on disk
		}
		for i := range first {
			if accuracies[i] != first[i] {
				t.Fatalf("label %d is %g, was %g", i, accuracies[i], first[i])
			}
		}
	}
}
