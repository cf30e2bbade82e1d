package nn

import (
	"fmt"
	"strings"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/distributed"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/core/tensors/dtensor"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/ctnas/ctnas/ctnaslib/engine"
)

// Program is a compiled graph over the variables of a [Model]. On several devices it is data parallel, by GoMLX's
// automatic sharding: every device has the weights and an equal part of the batch, and XLA adds what they must tell
// each other, such as the moments of batch norm and the gradients. So the result is that of one device, up to rounding.
// It is not safe for concurrent use.
type Program struct {
	exec  *model.Exec
	specs []*distributed.ShardingSpec // of the inputs, on several devices
}

// Sharding says what each of several devices has of an input of a [Program].
type Sharding bool

const (
	Replicated Sharding = false // all of it
	Sharded    Sharding = true  // an equal part of its first axis, the batch
)

// meshAxis is along which devices stand.
const meshAxis = "devices"

// newMesh arranges so many devices of a backend; it is nil for one, or none. The error says that there are not so many.
func newMesh(backend compute.Backend, devices int) (*distributed.DeviceMesh, error) {
	if devices <= 1 {
		return nil, nil
	}
	if has := int(backend.NumDevices()); has < devices {
		return nil, fmt.Errorf("nn: the backend %s has %d devices, fewer than the %d of Devices", backend.Name(), has, devices)
	}
	mesh, err := distributed.NewDeviceMesh([]int{devices}, []string{meshAxis})
	if err != nil {
		return nil, fmt.Errorf("nn: %w", err)
	}
	return mesh, nil
}

// Program makes a program of a graph function over the model's variables, which is compiled when it is called, once for
// each combination of shapes of its inputs. There is a [Sharding] for each input; the outputs are the same on all
// devices.
func (m *Model) Program(graph func(*model.Scope, []*Node) []*Node, inputs ...Sharding) (*Program, error) {
	exec, err := engine.NewProgram(m.backend, m.Store, graph)
	if err != nil {
		return nil, fmt.Errorf("nn: %w", err)
	}
	p := &Program{exec: exec}
	if m.mesh == nil {
		return p, nil
	}
	split, err := distributed.BuildSpec(m.mesh).S(meshAxis).Done()
	if err != nil {
		return nil, fmt.Errorf("nn: %w", err)
	}
	whole := distributed.NewReplicatedShardingSpec(m.mesh)
	for _, sharding := range inputs {
		if sharding == Sharded {
			p.specs = append(p.specs, split)
		} else {
			p.specs = append(p.specs, whole)
		}
	}
	exec.AutoSharding(m.mesh).WithInputShardingSpecs(p.specs...).WithOutputShardingSpecs(whole)
	return p, nil
}

// Call runs the program. The error says what to do where the memory of a device was too small.
func (p *Program) Call(inputs ...*tensors.Tensor) ([]*tensors.Tensor, error) {
	outputs, err := p.run(inputs...)
	if err != nil && outOfMemory(err) {
		err = fmt.Errorf("nn: the memory of the device is too small for this network and batch; run it again where more is free, and it continues from its last checkpoint, or choose a smaller BatchSize or more Devices: %w", err)
	}
	return outputs, err
}

// Measure runs a program whose outputs are a loss, a scalar, and how many of the images of a batch the network gets
// right, and returns the loss and the accuracy, in [0, 1].
func (p *Program) Measure(b Batch, inputs ...*tensors.Tensor) (loss, accuracy float64, err error) {
	out, err := p.Call(inputs...)
	if err != nil {
		return 0, 0, err
	}
	return Number(out[0]), Number(out[1]) / float64(b.Size), nil
}

// Number returns the number of a float32 scalar.
func Number(t *tensors.Tensor) float64 { return float64(tensors.ToScalar[float32](t)) }

// outOfMemory says whether a device had too little memory: XLA's plugins answer with their code for exhausted
// resources. (On the Go backend the operating system ends the process.)
func outOfMemory(err error) bool {
	return strings.Contains(err.Error(), "PJRT error (code=8)") // PJRT_Error_Code_RESOURCE_EXHAUSTED
}

func (p *Program) run(inputs ...*tensors.Tensor) ([]*tensors.Tensor, error) {
	if p.specs == nil {
		return p.exec.Call(engine.Args(inputs)...)
	}
	spread := make([]any, len(inputs))
	for i, t := range inputs {
		var err error
		if spread[i], err = dtensor.ShardTensor(p.specs[i], t); err != nil {
			return nil, err
		}
	}
	outputs, err := p.exec.DistributedExec(spread...)
	if err != nil {
		return nil, err
	}
	first := make([]*tensors.Tensor, len(outputs))
	for i, o := range outputs {
		first[i] = o.Shards()[0]
	}
	return first, nil
}
