package nb

import (
	"encoding/base64"
	"fmt"
	"math"
	"time"

	"github.com/janpfeifer/gonb/gonbui"

	"github.com/ctnas/ctnas/ctnaslib/report"
	"github.com/ctnas/ctnas/ctnaslib/train"
)

// Live returns a watch like that of [Progress], with a curve of each named metric, drawn again while the run goes on.
// The curves begin with the steps of this process; those of the whole run are in its metrics. Values that are not
// finite, such as a loss that is NaN, have no place on a curve and are left out. In a terminal it shows the progress
// alone.
func Live(what string, names ...string) train.Watch {
	progress := Progress(what)
	if !gonbui.IsNotebook {
		return progress
	}
	curves := make([]report.Series, len(names))
	id := gonbui.UniqueId()
	var shown time.Time
	return func(p train.Progress) {
		progress(p)
		if p.Stage != "" {
			return
		}
		for i, name := range names {
			if v, ok := p.Values[name]; ok {
				curves[i] = extended(curves[i], float64(p.Done), v)
			}
		}
		charts := drawn(what, names, curves)
		switch {
		case len(charts) == 0:
		case p.Done == p.Total:
			gonbui.UpdateHTML(id, "")
			Charts(charts...)
		case time.Since(shown) > 3*time.Second: // drawing takes time from the run
			shown = time.Now()
			picture := base64.StdEncoding.EncodeToString(Must(report.PNG(charts...)))
			gonbui.UpdateHTML(id, fmt.Sprintf(`<img width="%d" src="data:image/png;base64,%s">`, report.Width, picture))
		}
	}
}

// extended returns the curve with one more point, if that is finite.
func extended(curve report.Series, x, y float64) report.Series {
	if math.IsNaN(y) || math.IsInf(y, 0) {
		return curve
	}
	curve.X, curve.Y = append(curve.X, x), append(curve.Y, y)
	return curve
}

// drawn returns a chart of each of the curves that have points.
func drawn(what string, names []string, curves []report.Series) []report.Chart {
	var charts []report.Chart
	for i, name := range names {
		if len(curves[i].X) > 0 {
			charts = append(charts, report.Chart{Title: name, X: what, Series: curves[i : i+1]})
		}
	}
	return charts
}
