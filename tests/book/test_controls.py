"""No dead control: each one of each page is used, by keyboard and mouse, and the page answers."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from .conftest import PHONE, Visit, soup

FIGURE = "article .fc-explorer"
# What a reader can operate; the last two open and close, and all are used below.
KNOWN = """.fc-explorer input[type=range], .fc-play, .fc-reset, .fc-stage [tabindex],
  .fc-predict button, .fc-predict input, .fc-sketch [tabindex],
  .copybtn, .toggle-button, summary"""
ANY = "a[href], button, input, select, textarea, summary, [role=slider], [role=button], [tabindex]"
PASSIVE = "a[href], pre, .fc-box, [tabindex='-1'], .katex-display, .sd-tab-set > input"

PICTURE = """stage => [...stage.querySelectorAll('img, canvas, svg')]
  .filter((e) => e.checkVisibility())
  .map((e) => e.currentSrc ? e.currentSrc + e.naturalWidth : e.toDataURL?.() ?? e.outerHTML)
  .join()"""


LOADED = """stage => Promise.all([...stage.querySelectorAll('img')]
  .filter((image) => image.checkVisibility()).map((image) => image.decode()))"""


def picture(figure: Locator) -> str:
    """What the figure shows, as text."""
    figure.scroll_into_view_if_needed()  # a picture far away is not loaded yet
    figure.locator(".fc-stage").evaluate(LOADED)
    return str(figure.locator(".fc-stage").evaluate(PICTURE))


def changed(figure: Locator, before: str) -> bool:
    """Wait for another picture, and say whether it came."""
    stage = figure.locator(".fc-stage").element_handle()
    try:
        figure.page.wait_for_function(
            f"([stage, before]) => ({PICTURE})(stage) !== before",
            arg=[stage, before],
            timeout=15_000,
        )
    except TimeoutError:
        return False
    return True


def figures(page: Page) -> list[Locator]:
    return page.locator(FIGURE).all()


def click_at(slider: Locator, part: float) -> None:
    """Press the mouse on a slider's track, at this part of its width."""
    box = slider.bounding_box()
    assert box is not None
    slider.click(position={"x": part * box["width"], "y": box["height"] / 2})


def test_every_control_is_known(visit: Callable[..., Visit], name: str) -> None:
    """A control that no test here would use is not let in."""
    seek = """(article, [any, known, passive]) => [...article.querySelectorAll(any)]
      .filter((e) => e.checkVisibility() && !e.matches(known) && !e.matches(passive))
      .map((e) => e.outerHTML.slice(0, 150))"""
    article = visit(name).page.locator("article")
    assert article.evaluate(seek, [ANY, KNOWN, PASSIVE]) == []


def test_sliders_move_the_picture(visit: Callable[..., Visit], name: str) -> None:
    for figure in figures(visit(name).page):
        for slider in figure.locator("input[type=range]").all():
            said = slider.get_attribute("aria-valuetext")
            slider.focus()
            slider.press("Home")
            first = picture(figure)
            slider.press("ArrowRight")
            slider.press("End")
            assert changed(figure, first), "keyboard"
            expect(slider).not_to_have_attribute("aria-valuetext", "")
            last = picture(figure)
            click_at(slider, 0.05)
            assert changed(figure, last), "mouse"
            figure.locator(".fc-reset").click()
            expect(slider).to_have_attribute("aria-valuetext", said or "")


def test_sliders_have_room_on_a_phone(visit: Callable[..., Visit], name: str) -> None:
    sliders = visit(name, size=PHONE).page.locator(f"{FIGURE} input[type=range]")
    widths = sliders.evaluate_all("all => all.map((e) => e.getBoundingClientRect().width)")
    assert all(width > 90 for width in widths), widths


def test_points_can_be_moved(visit: Callable[..., Visit], name: str) -> None:
    for point in visit(name).page.locator(f"{FIGURE} .fc-stage [tabindex='0']").all():
        figure = point.locator("xpath=ancestor::*[contains(@class, 'fc-explorer')]")
        before = picture(figure)
        point.focus()
        point.press("ArrowRight")
        point.press("ArrowUp")
        assert changed(figure, before)


def test_play_pause_and_reset(visit: Callable[..., Visit], name: str) -> None:
    for figure in figures(visit(name).page):
        start = picture(figure)
        for button in figure.locator(".fc-play").all():
            button.press("Enter")
            assert changed(figure, start)
            expect(button).to_have_text("Pause")
            button.click()
            expect(button).to_have_text("Play")
            figure.locator(".fc-reset").press("Enter")
            assert picture(figure) == start


