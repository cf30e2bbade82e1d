"""Writes costs.csv: what sub-networks of the original Once-for-All supernet cost.

Run beside a checkout of github.com/mit-han-lab/once-for-all, commit
f03b2673db313b9167e2a1c2b7a5cad540cc1313, with PyTorch 1.13.1:

    PYTHONPATH=once-for-all python3 golden.py

Each row is counted on the module that get_active_subnet returns, by hooks on its
Conv2d and Linear layers, not by a formula. madds are the multiply-adds of these
layers for one image, those of squeeze-and-excitation included; biases, batch
normalisation, activations, pooling and additions are not counted. params is the
number of elements of all parameters: convolutions, the scale and shift of batch
normalisation (not its running statistics), biases and the classifier's 1000 classes.
"""

import csv
import random
import sys
import types

import torch

# The data loaders need torchvision; nothing here does.
sys.modules["ofa.utils.my_dataloader"] = types.ModuleType("my_dataloader")
from ofa.imagenet_classification.elastic_nn.networks.ofa_mbv3 import OFAMobileNetV3


def count(net, resolution):
    madds = 0

    def hook(layer, inputs, output):
        nonlocal madds
        # Each output element is a dot product with one filter, or one row.
        madds += output.numel() * layer.weight[0].numel()

    handles = [
        layer.register_forward_hook(hook)
        for layer in net.modules()
        if isinstance(layer, (torch.nn.Conv2d, torch.nn.Linear))
    ]
    with torch.no_grad():
        net.eval()(torch.zeros(1, 3, resolution, resolution))
    for handle in handles:
        handle.remove()
    return madds, sum(p.numel() for p in net.parameters())


def text(values):
    return "-".join(map(str, values))


rng = random.Random(1)
settings = [([k] * 20, [e] * 20, [d] * 5) for k, e, d in [(3, 3, 2), (7, 6, 4)]]
while len(settings) < 100:
    settings.append(
        (
            [rng.choice([3, 5, 7]) for _ in range(20)],
            [rng.choice([3, 4, 6]) for _ in range(20)],
            [rng.choice([2, 3, 4]) for _ in range(5)],
        )
    )
with open("costs.csv", "w", newline="") as file:
    out = csv.writer(file, lineterminator="\n")
    out.writerow("kernels expands depths resolution madds params width".split())
    for width in (1.2, 1.0):
        supernet = OFAMobileNetV3(
            dropout_rate=0,
            width_mult=width,
            ks_list=[3, 5, 7],
            expand_ratio_list=[3, 4, 6],
            depth_list=[2, 3, 4],
        )
        for i, (ks, e, d) in enumerate(settings):
            supernet.set_active_subnet(ks=ks, e=e, d=d)
            net = supernet.get_active_subnet(preserve_weight=False)
            for resolution in (224, 192, 160) if i < 20 else (224,):
                costs = count(net, resolution)
                out.writerow([text(ks), text(e), text(d), resolution, *costs, width])
