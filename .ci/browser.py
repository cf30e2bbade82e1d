"""Works with the notebooks in JupyterLab as a student does, in a headless Chromium.

Usage: browser.py CHROMIUM LAB SCREENSHOTS

LAB is a command that runs "kernel-setup lab" with further arguments. Every step leaves a screenshot; a step that fails
leaves one called failed.png, and ends the test. The run directories of the notebooks have to go to $CTNAS_RUNS.
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
from urllib.parse import quote

from playwright.sync_api import sync_playwright, expect

MINUTE = 60_000  # Playwright counts milliseconds.
QUICKSTART = "notebooks/browser-test/quickstart.ipynb"
INTERRUPT = "notebooks/browser-test/interrupt.ipynb"
FAILING = "notebooks/browser-test/failing.ipynb"
COMPARATOR = "notebooks/browser-test/comparator.ipynb"
TABLE = "notebooks/browser-test/a folder/table4.ipynb"

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

# The third of these cells fails.
FAILING_CELLS = [
    '%noautoget\nimport (\n\t"fmt"\n\t"os"\n)\n\nconst answer = 42',
    '%%\nfmt.Println("the answer is", answer)',
    '%%\nos.Exit(3)',
    '%%\nfmt.Println("a cell after the failed one")',
]


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
        raise SystemExit(f"JupyterLab did not start: {Path(self.log.name).read_text()[-2000:]}")

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
        page.goto(f"{base}/tree/{quote(path)}?reset&{query}")
        self.panel = page.locator(".jp-NotebookPanel:visible")
        expect(self.panel).to_be_visible(timeout=2 * MINUTE)
        # JupyterLab drops a cell that is run before it has the kernel.
        self.idle()

    def idle(self, timeout=2 * MINUTE):
        """Waits until the kernel is there and no cell is running."""
        expect(self.page.locator("#jp-main-statusbar")).to_contain_text("Go (CTNAS) | Idle", timeout=timeout)

    def button(self, name):
        """Presses a button above the notebook."""
        self.panel.locator(f"[data-jp-item-name='{name}']").click()

    def choose(self, menu, item):
        self.page.get_by_role("menuitem", name=menu, exact=True).click()
        self.page.locator(".lm-Menu-item:visible", has_text=re.compile(f"^{item}")).first.click()

    def run_all(self):
        self.choose("Run", "Run All Cells")

    def restart(self, button="restart"):
        self.button(button)
        self.page.locator(".jp-Dialog button", has_text="Restart").click()

    def restart_and_run_all(self):
        self.restart("restart-and-run")

    def run(self, cell):
        cell.locator(".jp-InputArea-editor").click()
        self.page.keyboard.press("Control+Enter")

    def errors(self):
        return self.panel.locator("[data-mime-type='application/vnd.jupyter.stderr'], [data-mime-type='application/vnd.jupyter.error']").all_text_contents()


def wait(page, what, condition):
    """Waits until the condition is true, which is what."""
    for _ in range(60):
        if condition():
            return
        page.wait_for_timeout(500)
    raise AssertionError(f"{what}: that did not come true")


def drawn(picture):
    return picture.evaluate("i => i.complete && i.naturalWidth > 50")


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
    """Points at a cell in the interactive chart: the chart says which one it is, and its numbers with their units."""
    chart = notebook.panel.locator("div[id^=chart-]").first
    chart.scroll_into_view_if_needed()
    chart.evaluate("at => echarts.getInstanceByDom(at).on('showTip', tip => { at.dataset.tip = tip.dataIndex })")
    x, y = chart.evaluate("""at => {
        const chart = echarts.getInstanceByDom(at);
        return chart.convertToPixel({seriesIndex: 0}, chart.getOption().series[0].data[100]) }""")
    box = chart.bounding_box()
    for step in 3, 0:
        notebook.page.mouse.move(box["x"] + x - step, box["y"] + y)
    wait(notebook.page, "the chart says what is pointed at", lambda: chart.get_attribute("data-tip"))
    # The text is drawn on the canvas, so it is asked for again.
    tip = chart.evaluate("""at => {
        const option = echarts.getInstanceByDom(at).getOption(), i = Number(at.dataset.tip);
        return option.tooltip[0].formatter({seriesName: "cells", seriesIndex: 0, dataIndex: i, value: option.series[0].data[i]}) }""")
    assert re.fullmatch(r"cells\n[01]+:[ABM]*\nparameters: [\d.]+ millions\ntest accuracy: \d\d\.\d\d %", tip), tip


def turn_wheel(notebook):
    """Turns the wheel over the interactive chart, which moves the page."""
    chart = notebook.panel.locator("div[id^=chart-]").first
    before = chart.bounding_box()["y"]
    notebook.page.mouse.wheel(0, -100)
    wait(notebook.page, "the wheel moves the page", lambda: abs(chart.bounding_box()["y"] - before) > 50)


# The contrast of a picture's darkest pixel, which text and lines have, with its commonest, which is the ground, as WCAG
# defines it: from 1 to 21. What is transparent shows the page.
CONTRAST = """image => {
    let page = image;
    while (/^rgba.* 0\\)$|^transparent$/.test(getComputedStyle(page).backgroundColor)) page = page.parentElement;
    const canvas = Object.assign(document.createElement("canvas"), {width: image.naturalWidth, height: image.naturalHeight});
    const draw = canvas.getContext("2d");
    draw.fillStyle = getComputedStyle(page).backgroundColor;
    draw.fillRect(0, 0, canvas.width, canvas.height);
    draw.drawImage(image, 0, 0, canvas.width, canvas.height);
    const {data} = draw.getImageData(0, 0, canvas.width, canvas.height), count = new Map();
    for (let i = 0; i < data.length; i += 4) {
        const colour = data[i] << 16 | data[i + 1] << 8 | data[i + 2];
        count.set(colour, (count.get(colour) || 0) + 1);
    }
    const linear = v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    const light = c => 0.2126 * linear((c >> 16) / 255) + 0.7152 * linear((c >> 8 & 255) / 255) + 0.0722 * linear((c & 255) / 255);
    const ground = [...count].reduce((a, b) => b[1] > a[1] ? b : a)[0];
    return (light(ground) + 0.05) / (Math.min(...[...count.keys()].map(light)) + 0.05) }"""


def dark(notebook):
    """Changes to the dark theme, where the pictures have to be readable, too."""
    page = notebook.page
    page.get_by_role("menuitem", name="Settings", exact=True).click()
    page.locator(".lm-Menu-item:visible", has_text=re.compile("^Theme")).first.hover()
    page.locator(".lm-Menu-item:visible", has_text=re.compile("^JupyterLab Dark$")).first.click()
    page.wait_for_function("document.body.dataset.jpThemeLight === 'false'")
    page.wait_for_function("getComputedStyle(document.body).getPropertyValue('--jp-layout-color0').trim() !== 'white'")
    pictures = notebook.panel.locator(".jp-OutputArea-output img")
    pictures.first.scroll_into_view_if_needed()
    for picture in pictures.all():
        contrast = picture.evaluate(CONTRAST)
        assert contrast > 7, f"a picture has a contrast of {contrast:.1f} in the dark theme"


def comparator(notebook):
    """Runs the notebook that builds a comparator by hand, from scratch and from the library: both lead to the same numbers."""
    notebook.run_all()
    prompt = notebook.panel.locator(".jp-CodeCell").last.locator(".jp-InputPrompt")
    expect(prompt).to_have_text("[*]:", timeout=MINUTE)
    expect(prompt).to_have_text(re.compile(r"\[\d+\]:"), timeout=6 * MINUTE)
    notebook.idle()
    assert not notebook.errors(), notebook.errors()
    pictures = notebook.panel.locator(".jp-OutputArea-output img")
    pictures.first.scroll_into_view_if_needed()
    wait(notebook.page, "the picture is drawn", lambda: drawn(pictures.first))


def table(notebook, runs):
    """Runs a notebook of a table, copied to a folder with a space in its name: the runs go to where all go."""
    before = set(runs.iterdir())
    notebook.run_all()
    panel = notebook.panel
    small = panel.locator(".jp-CodeCell").nth(1)
    expect(small.locator("table").first).to_be_visible(timeout=4 * MINUTE)
    expect(small.locator("table").first).to_contain_text("curriculum")
    last = panel.locator(".jp-CodeCell").last
    last.scroll_into_view_if_needed()
    expect(last.locator("img")).not_to_have_count(0, timeout=4 * MINUTE)
    notebook.idle()
    for picture in last.locator("img").all():
        wait(notebook.page, "the picture is drawn", lambda: drawn(picture))
    assert not notebook.errors(), notebook.errors()
    assert set(runs.iterdir()) > before, f"{runs} has no new run directories"
    assert [p.name for p in Path(TABLE).parent.iterdir() if not p.name.startswith(".")] == [Path(TABLE).name]
    small.scroll_into_view_if_needed()


def stop_at_error(notebook):
    """Runs all cells: those after the failed one do not run."""
    notebook.run_all()
    cells = notebook.panel.locator(".jp-CodeCell")
    expect(cells.nth(2).locator(".jp-OutputArea-output")).to_contain_text("exit status 3", timeout=MINUTE)
    notebook.idle()
    expect(cells.nth(1)).to_contain_text("the answer is 42")
    expect(cells.nth(3).locator(".jp-InputPrompt")).to_have_text("[ ]:")
    expect(cells.nth(3).locator(".jp-OutputArea-output")).to_have_count(0)


def restart(notebook):
    """Restarts the kernel and runs a cell that needs the one above it."""
    notebook.restart()
    notebook.idle()
    cell = notebook.panel.locator(".jp-CodeCell").nth(1)
    notebook.run(cell)
    expect(cell).to_contain_text("Run the cells above first", timeout=MINUTE)


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
    wait(notebook.page, "the first picture is drawn", lambda: drawn(picture))
    canvas = panel.locator("canvas").first
    canvas.scroll_into_view_if_needed()
    wait(notebook.page, "the chart is drawn", lambda: canvas.evaluate("""c => {
        const pixels = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
        return pixels.filter((v, i) => i % 4 == 3 && v > 0).length }""") > 100)
    notebook.idle()
    assert not notebook.errors(), notebook.errors()


def interrupt(notebook):
    """Presses the button in a long cell."""
    panel = notebook.panel
    notebook.run(panel.locator(".jp-CodeCell").first)
    expect(panel.locator(".jp-OutputArea-output", has_text="started")).to_be_visible(timeout=2 * MINUTE)
    notebook.button("interrupt")
    expect(panel.locator(".jp-OutputArea-output", has_text="stopped cleanly")).to_be_visible(timeout=MINUTE)
    notebook.idle()


def make_notebooks(root):
    for name in (QUICKSTART, TABLE):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
    quickstart = (root / "notebooks" / "00-quickstart.ipynb").read_text()
    (root / QUICKSTART).write_text(quickstart)
    (root / COMPARATOR).write_text((root / "notebooks" / "02-comparator.ipynb").read_text())
    (root / TABLE).write_text((root / "notebooks" / "table4.ipynb").read_text())
    metadata = json.loads(quickstart)["metadata"]
    for name, sources in {INTERRUPT: [LONG_CELL], FAILING: FAILING_CELLS}.items():
        cells = [{"cell_type": "code", "id": f"cell{i}", "metadata": {}, "outputs": [], "execution_count": None, "source": source}
                 for i, source in enumerate(sources)]
        (root / name).write_text(json.dumps({"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}))


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
            step("3-wheel-turned", lambda: turn_wheel(notebook))
            step("4-restarted-and-run-again", lambda: run_quickstart(notebook, notebook.restart_and_run_all, 4))
            step("5-dark", lambda: dark(notebook))
            notebook = step("6-opened-long-cell", lambda: Notebook(page, address, INTERRUPT))
            step("7-interrupted", lambda: interrupt(notebook))
            notebook = step("8-opened-failing-cell", lambda: Notebook(page, address, FAILING))
            step("9-stopped-at-error", lambda: stop_at_error(notebook))
            step("10-restarted", lambda: restart(notebook))
            notebook = step("11-opened-table", lambda: Notebook(page, address, TABLE))
            step("12-table", lambda: table(notebook, Path(os.environ["CTNAS_RUNS"])))
            notebook = step("13-opened-comparator", lambda: Notebook(page, address, COMPARATOR))
            step("14-comparator", lambda: comparator(notebook))
            browser.close()
    finally:
        lab.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
