package nb_test

import (
	"github.com/ctnas/ctnas/ctnaslib/nb"
	"github.com/ctnas/ctnas/ctnaslib/report"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
)

// The same cell shows a table, text and a drawing in a notebook, and prints what it can in a terminal.
func Example() {
	cell := nb.Must(nasbench101.Parse("101:A"))
	nb.Markdown("**%d** parameters", cell.Params())
	nb.Pictures(nb.Picture{SVG: cell.SVG(), Caption: "input → conv3x3 → output"})
	nb.Table(report.Table{Header: []string{"method", "KTau"}, Rows: [][]string{{"CTNAS", "0.751"}}})
	// Output:
	// **10177674** parameters
	// [picture] input → conv3x3 → output
	// | method | KTau |
	// | --- | ---: |
	// | CTNAS | 0.751 |
}
