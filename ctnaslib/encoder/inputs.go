package encoder

import (
	"slices"

	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/gomlx/gomlx/core/tensors"
)

// Inputs lays out the graphs of archs for [GCN.Encode]: the adjacency matrices
// [batch, nodes, nodes] and the operations [batch, nodes]. The error names the first
// architecture with more nodes.
func Inputs(archs []space.Arch, nodes int) (adjacency, ops *tensors.Tensor, err error) {
	return inputs(archs, nodes, len(archs))
}

// Chunks calls f for one part of archs after another, with their inputs. The batch
// of a part is padded with empty graphs to a power of two, so that few sizes of a
// graph are ever compiled: what f computes of those it must leave out.
func Chunks(archs []space.Arch, nodes int, f func(part []space.Arch, adjacency, ops *tensors.Tensor) error) error {
	const largest = 1024
	for part := range slices.Chunk(archs, largest) {
		size := 1
		for size < len(part) {
			size *= 2
		}
		adjacency, ops, err := inputs(part, nodes, size)
		if err == nil {
			err = f(part, adjacency, ops)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func inputs(archs []space.Arch, nodes, size int) (adjacency, ops *tensors.Tensor, err error) {
	b, err := space.NewBatch(archs, nodes)
	if err != nil {
		return nil, nil, err
	}
	padding := size - b.Size
	b.Adjacency = append(b.Adjacency, make([]float32, padding*nodes*nodes)...)
	b.Ops = append(b.Ops, make([]int32, padding*nodes)...)
	return tensors.FromFlatDataAndDimensions(b.Adjacency, size, nodes, nodes), tensors.FromFlatDataAndDimensions(b.Ops, size, nodes), nil
}
