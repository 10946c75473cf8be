"""The interactive figure: one call for a notebook with a kernel and for a page without one.

Every combination of the listed values is drawn beforehand. In a notebook the sliders switch between
the pictures in the browser, and any other value that is typed is drawn by the kernel. In the
published book the page itself moves the same pictures (``book/_ext/interaction.py``).
"""

import base64
import html
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ipywidgets as W
import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from traitlets import Dict, List

from fedcore import style

_SCALE, _COLOURS = 1.5, 32  # of a frame: sharp on a phone, some 12 KiB each
_MOST = 150  # frames of one figure: about 2 MB
_PLAYING = 5_000  # milliseconds from the first to the last frame


def explore(
    draw: Callable[..., Any],
    *,
    alt: str | Callable[..., str],
    start: Mapping[str, Any] | None = None,
    play: str | None = None,
    labels: Mapping[str, str] | None = None,
    page: str = "",
    **parameters: Sequence[Any],
) -> "Explorer":
    """Return a figure with one slider a parameter, which also moves where no kernel runs.

    Parameters
    ----------
    draw
        ``draw(**values)`` makes one pyplot figure, always of the same size, and returns it or
        nothing.
    alt
        What the picture shows, for those who cannot see it: a text, or ``alt(**values)``.
    start
        The values shown first; of a parameter not named here, the first of its list.
    play
        The parameter that is time: it gets a play button.
    labels
        What stands beside a slider, if not the parameter's name: ``{"eta": "step size η"}``.
    page
        A drawing of ``book/_static/explorables.js`` that takes over in the published page, where
        it computes with any value between the first and the last.
    **parameters
        One or two parameters, each with a list of two or more different numbers or texts.

    Raises
    ------
    TypeError, ValueError
        If an argument is not of this kind; the message names it.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from fedcore.widgets import explore
    >>> def draw(eta):
    ...     plt.plot([(1 - eta) ** t for t in range(10)])
    >>> explore(draw, alt="A falling curve.", start={"eta": 0.5}, eta=[0.1, 0.5, 1.0])
    <explore eta = 0.5 (of 3)>
    """
    grid = {name: _values(name, values) for name, values in parameters.items()}
    if not 1 <= len(grid) <= 2:
        raise ValueError(f"explore takes one or two parameters with their values, got {len(grid)}")
    if (frames := math.prod(map(len, grid.values()))) > _MOST:
        raise ValueError(f"{' × '.join(grid)} make {frames} pictures, at most {_MOST} are allowed")
    if not callable(draw):
        raise TypeError(f"draw must be a function of {', '.join(grid)}, got {draw!r}")
    if not (callable(alt) or (isinstance(alt, str) and alt.strip())):
        raise TypeError(f"alt must be a text or a function that gives one, got {alt!r}")
    for argument, names in (("start", start), ("labels", labels), ("play", play and [play])):
        if unknown := set(names or ()) - set(grid):
            raise ValueError(f"{argument} names {sorted(unknown)}, not one of {sorted(grid)}")
    names = {name: (labels or {}).get(name, name) for name in grid}
    return Explorer(draw, alt, grid, _positions(grid, start or {}), names, play, page)


class Explorer(W.VBox):
    """The widget that `explore` returns.

    ``settings`` and ``frames`` are synchronised only so that the book's builder finds in the saved
    state all it needs to do without a widget library.
    """

    settings: Any = Dict().tag(sync=True)
    frames: Any = List().tag(sync=True, **W.widget_serialization)

    def __init__(
        self,
        draw: Callable[..., Any],
        alt: str | Callable[..., str],
        grid: dict[str, list[Any]],
        first: list[int],
        labels: dict[str, str],
        play: str | None,
        page: str,
    ):
        self._draw, self._alt, self._grid, self._first = draw, alt, grid, first
        points = itertools.product(*grid.values())
        frames = [W.HTML(self._picture(dict(zip(grid, point)))) for point in points]
        _check_sizes(frames)
        self._sliders = [_slider(labels[name], grid[name], i) for name, i in zip(grid, first)]
        self._typed = [_text_field(labels[name], grid[name]) for name in grid]
        self._live, self._said = W.HTML(), W.HTML()
        self._stack = _stack(frames, self._sliders, self._live)
        settings = {
            "names": list(grid),
            "labels": list(labels.values()),
            "values": [[_show(v) for v in values] for values in grid.values()],
            "start": first,
            "play": list(grid).index(play) if play else None,
            "page": page,
        }
        super().__init__(self._rows(play), frames=frames, settings=settings)

    def _rows(self, play: str | None) -> list[W.Widget]:
        """Return the picture, a row of controls for each parameter, the buttons and the message."""
        reset = W.Button(description="Reset", layout={"width": "6em"})
        reset.on_click(lambda _: self._reset())
        for slider, field in zip(self._sliders, self._typed):
            slider.observe(lambda _, field=field: self._forget(field), "index")
            field.observe(lambda _: self._show_typed(), "value")
        players = [_player(s) for name, s in zip(self._grid, self._sliders) if name == play]
        rows = [W.HBox(pair) for pair in zip(self._sliders, self._typed)]
        return [self._stack, *rows, W.HBox([*players, reset]), self._said]

    def __repr__(self) -> str:
        shown = (
            f"{name} = {_show(values[i])} (of {len(values)})"
            for (name, values), i in zip(self._grid.items(), self._first)
        )
        return f"<explore {', '.join(shown)}>"

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        """Add the picture at the start, for whatever shows a notebook but no widgets."""
        bundle: dict[str, Any] = super()._repr_mimebundle_(**kwargs)
        first = self.frames[_flat(self._grid, self._first)].value
        return bundle | {"image/png": first.rpartition("base64,")[2].rstrip('">')}

    def _picture(self, values: dict[str, Any]) -> str:
        """Draw at `values` and leave no figure open."""
        before = set(plt.get_fignums())
        try:
            figure = self._draw(**values) or plt.gcf()
            if not isinstance(figure, Figure):
                raise TypeError(f"draw must return a figure or nothing, got {figure!r}")
            alt = self._alt(**values) if callable(self._alt) else self._alt
            return _img(figure, alt)
        finally:
            for number in set(plt.get_fignums()) - before:
                plt.close(number)

    def _forget(self, field: W.Text) -> None:
        field.value = ""
        self._show_typed()

    def _reset(self) -> None:
        for slider, field, i in zip(self._sliders, self._typed, self._first):
            slider.index, field.value = i, ""

    def _show_typed(self) -> None:
        """Show the prepared picture, or a new one if some value was typed."""
        self._said.value = ""
        if not any(field.value for field in self._typed):
            self._stack.selected_index = self._sliders[0].index
            return
        values = {}
        try:
            for name, slider, field in zip(self._grid, self._sliders, self._typed):
                listed = self._grid[name][slider.index]
                values[name] = _parse(name, field.value) if field.value else listed
            self._live.value = self._picture(values)
            self._stack.selected_index = len(self._stack.children) - 1
            self._say("drawn for " + ", ".join(f"{k} = {_show(v)}" for k, v in values.items()))
        except Exception as error:  # whatever draw makes of a value it does not like
            self._say(str(error))

    def _say(self, words: str) -> None:
        self._said.value = f'<span role="status">{html.escape(words)}</span>'


