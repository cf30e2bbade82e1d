package report

import (
	"bytes"
	"flag"
	"image"
	"image/png"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "write the golden pictures of testdata again")

// typical are charts of each kind that the project draws.
func typical() map[string][]Chart {
	rng := rand.New(rand.NewPCG(1, 2))
	around := func(mean, spread float64) []float64 {
		values := make([]float64, 10)
		for i := range values {
			values[i] = mean + spread*rng.NormFloat64()
		}
		return values
	}
	result := Result{ID: "table1", Source: "real", Seeds: 10, Rows: []Row{
		{Method: "SPOS", Paper: map[string]float64{"accuracy_mean": 89.85}},
		NewRow("Random search", map[string][]float64{"accuracy": around(93.6, 0.15)}),
		NewRow("ReNAS", map[string][]float64{"accuracy": append(around(93.5, 0.25)[:9], 83.77)}),
		NewRow("CTNAS (authors' code)", map[string][]float64{"accuracy": around(93.5, 0.3)}),
		NewRow("Thompson (ours)", map[string][]float64{"accuracy": around(93.9, 0.2)}),
	}}
	result.Rows[3].Paper = map[string]float64{"accuracy_mean": 93.92}

	var lines []Series
	for i, name := range []string{"CTNAS", "Random search", "Regularised evolution"} {
		s := Series{Name: name}
		for _, queries := range []float64{1, 10, 100, 1000, 10_000} {
			s.Summarise(queries, around(90+float64(1+i)*math.Log10(queries), 0.5))
		}
		lines = append(lines, s)
	}
	cloud, stars := Series{Name: "random", Points: true}, Series{Name: "published", Points: true}
	for range 600 {
		x := 300 + 100*rng.NormFloat64()
		cloud.X, cloud.Y = append(cloud.X, x), append(cloud.Y, 92+x/400+0.4*rng.NormFloat64())
	}
	for i := range 6 {
		stars.X, stars.Y = append(stars.X, 250+20*float64(i)), append(stars.Y, 92.5+0.1*float64(i))
	}
	loss, tau := Series{}, Series{}
	for epoch := range 120 {
		loss.X, loss.Y = append(loss.X, float64(epoch)), append(loss.Y, 0.3+0.4*math.Exp(-float64(epoch)/20)+0.01*rng.NormFloat64())
		if epoch%10 == 9 {
			tau.X, tau.Y = append(tau.X, float64(epoch+1)), append(tau.Y, 0.75-0.3*math.Exp(-float64(epoch)/30))
		}
	}
	return map[string][]Chart{
		"methods": {result.Chart(Accuracy)},
		"queries": {{Title: "Figure 4: accuracy against the number of queries", Note: "Median of 10 seeds; the band holds the middle half of them.", X: "queries", Y: "ImageNet top-1 by the model (%)", LogX: true, Series: lines}},
		"cloud":   {{Title: "Random genotypes, and published ones", X: "multiply-adds (M)", Y: "validation accuracy (%)", Series: []Series{cloud, stars}}},
		"bars": {{Title: "How large are random cells?", X: "vertices", Y: "% of 5,000 cells", Categories: []string{"2", "3", "4", "5", "6", "7"}, Series: []Series{
			{Name: "random decisions", X: []float64{0, 1, 2, 3, 4, 5}, Y: []float64{21, 12, 17, 19, 17, 14}}, {Name: "random cells", X: []float64{4, 5}, Y: []float64{15, 85}},
		}}},
		"training": {
			{Title: "Loss on the training pairs", X: "epoch", Y: "cross-entropy", Series: []Series{loss}},
			{Title: "Ranking of 1,000 other cells", X: "epoch", Y: "Kendall's tau", Series: []Series{tau}},
		},
		"reliability": {{Title: "Reliability", X: "NAC(α, α')", Y: "α was at least as good", Series: []Series{
			{Name: "NAC", X: []float64{0.05, 0.25, 0.5, 0.75, 0.95}, Y: []float64{0.1, 0.3, 0.52, 0.71, 0.9}},
			{Name: "calibrated", X: []float64{0, 1}, Y: []float64{0, 1}, Reference: true},
		}}},
	}
}

// Typical charts look as they looked to someone who looked at them. After a change of looks, make the pictures of testdata again, and
// look at them, with
//
//	go test ./ctnaslib/report -run TestGolden -update
func TestGolden(t *testing.T) {
	for name, charts := range typical() {
		got, err := pngAt(1, charts)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("testdata", "golden", name+".png")
		if *update {
			if err := os.WriteFile(path, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if differ := differing(t, got, want); differ > 0.0005 {
			t.Errorf("%.2f %% of the pixels of %s are not those of the golden picture", 100*differ, name)
		}
	}
	if c := typical()["cloud"][0]; differing(t, mustPNG(t, c), mustPNG(t, Chart{Title: c.Title, X: c.X, Y: c.Y, Series: c.Series[:1]})) < 0.0005 {
		t.Error("a picture without six of its points is held for the same")
	}
}

func mustPNG(t *testing.T, c Chart) []byte {
	t.Helper()
	picture, err := pngAt(1, []Chart{c})
	if err != nil {
		t.Fatal(err)
	}
	return picture
}

// differing returns the share of pixels that differ visibly between two pictures, or 1 if they differ in size. Processors may round the
// edges of a line differently.
func differing(t *testing.T, first, second []byte) float64 {
	t.Helper()
	var pictures [2]image.Image
	for i, text := range [][]byte{first, second} {
		var err error
		if pictures[i], err = png.Decode(bytes.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	size := pictures[0].Bounds()
	if size != pictures[1].Bounds() {
		return 1
	}
	differ := 0
	for y := range size.Dy() {
		for x := range size.Dx() {
			r, g, b, _ := pictures[0].At(x, y).RGBA()
			u, v, w, _ := pictures[1].At(x, y).RGBA()
			const visible = 0x2000
			if max(r, u)-min(r, u) > visible || max(g, v)-min(g, v) > visible || max(b, w)-min(b, w) > visible {
				differ++
			}
		}
	}
	return float64(differ) / float64(size.Dx()*size.Dy())
}
