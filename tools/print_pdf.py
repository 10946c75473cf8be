"""Print the one-page edition of the book as a PDF.

`python tools/print_pdf.py _build/singlehtml/book/intro.html _build/book.pdf`; the page's addresses
are relative to the folder above its own, so it is printed from a copy there.
"""

import shutil
import sys
from pathlib import Path

from browser import ADVICE, FLAGS, find
from playwright.sync_api import sync_playwright

STYLE = """
  @page { size: A4; margin: 22mm 20mm; }
  html { font-size: 10.5pt; }
  .bd-sidebar, .bd-sidebar-secondary, .bd-header, .bd-header-article, .prev-next-footer, .bd-footer,
  .bd-footer-content, .headerlink, .copybtn, .skip-link, .toggle-button, #pst-back-to-top,
  #jb-print-docs-body { display: none !important; }
  .bd-main, .bd-content, .bd-article-container, .bd-article {
    display: block !important; max-width: none !important; padding: 0 !important; }
  article h1 { display: block !important; }
  .toctree-wrapper > section > h2 { break-before: page; }
  .cell_input, .cell_output > div { break-inside: avoid; }
  h1, h2, h3, h4 { break-after: avoid; }
  figure, img, pre, table, .admonition, .katex-display { break-inside: avoid; }
  pre { white-space: pre-wrap; }
  .toggle-hidden > *, .dropdown > * { visibility: visible !important; height: auto !important; }
"""
FOOT = (
    '<div style="font-size: 8pt; width: 100%; text-align: center">'
    '<span class="pageNumber"></span></div>'
)


def main() -> None:
    source, target = map(Path, sys.argv[1:])
    if not (browser := find()):
        sys.exit(ADVICE)
    page_file = shutil.copy(source, source.parent.parent / "all.html")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=list(FLAGS))
        page = chromium.new_page()
        page.goto(Path(page_file).resolve().as_uri(), wait_until="load")
        page.add_style_tag(content=STYLE)
        page.evaluate(
            "document.querySelectorAll('details').forEach((fold) => { fold.open = true; })"
        )
        page.evaluate("document.fonts.ready")
        page.pdf(
            path=target,
            prefer_css_page_size=True,
            display_header_footer=True,
            header_template="<span></span>",
            footer_template=FOOT,
            print_background=True,
            outline=True,
            tagged=True,
        )
    print(f"{target}: {target.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
