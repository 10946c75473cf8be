"""Run Lighthouse over the built book, and say which page misses its targets.

`python tools/lighthouse.py [PAGE ...]`, a page as in _toc.yml; without one, all of them. The pages
are served as a static host does, and judged as on a phone: a slow line and a slow processor, both
simulated. Performance is the median of three runs; the other scores do not vary.
"""

import json
import os
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from browser import ADVICE, FLAGS, find
from serve import server
from sphinx_external_toc.parsing import parse_toc_yaml

ROOT = Path(__file__).resolve().parents[1]
COMMAND = ROOT / ".lighthouse/node_modules/.bin/lighthouse"
RUNS = 3
TARGETS = {"performance": 90, "accessibility": 100, "best-practices": 100, "seo": 95}
TIMES = {
    "first-contentful-paint": "FCP s",
    "largest-contentful-paint": "LCP s",
    "total-blocking-time": "TBT ms",
    "cumulative-layout-shift": "CLS",
}
HEADS = ("perf.", "access", "best", "SEO", *TIMES.values(), "kB", "machine")


def run(url: str, *categories: str) -> dict[str, Any]:
    """Return Lighthouse's report on one visit."""
    chromium = shlex.join(["--headless=new", *FLAGS])
    asked = [f"--chrome-flags={chromium}", f"--only-categories={','.join(categories)}"]
    quiet = ["--quiet", "--no-enable-error-reporting", "--output=json"]
    done = subprocess.run(
        [COMMAND, url, *asked, *quiet],
        env=os.environ | {"CHROME_PATH": str(find())},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(done.stderr)
    report: dict[str, Any] = json.loads(done.stdout)
    if "runtimeError" in report:
        sys.exit(f"{url}: {report['runtimeError']['message']}")
    return report


def scores(report: dict[str, Any]) -> dict[str, int]:
    return {name: round(100 * part["score"]) for name, part in report["categories"].items()}


def visit(url: str) -> tuple[dict[str, int], dict[str, Any], list[str]]:
    """Return a page's scores, the report of the median run, and what was found wrong."""
    first, *more = [run(url, *TARGETS), *(run(url, "performance") for _ in range(RUNS - 1))]
    speeds = {scores(report)["performance"]: report for report in (first, *more)}
    middle = int(median(scores(report)["performance"] for report in (first, *more)))
    wrong = [
        f"{audit['title']}"
        for category, part in first["categories"].items()
        if category != "performance"
        for ref in part["auditRefs"]
        if (audit := first["audits"][ref["id"]])["score"] == 0 and ref["weight"]
    ]
    return scores(first) | {"performance": middle}, speeds[middle], wrong


def row(score: dict[str, int], report: dict[str, Any]) -> Iterator[str]:
    """Yield a row of the table."""
    yield from (f"{score[name]}" for name in TARGETS)
    for audit, head in TIMES.items():
        value = report["audits"][audit]["numericValue"]
        shown = {"s": f"{value / 1000:.1f}", "ms": f"{value:.0f}"}
        yield shown.get(head.split()[-1], f"{value:.3f}")
    yield f"{report['audits']['total-byte-weight']['numericValue'] / 1000:.0f}"
    yield f"{report['environment']['benchmarkIndex']:.0f}"


def main() -> None:
    if not find():
        sys.exit(ADVICE)
    pages = sys.argv[1:] or list(parse_toc_yaml(ROOT / "_toc.yml"))
    width = max(map(len, pages))
    missed = []
    print(" " * width, *(f"{head:>7}" for head in HEADS))
    with server(ROOT / "_build/html") as host:
        threading.Thread(target=host.serve_forever, daemon=True).start()
        for page in pages:
            score, report, wrong = visit(f"http://127.0.0.1:{host.server_port}/{page}.html")
            print(f"{page:{width}}", *(f"{v:>7}" for v in row(score, report)), flush=True)
            low = [f"{name} {score[name]}" for name in TARGETS if score[name] < TARGETS[name]]
            missed += [f"{page}: {', '.join(low + wrong)}"] if low else []
        host.shutdown()
    if missed:
        sys.exit("\n".join(["missed:", *missed]))


if __name__ == "__main__":
    main()