def test_predictions_are_answered(visit: Callable[..., Visit], name: str) -> None:
    for box in visit(name).page.locator("article .fc-predict").all():
        reveal, commit = box.locator("details.fc-reveal"), box.locator("form button")
        expect(reveal).not_to_have_attribute("open", "")
        commit.click()  # nothing given yet: asks for it
        expect(box.locator(".fc-verdict")).not_to_be_empty()
        expect(reveal).not_to_have_attribute("open", "")
        predict(box)
        commit.press("Enter")
        expect(reveal).to_have_attribute("open", "")
        expect(box.locator(".fc-verdict")).not_to_be_empty()
        commit.click()  # again
        expect(reveal).not_to_have_attribute("open", "")


def predict(box: Locator) -> None:
    """Give an answer of the kind that the box asks for."""
    kind = box.get_attribute("data-kind")
    if kind == "number":
        box.locator("form input").fill("0.5")
    elif kind == "choice":
        box.locator("form input").last.press("Space")
    else:
        pad = box.locator(".fc-sketch [tabindex='0']")
        for key in ("ArrowRight", "ArrowRight", "ArrowDown"):
            pad.press(key)


@pytest.mark.parametrize("key", ["Enter", "mouse"])
def test_folds_open(visit: Callable[..., Visit], name: str, key: str) -> None:
    """Quiz choices, card questions, folded cells: what is folded shows when its title is used."""
    for title in visit(name).page.locator("article summary").all():
        if not title.is_visible():  # inside another fold
            continue
        fold = title.locator("xpath=..")
        was = fold.evaluate("fold => fold.open")
        title.click() if key == "mouse" else title.press(key)
        assert fold.evaluate("fold => fold.open") is not was


def test_solutions_open(visit: Callable[..., Visit], name: str) -> None:
    for button in visit(name).page.locator("article .toggle-button:visible").all():
        box = button.locator("xpath=ancestor::*[contains(@class, 'toggle')][1]")
        before = box.inner_text()
        button.press("Enter")
        expect(box).not_to_have_text(before, use_inner_text=True)


# What is laid out when it comes near moves what is below it; the page is at rest after ten frames.
AT_REST = """(element) => new Promise((done) => {
  let still = 0, before;
  const look = () => {
    const { top } = element.getBoundingClientRect();
    still = top === before ? still + 1 : 0;
    before = top;
    if (still < 10) requestAnimationFrame(look); else done();
  };
  look();
})"""


def test_links_are_previewed(visit: Callable[..., Visit], name: str) -> None:
    """The first equation, source and term of the page that are linked to."""
    page = visit(name).page
    for target, shown in (
        ("#equation-", ".math"),
        ("references.html#", ".citation"),
        ("glossary.html#term-", "dd"),
    ):
        for link in page.locator(f"article p a[href*='{target}']:visible").all()[:1]:
            link.scroll_into_view_if_needed()
            link.evaluate(AT_REST)
            link.hover()
            expect(page.locator(f".tippy-box {shown}").first).to_be_visible()
            page.mouse.move(0, 0)
            expect(page.locator(".tippy-box")).to_have_count(0)


def test_chapters_lead_to_the_glossary(name: str, html: Path) -> None:
    if name.startswith("notebooks/"):
        links = soup(html / f"{name}.html").select("article a[href*='glossary.html#term-']")
        assert len(links) > 3
        assert len({link["href"] for link in links}) == len(links), "only the first use is a link"


def test_code_can_be_copied(visit: Callable[..., Visit], name: str) -> None:
    page = visit(name).page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    for cell in page.locator("article .highlight:has(.copybtn):visible").all()[:2]:
        cell.hover()
        cell.locator(".copybtn").click()
        copied = page.evaluate("navigator.clipboard.readText()")
        assert copied.strip() == cell.locator("pre").inner_text().strip()


def test_bars_and_buttons_of_the_page(visit: Callable[..., Visit], name: str) -> None:
    """Theme switch, sidebar, search dialogue and download menu."""
    page = visit(name).page
    switch, modes = page.locator(".theme-switch-button:visible").first, set()
    for _ in range(3):
        modes.add(page.locator("html").get_attribute("data-mode"))
        switch.click()
    assert modes == {"light", "dark", "auto"}
    sidebar = page.locator("#pst-primary-sidebar")
    page.locator(".bd-header-article .sidebar-toggle.primary-toggle").click()
    expect(sidebar).not_to_be_in_viewport()
    page.keyboard.press("Control+k")
    expect(page.locator("#pst-search-dialog input")).to_be_focused()
    page.keyboard.press("Escape")
    page.locator(".dropdown-download-buttons > button").click()
    expect(page.locator(".dropdown-download-buttons .dropdown-menu")).to_be_visible()
