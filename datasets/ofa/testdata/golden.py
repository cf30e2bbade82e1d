"""Writes predictor.csv: the accuracies that the original predictor gives.

Run beside a checkout of github.com/mit-han-lab/once-for-all, commit
f03b2673db313b9167e2a1c2b7a5cad540cc1313, with PyTorch 1.13.1:

    PYTHONPATH=once-for-all python3 golden.py acc_predictor.pth

acc_predictor.pth is the published file. The encodings are random and made here; the
accuracies are what AccuracyPredictor of ofa/tutorial computes for them in float32.
"""

import csv
import importlib.util
import os
import random
import sys
import types

import torch

# The module needs download_url alone of ofa.utils, and downloads nothing here.
sys.modules["ofa"] = types.ModuleType("ofa")
sys.modules["ofa.utils"] = types.ModuleType("ofa.utils")
sys.modules["ofa.utils"].download_url = lambda url: sys.argv[1]
path = os.path.join(os.environ["PYTHONPATH"], "ofa/tutorial/accuracy_predictor.py")
spec = importlib.util.spec_from_file_location("accuracy_predictor", path)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
predictor = module.AccuracyPredictor(device="cpu")


def text(values):
    return "-".join(map(str, values))


rng = random.Random(3)
samples = []
for i in range(100):
    samples.append(
        {
            "ks": [rng.choice([3, 5, 7]) for _ in range(20)],
            "e": [rng.choice([3, 4, 6]) for _ in range(20)],
            "d": [rng.choice([2, 3, 4]) for _ in range(5)],
            # Half of them at 224, and every resolution of the encoding.
            "r": [224 if i % 2 else 112 + 16 * (i // 2 % 8)],
        }
    )
with open("predictor.csv", "w", newline="") as file:
    out = csv.writer(file, lineterminator="\n")
    out.writerow("kernels expands depths resolution accuracy".split())
    for s, accuracy in zip(samples, predictor.predict_accuracy(samples)):
        shortest = str(accuracy.numpy()[0])  # the fewest digits that name this float32
        out.writerow([text(s["ks"]), text(s["e"]), text(s["d"]), s["r"][0], shortest])
