"""Options of the `pde` commands for data without a description: names, layout, grid and boundary values."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sciml.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

    from sciml.pde.grid import Boundary

__all__ = [
    "DataOptions",
    "complete_family",
    "parse_boundary",
    "parse_side_values",
    "parse_target",
    "parse_variables",
]

PANEL = "Data without a description"


def complete_family(incomplete: str) -> list[str]:
    """Return the names of families that begin with the given text, for shell completion."""
    from sciml.pde.families import FAMILIES

    return [name for name in FAMILIES if name.startswith(incomplete)]


def complete_layout(incomplete: str) -> list[str]:
    """Return the names of published layouts that begin with the given text, for shell completion."""
    from sciml.pde.published_formats import LAYOUTS

    return [name for name in LAYOUTS if name.startswith(incomplete)]


@dataclass(frozen=True)
class DataOptions:
    """Options that describe a dataset; those not given are taken from the file.

    The fields contain the texts of the command line. `open` and `to_arguments` parse them.
    """

    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--inputs",
            metavar="NAME",
            help="Name of an input in the file, or OURS=THEIRS; may be repeated.",
            rich_help_panel=PANEL,
        ),
    ] = None
    target: Annotated[
        str | None,
        typer.Option(
            "--target",
            metavar="NAME",
            help="Name of the solution in the file, or OURS=THEIRS; default: u.",
            rich_help_panel=PANEL,
        ),
    ] = None
    layout: Annotated[
        str | None,
        typer.Option(
            "--layout",
            metavar="NAME",
            help="Layout of a published dataset: see 'sciml pde layouts'.",
            autocompletion=complete_layout,
            rich_help_panel=PANEL,
        ),
    ] = None
    dims: Annotated[
        list[str] | None,
        typer.Option(
            "--dims",
            metavar="AXES",
            help="Axes in order, such as y,x,sample; for one array, NAME=AXES; may be repeated.",
            rich_help_panel=PANEL,
        ),
    ] = None
    stride: Annotated[
        int,
        typer.Option(
            "--stride",
            metavar="N",
            min=1,
            help="Read every N-th point along each axis.",
            rich_help_panel=PANEL,
        ),
    ] = 1
    boundary: Annotated[
        str | None,
        typer.Option(
            "--boundary",
            metavar="KIND",
            help="dirichlet, neumann or periodic, or four: west,east,south,north (box: and bottom,top).",
            rich_help_panel=PANEL,
        ),
    ] = None
    centring: Annotated[
        str | None,
        typer.Option(
            "--centring",
            metavar="KIND",
            help="Position of the values: vertex or cell.",
            rich_help_panel=PANEL,
        ),
    ] = None
    dirichlet: Annotated[
        list[str] | None,
        typer.Option(
            "--dirichlet",
            metavar="SIDE=X",
            help="Values on Dirichlet sides: west=1,east=0, or one number; default: from the data.",
            rich_help_panel=PANEL,
        ),
    ] = None

    def open(self, data: Path) -> xr.Dataset:
        """Open a dataset with these options.

        Raises
        ------
        SciMLError
            As `sciml.pde.open_dataset`, or if only one of boundary and centring is given for data without a grid.
        """
        from sciml.pde import open_dataset

        boundary = parse_boundary(self.boundary)
        named = open_dataset(
            data,
            inputs=parse_variables(self.inputs),
            target=parse_variables(self.target),
            layout=self.layout,
            dims=self.dims or None,
        )
        values = parse_side_values(self.dirichlet)
        if boundary is None and self.centring is None and self.stride == 1 and values is None:
            return named
        grid = _make_grid(named, boundary, self.centring)
        return open_dataset(named, grid=grid, stride=self.stride, side_values=values)

    def to_arguments(self) -> dict[str, Any]:
        """Return these options as keyword arguments of `sciml.operators.training.train`."""
        return {
            "inputs": parse_variables(self.inputs),
            "target": parse_target(self.target),
            "layout": self.layout,
            "dims": self.dims or None,
            "stride": self.stride,
            "boundary": parse_boundary(self.boundary),
            "centring": self.centring,
            "side_values": parse_side_values(self.dirichlet),
        }

    def given(self) -> list[str]:
        """Return the names of the options that are given, such as ``--inputs``."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return [
            f"--{name}" for name, value in values.items() if value and value != getattr(DataOptions, name)
        ]


