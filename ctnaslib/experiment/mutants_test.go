package experiment

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// mutant is a wrong change of the method, and the tests that must notice it.
type mutant struct {
	file     string // under ctnaslib
	old, new string // what stands there once, and what is put in its place
	tests    string // a package under ctnaslib and a pattern of its tests
}

var mutants = map[string]mutant{
	"pseudo-labelled pairs never reach NAC":            {"ctnas/algorithm1.go", "a.pseudo = append(a.pseudo, pairs...)", "_ = pairs", "ctnas ByHand"},
	"pseudo-labelled pairs replace those before":       {"ctnas/algorithm1.go", "a.pseudo = append(a.pseudo, pairs...)", "a.pseudo = pairs", "ctnas ByHand"},
	"NAC is never trained again":                       {"ctnas/algorithm1.go", "for e := range c.NACEpochs {", "for e := range 0 * c.NACEpochs {", "ctnas ByHand"},
	"every iteration has the same epoch's seed":        {"ctnas/algorithm1.go", "c.comparator().FirstEpochs() + times*c.NACEpochs + e", "c.comparator().FirstEpochs() + 0*e", "ctnas ByHand"},
	"only the last baseline is a candidate":            {"ctnas/algorithm1.go", "UpdateBaseline(a.nac, a.baselines, ", "UpdateBaseline(a.nac, a.baselines[len(a.baselines)-1:], ", "ctnas ByHand"},
	"the reward is reversed":                           {"ctnas/algorithm1.go", "comparator.Probability(s, baseline[0])", "comparator.Probability(baseline[0], s)", "ctnas ByHand"},
	"the reward's baseline stays":                      {"ctnas/algorithm1.go", "a.baseline = best", "_ = best", "ctnas ByHand"},
	"the baseline is chosen from too many":             {"ctnas/algorithm1.go", "samples[:c.BaselineSamples]", "samples", "ctnas ByHand"},
	"Eq. 5 counts the architecture itself":             {"ctnas/algorithm2.go", "if j != i {", "if true {", "ctnas ByHand|Algorithm2"},
	"Eq. 5 counts losses":                              {"ctnas/algorithm2.go", "wins += comparator.Probability(scores[i], scores[j])", "wins += comparator.Probability(scores[j], scores[i])", "ctnas ByHand|Algorithm2"},
	"Alg. 3 keeps the most probable":                   {"ctnas/algorithm3.go", "candidate{i, j, p >= 0.5, math.Abs(p - 0.5)}", "candidate{i, j, p >= 0.5, p + 0*math.Abs(p)}", "ctnas ByHand|Algorithm3"},
	"Alg. 3 keeps the least confident":                 {"ctnas/algorithm3.go", "cmp.Compare(b.rank, a.rank)", "cmp.Compare(a.rank, b.rank)", "ctnas ByHand|Algorithm3"},
	"pseudo-labels are turned round":                   {"ctnas/algorithm3.go", "candidate{i, j, p >= 0.5,", "candidate{i, j, p < 0.5,", "ctnas ByHand|Algorithm3"},
	"Released samples 20 and keeps 10":                 {"ctnas/config.go", "c.Schedule, c.Samples, c.TopK = AsReleased, 200, 100", "c.Schedule, c.Samples, c.TopK = AsReleased, 20, 10", "experiment Golden"},
	"Released's β is the best so far":                  {"ctnas/released.go", "a.reward(best, fresh, rng)", "_ = best\n\ta.reward(kept, fresh, rng)", "ctnas ReleasedByHand"},
	"Released's answer is β":                           {"ctnas/released.go", "a.baselines = append(a.baselines, kept)", "_ = kept\n\ta.baselines = append(a.baselines, best)", "ctnas ReleasedByHand"},
	"Released derives later":                           {"ctnas/released.go", "a.improvePolicy(ctx, rng, 1, values)", "a.improvePolicy(ctx, rng, c.PolicySteps-1, values)", "ctnas TheAuthors"},
	"Released derives in every iteration":              {"ctnas/released.go", "if t%c.BaselineEvery != 0 {", "if false {", "ctnas TheAuthors"},
	"Released explores at first as it does later":      {"ctnas/released.go", "if t == 0 && k > 0 {", "if t < 0 {", "ctnas TheAuthors"},
	"Released trains NAC on no pseudo-labels":          {"ctnas/released.go", "if c.PseudoRatio > 0 {", "if true {", "ctnas ReleasedByHand"},
	"Released begins with a sample of the policy":      {"ctnas/algorithm1.go", "if a.config.Schedule == AsReleased {\n\t\tarch", "if false {\n\t\tarch", "ctnas TheAuthors"},
	"Released keeps the least probable pairs":          {"ctnas/released.go", "candidate{i, j, p > 0.5, p}", "candidate{i, j, p > 0.5, -p}", "ctnas TheAuthors"},
	"Released takes the worst":                         {"ctnas/released.go", "if average > averages[best] {", "if average < averages[best] {", "ctnas TheAuthors"},
	"Paper's r is 0.1":                                 {"ctnas/config.go", "PseudoRatio: 0.5", "PseudoRatio: 0.1", "experiment Golden"},
	"NAC's learning rate preset is ten times as high":  {"comparator/config.go", "LearningRate: 2e-4, Beta1: 0.5", "LearningRate: 2e-3, Beta1: 0.5", "experiment Golden"},
	"NAC learns ten times as fast":                     {"comparator/config.go", "LearningRate: c.LearningRate,", "LearningRate: 10 * c.LearningRate,", "experiment Numbers"},
	"NAC's β1 preset":                                  {"comparator/config.go", "LearningRate: 2e-4, Beta1: 0.5", "LearningRate: 2e-4, Beta1: 0.9", "experiment Golden"},
	"Adam ignores β1":                                  {"engine/train.go", "Betas(a.Beta1, a.Beta2)", "Betas(0.9, a.Beta2)", "engine Adam"},
	"Adam decays the other way":                        {"engine/train.go", "a.WeightDecay/2", "-a.WeightDecay/2", "engine Adam"},
	"labels are turned round":                          {"comparator/train.go", "accuracy(i) >= accuracy(j)", "accuracy(i) <= accuracy(j)", "experiment Numbers"},
	"the released labels are turned round":             {"comparator/train.go", "accuracy(i) > accuracy(j)", "accuracy(i) < accuracy(j)", "experiment Numbers"},
	"pseudo-labelled pairs weigh half":                 {"comparator/train.go", "weight = odds *", "weight = odds / 2 *", "comparator ."},
	"the entropy bonus is a malus":                     {"controller/network.go", "+ bonus*probability*", "- bonus*probability*", "controller ByHand"},
	"the average of rewards is not taken off":          {"controller/improve.go", "above[i] = r - c.average", "above[i] = r", "controller RewardDecay"},
	"the average of rewards does not move":             {"controller/improve.go", "c.average += (1 - c.config.RewardDecay)", "c.average += 0 * (1 - c.config.RewardDecay)", "controller RewardDecay"},
	"the logit is no reward":                           {"ctnas/algorithm1.go", "if a.config.Reward == LogitReward {", "if false {", "ctnas LogitReward"},
	"the authors' tau counts a tie as worse":           {"metric/metric.go", "(accuracies[i] >= accuracies[j])", "(accuracies[i] > accuracies[j])", "metric AuthorsTau"},
	"the authors' tau is of labelled cells":            {"experiment/data.go", "heldOut, space.Archs(f.Labelled))", "heldOut, nil)", "experiment AuthorsTau"},
	"all searches see the analysis's labels":           {"experiment/experiment.go", "if m.reported {", "if true {", "experiment LabelsOfTheAnalysis"},
	"REINFORCE goes downhill":                          {"controller/controller.go", "w[i] -= size", "w[i] += size", "controller ByHand"},
	"Kendall's tau is negated":                         {"experiment/experiment.go", "o.KTau = &tau", "tau = -tau\n\t\to.KTau = &tau", "experiment WhatIsMeasured"},
	"held-out cells are labelled":                      {"experiment/experiment.go", "heldOut, space.Archs(found.Labelled))", "heldOut, nil)", "experiment WhatIsMeasured"},
	"Table 5's r is halved":                            {"experiment/table5.go", "c.PseudoRatio = row.r", "c.PseudoRatio = row.r / 2", "experiment Golden|StoredResults"},
	"the key lacks the labels":                         {"search/search.go", `"labels": train.Digest(labelled)`, `"labels": ""`, "search OtherLabels"},
	"labels are not kept":                              {"search/labels.go", "err = b.kept.add(id, a, accuracy, took)", "_ = took", "search BoughtAreKept"},
	"the Gaussian comparator has no noise":             {"gaussian/gaussian.go", "+= h.Noise + jitter", "+= jitter", "gaussian ByHand"},
	"the Gaussian comparator is turned round":          {"gaussian/gaussian.go", "CDF(mean / math", "CDF(-mean / math", "gaussian ByHand|OrderAlone"},
	"functions are not drawn to the labels":            {"gaussian/samples.go", "floats.Dot(row, s.correction[i]) + prior", "0*floats.Dot(row, s.correction[i]) + prior", "gaussian Samples"},
	"functions go through noisy labels":                {"gaussian/samples.go", " - rng.NormFloat64()*math.Sqrt(c.Hyper.Noise)", "", "gaussian Samples"},
	"Thompson buys what is lowest":                     {"search/rounds.go", "cmp.Compare(b.values[function], a.values[function])", "cmp.Compare(a.values[function], b.values[function])", "search Thompson"},
	"networks are validated on the test images":        {"nn/accuracy.go", "l := m.plain(m.Data.Validation)", "l := m.plain(m.Data.Test)", "nn WhichImages"},
	"networks are tested on the held-out images":       {"nn/accuracy.go", "l := m.plain(m.Data.Test)", "l := m.plain(m.Data.Validation)", "nn WhichImages"},
	"networks are validated on one batch":              {"nn/accuracy.go", "m.held, err = batches(ctx, l, l.Len())", "m.held, err = batches(ctx, l, 1)", "nn WhichImages"},
	"gradients always have the largest norm":           {"nn/optimize.go", "MaxScalar(norm, limit)", "norm", "nn ClipNorm"},
	"batch norm takes off the mean without its scale":  {"nn/layers.go", "shift = Sub(shift, Mul(mean, scale))", "shift = Sub(shift, mean)", "nn NormalizeByHand"},
	"DARTS's architecture learns from training images": {"relaxation/relaxation.go", "inputs[2]), inputs[3])", "inputs[0]), inputs[1])", "relaxation WhichImages"},
	"sub-networks have no teacher":                     {"onceforall/train.go", "learn = s.distil", "learn = s.accumulate", "onceforall Teacher"},
	"Bananas forgets what it could not buy":            {"search/bananas.go", "b.refuse(s.Refused...)", "_ = s.Refused", "search OnAPart"},
	"a benchmark's version is ignored":                 {"space/benchmark.go", "version = v.Version()", `version = v.Version()[:0]`, "search KeptByVersion"},
}

