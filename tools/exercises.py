"""Write the student and the instructor version of each exercise.

`python tools/exercises.py` reads `exercises/*.ipynb`, which have solutions and hidden tests marked
as nbgrader marks them, and writes both versions to `_build/exercises/`. Outputs go from both.
"""

import copy
import re
from pathlib import Path

import nbformat
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "exercises"
TARGET = ROOT / "_build" / "exercises"

REGION = r"^([ \t]*)### BEGIN {0}\n(?:.*\n)*?[ \t]*### END {0}[ \t]*$"
SOLUTION = re.compile(REGION.format("SOLUTION"), re.MULTILINE)
HIDDEN = re.compile(r"\n*" + REGION.format("HIDDEN TESTS"), re.MULTILINE)
MARKER = re.compile(
    r"^[ \t]*### (?:BEGIN|END) (?:SOLUTION|HIDDEN TESTS)[ \t]*(?:\n|\Z)", re.MULTILINE
)
STUB = {"code": "raise NotImplementedError", "markdown": "*Your answer here.*"}


def for_students(source: str, cell_type: str) -> str:
    """The text of a cell without its solutions and hidden tests."""
    stubbed = SOLUTION.sub(lambda region: region[1] + STUB[cell_type], source)
    shown = HIDDEN.sub("", stubbed)
    if MARKER.search(shown):
        raise ValueError(f"a BEGIN or END marker without its other half in:\n{source}")
    return shown


def for_instructors(source: str, cell_type: str) -> str:
    """The text of a cell with everything in it, the markers gone."""
    for_students(source, cell_type)  # raises where markers do not match
    return MARKER.sub("", source).rstrip("\n")


VERSIONS = {"student": for_students, "instructor": for_instructors}


def version(notebook: NotebookNode, kind: str) -> NotebookNode:
    """A copy of a source notebook as students or as instructors get it."""
    notebook = copy.deepcopy(notebook)
    for cell in notebook.cells:
        cell.source = VERSIONS[kind](cell.source, cell.cell_type)
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook


def main() -> None:
    for kind in VERSIONS:
        folder = TARGET / kind
        folder.mkdir(parents=True, exist_ok=True)
        for path in sorted(SOURCES.glob("*.ipynb")):
            notebook = nbformat.read(path, as_version=4)
            nbformat.write(version(notebook, kind), folder / path.name)
        print(folder.relative_to(ROOT))


if __name__ == "__main__":
    main()
