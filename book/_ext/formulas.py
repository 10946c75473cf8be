"""Typeset every formula while the book is built, with KaTeX, so that no page carries a typesetter.

A page then needs a style sheet and a few fonts, and shows its formulas at once, also without
scripts; a formula with a mistake is a warning, and so stops the build.
"""

import re
from functools import cache
from pathlib import Path
from typing import Any

from docutils import nodes
from py_mini_racer import JSEvalException, MiniRacer
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

KATEX = Path(__file__).parent / "vendor/katex.min.js"
TAIL = re.compile(r"(?=[-.,;:!?)\]’”])(?:-\w+)?[.,;:!?)\]’”]*")
# Numbered by Sphinx, never by KaTeX.
STARRED = re.compile(r"\\(begin|end)\{(align|alignat|equation|gather)\}")

logger = logging.getLogger(__name__)


@cache
def katex() -> MiniRacer:
    engine = MiniRacer()
    engine.eval(KATEX.read_text(encoding="utf-8"))
    return engine


@cache
def typeset(tex: str, display: bool) -> str:
    """Return the formula as HTML; KaTeX's complaint is raised as a ValueError."""
    options = {"displayMode": display, "output": "htmlAndMathml", "strict": "ignore"}
    try:
        return str(katex().call("katex.renderToString", tex, options))
    except JSEvalException as error:
        complaint = re.search(r"KaTeX parse error: (.*)", str(error))
        raise ValueError(complaint[1] if complaint else str(error)) from None


def write(self: Any, node: nodes.Element, tex: str, display: bool) -> None:
    """Write one formula, or warn where it stands in the source."""
    try:
        self.body.append(typeset(tex, display))
    except ValueError as error:
        logger.warning("formula: %s", error, location=node)
        self.body.append(f"<code>{self.encode(tex)}</code>")


class Tails(SphinxPostTransform):
    """Tie the punctuation after a formula in the text to it: a browser would break between them."""

    default_priority = 400
    formats = ("html",)

    def run(self, **_: Any) -> None:
        """Move it into the formula's node."""
        for node in self.document.findall(nodes.math):
            parent, place = node.parent, node.parent.index(node) + 1
            after = parent[place] if place < len(parent) else None
            if isinstance(after, nodes.Text) and (tail := TAIL.match(after)):
                node["tail"] = tail[0]
                parent[place] = nodes.Text(after[tail.end() :])


def tied(formula: str, tail: str) -> str:
    """Put `tail` behind the last piece of a typeset formula, on the same line."""
    before, start, last = formula.rpartition('<span class="katex-base">')
    end = len(last) - len(2 * "</span>")  # of the whole formula, and of the part that is seen
    piece = f'{start}{last[:end]}<span class="fc-tail">{tail}</span>'
    return f'{before}<span class="fc-tied">{piece}</span>{last[end:]}'


def visit_inline(self: Any, node: nodes.math) -> None:
    self.body.append(self.starttag(node, "span", "", CLASS="math notranslate nohighlight"))
    write(self, node, node.astext(), display=False)
    if tail := node.get("tail"):
        self.body[-1] = tied(self.body[-1], self.encode(tail))
    self.body.append("</span>")
    raise nodes.SkipNode


def visit_block(self: Any, node: nodes.math_block) -> None:
    self.body.append(self.starttag(node, "div", CLASS="math notranslate nohighlight"))
    write(self, node, aligned(node.astext()), display=True)
    if node["number"]:
        self.body.append(f'<span class="eqno">({get_node_equation_number(self, node)})')
        self.add_permalink_ref(node, "Link to this equation")
        self.body.append("</span>")
    self.body.append("</div>\n")
    raise nodes.SkipNode


def aligned(tex: str) -> str:
    """Wrap lines that are broken by hand, as Sphinx does; leave LaTeX's own environments alone."""
    tex = STARRED.sub(r"\\\1{\2*}", tex.strip())
    if r"\\" in tex and not tex.startswith(r"\begin"):
        return rf"\begin{{split}}{tex}\end{{split}}"
    return tex


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_html_math_renderer("katex", (visit_inline, None), (visit_block, None))
    app.add_post_transform(Tails)
    app.add_css_file("vendor/katex/katex.min.css")
    app.add_css_file("formulas.css")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
