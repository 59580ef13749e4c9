"""The directive `notebook-picture` shows the last picture of a notebook that the build has run."""

from __future__ import annotations

from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx


class Placeholder(nodes.General, nodes.Element):
    """Stands for the picture until every notebook has been run."""


class NotebookPicture(Directive):
    """Show the last picture of the notebook named as the argument, a path below the source folder."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {}
    has_content = False

    def run(self) -> list[nodes.Node]:
        """Leave a placeholder."""
        return [Placeholder(notebook=self.arguments[0])]


def fill(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Replace the placeholders by pictures."""
    for placeholder in list(doctree.findall(Placeholder)):
        pictures = list(app.env.get_doctree(placeholder["notebook"]).findall(nodes.image))
        picture = pictures[-1].deepcopy() if pictures else None
        if picture is not None:
            picture["alt"] = "the last picture of the notebook"
            picture["classes"] = ["notebook-picture"]
        placeholder.replace_self([picture] if picture is not None else [])


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_node(Placeholder)
    app.add_directive("notebook-picture", NotebookPicture)
    app.connect("doctree-resolved", fill)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
