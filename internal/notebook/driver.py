"""Runs a notebook through a Jupyter kernel.

The only argument is the job, as JSON. What happens is printed as one JSON
object per line. Closing standard input, or a signal, stops the run: the kernel
gets the interrupt that JupyterLab's button sends, and everything is shut down.
"""

import asyncio
import json
import os
import re
import signal
import sys
import time

import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

TEXT_LIMIT = 1_000_000  # characters that the executed copy keeps of a cell's text
DATA_LIMIT = 30_000_000  # characters that it keeps of a cell's figures
EACH = 100  # what an output takes besides its text
GRACE = 1.5  # seconds that an interrupted cell has to end


def emit(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)


class KernelDied(Exception):
    """The kernel ended before the first cell."""


class Runner(NotebookClient):
    """A NotebookClient that reports a cell's output as it comes, and keeps a bounded part of it."""

    shown = None  # the Shown of the cell that runs

    def process_message(self, msg, cell, cell_index):
        kind, content = msg["msg_type"], msg["content"]
        if kind == "stream":
            emit("text", stream=content["name"], text=content["text"])
        elif kind in ("display_data", "execute_result", "update_display_data"):
            self.process_data(kind, content)
        return super().process_message(msg, cell, cell_index)

    def process_data(self, kind, content):
        data = content["data"]
        mime = next(iter(data), "nothing")
        size = len(str(data.get(mime, "")))
        if not self.shown.has_room(sum(len(str(d)) for d in data.values()), kind == "update_display_data"):
            data = content["data"] = {"text/plain": f"[{mime} of {size} characters: left out, because the cell shows more than {DATA_LIMIT}]"}
        if kind == "update_display_data":
            return
        if "text/markdown" in data or list(data) == ["text/plain"]:
            emit("text", stream="stdout", text="".join(data.get("text/markdown", data.get("text/plain"))) + "\n")
        else:
            emit("figure", text=mime, bytes=size)

    def output(self, outs, msg, display_id, cell_index):
        # What is updated later is found in outs by its place: text does not go there.
        out = super().output([] if msg["msg_type"] == "stream" else outs, msg, display_id, cell_index)
        if out:
            self.shown.add(out)
        return out


def merge(outputs):
    """Joins what one stream printed in pieces, and drops what a carriage return has overwritten."""
    merged, texts = [], []
    for out in outputs:
        if out.output_type != "stream":
            merged.append(out)
            texts.append(None)
        elif texts and texts[-1] and merged[-1].name == out.name:
            texts[-1].append(out.text)
        else:
            merged.append(out)
            texts.append([out.text])
    for out, pieces in zip(merged, texts):
        if pieces:
            lines = "".join(pieces).split("\n")
            out.text = "\n".join(line[line.rstrip("\r").rfind("\r") + 1 :] for line in lines)
    return merged


