package train_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/train"
)

// sum adds up the numbers of its steps.
type sum struct{ Total int }

func (s *sum) Step(_ context.Context, t int) (map[string]float64, error) {
	s.Total += t
	return map[string]float64{"total": float64(s.Total)}, nil
}
func (s *sum) Encode() ([]byte, error)    { return json.Marshal(s) }
func (s *sum) Restore(state []byte) error { return json.Unmarshal(state, s) }

// A process that is stopped half-way and continued leads to the same.
func ExampleRun() {
	dir, _ := os.MkdirTemp("", "runs")
	defer os.RemoveAll(dir)
	key := rundir.Key{Step: "sum", Algorithms: rundir.Versions{"sum": 1}, Data: map[string]string{"numbers": "from 0"}}

	ctx, stop := context.WithCancel(context.Background())
	plan := train.Plan{Steps: 100, Watch: func(p train.Progress) {
		if p.Done == 50 {
			stop()
		}
	}}
	_, err := train.Run(ctx, dir, key, &sum{}, plan)
	fmt.Println(err)

	var s sum
	outcome, err := train.Run(context.Background(), dir, key, &s, train.Plan{Steps: 100})
	fmt.Println(outcome.Status, s.Total, len(outcome.Metrics), err)
	// Output:
	// stopped after step 50 of 100; run it again to continue: context canceled
	// resumed 4950 100 <nil>
}
