"""Runs the authors' code, as released, on labels of ours, and says how long it took.

The only argument is the job, as JSON; the only output is the measurement, as JSON. Nothing in the authors' checkout is
changed: their train.py runs as a program, and three of its functions are wrapped to read the clock and choose the labels.
"""

import contextlib
import json
import os
import platform
import runpy
import statistics
import sys
import time
import warnings
from pathlib import Path

os.environ["CUDA_VISIBLE_DEVICES"] = ""  # theirs is compared on the CPU
warnings.filterwarnings("ignore")

import numpy
import torch


def versions():
    return {"python": platform.python_version(), "torch": torch.__version__, "numpy": numpy.__version__, "threads": str(torch.get_num_threads())}


def operations(calls, batch, nodes, width):
    """The milliseconds of single operations at the size of a layer, medians, by the names of operations.go."""
    rows = batch * nodes
    x, g = torch.randn(rows, width), torch.randn(rows, width)
    w, bias = torch.randn(width, width), torch.randn(width)
    a, x3 = torch.randn(batch, nodes, nodes), torch.randn(batch, nodes, width)
    todo = {
        "product": lambda: x @ w,
        "weight gradient": lambda: x.T @ g,
        "input gradient": lambda: g @ w.T,
        "messages": lambda: torch.bmm(a, x3),
        "messages back": lambda: torch.bmm(a.transpose(1, 2), x3),
        "transpose": lambda: x.T.contiguous(),
        "relu": lambda: torch.relu(x),
        "add": lambda: x + g,
        "bias": lambda: x + bias,
        "sum": lambda: x.sum(0),
    }
    took = {}
    with torch.no_grad():
        for name, do in todo.items():
            times = []
            for _ in range(calls + 1):
                start = time.perf_counter()
                do()
                times.append(time.perf_counter() - start)
            took[name] = 1000 * statistics.median(times[1:])
    return took


class Clock:
    """Wraps functions of theirs, and keeps when each was first called, when it last returned, and the time within."""

    def __init__(self):
        self.first, self.last, self.within, self.returned = {}, {}, {}, {}

    def wrap(self, module, name):
        inner = getattr(module, name)

        def outer(*args, **kwargs):
            start = time.perf_counter()
            self.first.setdefault(name, start)
            self.returned[name] = inner(*args, **kwargs)
            self.last[name] = time.perf_counter()
            self.within[name] = self.within.get(name, 0) + self.last[name] - start
            return self.returned[name]

        setattr(module, name, outer)


def choose_labels(dataset, labels):
    """Has their data set begin with our labels, and leave out cells without a validation accuracy."""
    inner = dataset.NASBench.__init__

    def init(self, database, seed):
        inner(self, database=database, seed=seed)
        index = {arch.hash_: i for i, arch in enumerate(database.items)}
        first = [index[label] for label in labels]
        others = set(first)
        self.proxy = first + [i for i in self.proxy if i not in others and database.items[i].validation_accuracy is not None]

    dataset.NASBench.__init__ = init


def run(job):
    folder = Path(job["authors"]) / "ctnas"
    sys.path.insert(0, str(folder))
    labels = job["labels"]
    sys.argv = [
        "train.py", "--space", "nasbench", "--data", job["data"], "--output", job["folder"], "--seed", str(job["seed"]),
        "--trainset_size", str(len(labels)), "--train_batch_size", str(job["batch"]),
        "--nac_epochs", str(job["epochs"]), "--pl_iters", str(job["steps"]),
    ]
    import core.engine.nac as nac
    import core.engine.policy_learning as policy
    from core.dataset import nasbench

    choose_labels(nasbench, labels)
    clock, before = Clock(), {}
    clock.wrap(nac, "train")
    clock.wrap(nac, "evaluate")
    search = policy.train_controller

    def train_controller(*args, **kwargs):
        before.update(loss=clock.returned["train"][1], evaluating=clock.within.get("evaluate", 0))
        return search(*args, **kwargs)

    policy.train_controller = train_controller
    clock.wrap(policy, "train_controller")
    runpy.run_path(str(folder / "train.py"), run_name="__main__")
    begin, middle, end = clock.first["train"], clock.first["train_controller"], clock.last["train_controller"]
    return {
        "nac_s": middle - begin, "search_s": end - begin, "loss": before["loss"],
        "evaluating_nac_s": before["evaluating"], "evaluating_s": clock.within.get("evaluate", 0),
    }


def main(job):
    answer = {"versions": versions()}
    if not job.get("only_versions"):
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):  # where they log every epoch
            answer["operations_ms"] = operations(job["calls"], job["batch"], job["nodes"], job["width"])
            answer.update(run(job))
    print(json.dumps(answer))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
