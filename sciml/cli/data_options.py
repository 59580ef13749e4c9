"""The options for data that do not tell what they are: their names, their layout, and where their values lie."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sciml.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

    from sciml.pde.grid import Boundary

__all__ = [
    "Centring",
    "Dims",
    "Dirichlet",
    "Inputs",
    "Layout",
    "Sides",
    "Stride",
    "Target",
    "boundary_of",
    "family_names",
    "side_values",
    "opened",
    "target_of",
    "variable_map",
]

PANEL = "Data that do not tell what they are"


def family_names(incomplete: str) -> list[str]:
    """The families of problems whose names begin so, for TAB."""
    from sciml.pde.families import FAMILIES

    return [name for name in FAMILIES if name.startswith(incomplete)]


def layout_names(incomplete: str) -> list[str]:
    """The published layouts whose names begin so, for TAB."""
    from sciml.pde.published_formats import LAYOUTS

    return [name for name in LAYOUTS if name.startswith(incomplete)]


Inputs = Annotated[
    list[str] | None,
    typer.Option(
        "--inputs",
        metavar="NAME",
        help="An input in the file, or OURS=THEIRS; may be repeated.",
        rich_help_panel=PANEL,
    ),
]
Target = Annotated[
    str | None,
    typer.Option(
        "--target", metavar="NAME", help="The solution, or OURS=THEIRS; by default u.", rich_help_panel=PANEL
    ),
]
Layout = Annotated[
    str | None,
    typer.Option(
        "--layout",
        metavar="NAME",
        help="Of a published file: see 'sciml pde layouts'.",
        autocompletion=layout_names,
        rich_help_panel=PANEL,
    ),
]
Dims = Annotated[
    list[str] | None,
    typer.Option(
        "--dims",
        metavar="AXES",
        help="The axes in their order: y,x,sample; or of one array, NAME=AXES; may be repeated.",
        rich_help_panel=PANEL,
    ),
]
Stride = Annotated[
    int, typer.Option("--stride", min=1, help="Take every so many points.", rich_help_panel=PANEL)
]
Sides = Annotated[
    str | None,
    typer.Option(
        "--boundary",
        metavar="KIND",
        help="dirichlet, neumann or periodic, or four: west,east,south,north.",
        rich_help_panel=PANEL,
    ),
]
Centring = Annotated[
    str | None,
    typer.Option(
        "--centring", metavar="KIND", help="Where the values lie: vertex or cell.", rich_help_panel=PANEL
    ),
]
Dirichlet = Annotated[
    list[str] | None,
    typer.Option(
        "--dirichlet",
        metavar="SIDE=X",
        help="The solution on Dirichlet sides: west=1,east=0, or one number; default: as the data show.",
        rich_help_panel=PANEL,
    ),
]


def opened(
    data: Path,
    *,
    inputs: list[str] | None,
    target: str | None,
    layout: str | None,
    dims: list[str] | None,
    stride: int,
    boundary: str | None,
    centring: str | None,
    dirichlet: list[str] | None,
) -> xr.Dataset:
    """Open a dataset with these options; what is not given is taken from the file.

    Raises
    ------
    SciMLError
        As `sciml.pde.open_dataset`, or where only one of boundary and centring is told of data that tell neither.
    """
    from sciml.pde import open_dataset

    sides = boundary_of(boundary)
    named = open_dataset(
        data, inputs=variable_map(inputs), target=variable_map(target), layout=layout, dims=dims or None
    )
    values = side_values(dirichlet)
    if sides is None and centring is None and stride == 1 and values is None:
        return named
    return open_dataset(named, grid=_grid(named, sides, centring), stride=stride, side_values=values)


def _grid(dataset: xr.Dataset, boundary: Boundary | None, centring: str | None) -> Any:
    """The grid of a dataset, as told here before as told there; None where nothing is told here."""
    from sciml.pde.dataset import grid_of_dataset
    from sciml.pde.grid import Grid

    if boundary is None and centring is None:
        return None
    if "y" not in dataset.dims:
        raise InputError(
            "--boundary and --centring are of fields (y, x): leave them out for fields along a line"
        )
    shape = (dataset.sizes["y"], dataset.sizes["x"])
    known = grid_of_dataset(dataset) if "grid" in dataset.attrs else None
    if known is None and (boundary is None or centring is None):
        raise InputError("the data do not tell their grid: give both, --boundary and --centring")
    return Grid(
        shape,
        centring or known.centring,  # type: ignore[arg-type,union-attr]  # one of the two is there, see above
        boundary or known.boundary,  # type: ignore[union-attr]
        (1.0, 1.0) if known is None else known.lengths,
    )


def boundary_of(told: str | None) -> Boundary | None:
    """One kind for every side, or four.

    Raises
    ------
    InputError
        Another number of kinds, or one that there is not.
    """
    if told is None:
        return None
    from sciml.pde.grid import Boundary

    kinds = [kind.strip() for kind in told.split(",")]
    if len(kinds) not in (1, 4):
        raise InputError(f"--boundary {told}: give one kind, or four as west,east,south,north")
    return Boundary(*(kinds * 4 if len(kinds) == 1 else kinds))  # type: ignore[arg-type]  # checked there


def side_values(given: list[str] | None) -> dict[str, float] | float | None:
    """Parse ``--dirichlet``: a number for each side that is named, or one for all.

    Raises
    ------
    InputError
        What is no number, or a side that is given twice.

    Examples
    --------
    >>> side_values(["west=1,east=0"])
    {'west': 1.0, 'east': 0.0}
    """
    if not given:
        return None
    found: dict[str, float] = {}
    for part in (one.strip() for text in given for one in text.split(",") if one.strip()):
        name, equals, value = part.rpartition("=")
        try:
            number = float(value)
        except ValueError:
            raise InputError(
                f"--dirichlet {part}: give numbers, such as west=1,east=0, or one for all"
            ) from None
        if name in found or (found and (not equals or "" in found)):
            raise InputError(f"--dirichlet {','.join(given)}: give each side once, or one number for all")
        found[name] = number
    return found.get("", found)


def variable_map(names: str | list[str] | None) -> list[str] | dict[str, str] | None:
    """What ``--inputs`` and ``--target`` say: names, or ours of theirs where there is a ``=``.

    Examples
    --------
    >>> variable_map(["coefficient=coeff"])
    {'coefficient': 'coeff'}
    >>> variable_map("k,source")
    ['k', 'source']
    """
    if not names:
        return None
    given = [names] if isinstance(names, str) else names
    listed = [part for one in given for part in one.split(",") if part]
    if any("=" in one for one in listed):
        pairs = (one.partition("=") for one in listed)
        return {ours: theirs or ours for ours, _, theirs in pairs}
    return listed


def target_of(name: str | None) -> str | dict[str, str] | None:
    """What ``--target`` says: a name, or ours of theirs where there is a ``=``."""
    if name is None or "=" not in name:
        return name
    ours, _, theirs = name.partition("=")
    return {ours: theirs or ours}
