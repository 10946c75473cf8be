"""Figures that move in a page without a kernel and without a widget library.

The output of `fedcore.widgets.explore` is an ipywidgets tree with every frame in its saved state.
For the page it is replaced by a picture, native sliders and the frames as files of their own,
which `interaction.js` loads when the figure comes near: the 1.9 MB of a widget library stay home.
The directive `explorable` puts a computed figure (`explorables.js`) into a page without code.
"""

import base64
import hashlib
import html
import json
import posixpath
import re
from pathlib import Path
from typing import Any, ClassVar

import yaml
from docutils import nodes
from myst_nb.sphinx_ import NbMetadataCollector
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

# Of explorables.js.
FIGURES = (
    "gradient-descent",
    "noise-floor",
    "adam-bias",
    "two-servers",
    "collectives",
    "parabolas",
)
BESIDE = 24  # letters of a name and a value that leave room for a slider on a phone
VIEW = '<script type="application/vnd.jupyter.widget-view+json">'
IMG = re.compile(
    r'<img alt="(?P<alt>[^"]*)" width="(?P<width>\d+)" height="(?P<height>\d+)"'
    r'.*base64,(?P<data>[^"]*)"'
)


class explorer(nodes.General, nodes.Element):
    """A figure with sliders: `settings` as `fedcore.widgets` writes them, `frames` as dicts."""


def replace_widgets(app: Sphinx, doctree: nodes.document) -> None:
    """Replace each figure of `explore`; if no other widget is left, drop the widget library."""
    files = NbMetadataCollector.get_js_files(app.env, app.env.docname)
    if "ipywidgets_state" not in files:
        return
    models = json.loads(files["ipywidgets_state"][1]["body"])["state"]
    others = False
    for view in [raw for raw in doctree.findall(nodes.raw) if raw.astext().startswith(VIEW)]:
        found = json.loads(view.astext().removeprefix(VIEW).removesuffix("</script>"))
        state = models[found["model_id"]]["state"]
        if "settings" in state and "frames" in state:
            replace(view, state, models)
        else:
            others = True
    if not others:
        for key in [key for key in files if key.startswith("ipywidgets_")]:
            del files[key]


def replace(view: nodes.raw, state: dict[str, Any], models: dict[str, Any]) -> None:
    """Put an `explorer` in the place of a widget view, and its text into the still picture."""
    settings = state["settings"]
    frames = [frame(models[ref.removeprefix("IPY_MODEL_")]) for ref in state["frames"]]
    first = frames[flat(settings)]
    for image in view.parent.parent.findall(nodes.image):
        image["alt"] = first["alt"]
    if settings["page"]:
        frames = [first]
    view.replace_self(explorer(settings=settings, frames=frames, first=first))


def frame(model: dict[str, Any]) -> dict[str, Any]:
    parts = IMG.match(model["state"]["value"])
    assert parts, "a frame is an <img> as fedcore.widgets writes it"
    return parts.groupdict() | {"alt": html.unescape(parts["alt"])}


def flat(settings: dict[str, Any]) -> int:
    """Return the number of the frame that is shown first; the last parameter runs fastest."""
    index = 0
    for values, i in zip(settings["values"], settings["start"]):
        index = index * len(values) + i
    return index


def visit_explorer(self: Any, node: explorer) -> None:
    """Write the picture at the start, the controls, and the list of frames for the script."""
    settings, first = node["settings"], node["first"]
    listed = [{"src": write_frame(self.builder, f), "alt": f["alt"]} for f in node["frames"]]
    data = json.dumps(settings | {"frames": listed}, ensure_ascii=False).replace("</", "<\\/")
    self.document["explorers"] = number = self.document.get("explorers", 0) + 1
    # The words that a computed figure says of itself; the same are spoken once the slider rests.
    reading = '<p class="fc-reading" aria-hidden="true"></p>' if settings["page"] else ""
    still = f'<p class="fc-frame">{html.escape(first["alt"])}</p>'
    if listed:
        size = f'width="{first["width"]}" height="{first["height"]}" loading="lazy"'
        source = write_frame(self.builder, first)
        still = f'<img class="fc-frame" src="{source}" alt="{self.attval(first["alt"])}" {size}>'
    self.body.append(
        '<div class="fc-explorer" role="group" aria-label="Interactive figure" '
        f'data-page="{settings["page"]}"><div class="fc-stage">{still}</div>{reading}'
        f"{controls(settings, f'fc-{number}', self.attval)}"
        f'<script type="application/json">{data}</script></div>'
    )
    raise nodes.SkipNode


