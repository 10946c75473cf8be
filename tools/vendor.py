"""Write the third-party scripts and fonts that the book and its tests serve themselves.

`.venv/bin/python tools/vendor.py` (needs npm, and brotli in the environment) fetches each archive,
checks it, and copies the few files named here, with their licence; of the theme's icon font it
keeps the icons in use. Nothing else ever runs this: the result is committed.
"""

import hashlib
import re
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import NamedTuple

import pydata_sphinx_theme
from fontTools import subset

ROOT = Path(__file__).resolve().parent.parent
BOOK = ROOT / "book/_static/vendor"
BUILD = ROOT / "book/_ext/vendor"
TESTS = ROOT / "tests/book/vendor"


class Package(NamedTuple):
    """One archive: what it is, and where which of its files go."""

    name: str
    version: str
    sha256: str
    folder: Path
    files: dict[str, str]  # pattern in the archive -> folder under `folder`


PACKAGES = [
    Package(
        "katex",
        "0.19.1",
        "24da5a599eb2fcede2e270b99a6ff48bca816beecc95feeb84e8cccbd1bb34fd",
        BOOK / "katex",
        {"dist/katex.min.css": ".", "dist/fonts/*.woff2": "fonts", "LICENSE": "."},
    ),
    Package(
        "katex",
        "0.19.1",
        "24da5a599eb2fcede2e270b99a6ff48bca816beecc95feeb84e8cccbd1bb34fd",
        BUILD,  # runs while the book is built, is not in its pages
        {"dist/katex.min.js": ".", "LICENSE": "katex.LICENSE"},
    ),
    Package(
        "@popperjs/core",
        "2.11.8",
        "8e09bdfa912035668e62cea61321bce27cbd011b85672055db25d271bd63af49",
        BOOK,
        {"dist/umd/popper.min.js": ".", "LICENSE.md": "popper.LICENSE"},
    ),
    Package(
        "tippy.js",
        "6.3.7",
        "bf63cd2e158be2100078053f4c44f02ffec8fde7f30544270785d0f2eae02626",
        BOOK,
        {"dist/tippy-bundle.umd.min.js": ".", "LICENSE": "tippy.LICENSE"},
    ),
    Package(
        "@fortawesome/fontawesome-free",
        "6.7.2",
        "794284b4ac7f3e30825bbeea1a073f542c45dff83f8146625f600f1015c9d52b",
        BOOK / "fontawesome",
        {"LICENSE.txt": "."},  # the font itself is cut from the theme's: see subset_icons
    ),
    Package(
        "axe-core",
        "4.14.1",
        "e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745",
        TESTS,
        {"axe.min.js": ".", "LICENSE": "axe.LICENSE"},
    ),
]

# The icons of the theme's buttons; those of its boxes are found in its style sheet.
ICONS = [
    "angle-left",
    "angle-right",
    "arrow-up",
    "bars",
    "chevron-down",
    "circle-half-stroke",
    "code",
    "download",
    "expand",
    "file",
    "file-lines",
    "file-pdf",
    "home",
    "lightbulb",
    "list",
    "magnifying-glass",
    "moon",
    "outdent",
    "pencil",
    "play",
    "rocket",
    "sun",
    "xmark",
]
BOXES = ("f107", "f303")  # of the book theme and of sphinx-exercise


def fetch(package: Package, into: Path) -> Path:
    """Download one archive with npm, check it, and unpack it; return the unpacked folder."""
    spec = f"{package.name}@{package.version}"
    packed = subprocess.run(
        ["npm", "pack", "--silent", spec], cwd=into, check=True, capture_output=True, text=True
    )
    archive = into / packed.stdout.split()[-1]
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != package.sha256:
        raise SystemExit(f"{spec}: sha256 is {found}, expected {package.sha256}")
    with tarfile.open(archive) as tar:
        tar.extractall(into / archive.stem, filter="data")
    return into / archive.stem / "package"


def copy(package: Package, source: Path) -> None:
    """Copy the wanted files; a target with a suffix is a file's new name, else a folder."""
    for pattern, target in package.files.items():
        to = package.folder / target
        (to.parent if to.suffix else to).mkdir(parents=True, exist_ok=True)
        found = sorted(source.glob(pattern))
        if not found:
            raise SystemExit(f"{package.name}: no {pattern} in the archive")
        for file in found:
            shutil.copyfile(file, to if to.suffix else to / file.name)


def subset_icons() -> None:
    """Cut the theme's icon font, 150 kB, down to what the pages use."""
    static = Path(pydata_sphinx_theme.__file__).parent / "theme/pydata_sphinx_theme/static"
    css = (static / "styles/pydata-sphinx-theme.css").read_text(encoding="utf-8")
    rules = re.findall(r'((?:\.fa-[a-z-]+:before,?)+)\{content:"\\([0-9a-f]+)"', css)
    code = {n: hexa for names, hexa in rules for n in re.findall("fa-([a-z-]+)", names)}
    boxes = [ord(glyph) for glyph in re.findall(r'--pst-icon-[a-z-]+:"(.)"', css)]
    wanted = [int(code[name], 16) for name in ICONS] + [int(hexa, 16) for hexa in BOXES] + boxes
    font = subset.load_font(
        static / "vendor/fontawesome/webfonts/fa-solid-900.ttf", subset.Options()
    )
    cutter = subset.Subsetter()
    cutter.populate(unicodes=wanted)
    cutter.subset(font)
    target = BOOK / "fontawesome/webfonts/fa-solid-900.woff2"  # the theme's own address for it
    target.parent.mkdir(parents=True, exist_ok=True)
    font.flavor = "woff2"
    font.save(target)


def main() -> None:
    """Write the folders anew."""
    for folder in (BOOK, BUILD, TESTS):
        shutil.rmtree(folder, ignore_errors=True)
    for package in PACKAGES:
        with tempfile.TemporaryDirectory() as into:
            copy(package, fetch(package, Path(into)))
            print(f"{package.name} {package.version} -> {package.folder.relative_to(ROOT)}")
    subset_icons()


if __name__ == "__main__":
    main()
