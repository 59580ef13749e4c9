"""Write the generated pages of the documentation: the API, the commands, and the gallery of notebooks.

`docs/conf.py` calls `write_pages` before Sphinx reads the sources. The pages follow the code: every package, module and
command that exists at build time gets a page.
"""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, get_origin

import typer
from sphinx.pycode import ModuleAnalyzer

import sciml
from sciml.cli import app

SKIPPED = ("sciml.cli", "sciml.__main__")
"""The commands have their own pages."""


def write_pages(docs: Path, notebooks: Path) -> None:
    """Write the three sets of pages under `docs`, in place of those of an earlier build."""
    for name in ("api", "commands", "gallery"):
        shutil.rmtree(docs / name, ignore_errors=True)
        (docs / name).mkdir(parents=True)
    write_api(docs / "api")
    write_commands(docs / "commands")
    write_gallery(docs / "gallery", notebooks)


# The API.


def public_modules() -> dict[str, ModuleType]:
    """Import every public module of the package, by name; the root comes first."""
    names = [module.name for module in pkgutil.walk_packages(sciml.__path__, "sciml.")]
    public = [
        name
        for name in names
        if not name.startswith(SKIPPED) and not any(part.startswith("_") for part in name.split("."))
    ]
    return {name: importlib.import_module(name) for name in ["sciml", *sorted(public)]}


def public_names(module: ModuleType) -> list[str]:
    """List the names in `__all__`, or else those that the module itself defines."""
    listed = getattr(module, "__all__", None)
    if listed is not None:
        return [name for name in listed if not name.startswith("__")]
    defined = (
        name for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__
    )
    return sorted(name for name in defined if not name.startswith("_"))


def write_api(folder: Path) -> None:
    """Write a page for each module; each object is documented once, at its shortest path below the root."""
    modules = public_modules()
    documented_in: dict[tuple[str, int], str] = {}
    for name, module in sorted(modules.items(), key=lambda pair: pair[0].count(".")):
        if name == "sciml":
            continue
        for public in public_names(module):
            value = getattr(module, public)
            if getattr(value, "__module__", name).startswith(name):
                documented_in.setdefault((public, id(value)), name)
    for name, module in modules.items():
        below = [other for other in modules if other.rpartition(".")[0] == name]
        if name != "sciml" and not public_names(module) and not below:
            continue
        text = "\n".join(_module_page(name, module, documented_in, below, modules))
        (folder / f"{'index' if name == 'sciml' else name}.rst").write_text(text, encoding="utf-8")


def _module_page(
    name: str,
    module: ModuleType,
    documented_in: dict[tuple[str, int], str],
    below: list[str],
    modules: dict[str, ModuleType],
) -> Iterator[str]:
    title = "API reference" if name == "sciml" else name
    yield from (title, "=" * len(title), "")
    yield from (f".. automodule:: {name}", "   :no-members:")
    parent, _, last = name.rpartition(".")
    namesake = (
        getattr(modules[parent], last) if last in (public_names(modules[parent]) if parent else ()) else None
    )
    if namesake is not None and not inspect.ismodule(namesake):
        yield "   :no-index:"  # an object of the parent has the same path
    yield from ("", f".. py:currentmodule:: {name}", "")
    own = []
    names = public_names(module)
    if names:
        yield from _table_head("Public names" if name == "sciml" else "Contents")
    for public in sorted(names, key=str.casefold):
        value = getattr(module, public)
        home = documented_in.get((public, id(value)), name)
        shown = f"{name}.{public}" if name == "sciml" else public
        if inspect.ismodule(value) and value.__name__ in modules:
            target = f":doc:`{shown} <{value.__name__}>`"
        else:
            target = f":py:obj:`{shown} <{home}.{public}>`" if home != "sciml" else f"``{shown}``"
            if home == name:
                own.append((public, value))
        yield from (f"   * - {target}", f"     - {_summary(value)}")
    yield ""
    for public, value in own if name != "sciml" else ():
        yield from (public, "-" * len(public), "")
        if inspect.isclass(value):
            yield from (f".. autoclass:: {public}", "   :members:", "")
        elif inspect.isroutine(value):
            yield from (f".. autofunction:: {public}", "")
        elif get_origin(value) is not None:
            yield from (f".. py:type:: {public}", f"   :canonical: {_alias(value)}", "")
            documented = ModuleAnalyzer.for_module(name).find_attr_docs().get(("", public), [])
            yield from (f"   {line}" for line in documented)
            yield ""
        else:
            yield from (f".. autodata:: {public}", "   :no-value:", "")
    listed = [other for other in below if public_names(modules[other]) or _children(other, modules)]
    if listed:
        title = "Packages and modules" if name == "sciml" else "Modules"
        yield from (title, "-" * len(title), "", *_table_head(""))
        for other in listed:
            yield from (f"   * - :doc:`{other} <{other}>`", f"     - {_summary(modules[other])}")
        yield from ("", ".. toctree::", "   :hidden:", "")
        yield from (f"   {other.rpartition('.')[2]} <{other}>" for other in listed)
        yield ""


