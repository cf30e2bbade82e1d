"""Jupyter's own tests of a kernel, on ours, as far as GoNB supports what they test.

Usage: kernel_test.py LOG

LOG is the file for what the kernel prints.
"""

import sys
import time
import unittest
from unittest import mock

import jupyter_kernel_test
from jupyter_client.manager import start_new_kernel

PATIENCE = 60  # seconds for a message: the machine may be busy

# What GoNB v0.11.3 does not do. A notebook needs none of it.
UNSUPPORTED = {
    "test_is_complete": "GoNB does not answer whether code is complete, which only consoles ask",
    "test_history": "GoNB keeps no history, which consoles look through",
    "test_execute_result": "GoNB shows everything as display_data, also the last value",
    "test_pager": "GoNB opens no pager, which is IPython's way to show help",
    "test_clear_output": "GoNB clears no output; it updates what it has shown, by its display_id",
}


class Kernel(jupyter_kernel_test.KernelTests):
    kernel_name = "ctnas"
    language_name = "go"
    file_extension = ".go"
    code_hello_world = '%%\nfmt.Println("hello, world")'
    code_stderr = '%%\nfmt.Fprintln(os.Stderr, "hello")'
    code_generate_error = "%%\nthis is no Go"
    code_display_data = [
        {"code": '%%\ngonbui.DisplayMarkdown("*hello*")\ngonbui.Sync()', "mime": "text/markdown"},
        {"code": '%%\ngonbui.DisplayHTML("<b>hello</b>")\ngonbui.Sync()', "mime": "text/html"},
    ]
    completion_samples = [{"text": "%%\nfmt.Errorf", "matches": {"Errorf"}}]
    code_inspect_sample = "%%\nfmt.Println"

    @classmethod
    def setUpClass(cls):
        cls.km, cls.kc = start_new_kernel(kernel_name=cls.kernel_name, startup_timeout=PATIENCE, stderr=log, stdout=log)

    def setUp(self):
        if self._testMethodName in UNSUPPORTED:
            self.skipTest(UNSUPPORTED[self._testMethodName])
        self.flush_channels()
        self.execute_helper('%noautoget\nimport (\n\t"fmt"\n\t"os"\n\t"github.com/janpfeifer/gonb/gonbui"\n)')

    def execute_helper(self, code, timeout=PATIENCE, **options):
        # Jupyter's own waits for 0.1 s.
        get = jupyter_kernel_test.ensure_sync(self.kc.iopub_channel.get_msg)
        with mock.patch.object(self.kc.iopub_channel, "get_msg", lambda timeout: get(timeout=PATIENCE)):
            return super().execute_helper(code, timeout=timeout, **options)


class Cells(unittest.TestCase):
    """Cells that fail, are interrupted, or come too early."""

    @classmethod
    def setUpClass(cls):
        cls.km, cls.kc = start_new_kernel(kernel_name=Kernel.kernel_name, startup_timeout=PATIENCE, stderr=log, stdout=log)

    @classmethod
    def tearDownClass(cls):
        cls.kc.stop_channels()
        cls.km.shutdown_kernel()

    def setUp(self):
        self.burst('%noautoget\nimport (\n\t"fmt"\n\t"os"\n)')

    def burst(self, *cells, after=None, **options):
        """Sends cells at once, as "Run all" does, and an interrupt some seconds after; returns their replies in order."""
        ids = [self.kc.execute(cell, allow_stdin=False, **options) for cell in cells]
        if after is not None:
            time.sleep(after)
            self.kc.control_channel.send(self.kc.session.msg("interrupt_request", {}))
        replies = {}
        while len(replies) < len(ids):
            message = self.kc.get_shell_msg(timeout=PATIENCE)
            if message["parent_header"].get("msg_id") in ids:
                replies[message["parent_header"]["msg_id"]] = message["content"]
        return [replies[i] for i in ids]

    def test_run_all_stops_at_failed_cell(self):
        fine = '%%\nfmt.Println("ran")'
        for failing in "%%\nos.Exit(1)", "this is no Go", "%%\nundefined()", "!exit 1":
            with self.subTest(failing):
                self.assertEqual([r["status"] for r in self.burst(fine, failing, fine, fine)], ["ok", "error", "aborted", "aborted"])
                self.assertEqual(self.burst(fine)[0]["status"], "ok")
        with self.subTest("a cell that may fail"):
            self.assertEqual([r["status"] for r in self.burst("%%\nos.Exit(1)", fine, stop_on_error=False)], ["error", "ok"])

    def test_interrupt_holds(self):
        for after in 0.02, 0.1, 0.2, 0.3, 0.5, 0.8, 3:  # from the first moment of compilation to a program that runs
            with self.subTest(after):
                cell = f'%%\nfmt.Println("compiled again for", {after})\nfor {{ _ = os.Getpid() }}'
                start = time.monotonic()
                first, second = self.burst(cell, '%%\nfmt.Println("ran")', after=after)
                self.assertEqual((first["status"], second["status"]), ("error", "aborted"))
                self.assertRegex(first["evalue"], "interrupt")
                self.assertLess(time.monotonic() - start, after + 4)

    def test_after_restart(self):
        reply = self.burst("%%\nfmt.Println(table(), seed, table())")[0]
        self.assertTrue(reply["evalue"].startswith("Run the cells above first: no cell that has run since the kernel started defines table, seed."), reply["evalue"])
        self.assertIn("Run the cells above first", reply["traceback"][0])
        self.assertNotIn("cells above", self.burst('%%\nos.Nothing("here")')[0]["evalue"])


if __name__ == "__main__":
    with open(sys.argv.pop(), "w") as log:
        unittest.main(verbosity=2)
