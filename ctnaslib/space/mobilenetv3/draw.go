package mobilenetv3

import (
	"fmt"
	"strings"

	"github.com/ctnas/ctnas/ctnaslib/space/internal/svg"
	"github.com/ctnas/ctnas/ctnaslib/style"
)

// The colours of a drawing: the larger the kernel, the darker.
var kernelColours = map[int]string{3: "#c6e2f5", 5: style.Sky, 7: style.Blue}

// SVG draws the network from left to right: one bar for each block, as high as its expansion and of its kernel's
// colour, in groups of units.
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
			h, ink := b.Expansion*unit, style.Ink
			if b.Kernel == 7 {
				ink = style.Paper
			}
			fmt.Fprintf(&bars, `<rect x="%d" y="%d" width="%d" height="%d" rx="3" fill="%s" stroke="%s"/>`, x, base-h, bar, h, kernelColours[b.Kernel], style.Faint)
			bars.WriteString(svg.Text(x+bar/2, base-h/2+4, ink, fmt.Sprintf("%d×%d", b.Kernel, b.Kernel)))
			x += bar + gap
		}
		bars.WriteString(svg.Text((start+x-gap)/2, base+caption-3, style.Faint, fmt.Sprintf("unit %d", u+1)))
		x += between
	}
	return svg.Document(x-between-gap+margin, base+caption+margin, 11, bars.String())
}
