package space

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// Choice is one of the choices in a row that make an architecture of a [Choices] space.
type Choice struct {
	// Name is what is chosen, such as "kernel". Choices of the same name have the same options, and a policy
	// has one embedding table and one output head for all of them.
	Name string

	// Options are the words for what can be chosen: 2 to 256, all different.
	Options []string
}

// ChoicesConfig describes a [Choices] space. Do not change it, or what it holds, once the space is made.
type ChoicesConfig struct {
	Name    string   // of the space
	Choices []Choice // at least one

	// Text is the text of an architecture, with %s for the option of each choice, in their order. If it is empty,
	// the options stand one after another with commas between them, as in "16,3,32,5".
	Text string

	// Graph is the architecture as the comparator sees it, from the position of each chosen option in
	// [Choice.Options]; [Space.Nodes] and [Space.Ops] are then Nodes and Ops. If it is nil, the graph is a chain: an
	// input, a node for each choice, an output, where each option of each name is an operation of its own.
	Graph      func(chosen []int) Graph
	Nodes, Ops int
}

// Choices is the [Space] of architectures that are each n choices in a row, independent of each other. Make one with
// [NewChoices]. It does not change and is safe for concurrent use, as far as the Graph of its configuration is.
type Choices struct {
	config    ChoicesConfig
	text      []string // around and between the options
	decisions *Decisions
}

var _ Space = (*Choices)(nil)

