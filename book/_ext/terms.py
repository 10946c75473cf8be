"""Lead from the first use of a term in a chapter to the glossary, where a preview shows it.

No author has to mark anything: the words are those of the glossary.
"""

import re
from collections.abc import Iterator
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform

CHAPTERS = ("notebooks/", "book/two_problems")


class Terms(SphinxPostTransform):
    """Put links into the plain paragraphs of a chapter; boxes, lists and captions stay quiet."""

    default_priority = 6  # before links are resolved

    def run(self, **_: Any) -> None:
        """Link each term once."""
        if not self.env.docname.startswith(CHAPTERS):
            return
        objects = self.env.get_domain("std").get_objects()
        open_terms = {name for name, _, kind, *_ in objects if kind == "term"}
        for paragraph in list(self.document.findall(nodes.paragraph)):
            if isinstance(paragraph.parent, nodes.section):
                paragraph[:] = [new for old in paragraph for new in self.linked(old, open_terms)]

    def linked(self, node: nodes.Node, open_terms: set[str]) -> Iterator[nodes.Node]:
        """Yield the node again; of a text, with links for the terms that are still open."""
        if not isinstance(node, nodes.Text):
            yield node
            return
        words = node.astext()
        while found := search(words, open_terms):
            term = next(t for t in open_terms if t.lower() == found[1].lower())
            open_terms.remove(term)
            yield nodes.Text(words[: found.start()])
            yield self.link(term, found[0])
            words = words[found.end() :]
        yield nodes.Text(words)

    def link(self, term: str, words: str) -> pending_xref:
        """Return a link to a term under the words of the text."""
        return pending_xref(
            "",
            nodes.inline("", words, classes=["std", "std-term"]),
            refdomain="std",
            reftype="term",
            reftarget=term,
            refdoc=self.env.docname,
            refexplicit=True,
            refwarn=True,
        )


def search(words: str, terms: set[str]) -> re.Match[str] | None:
    """Find the first of the terms in singular or plural, of two at one place the longer."""
    longest_first = sorted(map(re.escape, terms), key=lambda term: (-len(term), term))
    pattern = rf"(?<![\w-])({'|'.join(longest_first)})(?:e?s)?(?![\w-])"
    return re.search(pattern, words, re.IGNORECASE) if terms else None


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_post_transform(Terms)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
