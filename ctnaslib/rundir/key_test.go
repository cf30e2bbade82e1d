package rundir

import (
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"
	"time"
)

// Whatever differs in a key leads to another directory, also what prints alike.
func TestEverythingInAKeyCounts(t *testing.T) {
	type other struct{ Layers int }
	base := Key{
		Step: "nac", Algorithms: Versions{"nac": 1}, Config: config{2},
		Data: map[string]string{"space": "nasbench101", "labels": Digest([]string{"a 0.1", "b 0.2"})}, Backend: "go",
	}
	keys := map[string]Key{"base": base}
	for name, change := range map[string]func(*Key){
		"step":                       func(k *Key) { k.Step = "ranking" },
		"version":                    func(k *Key) { k.Algorithms = Versions{"nac": 2} },
		"algorithm":                  func(k *Key) { k.Algorithms = k.Algorithms.With(Versions{"controller": 1}) },
		"configuration":              func(k *Key) { k.Config = config{4} },
		"kind of configuration":      func(k *Key) { k.Config = other{2} },
		"configuration in an any":    func(k *Key) { k.Config = map[string]any{"Layers": 2} },
		"configuration by a pointer": func(k *Key) { k.Config = &config{4} },
		"space":                      func(k *Key) { k.Data = map[string]string{"space": "darts", "labels": k.Data["labels"]} },
		"labels": func(k *Key) {
			k.Data = map[string]string{"space": "nasbench101", "labels": Digest([]string{"a 0.2", "b 0.1"})}
		},
		"labels, cut another way": func(k *Key) {
			k.Data = map[string]string{"space": "nasbench101", "labels": Digest([]string{"a", "0.1 b 0.2"})}
		},
		"backend":                 func(k *Key) { k.Backend = "go, simd" },
		"an interface":            func(k *Key) { k.Config = struct{ Layers any }{config{2}} },
		"another in an interface": func(k *Key) { k.Config = struct{ Layers any }{other{2}} },
		"configuration with more": func(k *Key) { k.Config = struct{ Layers, Width int }{2, 0} },
	} {
		k := base
		change(&k)
		keys[name] = k
	}
	seen := map[string]string{}
	for name, k := range keys {
		dir, err := k.Dir("root")
		check(t, err)
		if before, ok := seen[dir]; ok {
			t.Errorf("%q and %q share %s", name, before, dir)
		}
		seen[dir] = name
	}
}

// What encoding/json would leave out, or cannot write, is no key.
func TestKeysThatAreNotWhole(t *testing.T) {
	hidden := struct{ layers int }{2}
	type Base struct{ Seed, Epochs int }
	type Other struct{ Seed int }
	for name, k := range map[string]Key{
		"a step":           {Algorithms: Versions{"a": 1}, Data: map[string]string{"space": "toy"}},
		"versions":         {Step: "step", Data: map[string]string{"space": "toy"}},
		"what they read":   {Step: "step", Algorithms: Versions{"a": 1}},
		"not exported":     keyOf(hidden),
		"Config[0].layers": keyOf([]any{hidden}),
		"Config[a].layers": keyOf(map[string]any{"a": &hidden}),
		"left out": keyOf(struct {
			F int `json:"-"`
		}{1}),
		"Config.Base.Seed and Config.Seed have the same name": keyOf(struct {
			Base
			Seed int
		}{}),
		"Config.Base.Seed and Config.Other.Seed have the same name": keyOf(struct {
			*Base
			Other
		}{}),
		"Config is written as its Time alone": keyOf(struct {
			time.Time
			Seed int
		}{}),
		"func": keyOf(struct{ F func() }{}),
		"NaN":  keyOf(struct{ Rate float64 }{math.NaN()}),
	} {
		if _, err := k.Dir("root"); err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v", name, err)
		}
		if _, err := Open(t.TempDir(), k); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
	if _, err := keyOf(struct{ At time.Time }{time.Unix(1, 0)}).Dir("root"); err != nil {
		t.Errorf("a value that writes itself: %v", err)
	}
	if _, err := keyOf(struct {
		Base
		Nested Base
		Other  `json:"other"`
	}{}).Dir("root"); err != nil {
		t.Errorf("a name that is there once on each level: %v", err)
	}
}

// The key can be read in the run directory.
func TestKeyOnDisk(t *testing.T) {
	r := mustOpen(t, t.TempDir(), config{2})
	text, err := os.ReadFile(r.path(keyFile))
	check(t, err)
	var k struct {
		Key
		Type string
	}
	check(t, json.Unmarshal(text, &k))
	if k.Step != "step" || k.Algorithms["test"] != 1 || k.Data["space"] != "toy" || k.Type != "rundir.config" {
		t.Errorf("the key on disk is %s", text)
	}
}
