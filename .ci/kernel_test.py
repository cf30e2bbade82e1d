"""Jupyter's own tests of a kernel, on ours, as far as GoNB supports what they test.

It does not answer whether code is complete, and has no history.
"""

import unittest

import jupyter_kernel_test


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

    def setUp(self):
        super().setUp()
        self.execute_helper('%noautoget\nimport (\n\t"fmt"\n\t"os"\n\t"github.com/janpfeifer/gonb/gonbui"\n)')


if __name__ == "__main__":
    unittest.main()
