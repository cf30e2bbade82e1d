"""Writes comparator.json, controller.json and search.json: the authors' code, computed.

Run beside a checkout of github.com/chenyaofo/CTNAS, commit f9ad5ab, with PyTorch
(it was 2.15, on the CPU), its folder ctnas:

    python3 golden.py CTNAS/ctnas

Their modules run as they are; what they draw at random is drawn before, and written
down. Weights are numbers that any program can make again: with FNV-1a and splitmix64
of 64 bits, element i (counted row by row) of what is called name has

    u(name, i) = (splitmix64(fnv1a(name) + i) >> 11) * 2^-53, in [0, 1)

where name is that of the state dict. The value is, in float64 rounded to float32,
2u-1 for vectors and embeddings, and (2u-1) * sqrt(3 / columns) for other matrices;
bias_hh is 0, since only its sum with bias_ih is seen.
"""

import json
import math
import os
import random
import sys
import tempfile

import numpy as np

checkout = os.path.abspath(sys.argv[1])
sys.argv = ["train.py", "--output", os.path.join(tempfile.mkdtemp(), "run")]
sys.path.insert(0, checkout)

import torch
import core.dataset  # first, as in train.py
from core.controller import LargeSpaceController, MBSpaceController, NASBenchController
from core.controller import common_nas, mobilespace, nasbench
from core.dataset.architecture.common_nas import PRIMITIVES
from core.dataset.architecture.mobilespace import DEPTHS, EXPAND_RATIOS, KERNEL_SIZES
from core.dataset.seq2arch import seq2arch_fn
from core.dataset.tensorize import tensorize_fn
from core.engine import nac as nac_engine, policy_learning
from core.model import NAC, MBSpaceNAC
from core.utils import batchify

random.seed(1)
HERE = os.path.dirname(os.path.abspath(__file__))
MASK = (1 << 64) - 1


