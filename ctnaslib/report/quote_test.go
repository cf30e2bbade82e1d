package report

import (
	"strings"
	"testing"
)

// quotedResult is a result of two methods with four seeds, one with a number of the paper.
func quotedResult(t testing.TB) Result {
	t.Helper()
	r := Result{ID: "table9", Benchmark: "b", Source: "real", Backend: "go", Seeds: 4, Config: 1, Rows: []Row{
		NewRow("CTNAS (ours)", map[string][]float64{"accuracy": {93, 94, 95, 96}}),
		NewRow("Random search", map[string][]float64{"accuracy": {90, 91, 92.5, 93}}),
		{Method: "paper's alone", Paper: map[string]float64{"accuracy_mean": 93.92, "accuracy_std": 0.18, "best_rank_percent": 0.01}},
	}}
	test, err := r.Compare("CTNAS (ours)", "Random search", "accuracy")
	if err != nil {
		t.Fatal(err)
	}
	r.Tests = append(r.Tests, test)
	return r
}

// Sentences have the numbers as the table has them.
func TestQuote(t *testing.T) {
	r := quotedResult(t)
	got, err := r.Quote("a {CTNAS (ours) | test accuracy} b {mean | CTNAS\n(ours)|test accuracy}, {paper | paper's alone | test accuracy}, {paper | paper's alone | best rank}: "+
		"{difference | CTNAS (ours) | Random search | accuracy (%)}, {p | CTNAS (ours) | Random search | accuracy (%)}", Accuracy, Rank)
	want := "a 94.50\u00a0±\u00a01.29 % b 94.50 %, 93.92\u00a0±\u00a00.18 %, 0.01 %: +2.875 %, p < 0.001"
	if err != nil || got != want {
		t.Errorf("%q (%v), want %q", got, err, want)
	}
	for text, words := range map[string][]string{
		"{CTNSA | test accuracy}":                              {`"CTNSA"`, `"CTNAS (ours)"`, "{CTNSA | test accuracy}"},
		"{CTNAS (ours) | acuracy}":                             {`"acuracy"`, `"test accuracy"`},
		"{CTNAS (ours) | best rank}":                           {"nothing"},
		"{paper | CTNAS (ours) | best rank}":                   {"nothing"},
		"{CTNAS (ours)}":                                       {"{METHOD | COLUMN}"},
		"{median | CTNAS (ours) | best rank}":                  {"{METHOD | COLUMN}"},
		"{}":                                                   {"{METHOD | COLUMN}"},
		"{p | Random search | CTNAS (ours) | accuracy (%)}":    {"no test", "CTNAS (ours) | Random search | accuracy (%)"},
		"{difference | CTNAS (ours) | Random search | KTau}":   {"no test"},
		"{p | CTNAS (ours) | Random search | accuracy (%)|x}":  {"{METHOD | COLUMN}"},
		"{difference | CTNAS (ours) | Random search | | KTau}": {"{METHOD | COLUMN}"},
	} {
		got, err := r.Quote(text, Accuracy, Rank)
		if err == nil || got != "" {
			t.Errorf("%s became %q, without an error", text, got)
			continue
		}
		for _, word := range words {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%s: the error does not say %s: %v", text, word, err)
			}
		}
	}
	if text, err := r.Quote("nothing to fill in: } { |"); err != nil || text != "nothing to fill in: } { |" {
		t.Errorf("%q (%v)", text, err)
	}
}

// No text is a panic.
func FuzzQuote(f *testing.F) {
	for _, seed := range []string{"{CTNAS (ours) | test accuracy}", "{p|a|b|KTau}", "{{}}", "{|}", "{mean||}", "}{"} {
		f.Add(seed)
	}
	r := quotedResult(f)
	f.Fuzz(func(t *testing.T, text string) {
		if filled, err := r.Quote(text, Accuracy); err != nil && filled != "" {
			t.Errorf("%q has an error, and became %q", text, filled)
		}
	})
}
