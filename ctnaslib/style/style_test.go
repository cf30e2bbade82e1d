package style

import (
	"slices"
	"testing"
)

func TestOf(t *testing.T) {
	for name, want := range map[string]string{
		"CTNAS": Blue, "CTNAS, 423 queries": Blue, "CTNAS (authors' code)": Blue, "CTNAS, one-hot, 100 queries": Sky,
		"Thompson (ours), 100 queries": Green, "RegressionNAS": Vermilion, "Random search": Grey, "Regularised evolution": Orange,
	} {
		if got, ok := Of(name); !ok || got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	for _, name := range []string{"loss", "random decisions", "CTNAS's loss", ""} {
		if _, ok := Of(name); ok {
			t.Errorf("%q is a method", name)
		}
	}
}

func TestColours(t *testing.T) {
	if got, want := Colours([]string{"a", "CTNAS", "b", "Random search"}), []string{Vermilion, Blue, Green, Grey}; !slices.Equal(got, want) {
		t.Errorf("the colours are %q, want %q", got, want)
	}
	if got, want := Colours([]string{"CTNAS", "CTNAS (paper's text)"}), []string{Blue, Vermilion}; !slices.Equal(got, want) {
		t.Errorf("two of a family have the colours %q, want %q", got, want)
	}
	many := Colours(make([]string, 20))
	if !slices.Equal(many[:7], Palette) || slices.Contains(many, "") {
		t.Errorf("20 series have the colours %q", many)
	}
}
