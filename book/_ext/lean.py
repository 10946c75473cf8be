"""Make every page light, quiet and accessible, after the theme has written it.

The theme loads an icon library of 1.5 MB although its style sheet brings the same icons as a font,
and the whole search index on every page although only the search page uses it; it stops drawing for
a dozen scripts that could wait, and for 15 style sheets (see stylesheet.py). All that is cut here,
from the finished text of a page, and so are the faults that accessibility checkers find in it.
`tests/book` looks at the result.
"""

import json
import re
from html import escape
from pathlib import Path
from typing import Any

import stylesheet
from bs4 import BeautifulSoup
from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)

SCRIPT = r"\s*<script[^>]*\b{}[^>]*></script>"
CUT = [
    SCRIPT.format("fontawesome.js"),
    r"\s*<link rel=\"preload\" as=\"script\"[^>]*>",  # the scripts are deferred: styles go first
    r"\s*<script>DOCUMENTATION_OPTIONS\.[^<]*</script>",  # unused, and before its script is there
    r'<meta name="viewport" content="width=device-width, initial-scale=1"\s*/>',  # a second one
    r"\s*<div id=\"ethical-ad-placement\".*?</div>",
]
CUT_UNLESS_SEARCHING = [
    SCRIPT.format(name) for name in ("searchtools.js", "language_data.js", "searchindex.js")
]
CHANGE = [
    # Scripts wait until the page is read; they keep their order.
    (r"<script (?=[^>]*\bsrc=)(?![^>]*\b(?:defer|async)\b)", "<script defer "),
    # Who has chosen nothing gets the colours of the system, before the first paint.
    (
        r"(?s:document\.documentElement\.dataset\.mode = .*?\.theme = [^;]*;)",
        """{
      const { dataset } = document.documentElement;
      dataset.mode = localStorage.getItem("mode") || "auto";
      const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
      dataset.theme = dataset.mode === "auto" ? system : dataset.mode;
    }""",
    ),
    # A picture keeps its place while it is fetched, and is fetched when it comes near.
    (
        r'(<img [^>]*)style="width: (\d+)px; height: (\d+)px;"',
        r'\1width="\2" height="\3" loading="lazy" decoding="async"',
    ),
    # A button's name begins with the text on it.
    (r'(<button class="btn search-button-field[^>]*) aria-label="Search"', r"\1"),
    (r'<summary aria-label="Toggle hidden content">', "<summary>"),
    # What unfolds a list of the contents says so.
    (r'<summary>(<span class="toctree-toggle")', r'<summary aria-label="Pages below">\1'),
    # Roles that a bibliography of div elements cannot fill.
    (r' role="doc-biblioentry"', ""),
    (r'<div role="list" class="citation-list">', '<div class="citation-list">'),
    # Everything on a page belongs to a landmark.
    (r'(<div id="pst-primary-sidebar")', r'\1 role="navigation" aria-label="Book"'),
]

# sphinx-tippy makes hundreds of previews while a page loads; previews.js makes what is wanted.
PREVIEWS = re.compile(
    r'\s*<script[^>]*src="(?P<popper>(?P<root>[^"]*)_static/vendor/popper[^"]*)"></script>'
    r'\s*<script[^>]*src="(?P<tippy>[^"]*tippy-bundle[^"]*)"></script>'
    r'\s*<script[^>]*src="(?P<texts>[^"]*_static/tippy/[^"]*)"></script>'
)
WHEN_WANTED = r"""
    <script defer src="\g<root>_static/previews.js"
      data-load="\g<popper> \g<tippy> \g<texts>"></script>"""

# The fonts of the first view's formulas, fetched beside the style sheet: a line that is set anew
# once they come would jump. A page in a folder has them at once, and may not ask for them so.
FONTS = """
  <script>
    if (location.protocol !== "file:") NAMES.forEach((name) => {
      document.head.append(Object.assign(document.createElement("link"), {
        rel: "preload", as: "font", crossOrigin: "",
        href: `ROOT_static/vendor/katex/fonts/KaTeX_${name}.woff2` }));
    });
  </script>"""
