"""Make every page light, quiet and accessible, after the theme has written it.

The theme loads an icon library of 1.5 MB although its style sheet brings the same icons as a font,
and the whole search index on every page although only the search page uses it; it stops drawing for
a dozen scripts that could wait. All that is cut here, from the finished text of a page, and so are
the faults that accessibility checkers find in it. `tests/book` looks at the result.
"""

import re
from html import escape
from typing import Any

from bs4 import BeautifulSoup
from sphinx.application import Sphinx

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
CUT_WITHOUT_FORMULAS = [
    r"\s*<link[^>]*vendor/katex/[^>]*>",
    r"\s*<link[^>]*formulas\.css[^>]*>",
    SCRIPT.format("formulas.js"),
]
CHANGE = [
    # Scripts wait until the page is read; they keep their order.
    (r"<script (?=[^>]*\bsrc=)(?![^>]*\b(?:defer|async)\b)", "<script defer "),
    # A button's name begins with the text on it.
    (r'(<button class="btn search-button-field[^>]*) aria-label="Search"', r"\1"),
    (r'<summary aria-label="Toggle hidden content">', "<summary>"),
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
LATER = r"""
    <script defer src="\g<root>_static/previews.js"
      data-load="\g<popper> \g<tippy> \g<texts>"></script>"""


def lean(name: str, page: str) -> str:
    """Return the page without what it does not need."""
    cuts = list(CUT)
    if name != "search":
        cuts += CUT_UNLESS_SEARCHING
    if 'class="math' not in page:
        cuts += CUT_WITHOUT_FORMULAS
    for pattern in cuts:
        page = re.sub(pattern, "", page, flags=re.DOTALL)
    page = PREVIEWS.sub(LATER, page)
    for pattern, replacement in CHANGE:
        page = re.sub(pattern, replacement, page)
    return re.sub(r"<summary>.*?</summary>", name_formula, page, flags=re.DOTALL)


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
        return lean(context.get("pagename", ""), render(template, context))

    templates.render = render_lean


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_css_file("lean.css")
    app.connect("builder-inited", wrap_templates)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
