"""The interactive figure, as the kernel sees it."""

import base64
import io
import re

import matplotlib as mpl

mpl.use("agg")

import ipywidgets as W
import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from fedcore.widgets import explore


def draw(eta, t=3):
    fig, ax = plt.subplots(figsize=(2, 1))
    ax.plot((1 - eta) ** np.arange(t + 1))
    return fig


def alt(**values):
    return " and ".join(f"{name} is {value}" for name, value in values.items())


def figure(**more):
    given = {"alt": alt, "eta": [0.1, 0.5, 1.5], "t": [2, 4], "start": {"eta": 0.5, "t": 4}}
    return explore(draw, **given | more)


def shown(explorer):
    """The alternative text of the picture that a reader sees."""
    visible = explorer._stack
    while isinstance(visible, W.Stack):
        visible = visible.children[visible.selected_index]
    return re.search('alt="(.*?)"', visible.value)[1]


def move(explorer, *indices):
    """Move the sliders, and do what the browser does for its links."""
    for slider, index in zip(explorer._sliders, indices):
        slider.index = index
    explorer._stack.selected_index = indices[0]
    for stack in explorer._stack.children[:-1]:
        if isinstance(stack, W.Stack):
            stack.selected_index = indices[1]


def test_every_combination_has_its_frame():
    explorer = figure()
    for i, eta in enumerate([0.1, 0.5, 1.5]):
        for j, t in enumerate([2, 4]):
            move(explorer, i, j)
            assert shown(explorer) == f"eta is {eta} and t is {t}"
            assert explorer.frames[i * 2 + j].value.startswith(f'<img alt="{shown(explorer)}"')


def test_start_is_shown_first_and_after_a_reset():
    explorer = figure()
    assert shown(explorer) == "eta is 0.5 and t is 4"
    move(explorer, 2, 0)
    explorer._reset()
    assert [slider.index for slider in explorer._sliders] == [1, 1]


def test_no_figure_stays_open():
    keep = plt.figure()
    figure()
    with pytest.raises(ZeroDivisionError):
        explore(lambda eta: plt.figure() and 1 / 0, alt="x", eta=[1, 2])
    assert plt.get_fignums() == [keep.number]
    plt.close(keep)


def test_frames_are_small_pictures_of_their_stated_size():
    for frame in figure().frames:
        data = base64.b64decode(re.search('base64,(.*?)"', frame.value)[1])
        picture = Image.open(io.BytesIO(data))
        assert picture.mode == "P"
        assert len(picture.getcolors()) <= 32
        assert picture.size == (300, 150)
        assert 'width="200" height="100"' in frame.value


def test_bundle_has_the_first_picture_and_a_stable_text():
    bundle = figure()._repr_mimebundle_()
    assert bundle["text/plain"] == "<explore eta = 0.5 (of 3), t = 4 (of 2)>"
    assert "application/vnd.jupyter.widget-view+json" in bundle
    first = re.search('base64,(.*?)"', figure().frames[3].value)[1]
    assert bundle["image/png"] == first
    Image.open(io.BytesIO(base64.b64decode(first))).verify()


def test_typed_value_is_drawn_by_the_kernel_until_its_slider_moves():
    explorer = figure()
    explorer._typed[0].value = "0.37"
    assert shown(explorer) == "eta is 0.37 and t is 4"
    explorer._sliders[1].index = 0  # the other parameter: the typed value stays
    assert shown(explorer) == "eta is 0.37 and t is 2"
    move(explorer, 2, 0)
    assert explorer._typed[0].value == ""
    assert shown(explorer) == "eta is 1.5 and t is 2"


def test_typed_whole_number_stays_whole():
    explorer = figure()
    explorer._typed[1].value = "7"
    assert shown(explorer) == "eta is 0.5 and t is 7"


@pytest.mark.parametrize(("typed", "said"), [("x", "eta must be a number"), ("1e999", "inf")])
def test_typed_nonsense_is_answered_and_nothing_breaks(typed, said):
    def picky(eta):
        if not np.isfinite(eta):
            raise ValueError("eta is inf")
        return draw(eta)

    explorer = explore(picky, alt="x", eta=[0.1, 0.5])
    explorer._typed[0].value = typed
    assert said in explorer._said.value
    explorer._reset()
    assert explorer._said.value == ""


def test_settings_tell_the_builder_all():
    explorer = figure(play="t", labels={"eta": "step size η"}, page="gradient-descent")
    assert explorer.settings == {
        "names": ["eta", "t"],
        "labels": ["step size η", "t"],
        "values": [["0.1", "0.5", "1.5"], ["2", "4"]],
        "start": [1, 1],
        "play": 1,
        "page": "gradient-descent",
    }
    assert explorer._sliders[0].description == "step size η"
    assert [type(w) for w in explorer.children[-2].children] == [W.Play, W.Button]


def test_numpy_values_are_taken_and_pyplot_alone_is_enough():
    explorer = explore(lambda k: plt.plot([1, k]) and None, alt="x", k=np.arange(1, 4))
    assert repr(explorer) == "<explore k = 1 (of 3)>"
    assert explorer.settings["values"] == [["1", "2", "3"]]


def test_texts_can_be_values_and_get_no_field_for_numbers():
    explorer = explore(lambda rule: draw(0.5), alt="x", rule=["mean", "median"])
    assert explorer._typed[0].layout.display == "none"


def test_alt_is_escaped():
    assert 'alt="a &lt; &quot;b&quot;"' in explore(draw, alt='a < "b"', eta=[0, 1]).frames[0].value


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"eta": None, "t": None}, TypeError, "eta must be a list of values, got None"),
        ({"eta": "abc"}, TypeError, "eta must be a list of values, got 'abc'"),
        ({"eta": [0.1]}, ValueError, "eta must list two or more different values"),
        ({"eta": [0.1, 0.1, 0.5]}, ValueError, "eta must list two or more different values"),
        ({"extra": [1, 2]}, ValueError, "one or two parameters with their values, got 3"),
        ({"eta": range(80)}, ValueError, "eta × t make 160 pictures, at most 150"),
        ({"start": {"eta": 0.2}}, ValueError, r"start\['eta'\] must be one of .*, got 0.2"),
        ({"start": {"mu": 1}}, ValueError, r"start names \['mu'\], not one of \['eta', 't'\]"),
        ({"play": "mu"}, ValueError, r"play names \['mu'\]"),
        ({"labels": {"mu": "µ"}}, ValueError, r"labels names \['mu'\]"),
        ({"alt": ""}, TypeError, "alt must be a text or a function"),
        ({"alt": None}, TypeError, "alt must be a text or a function"),
    ],
)
def test_bad_arguments_are_named(given, error, words):
    with pytest.raises(error, match=words):
        figure(**given)


def test_bad_draw_is_named():
    with pytest.raises(TypeError, match="draw must be a function of eta, got 3"):
        explore(3, alt="x", eta=[1, 2])
    with pytest.raises(TypeError, match="draw must return a figure or nothing, got 7"):
        explore(lambda eta: 7, alt="x", eta=[1, 2])
    with pytest.raises(ValueError, match="pictures of one size"):
        explore(lambda eta: plt.figure(figsize=(eta, 2)), alt="x", eta=[1, 2])
    with pytest.raises(ValueError, match=r"one or two parameters .* got 0"):
        explore(draw, alt="x")
