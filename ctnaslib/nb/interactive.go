package nb

import (
	_ "embed"
	"fmt"

	"github.com/janpfeifer/gonb/gonbui"

	"github.com/ctnas/ctnas/ctnaslib/report"
)

// echarts is Apache ECharts 5.4.3, so that charts need no network. Its licence is beside it.
//
//go:embed echarts/echarts.min.js
var echarts string

// InteractiveChart shows a chart to zoom and to read values off, in viewers that run scripts. In a terminal it prints
// the title.
func InteractiveChart(c report.Chart) {
	chart := Must(c.Interactive())
	if !gonbui.IsNotebook {
		fmt.Printf("[chart] %s\n", c.Title)
		return
	}
	gonbui.DisplayHTML("<script>if (typeof echarts === 'undefined') {" + echarts + "}</script>" + chart)
	gonbui.Sync()
}
