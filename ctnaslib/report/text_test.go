package report

import (
	"encoding/json"
	"encoding/xml"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// nasty are texts that documents cannot hold as they are.
var nasty = []string{
	"a\x00b\x1b[31m\x08\x7f\u0085", "\xff\xfe\xc3(", "\ufffe\uffff", "</script><script>alert(1)</script>", "__f__alert(1)__f__", "]]>", "<!-- & \"quotes\" 'too' -->",
	"a\u2028b\u2029c", "one\r\ntwo\tthree", "a|b\\|c", "&lt;b&gt;", "\U0001F600 \u202e", "", " ",
}

func TestChartOfAnyText(t *testing.T) {
	for _, text := range nasty {
		for _, c := range []Chart{
			{Title: text, X: text, Y: text, Series: []Series{{Name: text, X: []float64{1, 2}, Y: []float64{3, 4}}, {Name: "b" + text, X: []float64{1}, Y: []float64{2}, Points: true}}},
			{Title: text, Categories: []string{text, text + text}, Series: []Series{{Name: text, X: []float64{0, 1}, Y: []float64{3, 4}}}},
		} {
			_, texts := shapes(t, svgOf(t, c))
			if want := strings.TrimSpace(printable(text)); want != "" && !slices.Contains(texts, want) {
				t.Errorf("the picture says %q, want %q", texts, want)
			}
		}
	}
	for text, want := range map[string]string{
		"a\x00b": "a�b", "\xff": "�", "x\n\ty\u2028z": "x  y z", "\uffff": "�", "<é& \U0001F600": "<é& \U0001F600",
	} {
		if got := printable(text); got != want {
			t.Errorf("printable(%q) is %q, want %q", text, got, want)
		}
	}
}

// The options of the chart are JSON that no text ends.
func TestInteractiveOfAnyText(t *testing.T) {
	for _, text := range nasty {
		for _, c := range []Chart{
			{Title: text, X: text, Y: text, Series: []Series{{Name: text, X: []float64{1, 2}, Y: []float64{3, 4}}}},
			{Title: text, Categories: []string{text, "b"}, Series: []Series{{Name: text, X: []float64{0, 1}, Y: []float64{3, 4}}}},
		} {
			html, err := c.Interactive("echarts.js")
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Count(html, "<"); got != 4 {
				t.Errorf("%d tags, want a div and a script:\n%s", got, html)
			}
			if strings.Contains(html, "\u2028") {
				t.Errorf("a line separator in\n%s", html)
			}
			_, after, _ := strings.Cut(html, "})(")
			arguments, _, _ := strings.Cut(after, ");</script>")
			var id string
			var got struct {
				Title struct{ Text string }
				XAxis struct {
					Name string
					Data []string
				}
				Series []struct{ Name string }
			}
			if err := json.Unmarshal([]byte("["+arguments+"]"), &[]any{&id, &got}); err != nil {
				t.Fatalf("%v in\n%s", err, html)
			}
			want := printable(text)
			if got.Title.Text != want || got.Series[0].Name != want || c.X != "" && got.XAxis.Name != want || len(c.Categories) > 0 && got.XAxis.Data[0] != want {
				t.Errorf("options %+v, want the text %q", got, want)
			}
		}
	}
}

// A row of a table in Markdown has as many cells as the table, and each is the text without its backslashes.
func TestMarkdownOfAnyText(t *testing.T) {
	cell := regexp.MustCompile(`(?:\\.|[^|\\])+`)
	backslash := regexp.MustCompile(`\\(.)`)
	for _, text := range append([]string{"*a* _b_ __init__ snake_case `c` ~~d~~ $e$ [f](g)", `\`, `\|`, `\\|`, "1 < 2 & 3"}, nasty...) {
		table := Table{Caption: text, Header: []string{"h" + text, "b"}, Rows: [][]string{{"x" + text + "x", "y"}}, Notes: []string{text}}
		lines := strings.Split(strings.TrimSuffix(table.Markdown(), "\n"), "\n")
		if text != "" && len(lines) != 7 {
			t.Errorf("%q: %d lines\n%s", text, len(lines), table.Markdown())
			continue
		}
		row := lines[len(lines)-3]
		cells := cell.FindAllString(row, -1)
		if len(cells) != 2 || strings.TrimSpace(backslash.ReplaceAllString(cells[0], "$1")) != "x"+printable(text)+"x" {
			t.Errorf("%q: the cells of %q are %q", text, row, cells)
		}
		if regexp.MustCompile(`(^|[^\\])<[a-z/!]`).MatchString(table.Markdown()) {
			t.Errorf("%q: a tag in\n%s", text, table.Markdown())
		}
	}
	if got, want := escaped("a_b __init__ 1 < 2 <b> `c`"), `a_b \_\_init\_\_ 1 < 2 \<b> \`+"`c"+`\`+"`"; got != want {
		t.Errorf("escaped %q, want %q", got, want)
	}
	if got := (Table{}).Markdown(); got != "|\n|\n" {
		t.Errorf("an empty table is %q", got)
	}
	if got, want := escaped("p < 0.001 | bce_risk"), "p < 0.001 | bce_risk"; got != want {
		t.Errorf("escaped %q, want %q", got, want)
	}
}

func TestHTMLOfAnyText(t *testing.T) {
	for _, text := range nasty {
		html := Table{Caption: text, Header: []string{text}, Rows: [][]string{{text}}, Notes: []string{text}}.HTML()
		var texts []string
		for decoder := xml.NewDecoder(strings.NewReader("<x>" + html + "</x>")); ; {
			token, err := decoder.Token()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("%q: the table is not well-formed: %v", text, err)
			}
			if data, ok := token.(xml.CharData); ok {
				texts = append(texts, string(data))
			}
		}
		want := printable(text)
		for _, got := range texts {
			if got != want {
				t.Errorf("the table says %q, want %q", got, want)
			}
		}
	}
}

func FuzzText(f *testing.F) {
	for _, text := range nasty {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c := Chart{Title: text, X: text, Categories: []string{text}, Series: []Series{{Name: text, X: []float64{0}, Y: []float64{1}}, {Name: text, X: []float64{0}, Y: []float64{1}}}}
		shapes(t, svgOf(t, c))
		html, err := c.Interactive("echarts.js")
		if err != nil || strings.Count(html, "<") != 4 {
			t.Errorf("%v in\n%s", err, html)
		}
		if markdown := (Table{Caption: "c", Header: []string{text}, Rows: [][]string{{text}}, Notes: []string{text}}).Markdown(); strings.Count(markdown, "\n") != 7 {
			t.Errorf("not 7 lines:\n%s", markdown)
		}
	})
}
