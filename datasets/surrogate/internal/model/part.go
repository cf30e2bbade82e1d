package model

// Part says what a cell of the real table serves for.
type Part int

// The parts.
const (
	Train   Part = iota // trains the network
	Tuning              // is watched during training, and helped to choose the configuration
	HeldOut             // serves for nothing but the model card
)

// The shares of the parts, in 256ths.
const (
	heldOutShare = 26
	tuningShare  = 4
)

// PartOf returns the part of the cell with this module hash, whose last byte is as good
// as random.
func PartOf(hash [16]byte) Part {
	switch last := hash[len(hash)-1]; {
	case last < heldOutShare:
		return HeldOut
	case last < heldOutShare+tuningShare:
		return Tuning
	}
	return Train
}
