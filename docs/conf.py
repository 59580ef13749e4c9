"""Sphinx configuration of the documentation: `make docs` builds it into docs-output/, without network."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import roles
from sphinx.application import Sphinx

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path[:0] = [str(ROOT), str(ROOT / ".ci"), str(HERE / "_ext")]

import reference  # noqa: E402

import sciml  # noqa: E402


def source_hash() -> str:
    """Hash the files that the outputs of the notebooks depend on; after a change the notebooks run again."""
    digest = hashlib.sha256()
    files = [
        path for folder in ("sciml", "notebooks") for path in (ROOT / folder).rglob("*") if path.is_file()
    ]
    for path in sorted([*files, *(ROOT / "data").glob("*.sciml"), *(ROOT / "data").glob("*.nc")]):
        if path.suffix not in {".pyc", ".so", ".o", ".mod"}:
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


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
numpydoc_show_class_members = False
default_role = "py:obj"  # single backquotes in docstrings: a link where the name has a page, else code
maximum_signature_line_length = 88

suppress_warnings = ["ref.python"]  # an annotation such as Grid, which names two classes, gets no link


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
    """Escape before numpydoc reads the docstrings."""
    app.connect("autodoc-process-docstring", escape_formulas, priority=100)


# Notebooks: run once for each state of the package.
CACHE = ROOT / ".jupyter_cache"
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
    "header_links_before_dropdown": 6,
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
