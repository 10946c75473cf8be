"""What keeps a page light: one style sheet without idle rules, layout of what is near, no jumps."""

import re
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from playwright.sync_api import Browser, Route

from .conftest import PHONE, SETTLED, soup

HEAVY = 4_500  # elements laid out at once; a chapter has some 25,000
PAINTED = "() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 50)))"
SHIFTS = """() => new Promise((done) => {
  let sum = 0;
  new PerformanceObserver((list) => list.getEntries().forEach((e) => { sum += e.value; }))
    .observe({ type: "layout-shift", buffered: true });
  setTimeout(() => done(sum), 300);
})"""


@pytest.fixture
def page(html: Path, name: str) -> BeautifulSoup:
    return soup(html / f"{name}.html")


def test_one_style_sheet(page: BeautifulSoup) -> None:
    assert len(page.select("link[rel=stylesheet]")) == 1


def test_ids_are_unique(page: BeautifulSoup) -> None:
    ids = [str(tag["id"]) for tag in page.select("[id]")]
    assert sorted(ids) == sorted(set(ids))


def test_pictures_keep_their_place(page: BeautifulSoup) -> None:
    free = [
        tag for tag in page.select("article img") if not (tag.get("width") and tag.get("height"))
    ]
    assert [str(tag)[:150] for tag in free] == []


def test_no_script_stops_the_drawing(page: BeautifulSoup) -> None:
    stopping = "script[src]:not([defer], [async])"
    assert [tag["src"] for tag in page.select(stopping)] == []


def test_far_blocks_wait(page: BeautifulSoup) -> None:
    """Of a long page most is laid out only when it comes near."""
    assert len(page.select("article *")) - len(page.select("[data-later] *")) < HEAVY
    assert {tag.parent.name for tag in page.select("[data-later]") if tag.parent} <= {"section"}


def test_nothing_jumps(browser: Browser, address: str, name: str) -> None:
    """Little moves while a page comes, even when the letters of its formulas come last."""
    with browser.new_context(viewport={"width": PHONE[0], "height": PHONE[1]}) as context:
        page, letters = context.new_page(), list[Route]()
        page.route("**/*.woff2", lambda route: letters.append(route))
        page.goto(f"{address}/{name}.html", wait_until="domcontentloaded")
        page.evaluate(PAINTED)
        for route in letters:
            route.continue_()
        page.unroute("**/*.woff2")
        page.wait_for_function(SETTLED)
        assert page.evaluate(SHIFTS) < 0.1  # "good" in Web Vitals


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_first_paint_has_the_systems_colours(browser: Browser, address: str, scheme: str) -> None:
    """The theme's own script would turn a page dark after it was seen light."""
    with browser.new_context(color_scheme=scheme) as context:
        page = context.new_page()
        page.route("**/pydata-sphinx-theme.js*", lambda route: route.abort())
        page.goto(f"{address}/book/intro.html")
        assert page.locator("html").get_attribute("data-theme") == scheme


def test_lost_readers_find_the_way(html: Path) -> None:
    lost = soup(html / "404.html")
    assert lost.select_one("article a[href$='intro.html']")


def test_style_sheet_is_lean_and_whole(html: Path) -> None:
    """It has the theme's, the formulas' and our rules, not the thousand icons, and its files."""
    static = html / "_static"
    css = (static / "book.css").read_text(encoding="utf-8")
    for rule in (".bd-sidebar-primary", ".katex-display", ".fc-explorer", ".highlight .k"):
        assert rule in css
    assert len(css) < 250_000
    files = set(re.findall(r"url\((?!data:|#)([^)]+)\)", css))
    wanted = {f for f in files if "katex" in f and f.endswith("woff2")}
    assert wanted
    assert all((static / file).is_file() for file in wanted)
