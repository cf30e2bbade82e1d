package nasbench101

import (
	"fmt"
	"strings"
)

// The colours of a drawing: blue for convolutions, orange for pooling.
var opColours = [numOps]string{Conv3x3: "#4c78a8", Conv1x1: "#9ecae9", MaxPool: "#f58518"}

// SVG draws the cell from top to bottom: one box for each vertex, straight
// arrows between neighbours, arcs for the edges that skip vertices.
func (c Cell) SVG() string {
	const (
		boxWidth, boxHeight = 104, 26
		gap                 = 22
		bend                = 21 // how far an arc swings out for each vertex it skips
		margin              = 8
	)
	n := c.N()
	left, right := 0, 0 // longest arc on each side, in vertices
	for i := range n {
		for j := i + 2; j < n; j++ {
			if !c.Edge(i, j) {
				continue
			}
			if i%2 == 0 {
				right = max(right, j-i)
			} else {
				left = max(left, j-i)
			}
		}
	}
	centre := margin + left*bend + boxWidth/2
	width := centre + boxWidth/2 + right*bend + margin
	top := func(v int) int { return margin + v*(boxHeight+gap) }
	height := top(n-1) + boxHeight + margin

	var s strings.Builder
	fmt.Fprintf(&s, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`, width, height, width, height)
	s.WriteString(`<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="#555"/></marker></defs>`)
	for i := range n {
		for j := i + 1; j < n; j++ {
			if !c.Edge(i, j) {
				continue
			}
			s.WriteString(`<path fill="none" stroke="#555" stroke-width="1.4" marker-end="url(#arrow)" d="`)
			switch side := boxWidth / 2; {
			case j == i+1:
				fmt.Fprintf(&s, "M%d %dV%d", centre, top(i)+boxHeight, top(j))
			case i%2 == 1:
				side = -side
				fallthrough
			default:
				x := centre + side
				swing := x + (j-i)*bend*4/3
				if side < 0 {
					swing = x - (j-i)*bend*4/3
				}
				y0, y1 := top(i)+boxHeight*2/3, top(j)+boxHeight/3
				fmt.Fprintf(&s, "M%d %dC%d %d %d %d %d %d", x, y0, swing, y0, swing, y1, x, y1)
			}
			s.WriteString(`"/>`)
		}
	}
	for v, name := range c.OpNames() {
		fill, ink := "#eeeeee", "#222"
		if 0 < v && v < n-1 {
			fill = opColours[c.Op(v)]
			if c.Op(v) == Conv3x3 {
				ink = "white"
			}
		}
		name = strings.TrimSuffix(name, "-bn-relu")
		fmt.Fprintf(&s, `<rect x="%d" y="%d" width="%d" height="%d" rx="6" fill="%s" stroke="#555"/>`, centre-boxWidth/2, top(v), boxWidth, boxHeight, fill)
		fmt.Fprintf(&s, `<text x="%d" y="%d" text-anchor="middle" fill="%s">%s</text>`, centre, top(v)+boxHeight/2+4, ink, name)
	}
	s.WriteString(`</svg>`)
	return s.String()
}
