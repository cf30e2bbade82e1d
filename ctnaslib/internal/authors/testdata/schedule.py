"""Writes schedule.txt: what the authors' train.py does in which step of its policy.

Run beside a checkout of github.com/chenyaofo/CTNAS, commit f9ad5ab, with PyTorch
(it was 2.15), its folder ctnas and a nas_bench.json of all 423,624 cells, whose
accuracies may be any:

    python3 schedule.py CTNAS/ctnas nas_bench.json

It runs train.py as it is, with the batches of 256 of its README, 2 epochs of NAC
and 1,200 steps, and notes when its functions are called, and with what. A line is
a step, or the first and the last of a run of equal ones, and what happened there.
"""

import os
import runpy
import sys
import tempfile

checkout, data = (os.path.abspath(p) for p in sys.argv[1:3])
output = os.path.join(tempfile.mkdtemp(), "run")
sys.argv = ["train.py", "--data", data, "--output", output, "--seed", "1",
            "--train_batch_size", "256", "--nac_epochs", "2", "--pl_iters", "1200"]
sys.path.insert(0, checkout)

import torch
import core.dataset  # first, as in train.py
from core.controller import NASBenchController
from core.engine import nac as nac_engine, policy_learning
from core.model import NAC

events = []  # (first step, last step, what)
steps = 0  # of policy gradient, so far
inside = None  # the function whose samples and comparisons are not the policy's
derived = None  # β of the last derive, and its step


def note(step, what):
    if events and events[-1][2] == what and events[-1][1] == step - 1:
        events[-1] = (events[-1][0], step, what)
    else:
        events.append((step, step, what))


def watched(function, before):
    def call(*args, **kwargs):
        global inside
        before(*args, **kwargs)
        outer, inside = inside, function.__name__
        try:
            return function(*args, **kwargs)
        finally:
            inside = outer
    return call


def exploring(nac, controller, total, k):
    note(steps, f"explore {total} samples, keep {k} pairs")


def training(epoch, labeled_loader, pseudo_set, **_):
    if pseudo_set is not None:
        note(steps, f"train NAC, {len(pseudo_set[2])} pairs")


generate = policy_learning.generate_architecture_with_pseudo_labels
policy_learning.generate_architecture_with_pseudo_labels = watched(generate, exploring)
nac_engine.train = watched(nac_engine.train, training)
nac_engine.evaluate = watched(nac_engine.evaluate, lambda **_: None)

derive = policy_learning.derive


def deriving(iter_, controller, nac, n_derive, database, writer, kept, *args):
    global derived, inside
    note(steps - 1, f"derive of {n_derive} samples and {len(kept)} kept")
    inside = "derive"
    best, history = derive(iter_, controller, nac, n_derive, database, writer, kept, *args)
    inside = None
    derived = best[0], iter_
    return best, history


policy_learning.derive = deriving

sample, compare = NASBenchController.forward, NAC.forward


def sampling(self, force_uniform=False):
    global steps
    if force_uniform:
        note(steps, "uniform β")
    elif inside is None:
        steps += 1
    return sample(self, force_uniform)


def comparing(self, arch0, arch1):
    if inside is None:
        β = "the uniform β"
        if derived and all(torch.equal(a[0], b) for a, b in zip(arch1, derived[0])):
            β = f"β of step {derived[1]}"
        note(steps - 1, "policy, " + β)
    return compare(self, arch0, arch1)


NASBenchController.forward, NAC.forward = sampling, comparing
runpy.run_path(os.path.join(checkout, "train.py"), run_name="__main__")

here = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(here, "schedule.txt"), "w") as f:
    for first, last, what in events:
        f.write(f"{first} {what}\n" if first == last else f"{first}-{last} {what}\n")
