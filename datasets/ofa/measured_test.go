package ofa

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/mobilenetv3"
	"github.com/ctnas/ctnas/datasets"
)

// Two networks as a file has them; accuracies and counts of measurements are made up.
const (
	measuredHeader = "ks,e,d,r,params,macs,top1_mean,n_meas\n"
	measuredFirst  = "33003300330033003300,33003300330033003300,22222,224,3410792,121278672,71.0000,2\n"
	measuredSecond = "77777777777777777777,66666666666666666666,44444,224,7664760,566170656,77.5000,1\n"
	measuredTable  = measuredHeader + measuredFirst + measuredSecond
)

func zipped(t testing.TB, text string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.WriteString(z, text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// put writes a file of the measured networks to a new data folder.
func put(t *testing.T, name, content string) (folder, file string) {
	t.Helper()
	folder = t.TempDir()
	file = filepath.Join(folder, "ofa", name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return folder, file
}

// alone hides the data of whoever runs the tests.
func alone(t *testing.T) {
	for _, name := range []string{"CTNAS_DATA", "CTNAS_DOWNLOAD", "CTNAS_MIRROR"} {
		t.Setenv(name, "")
	}
	t.Setenv("CTNAS_CACHE", t.TempDir())
}

// The file is read in whatever form it comes.
func TestOpenMeasured(t *testing.T) {
	alone(t)
	reordered := "note,n_meas,top1_mean,macs,params,r,d,e,ks\n" +
		"x,2,71,121278672,3410792,224,22222,33003300330033003300,33003300330033003300\n" +
		"\"a, b\",1,77.5,566170656,7664760,224,44444,66666666666666666666,77777777777777777777"
	for name, text := range map[string]string{
		"plain": measuredTable, "gzip": zipped(t, measuredTable), "Windows": "\ufeff" + strings.ReplaceAll(measuredTable, "\n", "\r\n"),
		"other columns": reordered, "blank lines": strings.ReplaceAll(measuredTable, "\n", "\n\n"), "in two parts": zipped(t, measuredHeader+measuredFirst) + zipped(t, measuredSecond),
	} {
		folder, file := put(t, datasets.OFAMeasured, text)
		for _, path := range []string{folder, file, filepath.Dir(file)} {
			m, err := OpenMeasured(t.Context(), path)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			nets := m.Networks()
			if len(nets) != 2 || nets[0].Accuracy != 0.71 || nets[0].Measurements != 2 || nets[1].Accuracy != 0.775 || nets[1].Net != extremes()[1] {
				t.Errorf("%s: %+v", name, nets)
			}
			if s := m.Source(); s.Kind != datasets.Real || s.Path != file || !strings.Contains(s.Description, "2 sub-networks") {
				t.Errorf("%s: the source is %+v", name, s)
			}
		}
	}
	folder, file := put(t, "measured_w1.0.csv", measuredTable) // unpacked
	t.Setenv("CTNAS_DATA", folder)
	m, err := OpenMeasured(t.Context(), "")
	if err != nil || m.Source().Path != file || m.Source().Kind != datasets.Real {
		t.Errorf("unpacked: %v, %v", m, err)
	}
}

// Only the networks of the file can be asked for, with their accuracies.
func TestMeasuredBenchmark(t *testing.T) {
	alone(t)
	_, file := put(t, datasets.OFAMeasured, measuredTable)
	m, err := OpenMeasured(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	b := m.Benchmark()
	if b.Source() != "real" || b.Len() != 2 || b.Space().Name() != "mobilenetv3 ×1 at 224" {
		t.Errorf("%d networks of %s, source %s", b.Len(), b.Space().Name(), b.Source())
	}
	archs, err := b.Sample(rand.New(rand.NewPCG(1, 1)), 2)
	if err != nil || archs[0].ID() == archs[1].ID() {
		t.Errorf("%v, %v", archs, err)
	}
	if v, err := b.Validation(extremes()[1]); v != 0.775 || err != nil {
		t.Errorf("the largest has %v, %v", v, err)
	}
	other, err := mobilenetv3.Uniform(3, mobilenetv3.Block{Kernel: 5, Expansion: 4})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Validation(other); !errors.Is(err, space.ErrNotQueryable) {
		t.Errorf("a network that was not measured: %v", err)
	}
}

func TestOpenMeasuredDamaged(t *testing.T) {
	alone(t)
	change := func(old, new string) string { return strings.Replace(measuredTable, old, new, 1) }
	long := measuredHeader + measuredFirst + strings.Repeat("1", 2<<20)
	for _, test := range []struct{ text, want string }{
		{"", "it is empty"},
		{"\n", "line 1: there is no header"},
		{measuredHeader, "it has 0 networks"},
		{measuredHeader + measuredFirst, "it has 1 networks"},
		{strings.ReplaceAll(measuredTable, ",", ";"), "line 1: the column ks is missing"},
		{change(",macs", ",flops"), "line 1: the column macs is missing"},
		{change("n_meas", "top1_mean"), "line 1: the column top1_mean is there twice"},
		{change(",2\n", "\n"), "line 2: wrong number of fields"},
		{measuredTable[:len(measuredTable)-8], "line 3: wrong number of fields"},
		{measuredTable + measuredFirst, "line 4: the network is there already, in line 2"},
		{change("33003300330033003300,", "3300330033003300330,"), `line 2: ks: "3300330033003300330" has 19 digits, not 20`},
		{change("33003300330033003300,", "3.30033E+19,"), `line 2: ks: "3.30033E+19" is not 20 digits`},
		{change("33003300330033003300,", "43003300330033003300,"), "line 2: mobilenetv3: block 1 of unit 1 has kernel 4"},
		{change(",33003300330033003300", ",53003300330033003300"), "line 2: mobilenetv3: block 1 of unit 1 has kernel 3 and expansion 5"},
		{change("33003300330033003300,", "33503300330033003300,"), "line 2: ks and e: block 3 is beyond the depth of unit 1"},
		{change(",33003300330033003300", ",33003303330033003300"), "line 2: ks and e: block 8 is beyond the depth of unit 2"},
		{change("22222", "22223"), "line 2: mobilenetv3: block 3 of unit 5 has kernel 0"},
		{change("22222", "22221"), "line 2: mobilenetv3: unit 5 has a depth of 1"},
		{change("22222", "2222"), `line 2: d: "2222" has 4 digits, not 5`},
		{change(",224,", ",192,"), `line 2: r: "192" is not 224`},
		{change("3410792", "3410793"), "line 2: params: the network has 3410792 at width 1.0, not 3410793"},
		{change("566170656", "566170655"), "line 3: macs: the network has 566170656 at width 1.0, not 566170655"},
		{change("566170656", "5.66e8"), `line 3: macs: "5.66e8" is not a whole number`},
		{change("71.0000", "NaN"), `line 2: top1_mean: "NaN" is not a number`},
		{change("71.0000", ""), `line 2: top1_mean: "" is not a number`},
		{change("71.0000", "+Inf"), "line 2: top1_mean: +Inf is not a percentage"},
		{change("71.0000", "-1"), "line 2: top1_mean: -1 is not a percentage"},
		{change("71.0000", "710"), "line 2: top1_mean: 710 is not a percentage"},
		{change("71.0000", "0.71"), "line 2: top1_mean: 0.71 looks like a fraction; write it in percent"},
		{change(",2\n", ",0\n"), "line 2: n_meas: a network that was never measured"},
		{change(",2\n", ",two\n"), `line 2: n_meas: "two" is not a whole number`},
		{change("71.0000", `"71`), "in quoted-field"},
		{zipped(t, measuredTable)[:60], "the file ends in the middle of it"},
		{zipped(t, measuredTable)[:5], "gzip: the file ends in the middle of it"},
		{zipped(t, measuredTable) + "more than that", "gzip: invalid header"},
		{long, "line 3: it has more than 1048576 bytes"},
	} {
		_, file := put(t, datasets.OFAMeasured, test.text)
		_, err := OpenMeasured(t.Context(), file)
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), file) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.60q… gives the error\n%v, want\n%s", strings.TrimPrefix(test.text, measuredHeader), err, test.want)
		}
	}
	flipped := []byte(zipped(t, measuredTable))
	flipped[len(flipped)-6] ^= 1 // of the checksum
	_, file := put(t, datasets.OFAMeasured, string(flipped))
	if _, err := OpenMeasured(t.Context(), file); err == nil || !strings.Contains(err.Error(), "checksum") {
		t.Errorf("a wrong checksum gives the error %v", err)
	}
	if _, err := OpenMeasured(t.Context(), filepath.Join(t.TempDir(), "none.csv")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a path where nothing is gives the error %v", err)
	}
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	_, file = put(t, datasets.OFAMeasured, measuredTable)
	if _, err := OpenMeasured(stopped, file); !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "get it again") {
		t.Errorf("stopped, the error is %v", err)
	}
}

