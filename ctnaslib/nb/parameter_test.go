package nb

import "testing"

// The environment goes before what a notebook says.
func TestParameters(t *testing.T) {
	for text, want := range map[string]uint64{"": 3, "0": 0, "18446744073709551615": 1<<64 - 1} {
		t.Setenv("CTNAS_SEED", text)
		if got := Seed(3); got != want {
			t.Errorf("with CTNAS_SEED=%s the seed is %d, want %d", text, got, want)
		}
	}
	for _, text := range []string{"-1", "one", "1.5", " 1", "18446744073709551616"} {
		if got, err := seed(text, 3); err == nil {
			t.Errorf("CTNAS_SEED=%q gives the seed %d", text, got)
		}
	}
	t.Setenv("CTNAS_PRESET", "")
	if got := Preset("small"); got != "small" {
		t.Errorf("the preset is %q", got)
	}
	t.Setenv("CTNAS_PRESET", "paper")
	if got := Preset("small"); got != "paper" {
		t.Errorf("the preset is %q", got)
	}
}
