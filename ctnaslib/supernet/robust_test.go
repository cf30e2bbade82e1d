package supernet

import (
	"context"
	"errors"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/space"
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
	watch := func(step rundir.Progress) {
		if step.Stage != "" {
			return
		}
		done := step.Done
		rounds = done
	}
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

// askedOnce counts what a network is asked.
type askedOnce struct {
	net   space.Ranker
	count int
}

func (a *askedOnce) Utilities(archs []space.Arch) ([]float64, error) {
	a.count += len(archs)
	return a.net.Utilities(archs)
}

// Labels of shared weights are computed once for a benchmark, are those of the network, and end
// with their context. Another training is another version.
func TestLabels(t *testing.T) {
	data := shapesData(t)
	c := Small(SPOS, data.Classes)
	c.Stacks, c.Steps = 1, 10
	train := func() *Trained {
		trained, err := Train(context.Background(), t.TempDir(), Training{Backend: backend(t), Data: data, Config: c})
		if err != nil {
			t.Fatal(err)
		}
		return trained
	}
	trained := train()
	ctx, stop := context.WithCancel(t.Context())
	labels, err := trained.Labels(ctx)
	if err != nil {
		t.Fatal(err)
	}
	asked := &askedOnce{net: labels.net}
	labels.net = asked
	for range 2 {
		for _, cell := range cells(8, 5) {
			a, err := labels.Validation(cell)
			if err != nil {
				t.Fatal(err)
			}
			if want, err := trained.Net.Validation(t.Context(), cell); err != nil || a != want {
				t.Errorf("the label of %s is %g, want %g (%v)", cell, a, want, err)
			}
		}
	}
	if labels.Queries() != 5 || asked.count != 5 {
		t.Errorf("%d queries, and the network was asked %d times, for 5 cells", labels.Queries(), asked.count)
	}
	version := labels.Version()
	if again, err := train().Labels(t.Context()); err != nil || again.Version() != version {
		t.Errorf("the same training has the versions %q and %q (%v)", again.Version(), version, err)
	}
	c.Seed++
	if other, err := train().Labels(t.Context()); err != nil || other.Version() == version {
		t.Errorf("two trainings have the version %q (%v)", version, err)
	}
	stop()
	if _, err := labels.Validation(cells(9, 1)[0]); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end of the context: error %v", err)
	}
}
