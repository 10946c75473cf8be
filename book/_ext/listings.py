"""Show the package's code by its name: the book holds no copy of it.

```{fedcore} reference.gradient_descent
```
"""

import ast
import importlib
import inspect
import textwrap
from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.directives.code import container_wrapper
from sphinx.util.docutils import SphinxDirective


class Source(SphinxDirective):
    """Show the source of an object of fedcore by its name, so that the book copies no code."""

    required_arguments = 1
    option_spec: ClassVar = {
        "docstring": directives.flag,
        "name": directives.unchanged,
    }

    def run(self) -> list[nodes.Node]:
        """Return the listing under the object's full name."""
        path = f"fedcore.{self.arguments[0]}"
        try:
            module, name = path.rsplit(".", 1)
            thing = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise self.error(f"there is no {path}: {error}") from error
        self.env.note_dependency(inspect.getsourcefile(thing))
        code = textwrap.dedent(inspect.getsource(thing))
        code = code if "docstring" in self.options else without_docstrings(code)
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


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("fedcore", Source)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
