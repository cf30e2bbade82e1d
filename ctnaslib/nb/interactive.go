package nb

import (
	"fmt"

	"github.com/janpfeifer/gonb/gonbui"

	"github.com/ctnas/ctnas/ctnaslib/report"
)

// ECharts is where Jupyter serves the script of Apache ECharts, below its own address: kernel-setup puts it beside the
// description of the kernel, so that charts need no network, and no output holds a megabyte.
const ECharts = "kernelspecs/ctnas/echarts.min.js"

// InteractiveChart shows a chart to zoom and to read values off, in viewers that run scripts and have a Jupyter server. In
// a terminal it prints the title.
func InteractiveChart(c report.Chart) {
	chart := Must(c.Interactive(ECharts))
	if !gonbui.IsNotebook {
		fmt.Printf("[chart] %s\n", c.Title)
		return
	}
	gonbui.DisplayHTML(chart)
	gonbui.Sync()
}
