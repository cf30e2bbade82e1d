package search

import (
	"context"
	"fmt"
	"slices"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/train"
)

// ReNASConfig is the configuration of [ReNAS].
type ReNASConfig struct {
	Labels    int // architectures whose accuracy is queried
	Predictor ReNASPredictorConfig
	Evolution EvolveConfig
	Seed      uint64 // of everything; the seed of Predictor is derived from it
}

// PaperReNAS returns the predictor of ReNAS's published code, with as many labels and
// sampled architectures as CTNAS has (Sec. 5.1), and the population of Real et al.
// (2019): how ReNAS itself evolves could not be verified.
func PaperReNAS() ReNASConfig {
	return ReNASConfig{
		Labels: 423, Predictor: ReleasedReNASPredictor(),
		Evolution: EvolveConfig{Population: 100, Tournament: 25, Cycles: 10_000},
	}
}

// QuickReNAS is ReNAS for a laptop and a lesson: fewer epochs and cycles.
func QuickReNAS() ReNASConfig {
	c := PaperReNAS()
	c.Predictor = QuickReNASPredictor()
	c.Evolution.Cycles = 2000
	return c
}

// Versions returns the versions of the algorithms behind a search of this configuration.
func (ReNASConfig) Versions() rundir.Versions {
	return predictorVersions().With(rundir.Versions{"renas": 1, "evolution": 1})
}

// withSeed derives the seeds of the parts.
func (c ReNASConfig) withSeed() ReNASConfig {
	c.Predictor.Seed = c.Seed
	return c
}

func (c ReNASConfig) check() error {
	if c.Labels < 2 {
		return fmt.Errorf("search: Labels must be at least 2, not %d", c.Labels)
	}
	if err := c.Predictor.Check(); err != nil {
		return err
	}
	return c.Evolution.check()
}

// cyclesInIteration is how many cycles of evolution may be lost when the process is
// killed.
const cyclesInIteration = 100

// ReNAS searches with a predicted score (Xu et al., CVPR 2021; the paper's rival in
// Table 1): the labels of CTNAS of that seed train a [ReNASPredictor], and
// regularised evolution, as in [Evolve], looks for the architecture of the highest
// score. That is the answer; no more accuracies are queried.
//
// It works in a run directory under root, resumes and is loaded as CTNAS is; an
// iteration is 100 cycles. Its metrics, of each iteration, are "utility", the mean
// score of the population, and "best", the highest score so far.
func ReNAS(ctx context.Context, root string, p Problem, config ReNASConfig) (*Found, error) {
	if err := config.check(); err != nil {
		return nil, err
	}
	config = config.withSeed()
	labels, labelled, err := p.label(ctx, root, config.Labels, config.Seed)
	if err != nil {
		return nil, err
	}
	s := p.Benchmark.Space()
	trained, err := TrainReNASPredictor(ctx, root, PredictorTraining[ReNASPredictorConfig]{
		Backend: p.Backend, Space: s, Labelled: labelled, Config: config.Predictor, Watch: p.Watch.Stage("predictor, epoch"),
	})
	if err != nil {
		return nil, err
	}
	r := &renasSearch{config: config, space: s, predictor: trained.Predictor}
	if r.evolution, err = newEvolution(engine.Stream(config.Seed, "search: population", 0), s, r.predictor, config.Evolution); err != nil {
		return nil, err
	}
	iterations := (config.Evolution.Cycles + cyclesInIteration - 1) / cyclesInIteration
	return Run(ctx, root, p, "renas", config, iterations, r, labels, &Found{Labelled: labelled, Ranker: trained.Predictor})
}

// renasSearch is an evolution that the predictor's score guides.
type renasSearch struct {
	config    ReNASConfig
	space     space.Space
	predictor space.Ranker
	evolution *evolution
}

func (r *renasSearch) Best() space.Arch { return r.evolution.best.arch }

func (r *renasSearch) Step(ctx context.Context, t int) (map[string]float64, error) {
	rng := engine.Stream(r.config.Seed, "search: iteration", t)
	for range min(cyclesInIteration, r.config.Evolution.Cycles-t*cyclesInIteration) {
		if err := r.evolution.cycle(ctx, rng); err != nil {
			return nil, err
		}
	}
	return map[string]float64{"utility": r.evolution.meanUtility(), "best": r.evolution.best.utility}, nil
}

// savedEvolution is an evolution in a checkpoint.
type savedEvolution struct {
	Archs     []string // the population, then the best
	Utilities []float64
}

func (r *renasSearch) Encode() ([]byte, error) {
	var s savedEvolution
	for _, i := range append(slices.Clone(r.evolution.population), r.evolution.best) {
		s.Archs = append(s.Archs, i.arch.String())
		s.Utilities = append(s.Utilities, i.utility)
	}
	return train.EncodeState(s)
}

func (r *renasSearch) Restore(state []byte) error {
	var s savedEvolution
	if err := train.DecodeState(state, &s); err != nil {
		return err
	}
	individuals := make([]individual, len(s.Archs))
	for i, text := range s.Archs {
		arch, err := Parse(r.space, text)
		if err != nil {
			return err
		}
		individuals[i] = individual{arch, s.Utilities[i]}
	}
	last := len(individuals) - 1
	r.evolution = &evolution{
		space: r.space, ranker: r.predictor, tournament: r.config.Evolution.Tournament,
		population: individuals[:last], best: individuals[last],
	}
	return nil
}
