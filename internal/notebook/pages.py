"""Makes pages of notebooks, which need no network to be read. Nothing is executed.

pages.py page NOTEBOOK PAGE ECHARTS makes one file of one notebook.
pages.py book REPOSITORY FOLDER FILES makes a book of the repository's notebooks; FILES is the address of its other files.
"""

import re
import shutil
import sys
import tempfile
from importlib.metadata import files
from pathlib import Path

import nbformat

# The parts of the book, and the names of their notebooks. The last takes the rest.
PARTS = {
    "The method, step by step": r"\d.*|gonb",
    "The paper's tables and figures": r"(table|figure|proposition)\d.*|ablations",
    "Beyond the paper": r".*",
}

MATHJAX = """<script>MathJax = {{tex: {{inlineMath: [["$", "$"], ["\\\\(", "\\\\)"]], processEscapes: true}}}}</script>
<script>{}</script>"""


def mathjax():
    """The file of MathJax that has everything in it, also its letters."""
    return next(f.locate() for f in files("sphinx-mathjax-offline") if f.match("mathjax/tex-svg.js"))


def script(path):
    """A script, as it may stand in a page."""
    return Path(path).read_text().replace("</script", "<\\/script").replace("<!--", "<\\!--")


def source(cell):
    return "".join(cell.source)


def title(nb, name):
    """The first heading of a notebook."""
    headings = (re.search(r"^# +(.+)", source(c), re.M) for c in nb.cells if c.cell_type == "markdown")
    return next((h[1].strip() for h in headings if h), name)


def shown(nb):
    """What a notebook shows as HTML or Markdown."""
    for cell in nb.cells:
        if cell.cell_type == "markdown":
            yield source(cell)
        for out in cell.get("outputs", []):
            yield from (out.get("data", {}).get(kind, "") for kind in ("text/html", "text/markdown", "text/latex"))


def page(notebook, path, echarts):
    from jinja2 import DictLoader
    from nbconvert import HTMLExporter

    nb = nbformat.read(notebook, as_version=4)
    text = "\n".join(shown(nb))
    head = MATHJAX.format(script(mathjax())) if re.search(r"\$|\\[(\[]", text) else ""
    if "echarts" in text:
        head += f"<script>{script(echarts)}</script>"
    # Nbconvert's own page loads three scripts from the network in this block and in this macro.
    templates = {
        "page.html.j2": "{% extends 'lab/index.html.j2' %}{% block html_head_js %}{% endblock %}",
        "mathjax.html.j2": "{% macro mathjax(url='') %}{{ resources.head }}{% endmacro %}",
    }
    templates["page.html.j2"] += "{% block html_head_js_mathjax %}{{ resources.head }}{% endblock %}"
    exporter = HTMLExporter(template_file="page.html.j2", extra_loaders=[DictLoader(templates)], embed_images=True)
    body, _ = exporter.from_notebook_node(nb, {"metadata": {"name": title(nb, Path(notebook).stem), "path": str(Path(notebook).parent)}, "head": head})
    # Pages of several notebooks lie side by side.
    body = re.sub(r'(<a [^>]*href="[^":]+)\.ipynb(["#])', r"\1.html\2", body)
    Path(path).write_text(body)


def order(path):
    """Sorts table2 before table10."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path.stem)]


def contents(notebooks):
    """The first page of the book."""
    text = "# CTNAS in Go\n\nContrastive Neural Architecture Search, step by step: the notebooks of the repository, with what they showed when they were run.\n\n![The method](figures/overview.svg)\n"
    left = sorted(notebooks, key=order)
    for caption, names in PARTS.items():
        part = [n for n in left if re.fullmatch(names, n.stem)]
        left = [n for n in left if n not in part]
        if part:
            text += f"\n```{{toctree}}\n:caption: {caption}\n:maxdepth: 1\n\n" + "".join(f"notebooks/{n.stem}\n" for n in part) + "```\n"
    return text


def outside(repository, address):
    """Returns a function that gives links from notebooks to the repository's other files their address; pictures are copied."""

    def link(match):
        path = (repository / "notebooks" / match[2]).resolve()
        if path.suffix == ".ipynb" or not path.is_relative_to(repository) or not path.exists():
            return match[0]
        return match[1] + address + path.relative_to(repository).as_posix() + match[3]

    return lambda text: re.sub(r"((?<!!)\[[^\]\n]*\]\(|<a href=\")([^)\s:#\"]+)([#\)\"])", link, text)


def book(repository, folder, address):
    from sphinx.application import Sphinx

    repository = Path(repository)
    notebooks = list((repository / "notebooks").glob("*.ipynb"))
    moved = outside(repository, address)
    with tempfile.TemporaryDirectory() as scratch:
        src = Path(scratch, "src")
        (src / "notebooks").mkdir(parents=True)
        (src / "static").mkdir()
        shutil.copy(mathjax(), src / "static" / "mathjax.js")
        for picture in [*repository.glob("figures/*.svg"), *repository.glob("figures/*.png"), *repository.glob("figures/*/*.svg")]:
            (src / picture.relative_to(repository)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(picture, src / picture.relative_to(repository))
        for notebook in notebooks:
            nb = nbformat.read(notebook, as_version=4)
            for cell in nb.cells:
                if cell.cell_type == "markdown":
                    cell.source = moved(cell.source)
            nbformat.write(nb, src / "notebooks" / notebook.name)
        (src / "index.md").write_text(contents(notebooks))
        settings = {
            "project": "CTNAS in Go",
            "extensions": ["myst_nb"],
            "html_title": "CTNAS in Go",
            "html_theme": "sphinx_book_theme",
            "html_theme_options": {"show_navbar_depth": 1, "use_download_button": False, "navbar_persistent": []},
            "html_static_path": ["static"],
            "html_show_search_summary": False,  # A page from disk may not read others.
            "html_copy_source": False,
            "html_use_index": False,
            "mathjax_path": "mathjax.js",
            "myst_dmath_double_inline": True,
            "myst_enable_extensions": ["dollarmath", "amsmath"],
            "myst_heading_anchors": 3,
            "nb_execution_mode": "off",
        }
        app = Sphinx(src, None, folder, Path(scratch, "doctrees"), "html", settings, status=None, warning=sys.stderr)
        app.build()
    return app.statuscode


if __name__ == "__main__":
    sys.exit({"page": page, "book": book}[sys.argv[1]](*sys.argv[2:]))
