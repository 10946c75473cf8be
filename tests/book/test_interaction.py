"""What a reader can do in a page, tried on a small book: it moves, asks, remembers, degrades."""

import ast
import itertools
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from bs4 import BeautifulSoup
from playwright.sync_api import Browser, Locator, Page, expect

import fedcore as fc

from .conftest import LAPTOP, PHONE, ROOT

CONF = f"""
import sys
sys.path.insert(0, {str(ROOT / "book/_ext")!r})
extensions = ["myst_nb", "sphinx_book_theme", "sphinx_proof", "interaction", "bookfix"]
exclude_patterns = ["_build"]
project, author, copyright, version = "A book", "Somebody", "2026", "1"
html_theme = "sphinx_book_theme"
html_static_path = [{str(ROOT / "book/_static")!r}]
mathjax_path = "vendor/mathjax/tex-chtml-full.js"
html_context = {{"default_mode": "light"}}
html_permalinks = False
html_baseurl = ogp_site_url = ""
myst_enable_extensions = ["colon_fence", "dollarmath", "tasklist"]
nb_execution_mode = "cache"
nb_mime_priority_overrides = [(name, "application/vnd.jupyter.widget-view+json", None)
                              for name in ("singlehtml",)]
nb_ipywidgets_js = {{}}
"""

ASK = """
# A page

:::{admonition} How many?
:class: predict dropdown
:name: ask-number
:answer: 0.8
:tolerance: 0.03
:unit: rounds

The *explanation*.
:::

:::{admonition} Which $x$?
:class: predict dropdown
:name: ask-choice

- [ ] The wrong one.
- [x] The **right** one.

Because.
:::

:::{admonition} Draw it.
:class: predict dropdown
:name: ask-sketch
:sketch: rounds 0 50, loss 0 2
:curve: 0 2, 50 0

It falls.
:::

:::{admonition} Which weights?
:class: quiz dropdown
:name: quiz-weights

- [ ] Equal ones

  Rows would not count the same.
- [x] $n_k/n$

  All rows count the same.
:::

:::{admonition} About this chapter
:class: chapter-card
:minutes: 25
:seconds: 40
:data: digits

**After this chapter you can**

- add.

**You should know**

- What is one and one?

  Two.
:::

:::{admonition} fedcore.reference.gradient_descent
:class: listing
:name: lst-gd

A hint for JupyterLab.
:::

:::{admonition} A note
:class: tip

Other boxes stay what they are.
:::

```{explorable} parabolas
H: [1, 2, 5, 10, 50]
start: {H: 5}
play: H
labels: {H: local steps H}
alt: Two parabolas.
```
"""

FRAMES = """\
import matplotlib.pyplot as plt
from fedcore import style
from fedcore.widgets import explore
style.use()
def draw(eta, t):
    plt.plot([(1 - eta) ** i for i in range(t + 1)])
"""
SHOW = """\
explore(draw, alt=lambda eta, t: f"eta {eta}, t {t}", start={"eta": 0.5, "t": 3}, play="t",
        labels={"eta": "step size η"}, eta=[0.1, 0.5], t=[2, 3, 4])
"""
COMPUTE = """\
explore(lambda eta: draw(eta, 9), alt="An ellipse.", page="gradient-descent", eta=[0.5, 1.0, 2.2])
"""


