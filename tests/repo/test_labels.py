"""Every label that a docstring names after `Book:` stands exactly once in the book."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def named() -> list[str]:
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "fedcore").rglob("*.py")]
    lines = re.findall(r"^\s*Book: (.+)$", "\n".join(sources), flags=re.MULTILINE)
    return sorted({label for line in lines for label in re.findall(r"[\w-]+-[\w-]+", line)})


def book() -> str:
    pages = [path.read_text(encoding="utf-8") for path in (ROOT / "book").glob("*.md")]
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        pages += ["".join(cell["source"]) for cell in cells]
    return "\n".join(pages)


TEXT = book()


@pytest.mark.parametrize("label", named())
def test_label(label: str) -> None:
    equation, box = rf"^\$\$ \({label}\)$", rf"^:label: {label}$"
    assert len(re.findall(rf"{equation}|{box}", TEXT, flags=re.MULTILINE)) == 1
