"""Find Chromium, or a browser built on it.

`python tools/browser.py` installs it where that is allowed, and else says how.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MACOS = (
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
# As root and without a network: no sandbox, and nothing that calls home.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
ADVICE = """\
The tests of the built pages need Chromium (or Chrome), and none was found. Install it:
    Debian:  sudo apt-get install chromium
    Ubuntu:  sudo snap install chromium
    macOS:   brew install --cask chromium
or name it: make CHROMIUM=/path/to/chromium test"""


def find() -> str | None:
    """Path of the browser: $CHROMIUM, or the first known name there is."""
    named = os.environ.get("CHROMIUM")
    return named or next(
        filter(None, map(shutil.which, (*NAMES, *filter(os.path.exists, MACOS)))), None
    )


def install() -> None:
    """Install Debian's Chromium, as root; elsewhere do nothing."""
    if shutil.which("apt-get") and hasattr(os, "geteuid") and os.geteuid() == 0:
        subprocess.run(["apt-get", "update", "-q"], check=True)
        packages = ["chromium", "fonts-dejavu-core"]
        command = ["apt-get", "install", "-qy", "--no-install-recommends", *packages]
        subprocess.run(command, check=True, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"})


def main() -> None:
    if not find():
        install()
    if not (path := find()):
        sys.exit(ADVICE)
    print(Path(path).name)


if __name__ == "__main__":
    main()
