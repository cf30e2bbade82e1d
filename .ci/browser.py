"""Works with the notebooks in JupyterLab as a student does, in a headless Chromium.

Usage: browser.py CHROMIUM LAB SCREENSHOTS

LAB is a command that runs "kernel-setup lab" with further arguments. Every step
leaves a screenshot; a step that fails leaves one called failed.png, and ends the test.
"""

import difflib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

from playwright.sync_api import sync_playwright, expect

MINUTE = 60_000  # Playwright counts milliseconds.
QUICKSTART = "notebooks/browser-test/quickstart.ipynb"
INTERRUPT = "notebooks/browser-test/interrupt.ipynb"

# A cell that runs until it is interrupted, and says that it stopped cleanly.
LONG_CELL = """%noautoget
import (
	"fmt"
	"time"

	"github.com/ctnas/ctnas/ctnaslib/nb"
)
%%
fmt.Println("started")
select {
case <-nb.Context().Done():
	fmt.Println("stopped cleanly")
case <-time.After(10 * time.Minute):
	fmt.Println("nobody pressed the button")
}"""


class Lab:
    """A JupyterLab that kernel-setup serves."""

    def __init__(self, command, log):
        self.log = open(log, "w+")
        self.process = subprocess.Popen(
            shlex.split(command) + ["--no-browser", "--ServerApp.port_retries=50"],
            stdout=self.log, stderr=subprocess.STDOUT, start_new_session=True)

    def address(self):
        for _ in range(300):
            self.log.seek(0)
            found = re.search(r"http://(?:localhost|127\.0\.0\.1):\d+/lab\S*token=\w+", self.log.read())
            if found:
                return re.sub(r"/lab[^?]*", "/lab", found[0])
            if self.process.poll() is not None:
                break
            time.sleep(1)
        raise SystemExit(f"JupyterLab did not start: {self.log.name} says why")

    def stop(self):
        try:
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait(30)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            self.process.kill()


class Notebook:
    """The notebook that is open in the browser."""

    def __init__(self, page, address, path):
        self.page = page
        base, query = address.split("?")
        page.goto(f"{base}/tree/{path}?reset&{query}")
        self.panel = page.locator(".jp-NotebookPanel:visible")
        expect(self.panel).to_be_visible(timeout=2 * MINUTE)
        # JupyterLab drops a cell that is run before it has the kernel.
        self.idle()

    def idle(self):
        """Waits until the kernel is there and no cell is running."""
        expect(self.page.locator("#jp-main-statusbar")).to_contain_text("Go (CTNAS) | Idle", timeout=2 * MINUTE)

    def button(self, name):
        """Presses a button above the notebook."""
        self.panel.locator(f"[data-jp-item-name='{name}']").click()

    def run_all(self):
        self.page.get_by_role("menuitem", name="Run", exact=True).click()
        self.page.locator(".lm-Menu-item:visible", has_text=re.compile("^Run All Cells")).first.click()

    def restart_and_run_all(self):
        self.button("restart-and-run")
        self.page.locator(".jp-Dialog button", has_text="Restart").click()

    def errors(self):
        return self.panel.locator("[data-mime-type='application/vnd.jupyter.stderr'], [data-mime-type='application/vnd.jupyter.error']").all_inner_texts()


def wait(page, what, condition):
    """Waits until the condition is true, which is what."""
    for _ in range(60):
        if condition():
            return
        page.wait_for_timeout(500)
    raise AssertionError(f"{what}: that did not come true")


def save(notebook, path):
    """Saves the notebook, which changes nothing, though JupyterLab has written it anew."""
    before, written = path.read_bytes(), path.stat().st_mtime_ns
    notebook.page.keyboard.press("Control+s")
    wait(notebook.page, "JupyterLab saves the notebook", lambda: path.stat().st_mtime_ns > written)
    notebook.page.wait_for_timeout(1000)
    if path.read_bytes() != before:
        changes = difflib.unified_diff(before.decode().splitlines(), path.read_text().splitlines(), lineterm="", n=0)
        raise AssertionError("opening and saving a notebook changed it:\n" + "\n".join(list(changes)[:50]))


def point_at_chart(notebook):
    """Points at a cell in the interactive chart, and turns the wheel over it, which moves the page."""
    chart = notebook.panel.locator("div[id^=chart-]").first
    chart.scroll_into_view_if_needed()
    chart.evaluate("at => echarts.getInstanceByDom(at).on('showTip', tip => { at.dataset.tip = tip.dataIndex })")
    x, y = chart.evaluate("""at => {
        const chart = echarts.getInstanceByDom(at);
        return chart.convertToPixel({seriesIndex: 0}, chart.getOption().series[0].data[100]) }""")
    box = chart.bounding_box()
    notebook.page.mouse.move(box["x"] + x - 3, box["y"] + y)
    notebook.page.mouse.move(box["x"] + x, box["y"] + y)
    wait(notebook.page, "the chart says what is pointed at", lambda: chart.get_attribute("data-tip"))
    tip = chart.evaluate("""at => {
        const option = echarts.getInstanceByDom(at).getOption(), i = Number(at.dataset.tip);
        return option.tooltip[0].formatter({seriesName: "cells", seriesIndex: 0, dataIndex: i, value: option.series[0].data[i]}) }""")
    assert re.fullmatch(r"cells\n[01]+:[ABM]*\nparameters: [\d.]+ millions\ntest accuracy: \d\d\.\d\d %", tip), tip
    notebook.page.mouse.wheel(0, -100)
    wait(notebook.page, "the wheel moves the page", lambda: abs(chart.bounding_box()["y"] - box["y"]) > 50)
    chart.scroll_into_view_if_needed()