def _alias(value: Any) -> str:
    """Write a type as in the source: short names, without the packages."""
    return re.sub(r"\b\w+\.(?=\w)", "", str(value)).replace("~", "")


def _children(name: str, modules: dict[str, ModuleType]) -> bool:
    return any(other.startswith(f"{name}.") for other in modules)


def _table_head(title: str) -> Iterator[str]:
    if title:
        yield from (f".. rubric:: {title}", "")
    yield from (".. list-table::", "   :widths: 35 65", "   :class: summary", "")


def _summary(value: Any) -> str:
    """Give the first paragraph of a docstring on one line, if the docstring is the object's own."""
    if not (inspect.ismodule(value) or inspect.isclass(value) or inspect.isroutine(value)):
        return ""
    text = (inspect.getdoc(value) or "").partition("\n\n")[0]
    line = " ".join(text.split())
    if line.startswith(f"{getattr(value, '__name__', '')}("):  # the signature that dataclasses generates
        return ""
    parts = re.split(r"(``.*?``|`.*?`)", line.removesuffix("::"))
    parts[::2] = [re.sub(r"([|*])", r"\\\1", part) for part in parts[::2]]
    return "".join(parts)


# The commands.


def commands() -> Iterator[tuple[str, Any]]:
    """Give every command and group by its full name, in the order of the help."""
    root = typer.main.get_command(app)
    context: Any = typer.Context(root, info_name="sciml")
    for name in root.list_commands(context):  # type: ignore[attr-defined]
        _, group, _ = root.resolve_command(context, [name])  # type: ignore[attr-defined]
        yield f"sciml {name}", group
        if hasattr(group, "commands"):
            inner: Any = typer.Context(group, info_name=name, parent=context)
            for below in group.list_commands(inner):
                yield f"sciml {name} {below}", group.resolve_command(inner, [below])[1]


def write_commands(folder: Path) -> None:
    """Write a page for each command, a page for each group, and their index."""
    every = list(commands())
    index = [
        "# Commands",
        "",
        "Every command takes `--json FILE`, which writes its numbers as JSON (`-` for standard output), and",
        "`--quiet`. A long command stopped by Ctrl-C continues where it stopped when the same line is run again.",
        "Bad input gives one line with the value and the remedy, and exit code 2. `sciml --install-completion` lets",
        "the TAB key complete commands and options.",
        "",
    ]
    tree = []
    for path, command in every:
        page = path.removeprefix("sciml ").replace(" ", "_")
        if hasattr(command, "commands"):
            members = [(other, member) for other, member in every if other.startswith(f"{path} ")]
            text = [
                f"# {path}",
                "",
                _prose(command.help),
                "",
                *_links(members),
                "```{toctree}",
                ":hidden:",
                "",
            ]
            text += [other.removeprefix("sciml ").replace(" ", "_") for other, _ in members]
            text += ["```", ""]
            index += [f"## [{path}]({page}.md)", "", _prose(command.help), "", *_links(members)]
        else:
            text = list(_command_page(path, command))
            if path.count(" ") == 1:
                index += [f"## [{path}]({page}.md)", "", _prose(command.help), ""]
        if path.count(" ") == 1:
            tree.append(page)
        (folder / f"{page}.md").write_text("\n".join(text), encoding="utf-8")
    index += ["```{toctree}", ":hidden:", "", *tree, "```", ""]
    (folder / "index.md").write_text("\n".join(index), encoding="utf-8")


