"""Writes forward.json and names.txt: the original Once-for-All supernet, computed.

Run beside a checkout of github.com/mit-han-lab/once-for-all, commit
f03b2673db313b9167e2a1c2b7a5cad540cc1313, with PyTorch 1.13.1:

    PYTHONPATH=once-for-all python3 golden.py

forward.json has the logits of sub-networks of OFAMobileNetV3 (width 1.2, 10 classes,
no dropout) on two images, with the running statistics of batch normalisation
("eval") and with those of the batch ("train"). Weights and images are numbers that
any program can make again: with FNV-1a and splitmix64 of 64 bits, element i (counted
row by row) of what is called name has

    u(name, i) = (splitmix64(fnv1a(name) + i) >> 11) * 2^-53, in [0, 1)

where name is that of the state dict. The value is, in float64 rounded to float32,

    weights of convolutions and the classifier   (2u-1) * sqrt(3 / fan_in)
    their biases                                 u - 0.5
    7to5_matrix, 5to3_matrix                     (2u-1) * sqrt(3 / columns) + identity
    bn.weight, bn.running_var                    u + 0.5
    bn.bias, bn.running_mean                     u - 0.5
    the images, "image" of shape [2, 3, 64, 64]  2u - 1

fan_in is the number of elements of one filter of the supernet, that is of weight[0].
From there PyTorch computes in float64, so the logits are good to all digits;
float32_deviation is how far PyTorch's own float32 logits are from them at most.
Compare those of "eval" within 1e-5: with these weights the running statistics damp
the image, and moving it by one pixel changes them by 5e-5 only ("train": by 0.2).

names.txt lists the state dict of the supernet of 1000 classes: name and shape.
"""

import json
import math
import random
import sys
import types

import numpy as np
import torch

# The data loaders need torchvision; nothing here does.
sys.modules["ofa.utils.my_dataloader"] = types.ModuleType("my_dataloader")
from ofa.imagenet_classification.elastic_nn.networks.ofa_mbv3 import OFAMobileNetV3


def supernet(n_classes):
    return OFAMobileNetV3(
        n_classes=n_classes,
        dropout_rate=0,
        width_mult=1.2,
        ks_list=[3, 5, 7],
        expand_ratio_list=[3, 4, 6],
        depth_list=[2, 3, 4],
    )


def uniform(name, shape):
    h = 0xCBF29CE484222325
    for byte in name.encode():
        h = (h ^ byte) * 0x100000001B3 % 2**64
    x = np.uint64(h) + np.arange(math.prod(shape), dtype=np.uint64)
    x += np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    return (x >> np.uint64(11)).astype(np.float64).reshape(shape) * 2.0**-53


def value(name, shape):
    u = uniform(name, shape)
    kind = name.split(".")[-1]
    if kind.endswith("_matrix"):
        return (2 * u - 1) * math.sqrt(3 / shape[1]) + np.eye(shape[0])
    if kind == "running_var" or (kind == "weight" and len(shape) == 1):
        return u + 0.5
    if kind in ("bias", "running_mean"):
        return u - 0.5
    return (2 * u - 1) * math.sqrt(3 / math.prod(shape[1:]))


def fill(net):
    for name, tensor in net.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            v = value(name, tuple(tensor.shape)).astype(np.float32)
            tensor.copy_(torch.from_numpy(v))


def logits(ks, e, d, dtype, training):
    # Anew each time: the forward pass in training mode changes the running statistics.
    net = supernet(10)
    fill(net)
    net.to(dtype).train(training)
    net.set_active_subnet(ks=ks, e=e, d=d)
    image = (2 * uniform("image", (2, 3, 64, 64)) - 1).astype(np.float32)
    with torch.no_grad():
        return net(torch.from_numpy(image).to(dtype))


def pick(rng, choices, n):
    return [rng.choice(choices) for _ in range(n)]


with open("names.txt", "w") as file:
    for name, tensor in supernet(1000).state_dict().items():
        print(name, *tensor.shape, file=file)

rng = random.Random(2)
settings = [([k] * 20, [e] * 20, [d] * 5) for k, e, d in [(3, 3, 2), (5, 4, 3), (7, 6, 4)]]
while len(settings) < 8:
    settings.append((pick(rng, [3, 5, 7], 20), pick(rng, [3, 4, 6], 20), pick(rng, [2, 3, 4], 5)))
out = {"width": 1.2, "classes": 10, "float32_deviation": {}, "networks": []}
for ks, e, d in settings:
    row = {"kernels": ks, "expands": e, "depths": d}
    for mode in ("eval", "train"):
        exact = logits(ks, e, d, torch.float64, mode == "train")
        single = logits(ks, e, d, torch.float32, mode == "train")
        row[mode] = exact.tolist()
        deviation = (exact - single).abs().max().item()
        out["float32_deviation"][mode] = max(deviation, out["float32_deviation"].get(mode, 0))
    out["networks"].append(row)
text = json.dumps(out).replace('{"kernels"', '\n{"kernels"').replace("]}]}", "]}\n]}")
with open("forward.json", "w") as file:
    file.write(text + "\n")
