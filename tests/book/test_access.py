"""Every page, on phone and laptop, light and dark: axe-core finds nothing, nothing sticks out."""

from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import LAPTOP, PHONE, Visit

AXE = (Path(__file__).parent / "vendor/axe.min.js").read_text(encoding="utf-8")
FAULTS = """async () => (await axe.run()).violations.flatMap((fault) => fault.nodes.map((node) =>
  `${fault.id}: ${node.html.slice(0, 150)}: ${node.failureSummary.replace(/\\s+/g, ' ')}`))"""

# What sticks out, of the elements that do not scroll inside themselves.
WIDE = """() => [...document.querySelectorAll('article *')]
  .filter((e) => e.getBoundingClientRect().right > innerWidth + 1 && e.checkVisibility())
  .map((e) => e.outerHTML.slice(0, 150)).slice(0, 3)"""

# Cells of four lines or more with less than a word in each.
STACKED = """() => [...document.querySelectorAll('article :is(td, th)')].filter((cell) => {
  const text = document.createRange(), style = getComputedStyle(cell);
  text.selectNodeContents(cell);
  const lines = text.getBoundingClientRect().height / parseFloat(style.lineHeight);
  return lines > 3.5 && cell.innerText.trim().length < 8 * lines;
}).map((cell) => cell.innerText)"""
EVERYTHING = "* { content-visibility: visible !important }"  # as scrolled through


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, LAPTOP], ids=["phone", "laptop"])
def test_page_is_accessible(
    visit: Callable[..., Visit], name: str, size: tuple[int, int], theme: str
) -> None:
    page = visit(name, size=size, theme=theme).page
    page.add_style_tag(content=EVERYTHING)
    width = page.evaluate("document.scrollingElement.scrollWidth")
    assert width <= size[0], page.evaluate(WIDE)
    page.wait_for_timeout(100)
    page.evaluate(AXE)
    faults = page.evaluate(FAULTS)
    assert not faults, "\n" + "\n".join(faults)


def test_tables_do_not_stack_words_on_a_phone(visit: Callable[..., Visit], name: str) -> None:
    page = visit(name, size=PHONE).page
    page.add_style_tag(content=EVERYTHING)
    assert page.evaluate(STACKED) == []
