package darts

import (
	"fmt"
	"strings"
)

// How a drawing shows an operation: blue for separable convolutions, green for dilated
// ones, orange for pooling, grey for skips.
var opLooks = [numOps]struct{ label, colour string }{
	MaxPool3x3:  {"max 3×3", "#f58518"},
	AvgPool3x3:  {"avg 3×3", "#e8a860"},
	SkipConnect: {"skip", "#8a8a8a"},
	SepConv3x3:  {"sep 3×3", "#4c78a8"},
	SepConv5x5:  {"sep 5×5", "#1f3f66"},
	DilConv3x3:  {"dil 3×3", "#54a24b"},
	DilConv5x5:  {"dil 5×5", "#2b6b24"},
}

// SVG draws both cells side by side, each from top to bottom: a box for each input
// and node, an arrow for each operation with its name, and the output, which is the
// four nodes side by side.
func (g Genotype) SVG() string {
	var s strings.Builder
	width, height := len(g.cells)*cellWidth, rowTop(Inputs+Nodes)+boxHeight+margin
	fmt.Fprintf(&s, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`, width, height, width, height)
	s.WriteString(`<defs><marker id="dartsarrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="#555"/></marker></defs>`)
	for c, cell := range g.cells {
		fmt.Fprintf(&s, `<g transform="translate(%d 0)">`, c*cellWidth)
		fmt.Fprintf(&s, `<text x="%d" y="16" text-anchor="middle" font-weight="bold">%s cell</text>`, cellWidth/2, cellNames[c])
		cell.draw(&s)
		s.WriteString(`</g>`)
	}
	s.WriteString(`</svg>`)
	return s.String()
}

// The measures of a drawing.
const (
	cellWidth           = 420
	boxWidth, boxHeight = 72, 26
	margin              = 8
	bend                = 28 // how far an arc swings out for each row it spans
)

// rowTop is the upper edge of a node's box.
func rowTop(node int) int { return 3*margin + node*(boxHeight+42) }

func (c Cell) draw(s *strings.Builder) {
	const centre = cellWidth / 2
	var labels strings.Builder // above all arcs
	for i, node := range c {
		to := i + Inputs
		for _, e := range node {
			look := opLooks[e.Op]
			span := to - e.From
			x, y := centre, (rowTop(e.From)+boxHeight+rowTop(to))/2
			fmt.Fprintf(s, `<path fill="none" stroke="%s" stroke-width="1.6" marker-end="url(#dartsarrow)" d="`, look.colour)
			if span == 1 {
				fmt.Fprintf(s, "M%d %dV%d", centre, rowTop(e.From)+boxHeight, rowTop(to))
			} else {
				side := 1 // arcs from even nodes swing to the right, from odd ones to the left
				if e.From%2 == 1 {
					side = -1
				}
				edge := centre + side*boxWidth/2
				swing := edge + side*span*bend*4/3
				y0, y1 := rowTop(e.From)+boxHeight*2/3, rowTop(to)+boxHeight/3
				fmt.Fprintf(s, "M%d %dC%d %d %d %d %d %d", edge, y0, swing, y0, swing, y1, edge, y1)
				x = edge + side*span*bend
			}
			s.WriteString(`"/>`)
			fmt.Fprintf(&labels, `<rect x="%d" y="%d" width="50" height="14" fill="white"/>`, x-25, y-7)
			fmt.Fprintf(&labels, `<text x="%d" y="%d" text-anchor="middle" fill="%s">%s</text>`, x, y+4, look.colour, look.label)
		}
	}
	s.WriteString(labels.String())
	for node := range Inputs + Nodes + 1 {
		name, fill, width := fmt.Sprint(node), "#dde7f3", boxWidth
		switch node {
		case 0, 1:
			name, fill = [Inputs]string{"0: c(k−2)", "1: c(k−1)"}[node], "#eeeeee"
		case Inputs + Nodes:
			name, fill, width = "c(k): 2, 3, 4, 5", "#eeeeee", boxWidth*3/2
		}
		fmt.Fprintf(s, `<rect x="%d" y="%d" width="%d" height="%d" rx="6" fill="%s" stroke="#555"/>`, centre-width/2, rowTop(node), width, boxHeight, fill)
		fmt.Fprintf(s, `<text x="%d" y="%d" text-anchor="middle" fill="#222">%s</text>`, centre, rowTop(node)+boxHeight/2+4, name)
	}
}
