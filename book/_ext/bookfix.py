"""What the book needs and its tools leave out.

- `execution_cache`: drop the executed notebooks when the package that they import has changed.
- `look`: write all pages anew when a style sheet, a script or an extension of the book has changed.
- `one_page_handlers`: let the extensions that only know HTML take part in the one-page edition.
- `unique_ids`: give every proof, exercise and solution of a page an id of its own.
- `phrases`: mark the cells of tables that hold more than a word, so that they keep room on a phone.
- `setup`: no progress bars in the notebooks that the book executes.
- `describe`: what other sites and search engines show of a page, in whole words.
- `lost`: a page for addresses that lead nowhere.
- `site_files`: a sitemap and robots.txt, when BOOK_URL says where the book is published.
"""

import hashlib
import itertools
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import escape

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config

# What a notebook's numbers depend on, besides the notebook itself.
SOURCES = ("fedcore/**/*.py", "fedcore/*.mplstyle", "requirements.lock", "benchmarks/results.json")

# What a page's look depends on, besides its text.
LOOK = ("book/_ext/*.py", "book/_static/*.*")

PHRASE = 24  # letters; a cell with more of them is read, not looked up

REPEATED = {"proof", "proof-content", "exercise-content", "solution-content"}


def fingerprint(root: Path, patterns: tuple[str, ...]) -> str:
    """Hash files, names and contents."""
    digest = hashlib.sha256()
    for path in sorted(p for pattern in patterns for p in root.glob(pattern)):
        digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def execution_cache(app: Sphinx, *_: object) -> None:
    """Delete the execution cache and the read notebooks if other sources made them."""
    stamp, now = stamp_of(app), fingerprint(Path(app.srcdir), SOURCES)
    if not stamp.exists() or stamp.read_text() != now:
        shutil.rmtree(stamp.parent, ignore_errors=True)


def stale_pages(app: Sphinx, env: object, added: set, changed: set, removed: set) -> list[str]:
    """Have every page read again once the cache was dropped: some Markdown pages compute, too."""
    return [] if stamp_of(app).exists() else list(app.env.found_docs)


def keep_stamp(app: Sphinx, error: Exception | None) -> None:
    if error is None:
        stamp_of(app).parent.mkdir(exist_ok=True)
        stamp_of(app).write_text(fingerprint(Path(app.srcdir), SOURCES))


def stamp_of(app: Sphinx) -> Path:
    """Where the sources' hash is kept: with the executed notebooks, so that both go together."""
    return Path(app.outdir).parent / ".jupyter_cache/fedcore.sha256"


def look(app: Sphinx, config: Config) -> None:
    """Make the look a setting: Sphinx writes the pages anew when a setting has changed."""
    config["book_look"] = fingerprint(Path(app.srcdir), LOOK)


def one_page_handlers(app: Sphinx) -> None:
    """Sphinx forgets a node's HTML handlers once any extension names those of another builder."""
    handlers = app.registry.translation_handlers
    handlers["singlehtml"] = {**handlers.get("html", {}), **handlers.get("singlehtml", {})}


def unique_ids(app: Sphinx, doctree: nodes.document) -> None:
    """Number the ids that sphinx-proof and sphinx-exercise give to each of their boxes alike."""
    page, count = nodes.make_id(app.env.docname), itertools.count(1)
    for node in doctree.findall(nodes.Element):
        if name := next(iter(REPEATED & set(node.get("ids", ()))), None):
            node["ids"] = [f"{name}-{page}-{next(count)}"]


def phrases(app: Sphinx, doctree: nodes.document, name: str) -> None:
    """Name the class of cells with phrases; the source of a formula is no phrase."""
    for cell in doctree.findall(nodes.entry):
        words = (t for t in cell.findall(nodes.Text) if not isinstance(t.parent, nodes.math))
        if sum(map(len, words)) > PHRASE:
            cell["classes"].append("fc-phrase")


def site_address(app: Sphinx, config: Config) -> None:
    """Take the published address from the environment; a local build has none."""
    url = os.environ.get("BOOK_URL", "").rstrip("/")
    app.config.html_baseurl = app.config.ogp_site_url = url and url + "/"
    if url:  # `make editions` puts the PDF beside the pages that are published
        link = f'<p><a href="{url}/editions/book.pdf">The whole book as a PDF</a></p>'
        app.config.html_theme_options["extra_footer"] = link


def describe(app: Sphinx, name: str, template: str, context: dict, doctree: object) -> None:
    """Mend the description that OpenGraph makes of a list, and the front page's doubled title."""
    if "metatags" in context:
        context["metatags"] = context["metatags"].replace(";, ", "; ")
    if name == app.config.root_doc:
        context["docstitle"] = ""


LOST = """<h1>There is no such page</h1>
<p>The address has a mistake in it, or the page has moved.
<a href="{start}">The contents</a> list every chapter, and <a href="search.html">the search</a>
finds words in all of them.</p>"""


def lost(app: Sphinx) -> Iterator[tuple[str, dict[str, str], str]]:
    """Yield 404.html, which a static host shows in the place of what it does not have."""
    start = app.builder.get_target_uri(app.config.root_doc)
    yield "404", {"title": "No such page", "body": LOST.format(start=start)}, "page.html"


def anywhere(page: str, base: str) -> str:
    """Make the addresses of a page absolute: a host shows it in the place of any other."""
    return re.sub(r'(\s(?:href|src)=")(?!#|\w+:)', rf"\g<1>{base}", page) if base else page


def site_files(app: Sphinx, error: Exception | None) -> None:
    """List all pages for search engines."""
    base = app.config.html_baseurl
    if error or app.builder.name != "html" or not base:
        return
    pages = (app.builder.get_target_uri(name) for name in sorted(app.env.found_docs))
    urls = "".join(f"<url><loc>{escape(base + page)}</loc></url>\n" for page in pages)
    not_found = Path(app.outdir, "404.html")
    not_found.write_text(anywhere(not_found.read_text(encoding="utf-8"), base), encoding="utf-8")
    head = '<?xml version="1.0" encoding="UTF-8"?>\n'
    sitemap = (
        f'{head}<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n{urls}</urlset>\n'
    )
    Path(app.outdir, "sitemap.xml").write_text(sitemap)
    Path(app.outdir, "robots.txt").write_text(
        f"User-agent: *\nAllow: /\nSitemap: {base}sitemap.xml\n"
    )


def setup(app: Sphinx) -> dict[str, bool]:
    os.environ.setdefault("TQDM_DISABLE", "1")  # a progress bar would be a dead widget in the page
    app.add_config_value("book_look", "", "html")
    app.connect("config-inited", look)
    app.connect("config-inited", site_address)
    app.connect("builder-inited", execution_cache, priority=1)
    app.connect("builder-inited", one_page_handlers)
    app.connect("env-get-outdated", stale_pages)
    app.connect("doctree-read", unique_ids)
    app.connect("doctree-resolved", phrases)
    app.connect("html-page-context", describe, priority=900)  # after OpenGraph
    app.connect("html-collect-pages", lost)
    app.connect("build-finished", keep_stamp)
    app.connect("build-finished", site_files)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
