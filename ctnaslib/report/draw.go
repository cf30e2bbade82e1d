package report

import (
	"bytes"
	"cmp"
	"fmt"
	"html"
	"image"
	"image/color"
	imagedraw "image/draw"
	"image/png"
	"maps"
	"regexp"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// The size of a picture, 800 × 400 pixels of a page, and the lengths in it. Charts of many rows are higher, and charts
// side by side share the width.
const (
	width, height vg.Length = 600, 300
	margin        vg.Length = 8
	between       vg.Length = 6  // lines of text
	rowHeight     vg.Length = 22 // of a chart of rows
	thumbnail     vg.Length = 18 // in a legend
)

// SVG draws the chart, 800 pixels wide and half as high, or higher if it has many rows. The error names the series that
// cannot be drawn, because it has no points or one that is not finite.
func (c Chart) SVG() (string, error) {
	l, err := c.lay(width, height)
	if err != nil {
		return "", err
	}
	canvas := vgsvg.New(width, l.height)
	l.draw(draw.New(canvas))
	var out bytes.Buffer
	if _, err := canvas.WriteTo(&out); err != nil {
		return "", fmt.Errorf("report: cannot draw %q: %w", c.Title, err)
	}
	return sized(out.String()), nil
}

// textElement is a text as vgsvg writes it.
var textElement = regexp.MustCompile(`(?s)<text ([^>]*font-family:)Liberation Sans;([^>]*)>([^<]*)</text>`)

// sized gives each text of an SVG the width that it was laid out with, whatever sans-serif font shows it.
func sized(svg string) string {
	return textElement.ReplaceAllStringFunc(svg, func(element string) string {
		parts := textElement.FindStringSubmatch(element)
		style := textStyle
		if strings.Contains(parts[2], "bold") {
			style = titleStyle
		}
		return fmt.Sprintf(`<text textLength="%.1f" lengthAdjust="spacingAndGlyphs" %sLiberation Sans,Arimo,Arial,Helvetica,sans-serif;%s>%s</text>`,
			style.Width(html.UnescapeString(parts[3])).Points(), parts[1], parts[2], parts[3])
	})
}

// Width is how wide a picture is on a page, in pixels. A [PNG] has twice as many, so that it is sharp on a fine screen.
const Width = 800

const density = 2

// PNG draws charts as one picture that is 800 pixels of a page wide: up to three side by side, more in rows of two, and
// below one another where their categories are rows. The error is that of [Chart.SVG], or says that there is no chart.
func PNG(charts ...Chart) ([]byte, error) { return pngAt(density, charts) }

// pngAt draws charts with so many pixels for each pixel of a page.
func pngAt(density int, charts []Chart) ([]byte, error) {
	rows, total, err := arrange(charts)
	if err != nil {
		return nil, err
	}
	canvas := vgimg.NewWith(vgimg.UseWH(width, total), vgimg.UseDPI(96*density))
	whole := draw.New(canvas)
	top := total
	for _, row := range rows {
		for i, l := range row {
			each := width / vg.Length(len(row))
			l.draw(draw.Crop(whole, each*vg.Length(i), each*vg.Length(i+1)-width, top-row[0].height, top-total))
		}
		top -= row[0].height
	}
	var out bytes.Buffer
	picture := image.NewRGBA(canvas.Image().Bounds())
	imagedraw.Draw(picture, picture.Bounds(), canvas.Image(), picture.Bounds().Min, imagedraw.Src)
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, paletted(picture)); err != nil {
		return nil, fmt.Errorf("report: cannot draw %q: %w", charts[0].Title, err)
	}
	return out.Bytes(), nil
}

// paletted returns a picture with its 256 most frequent colours, and for each other one the nearest of these: a chart has few, and shades of
// them at the edges of lines, so that it looks the same at half the size.
func paletted(picture *image.RGBA) *image.Paletted {
	counts := make(map[color.RGBA]int)
	pixels := picture.Pix // four bytes each
	at := func(i int) color.RGBA { return color.RGBA{pixels[i], pixels[i+1], pixels[i+2], pixels[i+3]} }
	for i := 0; i < len(pixels); i += 4 {
		counts[at(i)]++
	}
	colours := slices.SortedFunc(maps.Keys(counts), func(a, b color.RGBA) int {
		return cmp.Or(counts[b]-counts[a], int(a.R)-int(b.R), int(a.G)-int(b.G), int(a.B)-int(b.B), int(a.A)-int(b.A))
	})
	palette := make(color.Palette, min(256, len(colours)))
	index := make(map[color.RGBA]uint8, len(colours))
	for i := range palette {
		palette[i] = colours[i]
	}
	for _, c := range colours {
		index[c] = uint8(palette.Index(c))
	}
	out := image.NewPaletted(picture.Bounds(), palette)
	for i := range out.Pix {
		out.Pix[i] = index[at(4*i)]
	}
	return out
}

