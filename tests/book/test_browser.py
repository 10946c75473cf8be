"""Every page in a real browser: self-sufficient, light, and found by search.

That no page reports an error is part of the fixture `visit`.
"""

import json
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from urllib.parse import quote

from .conftest import Visit, soup

LIMIT = 1_500_000  # bytes that a page with all its pictures may cost, compressed


def test_page_asks_nobody_else(visit: Callable[..., Visit], name: str, address: str) -> None:
    seen = visit(name)
    assert [url for url in seen.requests if not url.startswith((address, "data:", "blob:"))] == []


def test_page_is_light(visit: Callable[..., Visit], name: str, html: Path, address: str) -> None:
    """With every picture and every frame that it fetches only when the reader comes near."""
    seen, page = visit(name), soup(html / f"{name}.html")
    frames = [json.loads(script.text)["frames"] for script in page.select(".fc-explorer script")]
    pictures = [*chain(*frames), *page.select("article img")]
    files = {(html / name).parent.joinpath(each["src"]).resolve() for each in pictures}
    loaded = {html.resolve() / url.removeprefix(f"{address}/") for url in seen.requests}
    assert seen.bytes + sum(file.stat().st_size for file in files - loaded) < LIMIT


def test_page_works_from_a_folder(visit: Callable[..., Visit], name: str, html: Path) -> None:
    seen = visit(name, base=html.as_uri())
    assert [url for url in seen.requests if not url.startswith(("file:", "data:", "blob:"))] == []


def test_search_finds_the_page(visit: Callable[..., Visit], html: Path, name: str) -> None:
    """The longest word of the title leads to its page."""
    title = soup(html / f"{name}.html").select_one("article h1")
    assert title is not None
    word = max(title.get_text().split(), key=len).strip(".,:;?!#")
    page = visit("search", query=f"?q={quote(word)}").page
    page.wait_for_selector(f"#search-results a[href*='{name}.html']", timeout=10_000)
