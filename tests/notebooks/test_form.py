"""The committed notebooks are executed, stripped, free of errors, and ready for nbval."""

import re
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from tools.notebooks import strip

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))

# A box in a text: {admonition}, {prf:theorem} and so on, behind three colons or more.
BOX = re.compile(r"^(?::{3,}|`{3,})\{([\w:-]+)\}", re.MULTILINE)


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request: pytest.FixtureRequest) -> NotebookNode:
    return nbformat.read(request.param, as_version=4)


def code(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]


def tags(cell: NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])


def test_notebook_is_valid_and_stripped(notebook: NotebookNode) -> None:
    """Neither images nor widgets, times or versions: `make notebooks` takes them out."""
    nbformat.validate(notebook)
    assert strip(nbformat.from_dict(notebook)) == notebook


def test_notebook_was_executed_from_top_to_bottom(notebook: NotebookNode) -> None:
    counts = [cell.execution_count for cell in code(notebook)]
    assert counts == list(range(1, len(counts) + 1)), "run `make notebooks`"


def test_no_cell_failed(notebook: NotebookNode) -> None:
    failed = [
        cell.source
        for cell in code(notebook)
        for output in cell.outputs
        if output.output_type == "error" and "raises-exception" not in tags(cell)
    ]
    assert failed == []


def test_nothing_went_to_stderr(notebook: NotebookNode) -> None:
    noisy = [c.source for c in code(notebook) for o in c.outputs if o.get("name") == "stderr"]
    assert noisy == []


def test_no_cell_ends_with_a_semicolon(notebook: NotebookNode) -> None:
    """Jupyter hides the value of such a cell and nbval does not: assign it to `_`."""
    assert [c.source for c in code(notebook) if c.source.rstrip().endswith(";")] == []


def test_jupyterlab_can_show_every_box(notebook: NotebookNode) -> None:
    """It prints a red one in the place of a directive that only this book has."""
    texts = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    boxes = {name for text in texts for name in BOX.findall(text)}
    assert boxes
    known = r"admonition|(exercise|solution)(-start|-end)?|prf:\w+"
    assert {name for name in boxes if not re.fullmatch(known, name)} == set()
