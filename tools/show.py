"""Say where the built book is, and open it where there is a screen."""

import os
import sys
import webbrowser
from pathlib import Path


def has_screen() -> bool:
    """Whether a browser window could be seen by whoever runs this."""
    if os.environ.get("CI") or not sys.stdout.isatty():
        return False
    on_linux = sys.platform.startswith("linux")
    return not on_linux or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def main() -> None:
    address = Path(sys.argv[1]).resolve().as_uri()
    print(f"\nThe book is at\n    {address}")
    if has_screen():
        webbrowser.open(address)


if __name__ == "__main__":
    main()