def _values(name: str, values: Any) -> list[Any]:
    """Return the values of a parameter as a list of plain numbers and texts, or refuse them."""
    if isinstance(values, str | Mapping | set) or not hasattr(values, "__iter__"):
        raise TypeError(f"{name} must be a list of values, got {values!r}")
    plain = [v.item() if hasattr(v, "item") else v for v in values]
    if len({_show(v) for v in plain}) < max(2, len(plain)):
        raise ValueError(f"{name} must list two or more different values, got {plain}")
    return plain


def _positions(grid: dict[str, list[Any]], start: Mapping[str, Any]) -> list[int]:
    for name, value in start.items():
        if value not in grid[name]:
            raise ValueError(f"start[{name!r}] must be one of {grid[name]}, got {value!r}")
    return [values.index(start.get(name, values[0])) for name, values in grid.items()]


def _flat(grid: dict[str, list[Any]], position: list[int]) -> int:
    """Return where the frame at `position` is in the list of all frames, the last index fastest."""
    flat = 0
    for values, i in zip(grid.values(), position):
        flat = flat * len(values) + i
    return flat


def _show(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _parse(name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise ValueError(f"{name} must be a number, got {text!r}") from None
    return int(number) if number.is_integer() and "." not in text else number


def _img(figure: Figure, alt: str) -> str:
    """Return an element with fixed size, so that nothing jumps when the next one is shown."""
    width, height = (round(inches * figure.dpi) for inches in figure.get_size_inches())
    data = base64.b64encode(style.png(figure, _SCALE, _COLOURS)).decode()
    size = f'width="{width}" height="{height}" style="max-width:100%;height:auto"'
    return f'<img alt="{html.escape(alt)}" {size} src="data:image/png;base64,{data}">'


def _check_sizes(frames: list[W.HTML]) -> None:
    sizes = {frame.value.partition("width=")[2].partition(" style")[0] for frame in frames}
    if len(sizes) > 1:
        raise ValueError(f"draw must give pictures of one size, got {sorted(sizes)}")


def _slider(label: str, values: list[Any], first: int) -> W.SelectionSlider:
    options = [(_show(value), i) for i, value in enumerate(values)]
    return W.SelectionSlider(
        options=options, value=first, description=label, style={"description_width": "initial"}
    )


def _text_field(label: str, values: list[Any]) -> W.Text:
    """Return a field for any other number; hidden for a parameter that is not one."""
    numbers = all(isinstance(v, int | float) for v in values)
    return W.Text(
        placeholder="any value",
        continuous_update=False,
        tooltip=f"{label}: type a number, then Enter",
        layout={"width": "7em", "display": "" if numbers else "none"},
    )


def _player(slider: W.SelectionSlider) -> W.Play:
    last = len(slider.options) - 1
    player = W.Play(min=0, max=last, value=slider.index, interval=max(80, _PLAYING // last))
    W.jslink((player, "value"), (slider, "index"))
    return player


def _stack(frames: list[W.HTML], sliders: list[W.SelectionSlider], live: W.HTML) -> W.Stack:
    """Return the frames as a stack, or a stack of stacks, each following its slider."""
    inner = frames
    for slider in reversed(sliders[1:]):
        size = len(slider.options)
        groups = [inner[i : i + size] for i in range(0, len(inner), size)]
        inner = [W.Stack(group, selected_index=slider.index) for group in groups]
        for stack in inner:
            W.jsdlink((slider, "index"), (stack, "selected_index"))
    outer = W.Stack([*inner, live], selected_index=sliders[0].index)
    W.jsdlink((sliders[0], "index"), (outer, "selected_index"))
    return outer