def uniform(name, size):
    h = 0xCBF29CE484222325
    for byte in name.encode():
        h = ((h ^ byte) * 0x100000001B3) & MASK
    with np.errstate(over="ignore"):
        x = np.arange(size, dtype=np.uint64) + np.uint64((h + 0x9E3779B97F4A7C15) & MASK)
        x = (x ^ x >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ x >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return ((x ^ x >> np.uint64(31)) >> np.uint64(11)).astype(np.float64) * 2.0 ** -53


def weigh(module):
    for name, p in module.named_parameters():
        v = 2 * uniform(name, p.numel()) - 1
        if p.dim() == 2 and "embedding" not in name:
            v *= math.sqrt(3 / p.shape[1])
        if "bias_hh" in name:
            v *= 0
        p.data = torch.from_numpy(v).float().reshape(p.shape)
    return module


def plain(tensor):
    """Numbers of a tensor with seven digits, in nested lists."""
    if tensor.dim() == 0:
        return float(f"{tensor.item():.7g}")
    return [plain(t) for t in tensor]


def write(name, values):
    with open(os.path.join(HERE, name), "w") as f:
        f.write("{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in values.items()) + "\n}\n")


# Architectures: sequences as their controllers write them, and what our spaces parse.

def cell_choices():
    """The choices of a sequence for NAS-Bench-101: see core/controller/nasbench.py."""
    n = random.randrange(5) + 1
    choices = [n - 1]
    for v in range(n + 1):
        choices.append(random.randrange(v + 1))
        if v < n:
            choices.append(random.randrange(3))
    return choices + [random.randrange(n + 2) for _ in range(2 * (9 - n - 1))]


def cell_sequence(choices):
    return [[choices[0] + 1] + choices[1:]]


def darts_choices():
    """The choices of one cell: see core/controller/common_nas.py. Ours are without "none", and with two predecessors."""
    choices = []
    for v in range(4):
        choices += random.sample(range(v + 2), 2)
        choices += random.choices([i for i, op in enumerate(PRIMITIVES) if op != "none"], k=2)
    return choices


def darts_cell(choices):
    nodes = [c for v in range(4) for c in choices[4 * v:4 * v + 2]]
    ops = [c for v in range(4) for c in choices[4 * v + 2:4 * v + 4]]
    return [(ops[i], nodes[i], i // 2 + 2) for i in range(8)]


def darts_sequence(choices):
    return [darts_cell(c) for c in choices]


def genotype(choices):
    cells = [[[PRIMITIVES[op], node] for op, node, _ in darts_cell(c)] for c in choices]
    return {"normal": cells[0], "reduce": cells[1]}


def net_choices(depth=None):
    """The choices of a network: see core/controller/mobilespace.py."""
    return [c for _ in range(5) for c in [random.randrange(3) if depth is None else depth] + random.choices(range(3), k=8)]


def net_sequence(choices):
    units = [choices[9 * u:9 * u + 9] for u in range(5)]
    depths = [DEPTHS[u[0]] for u in units]
    ratios = [EXPAND_RATIOS[c] for u in units for c in u[1::2]]
    kernels = [KERNEL_SIZES[c] for u in units for c in u[2::2]]
    return [":".join(",".join(map(str, v)) for v in (depths, kernels, ratios))]


def tensors(sequence):
    t = tensorize_fn(seq2arch_fn(sequence))
    return list(t) if isinstance(t, tuple) else [t]


def features(nac, archs):
    extract = nac.extract_features if isinstance(nac, NAC) else lambda a: nac.linear_extractor(a[0])
    return extract(archs)


# The comparator.

def compared(nac, archs):
    """Features, and logits of each architecture against the next one."""
    with torch.no_grad():
        z = features(nac, archs)
        p = nac(archs, [torch.roll(a, -1, 0) for a in archs])
        logit = nac.fc(torch.cat([z, torch.roll(z, -1, 0)], dim=1)).view(-1)
    assert torch.allclose(torch.sigmoid(logit), p)
    return z, logit


def three_steps(nac, archs):
    """An epoch of their train on batches of 8, 8 and 4, with pseudo-labelled pairs: what it draws, and its losses."""
    n, steps = len(archs[0]), []
    accuracies = torch.tensor([random.random() for _ in range(n)])
    pairs = [random.sample(range(n), 2) for _ in range(9)]
    labels = torch.tensor([random.randrange(2) for _ in pairs]).float()
    pseudo = [[a[[p[k] for p in pairs]] for a in archs] for k in range(2)] + [labels]
    loader = [(*[a[i:i + 8] for a in archs], accuracies[i:i + 8], 0) for i in range(0, n, 8)]
    partners, chosen = [], []

    def shuffle(*items):
        partners.append(random.sample(range(len(items[0])), len(items[0])))
        return [item[partners[-1]] for item in items]

    class Random:
        def sample(self, population, k):
            chosen.append(random.sample(population, k))
            return chosen[-1]

    def criterion(outputs, targets):
        loss = torch.nn.BCELoss()(outputs, targets)
        first = 8 * len(steps)
        steps.append({
            "first": [first + i for i in range(len(partners[-1]))] + [pairs[k][0] for k in chosen[-1]],
            "second": [first + j for j in partners[-1]] + [pairs[k][1] for k in chosen[-1]],
            "labels": plain(targets), "loss": plain(loss.detach()),
        })
        return loss

    nac_engine.shuffle, nac_engine.random = shuffle, Random()
    optimizer = torch.optim.Adam(nac.parameters(), lr=2e-4, betas=(0.5, 0.999), weight_decay=5e-4)  # as in train.py
    nac_engine.train(epoch=1, labeled_loader=loader, pseudo_set=pseudo, pseudo_ratio=0.5,
                     nac=nac, criterion=criterion, optimizer=optimizer)
    assert all(len(s["labels"]) == size for s, size in zip(steps, (12, 12, 6)))
    return {"accuracies": plain(accuracies), "steps": steps}


def comparator(archs, sequences, full, small):
    archs_ = batchify([tensors(s) for s in sequences])
    _, logits = compared(weigh(full), archs_)
    weigh(small)
    z, small_logits = compared(small, archs_)
    trained = three_steps(small, archs_)
    return {"archs": archs, "full": {"logits": plain(logits)},
            "small": {"features": plain(z), "logits": plain(small_logits), **trained,
                      "weights": {name: plain(p.data) for name, p in small.named_parameters()}}}


def cells(choices):
    arch = seq2arch_fn(cell_sequence(choices))
    return {"matrix": arch.matrix.tolist(), "ops": arch.ops}


cell_list = [cell_choices() for _ in range(20)]
genotypes = [[darts_choices(), darts_choices()] for _ in range(20)]
nets = [net_choices() for _ in range(20)]
write("comparator.json", {
    "nasbench101": comparator([cells(c) for c in cell_list], [cell_sequence(c) for c in cell_list],
                              NAC(7, 3, 4, 2, 128), NAC(7, 3, 4, 2, 8)),
    "darts": comparator([genotype(g) for g in genotypes], [darts_sequence(g) for g in genotypes],
                        NAC(10, 8, 4, 4, 128), NAC(10, 8, 4, 4, 8)),
    "mobilenetv3": comparator([{"net": net_sequence(n)[0]} for n in nets], [net_sequence(n) for n in nets],
                              MBSpaceNAC(120, 512), MBSpaceNAC(120, 8)),
})


# The controller.

forced = []  # the choices that are made in place of random ones


def impl(self, probs):
    m = torch.distributions.Categorical(probs=probs.view(-1))
    action = torch.tensor([forced.pop(0)])
    return action, m.log_prob(action), m.entropy()


for c in (NASBenchController, common_nas.Controller, MBSpaceController):
    c._impl = impl


def decided(controller, choices):
    forced[:] = [c for part in choices for c in part]
    *_, logp, entropy = controller()
    assert not forced
    return logp.squeeze(), entropy.squeeze()


def reinforced(controller, sequences):
    """Three steps of their policy gradient: the losses, the gradient of the first, the weights after the last."""
    optimizer = torch.optim.Adam(controller.parameters(), 2e-4, betas=(0.5, 0.999), weight_decay=5e-4)  # as in train.py
    rewards, losses, gradient = [0.9, 0.2, 0.6], [], None
    for choices, reward in zip(sequences, rewards):
        logp, entropy = decided(controller, choices)
        loss = -logp * reward - 5e-4 * entropy
        optimizer.zero_grad()
        loss.backward()
        if gradient is None:
            gradient = {name: plain(p.grad) for name, p in controller.named_parameters() if p.grad is not None}
        optimizer.step()
        losses.append(plain(loss.detach()))
    return {"rewards": rewards, "losses": losses, "gradient": gradient,
            "weights": {name: plain(p.data) for name, p in controller.named_parameters()}}


def controlled(make, sequences):
    full, small = weigh(make(64)), weigh(make(4))
    both = [[plain(x.detach()) for x in decided(full, s)] for s in sequences]
    return {"sequences": sequences, "full": {"log_probs": [b[0] for b in both], "entropies": [b[1] for b in both]},
            "small": reinforced(small, sequences)}


write("controller.json", {  # as in train.py and train_mb.py
    "nasbench101": controlled(lambda h: NASBenchController(n_ops=3, n_nodes=5, hidden_size=h, tanh_constant=None, op_tanh_reduce=None), [[cell_choices()] for _ in range(10)]),
    "darts": controlled(lambda h: LargeSpaceController(n_nodes=4, n_ops=8, hidden_size=h), [[darts_choices(), darts_choices()] for _ in range(10)]),
    "mobilenetv3": controlled(lambda h: MBSpaceController(hidden_size=h), [[net_choices(2)] for _ in range(10)]),
})


# What train_controller chooses.

class Sampled:
    """A controller that samples what is given."""

    def __init__(self, sequences):
        self.sequences = list(sequences)

    def __call__(self):
        return (*self.sequences.pop(0), 0, 0)

    def eval(self):
        pass

    def state_dict(self):
        return {}


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b))


nac = weigh(NAC(7, 3, 4, 2, 8))
pool = [cell_sequence(cell_choices()) for _ in range(30)]
with torch.no_grad():
    z = torch.cat([nac.extract_features(batchify([tensors(s)])) for s in pool])
    u, v = nac.fc.weight.view(2, -1)
    first, second = z @ u + nac.fc.bias, z @ v
derived = []
for k in range(6):
    fresh = random.sample(range(30), 10)
    if k % 2:
        fresh[7] = fresh[3]  # policies repeat themselves
    kept = fresh[5] if k == 5 else random.randrange(30)
    best, history = policy_learning.derive(0, Sampled(pool[i] for i in fresh), nac, 10, None, None, [pool[kept]])
    candidates = fresh + [kept]
    derived.append({
        "fresh": fresh, "kept": kept,
        "best": next(i for i in fresh if same(tensors(pool[i]), best[0])),
        "history": next(i for i in candidates if pool[i] == list(history[0])),
    })
partners = random.sample(range(30), 30)
policy_learning.shuffle = lambda *items: [item[partners] for item in items]
with torch.no_grad():
    arch0, arch1, labels = policy_learning.generate_architecture_with_pseudo_labels(nac, Sampled(pool), 30, 15)
where = [next(i for i in range(30) if same(tensors(pool[i]), [a[k] for a in arch0])
              and same(tensors(pool[partners[i]]), [a[k] for a in arch1])) for k in range(15)]
write("search.json", {
    "archs": [cells([s[0][0] - 1] + s[0][1:]) for s in pool], "first": plain(first), "second": plain(second),
    "derive": derived, "partners": partners, "explored": where, "labels": plain(labels),
})
