"""Write the reference of the package by pdoc into a folder; any warning ends it."""

import importlib
import pkgutil
import sys
import warnings
from pathlib import Path

import pdoc
import pdoc.render

import sciml


def modules() -> list[str]:
    """Name every module but the command's, whose own help tells it."""
    found = (one.name for one in pkgutil.walk_packages(sciml.__path__, "sciml."))
    return ["sciml", *(name for name in found if not name.startswith(("sciml.cli", "sciml.__main__")))]


def resolve(name: str) -> None:
    """Load the names that a module loads when they are first used: pdoc looks into its dict alone."""
    module = importlib.import_module(name)
    for public in getattr(module, "__all__", ()):
        module.__dict__[public] = getattr(module, public)


def main(output: Path) -> None:
    """Write to a folder."""
    warnings.simplefilter("error")
    warnings.simplefilter("ignore", DeprecationWarning)  # other packages'
    # A module whose name is also that of a function in its package's __all__ is found twice.
    warnings.filterwarnings("ignore", message="The module specification")
    named = modules()
    for name in named:
        resolve(name)
    pdoc.render.configure(docformat="numpy", show_source=False)
    pdoc.pdoc(*named, output_directory=output)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
