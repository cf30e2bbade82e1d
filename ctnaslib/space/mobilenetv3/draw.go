package mobilenetv3

import (
	"fmt"
	"strings"
)

// The colours of a drawing: the larger the kernel, the darker.
var kernelColours = map[int]string{3: "#c6dbef", 5: "#6baed6", 7: "#2171b5"}

// SVG draws the network from left to right: one bar for each block, as high as its
// expansion and of its kernel's colour, in groups of units.
func (n Net) SVG() string {
	const (
		bar, gap, between = 30, 4, 18
		unit              = 16 // height of one expansion
		margin, caption   = 8, 18
		base              = margin + 6*unit
	)
	var bars strings.Builder
	x := margin
	for u := range Units {
		start := x
		for _, b := range n.Blocks(u) {
			h, ink := b.Expansion*unit, "#222"
			if b.Kernel == 7 {
				ink = "white"
			}
			fmt.Fprintf(&bars, `<rect x="%d" y="%d" width="%d" height="%d" rx="3" fill="%s" stroke="#555"/>`, x, base-h, bar, h, kernelColours[b.Kernel])
			fmt.Fprintf(&bars, `<text x="%d" y="%d" text-anchor="middle" fill="%s">%d×%d</text>`, x+bar/2, base-h/2+4, ink, b.Kernel, b.Kernel)
			x += bar + gap
		}
		fmt.Fprintf(&bars, `<text x="%d" y="%d" text-anchor="middle" fill="#555">unit %d</text>`, (start+x-gap)/2, base+caption-3, u+1)
		x += between
	}
	width, height := x-between-gap+margin, base+caption+margin
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="11">`, width, height, width, height) +
		bars.String() + `</svg>`
}