def controls(settings: dict[str, Any], name: str, esc: Any) -> str:
    """Return one labelled slider a parameter and the buttons, in their final size."""
    rows = [
        f'<div class="fc-row"><label for="{name}-{i}">{html.escape(label)}</label>'
        f'<input id="{name}-{i}" type="range" min="0" max="{len(values) - 1}" value="{at}" '
        f'aria-valuetext="{esc(values[at])}">'
        f'<output for="{name}-{i}">{html.escape(values[at])}</output></div>'
        for i, (label, values, at) in enumerate(
            zip(settings["labels"], settings["values"], settings["start"])
        )
    ]
    play = '<button type="button" class="fc-play">Play</button>'
    buttons = ("" if settings["play"] is None else play) + (
        '<button type="button" class="fc-reset">Reset</button>'
    )
    longest = max(8, *(len(value) for values in settings["values"] for value in values))
    long = longest + max(map(len, settings["labels"])) > BESIDE
    return (
        f'<div class="fc-controls{" fc-long" * long}" style="--fc-value: {longest}ch">'
        f"{''.join(rows)}"
        f'<div class="fc-buttons">{buttons}</div></div>'
        '<p class="fc-said" role="status"></p>'
    )


def write_frame(builder: Any, each: dict[str, Any]) -> str:
    """Write a frame beside the other images and return its address from the page."""
    picture = base64.b64decode(each["data"])
    name = f"frame-{hashlib.sha256(picture).hexdigest()[:16]}.png"
    path = Path(builder.outdir, builder.imagedir, name)
    path.parent.mkdir(exist_ok=True)
    if not path.exists():
        path.write_bytes(picture)
    return posixpath.join(builder.imgpath, name)


class Explorable(SphinxDirective):
    """A figure that the page computes; the content is `explore`'s keywords in YAML."""

    required_arguments = 1
    has_content = True
    option_spec: ClassVar = {}

    def run(self) -> list[nodes.Node]:
        """Read what `explore` would be given, and nothing is drawn beforehand."""
        given = yaml.safe_load("\n".join(self.content)) or {}
        if "alt" not in given:
            raise self.error("explorable needs alt: what the figure shows, in words")
        if self.arguments[0] not in FIGURES:
            raise self.error(f"{self.arguments[0]} is not one of {', '.join(FIGURES)}")
        alt, labels = given.pop("alt"), given.pop("labels", {})
        start, play = given.pop("start", {}), given.pop("play", None)
        settings = {
            "names": list(given),
            "labels": [labels.get(name, name) for name in given],
            "values": [[f"{v:g}" for v in values] for values in given.values()],
            "start": [values.index(start.get(n, values[0])) for n, values in given.items()],
            "play": list(given).index(play) if play else None,
            "page": self.arguments[0],
        }
        return [explorer(settings=settings, frames=[], first={"alt": alt})]


def print_alt(self: Any, node: explorer) -> None:
    """Leave the figure out where it cannot be shown; its still picture is chosen before."""
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    page = (visit_explorer, None)
    app.add_node(explorer, html=page, latex=(print_alt, None), text=(print_alt, None))
    app.add_directive("explorable", Explorable)
    app.connect("doctree-read", replace_widgets)
    app.add_js_file("explorables.js", loading_method="defer")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
