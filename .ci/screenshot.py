"""Takes the picture of the quick start in JupyterLab.

Usage: screenshot.py CHROMIUM LAB PICTURE

LAB is a command that runs "kernel-setup lab" with further arguments.
"""

import json
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright, expect

from browser import MINUTE, QUICKSTART, Lab, Notebook, drawn, make_notebooks, wait

LARGEST = 300_000  # bytes
NOTEBOOK = "notebooks/00-quickstart.ipynb"


def has_outputs(path):
    return any(cell.get("outputs") for cell in json.loads(path.read_text())["cells"])


def take(page, notebook, path):
    """Shows a picture with the cell that drew it, and takes the screenshot."""
    cell = notebook.panel.locator(".jp-CodeCell", has=page.locator(".jp-OutputArea-output img"))
    expect(cell.first).to_be_visible(timeout=MINUTE)
    for one in cell.all():
        one.scroll_into_view_if_needed()
        for picture in one.locator(".jp-OutputArea-output img").all():
            wait(page, "the picture is drawn", lambda: drawn(picture))
    page.keyboard.press("Control+b")  # hides the files
    # The first picture at the bottom, and above it what leads to it. Scrolling draws cells, which moves others, so it is done twice.
    for _ in range(2):
        cell.first.locator(".jp-OutputArea-output img").first.evaluate("i => i.scrollIntoView({block: 'end'})")
        page.wait_for_timeout(1000)
    page.screenshot(path=path)


def main(chromium, command, path):
    root = Path(__file__).resolve().parent.parent
    make_notebooks(root)
    with tempfile.NamedTemporaryFile(suffix=".log") as log:
        lab = Lab(command, log.name)
        try:
            with sync_playwright() as p:
                browser = p.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-dev-shm-usage"])
                page = browser.new_page(viewport={"width": 1280, "height": 900})
                stored = has_outputs(root / NOTEBOOK)  # Then it can be opened itself, which does not change it.
                notebook = Notebook(page, lab.address(), NOTEBOOK if stored else QUICKSTART)
                if not stored:
                    notebook.run_all()
                    expect(notebook.panel.locator("table", has_text="test accuracy")).to_be_visible(timeout=8 * MINUTE)
                    notebook.idle()
                take(page, notebook, path)
                browser.close()
        finally:
            lab.stop()
    size = Path(path).stat().st_size
    print(f"{path}: {size} bytes")
    if size > LARGEST:
        raise SystemExit(f"{path} has more than {LARGEST} bytes")


if __name__ == "__main__":
    main(*sys.argv[1:])
