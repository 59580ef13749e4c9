"""The command `sciml` itself, to which `sciml.cli` adds the commands and groups."""

from __future__ import annotations

from sciml.cli.help_pages import CommandGroup
from sciml.cli.lazy_groups import LazyGroups

__all__ = ["GROUPS", "app"]

GROUPS = {
    "wrf": "1) Describe and compare WRF output, and extract columns.",
    "convection": "2) Train emulators of the convection scheme, and score them.",
    "coupling": "3) Build an emulator into the library that WRF links.",
    "scheme": "Emulate any column scheme that you declare in TOML.",
    "pde": "Generate PDE data, train operators, solve with error bounds.",
}
"""The groups and their help texts, so that `sciml --help` works without importing the groups."""

ABOUT = "Emulators of convection for WRF, and neural operators compared with multigrid."

EPILOG = (
    "COMMAND --help ends with examples; every command takes --json FILE (- for standard output) and --quiet. "
    "See also --version, --install-completion."
)


class Groups(LazyGroups):
    """The groups of the command `sciml`."""

    groups = GROUPS


app = CommandGroup(
    cls=Groups,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help=ABOUT,
    epilog=EPILOG,
)
