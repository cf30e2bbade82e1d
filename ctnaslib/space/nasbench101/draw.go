package nasbench101

import (
	"strings"

	"github.com/ctnas/ctnas/ctnaslib/space/internal/svg"
	"github.com/ctnas/ctnas/ctnaslib/style"
)

// The colours of a drawing: blue for convolutions, orange for pooling.
var opColours = [numOps]string{Conv3x3: style.Blue, Conv1x1: style.Sky, MaxPool: style.Orange}

// SVG draws the cell from top to bottom: one box for each vertex, straight arrows between neighbours, arcs for the
// edges that skip vertices.
func (c Cell) SVG() string {
	const boxWidth, margin, bend = 104, 8, 21
	longest := [2]int{} // arc on the right and on the left, in vertices
	for i, j := range c.out.edges() {
		if j > i+1 {
			longest[i%2] = max(longest[i%2], j-i)
		}
	}
	column := svg.Column{Centre: margin + longest[1]*bend + boxWidth/2, Top: margin, Width: boxWidth, Height: 26, Pitch: 48, Bend: bend}
	var s strings.Builder
	s.WriteString(svg.Arrowhead)
	for i, j := range c.out.edges() {
		arrow, _, _ := column.Arrow(i, j, style.Faint)
		s.WriteString(arrow)
	}
	for v, name := range c.OpNames() {
		fill, ink := style.Quiet, style.Ink
		if 0 < v && v < c.N()-1 {
			fill = opColours[c.Op(v)]
			if c.Op(v) == Conv3x3 {
				ink = style.Paper
			}
		}
		s.WriteString(column.Box(v, boxWidth, fill, ink, strings.TrimSuffix(name, "-bn-relu")))
	}
	return svg.Document(column.Centre+boxWidth/2+longest[0]*bend+margin, column.Bottom(c.N())+margin, 12, s.String())
}