// NewChoices makes a space of choices in a row. The error says what is wrong with the configuration: with the
// options, with the text, which must be readable, or with the graph, which is tried with each option of each choice.
func NewChoices(config ChoicesConfig) (*Choices, error) {
	n := len(config.Choices)
	if config.Text == "" {
		config.Text = strings.TrimPrefix(strings.Repeat(",%s", n), ",")
	}
	s := &Choices{config: config, text: strings.Split(config.Text, "%s")}
	switch {
	case config.Name == "":
		return nil, errors.New("space: a space of choices needs a name")
	case n == 0:
		return nil, fmt.Errorf("space: the space %s has no choices", config.Name)
	case len(s.text) != n+1:
		return nil, fmt.Errorf("space: the text %q of the space %s has %d times %%s for %d choices", config.Text, config.Name, len(s.text)-1, n)
	}
	if err := s.decide(); err != nil {
		return nil, fmt.Errorf("space: the space %s: %w", config.Name, err)
	}
	if config.Graph == nil {
		s.chain()
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	return s, nil
}

// decide makes the decisions. The error is a part of a sentence.
func (s *Choices) decide() error {
	d := &Decisions{Steps: len(s.config.Choices)}
	for i, c := range s.config.Choices {
		if len(c.Options) < 2 || len(c.Options) > 256 {
			return fmt.Errorf("choice %d (%s) has %d options; give it 2 to 256", i+1, c.Name, len(c.Options))
		}
		first := slices.IndexFunc(s.config.Choices, func(other Choice) bool { return other.Name == c.Name })
		if !slices.Equal(s.config.Choices[first].Options, c.Options) {
			return fmt.Errorf("two choices named %q have different options; give them different names", c.Name)
		}
		if first == i {
			d.Kinds = append(d.Kinds, Kind{Name: c.Name, Choices: len(c.Options)})
		}
		kind := slices.IndexFunc(d.Kinds, func(k Kind) bool { return k.Name == c.Name })
		d.States = append(d.States, State{Kind: kind, Next: slices.Repeat([]int{i + 1}, len(c.Options))})
	}
	s.decisions = d
	return nil
}

// chain makes the graphs chains: the operations are those of the input and the output, then each kind's options.
func (s *Choices) chain() {
	const input, output = 1, 2
	ops := 3
	var firstOps []int
	for _, k := range s.decisions.Kinds {
		firstOps = append(firstOps, ops)
		ops += k.Choices
	}
	s.config.Nodes, s.config.Ops = len(s.config.Choices)+2, ops
	s.config.Graph = func(chosen []int) Graph {
		g := Graph{Ops: []int{input}}
		for i, option := range chosen {
			g.Ops = append(g.Ops, firstOps[s.decisions.States[i].Kind]+option)
			g.Edges = append(g.Edges, [2]int{i, i + 1})
		}
		g.Ops = append(g.Ops, output)
		g.Edges = append(g.Edges, [2]int{len(chosen), len(chosen) + 1})
		return g
	}
}

// check tries each option of each choice: whether its text is read back, and whether its graph is one of the space.
func (s *Choices) check() error {
	for i, c := range s.config.Choices {
		for option := range c.Options {
			at := make([]byte, len(s.config.Choices))
			at[i] = byte(option)
			a := Chosen{s, string(at)}
			if read, err := s.Parse(a.String()); err != nil || read != Arch(a) {
				return fmt.Errorf("space: the text %q of an architecture of the space %s cannot be read back; mind what stands between the options, and that they differ", a, s.config.Name)
			}
			if err := a.Graph().check(s.config.Nodes, s.config.Ops); err != nil {
				return fmt.Errorf("space: the graph of %s in the space %s %w", a, s.config.Name, err)
			}
		}
	}
	return nil
}

// check says, in the rest of a sentence, what a comparator of so many nodes and operations cannot read.
func (g Graph) check(nodes, ops int) error {
	if len(g.Ops) > nodes {
		return fmt.Errorf("has %d nodes, and the space at most %d", len(g.Ops), nodes)
	}
	for i, op := range g.Ops {
		if op < 1 || op >= ops {
			return fmt.Errorf("has the operation %d at node %d; it may be 1 to %d", op, i, ops-1)
		}
	}
	for _, e := range g.Edges {
		if err := g.checkEdge(e); err != nil {
			return err
		}
	}
	return nil
}

// checkEdge says, in the rest of a sentence, what is wrong with an edge.
func (g Graph) checkEdge(e [2]int) error {
	if e[0] < 0 || e[0] >= e[1] || e[1] >= len(g.Ops) {
		return fmt.Errorf("has the edge %d → %d; edges go from a lower to a higher one of its %d nodes", e[0], e[1], len(g.Ops))
	}
	return nil
}

// Name returns the name in the configuration.
func (s *Choices) Name() string { return s.config.Name }

// Nodes returns the largest number of nodes of a graph.
func (s *Choices) Nodes() int { return s.config.Nodes }

// Ops returns the number of operation ids, the padding id 0 included.
func (s *Choices) Ops() int { return s.config.Ops }

// Sample draws a [Chosen] uniformly: each choice in its turn.
func (s *Choices) Sample(rng *rand.Rand) Arch {
	at := make([]byte, len(s.config.Choices))
	for i, c := range s.config.Choices {
		at[i] = byte(rng.IntN(len(c.Options)))
	}
	return Chosen{s, string(at)}
}

// Mutate changes one choice, each with the same probability, to another of its options. The error says that a is not an
// architecture of a space with the same texts.
func (s *Choices) Mutate(rng *rand.Rand, a Arch) (Arch, error) {
	if c, ok := a.(Chosen); !ok || c.space == nil {
		return nil, fmt.Errorf("space: cannot mutate %v, it is not an architecture of the space %s", a, s.config.Name)
	}
	own, err := s.parse(a.String())
	if err != nil {
		return nil, err
	}
	at := []byte(own.at)
	i := rng.IntN(len(at))
	options := len(s.config.Choices[i].Options)
	at[i] = byte((int(at[i]) + 1 + rng.IntN(options-1)) % options)
	return Chosen{s, string(at)}, nil
}

// Parse reads a [Chosen] from its text. The error names the first choice that cannot be read.
func (s *Choices) Parse(text string) (Arch, error) {
	c, err := s.parse(text)
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (s *Choices) parse(text string) (Chosen, error) {
	form := strings.Join(s.text, "…")
	rest, ok := strings.CutPrefix(text, s.text[0])
	if !ok {
		return Chosen{}, fmt.Errorf("space: %.100q is not of the form %q of the space %s", text, form, s.config.Name)
	}
	at := make([]byte, len(s.config.Choices))
	for i, c := range s.config.Choices {
		word, after, ok := strings.Cut(rest, s.text[i+1])
		if i == len(at)-1 { // up to the end
			word, ok = strings.CutSuffix(rest, s.text[i+1])
		}
		if !ok {
			return Chosen{}, fmt.Errorf("space: %.100q is not of the form %q of the space %s", text, form, s.config.Name)
		}
		option := slices.Index(c.Options, word)
		if option < 0 {
			return Chosen{}, fmt.Errorf("space: choice %d (%s) of %.100q is %q; the options are %s", i+1, c.Name, text, word, strings.Join(c.Options, ", "))
		}
		at[i], rest = byte(option), after
	}
	return Chosen{s, string(at)}, nil
}

// Decisions describes the choices, one after another. The result is shared: do not change it.
func (s *Choices) Decisions() *Decisions { return s.decisions }

// Decode turns a sequence of decisions into its [Chosen].
func (s *Choices) Decode(sequence []int) (Arch, error) {
	if err := s.decisions.Check(sequence); err != nil {
		return nil, err
	}
	at := make([]byte, len(sequence))
	for i, option := range sequence {
		at[i] = byte(option)
	}
	return Chosen{s, string(at)}, nil
}

// Chosen is an architecture of a [Choices] space: an option of each choice. Those of one space are comparable with ==.
// The zero Chosen is not an architecture.
type Chosen struct {
	space *Choices
	at    string // a byte for each choice
}

var _ Arch = Chosen{}

// ID returns the text: two architectures of different choices are never equal.
func (c Chosen) ID() string { return c.String() }

// String returns the text that [Choices.Parse] reads.
func (c Chosen) String() string {
	if c.space == nil {
		return "no architecture"
	}
	var s strings.Builder
	for i, word := range c.Words() {
		s.WriteString(c.space.text[i] + word)
	}
	return s.String() + c.space.text[len(c.at)]
}

// Words returns the chosen options.
func (c Chosen) Words() []string {
	words := make([]string, len(c.at))
	for i, option := range c.Options() {
		words[i] = c.space.config.Choices[i].Options[option]
	}
	return words
}

// Counts returns how often each option of each name was chosen, the names in the order of their first choice.
func (c Chosen) Counts() []float32 {
	from := make(map[string]int) // of each name
	var counts []float32
	for i, option := range c.Options() {
		choice := c.space.config.Choices[i]
		if _, ok := from[choice.Name]; !ok {
			from[choice.Name] = len(counts)
			counts = append(counts, make([]float32, len(choice.Options))...)
		}
		counts[from[choice.Name]+option]++
	}
	return counts
}

// Options returns the positions of the chosen options in [Choice.Options], which are also the decisions that lead to the
// architecture.
func (c Chosen) Options() []int {
	options := make([]int, len(c.at))
	for i := range options {
		options[i] = int(c.at[i])
	}
	return options
}

// Graph returns the architecture as the comparator sees it.
func (c Chosen) Graph() Graph { return c.space.config.Graph(c.Options()) }