// arrange lays charts out in rows, whose charts are of the same height, and returns the height of all.
func arrange(charts []Chart) (rows [][]layout, total vg.Length, err error) {
	if len(charts) == 0 {
		return nil, 0, fmt.Errorf("report: there is no chart to draw")
	}
	abreast := len(charts)
	if abreast > 3 {
		abreast = 2
	}
	for _, c := range charts {
		if c.turned(width / vg.Length(abreast)) {
			abreast = 1
		}
	}
	for from := 0; from < len(charts); from += abreast {
		var row []layout
		var highest vg.Length
		for _, c := range charts[from:min(from+abreast, len(charts))] {
			l, err := c.lay(width/vg.Length(abreast), []vg.Length{0, height, 220, 190}[abreast])
			if err != nil {
				return nil, 0, err
			}
			highest, row = max(highest, l.height), append(row, l)
		}
		for len(row) < abreast {
			row = append(row, layout{}) // an empty place
		}
		row[0].height = highest
		rows, total = append(rows, row), total+highest
	}
	return rows, total, nil
}

// layout is a chart ready to be drawn.
type layout struct {
	title, note string // in lines that fit
	legend      [][]entry
	plot        *plot.Plot
	height      vg.Length // of all
}

// entry is a series in the legend.
type entry struct {
	name   string
	thumbs []plot.Thumbnailer
	width  vg.Length
}

// lay makes the layout of a chart in a place of so many points, or more height if it needs it.
func (c Chart) lay(width, height vg.Length) (layout, error) {
	if err := c.check(); err != nil {
		return layout{}, err
	}
	room := width - 2*margin
	p, entries := c.plot(width)
	l := layout{title: wrapped(titleStyle, printable(c.Title), room), note: wrapped(faintStyle, printable(c.Note), room), plot: p, height: height}
	if len(c.Series) > 1 {
		l.legend = flow(entries, room)
	}
	if further := len(l.legend) - 1; further > 0 {
		l.height += vg.Length(further) * (textStyle.Height("x") + between) // the plot stays as high
	}
	height = l.height
	if !c.turned(width) {
		p.Y.Label.Text = wrapped(textStyle, p.Y.Label.Text, height-2*margin-l.head()-40)
	} else {
		under := 2*textStyle.Height("0") + 30 // the axis
		l.height = max(height, 2*margin+l.head()+under+rowHeight*vg.Length(len(c.Categories)))
	}
	return l, nil
}

// flow puts the entries of a legend in rows of a width.
func flow(entries []entry, room vg.Length) [][]entry {
	var rows [][]entry
	left := vg.Length(-1)
	for _, e := range entries {
		if left < e.width {
			rows, left = append(rows, nil), room
		}
		rows[len(rows)-1] = append(rows[len(rows)-1], e)
		left -= e.width
	}
	return rows
}

// newEntry returns an entry as wide as its name, its thumbnail and what is between it and the next.
func newEntry(name string, thumbs ...plot.Thumbnailer) entry {
	return entry{name: name, thumbs: thumbs, width: thumbnail + between + textStyle.Width(name) + 2*between}
}

// head returns the height of what is above the plot.
func (l layout) head() vg.Length {
	h := vg.Length(len(l.legend)) * (textStyle.Height("x") + between)
	if l.title != "" {
		h += titleStyle.Height(l.title) + between
	}
	if l.note != "" {
		h += faintStyle.Height(l.note) + between
	}
	return h + between
}

// draw draws the chart in a place, on white, so that it can be read on a dark page.
func (l layout) draw(c draw.Canvas) {
	c.SetColor(colourOf(backColour))
	c.Fill(c.Path())
	if l.plot == nil {
		return
	}
	c = draw.Crop(c, margin, -margin, margin, -margin)
	top := c.Max.Y
	write := func(style text.Style, lines string) {
		if lines == "" {
			return
		}
		style.YAlign = draw.YTop
		c.FillText(style, vg.Point{X: c.Min.X, Y: top + style.FontExtents().Descent}, lines)
		top -= style.Height(lines) + between
	}
	write(titleStyle, l.title)
	write(faintStyle, l.note)
	for _, row := range l.legend {
		left, line := c.Min.X, textStyle.Height("x")
		for _, e := range row {
			box := draw.Canvas{Canvas: c.Canvas, Rectangle: vg.Rectangle{
				Min: vg.Point{X: left, Y: top - line*0.8}, Max: vg.Point{X: left + thumbnail, Y: top - line*0.2},
			}}
			for _, t := range e.thumbs {
				t.Thumbnail(&box)
			}
			style := textStyle
			style.YAlign = draw.YTop
			c.FillText(style, vg.Point{X: left + thumbnail + between, Y: top + style.FontExtents().Descent}, e.name)
			left += e.width
		}
		top -= line + between
	}
	l.plot.Draw(draw.Crop(c, 0, 0, 0, top-between-c.Max.Y))
}

// wrapped breaks text between words into lines of at most a width, where it can.
func wrapped(style text.Style, words string, room vg.Length) string {
	var lines []string
	for _, word := range strings.Split(words, " ") {
		if last := len(lines) - 1; last >= 0 && style.Width(lines[last]+" "+word) <= room {
			lines[last] += " " + word
		} else {
			lines = append(lines, word)
		}
	}
	return strings.Join(lines, "\n")
}
