"""Logs students in to a JupyterHub with a headless Chromium, and each runs the quick start in JupyterLab.

Usage: hub.py CHROMIUM ADDRESS SCREENSHOTS STUDENT:PASSWORD...

It prints the memory of each student's processes.
"""

import re
import subprocess
import sys
import time
from pathlib import Path

from playwright.sync_api import Error, TimeoutError, expect, sync_playwright

from browser import MINUTE, Notebook


def memory(student):
    """The memory of a student's processes in MB, with their share of pages that processes have in common."""
    total = 0
    for process in subprocess.run(["pgrep", "-u", student], capture_output=True, text=True).stdout.split():
        try:
            total += int(re.search(r"Pss: *(\d+)", Path("/proc", process, "smaps_rollup").read_text())[1])
        except (FileNotFoundError, ProcessLookupError):
            pass  # It has ended.
    return total / 1024


def log_in(page, address, student, password):
    """Logs in, which starts the student's JupyterLab, and opens the quick start, of which the student has got a copy."""
    for _ in range(60):  # while JupyterHub starts, the proxy is not there, or knows no page
        try:
            if page.goto(f"{address}/hub/login").ok:
                break
        except Error:
            pass
        time.sleep(1)
    page.locator("#username_input").fill(student)
    page.locator("#password_input").fill(password)
    page.locator("#login_submit").click()
    page.wait_for_url(f"**/user/{student}/lab**", timeout=2 * MINUTE)
    return Notebook(page, f"{address}/user/{student}/lab?", "notebooks/00-quickstart.ipynb")


def run(notebook):
    """Runs all cells of the quick start, up to its table of results."""
    notebook.choose("Edit", "Clear Outputs of All Cells")
    for _ in range(10):  # JupyterLab drops what is run before it has the kernel
        notebook.run_all()
        try:
            notebook.panel.locator(".jp-InputPrompt", has_text="[*]").first.wait_for(timeout=MINUTE / 12)
            break
        except TimeoutError:
            pass
    notebook.idle(10 * MINUTE)
    assert not notebook.errors(), notebook.errors()
    table = notebook.panel.locator("table", has_text="test accuracy")
    expect(table).to_be_visible(timeout=MINUTE)
    table.scroll_into_view_if_needed()


def main(chromium, address, screenshots, *students):
    start = time.monotonic()
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-dev-shm-usage"])
        for i, student in enumerate(students):
            name, password = student.split(":")
            page = browser.new_context(viewport={"width": 1400, "height": 1000}).new_page()
            try:
                notebook = log_in(page, address, name, password)
                print(f"{time.monotonic() - start:6.1f} s  {name} is logged in: {memory(name):.0f} MB", flush=True)
                run(notebook)
            finally:
                page.screenshot(path=Path(screenshots, f"hub-{i + 1}.png"))
            print(f"{time.monotonic() - start:6.1f} s  {name} has run cells", flush=True)
        for student in students:
            print(f"{student.split(':')[0]}: {memory(student.split(':')[0]):.0f} MB")
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