@pytest.fixture(scope="session")
def book(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Build the small book, once for each format."""
    source = tmp_path_factory.mktemp("book")
    (source / "conf.py").write_text(CONF, encoding="utf-8")
    (source / "index.md").write_text(f"{ASK}\n```{{toctree}}\nmoving\n```\n", encoding="utf-8")
    cells = [nbformat.v4.new_code_cell(code) for code in (FRAMES, SHOW, COMPUTE)]
    moving = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Moving"), *cells])
    nbformat.write(moving, source / "moving.ipynb")

    @cache
    def build(builder: str) -> Path:
        out = source / "_build" / builder
        done = sphinx(source, out, "-b", builder, "-d", f"{source}/_build/trees-{builder}", "-W")
        assert done.returncode == 0, done.stderr
        return out

    return build


def sphinx(source: Path, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sphinx", "-q", *options, str(source), str(out)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def visit(browser: Browser, book: Callable[[str], Path]) -> Iterator[Callable[..., Page]]:
    """Open a page of the small book from its folder; no script may fail there."""
    faults: list[str] = []
    pages: list[Page] = []

    def visit(name: str, size: tuple[int, int] = LAPTOP) -> Page:
        page = browser.new_page(viewport={"width": size[0], "height": size[1]})
        pages.append(page)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(f"{book('html').as_uri()}/{name}.html")
        return page

    yield visit
    for page in pages:
        page.close()
    assert faults == []


@pytest.fixture
def ask(visit: Callable[..., Page]) -> Page:
    return visit("index")


@pytest.fixture
def moving(visit: Callable[..., Page]) -> Page:
    return visit("moving")


@pytest.fixture(scope="session")
def script(browser: Browser) -> Iterator[Callable[[str], Any]]:
    """Evaluate an expression where only explorables.js is loaded."""
    page = browser.new_page()
    page.add_script_tag(path=ROOT / "book/_static/explorables.js")
    yield page.evaluate
    page.close()


# ---- the page computes what NumPy computes ------------------------------------------------------


def compute(script: Callable[[str], Any], figure: str, values: dict, points: dict) -> dict:
    call = f"book.explorables.figures[{figure!r}]"
    return script(f"{call}.compute({json.dumps(values)}, {json.dumps(points)})")


def fedavg(a: np.ndarray, b: np.ndarray, eta: float, H: int) -> float:
    """Run FedAvg with H local steps on two parabolas until it rests."""
    w = 0.3
    for _ in range(3000):
        local = np.full(2, w)
        for _ in range(H):
            local -= eta * a * (local - b)
        w = local.mean()
    return w


@pytest.mark.parametrize(("H", "b"), [(1, (0, 1)), (2, (0, 1)), (10, (0, 1)), (50, (-0.4, 1.3))])
def test_parabolas_rest_where_fedavg_rests(script, H, b):
    points = {"first": [b[0], 0], "second": [b[1], 0]}
    there = compute(script, "parabolas", {"H": H, "eta": 0.05}, points)
    a, b = np.array([1.0, 10.0]), np.array(b, dtype=float)
    assert there["rest"] == pytest.approx(fedavg(a, b, 0.05, H), abs=1e-12)
    assert there["optimum"] == pytest.approx(a @ b / a.sum(), abs=1e-12)


def test_parabolas_show_the_numbers_of_the_text(script):
    points = {"first": [0, 0], "second": [1, 0]}
    known = {1: 0.909091, 2: 0.884956, 5: 0.810690, 10: 0.713442, 50: 0.520006}
    for H, w in known.items():
        there = compute(script, "parabolas", {"H": H, "eta": 0.05}, points)
        assert round(there["rest"], 6) == w


@pytest.mark.parametrize(("eta", "kappa"), [(1, 10), (1.9, 10), (2.1, 100), (20 / 11, 10)])
def test_descent_takes_the_steps_of_gradient_descent(script, eta, kappa):
    start = [-2.0, 1.5]
    there = compute(script, "gradient-descent", {"eta": eta, "kappa": kappa}, {"start": start})
    w, curvature, path = np.array(start), np.array([1 / kappa, 1]), [start]
    for _ in range(40):
        w = w - eta * curvature * w
        path.append(w)
    np.testing.assert_allclose(there["path"], path, rtol=1e-9)
    np.testing.assert_allclose(there["factors"], 1 - eta * curvature)
    assert there["best"] == pytest.approx(2 / (1 + 1 / kappa))


def test_noise_floor_is_that_of_stochastic_gradients(script):
    start = {"start": [0, 2]}
    known = {(0.05, 1): 0.013158, (0.1, 1): 0.027778, (0.4, 1): 0.166667, (0.4, 4): 0.166667 / 4}
    for (eta, B), floor in known.items():
        there = compute(script, "noise-floor", {"eta": eta, "B": B}, start)
        v = [4.0]  # the mean square of the error, by its recursion
        for _ in range(120):
            v.append((1 - 2 * eta) ** 2 * v[-1] + eta**2 / B)
        moments = np.square(there["mean"]) + np.square(there["deviation"])
        np.testing.assert_allclose(moments, v, rtol=1e-9)
        assert there["expected"] == pytest.approx(np.sqrt(np.mean(v[-60:])))
        assert v[-1] == pytest.approx(floor, abs=3e-5)


@pytest.mark.parametrize(("eta", "B"), [(0.1, 1), (0.4, 1), (0.4, 16)])
def test_noise_floor_draws_fair_coins(script, eta, B):
    """Each step is one of a batch of B rows; over a long run the spread is the predicted one."""
    call = f"book.explorables.figures['noise-floor'].compute({{eta: {eta}, B: {B}}}"
    w = np.array(script(f"{call}, {{start: [0, 0]}}, 20000).path"))
    noise = (w[1:] - w[:-1]) / -eta - 2 * w[:-1]
    heads = (noise * B + B) / 2
    np.testing.assert_allclose(heads, heads.round(), atol=1e-6)
    assert abs(noise.mean()) < 4 / np.sqrt(20000 * B)
    assert np.mean(w**2) == pytest.approx(eta / (4 * (1 - eta) * B), rel=0.1)


@pytest.mark.parametrize(("n_2", "b"), [(30, (0, 1)), (990, (-0.2, 0.7)), (10, (0, 1))])
def test_servers_stand_where_gradient_descent_stands(script, n_2, b):
    points = {"first": [b[0], 0], "second": [b[1], 0]}
    there = compute(script, "two-servers", {"n_2": n_2, "t": 16}, points)
    for name, weights in (("equal", [0.5, 0.5]), ("rows", [10 / (10 + n_2), n_2 / (10 + n_2)])):
        w, path = 0.0, [0.0]
        for _ in range(16):
            w -= 0.3 * np.dot(weights, w - np.array(b))
            path.append(w)
        np.testing.assert_allclose(there[name], path, atol=1e-12)
    assert there["optimum"] == pytest.approx((10 * b[0] + n_2 * b[1]) / (10 + n_2))


@pytest.mark.parametrize("beta1", [0, 0.9, 0.99])
def test_steps_without_bias_correction_are_those_of_adam(script, beta1):
    beta2 = 0.999
    there = compute(script, "adam-bias", {"beta1": beta1, "beta2": beta2}, {})
    rule = fc.Adam(1.0, beta1=beta1, beta2=beta2, bias_correction=False)
    w = np.zeros(1)
    state, path = rule.init(w), [0.0]
    for t in range(3000):
        w, state = rule.step(w, np.array([-7.0]), state, t)
        path.append(w[0])
    steps = np.diff(path)
    assert there["first"] == pytest.approx(steps[0], rel=1e-5)
    assert there["longest"] == pytest.approx(steps.max(), rel=1e-5)
    assert there["at"] == steps.argmax() + 1


@pytest.mark.parametrize(("p", "n"), list(itertools.product([2, 3, 8, 100], [1, 2e4, 1e8])))
def test_collectives_cost_what_the_model_says(script, p, n):
    there = compute(script, "collectives", {"p": p, "n": n}, {})
    alpha, beta = 20e-6, 1e9
    levels = int(np.ceil(np.log2(p)))
    assert there["ring"] == pytest.approx(2 * (p - 1) * (alpha + n / p / beta))
    assert there["tree"] == pytest.approx(2 * levels * (alpha + n / beta))
    assert there["star"] == pytest.approx(2 * (p - 1) * (alpha + n / beta))
    assert there["crossover"] == pytest.approx(alpha * beta)


@pytest.mark.parametrize(
    "listed", [[0.1, 0.5, 2.2], [1, 2, 5, 10, 50], [2, 4, 1024], [1, 1e3, 1e8]]
)
def test_scale_holds_the_listed_values_and_more_between(script, listed):
    words = json.dumps([f"{v:g}" for v in listed])
    scale = script(f"book.explorables.refine({words}, 1)")
    assert set(listed) <= set(scale["values"])
    assert scale["values"][scale["start"]] == listed[1]
    assert (np.diff(scale["values"]) > 0).all()
    assert len(scale["values"]) > len(listed)
    if all(isinstance(v, int) for v in listed):
        assert all(float(v).is_integer() for v in scale["values"])


# ---- figures that move --------------------------------------------------------------------------


def test_every_frame_is_shown_at_its_values(moving: Page) -> None:
    figure = moving.locator(".fc-explorer").first
    eta, t = figure.locator("input[type=range]").all()
    image, seen = figure.locator("img"), set()
    expect(figure.locator("label").first).to_have_text("step size η")
    for (i, x), (j, y) in itertools.product(enumerate([0.1, 0.5]), enumerate([2, 3, 4])):
        eta.fill(str(i))
        t.fill(str(j))
        expect(image).to_have_attribute("alt", f"eta {x}, t {y}")
        expect(eta).to_have_attribute("aria-valuetext", str(x))
        expect(figure.locator("output").nth(1)).to_have_text(str(y))
        moving.wait_for_function(
            "i => i.complete && i.naturalWidth === 840", arg=image.element_handle()
        )
        seen.add(image.get_attribute("src"))
    assert len(seen) == 6


def test_frames_of_the_first_move_come_first(moving: Page) -> None:
    """The start, its two neighbours in t, the one in eta; then those two moves away."""
    figure = moving.locator(".fc-explorer").first
    figure.scroll_into_view_if_needed()
    moving.wait_for_function("box => box.frames", arg=figure.element_handle())
    order = figure.evaluate("""box => {
      const { frames } = JSON.parse(box.querySelector("script").textContent);
      const alt = (image) => frames.find(({ src }) => image.src.endsWith(src.slice(2))).alt;
      return box.frames.map(alt);
    }""")
    assert order[0] == "eta 0.5, t 3"
    assert set(order[1:4]) == {"eta 0.5, t 2", "eta 0.5, t 4", "eta 0.1, t 3"}
    assert len(order) == 6


def test_page_needs_no_widget_library(book: Callable[[str], Path]) -> None:
    text = (book("html") / "moving.html").read_text(encoding="utf-8")
    assert "vnd.jupyter" not in text
    assert "base64" not in text
    assert len(list((book("html") / "_images").glob("frame-*.png"))) == 7, "six frames and a still"


def test_status_says_what_is_shown_once_the_slider_rests(moving: Page) -> None:
    figure = moving.locator(".fc-explorer").first
    figure.locator("input[type=range]").first.press("Home")
    expect(figure.locator("[role=status]")).to_have_text("eta 0.1, t 3")


@pytest.mark.parametrize("size", [PHONE, LAPTOP], ids=["phone", "laptop"])
def test_nothing_jumps(visit: Callable[..., Page], size: tuple[int, int]) -> None:
    page = visit("moving", size)
    places = (
        "[...document.querySelectorAll('.fc-controls')].map((e) => e.getBoundingClientRect().top)"
    )
    before = page.evaluate(places)
    for slider in page.locator("input[type=range]").all():
        slider.evaluate("(s) => { s.value = s.max; s.dispatchEvent(new Event('input')); }")
    page.wait_for_timeout(700)
    assert page.evaluate(places) == before
    assert page.evaluate(SHIFTS) < 0.02


SHIFTS = """() => new Promise((done) => { let sum = 0;
  new PerformanceObserver((list) => list.getEntries().forEach((shift) => { sum += shift.value; }))
    .observe({ type: 'layout-shift', buffered: true });
  setTimeout(() => done(sum), 100); })"""


def test_point_is_dragged_with_the_mouse(moving: Page) -> None:
    figure = moving.locator(".fc-explorer").nth(1)
    point, reading = figure.locator("[role=slider]"), figure.locator(".fc-reading")
    point.scroll_into_view_if_needed()
    before, box = reading.inner_text(), point.bounding_box()
    assert box is not None
    moving.mouse.move(box["x"] + 9, box["y"] + 9)
    moving.mouse.down()
    moving.mouse.move(box["x"] + 109, box["y"] + 9, steps=3)
    moving.mouse.up()
    assert reading.inner_text() != before
    x, y = map(float, (point.get_attribute("aria-valuetext") or "").split(", "))
    assert x > -2
    assert y == pytest.approx(1.1, abs=0.03)
    figure.locator(".fc-reset").click()
    assert reading.inner_text() == before


def test_computed_figure_reads_itself_out(moving: Page) -> None:
    figure = moving.locator(".fc-explorer").nth(1)
    figure.locator("input[type=range]").press("End")
    expect(figure.locator(".fc-reading")).to_contain_text("beyond the edge 2/L")
    expect(figure.locator(".fc-reading")).to_contain_text("steep one by −1.200")


# ---- predictions and questions ------------------------------------------------------------------


def commit(page: Page, name: str) -> Locator:
    box = page.locator(f"#{name}")
    box.get_by_role("button", name="Commit").click()
    return box


@pytest.mark.parametrize(
    ("typed", "verdict", "judged"),
    [
        ("0.79", "You said 0.79; it is 0.8 rounds. Well predicted.", "right"),
        ("0,9", "You said 0.9; it is 0.8 rounds. 12 % too high.", "wrong"),
        ("2/5", "You said 0.4; it is 0.8 rounds. 50 % too low.", "wrong"),
        ("80 %", "You said 0.8; it is 0.8 rounds. Well predicted.", "right"),
    ],
)
def test_number_is_compared(ask: Page, typed: str, verdict: str, judged: str) -> None:
    ask.locator("#ask-number input").fill(typed)
    box = commit(ask, "ask-number")
    expect(box.locator(".fc-verdict")).to_have_text(verdict)
    expect(box).to_have_attribute("data-settled", judged)
    expect(box.get_by_text("The explanation.")).to_be_visible()


@pytest.mark.parametrize("typed", ["", "many", "1/0/2", "%"])
def test_what_is_no_number_is_asked_again(ask: Page, typed: str) -> None:
    ask.locator("#ask-number input").fill(typed)
    box = commit(ask, "ask-number")
    expect(box.locator(".fc-verdict")).to_have_text("Type a number first.")
    expect(box.get_by_text("The explanation.")).to_be_hidden()


def test_choice_is_judged_and_remembered_until_taken_back(ask: Page) -> None:
    expect(ask.get_by_text("Because.")).to_be_hidden()
    ask.get_by_label("The right one.").check()
    box = commit(ask, "ask-choice")
    expect(box.locator(".fc-verdict")).to_have_text("As you predicted.")
    ask.reload()
    expect(box.locator(".fc-verdict")).to_have_text("As you predicted.")
    expect(ask.get_by_label("The right one.")).to_be_checked()
    expect(ask.get_by_text("Because.")).to_be_visible()
    box.get_by_role("button", name="Predict again").click()
    ask.reload()
    expect(box.locator(".fc-verdict")).to_be_empty()
    expect(ask.get_by_text("Because.")).to_be_hidden()


def test_sketch_is_drawn_by_keyboard_and_shows_the_true_curve(ask: Page) -> None:
    pad, lines = ask.locator("#ask-sketch svg"), ask.locator("#ask-sketch .fc-line.optimum")
    pad.focus()
    for key in ["ArrowRight"] * 3 + ["ArrowDown"]:
        ask.keyboard.press(key)
    expect(ask.locator("#ask-sketch .fc-verdict")).to_have_text("Pen at rounds 6.25, loss 0.9.")
    assert lines.count() == 0
    commit(ask, "ask-sketch")
    assert lines.count() == 1
    expect(ask.get_by_text("It falls.")).to_be_visible()


def test_sketch_is_drawn_by_mouse(ask: Page) -> None:
    pad = ask.locator("#ask-sketch svg")
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    assert box is not None
    ask.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 0.2 * box["height"])
    ask.mouse.down()
    ask.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + 0.7 * box["height"], steps=4)
    ask.mouse.up()
    commit(ask, "ask-sketch")
    stored = ask.evaluate("Object.entries(localStorage).find(([k]) => k.endsWith('ask-sketch'))[1]")
    heights = [h for h in json.loads(stored) if h is not None]
    assert len(heights) > 10
    assert heights == sorted(heights, reverse=True)


def test_quiz_says_why_and_marks_what_was_tried(ask: Page) -> None:
    wrong, right = ask.locator("#quiz-weights details").all()
    expect(right).not_to_contain_class("fc-tried")
    wrong.locator("summary").press("Enter")
    expect(wrong).to_contain_text("No. Rows would not count the same.")
    right.locator("summary").click()
    expect(right).to_contain_text("Right. All rows count the same.")
    ask.reload()
    expect(right).to_contain_class("fc-tried")


# ---- where no script runs -----------------------------------------------------------------------


def test_without_script_everything_can_be_read(
    browser: Browser, book: Callable[[str], Path]
) -> None:
    page = browser.new_page(java_script_enabled=False)
    page.goto(f"{book('html').as_uri()}/index.html")
    for button in page.locator(".fc-box button, .fc-box input, .fc-controls").all():
        expect(button).to_be_hidden()
    expect(page.get_by_text("The right one.")).to_be_visible()
    expect(page.get_by_text("Because.")).to_be_hidden()
    for summary in page.locator(".fc-box summary, .fc-card summary").all():
        summary.click()
    for words in ("The explanation.", "Because.", "All rows count the same.", "Two."):
        expect(page.get_by_text(words)).to_be_visible()
    expect(page.get_by_text("Two parabolas.")).to_be_visible()
    page.goto(f"{book('html').as_uri()}/moving.html")
    expect(page.locator(".fc-explorer img").first).to_have_attribute("alt", "eta 0.5, t 3")
    page.close()


def test_printed_edition_hides_nothing(book: Callable[[str], Path]) -> None:
    index = book("singlehtml") / "index.html"
    page = BeautifulSoup(index.read_text(encoding="utf-8"), "html.parser")
    article = page.find("article") or page
    assert article.select(".fc-box button, .fc-box input, details") == []
    right = [choice.get_text() for choice in article.select(".fc-choice[data-right]")]
    assert len(right) == 1
    assert "All rows count the same." in right[0]
    words = article.get_text()
    for each in ("How many?", "The explanation.", "Because.", "All rows count the same.", "Two."):
        assert each in words
    assert page.find("img", alt="eta 0.5, t 3"), "the picture at the start, with its text"


def test_words_go_to_translators(book: Callable[[str], Path]) -> None:
    catalogue = (book("gettext") / "index.pot").read_text(encoding="utf-8")
    asked = ("How many?", "The **right** one.", "Equal ones", "What is one and one?")
    for words in (*asked, "The *explanation*.", "Rows would not count the same.", "Two."):
        assert words in catalogue


# ---- what authors see ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("What?\n:class: predict\n:answer: 1", "predict needs a :name:"),
        ("What?\n:class: predict\n:name: a\n\nText.", "predict needs :answer:, :sketch: or a list"),
        ("What?\n:class: quiz\n:name: a\n\n- [ ] One\n- [ ] Two", "at least one ticked"),
        ("Costs\n:class: chapter-card\n:minutes: 2", "chapter-card needs :data: and :seconds:"),
        ("fedcore.reference.nothing\n:class: listing", "there is no fedcore.reference.nothing"),
    ],
)
def test_mistakes_in_boxes_are_named(tmp_path: Path, source: str, complaint: str) -> None:
    assert complaint in complaints(tmp_path, f":::{{admonition}} {source}\n:::")


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("```{explorable} nothing\nK: [1, 2]\nalt: x\n```", "nothing is not one of"),
        ("```{explorable} parabolas\nK: [1, 2]\n```", "explorable needs alt"),
    ],
)
def test_mistakes_in_figures_are_named(tmp_path: Path, source: str, complaint: str) -> None:
    assert complaint in complaints(tmp_path, source)


def complaints(folder: Path, source: str) -> str:
    """Return what is said of a page with this source."""
    (folder / "conf.py").write_text(CONF, encoding="utf-8")
    (folder / "index.md").write_text(f"# Page\n\n{source}\n", encoding="utf-8")
    return sphinx(folder, folder / "_build", "-b", "dummy").stderr


def test_published_copy_knows_its_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = "https://example.org/book/"
    monkeypatch.setenv("BOOK_URL", base)
    (tmp_path / "conf.py").write_text(CONF, encoding="utf-8")
    (tmp_path / "index.md").write_text("# Page\n", encoding="utf-8")
    done = sphinx(tmp_path, out := tmp_path / "_build", "-b", "html")
    assert done.returncode == 0, done.stderr
    page, lost = (
        BeautifulSoup((out / f"{name}.html").read_text(), "html.parser")
        for name in ("index", "404")
    )
    assert page.select_one("link[rel=canonical]")["href"] == f"{base}index.html"
    assert page.select_one(".extra_footer a")["href"] == f"{base}editions/book.pdf"
    assert all(link["href"].startswith(base) for link in lost.select("article a"))
    assert f"<loc>{base}index.html</loc>" in (out / "sitemap.xml").read_text()
    assert f"Sitemap: {base}sitemap.xml" in (out / "robots.txt").read_text()


def test_listing_is_the_source_without_docstring(ask: Page) -> None:
    shown = ask.locator("#lst-gd pre").inner_text()
    source = (ROOT / "fedcore/reference/part_one.py").read_text(encoding="utf-8")
    both = [
        next(f for f in ast.parse(text).body if getattr(f, "name", "") == "gradient_descent")
        for text in (source, shown)
    ]
    del both[0].body[0]  # type: ignore[attr-defined]
    assert ast.dump(both[0]) == ast.dump(both[1])
    expect(ask.get_by_text("A hint for JupyterLab.")).to_have_count(0)


def test_other_boxes_stay_admonitions(ask: Page) -> None:
    expect(ask.locator(".admonition.tip")).to_contain_text("Other boxes stay what they are.")