def _make_grid(dataset: xr.Dataset, boundary: Boundary | None, centring: str | None) -> Any:
    """Return the grid of a dataset with the given boundary and centring; None if neither is given."""
    from sciml.pde.dataset import dims_of, grid_of_dataset
    from sciml.pde.grid import Grid

    if boundary is None and centring is None:
        return None
    shape = tuple(dataset.sizes[dim] for dim in dims_of(dataset))
    known = grid_of_dataset(dataset) if "grid" in dataset.attrs else None
    if known is None and (boundary is None or centring is None):
        raise InputError("the data do not contain their grid: give both, --boundary and --centring")
    return Grid(
        shape,
        centring or known.centring,  # type: ignore[arg-type,union-attr]  # one of the two is set, see above
        boundary or known.boundary,  # type: ignore[union-attr]
        (1.0, 1.0) if known is None else known.lengths,
    )


def parse_boundary(text: str | None) -> Boundary | None:
    """Parse ``--boundary``: one kind for all sides, four, of which a line has the first two, or six for a box.

    Raises
    ------
    InputError
        The number of kinds is another one, or a kind is unknown.
    """
    if text is None:
        return None
    from sciml.pde.grid import Boundary

    kinds = [kind.strip() for kind in text.split(",")]
    if len(kinds) not in (1, 4, 6):
        raise InputError(
            f"--boundary {text}: give one kind, or four as west,east,south,north (a line has the first two; a box six, "
            "with bottom,top)"
        )
    return Boundary(*(kinds * 4 if len(kinds) == 1 else kinds))  # type: ignore[arg-type]  # Boundary checks them


def parse_side_values(given: list[str] | None) -> dict[str, float] | float | None:
    """Parse ``--dirichlet``: a number for each named side, or one number for all.

    Raises
    ------
    InputError
        A value is not a number, or a side is given twice.

    Examples
    --------
    >>> parse_side_values(["west=1,east=0"])
    {'west': 1.0, 'east': 0.0}
    """
    if not given:
        return None
    values: dict[str, float] = {}
    for part in (item.strip() for text in given for item in text.split(",") if item.strip()):
        name, equals, value = part.rpartition("=")
        try:
            number = float(value)
        except ValueError:
            raise InputError(
                f"--dirichlet {part}: give numbers, such as west=1,east=0, or one for all"
            ) from None
        if name in values or (values and (not equals or "" in values)):
            raise InputError(f"--dirichlet {','.join(given)}: give each side once, or one number for all")
        values[name] = number
    return values.get("", values)


def parse_variables(names: str | list[str] | None) -> list[str] | dict[str, str] | None:
    """Parse ``--inputs`` and ``--target``: a list of names, or a mapping if any contains ``=``.

    Examples
    --------
    >>> parse_variables(["coefficient=coeff"])
    {'coefficient': 'coeff'}
    >>> parse_variables("k,source")
    ['k', 'source']
    """
    if not names:
        return None
    given = [names] if isinstance(names, str) else names
    listed = [part for text in given for part in text.split(",") if part]
    if any("=" in part for part in listed):
        pairs = (part.partition("=") for part in listed)
        return {ours: theirs or ours for ours, _, theirs in pairs}
    return listed


def parse_target(name: str | None) -> str | dict[str, str] | None:
    """Parse ``--target`` of `sciml pde train`: a name, or a mapping if it contains ``=``."""
    if name is None or "=" not in name:
        return name
    ours, _, theirs = name.partition("=")
    return {ours: theirs or ours}