// Without the file, as many networks are there, with predicted accuracies, and say so.
func TestOpenMeasuredWithoutData(t *testing.T) {
	for _, download := range []string{"", "1"} {
		alone(t)
		t.Setenv("CTNAS_DOWNLOAD", download) // there is nothing to download it from
		m, err := OpenMeasured(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		s := m.Source()
		if s.Kind != datasets.Surrogate || m.Benchmark().Source() != "surrogate" || len(s.Notes) != 1 || !strings.Contains(s.Notes[0], "DyNAS-T") || !strings.Contains(s.Notes[0], "CTNAS_DATA") {
			t.Errorf("the source is %+v", s)
		}
		nets := m.Networks()
		if len(nets) != publishedNetworks || nets[7].Measurements != 0 || nets[7].Accuracy != EmbeddedTop1().Accuracies([]mobilenetv3.Net{nets[7].Net})[0] {
			t.Errorf("%d networks, the eighth is %+v", len(nets), nets[7])
		}
	}
	t.Setenv("CTNAS_DATA", "")
	for _, a := range datasets.Assets() {
		if a.ID == datasets.OFAMeasured {
			if _, err := datasets.Fetch(t.Context(), a, t.TempDir()); err == nil || !strings.Contains(err.Error(), "cannot be fetched") || !strings.Contains(err.Error(), a.URL) {
				t.Errorf("fetching it gives the error %v", err)
			}
		}
	}
}

func FuzzMeasured(f *testing.F) {
	f.Add(measuredTable)
	f.Add(zipped(f, measuredTable))
	f.Add("\ufeff" + strings.ReplaceAll(measuredTable, "\n", "\r\n"))
	f.Add(measuredTable + measuredSecond)
	f.Add(strings.Replace(measuredTable, "71.0000", "NaN", 1))
	f.Add(strings.Replace(measuredTable, "33003300", "33303300", 1))
	f.Fuzz(func(t *testing.T, text string) {
		file := filepath.Join(t.TempDir(), datasets.OFAMeasured)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		m, err := OpenMeasured(t.Context(), file)
		if err != nil {
			return
		}
		written := measuredHeader
		for _, n := range m.Networks() {
			if !(n.Accuracy > 0.01 && n.Accuracy <= 1) || n.Measurements < 1 {
				t.Fatalf("%+v", n)
			}
			written += line(n)
		}
		again := filepath.Join(t.TempDir(), "again.csv")
		if err := os.WriteFile(again, []byte(written), 0o600); err != nil {
			t.Fatal(err)
		}
		if read, err := OpenMeasured(t.Context(), again); err != nil || len(read.Networks()) != len(m.Networks()) {
			t.Fatalf("written and read again: %v, %v", read, err)
		}
	})
}

// line returns a network as the file has it.
func line(n Network) string {
	var ks, e, d strings.Builder
	for u := range mobilenetv3.Units {
		blocks := n.Net.Blocks(u)
		fmt.Fprint(&d, len(blocks))
		for i := range mobilenetv3.MaxDepth {
			b := mobilenetv3.Block{}
			if i < len(blocks) {
				b = blocks[i]
			}
			fmt.Fprint(&ks, b.Kernel)
			fmt.Fprint(&e, b.Expansion)
		}
	}
	c := mobilenetv3.OFAWidth1().Cost(n.Net)
	return fmt.Sprintf("%s,%s,%s,224,%d,%d,%v,%d\n", &ks, &e, &d, c.Params, c.MAdds, 100*n.Accuracy, n.Measurements)
}
