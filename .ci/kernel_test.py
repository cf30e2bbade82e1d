"""Jupyter's own tests of a kernel, on ours, as far as GoNB supports what they test.

Usage: kernel_test.py LOG

LOG is the file for what the kernel prints.
"""

import sys
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


if __name__ == "__main__":
    with open(sys.argv.pop(), "w") as log:
        unittest.main(verbosity=2)
