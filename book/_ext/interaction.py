"""What a reader can do in a page: predict, check, unfold; each works without a script too.

A box is an admonition whose class says which: `predict`, `quiz`, `chapter-card` or `listing`.
JupyterLab shows admonitions, and would not know directives of ours. The figures that move are in
explorers.py, the listings in listings.py.
"""

import html
import json
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from docutils.parsers.rst.directives import admonitions
from listings import Listing
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

PAGES = ("html", "singlehtml")
STILL = ("singlehtml",)  # editions in which nothing can be pressed


class tag(nodes.General, nodes.Element):
    """An HTML element, `tag("details", attributes={...})`; other formats see only what is inside.

    In a still edition a <details> stands open and what has `only_live` is left out.
    """


def element(name: str, /, *children: nodes.Node, live: bool = False, **attributes: Any) -> tag:
    """Make a `tag`; `class_` stands for class, data_x for data-x, True for an empty attribute."""
    named = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items()}
    return tag("", *children, tag=name, attributes=named, live=live)


def visit_tag(self: Any, node: tag) -> None:
    if node["live"] and self.builder.name in STILL:
        raise nodes.SkipNode
    name, attributes = in_edition(node, self.builder.name)
    written = "".join(
        f" {key}" if value is True else f' {key}="{self.attval(str(value))}"'
        for key, value in attributes.items()
        if value not in (None, False)
    )
    self.body.append(f"<{name}{written}>")
    if name == "input":
        raise nodes.SkipNode


def depart_tag(self: Any, node: tag) -> None:
    self.body.append(f"</{in_edition(node, self.builder.name)[0]}>")


def in_edition(node: tag, builder: str) -> tuple[str, dict[str, Any]]:
    """Return the element's name and attributes; a page that cannot unfold has it unfolded."""
    if builder in STILL and node["tag"] in ("details", "summary"):
        return "div", {"class": node["tag"]} | node["attributes"]
    return node["tag"], node["attributes"]


def text(name: str, words: str, /, **attributes: Any) -> tag:
    return element(name, nodes.Text(words), **attributes)


def pass_by(self: Any, node: nodes.Node) -> None:
    """Other formats print the children."""


class Box(SphinxDirective):
    """A question in a box: the title is the question, the content holds the answer."""

    kind: ClassVar[str]
    title: ClassVar[str]
    option_spec: ClassVar = {"name": directives.unchanged_required}

    def box(self, *children: nodes.Node, **attributes: Any) -> list[nodes.Node]:
        """Return the box around question and `children`, under its name."""
        if "name" not in self.options:
            raise self.error(f"{self.kind} needs a :name: that no other one of the page has")
        question, messages = self.parse_inline(self.arguments[0], lineno=self.lineno)
        asked = nodes.paragraph(self.arguments[0], "", *question, classes=["fc-question"])
        self.set_source_info(asked)
        name = nodes.make_id(self.options["name"])
        title = text("p", self.title, class_="fc-title", id=f"{name}-title")
        frame = element(
            "div",
            title,
            asked,
            *children,
            class_=f"fc-box fc-{self.kind}",
            id=name,
            role="group",
            aria_labelledby=f"{name}-title",
            **attributes,
        )
        return [frame, *messages]


def pair(argument: str) -> list[Any]:
    """Read `rounds 0 50, loss 0 2.3`: two axes, each with its name and range."""
    axes = [part.rsplit(maxsplit=2) for part in argument.split(",")]
    if len(axes) != 2:
        raise ValueError("expected two axes, as in: rounds 0 50, loss 0 2.3")
    return [{"name": name, "from": float(a), "to": float(b)} for name, a, b in axes]


def curve(argument: str) -> list[list[float]]:
    """Read `0 1, 10 0.5`: points of a curve."""
    return [[float(number) for number in point.split()] for point in argument.split(",")]


class Predict(Box):
    """Ask for a number, a choice or a sketch, and show the answer after it."""

    kind, title = "predict", "Predict first"
    option_spec: ClassVar = {
        **Box.option_spec,
        "answer": float,
        "tolerance": float,
        "unit": directives.unchanged,
        "sketch": pair,
        "curve": curve,
    }

    def run(self) -> list[nodes.Node]:
        """Return question, form, verdict and the folded answer."""
        body = self.parse_content_to_nodes()
        if "answer" in self.options:
            kind, form = "number", self.number()
        elif "sketch" in self.options:
            kind, form = "sketch", [element("div", class_="fc-sketch")]
        elif body and is_choice_list(body[0]):
            kind, form = "choice", [self.choices(body.pop(0))]
        else:
            raise self.error("predict needs :answer:, :sketch: or a list of choices, one ticked")
        commit = element("button", nodes.Text("Commit"), type="submit", live=True)
        live = kind != "choice"
        ask = element("form", *form, commit, class_="fc-ask", live=live)
        said = element("p", class_="fc-verdict", role="status", live=True)
        summary = text("summary", "Show the answer")
        reveal = element("details", summary, *body, class_="fc-reveal")
        return self.box(ask, said, reveal, data_kind=kind, **self.data())

    def data(self) -> dict[str, Any]:
        """Return what the script must know: the answer, how near is right, the true curve."""
        options = self.options
        plain = {f"data_{k}": options[k] for k in ("answer", "tolerance", "unit") if k in options}
        lists = {f"data_{k}": json.dumps(options[k]) for k in ("sketch", "curve") if k in options}
        return plain | lists

    def number(self) -> list[nodes.Node]:
        """Return a field for a number."""
        field = element("input", type="text", inputmode="decimal", size="8", autocomplete="off")
        unit = self.options.get("unit", "")
        return [element("label", nodes.Text("Your prediction "), field, nodes.Text(f" {unit}"))]

    def choices(self, items: nodes.Node) -> tag:
        """Return the choices as radio buttons; without a script they are simply the list."""
        name = nodes.make_id(self.options.get("name", ""))
        rows = []
        for i, (right, words, _) in enumerate(map(choice, items.children)):
            radio = element("input", type="radio", name=name, value=i, data_right=right, live=True)
            rows.append(element("div", element("label", radio, element("span", words))))
        return element("div", *rows, class_="fc-choices", role="radiogroup", aria_label="Choices")


