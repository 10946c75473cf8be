"""The visual language: readable by everybody, in both themes, and the same in figures and pages."""

import io
import itertools
import re
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from fedcore import style
from tools import logo

MEANINGS = {
    name: getattr(style, name) for name in ("SINGLE", "WORKER", "CLIENT", "SERVER", "OPTIMUM")
}
TEXT = MEANINGS | {f"SERIES-{i}": c for i, c in enumerate(style.SERIES, 1)} | {"MUTED": style.MUTED}
CSS = (Path(__file__).parents[2] / "book/_static/custom.css").read_text(encoding="utf-8")

# Machado, Oliveira and Fernandes (2009): what the three kinds of colour-blind eyes see.
EYES = {
    "all": np.eye(3),
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritan": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = XYZ.sum(1)


def rgb(colour):
    return np.array(mpl.colors.to_rgb(colour))


def linear(c):
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def inverted(c):
    """What `filter: invert(0.93) hue-rotate(180deg)` makes of a colour."""
    c = 0.93 - 0.86 * c
    grey = np.array([0.213, 0.715, 0.072])
    return np.clip(2 * grey @ c - c, 0, 1)


def contrast(a, b):
    dark, bright = sorted((float(XYZ[1] @ linear(a)), float(XYZ[1] @ linear(b))))
    return (bright + 0.05) / (dark + 0.05)


def lab(light):
    t = XYZ @ np.clip(light, 0, 1) / WHITE
    x, y, z = np.where(t > 0.008856, np.cbrt(t), 7.787 * t + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def difference(a, b, eye):
    return np.linalg.norm(
        lab(np.array(EYES[eye]) @ linear(a)) - lab(np.array(EYES[eye]) @ linear(b))
    )


@pytest.mark.parametrize("name", TEXT)
def test_colours_can_be_read_in_both_themes(name):
    colour = rgb(TEXT[name])
    assert contrast(colour, rgb("white")) >= 4.5
    assert contrast(inverted(colour), inverted(rgb("white"))) >= 4.5


@pytest.mark.parametrize("eye", EYES)
@pytest.mark.parametrize(
    "colours", [[*MEANINGS.values()], style.SERIES], ids=["meanings", "series"]
)
def test_colours_differ_for_every_eye_in_both_themes(colours, eye):
    for a, b in itertools.combinations(map(rgb, colours), 2):
        assert difference(a, b, eye) > 18
        assert difference(inverted(a), inverted(b), eye) > 18


def css_variables(selector):
    block = CSS[CSS.index(f"{selector} {{") :].partition("}")[0]
    return dict(re.findall(r"--fc-([\w-]+): ([^;]+);", block))


def test_page_has_the_colours_of_the_figures():
    light, dark = css_variables(":root"), css_variables('html[data-theme="dark"]')
    assert dark["figure"] == "invert(0.93) hue-rotate(180deg)"
    for name, colour in TEXT.items():
        assert light[name.lower()] == colour
        np.testing.assert_allclose(rgb(dark[name.lower()]), inverted(rgb(colour)), atol=1.5 / 255)
    np.testing.assert_allclose(rgb(dark["paper"]), inverted(rgb("white")), atol=1 / 255)


def test_labels_stand_at_the_ends_and_apart():
    style.use()
    fig, ax = plt.subplots()
    for i, name in enumerate("abc"):
        ax.plot([0, 1], [0, 1e-3 * i], label=name)
    ax.plot([0, 1], [5, 5], label="d")
    ax.plot([0, 1], [2, 2])  # without a label
    style.label_lines(ax)
    fig.canvas.draw()
    boxes = [text.get_window_extent() for text in ax.texts]
    assert [text.get_text() for text in ax.texts] == list("abcd")
    assert [t.get_color() for t in ax.texts] == [line.get_color() for line in ax.lines[:4]]
    for a, b in itertools.combinations(boxes, 2):
        assert not a.overlaps(b)
    assert all(box.x0 >= ax.transData.transform((1, 0))[0] for box in boxes)
    assert all(box.x1 <= fig.bbox.x1 for box in boxes), "the layout leaves room for the labels"
    plt.close(fig)


def test_figures_keep_their_size_and_are_small():
    style.use()
    fig, ax = plt.subplots()
    ax.plot(np.random.default_rng(0).normal(size=100))
    data = style.png(fig)
    plt.close(fig)
    assert Image.open(io.BytesIO(data)).size == (1120, 660)
    assert len(data) < 80_000


def test_ramp_goes_from_dark_to_bright():
    brightness = [XYZ[1] @ linear(rgb(colour)) for colour in style.ramp(range(6))]
    assert all(np.diff(brightness) > 0)


def test_logo_is_what_its_script_draws():
    for name, picture in logo.PICTURES.items():
        assert (logo.STATIC / name).read_text(encoding="utf-8") == picture


def test_the_package_loads_no_plotting():
    heavy = "{'matplotlib', 'ipywidgets', 'PIL', 'IPython'}"
    code = f"import fedcore, sys; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
