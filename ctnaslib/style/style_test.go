package style

import (
	"slices"
	"testing"
)

func TestOf(t *testing.T) {
	for name, want := range map[string]string{
		"CTNAS": Blue, "CTNAS, 423 queries": Blue, "CTNAS (authors' code)": Blue, "CTNAS, one-hot, 100 queries": Sky,
		"NAC, active labels (ours), 100 queries": Green, "RegressionNAS": Vermilion, "Random search": Grey, "Regularised evolution": Orange,
	} {
		if got, ok := Of(name); !ok || got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if _, ok := Of("loss"); ok {
		t.Error("a loss is a method")
	}
}

func TestColours(t *testing.T) {
	if got, want := Colours([]string{"a", "CTNAS", "b", "Random search"}), []string{Vermilion, Blue, Green, Grey}; !slices.Equal(got, want) {
		t.Errorf("the colours are %q, want %q", got, want)
	}
	many := Colours(make([]string, 20))
	if !slices.Equal(many[:7], Palette) || slices.Contains(many, "") {
		t.Errorf("20 series have the colours %q", many)
	}
}