def _links(members: list[tuple[str, Any]]) -> list[str]:
    lines = ["| command | what it does |", "|---|---|"]
    for path, command in members:
        page = path.removeprefix("sciml ").replace(" ", "_")
        lines.append(f"| [`{path}`]({page}.md) | {_cell(command.get_short_help_str(limit=200))} |")
    return [*lines, ""]


def _command_page(path: str, command: Any) -> Iterator[str]:
    yield from (f"# {path}", "", _prose(command.help), "")
    context: Any = typer.Context(command, info_name=path)
    usage = " ".join(command.get_usage(context).removeprefix("Usage: ").split())
    shown = re.sub(r"[{\[](\w+)[}\]]", lambda match: match[0].strip("{}").upper(), usage)
    yield from ("```text", shown, "```", "")
    _, _, examples = (command.epilog or "").partition("Examples:\n")
    if examples:
        yield from ("## Examples", "", "```bash")
        yield from (line.strip() for line in examples.splitlines())
        yield from ("```", "")
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    if arguments:
        yield from ("## Arguments", "", "| argument | meaning |", "|---|---|")
        for param in arguments:
            yield f"| `{(param.metavar or param.name).upper()}` | {_cell(param.help)}{_facts(param, context)} |"
        yield ""
    panels: dict[str, list[Any]] = {}
    for param in command.params:
        if param not in arguments and not getattr(param, "hidden", False) and param.name != "help":
            panels.setdefault(getattr(param, "rich_help_panel", None) or "Options", []).append(param)
    for panel, params in panels.items():
        yield from (f"## {panel}", "", "| option | value | meaning |", "|---|---|---|")
        for param in params:
            names = ", ".join(f"`{name}`" for name in [*param.opts, *param.secondary_opts])
            value = "" if getattr(param, "is_flag", False) else f"`{_metavar(param, context)}`"
            yield f"| {names} | {value} | {_cell(param.help)}{_facts(param, context)} |"
        yield ""


def _metavar(param: Any, context: Any) -> str:
    metavar = param.metavar or (param.display_type(context) if hasattr(param, "display_type") else "")
    return str(metavar or param.name).strip("<>{}").replace("|", "\\|")


def _facts(param: Any, context: Any) -> str:
    """Give the default of an option, and that an argument is required, as sentences after its help."""
    facts = ""
    if param.param_type_name == "argument" and not param.required:
        facts += " Optional."
    if param.param_type_name == "option" and param.required:
        facts += " Required."
    default = param.default
    is_shown = getattr(param, "show_default", True) and not getattr(param, "is_flag", False)
    if is_shown and isinstance(default, str | int | float | Path) and not isinstance(default, bool):
        facts += f" Default: `{default}`."
    return facts


def _prose(text: str | None) -> str:
    """Join the lines of each paragraph of a help."""
    paragraphs = inspect.cleandoc(text or "").replace("\b", "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def _cell(text: str | None) -> str:
    """Fit a help into a cell of a Markdown table."""
    return " ".join((text or "").split()).replace("|", "\\|").replace("<", "\\<").replace("*", "\\*")


# The gallery.


def write_gallery(folder: Path, notebooks: Path) -> None:
    """Copy the notebooks, which Sphinx runs, and write the index with a card for each."""
    index = [
        "# Gallery",
        "",
        "These notebooks are in `notebooks/`. The build of this site runs them; the outputs and pictures are its own.",
        "",
        "::::{grid} 1 2 2 2",
        ":gutter: 3",
        "",
    ]
    names = []
    for path in sorted(notebooks.glob("*.ipynb")):
        shutil.copy(path, folder / path.name)
        names.append(path.stem)
        title, text = _opening(path)
        index += [
            f":::{{grid-item-card}} {title}",
            f":link: {path.stem}",
            ":link-type: doc",
            "",
            f"```{{notebook-picture}} gallery/{path.stem}",
            "```",
            "",
            text,
            ":::",
            "",
        ]
    index += ["::::", "", "```{toctree}", ":hidden:", "", *names, "```", ""]
    (folder / "index.md").write_text("\n".join(index), encoding="utf-8")


def _opening(path: Path) -> tuple[str, str]:
    """Give the title and the first paragraph of a notebook."""
    cell = json.loads(path.read_text(encoding="utf-8"))["cells"][0]
    title, _, rest = "".join(cell["source"]).partition("\n")
    paragraph = rest.strip().partition("\n\n")[0]
    return title.lstrip("# "), " ".join(paragraph.replace("#\n", "").split())
