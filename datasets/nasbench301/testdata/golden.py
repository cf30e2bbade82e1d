"""Writes golden.json: what ONNX Runtime computes with the published graph.

    pip install onnxruntime==1.32.0 numpy
    python golden.py $CTNAS_DATA/nasbench301

For the five best-known genotypes and 95 random ones, each after a random number of
epochs (the known ones after 98). The integers come from encoding.json, in the order
of the hyperparameters in yahpo_gym's configuration (nb301, cat_names); nothing here
is shared with the Go code.
"""
import json
import random
import sys

import numpy as np
import onnxruntime

OPS = ["max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3", "dil_conv_5x5"]
PREFIX = "NetworkSelectorDatasetInfo_COLON_darts_COLON_"
COLUMNS = ([f"edge_{c}_{k}" for c in ("normal", "reduce") for k in range(14)]
           + [f"inputs_node_{c}_{k}" for c in ("normal", "reduce") for k in (3, 4, 5)])
KNOWN = [  # DARTS_V1, DARTS_V2, P-DARTS, PC-DARTS, CNAS: normal, reduction cell
    ([("sep_conv_3x3", 1), ("sep_conv_3x3", 0), ("skip_connect", 0), ("sep_conv_3x3", 1), ("skip_connect", 0), ("sep_conv_3x3", 1), ("sep_conv_3x3", 0), ("skip_connect", 2)],
     [("max_pool_3x3", 0), ("max_pool_3x3", 1), ("skip_connect", 2), ("max_pool_3x3", 0), ("max_pool_3x3", 0), ("skip_connect", 2), ("skip_connect", 2), ("avg_pool_3x3", 0)]),
    ([("sep_conv_3x3", 0), ("sep_conv_3x3", 1), ("sep_conv_3x3", 0), ("sep_conv_3x3", 1), ("sep_conv_3x3", 1), ("skip_connect", 0), ("skip_connect", 0), ("dil_conv_3x3", 2)],
     [("max_pool_3x3", 0), ("max_pool_3x3", 1), ("skip_connect", 2), ("max_pool_3x3", 1), ("max_pool_3x3", 0), ("skip_connect", 2), ("skip_connect", 2), ("max_pool_3x3", 1)]),
    ([("skip_connect", 0), ("dil_conv_3x3", 1), ("skip_connect", 0), ("sep_conv_3x3", 1), ("sep_conv_3x3", 1), ("sep_conv_3x3", 3), ("sep_conv_3x3", 0), ("dil_conv_5x5", 4)],
     [("avg_pool_3x3", 0), ("sep_conv_5x5", 1), ("sep_conv_3x3", 0), ("dil_conv_5x5", 2), ("max_pool_3x3", 0), ("dil_conv_3x3", 1), ("dil_conv_3x3", 1), ("dil_conv_5x5", 3)]),
    ([("sep_conv_3x3", 1), ("skip_connect", 0), ("sep_conv_3x3", 0), ("dil_conv_3x3", 1), ("sep_conv_5x5", 0), ("sep_conv_3x3", 1), ("avg_pool_3x3", 0), ("dil_conv_3x3", 1)],
     [("sep_conv_5x5", 1), ("max_pool_3x3", 0), ("sep_conv_5x5", 1), ("sep_conv_5x5", 2), ("sep_conv_3x3", 0), ("sep_conv_3x3", 3), ("sep_conv_3x3", 1), ("sep_conv_3x3", 2)]),
    ([("dil_conv_3x3", 1), ("sep_conv_3x3", 0), ("sep_conv_3x3", 0), ("skip_connect", 1), ("sep_conv_3x3", 1), ("max_pool_3x3", 3), ("sep_conv_3x3", 2), ("sep_conv_3x3", 4)],
     [("sep_conv_3x3", 0), ("skip_connect", 1), ("dil_conv_5x5", 2), ("skip_connect", 1), ("dil_conv_3x3", 2), ("sep_conv_3x3", 1), ("sep_conv_5x5", 0), ("sep_conv_3x3", 3)]),
]


def random_cell(rng):
    return [(rng.choice(OPS), node) for i in range(4) for node in rng.sample(range(i + 2), 2)]


def codes(cells, encoding):
    active = {}
    for name, cell in zip(("normal", "reduce"), cells):
        for i in range(4):
            (op_a, a), (op_b, b) = sorted(cell[2 * i:2 * i + 2], key=lambda edge: edge[1])
            first = sum(range(2, i + 2))
            active[f"edge_{name}_{first + a}"], active[f"edge_{name}_{first + b}"] = op_a, op_b
            if i > 0:
                active[f"inputs_node_{name}_{i + 2}"] = f"{a}_{b}"
    return [encoding[PREFIX + column][active.get(column, "#na#")] for column in COLUMNS]


def main(folder):
    encoding = json.load(open(folder + "/encoding.json"))
    session = onnxruntime.InferenceSession(folder + "/yahpo_nb301_model_v2.onnx")
    rng = random.Random(1)
    cases = [(cells, 98) for cells in KNOWN]
    cases += [((random_cell(rng), random_cell(rng)), rng.randint(1, 98)) for _ in range(95)]
    golden = []
    for cells, epoch in cases:
        out, = session.run(None, {"x_cat": np.array([codes(cells, encoding)], np.int32), "x_cont": np.array([[epoch]], np.float32)})
        text = "Genotype(normal=%s, normal_concat=range(2, 6), reduce=%s, reduce_concat=range(2, 6))" % cells
        golden.append({"genotype": text, "epoch": epoch, "accuracy": round(float(out[0, 0]), 7)})
    with open("golden.json", "w") as f:
        f.write("[\n" + ",\n".join(json.dumps(g) for g in golden) + "\n]\n")


main(sys.argv[1])
