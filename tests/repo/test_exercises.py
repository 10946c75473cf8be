"""The solutions of the exercises pass all tests; the student versions give nothing away."""

from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from tools.exercises import SOURCES, for_students, version

PATHS = sorted(SOURCES.glob("*.ipynb"))


@pytest.fixture(params=PATHS, ids=lambda path: path.stem)
def source(request) -> NotebookNode:
    path: Path = request.param
    return nbformat.read(path, as_version=4)


def code(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def is_test(cell: NotebookNode) -> bool:
    return cell.metadata.nbgrader.grade and not cell.metadata.nbgrader.solution


def regions(notebook: NotebookNode, name: str) -> list[str]:
    """The text between the markers, one string a region."""
    parts = [cell.source.split(f"### BEGIN {name}\n")[1:] for cell in notebook.cells]
    return [text.split(f"### END {name}")[0].strip() for cell in parts for text in cell]


def test_there_is_one_for_each_chapter_of_part_one() -> None:
    assert [path.name[:2] for path in PATHS] == [f"{chapter:02}" for chapter in range(1, 8)]


def test_the_solutions_pass_all_tests(source) -> None:
    namespace: dict = {}
    for cell in code(version(source, "instructor")):
        assert "###" not in cell.source
        exec(compile(cell.source, cell.id, "exec"), namespace)


def test_students_see_neither_solutions_nor_hidden_tests(source) -> None:
    student = version(source, "student")
    shown = "\n".join(cell.source for cell in student.cells)
    secrets = regions(source, "SOLUTION") + regions(source, "HIDDEN TESTS")
    assert len(secrets) >= 4
    assert [secret for secret in secrets if secret in shown] == []
    assert "###" not in "\n".join(cell.source for cell in code(student))
    assert [cell.get("outputs") for cell in code(student)] == [[]] * len(code(student))


def test_an_empty_answer_passes_no_test(source) -> None:
    namespace: dict = {}
    for cell in code(version(source, "student")):
        if is_test(cell):
            assert "assert" in cell.source  # a visible one
            with pytest.raises(NotImplementedError):
                exec(compile(cell.source, cell.id, "exec"), namespace)
        else:
            exec(compile(cell.source, cell.id, "exec"), namespace)


def test_the_cells_are_as_nbgrader_wants_them(source) -> None:
    nbformat.validate(source)
    cells = [(cell, cell.metadata.nbgrader) for cell in source.cells]
    assert len({grader.grade_id for _, grader in cells}) == len(cells)
    assert sum(grader.get("points", 0) for _, grader in cells) == 10
    for cell, grader in cells:
        assert grader.schema_version == 3
        assert grader.grade == ("points" in grader)
        assert grader.locked != grader.solution
        assert grader.solution == ("### BEGIN SOLUTION" in cell.source)
        assert is_test(cell) or "### BEGIN HIDDEN TESTS" not in cell.source


@pytest.mark.parametrize(
    "text", ["### BEGIN SOLUTION\nx = 1", "x = 1\n### END SOLUTION", "### BEGIN HIDDEN TESTS\n1"]
)
def test_half_a_marker_is_refused(text) -> None:
    with pytest.raises(ValueError, match="without its other half"):
        for_students(text, "code")
