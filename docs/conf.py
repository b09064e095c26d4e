"""The documentation site: `make docs` builds it in docs/_build/html, without a network.

Sphinx reads the whole repository as its source, so each link between the pages, the notebooks and
the code is the one that works in the repository too, and is checked. What the comments in
docs/gallery.md and docs/api stand for is written by tools/pages.py.
"""

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import pages  # noqa: E402

import tinydeconv  # noqa: E402

project = "tinydeconv"
author = "The tinydeconv authors"
copyright = f"{author}, MIT licence"
release = tinydeconv.__version__

extensions = ["myst_nb", "sphinx.ext.mathjax", "sphinx-mathjax-offline"]
include_patterns = ["README*.md", "CREDITS.md", "docs/*.md", "docs/api/*.md", "tutorials/*.ipynb"]
root_doc = "docs/index"
nitpicky = True  # a reference that leads nowhere is a warning, and `make docs` makes it an error

nb_execution_mode = "off"  # the notebooks bring their outputs
nb_merge_streams = True
nb_code_prompt_show = "Show the code"
nb_code_prompt_hide = "Hide the code"
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
mathjax_path = "mathjax/tex-chtml.js"  # of sphinx-mathjax-offline
smartquotes = False  # "same" is a value
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = "tinydeconv"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False

linkcheck_timeout = 20
linkcheck_anchors = False  # what a browser makes of a page is not in its source


def fill(app, docname, source):
    """Puts text where a page has a comment for it; in the notebooks, the words for pictures where
    myst-nb looks for them, and folds the cell that sets up a notebook.
    """
    if docname.startswith("tutorials/"):
        notebook = json.loads(source[0])
        for cell in notebook["cells"]:
            if "parameters" in cell["metadata"].get("tags", ()):
                cell["metadata"]["tags"].append("hide-input")
            for alt, _ in pages.pictures(cell):
                cell["metadata"]["mystnb"] = {"image": {"alt": alt}}
        source[0] = json.dumps(notebook)
    elif docname == "docs/gallery" or docname.startswith("docs/api/"):
        source[0] = re.sub(
            r"<!-- (api|gallery)(.*?) -->",
            lambda match: getattr(pages, match[1])(*match[2].split()),
            source[0],
        )


def open_at_home(app, error):
    """The top folder of the site leads to its first page."""
    if error is None and app.builder.format == "html":
        page = '<!doctype html><meta http-equiv="refresh" content="0; url=docs/index.html">\n'
        (Path(app.outdir) / "index.html").write_text(page, encoding="utf-8")


def say_language(app, pagename, templatename, context, doctree):
    """Fonts and screen readers go by it."""
    if pagename.endswith(".zh-CN"):
        context["language"] = "zh-CN"


def setup(app):
    app.connect("html-page-context", say_language)
    app.connect("source-read", fill)
    app.connect("build-finished", open_at_home)
