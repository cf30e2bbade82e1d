package rundir

import (
	"cmp"
	"crypto/sha256"
	"encoding"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
)

// Key is everything that a stored result is a function of. It names the run directory, so
// that two results share one only where nothing that could make them differ differs. Two
// things that print alike are not the same: the key says what kind each is, too.
type Key struct {
	// Step is what the run does, such as "nac": the beginning of the directory's name.
	Step string `json:"step"`

	// Algorithms are the versions of all that computes, by name. A version is raised when
	// the numbers change that come out.
	Algorithms Versions `json:"algorithms"`

	// Config is the whole configuration, the seed included: a plain value, of which
	// encoding/json writes everything.
	Config any `json:"config"`

	// Data says what the run reads, by name: the search space, the benchmark or the images with their
	// version, the [Digest] of the labels.
	Data map[string]string `json:"data"`

	// Backend says what computes, and how precisely: engine.Fingerprint. A run that only
	// looks things up has none.
	Backend string `json:"backend,omitempty"`
}

// Versions are versions of algorithms by name.
type Versions map[string]int

// With returns these versions and others.
func (v Versions) With(others ...Versions) Versions {
	all := maps.Clone(v)
	for _, o := range others {
		maps.Copy(all, o)
	}
	return all
}

// Digest returns a short digest of lines of text, in their order, for [Key.Data].
func Digest(lines []string) string {
	h := sha256.New()
	for _, line := range lines {
		fmt.Fprintf(h, "%d %s\n", len(line), line)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// Dir returns the directory that a key has under root. The error says what the key lacks, or
// which part of the configuration would not be written down.
func (k Key) Dir(root string) (string, error) {
	text, err := k.text()
	if err != nil {
		return "", err
	}
	return k.dir(root, text), nil
}

// dir returns the directory of the key that has this text.
func (k Key) dir(root string, text []byte) string {
	sum := sha256.Sum256(text)
	return filepath.Join(root, k.Step+"-"+hex.EncodeToString(sum[:8]))
}

// text returns the key as it stands in the run directory.
func (k Key) text() ([]byte, error) {
	if k.Step == "" || len(k.Algorithms) == 0 || len(k.Data) == 0 {
		return nil, fmt.Errorf("rundir: a key needs a step, the versions of its algorithms and what they read; it has %q, %v and %v", k.Step, k.Algorithms, k.Data)
	}
	types := make(map[string]string)
	if err := plain("Config", reflect.ValueOf(k.Config), types); err != nil {
		return nil, fmt.Errorf("rundir: the configuration of %s cannot be a key: %w", k.Step, err)
	}
	text, err := json.MarshalIndent(struct {
		Key
		Type  string            `json:"type"`
		Types map[string]string `json:"types,omitempty"`
	}{k, fmt.Sprintf("%T", k.Config), types}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("rundir: cannot write the configuration of %s as JSON: %w", k.Step, err)
	}
	return append(text, '\n'), nil
}

// plain reports the first part of a value that encoding/json leaves out, or cannot write. It notes the
// types of what stands in interfaces, by path: that is not in the JSON.
func plain(path string, v reflect.Value, types map[string]string) error {
	if !v.IsValid() {
		return nil
	}
	if marshals(v) {
		return alone(path, v)
	}
	switch v.Kind() {
	case reflect.Func, reflect.Chan, reflect.UnsafePointer:
		return fmt.Errorf("%s is a %s", path, v.Type())
	case reflect.Interface:
		if !v.IsNil() {
			types[path] = v.Elem().Type().String()
		}
		return plain(path, v.Elem(), types)
	case reflect.Pointer:
		return plain(path, v.Elem(), types)
	case reflect.Struct:
		if err := distinct(path, v.Type(), make(map[string]string)); err != nil {
			return err
		}
		for i := range v.NumField() {
			field := v.Type().Field(i)
			switch {
			case nameOf(field) == "-":
				return fmt.Errorf("%s.%s is left out of JSON", path, field.Name)
			case !field.IsExported():
				return fmt.Errorf("%s.%s is not exported", path, field.Name)
			}
			if err := plain(path+"."+field.Name, v.Field(i), types); err != nil {
				return err
			}
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			if err := plain(fmt.Sprintf("%s[%d]", path, i), v.Index(i), types); err != nil {
				return err
			}
		}
	case reflect.Map:
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		for _, key := range keys {
			if err := plain(fmt.Sprintf("%s[%v]", path, key), v.MapIndex(key), types); err != nil {
				return err
			}
		}
	}
	return nil
}

// marshals says whether a value writes itself as JSON.
func marshals(v reflect.Value) bool {
	switch v.Interface().(type) {
	case json.Marshaler, encoding.TextMarshaler:
		return true
	}
	return false
}

// alone reports a struct that is written by what it embeds, and so without its other fields.
func alone(path string, v reflect.Value) error {
	if v.Kind() != reflect.Struct || v.NumField() == 1 {
		return nil
	}
	for i := range v.NumField() {
		if field := v.Type().Field(i); field.Anonymous && field.IsExported() && marshals(v.Field(i)) {
			return fmt.Errorf("%s is written as its %s alone; give that field a name", path, field.Name)
		}
	}
	return nil
}

// nameOf returns the name that a field's tag gives it in JSON, "" if there is none.
func nameOf(field reflect.StructField) string {
	name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
	return name
}

// distinct reports two fields of a struct, or of structs that it embeds, that have one name in JSON, where at most one
// of them is written. It notes where each name is.
func distinct(path string, t reflect.Type, at map[string]string) error {
	for i := range t.NumField() {
		field := t.Field(i)
		here := path + "." + field.Name
		embedded := field.Type
		if embedded.Kind() == reflect.Pointer {
			embedded = embedded.Elem()
		}
		name := nameOf(field)
		if name == "" && field.Anonymous && embedded.Kind() == reflect.Struct {
			if err := distinct(here, embedded, at); err != nil {
				return err
			}
			continue
		}
		name = cmp.Or(name, field.Name)
		if other, ok := at[name]; ok {
			return fmt.Errorf("%s and %s have the same name in JSON; rename one", other, here)
		}
		at[name] = here
	}
	return nil
}