def dark(notebook):
    """Changes to the dark theme: the pictures have a white ground, which the screenshot shows."""
    page = notebook.page
    page.get_by_role("menuitem", name="Settings", exact=True).click()
    page.locator(".lm-Menu-item:visible", has_text=re.compile("^Theme")).first.hover()
    page.locator(".lm-Menu-item:visible", has_text=re.compile("^JupyterLab Dark$")).first.click()
    page.wait_for_function("document.body.dataset.jpThemeLight === 'false'")
    notebook.panel.locator(".jp-OutputArea-output img").first.scroll_into_view_if_needed()


def run_quickstart(notebook, run, minutes):
    """Runs all cells and looks at what they show."""
    panel = notebook.panel
    run()
    table = panel.locator("table", has_text="test accuracy")
    expect(table).to_have_count(0, timeout=MINUTE)  # that of an earlier run
    try:
        expect(table).to_be_visible(timeout=minutes * MINUTE)
    except AssertionError:
        raise AssertionError("no table of results; the cells said: " + " ".join(notebook.errors()))
    assert re.search(r"\d\d\.\d\d %", table.inner_text()), table.inner_text()
    # Cells out of sight are not drawn until one scrolls to them.
    picture = panel.locator(".jp-OutputArea-output img").first
    picture.scroll_into_view_if_needed()
    wait(notebook.page, "the first picture is drawn", lambda: picture.evaluate("i => i.complete && i.naturalWidth > 50"))
    canvas = panel.locator("canvas").first
    canvas.scroll_into_view_if_needed()
    wait(notebook.page, "the chart is drawn", lambda: canvas.evaluate("""c => {
        const pixels = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
        return pixels.filter((v, i) => i % 4 == 3 && v > 0).length }""") > 100)
    assert not notebook.errors(), notebook.errors()


def interrupt(notebook):
    """Presses the button in a long cell."""
    panel = notebook.panel
    panel.locator(".jp-CodeCell .jp-InputArea-editor").first.click()
    notebook.page.keyboard.press("Control+Enter")
    expect(panel.locator(".jp-OutputArea-output", has_text="started")).to_be_visible(timeout=2 * MINUTE)
    notebook.button("interrupt")
    expect(panel.locator(".jp-OutputArea-output", has_text="stopped cleanly")).to_be_visible(timeout=MINUTE)
    notebook.idle()


def make_notebooks(root):
    folder = root / "notebooks" / "browser-test"
    folder.mkdir(exist_ok=True)
    quickstart = (root / "notebooks" / "00-quickstart.ipynb").read_text()
    (root / QUICKSTART).write_text(quickstart)
    metadata = json.loads(quickstart)["metadata"]
    cell = {"cell_type": "code", "id": "long", "metadata": {}, "outputs": [], "execution_count": None, "source": LONG_CELL}
    (root / INTERRUPT).write_text(json.dumps({"cells": [cell], "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}))
    return folder


def main(chromium, command, screenshots):
    root = Path(__file__).resolve().parent.parent
    shots = Path(screenshots)
    shots.mkdir(parents=True, exist_ok=True)
    make_notebooks(root)
    start = time.monotonic()
    lab = Lab(command, shots / "lab.log")
    try:
        with sync_playwright() as p:
            browser = p.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-dev-shm-usage"])
            page = browser.new_page(viewport={"width": 1400, "height": 1000})

            def step(name, action):
                try:
                    result = action()
                except BaseException:
                    page.screenshot(path=shots / "failed.png")
                    raise
                page.screenshot(path=shots / f"{name}.png")
                print(f"{time.monotonic() - start:6.1f} s  {name}", flush=True)
                return result

            address = lab.address()
            notebook = step("1-opened", lambda: Notebook(page, address, QUICKSTART))
            step("1-saved", lambda: save(notebook, root / QUICKSTART))
            step("2-quickstart", lambda: run_quickstart(notebook, notebook.run_all, 8))
            step("3-chart-pointed-at", lambda: point_at_chart(notebook))
            step("4-restarted-and-run-again", lambda: run_quickstart(notebook, notebook.restart_and_run_all, 4))
            step("5-dark", lambda: dark(notebook))
            notebook = step("6-opened-long-cell", lambda: Notebook(page, address, INTERRUPT))
            step("7-interrupted", lambda: interrupt(notebook))
            browser.close()
    finally:
        lab.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