class Shown:
    """What a cell has shown: its figures, and the start and the end of its text."""

    def __init__(self):
        self.start, self.end = [], []
        self.size = self.lost = self.data = 0

    def has_room(self, size, replaces):
        if replaces:
            return size <= DATA_LIMIT
        if self.data + size + EACH > DATA_LIMIT:
            return False
        self.data += size + EACH
        return True

    def add(self, out):
        self.end.append(out)
        if out.output_type == "stream":
            self.size += len(out.text) + EACH
            if self.size > 2 * TEXT_LIMIT:  # So each character is looked at twice, however much there is.
                self.shorten()

    def shorten(self):
        """Keeps half of the limit from the start of the text, and half from its end; all figures stay."""
        self.end = merge(self.end)
        self.size = sum(len(o.text) + EACH for o in self.end if o.output_type == "stream")
        if not self.start and self.size <= TEXT_LIMIT:
            return
        if not self.start:
            self.start, self.end, _ = take(self.end, TEXT_LIMIT // 2, False)
        self.end, middle, self.size = take(self.end[::-1], TEXT_LIMIT // 2, True)
        self.end.reverse()
        self.lost += sum(len(o.text) for o in middle if o.output_type == "stream")
        self.start += [o for o in reversed(middle) if o.output_type != "stream"]

    def outputs(self):
        self.shorten()
        if not self.lost:
            return self.start + self.end
        cut = f"\n[{self.lost} characters are left out here: of a cell's text this copy keeps the first and the last {TEXT_LIMIT // 2}]\n"
        return [*self.start, nbformat.v4.new_output("stream", name="stderr", text=cut), *self.end]


def take(outputs, room, last):
    """Splits outputs where their text fills the room, which may be inside of a text: its last characters or its first."""
    size = 0
    for i, out in enumerate(outputs):
        if out.output_type != "stream":
            continue
        size += len(out.text) + EACH
        if size >= room:
            over = min(size - room, len(out.text))
            where = over if last else len(out.text) - over
            before, after = (nbformat.v4.new_output("stream", name=out.name, text=t) for t in (out.text[:where], out.text[where:]))
            taken, left = (after, before) if last else (before, after)
            return [*outputs[:i], taken], [left, *outputs[i + 1 :]], room
    return outputs, [], size


def load(path):
    """Reads a notebook as it is found in the world, without its outputs."""
    with open(path, encoding="utf-8-sig") as file:
        nb = json.load(file, parse_constant=lambda _: None)  # NaN is no JSON, but Python writes it.
    nb["metadata"] = nb.get("metadata") or {}
    for cell in nb["cells"]:
        cell["metadata"] = cell.get("metadata") or {}
        if cell["cell_type"] == "code":
            source = "".join(cell.get("source") or "")  # a text, or a list of lines
            cell["source"] = source.replace("\r\n", "\n").replace("\r", "\n")
            cell["outputs"], cell["execution_count"] = [], None
    return nbformat.reads(json.dumps(nb), as_version=4)


class Job:
    def __init__(self, notebook, output, folder, kernel, timeout, hide):
        self.nb = load(notebook)
        self.output, self.folder, self.timeout = output, folder, timeout
        self.hide = [(re.compile(pattern), new) for pattern, new in hide]
        self.nb.metadata.ctnas = {"notebook": self.clean(notebook)}  # so that another of its name does not take its place
        self.km = AsyncKernelManager(kernel_name=kernel, shutdown_wait_time=2)
        self.shown = {}  # of each cell that has run
        self.save_at = 0
        self.stopping = self.running = False

    async def run(self):
        """Runs all cells; says at the end how it went, with exactly one last event."""
        self.save()
        loop, self.task, self.kill = asyncio.get_running_loop(), asyncio.current_task(), None
        loop.add_reader(sys.stdin, self.stop)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:  # as nohup wants it
                loop.add_signal_handler(number, self.stop)
        try:
            await self.run_cells()
            end = "finished", {}
        except (Exception, asyncio.CancelledError) as e:
            if self.stopping:
                end = "stopped", {}
            elif isinstance(e, CellTimeoutError):
                end = "timeout", {}
            elif isinstance(e, CellExecutionError) and e.ename == "ProgramError":
                end = "exit", {"text": e.evalue}
            elif isinstance(e, CellExecutionError):
                end = "error", {"text": e.evalue + "\n" + e.traceback}
            elif isinstance(e, (DeadKernelError, KernelDied)):
                end = "dead", {}
            else:
                raise
        finally:
            if self.kill:
                self.kill.cancel()
            await self.shut_down()
            self.save(last=True)
        emit(end[0], **end[1])

    def stop(self):
        """Interrupts the cell that is running, and ends the run, soon even if the cell does not."""
        asyncio.get_running_loop().remove_reader(sys.stdin)
        if self.stopping:
            return
        self.stopping = True
        if self.running:
            asyncio.ensure_future(self.km.interrupt_kernel())
            self.kill = asyncio.get_running_loop().call_later(GRACE, self.task.cancel)
        else:
            self.task.cancel()

    async def run_cells(self):
        # No other process may hold our output open: its end says that we have ended.
        await self.km.start_kernel(cwd=self.folder, stdout=sys.stderr)
        client = Runner(self.nb, km=self.km, timeout=self.timeout, iopub_timeout=600, record_timing=False)
        client.kc = kc = self.km.client()
        kc.start_channels()
        kc.allow_stdin = False
        try:
            try:
                await kc.wait_for_ready(timeout=120)
            except RuntimeError as e:
                raise KernelDied(str(e)) from e
            info = await kc.kernel_info(reply=True)
            self.nb.metadata.language_info = info["content"]["language_info"]
            cells = [(i, c) for i, c in enumerate(self.nb.cells) if c.cell_type == "code" and c.source.strip()]
            for n, (index, cell) in enumerate(cells, 1):
                emit("cell", cell=n, cells=len(cells), text=cell.source)
                client.shown = self.shown[index] = Shown()
                start, self.running = time.monotonic(), True
                try:
                    await client.async_execute_cell(cell, index)
                finally:
                    self.running = False
                    if client.shown.lost:
                        emit("cut", text=f"the executed copy leaves out {client.shown.lost} characters of this")
                    self.save()
                    emit("time", seconds=time.monotonic() - start)
                if self.stopping:
                    raise asyncio.CancelledError
        finally:
            kc.stop_channels()

    async def shut_down(self):
        """Ends the kernel, and what a cell may have left running."""
        if not self.km.has_kernel:
            return
        group = self.km.provisioner.pgid
        await self.km.shutdown_kernel()
        try:
            os.killpg(group, signal.SIGKILL)
        except ProcessLookupError:
            pass  # Nothing is left.

    def save(self, last=False):
        """Writes the executed copy in one move, without the paths of this machine.

        That takes the longer the more there is, so until the next time passes nine times what it took.
        """
        start = time.monotonic()
        if start < self.save_at and not last:
            return
        cells = list(self.nb.cells)
        for index, shown in self.shown.items():
            cells[index] = {**cells[index], "outputs": self.clean(shown.outputs())}
        nbformat.write(nbformat.from_dict({**self.nb, "cells": cells}), self.output + ".part")
        os.replace(self.output + ".part", self.output)
        now = time.monotonic()
        self.save_at = now + 9 * (now - start)

    def clean(self, value):
        if isinstance(value, str):
            for pattern, new in self.hide:
                value = pattern.sub(new, value)
        elif isinstance(value, list):
            value = [self.clean(v) for v in value]
        elif isinstance(value, dict):
            value = {key: self.clean(v) for key, v in value.items()}
        return value


if __name__ == "__main__":
    asyncio.run(Job(**json.loads(sys.argv[1])).run())
