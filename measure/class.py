"""Runs the same cells in several kernels at once, and measures the memory of each.

The only argument is the job, as JSON; the only output is the measurement, as JSON.
Memory is PSS in MB: pages that processes share count once in all.
"""

import asyncio
import json
import os
import sys
import time
from collections import Counter
from pathlib import Path

from jupyter_client.manager import AsyncKernelManager


def processes(session):
    """The folders in /proc of a kernel's processes, and the name of each."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, rest = stat.read_text().split("(", 1)[1].rsplit(")", 1)
            if int(rest.split()[3]) == session:
                yield stat.parent, name
        except (FileNotFoundError, ProcessLookupError):
            pass  # It has ended.


def working(session):
    """Whether a kernel's processes do something, or would if they had a CPU."""
    for path, name in processes(session):
        if kind(name) == "build":
            return True  # gopls has the go command list packages.
        for stat in path.glob("task/*/stat"):
            try:
                if stat.read_text().rsplit(")", 1)[1].split()[0] in "RD":
                    return True
            except (FileNotFoundError, ProcessLookupError):
                pass
    return False


def kind(name):
    if name in ("gonb", "gopls"):
        return name
    return "program" if name.startswith("gonb_") else "build"


def memory(session):
    found = Counter()
    for path, name in processes(session):
        try:
            for line in (path / "smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    found[kind(name)] += int(line.split()[1]) / 1024
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


class Kernel:
    def __init__(self, name, folder, runs):
        self.manager = AsyncKernelManager(kernel_name=name)
        self.folder, self.runs = folder, runs

    async def start(self):
        env = os.environ | {"CTNAS_RUNS": self.runs}
        await self.manager.start_kernel(cwd=self.folder, env=env, stdout=sys.stderr)
        self.session = self.manager.provisioner.pid  # Jupyter starts it in a session of its own.
        self.client = self.manager.client()
        self.client.start_channels()
        await self.client.wait_for_ready(timeout=300)

    async def run(self, code):
        """Runs a cell; returns the seconds it took."""
        start, said = time.monotonic(), []

        def hear(msg):
            said.append(msg["content"].get("text", ""))

        reply = await self.client.execute_interactive(code, timeout=1800, output_hook=hear, allow_stdin=False)
        if reply["content"]["status"] != "ok":
            raise SystemExit(f"a cell failed: {''.join(said)} ({reply['content']['evalue']})")
        return time.monotonic() - start

    async def complete(self, code):
        self.client.complete(code)
        while (await self.client.get_shell_msg(timeout=600))["msg_type"] != "complete_reply":
            pass

    async def end(self):
        self.client.stop_channels()
        await self.manager.shutdown_kernel(now=True)


class Class:
    def __init__(self, name, count, folder, declare, complete, work):
        self.cells = declare, complete, work
        self.kernels = [Kernel(name, folder, f"{folder}/runs-{i}") for i in range(count)]

    async def all(self, do):
        return await asyncio.gather(*(do(k) for k in self.kernels))

    async def quiet(self):
        """Waits until the kernels do nothing for a while: gopls reads all packages when it starts."""
        still = 0
        for _ in range(6000):
            still = 0 if any(working(k.session) for k in self.kernels) else still + 1
            if still == 20:
                return
            await asyncio.sleep(0.2)
        raise SystemExit("the kernels do not come to rest")

    def memory(self):
        return [memory(k.session) for k in self.kernels]

    async def watch(self, task):
        """Returns the largest memory of each kind in each kernel until the task is done, and of all at once."""
        peaks, most = [Counter() for _ in self.kernels], 0
        while not task.done():
            now = self.memory()
            peaks = [p | n for p, n in zip(peaks, now)]  # of Counters, the larger
            most = max(most, sum(sum(n.values()) for n in now))
            await asyncio.sleep(0.3)
        return peaks, most

    async def measure(self):
        declare, complete, work = self.cells
        await self.all(Kernel.start)
        first = await self.all(lambda k: k.run(declare))
        await self.quiet()
        rest = self.memory()
        await self.all(lambda k: k.complete(complete))
        await self.quiet()
        completed = self.memory()
        task = asyncio.ensure_future(self.all(lambda k: k.run(work)))
        peaks, most = await self.watch(task)
        return {"first_s": first, "work_s": task.result(), "rest": rest, "completed": completed, "peak": peaks, "most": most}


async def main(job):
    group = Class(**job)
    try:
        print(json.dumps(await group.measure()))
    finally:
        await asyncio.gather(*(k.end() for k in group.kernels), return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