class Quiz(Box):
    """Ask a question whose every choice unfolds its own explanation."""

    kind, title = "quiz", "Check yourself"

    def run(self) -> list[nodes.Node]:
        """Return the question and its choices."""
        body = self.parse_content_to_nodes()
        if len(body) != 1 or not is_choice_list(body[0]):
            raise self.error("quiz needs one list of choices, at least one ticked, and no more")
        return self.box(*map(self.fold, body[0].children))

    @staticmethod
    def fold(item: nodes.Node) -> tag:
        """Turn an item into a choice that unfolds whether and why it is right."""
        right, words, why = choice(item)
        mark = text("strong", "Right. " if right else "No. ", class_="fc-mark")
        if not why or not isinstance(why[0], nodes.paragraph):
            why.insert(0, nodes.paragraph())
        why[0].insert(0, mark)
        return element(
            "details", element("summary", words), *why, class_="fc-choice", data_right=right
        )


class ChapterCard(SphinxDirective):
    """Say what a chapter gives, asks for and costs."""

    option_spec: ClassVar = {
        "minutes": directives.positive_int,
        "seconds": directives.positive_int,
        "data": directives.unchanged_required,
    }

    def run(self) -> list[nodes.Node]:
        """Return the costs and the lists, questions folded over their answers."""
        if missing := set(self.option_spec) - set(self.options):
            raise self.error(f"chapter-card needs :{': and :'.join(sorted(missing))}:")
        body = nodes.container("", *self.parse_content_to_nodes())
        for item in list(body.findall(nodes.list_item)):
            if len(item.children) > 1:
                question, *answer = item.children
                item.children = []
                item += element("details", element("summary", phrase(question)), *answer)
        return [
            element(
                "div",
                self.costs(),
                *body.children,
                class_="fc-card",
                role="group",
                aria_label=self.arguments[0],
            )
        ]

    def costs(self) -> nodes.raw:
        """Return the line of minutes, seconds and data; raw, so that no summary begins with it."""
        o = self.options
        parts = [f"{o['minutes']} min to read", f"{o['seconds']} s to run", f"Data: {o['data']}"]
        items = "".join(f"<li>{html.escape(part)}</li>" for part in parts)
        return nodes.raw("", f'<ul class="fc-costs">{items}</ul>', format="html")


BOXES = {"predict": Predict, "quiz": Quiz, "chapter-card": ChapterCard, "listing": Listing}


class Admonition(admonitions.Admonition):
    """An admonition, or the box that its class names."""

    option_spec: ClassVar = {
        name: check
        for directive in (*BOXES.values(), admonitions.Admonition)
        for name, check in (directive.option_spec or {}).items()
    }

    def run(self) -> list[nodes.Node]:
        """Return the nodes of the box."""
        named = [BOXES[name] for name in self.options.get("class", ()) if name in BOXES]
        if not named:
            return list(super().run())
        box = named[0](
            self.name, self.arguments, self.options, self.content, self.lineno,
            self.content_offset, self.block_text, self.state, self.state_machine,
        )  # fmt: skip
        return list(box.run())


def is_choice_list(node: nodes.Node) -> bool:
    """Tell whether `node` is a task list with a ticked item."""
    if not isinstance(node, nodes.bullet_list):
        return False
    boxes = [checkbox(item) for item in node.children]
    return all(boxes) and any("checked" in box.astext() for box in boxes if box)


def checkbox(item: nodes.Node) -> nodes.raw | None:
    """Return the tick box that MyST's task lists put into an item."""
    boxes = (raw for raw in item.findall(nodes.raw) if "task-list-item-checkbox" in raw.astext())
    return next(boxes, None)


def phrase(paragraph: nodes.Node) -> nodes.inline:
    """Turn a paragraph into words that may stand on a button; translators still see them."""
    words = nodes.inline(paragraph.rawsource, "", *paragraph.children, translatable=True)
    words.source, words.line = paragraph.source, paragraph.line
    return words


def choice(item: nodes.Node) -> tuple[bool, nodes.inline, list[nodes.Node]]:
    """Split a list item: is it ticked, its first paragraph's words, the blocks that follow."""
    box = checkbox(item)
    assert box is not None, "is_choice_list has seen to it"
    right = "checked" in box.astext()
    box.parent.remove(box)
    first, *why = item.children
    return right, phrase(first), why


def setup(app: Sphinx) -> dict[str, bool]:
    app.setup_extension("explorers")
    handlers = dict.fromkeys(PAGES, (visit_tag, depart_tag))
    app.add_node(tag, **handlers, latex=(pass_by, pass_by), text=(pass_by, pass_by))
    app.add_directive("admonition", Admonition, override=True)
    app.add_css_file("custom.css")
    app.add_js_file("interaction.js", loading_method="defer")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
