"""Sphinx configuration of the documentation: `make docs` builds it into docs-output/, without network."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import roles
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.nodes import make_refnode

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path[:0] = [str(ROOT), str(ROOT / ".ci"), str(HERE / "_ext")]

import reference  # noqa: E402
from notebook_cache import CACHE, source_hash  # noqa: E402

import sciml  # noqa: E402

reference.write_pages(HERE, ROOT / "notebooks")

project = "sciml"
author = "The sciml developers"
copyright = author
version = release = sciml.__version__
language = "en"

extensions = [
    "sphinx.ext.autodoc",
    "numpydoc",
    "myst_nb",
    "sphinx_design",
    "sphinx_copybutton",
    "notebook_picture",
]
exclude_patterns = ["_ext", "_static"]
templates_path: list[str] = []

# Docstrings.
autodoc_default_options = {"member-order": "bysource"}
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_class_signature = "mixed"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
add_module_names = False
toc_object_entries = False  # each object has its own heading
numpydoc_show_class_members = False
default_role = "py:obj"  # single backquotes in docstrings: a link where the name has a page, else code
maximum_signature_line_length = 88

suppress_warnings = ["ref.python"]  # an annotation such as Grid, which names two classes, gets no link

# Every full name `sciml...` in a text needs a page. Names of other packages have none, as the build uses no network;
# single backquotes also mark parameters; annotations contain type variables and aliases, which have no page either.
nitpicky = True
nitpick_ignore_regex = [(r"py:.*", r"(?!sciml\.).*"), (r"py:class", r"sciml\..*")]


def link_by_short_name(
    app: Sphinx, env: BuildEnvironment, node: addnodes.pending_xref, content: nodes.TextElement
) -> nodes.reference | None:
    """Link a name that is written without its module, or with a module that only re-exports it."""
    target = node["reftarget"]
    if node.get("refdomain") != "py":
        return None
    name = target.rpartition(".")[2] if target.startswith("sciml.") else target
    kinds = {"class", "exception", "function"}
    if re.search(
        r"[A-Z._]", name
    ):  # a word in lower case is more often a parameter than a method or an attribute
        kinds |= {"method", "attribute", "property", "data"}
    matches = {
        entry.node_id: entry
        for full, entry in env.domains["py"].objects.items()  # type: ignore[attr-defined]
        if full.endswith(f".{name}") and entry.objtype in kinds and not entry.aliased
    }
    packages = target.split(".")[:2]  # of several functions `train`, the one in the same package
    if len(matches) > 1 and target.startswith("sciml."):
        matches = {key: entry for key, entry in matches.items() if key.split(".")[:2] == packages}
    if len(matches) != 1:
        return None
    ((anchor, entry),) = matches.items()
    return make_refnode(app.builder, node["refdoc"], entry.docname, anchor, content)


def escape_formulas(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Escape the vertical bars and stars of formulas, which docstrings write as plain text."""
    literal: int | None = None  # the indent of the line that opens a literal block
    for number, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        if literal is not None and (not line.strip() or indent > literal):
            continue
        literal = indent if line.rstrip().endswith("::") else None
        if not line.lstrip().startswith((">>>", "...", "* ")):
            parts = re.split(r"(``.*?``|`.*?`)", line)
            parts[::2] = [re.sub(r"(?<!\\)[|*]", r"\\\g<0>", part) for part in parts[::2]]
            lines[number] = "".join(parts)


roles.register_generic_role("mpltype", nodes.literal)  # in docstrings that plot inherits from matplotlib


def setup(app: Sphinx) -> None:
    """Escape before numpydoc reads the docstrings; link short names."""
    app.connect("autodoc-process-docstring", escape_formulas, priority=100)
    app.connect("missing-reference", link_by_short_name)


# Notebooks: run once for each state of the package.
current = CACHE / source_hash()
os.environ["IPYTHONDIR"] = str(HERE / "_ext" / "ipython")  # without the user's settings
os.environ.setdefault("OMP_NUM_THREADS", "1")
for old in CACHE.glob("*") if CACHE.exists() else ():
    if old != current:
        shutil.rmtree(old)
nb_execution_mode = "cache"
nb_execution_cache_path = str(current)
nb_execution_timeout = 300
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_merge_streams = True
myst_enable_extensions = ["colon_fence", "deflist", "attrs_inline"]
myst_heading_anchors = 3

# The site.
html_theme = "pydata_sphinx_theme"
html_title = "sciml"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "show_prev_next": False,
    "navigation_with_keys": False,
    "header_links_before_dropdown": 7,
    "show_toc_level": 2,
    "navbar_align": "left",
    "secondary_sidebar_items": {"**": ["page-toc"], "index": []},
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version"],
    "back_to_top_button": False,
    "pygments_light_style": "tango",
}
html_sidebars = {
    "index": [],
    "installation": [],
    "tutorial": [],
    "results": [],
    "changelog": [],
    "contributing": [],
}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
