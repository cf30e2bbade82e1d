// Package svg draws the pictures of architectures.
package svg

import (
	"fmt"

	"github.com/ctnas/ctnas/ctnaslib/style"
)

// Document returns a picture of the given size in pixels, on white, so that it can be read on a dark page. Texts in it are of fontSize
// pixels.
func Document(width, height, fontSize int, body string) string {
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="Liberation Sans, Arimo, Arial, Helvetica, sans-serif" font-size="%d">`,
		width, height, width, height, fontSize) + fmt.Sprintf(`<path d="M0 0H%dV%dH0z" fill="%s"/>`, width, height, style.Paper) + body + `</svg>`
}

// Column is boxes below one another, counted from 0, with arrows between them. Lengths are in pixels.
type Column struct {
	Centre, Top   int // of the first box
	Width, Height int // of each box
	Pitch         int // from one box to the next
	Bend          int // how far an arrow swings out for each box that it goes down
}

// Arrowhead is what a document with arrows has to begin with.
const Arrowhead = `<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="` + style.Faint + `"/></marker></defs>`

func (c Column) top(row int) int { return c.Top + row*c.Pitch }

// Bottom returns the lower edge of the last of so many boxes.
func (c Column) Bottom(boxes int) int { return c.top(boxes-1) + c.Height }

// Arrow draws an arrow from a box to a lower one: straight to the next, and else an arc, from even boxes on the
// right and from odd ones on the left. It returns the arrow's middle, too.
func (c Column) Arrow(from, to int, colour string) (arrow string, x, y int) {
	path, x, y := "", c.Centre, (c.top(from)+c.Height+c.top(to))/2
	if to == from+1 {
		path = fmt.Sprintf("M%d %dV%d", c.Centre, c.top(from)+c.Height, c.top(to))
	} else {
		side := 1 - 2*(from%2)
		edge, swing := c.Centre+side*c.Width/2, side*(to-from)*c.Bend
		control := edge + swing*4/3
		y0, y1 := c.top(from)+c.Height*2/3, c.top(to)+c.Height/3
		path = fmt.Sprintf("M%d %dC%d %d %d %d %d %d", edge, y0, control, y0, control, y1, edge, y1)
		x = edge + swing
	}
	return fmt.Sprintf(`<path fill="none" stroke="%s" stroke-width="1.5" marker-end="url(#arrow)" d="%s"/>`, colour, path), x, y
}

// Box draws a box with its text, as wide as the column's boxes or wider.
func (c Column) Box(row, width int, fill, ink, text string) string {
	y := c.top(row)
	return fmt.Sprintf(`<rect x="%d" y="%d" width="%d" height="%d" rx="6" fill="%s" stroke="%s"/>`, c.Centre-width/2, y, width, c.Height, fill, style.Faint) +
		Text(c.Centre, y+c.Height/2+4, ink, text)
}

// Text draws a text, centred at x, which stands on y.
func Text(x, y int, ink, text string) string {
	return fmt.Sprintf(`<text x="%d" y="%d" text-anchor="middle" fill="%s">%s</text>`, x, y, ink, text)
}
