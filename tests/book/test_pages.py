"""The built pages as files: they are all there, whole, and every reference in them resolves."""

import re
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup, Tag

from .conftest import soup

OUTSIDE = re.compile(r"^(https?:|mailto:|data:|javascript:)")
FILE_NAME = re.compile(r"(^|/)[\w.-]+\.(png|jpe?g|svg|gif|webp)$", re.IGNORECASE)


@cache
def anchors(path: Path) -> frozenset[str]:
    """Every place on a page that a link may point to."""
    tags = soup(path).find_all(lambda tag: tag.get("id") or tag.get("name"))
    return frozenset(str(tag.get(key)) for tag in tags for key in ("id", "name") if tag.get(key))


@pytest.fixture
def page(html: Path, name: str) -> BeautifulSoup:
    return soup(html / f"{name}.html")


def test_page_exists(html: Path, name: str) -> None:
    assert (html / f"{name}.html").is_file()


def test_front_page_leads_to_the_book(html: Path) -> None:
    target = re.search(r"url=([^\"]+)\"", (html / "index.html").read_text())
    assert target is not None
    assert (html / target[1]).is_file()


def test_no_cell_failed(page: BeautifulSoup) -> None:
    """No traceback but in cells that are meant to raise, no warnings, no system messages."""
    failed = page.select(".cell:not(.tag_raises-exception) .output.traceback")
    assert [tag.text[-300:] for tag in failed] == []
    assert [tag.text for tag in page.select(".output.stderr, .system-message")] == []


def test_no_widget_needs_a_kernel(page: BeautifulSoup) -> None:
    """Only the figures of `explore` live in a page; any other widget would be dead."""
    assert page.select('script[type*="jupyter.widget"]') == []


def test_every_picture_is_described(page: BeautifulSoup) -> None:
    """Alternative text: there, and not the picture's file name."""
    pictures = page.select("article img")
    poor = [
        str(tag)[:200]
        for tag in pictures
        if len(str(tag.get("alt", "")).strip()) < 5 or FILE_NAME.search(str(tag["alt"]))
    ]
    assert poor == []


def test_punctuation_stays_with_its_formula(page: BeautifulSoup) -> None:
    """A line never begins with the full stop that ends a formula."""
    after = [formula.next_sibling for formula in page.select("article span.math")]
    assert [text for text in after if isinstance(text, str) and re.match(r"[.,;:!?)]", text)] == []


def test_choices_are_one_piece(page: BeautifulSoup) -> None:
    """A label is laid out in columns: the button, and all of the text."""
    labels = [[part.name for part in label] for label in page.select(".fc-choices label")]
    assert [parts for parts in labels if parts != ["input", "span"]] == []


def test_links_resolve(html: Path, name: str, page: BeautifulSoup) -> None:
    """Every local link, picture, script and style exists, and so does every anchor."""
    here = html / f"{name}.html"
    references = [
        (tag, str(tag.get("href") or tag.get("src"))) for tag in page.select("[href], [src]")
    ]
    broken = [
        ref for tag, ref in references if not OUTSIDE.match(ref) and not resolves(here, tag, ref)
    ]
    assert broken == []


def resolves(here: Path, tag: Tag, reference: str) -> bool:
    parts = urlsplit(reference)
    target = (here.parent / unquote(parts.path)).resolve() if parts.path else here
    if not target.is_file():
        return False
    fragment = unquote(parts.fragment)
    return not fragment or target.suffix != ".html" or fragment in anchors(target)
