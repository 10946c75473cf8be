"""What is committed names no machine and no package registry, and the dependencies stay pinned."""

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
VENDORED = ("book/_ext/vendor/", "book/_static/vendor/", "tests/book/vendor/")
# Spelt in pieces, so that this file does not contain what it looks for.
FORBIDDEN = {
    "a home or work folder": re.compile(r"(?<![\w.])/(?:root|home|Users|work|tmp)/[\w.-]+/"),
    "a package registry": re.compile(
        "|".join(["py" + r"pi\.org", "python" + "hosted", r"npm" + r"js\.", r"deb\." + "debian"])
    ),
}


@cache
def tracked() -> tuple[str, ...]:
    listing = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return tuple(name for name in listing.stdout.split("\0") if name and (ROOT / name).is_file())


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_names(what: str) -> None:
    found = []
    for name in tracked():
        if name.startswith(VENDORED):
            continue
        try:
            text = (ROOT / name).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{name}: {match[0]}" for match in FORBIDDEN[what].finditer(text)]
    assert found == []


def test_every_requirement_is_pinned_with_hashes() -> None:
    lines = (ROOT / "requirements.lock").read_text().replace("\\\n", " ").splitlines()
    requirements = [line for line in lines if line and not line.startswith("#")]
    assert len(requirements) > 100
    assert [r for r in requirements if "==" not in r or "--hash=sha256:" not in r] == []


def test_vendored_files_come_with_their_licences() -> None:
    for folder in VENDORED:
        files = [name.lower() for name in tracked() if name.startswith(folder)]
        assert sum("licen" in name for name in files) >= 1
    assert not (ROOT / "_static").exists(), "the theme would load every script in it on every page"
