"""Tests of what driver.py does by itself. They need none of Jupyter's packages."""

import json
import os
import sys
import tempfile
import time
import unittest
from types import ModuleType, SimpleNamespace
from unittest import mock


def output(kind, **fields):
    return SimpleNamespace(output_type=kind, **fields)


def stub(name, **content):
    sys.modules[name] = ModuleType(name)
    vars(sys.modules[name]).update(content)


stub("nbformat", v4=SimpleNamespace(new_output=output), reads=lambda text, as_version: json.loads(text))
stub("jupyter_client")
stub("jupyter_client.manager", AsyncKernelManager=object)
stub("nbclient", NotebookClient=object)
stub("nbclient.exceptions", CellExecutionError=Exception, CellTimeoutError=Exception, DeadKernelError=Exception)
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import driver  # noqa: E402


def text(text, name="stdout"):
    return output("stream", name=name, text=text)


def figure():
    return output("display_data", data={})


def texts(outputs):
    return [o.text if o.output_type == "stream" else "figure" for o in outputs]


class Merge(unittest.TestCase):
    def check(self, pieces, *want):
        self.assertEqual(texts(driver.merge([text(p) if isinstance(p, str) else p for p in pieces])), list(want))

    def test_pieces(self):
        self.check([])
        self.check(["a", "b\n", "c"], "ab\nc")
        self.check(["a", text("e", "stderr"), "b", "c", figure(), "d"], "a", "e", "bc", "figure", "d")

    def test_carriage_returns(self):
        self.check(["10 %\r20 %\r30 %\ndone\n"], "30 %\ndone\n")
        self.check(["10 %", "\r20", " %", "\r", "30 %\n"], "30 %\n")
        self.check(["a\r\nb\r", "\nc"], "a\r\nb\r\nc")
        self.check(["100 %\r"], "100 %\r")

    def test_linear(self):
        for many in (["x" * 5_000_000], ["."] * 300_000, ["\repoch 1 of 9"] * 300_000, ["line\n"] * 300_000):
            start = time.process_time()
            driver.merge([text(t) for t in many])
            self.assertLess(time.process_time() - start, 10, many[0][:20])


class Shown(unittest.TestCase):
    def shown(self, outputs):
        shown = driver.Shown()
        for out in outputs:
            shown.add(out)
        return shown

    def test_all_of_little(self):
        kept = self.shown([text("a"), text("b"), figure(), text("c")]).outputs()
        self.assertEqual(texts(kept), ["ab", "figure", "c"])

    def test_cut(self):
        half = driver.TEXT_LIMIT // 2
        for name, pieces in {
            "one line": ["first " + "x" * 20_000_000 + " last"],
            "lines": ["first\n"] + ["a line of text\n"] * 300_000 + ["last"],
            "no lines": ["first"] + ["."] * 3_000_000 + ["last"],
        }.items():
            with self.subTest(name):
                start = time.process_time()
                shown = self.shown(text(p) for p in pieces)
                for _ in range(3):  # what is saved again is the same
                    kept = texts(shown.outputs())
                self.assertLess(time.process_time() - start, 60)
                self.assertTrue(kept[0].startswith("first") and kept[-1].endswith("last"))
                self.assertAlmostEqual(len(kept[0]), half, delta=driver.EACH)
                self.assertEqual(len(kept), 3)
                self.assertIn(f"[{shown.lost} characters are left out here", kept[1])
                self.assertEqual(len(kept[0]) + shown.lost + len(kept[2]), sum(map(len, pieces)))

    def test_streams_in_turns(self):
        kept = self.shown(text("x\n", ("stdout", "stderr")[i % 2]) for i in range(200_000)).outputs()
        self.assertLess(sum(len(o.text) + driver.EACH for o in kept), 1.1 * driver.TEXT_LIMIT)

    def test_figures_stay(self):
        plot = figure()
        shown = self.shown([text("a" * driver.TEXT_LIMIT), plot, text("b" * driver.TEXT_LIMIT), figure(), text("c" * driver.TEXT_LIMIT)])
        plot.data["changed"] = True  # as a display that is updated
        kept = shown.outputs()
        self.assertEqual([o.data for o in kept if o.output_type != "stream"], [{"changed": True}, {}])

    def test_progress_bar_is_not_much(self):
        shown = self.shown(text(f"\repoch {i} of 500000, and so on") for i in range(500_000))
        self.assertEqual(texts(shown.outputs()), ["epoch 499999 of 500000, and so on"])
        self.assertEqual(shown.lost, 0)

    def test_room_for_figures(self):
        shown = driver.Shown()
        self.assertTrue(shown.has_room(driver.DATA_LIMIT - 2 * driver.EACH, False))
        self.assertFalse(shown.has_room(driver.EACH, False))
        self.assertTrue(shown.has_room(0, False))
        self.assertTrue(shown.has_room(driver.DATA_LIMIT, True))
        self.assertFalse(shown.has_room(driver.DATA_LIMIT + 1, True))


class Load(unittest.TestCase):
    def load(self, content):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "a.ipynb")
            with open(path, "wb") as file:
                file.write(content if isinstance(content, bytes) else json.dumps(content).encode())
            return driver.load(path)

    def test_sources(self):
        for source in ("%%\nfmt.Println()\n", "%%\r\nfmt.Println()\r\n", "%%\rfmt.Println()\r", ["%%\n", "fmt.Println()\n"], ["%%\r\n", "fmt.Println()\r\n"]):
            nb = self.load({"cells": [{"cell_type": "code", "source": source}], "nbformat": 4, "nbformat_minor": 0})
            self.assertEqual(nb["cells"][0]["source"], "%%\nfmt.Println()\n")
        self.assertEqual(self.load({"cells": [{"cell_type": "code"}]})["cells"][0]["source"], "")

    def test_what_is_missing(self):
        nb = self.load({"cells": [{"cell_type": "code", "source": "", "outputs": [1], "execution_count": 3}, {"cell_type": "markdown", "source": "#", "metadata": None}]})
        self.assertEqual(nb["metadata"], {})
        self.assertEqual(nb["cells"][0], {"cell_type": "code", "source": "", "metadata": {}, "outputs": [], "execution_count": None})
        self.assertEqual(nb["cells"][1]["metadata"], {})

    def test_what_is_no_json(self):
        nb = self.load('\ufeff{"cells": [], "metadata": {"a": NaN, "b": -Infinity, "c": "NaN"}}'.encode())
        self.assertEqual(nb["metadata"], {"a": None, "b": None, "c": "NaN"})


class Save(unittest.TestCase):
    def test_seldom(self):
        """With many cells, and much in each, saving all again adds up to little more than saving it once."""
        now, written = 0.0, []

        def write(nb, path):
            nonlocal now
            now += len(nb["cells"])  # takes the longer the more there is
            written.append(now)

        job = driver.Job.__new__(driver.Job)
        job.shown, job.output, job.hide, job.save_at = {}, "x", [], 0
        job.nb = type("Notebook", (dict,), {"cells": []})()
        with (
            mock.patch.object(driver.time, "monotonic", lambda: now),
            mock.patch.object(driver.os, "replace"),
            mock.patch.multiple(driver.nbformat, write=write, from_dict=lambda nb: nb, create=True),
        ):
            for _ in range(1000):
                job.nb.cells.append({})
                now += 1
                job.save()
            busy = now - 1000
            job.save(last=True)
        self.assertLess(busy, 2000)
        self.assertGreater(len(written), 3)
        self.assertEqual(written[-1], now)


if __name__ == "__main__":
    unittest.main()
