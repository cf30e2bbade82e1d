package install

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
)

// pagesRequirements pins what makes pages of notebooks: nbconvert, Sphinx with MyST-NB and a theme for books, and MathJax.
//
//go:embed pages.txt
var pagesRequirements string

// Pages is what makes pages of notebooks.
type Pages struct {
	Repo    Repo
	Python  string // the interpreter that has the packages
	ECharts string // the file of the script that draws interactive charts
}

// InstallPages installs what makes pages of notebooks, once, into a Python environment of its own. It needs no kernel.
func InstallPages(ctx context.Context, out io.Writer) (*Pages, error) {
	r, err := FindRepo(".")
	if err != nil {
		return nil, err
	}
	s := &setup{repo: r, out: out}
	end, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	p := &Pages{Repo: r, Python: r.Private("pages", "bin", "python"), ECharts: r.Private("echarts.min.js")}
	err = s.step(ctx, step{
		name:  "pages",
		key:   hash(pagesRequirements, string(r)),
		leave: p.Python,
		needs: checkPython,
		do: func(ctx context.Context, _ string) error {
			if err := s.makeVenv(ctx, r.Private("pages"), "pages", pagesRequirements); errors.Is(err, errNoIndex) {
				return fmt.Errorf("cannot download what makes pages of notebooks: %w, then run this again", err)
			} else if err != nil {
				return fmt.Errorf("cannot install what makes pages of notebooks: %w", err)
			}
			return nil
		},
	})
	if err != nil {
		return nil, err
	}
	return p, writeFile(p.ECharts, echarts)
}

// begin makes the folder of what is installed, waits for other set-ups to end, and opens the log. The function that it
// returns ends all that.
func (s *setup) begin(ctx context.Context) (end func(), err error) {
	err = os.MkdirAll(s.repo.Private(), 0o755)
	if err == nil {
		err = canMake(s.repo.Private())
	}
	if err != nil {
		return nil, cannotInstall(err)
	}
	unlock, err := lock(ctx, s.repo, s.out)
	if err != nil {
		return nil, err
	}
	if s.log, err = os.Create(s.repo.Private("setup.log")); err != nil {
		unlock()
		return nil, err
	}
	return func() { s.log.Close(); unlock() }, nil
}
