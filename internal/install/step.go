package install

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// step is one part of the set-up.
type step struct {
	name     string
	key      string // digest of what the result depends on; empty: do it every time
	leave    string // the file that it leaves
	do       func(ctx context.Context, leave string) error
	optional string // a failure is only a warning, with this consequence

	needs func(ctx context.Context) error // why it cannot be done here, as far as that is known before; nil: nothing is
}

// step does one step unless its stamp says that it is done. The stamp is
// removed first and written last: what was interrupted is done again.
func (s *setup) step(ctx context.Context, st step) error {
	stamp := s.repo.Private("stamps", st.name)
	if s.done(st) {
		fmt.Fprintf(s.out, "  %-12s ok\n", st.name)
		return nil
	}
	if s.dry {
		return s.announce(ctx, st)
	}
	if err := os.Remove(stamp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	fmt.Fprintf(s.out, "  %-12s ", st.name)
	start := time.Now()
	err := st.do(ctx, st.leave)
	took := time.Since(start).Seconds()
	switch {
	case err != nil && st.optional != "" && ctx.Err() == nil:
		fmt.Fprintf(s.out, "warning: %v; %s\n", err, st.optional)
		return nil
	case err != nil:
		fmt.Fprintln(s.out, "failed")
		return err
	case st.key == "":
		fmt.Fprintf(s.out, "ready in %.1f s\n", took)
		return nil
	}
	fmt.Fprintf(s.out, "installed in %.1f s\n", took)
	return writeFile(stamp, []byte(st.key))
}

// announce says what a step would do.
func (s *setup) announce(ctx context.Context, st step) error {
	if st.needs != nil {
		if err := st.needs(ctx); err != nil && st.optional != "" {
			fmt.Fprintf(s.out, "  %-12s would give a warning: %v; %s\n", st.name, err, st.optional)
			return nil
		} else if err != nil {
			fmt.Fprintf(s.out, "  %-12s would fail\n", st.name)
			return err
		}
	}
	what := "to install"
	if st.key == "" {
		what = "to bring up to date, as each time"
	}
	fmt.Fprintf(s.out, "  %-12s %s\n", st.name, what)
	return nil
}

// done says whether a step's stamp and what it leaves are there.
func (s *setup) done(st step) bool {
	stamp, _ := os.ReadFile(s.repo.Private("stamps", st.name))
	_, err := os.Stat(st.leave)
	return st.key != "" && string(stamp) == st.key && err == nil
}
