package comparator

import (
	"fmt"
	"math"
	"reflect"

	"github.com/gomlx/compute"

	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/space"
)

// Score is what a comparator needs to know of an architecture to compare it with any other. For
// [NAC] it is the feature Z seen by each half of the head. A comparator that gives an architecture one
// number u has the score {u, −u}.
type Score struct {
	First  float64 // u·Z + b, where the architecture comes first
	Second float64 // v·Z, where it comes second
}

// Probability returns NAC(a, b): the probability that the architecture with score a is
// at least as good as the one with score b.
func Probability(a, b Score) float64 { return 1 / (1 + math.Exp(-Logit(a, b))) }

// Logit returns the logit of NAC(a, b), ln p/(1 − p) of its [Probability] p.
func Logit(a, b Score) float64 { return a.First + b.Second }

// Utility returns how good the comparator takes an architecture to be, as a number: for any two,
// Utility(a) − Utility(b) = logit NAC(a, b) − logit NAC(b, a). Ranking by it is
// ranking by the comparison in both orders.
func (s Score) Utility() float64 { return s.First - s.Second }

// Scorer gives architectures the scores by which any two of them are compared.
type Scorer interface {
	// Scores returns the score of each architecture.
	Scores(archs []space.Arch) ([]Score, error)
}

// Comparator is what Alg. 1 asks of the comparator: a [*NAC], or one's own.
type Comparator interface {
	Scorer

	// TrainEpoch trains on every labelled architecture once, and on pseudo-labelled pairs, if there are
	// any, which make up the share r in [0, 1) of the loss. It returns the mean loss. An epoch has to be
	// a function of the comparator's state and the epoch's number.
	TrainEpoch(epoch int, labelled []space.Labelled, pseudo []Pair, r float64) (loss float64, err error)

	// Encode writes the state to bytes, and Restore takes it on again.
	Encode() ([]byte, error)
	Restore(state []byte) error
}

// Design describes a comparator and its training: a [Config], or one's own. It is stored with every
// run, as JSON, so it is a plain value, of which all that counts is exported.
type Design interface {
	// New makes a comparator that is not trained. The error says what is wrong in the design.
	New(backend compute.Backend, s space.Space) (Comparator, error)

	// WithSeed returns the design with another seed of its random numbers.
	WithSeed(seed uint64) Design

	// FirstEpochs is the number of epochs of a training from scratch.
	FirstEpochs() int

	// Versions returns the versions of the algorithms behind it, by name: raised when the numbers
	// change that come out, so that no stored result of before is taken.
	Versions() rundir.Versions
}

// Seeded returns a design with a seed. The error says that its WithSeed makes a design of another type, such as one that
// it embeds, which would then be trained in its place.
func Seeded(d Design, seed uint64) (Design, error) {
	seeded := d.WithSeed(seed)
	if reflect.TypeOf(seeded) != reflect.TypeOf(d) {
		return nil, fmt.Errorf("comparator: WithSeed of %T returns a %T, not one of its own type; write one that does", d, seeded)
	}
	return seeded, nil
}

// Ranker returns a comparator as a ranker: itself if it is one, else by [Score.Utility].
func Ranker(s Scorer) space.Ranker {
	if r, ok := s.(space.Ranker); ok {
		return r
	}
	return ranker{s}
}

type ranker struct{ Scorer }

func (r ranker) Utilities(archs []space.Arch) ([]float64, error) {
	scores, err := r.Scores(archs)
	if err != nil {
		return nil, err
	}
	utilities := make([]float64, len(scores))
	for i, s := range scores {
		utilities[i] = s.Utility()
	}
	return utilities, nil
}
