"""The README's ten lines run and print a loss and an accuracy; its figure is there."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_ten_lines_run(capsys) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert len([line for line in block.splitlines() if line]) == 10
    exec(compile(block, "README.md", "exec"), {})
    out = capsys.readouterr().out
    loss, accuracy = (float(x) for x in re.findall(r"(?:loss|accuracy) ([\d.]+)", out))
    assert loss < 1
    assert accuracy > 0.75


def test_the_figure_is_there() -> None:
    for path in re.findall(r"!\[[^\]]{40,}\]\(([^)]+)\)", README):
        assert (ROOT / path).is_file()


def test_every_command_is_a_target() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert set(re.findall(r"`make ([a-z]+)`", README)) <= targets