USED_BY = {  # font: the classes of what is set in it
    "Main-Regular": "katex",
    "Math-Italic": "katex",
    "Size1-Regular": "size1|small-op",
    "Size2-Regular": "size2|large-op",
    "AMS-Regular": "mathbb|amsrm",
    "Caligraphic-Regular": "mathcal",
}
FIRST = 2500  # characters, what the first view of a page holds on a large screen
# A piece of a page: a tag, text, or what has neither for this purpose.
TOKEN = re.compile(
    r"<!.*?>|<(math|script|style)\b.*?</\1>"
    r"|<(?P<end>/?)(?P<name>\w[\w-]*)[^>]*?(?P<empty>/?)>|[^<]+|<",
    re.DOTALL,
)
BLOCKS = {"p", "ul", "ol", "dl", "div", "details", "figure", "table", "aside"}
VOID = {"br", "col", "hr", "img", "input", "link", "meta", "wbr"}


def lean(name: str, page: str) -> str:
    """Return the page without what it does not need."""
    cuts = list(CUT)
    if name != "search":
        cuts += CUT_UNLESS_SEARCHING
    for pattern in cuts:
        page = re.sub(pattern, "", page, flags=re.DOTALL)
    page = PREVIEWS.sub(WHEN_WANTED, page)
    for pattern, replacement in CHANGE:
        page = re.sub(pattern, replacement, page)
    page = re.sub(r"<summary>.*?</summary>", name_formula, page, flags=re.DOTALL)
    return preload_fonts(name, mark_later(page))


def preload_fonts(name: str, page: str) -> str:
    """Ask early for the fonts of the first view."""
    near = page.partition(" data-later")[0]
    fonts = [f for f, used in USED_BY.items() if re.search(rf'class="[^"]*\b({used})\b', near)]
    script = FONTS.strip().replace("NAMES", json.dumps(fonts))
    script = script.replace("ROOT", "../" * name.count("/"))
    return page.replace("<title>", f"{script}\n    <title>", 1) if fonts else page


def mark_later(page: str) -> str:
    """Mark the blocks that begin below the first view: they are laid out when they come near."""
    marked: list[str] = []
    parents: list[str] = []
    shown = 0
    for token in TOKEN.finditer(page):
        text, (end, name, empty) = token[0], token.group("end", "name", "empty")
        if name == "article":
            parents, shown = [], 0
        elif name in BLOCKS and shown > FIRST and not end and parents[-1:] == ["section"]:
            text = text.replace(name, f"{name} data-later", 1)
        if end:
            del parents[-1:]
        elif name and not empty and name not in VOID:
            parents.append(name)
        elif not text.startswith("<"):
            shown += len("".join(text.split()))
        marked.append(text)
    return "".join(marked)


def name_formula(summary: re.Match[str]) -> str:
    """Name a fold whose title is nothing but a formula: accessibility trees leave MathML out."""
    title = BeautifulSoup(summary[0], "html.parser")
    symbols = "".join(shown.get_text() for shown in title.select(".katex-html"))
    for formula in title.select(".katex"):
        formula.decompose()
    if not symbols or title.get_text(strip=True):
        return summary[0]
    return summary[0].replace("<summary>", f'<summary aria-label="{escape(symbols)}">', 1)


def wrap_templates(app: Sphinx) -> None:
    """Put `lean` between the theme's templates and the files."""
    if app.builder.name != "html":
        return
    templates = app.builder.templates
    render = templates.render

    def render_lean(template: str, context: dict[str, Any]) -> str:
        page = lean(context.get("pagename", ""), render(template, context))
        page, sheets = stylesheet.one_link(page)
        app.book_sheets = sheets or getattr(app, "book_sheets", [])  # type: ignore[attr-defined]
        return page

    templates.render = render_lean


# Once a page is there the theme measures every listing, and again after every change of a figure,
# and lays out the whole page for each: a second on a phone. scrolling.js does what it is for.
MEASURE = re.compile(
    r',"complete"===document\.readyState\?(\w+)\(\)'
    r':window\.addEventListener\("load",\1\)(?=}\)\(\))'
)


def spare_layout(app: Sphinx, error: Exception | None) -> None:
    """Cut the measuring out of the theme's script."""
    script = Path(app.outdir, "_static/scripts/pydata-sphinx-theme.js")
    if error or app.builder.name != "html":
        return
    text = MEASURE.sub("", script.read_text(encoding="utf-8"))
    script.write_text(text, encoding="utf-8")
    if 'addEventListener("load"' in text:
        logger.warning("lean: the theme's script measures the page in some new way")


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_css_file("lean.css")
    app.add_js_file("scrolling.js", loading_method="defer")
    app.setup_extension("stylesheet")
    app.connect("builder-inited", wrap_templates)
    app.connect("build-finished", spare_layout)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