// The mutants can be made: each place is there once. With CTNAS_MUTANTS=1 they are made, one by
// one, and each must fail its tests:
//
//	CTNAS_MUTANTS=1 go test ./ctnaslib/experiment -run TestMutants -v -timeout 60m
func TestMutants(t *testing.T) {
	run := os.Getenv("CTNAS_MUTANTS") != ""
	for name, m := range mutants {
		path, err := filepath.Abs(filepath.Join("..", m.file))
		if err != nil {
			t.Fatal(err)
		}
		source, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(source), m.old); n != 1 {
			t.Errorf("%s: %q stands %d times in %s, want once", name, m.old, n, m.file)
			continue
		}
		if !run {
			continue
		}
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			changed, overlay := filepath.Join(dir, "changed.go"), filepath.Join(dir, "overlay.json")
			text, err := json.Marshal(map[string]map[string]string{"Replace": {path: changed}})
			if err != nil {
				t.Fatal(err)
			}
			for path, text := range map[string]string{changed: strings.Replace(string(source), m.old, m.new, 1), overlay: string(text)} {
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			pkg, pattern, _ := strings.Cut(m.tests, " ")
			out, err := exec.Command("go", "test", "-overlay", overlay, "-count=1", "-run", pattern, "../"+pkg).CombinedOutput()
			switch {
			case err == nil:
				t.Errorf("it passes the tests %s", m.tests)
			case !strings.Contains(string(out), "--- FAIL"):
				t.Errorf("it does not run: %s", out)
			}
		})
	}
}
