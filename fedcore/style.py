"""The visual language of the book: one colour for one thing, thin axes, labels beside the lines.

A notebook starts with ``from fedcore import style; style.use()``.
"""

import io
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image

# Every colour keeps 4.5 : 1 against the page, in light mode and (inverted by the book) in dark;
# all differ for the three kinds of colour-blindness (tests/unit/test_style.py).
SINGLE = "#262626"  # a single process, the baseline
WORKER = "#3a61d7"  # a worker process, distributed gradient descent
CLIENT = "#c14f00"  # a client, its data, its local steps
SERVER = "#07854c"  # the server, the average, federated averaging
OPTIMUM = "#8a1c7c"  # a minimiser, a bound, what theory predicts
MUTED = "#737373"  # guides, level lines, whatever stays in the background
SERIES = ("#5b44d2", "#9a6700", "#1b808e", "#b4085f")  # further series

SIZE = (5.6, 3.3)  # inches of 100 CSS pixels: still legible on a phone
WIDE = (7.4, 3.2)  # two panels side by side

_SCREEN = 2  # pixels of a still figure per CSS pixel

_RC: Any = {
    "figure.figsize": SIZE,
    "figure.dpi": 100,
    "figure.facecolor": "white",
    "figure.constrained_layout.use": True,
    "savefig.facecolor": "white",
    "font.size": 11,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.labelsize": 11,
    "axes.labelcolor": SINGLE,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "axes.prop_cycle": cycler(color=SERIES),
    "grid.color": "#d9d9d9",
    "grid.linewidth": 0.5,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": SINGLE,
    "ytick.labelcolor": SINGLE,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "lines.linewidth": 1.8,
    "lines.markersize": 5,
    "legend.frameon": False,
    "image.cmap": "cividis",
    "text.color": SINGLE,
}


def use() -> None:
    """Draw every figure from here on in the style of the book, in a notebook at its true size.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from fedcore import style
    >>> style.use()
    >>> plt.rcParams["axes.spines.top"]
    False
    """
    mpl.rcParams.update(_RC)
    _show_in_notebook()


def label_lines(ax: Axes) -> None:
    """Write the label of each line of `ax` at its right end, in its colour: no legend needed.

    Call it last, when the limits are final; labels that would collide are moved apart.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from fedcore import style
    >>> fig, ax = plt.subplots()
    >>> _ = ax.plot([0, 1], [1, 0], color=style.WORKER, label="2 workers")
    >>> style.label_lines(ax)
    >>> [text.get_text() for text in ax.texts]
    ['2 workers']
    >>> plt.close(fig)
    """
    lines = [line for line in ax.lines if not str(line.get_label()).startswith("_")]
    points = _end_points(ax, lines)
    for line, at, y in zip(lines, points, _spread(points[:, 1], gap=13)):
        ax.annotate(
            str(line.get_label()),
            np.asarray(line.get_xydata())[-1],
            xytext=(5, y - at[1]),
            textcoords="offset points",
            color=line.get_color(),
            va="center",
            annotation_clip=False,
        )


def ramp(values: Sequence[object]) -> list[str]:
    """Return one colour for each of an ordered list of values, dark to bright.

    Examples
    --------
    >>> from fedcore import style
    >>> style.ramp([1, 2, 5, 10])
    ['#0d0887', '#6c00a8', '#b42e8d', '#e56a5d']
    """
    colours = mpl.colormaps["plasma"](np.linspace(0, 0.62, len(values)))
    return [mpl.colors.to_hex(c) for c in colours]


def _end_points(ax: Axes, lines: list[Line2D]) -> np.ndarray:
    """Return the last point of each line, (lines, 2), in typographic points."""
    ax.autoscale_view()
    ends = np.array([np.asarray(line.get_xydata())[-1] for line in lines]).reshape(-1, 2)
    return ax.transData.transform(ends) * 72 / ax.figure.dpi


def _spread(y: np.ndarray, gap: float) -> np.ndarray:
    """Return `y` moved as little as a sweep from both sides can, neighbours `gap` apart."""
    order = np.argsort(y, kind="stable")
    up, down = y[order].copy(), y[order].copy()
    for i in range(1, len(y)):
        up[i] = max(up[i], up[i - 1] + gap)
        down[-i - 1] = min(down[-i - 1], down[-i] - gap)
    out = np.empty_like(up)
    out[order] = (up + down) / 2
    return out


def png(figure: Figure, scale: float = _SCREEN, colours: int = 256) -> bytes:
    """Return `figure` as a small PNG with a palette, `scale` pixels for a CSS pixel."""
    raw, small = io.BytesIO(), io.BytesIO()
    figure.savefig(raw, format="png", dpi=scale * figure.dpi)
    picture = Image.open(raw).convert("RGB")
    picture.quantize(colours, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(
        small, format="png", optimize=True
    )
    return small.getvalue()


def _show_in_notebook() -> None:
    """Let IPython, if it runs, show figures as `png` makes them, not cropped to their ink."""
    try:
        from IPython import get_ipython
        from matplotlib_inline import backend_inline  # noqa: F401  (its own formatter comes first)
    except ImportError:
        return
    if shell := get_ipython():
        shell.display_formatter.formatters["image/png"].for_type(Figure, _png_for_notebook)


def _png_for_notebook(figure: Figure) -> tuple[bytes, dict[str, int]]:
    width, height = (round(inches * figure.dpi) for inches in figure.get_size_inches())
    return png(figure), {"width": width, "height": height}
