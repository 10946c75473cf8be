"""Measure how soon a figure answers the first movement of its sliders, on every page that has one.

`python tools/reaction.py [PAGE ...]`, a page as in _toc.yml; without one, all of them. Each slider
is moved once, with a key, in a page that was just opened: on this machine, and on a phone with a
quarter of its speed and a slow line, whose reader looks for a second. The time runs from the key to
the frame after the one with the new picture, so it is at most one frame too long.
"""

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from browser import ADVICE, FLAGS, find
from playwright.sync_api import Browser, Locator, sync_playwright
from serve import server
from sphinx_external_toc.parsing import parse_toc_yaml

ROOT = Path(__file__).resolve().parents[1]
HTML = ROOT / "_build/html"
LIMIT = 100  # ms; what takes no longer feels instant
PHONE = {"width": 390, "height": 844}
SLOW_LINE = {"offline": False, "latency": 150, "downloadThroughput": 2e5, "uploadThroughput": 1e5}
WATCH = """(input) => { input.answered = new Promise((done) => {
  input.addEventListener("input", async ({ timeStamp }) => {
    await input.closest(".fc-explorer").querySelector("img.fc-frame")?.decode();
    requestAnimationFrame(() => requestAnimationFrame((now) => done(now - timeStamp)));
  }, { once: true });
}); }"""


def reactions(browser: Browser, url: str, *, slow: bool) -> Iterator[float]:
    """Yield the milliseconds that each slider of a page takes to answer."""
    page = browser.new_page(viewport=PHONE)
    page.goto(url)
    if slow:
        phone = page.context.new_cdp_session(page)
        phone.send("Emulation.setCPUThrottlingRate", {"rate": 4})
        phone.send("Network.emulateNetworkConditions", SLOW_LINE)
    for slider in page.locator(".fc-explorer input[type=range]").all():
        slider.focus()
        page.wait_for_timeout(1000 * slow)
        yield reaction(slider)
    page.close()


def reaction(slider: Locator) -> float:
    """Return the milliseconds from a key to the changed picture."""
    slider.evaluate(WATCH)
    full = slider.evaluate("input => input.value === input.max")
    slider.press("ArrowLeft" if full else "ArrowRight")
    return float(slider.evaluate("input => input.answered"))


def moving(page: str) -> bool:
    """Tell whether a page has a figure with sliders."""
    return 'class="fc-explorer"' in (HTML / f"{page}.html").read_text(encoding="utf-8")


def main() -> None:
    if not (path := find()):
        sys.exit(ADVICE)
    pages = list(filter(moving, sys.argv[1:] or parse_toc_yaml(ROOT / "_toc.yml")))
    width = max(map(len, pages), default=0)
    worst = 0.0
    print(" " * width, "slowest, ms", "on a phone", "sliders")
    with sync_playwright() as playwright, server(HTML) as host:
        threading.Thread(target=host.serve_forever, daemon=True).start()
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        for page in pages:
            url = f"http://127.0.0.1:{host.server_port}/{page}.html"
            here, phone = (list(reactions(browser, url, slow=slow)) for slow in (False, True))
            worst = max(worst, *here, *phone)
            print(f"{page:{width}} {max(here):11.0f} {max(phone):10.0f} {len(here):7}", flush=True)
        host.shutdown()
    if worst > LIMIT:
        sys.exit(f"missed: a slider takes {worst:.0f} ms, more than {LIMIT}")


if __name__ == "__main__":
    main()
