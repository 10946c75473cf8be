"""How long each chapter runs: `nb-exec-table` with titles and seconds instead of five columns."""

from typing import Any

from docutils import nodes
from myst_nb.ext.execution_tables import ExecutionStatsNode
from myst_nb.sphinx_ import NbMetadataCollector
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform


class Times(SphinxPostTransform):
    """Fill the place that the directive keeps."""

    default_priority = 7  # before the table of myst_nb's own, and before links are resolved

    def run(self, **_: Any) -> None:
        """Write one row a page that was executed, in the order of their names."""
        pages = NbMetadataCollector.get_doc_data(self.env)
        runs = {name: page["exec_data"] for name, page in pages.items() if page.get("exec_data")}
        rows = [
            row(self.link(name), nodes.Text(f"{runs[name]['runtime']:.0f}"))
            for name in sorted(runs)
            if runs[name]["runtime"]
        ]
        for place in list(self.document.findall(ExecutionStatsNode)):
            place.replace_self(table(row(nodes.Text("page"), nodes.Text("seconds")), rows))

    def link(self, name: str) -> pending_xref:
        """Return a link to a page that shows its title."""
        return pending_xref(
            "",
            nodes.inline("", name),
            refdomain="std",
            reftype="doc",
            reftarget=f"/{name}",
            refdoc=self.env.docname,
            refexplicit=False,
            refwarn=True,
        )


def row(*cells: nodes.Node) -> nodes.row:
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", "", cell)) for cell in cells))


def table(head: nodes.row, rows: list[nodes.row]) -> nodes.table:
    body = [nodes.thead("", head), nodes.tbody("", *rows)]
    columns = [nodes.colspec(colwidth=width) for width in (80, 20)]
    group = nodes.tgroup("", *columns, *body, cols=2)
    return nodes.table("", group, classes=["colwidths-auto"])


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_post_transform(Times)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
