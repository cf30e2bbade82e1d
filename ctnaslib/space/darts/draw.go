package darts

import (
	"fmt"
	"strings"

	"github.com/ctnas/ctnas/ctnaslib/space/internal/svg"
	"github.com/ctnas/ctnas/ctnaslib/style"
)

// How a drawing shows an operation: blue for separable convolutions, green for dilated ones, both darker where they
// are larger, orange for pooling, grey for skips.
var opLooks = [numOps]struct{ label, colour string }{
	MaxPool3x3:  {"max 3×3", style.Vermilion},
	AvgPool3x3:  {"avg 3×3", style.Orange},
	SkipConnect: {"skip", style.Grey},
	SepConv3x3:  {"sep 3×3", style.Blue},
	SepConv5x5:  {"sep 5×5", "#003f63"},
	DilConv3x3:  {"dil 3×3", style.Green},
	DilConv5x5:  {"dil 5×5", "#005a42"},
}

// The width of a cell in a drawing.
const cellWidth = 420

var column = svg.Column{Centre: cellWidth / 2, Top: 24, Width: 72, Height: 26, Pitch: 68, Bend: 28}

// SVG draws both cells side by side, each from top to bottom: a box for each input and node, an arrow for each
// operation with its name, and the output, which is the four nodes side by side.
func (g Genotype) SVG() string {
	var s strings.Builder
	s.WriteString(svg.Arrowhead)
	for c, cell := range g.cells {
		fmt.Fprintf(&s, `<g transform="translate(%d 0)"><text x="%d" y="16" text-anchor="middle" font-weight="bold">%s cell</text>%s</g>`,
			c*cellWidth, cellWidth/2, cellNames[c], cell.draw())
	}
	return svg.Document(len(g.cells)*cellWidth, column.Bottom(Inputs+Nodes+1)+8, 12, s.String())
}

func (c Cell) draw() string {
	var arrows, labels strings.Builder // labels are above all arrows
	for i, node := range c {
		for _, e := range node {
			look := opLooks[e.Op]
			arrow, x, y := column.Arrow(e.From, i+Inputs, look.colour)
			arrows.WriteString(arrow)
			fmt.Fprintf(&labels, `<rect x="%d" y="%d" width="50" height="14" fill="%s"/>`, x-25, y-7, style.Paper)
			labels.WriteString(svg.Text(x, y+4, look.colour, look.label))
		}
	}
	boxes := column.Box(0, column.Width, style.Quiet, style.Ink, "0: c(k−2)") + column.Box(1, column.Width, style.Quiet, style.Ink, "1: c(k−1)")
	for node := Inputs; node < Inputs+Nodes; node++ {
		boxes += column.Box(node, column.Width, "#dde7f3", style.Ink, fmt.Sprint(node))
	}
	return arrows.String() + labels.String() + boxes + column.Box(Inputs+Nodes, column.Width*3/2, style.Quiet, style.Ink, "c(k): 2, 3, 4, 5")
}
