package onceforall

import (
	"fmt"
	"strings"

	"github.com/ctnas/ctnas/ctnaslib/nn"
)

// Weights are the named arrays of a PyTorch checkpoint, as package torch reads them.
type Weights interface {
	// Float32 returns the array of a name, row-major, with the given dimensions. The error says that there is none, or
	// that it has others.
	Float32(name string, dims ...int) ([]float32, error)
}

// Load takes the weights of OFA's published MobileNetV3 supernets, or of any other that its code has trained with the
// same skeleton. The error names the first array that is missing or has another shape; then the supernet has its old
// weights.
func (s *Supernet) Load(weights Weights) error {
	type change struct {
		name   string
		values []float32
		dims   []int
	}
	var changes []change
	for _, scope := range []struct {
		name       string
		parameters []nn.ParameterSpec
	}{{nn.Weights, s.model.Parameters}, {scopeRunning, s.moments}} {
		for _, p := range scope.parameters {
			name, dims, axes := torchName(p)
			values, err := weights.Float32(name, dims...)
			for _, old := range olderNames(name) {
				if err == nil {
					break
				}
				if v, oldErr := weights.Float32(old, dims...); oldErr == nil {
					values, err = v, nil
				}
			}
			if err != nil {
				return fmt.Errorf("onceforall: cannot load %s: %w", p.Name, err)
			}
			changes = append(changes, change{scope.name + "/" + p.Name, transposed(values, dims, axes), p.Dims})
		}
	}
	for _, c := range changes {
		if err := s.set(c.name, c.values, c.dims); err != nil {
			return err
		}
	}
	return nil
}

// olderNames returns what earlier versions of OFA's code, and checkpoints of it, call what the present version calls
// name (its load_state_dict).
func olderNames(name string) []string {
	names := []string{name}
	for _, change := range [][2]string{{".conv.", ".mobile_inverted_conv."}, {".bn.bn.", ".bn."}, {".conv.conv.weight", ".conv.weight"}, {".linear.", "."}} {
		for _, n := range names {
			if changed := strings.Replace(n, change[0], change[1], 1); changed != n {
				names = append(names, changed)
			}
		}
	}
	return names[1:]
}

// torchName returns what OFA's code calls a parameter or a moment, its shape there, and which of those axes are ours,
// in our order.
func torchName(p nn.ParameterSpec) (name string, dims, axes []int) {
	layer, last := p.Name[:strings.LastIndexByte(p.Name, '/')], p.Name[strings.LastIndexByte(p.Name, '/')+1:]
	at, dynamic := "", "" // dynamic layers of OFA hold a plain one
	if n := 0; strings.HasPrefix(layer, "block_") {
		fmt.Sscanf(layer, "block_%d/", &n)
		at, dynamic = fmt.Sprintf("blocks.%d.conv.", n+1), "."
		layer = layer[strings.IndexByte(layer, '/')+1:]
	} else if strings.HasPrefix(layer, "first/") {
		at, layer = "blocks.0.conv.", layer[len("first/"):]
	}
	part := map[string]string{
		"stem": "first_conv", "expand": "inverted_bottleneck", "depthwise": "depth_conv", "project": "point_linear",
		"squeeze/reduce": "depth_conv.se.fc.reduce", "squeeze/excite": "depth_conv.se.fc.expand",
		"final": "final_expand_layer", "mix": "feature_mix_layer", "dense": "classifier",
	}[layer]
	conv, norm := at+part+".conv.", at+part+".bn."
	if dynamic != "" {
		conv, norm = conv+"conv.", norm+"bn."
	}
	switch last {
	case nn.NameScale:
		return norm + "weight", p.Dims, []int{0}
	case nn.NameShift:
		return norm + "bias", p.Dims, []int{0}
	case nameMean:
		return norm + "running_mean", p.Dims, []int{0}
	case nameVariance:
		return norm + "running_var", p.Dims, []int{0}
	case name7to5, name5to3:
		return at + part + ".conv." + last + "_matrix", p.Dims, []int{0, 1}
	case nn.NameDepthwiseKernel:
		return conv + "weight", []int{p.Dims[2], 1, p.Dims[0], p.Dims[1]}, []int{2, 3, 0}
	case nn.NameBias:
		if layer == "dense" {
			return at + part + ".linear.bias", p.Dims, []int{0}
		}
		return at + part + ".bias", p.Dims, []int{0}
	}
	switch { // kernels
	case len(p.Dims) == 4:
		return conv + "weight", []int{p.Dims[3], p.Dims[2], p.Dims[0], p.Dims[1]}, []int{2, 3, 1, 0}
	case layer == "dense":
		return at + part + ".linear.weight", []int{p.Dims[1], p.Dims[0]}, []int{1, 0}
	case strings.HasPrefix(layer, "squeeze/"):
		return at + part + ".weight", []int{p.Dims[1], p.Dims[0], 1, 1}, []int{1, 0}
	}
	return conv + "weight", []int{p.Dims[1], p.Dims[0], 1, 1}, []int{1, 0}
}

// transposed lays out a row-major array of the given dimensions with some of its axes, in their order; the others have
// length 1.
func transposed(values []float32, dims, axes []int) []float32 {
	strides := make([]int, len(dims))
	stride := 1
	for i := len(dims) - 1; i >= 0; i-- {
		strides[i] = stride
		stride *= dims[i]
	}
	out := make([]float32, 0, len(values))
	var walk func(axis, at int)
	walk = func(axis, at int) {
		if axis == len(axes) {
			out = append(out, values[at])
			return
		}
		for i := range dims[axes[axis]] {
			walk(axis+1, at+i*strides[axes[axis]])
		}
	}
	walk(0, 0)
	return out
}
