"""The record of a run: one row for each measured round."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from fedcore.checkpoint import replace_file
from fedcore.types import Array

VERSION = 1


@dataclass
class History:
    """One row for each measured round, and the last iterate.

    ``history["loss"]`` is a column as an array. Every history has the columns ``t`` (rounds done),
    ``clients`` (replies used in the last round), ``bits_up``, ``bits_down`` and ``seconds`` (sums
    since the start; measuring is not counted), and one column for each metric.

    Parameters
    ----------
    w : (d,) the last iterate
    about : what was run: algorithm, engine, seed
    columns : name -> one number a row
    failed : round -> client -> why its answer was not used

    Examples
    --------
    >>> from fedcore import Linear, gd, make_quadratics, run
    >>> history = run(gd(0.5), Linear(1), make_quadratics([1.0], [4.0]), rounds=3)
    >>> history["loss"]
    array([8.   , 2.   , 0.5  , 0.125])
    >>> history
    History(GD, 3 rounds, loss 0.125, w of shape (1,))
    >>> print(history)
    GD, 3 rounds, loss 0.125, w of shape (1,); serial, 1 process, 1 BLAS thread
    """

    w: Array
    about: dict[str, Any] = field(default_factory=dict)
    columns: dict[str, list[float]] = field(default_factory=dict)
    failed: dict[int, dict[int, str]] = field(default_factory=dict)

    def append(self, row: dict[str, float]) -> None:
        """Add a row; every row has the same columns."""
        for name, value in row.items():
            self.columns.setdefault(name, []).append(value)

    def __len__(self) -> int:
        return len(self.columns.get("t", []))

    def __getitem__(self, name: str) -> Array:
        if name not in self.columns:
            raise KeyError(f"no column {name!r}; there are {', '.join(self.columns)}")
        return np.array(self.columns[name])

    @property
    def t(self) -> Array:
        """Rounds done at each row."""
        return np.array(self.columns.get("t", []), int)

    def __repr__(self) -> str:
        return f"History({self._summary()})"

    def __str__(self) -> str:
        return f"{self._summary()}; {self.about.get('engine', 'engine unknown')}"

    def _summary(self) -> str:
        rounds = int(self.t[-1]) if len(self) else 0
        stopped = f", stopped by {self.about['stopped']}" if "stopped" in self.about else ""
        loss = f"loss {self['loss'][-1]:.6g}, " if "loss" in self.columns else ""
        name = self.about.get("name", "run")
        return f"{name}, {rounds} rounds{stopped}, {loss}w of shape {self.w.shape}"

    def plot(self, y: str = "loss", *, x: str = "t", ax: Any = None, **line: Any) -> Any:
        """Draw one column against another and return the axes.

        Parameters
        ----------
        y, x : names of columns
        ax : the axes to draw on; None makes new ones
        line : what `Axes.plot` takes, color and label for instance
        """
        import matplotlib.pyplot as plt

        axes = plt.subplots()[1] if ax is None else ax
        axes.plot(self[x], self[y], **{"label": self.about.get("name"), **line})
        axes.set(xlabel="round" if x == "t" else x.replace("_", " "), ylabel=y.replace("_", " "))
        return axes

    def save(self, path: str | PathLike[str]) -> None:
        """Write the record as a .npz file of plain arrays and JSON; nothing is pickled.

        A file that is there is replaced as a whole, or kept where the new one cannot be written.
        """
        text = {"version": VERSION, "about": self.about, "failed": self.failed}
        columns = {f"column/{name}": self[name] for name in self.columns}
        file = io.BytesIO()
        np.savez(file, allow_pickle=False, w=self.w, text=np.array(json.dumps(text)), **columns)
        replace_file(Path(path).absolute(), [file.getbuffer()])

    @classmethod
    def load(cls, path: str | PathLike[str]) -> History:
        """Read what :meth:`save` wrote.

        Raises
        ------
        ValueError : where the file is not a history of this version
        """
        try:
            with zipfile.ZipFile(path) as file:
                if any(part.compress_type != zipfile.ZIP_STORED for part in file.infolist()):
                    raise ValueError("compressed")  # it might hold far more than it seems to
            with np.load(path, allow_pickle=False) as file:
                text = json.loads(str(file["text"]))
                columns = {n[7:]: file[n].tolist() for n in file.files if n.startswith("column/")}
                w, version = file["w"], text["version"]
        except OSError:
            raise
        except Exception as error:
            raise ValueError(f"path must name a history that fedcore saved, got {path}") from error
        if version != VERSION:
            raise ValueError(f"path must hold version {VERSION}, got version {version}")
        failed = {int(t): {int(k): why for k, why in f.items()} for t, f in text["failed"].items()}
        return cls(w, text["about"], columns, failed)
