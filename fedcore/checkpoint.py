"""A run on disk, to be taken up again bit for bit after whatever stopped it.

The file is one line that names it, one line of JSON, and the bytes of the arrays. Nothing in it is
ever executed or unpacked: reading takes no more memory than the file has bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from dataclasses import fields
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from fedcore.shards import Shards
from fedcore.types import Array, CheckpointError

VERSION = 1
FIRST_LINE = re.compile(rb"fedcore checkpoint (\d{1,9}) ([0-9a-f]{64})\n")  # version, SHA-256
PLAIN = (type(None), bool, int, float, str)


def place(checkpoint: str | PathLike[str], resume: bool) -> Path:
    """Return the path if a run may write there, or raise before any work.

    Raises
    ------
    TypeError : where checkpoint is no path
    ValueError : where it names a folder, a link, a device, or a file that is not to be resumed
    """
    if not isinstance(checkpoint, str | PathLike):
        raise TypeError(f"checkpoint must be a path, got {checkpoint!r}")
    path = Path(checkpoint).absolute()
    if not path.parent.is_dir():
        raise ValueError(f"checkpoint must lie in a folder that exists, got {path}")
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise ValueError(f"checkpoint must name a plain file, no link and no folder, got {path}")
    if path.exists() and not resume:
        raise ValueError(
            f"checkpoint must name a new file, or say resume=True to go on from it: {path} exists"
        )
    for part in path.parent.iterdir():  # what a run that was killed while it wrote has left
        if part.name.startswith(f".{path.name}.") and part.name.endswith(".part"):
            part.unlink(missing_ok=True)
    return path


def identity(algorithm: Any, model: Any, shards: Any, seed: int, w: Array) -> dict[str, Any]:
    """Return what makes a run this run; functions are known by their names.

    >>> from fedcore import Linear, gd, make_quadratics
    >>> identity(gd(0.1), Linear(1), make_quadratics([1.0], [0.0]), 7, np.zeros(1))["model"]
    'Linear(p=1, l2=0.0)'
    """
    whole = isinstance(shards, Shards)
    arrays = (shards.X, shards.y, shards.offsets) if whole else shards[0]
    return {
        "algorithm": _name(algorithm),
        "model": _name(model),
        "data": f"{_name(shards)} {_digest(*arrays)}",
        "seed": seed,
        "start": _digest(w),
    }


def _name(thing: Any) -> str:
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(thing))


def _digest(*arrays: Array) -> str:
    digest = hashlib.sha256()
    for a in arrays:
        digest.update(f"{a.dtype.str} {a.shape} ".encode())
        digest.update(np.ascontiguousarray(a).data)
    return digest.hexdigest()


def save(path: Path, content: dict[str, Any]) -> None:
    """Write a file beside it and let that take its place: there is always a whole one.

    Raises
    ------
    CheckpointError : where the disk is full or refuses; the file before is kept
    TypeError : where a state holds more than arrays, numbers, text, lists and dicts
    """
    arrays: list[Array] = []
    tree = _pack(content, arrays)
    shapes = [[a.dtype.str, a.shape] for a in arrays]
    text = json.dumps({"arrays": shapes, "tree": tree}).encode() + b"\n"
    parts: list[Any] = [text, *(np.ascontiguousarray(a).data for a in arrays)]
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    first = f"fedcore checkpoint {VERSION} {digest.hexdigest()}\n".encode()
    try:
        replace_file(path, [first, *parts])
    except OSError as error:
        raise CheckpointError(
            f"checkpoint {path} could not be written; the one before is kept: {error}"
        ) from error


def replace_file(path: Path, parts: list[Any]) -> None:
    """Write a whole file or none.

    Only its owner may read it; a link at ``path`` would be replaced, not followed.
    """
    number, name = tempfile.mkstemp(".part", f".{path.name}.", path.parent)
    try:
        with os.fdopen(number, "wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    if hasattr(os, "O_DIRECTORY"):  # the new name must survive a power cut, too
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def load(path: Path) -> Any:
    """Return what :func:`save` wrote.

    Raises
    ------
    ValueError : where the file is foreign, newer, cut off or changed
    """
    data = path.read_bytes()
    first = FIRST_LINE.match(data)
    if first is None:
        raise ValueError(f"checkpoint must be a file that a run of fedcore wrote, got {path}")
    if int(first[1]) != VERSION:
        raise ValueError(
            f"checkpoint must have version {VERSION}, {path} has version {int(first[1])}"
        )
    if hashlib.sha256(memoryview(data)[first.end() :]).hexdigest().encode() != first[2]:
        raise ValueError(f"checkpoint {path} is damaged: it was cut off or changed")
    try:
        end = data.index(b"\n", first.end()) + 1
        text = json.loads(data[first.end() : end])
        content = _unpack(text["tree"], _arrays(text["arrays"], data, end))
        return {part: content[part] for part in ("run", "now", "history")}
    except Exception as error:
        raise ValueError(f"checkpoint {path} does not hold a run: {error!r}") from error


def _arrays(shapes: list[Any], data: bytes, start: int) -> list[Array]:
    """Return copies of the arrays that lie one after another in the file."""
    arrays = []
    for name, shape in shapes:
        dtype = np.dtype(name)
        if dtype.kind not in "biuf":
            raise ValueError(f"dtype {name}")
        arrays.append(np.ndarray(shape, dtype, data, start).copy())  # refuses to look beyond data
        start += arrays[-1].nbytes
    return arrays


def _pack(value: Any, arrays: list[Array]) -> Any:
    """Return ``value`` as JSON takes it; arrays go to the list."""
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biuf":
        arrays.append(np.asarray(value))
        return {"array" if isinstance(value, np.ndarray) else "scalar": len(arrays) - 1}
    if type(value) in (list, tuple):
        return {type(value).__name__: [_pack(v, arrays) for v in value]}
    if type(value) is dict:
        return {"dict": [[_pack(k, arrays), _pack(v, arrays)] for k, v in value.items()]}
    if type(value) in PLAIN:
        return value
    raise TypeError(
        "a checkpoint holds arrays, numbers, text, lists and dicts; the run's state has a "
        f"{type(value).__name__}"
    )


def _unpack(tree: Any, arrays: list[Array]) -> Any:
    """Undo :func:`_pack`."""
    if not isinstance(tree, dict):
        return tree
    ((kind, inside),) = tree.items()
    if kind in ("array", "scalar"):
        return arrays[inside] if kind == "array" else arrays[inside][()]
    if kind == "dict":
        return {_unpack(k, arrays): _unpack(v, arrays) for k, v in inside}
    return {"list": list, "tuple": tuple}[kind](_unpack(v, arrays) for v in inside)


def as_dict(record: Any) -> dict[str, Any]:
    """Return the fields of a dataclass, one level deep."""
    return {f.name: getattr(record, f.name) for f in fields(record)}
