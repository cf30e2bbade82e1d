package supernet

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

// program is a compiled graph over the weights of a store. On several devices it is data
// parallel, by GoMLX's automatic sharding: every device has the weights and an equal part
// of the batch, and XLA adds what they must tell each other, such as the moments of batch
// norm and the gradients. So the result is that of one device, up to rounding.
type program struct {
	exec  *model.Exec
	specs []*distributed.ShardingSpec // of the inputs, on several devices
}

// meshAxis is along which devices stand.
const meshAxis = "devices"

// newMesh arranges so many devices of a backend; it is nil for one. The error says that
// there are not so many.
func newMesh(backend compute.Backend, devices int) (*distributed.DeviceMesh, error) {
	if devices <= 1 {
		return nil, nil
	}
	if has := int(backend.NumDevices()); has < devices {
		return nil, fmt.Errorf("supernet: the backend %s has %d devices, fewer than the %d of Devices", backend.Name(), has, devices)
	}
	mesh, err := distributed.NewDeviceMesh([]int{devices}, []string{meshAxis})
	if err != nil {
		return nil, fmt.Errorf("supernet: %w", err)
	}
	return mesh, nil
}

// newProgram makes a program, on a mesh if that is not nil, of a graph whose inputs are
// batches or not. All programs over a store have the same mesh.
func newProgram(backend compute.Backend, store *model.Store, mesh *distributed.DeviceMesh, batches []bool, graph func(*model.Scope, []*Node) []*Node) (*program, error) {
	exec, err := model.NewExec(backend, store, graph)
	if err != nil {
		return nil, fmt.Errorf("supernet: %w", err)
	}
	exec.SetMaxCache(-1)
	p := &program{exec: exec}
	if mesh == nil {
		return p, nil
	}
	split, err := distributed.BuildSpec(mesh).S(meshAxis).Done()
	if err != nil {
		return nil, fmt.Errorf("supernet: %w", err)
	}
	whole := distributed.NewReplicatedShardingSpec(mesh)
	for _, isBatch := range batches {
		if isBatch {
			p.specs = append(p.specs, split)
		} else {
			p.specs = append(p.specs, whole)
		}
	}
	exec.AutoSharding(mesh).WithInputShardingSpecs(p.specs...).WithOutputShardingSpecs(whole)
	return p, nil
}

// call runs the program. Its outputs are the same on all devices. The error says what to
// do where the memory of a device was too small.
func (p *program) call(inputs ...*tensors.Tensor) ([]*tensors.Tensor, error) {
	outputs, err := p.run(inputs...)
	if err != nil && outOfMemory(err) {
		err = fmt.Errorf("supernet: the memory of the device is too small for this network and batch; run it again where more is free, and it continues from its last checkpoint, or choose a smaller BatchSize or more Devices: %w", err)
	}
	return outputs, err
}

// outOfMemory says whether a device had too little memory: XLA's plugins answer with
// their code for exhausted resources. (On the Go backend the operating system ends the
// process.)
func outOfMemory(err error) bool {
	return strings.Contains(err.Error(), "PJRT error (code=8)") // PJRT_Error_Code_RESOURCE_EXHAUSTED
}

func (p *program) run(inputs ...*tensors.Tensor) ([]*tensors.Tensor, error) {
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
