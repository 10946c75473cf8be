"""Execute notebooks and strip what git should not hold.

`python tools/notebooks.py a.ipynb b.ipynb` runs each from top to bottom in its own folder. Kept
are text outputs (printed numbers, HTML and LaTeX); dropped are images, widget states, times and
versions. So a reader sees the numbers, differences stay small, and nbval can compare them all.
"""

import argparse
import os
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

KEPT = ("text/plain", "text/html", "text/latex", "text/markdown")
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
# What Jupyter's tools write into a cell by themselves.
NOISE = ("collapsed", "execution", "ExecuteTime", "scrolled", "vscode")


def strip(notebook: NotebookNode) -> NotebookNode:
    """Drop, in place, all that is not text or is not the author's."""
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        for key in NOISE:
            cell.metadata.pop(key, None)
        for output in cell.get("outputs", []):
            if "data" in output:
                output.data = {k: v for k, v in output.data.items() if k in KEPT}
                output.metadata = {}
    return notebook


def execute(path: Path) -> None:
    """Run one notebook, strip it, and write it back."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        coalesce_streams=True,
        record_timing=False,
        resources={"metadata": {"path": str(path.parent)}},
    ).execute()
    nbformat.write(strip(notebook), path)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("notebooks", nargs="+", type=Path)
    parser.add_argument("--strip", action="store_true", help="strip only, do not execute")
    arguments = parser.parse_args()
    os.environ.setdefault("TQDM_DISABLE", "1")  # progress bars differ from run to run
    for path in arguments.notebooks:
        print(path, flush=True)
        if arguments.strip:
            nbformat.write(strip(nbformat.read(path, as_version=4)), path)
        else:
            execute(path)


if __name__ == "__main__":
    main()
