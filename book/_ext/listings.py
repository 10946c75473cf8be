"""Show the package's code by its name: the book holds no copy of it.

:::{admonition} fedcore.reference.gradient_descent
:class: listing
:::

What stands inside is for JupyterLab, which has no listing.
"""

import ast
import importlib
import inspect
import textwrap
from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.directives.code import container_wrapper
from sphinx.util.docutils import SphinxDirective


class Listing(SphinxDirective):
    """Show the source of an object of fedcore under its full name, without its docstring."""

    option_spec: ClassVar = {"name": directives.unchanged}

    def run(self) -> list[nodes.Node]:
        """Return the listing."""
        path = self.arguments[0]
        try:
            module, name = path.rsplit(".", 1)
            thing = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError, ValueError) as error:
            raise self.error(f"there is no {path}: {error}") from error
        self.env.note_dependency(inspect.getsourcefile(thing))
        code = without_docstrings(textwrap.dedent(inspect.getsource(thing)))
        block = nodes.literal_block(code, code, language="python")
        self.set_source_info(block)
        listing = container_wrapper(self, block, f"``{path}``")
        self.add_name(listing)
        return [listing]


def without_docstrings(code: str) -> str:
    """Cut the docstrings out of a function or a class, and nothing else."""
    lines = code.splitlines()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node):
            first = node.body[0]
            end = first.end_lineno or first.lineno
            lines[first.lineno - 1 : end] = [None] * (end - first.lineno + 1)  # type: ignore[list-item]
    return "\n".join(line for line in lines if line is not None).rstrip() + "\n"
