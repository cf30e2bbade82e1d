package controller_test

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/ctnas/ctnas/ctnaslib/controller"
	"github.com/ctnas/ctnas/ctnaslib/space"
)

// Three decisions among four choices: a policy learns to take the choice that is rewarded.
func Example() {
	decisions := &space.Decisions{Kinds: []space.Kind{{Name: "operation", Choices: 4}}, Steps: 3}
	for state := range decisions.Steps {
		decisions.States = append(decisions.States, space.State{Next: slices.Repeat([]int{state + 1}, 4)})
	}
	config := controller.Default()
	config.Hidden, config.LearningRate = 16, 2e-2
	policy, err := controller.New(decisions, config)
	if err != nil {
		fmt.Println(err)
		return
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for range 60 {
		sequences, err := policy.Sample(rng, 32)
		if err != nil {
			fmt.Println(err)
			return
		}
		rewards := make([]float64, len(sequences))
		for i, sequence := range sequences {
			for _, choice := range sequence {
				if choice == 2 {
					rewards[i]++
				}
			}
		}
		if _, err := policy.Reinforce(sequences, rewards); err != nil {
			fmt.Println(err)
			return
		}
	}
	sequences, err := policy.Sample(rng, 2)
	fmt.Println(sequences, err)
	// Output: [[2 2 2] [2 2 2]] <nil>
}
