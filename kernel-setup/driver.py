"""Runs a notebook through a Jupyter kernel.

The only argument is the job, as JSON. What happens is printed as one JSON
object per line. Closing standard input stops the run: the kernel gets the
interrupt that JupyterLab's button sends, and everything is shut down.
"""

import asyncio
import copy
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

# GoNB answers "ok" when a cell's program fails: only this last line of stderr tells.
EXIT = re.compile(r"(?:\^C\n)?((?:exit status|signal:) .*)\n")


def emit(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)


class ProgramFailed(Exception):
    """A cell was compiled, but its program ended with an error."""


class KernelDied(Exception):
    """The kernel ended before the first cell."""


class Runner(NotebookClient):
    """A NotebookClient that reports a cell's output as it comes."""

    exit = ""  # how the cell's program ended, if not well

    def process_message(self, msg, cell, cell_index):
        kind, content = msg["msg_type"], msg["content"]
        if kind == "stream":
            ended = content["name"] == "stderr" and EXIT.fullmatch(content["text"])
            if ended:
                self.exit = ended[1]
            else:
                emit("text", stream=content["name"], text=content["text"])
        elif kind in ("display_data", "execute_result"):
            data = content["data"]
            if "text/markdown" in data or list(data) == ["text/plain"]:
                emit("text", stream="stdout", text="".join(data.get("text/markdown", data.get("text/plain"))) + "\n")
            else:
                mime = next(iter(data), "nothing")
                emit("figure", text=mime, bytes=len(str(data.get(mime, ""))))
        return super().process_message(msg, cell, cell_index)


def merge(outputs):
    """Joins what one stream printed in pieces, and drops what a carriage return has overwritten."""
    merged = []
    for out in outputs:
        if out.output_type != "stream":
            merged.append(out)
            continue
        if merged and merged[-1].output_type == "stream" and merged[-1].name == out.name:
            merged[-1].text += out.text
        else:
            merged.append(out)
        merged[-1].text = re.sub(r"[^\n]*\r(?!\n)", "", merged[-1].text)
    return merged


class Job:
    def __init__(self, notebook, output, folder, kernel, timeout, hide):
        self.nb = nbformat.read(notebook, as_version=4)
        self.output, self.folder, self.timeout = output, folder, timeout
        self.hide = [(re.compile(pattern), new) for pattern, new in hide]
        self.km = AsyncKernelManager(kernel_name=kernel)
        self.stopping = False

    async def run(self):
        """Runs all cells; says at the end how it went, with exactly one last event."""
        for cell in self.nb.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        self.save()
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        loop.add_reader(sys.stdin, self.stop, loop, task)
        try:
            await self.run_cells()
            emit("finished")
        except (Exception, asyncio.CancelledError) as e:
            if self.stopping:
                emit("stopped")
            elif isinstance(e, ProgramFailed):
                emit("exit", text=str(e))
            elif isinstance(e, CellTimeoutError):
                emit("timeout")
            elif isinstance(e, CellExecutionError):
                emit("error", text=e.evalue + "\n" + e.traceback)
            elif isinstance(e, (DeadKernelError, KernelDied)):
                emit("dead")
            else:
                raise
        finally:
            await self.shut_down()

    def stop(self, loop, task):
        """Interrupts the cell that is running, which GoNB kills after 5 s, and ends the run."""
        loop.remove_reader(sys.stdin)
        self.stopping = True
        if self.km.has_kernel:
            asyncio.ensure_future(self.km.interrupt_kernel())
        loop.call_later(10, task.cancel)

    async def run_cells(self):
        await self.km.start_kernel(cwd=self.folder)
        client = Runner(self.nb, km=self.km, timeout=self.timeout, record_timing=False)
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
                if self.stopping:
                    raise asyncio.CancelledError
                emit("cell", cell=n, cells=len(cells), text=cell.source)
                start, client.exit = time.monotonic(), ""
                try:
                    await client.async_execute_cell(cell, index)
                finally:
                    self.save()
                    emit("time", seconds=time.monotonic() - start)
                if client.exit and "raises-exception" not in cell.metadata.get("tags", []):
                    raise ProgramFailed(client.exit)
        finally:
            kc.stop_channels()

    async def shut_down(self):
        """Ends the kernel, and then what a cell may have left running."""
        if not self.km.has_kernel:
            return
        group = self.km.provisioner.pgid
        await self.km.shutdown_kernel()
        try:
            for _ in range(50):
                os.killpg(group, 0)
                await asyncio.sleep(0.1)
            os.killpg(group, signal.SIGKILL)
        except ProcessLookupError:
            pass  # Nothing is left.

    def save(self):
        """Writes the executed copy in one move, without the paths of this machine."""
        nb = copy.deepcopy(self.nb)
        for cell in nb.cells:
            if cell.cell_type == "code":
                cell.outputs = self.clean(merge(cell.outputs))
        nbformat.write(nb, self.output + ".part")
        os.replace(self.output + ".part", self.output)

    def clean(self, value):
        if isinstance(value, str):
            for pattern, new in self.hide:
                value = pattern.sub(new, value)
        elif isinstance(value, list):
            value = [self.clean(v) for v in value]
        elif isinstance(value, dict):
            for key in value:
                value[key] = self.clean(value[key])
        return value


if __name__ == "__main__":
    # Ctrl-C in a terminal reaches this process too; it waits for its standard input to be closed.
    signal.signal(signal.SIGINT, lambda *_: None)
    asyncio.run(Job(**json.loads(sys.argv[1])).run())
