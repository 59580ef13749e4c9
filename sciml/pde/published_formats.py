"""Layouts of published datasets: the names of the fields in their files, the order of the axes, and the grid.

The sources are in ``PublishedLayout.known``: papers and documentation of the datasets, not the files themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from sciml.errors import InputError
from sciml.pde.array_files import FileArrays
from sciml.pde.elliptic import Darcy
from sciml.pde.families import FAMILIES, Family
from sciml.pde.grid import Side

__all__ = ["LAYOUTS", "PublishedLayout", "Points", "layout_named", "recognised"]

Points: TypeAlias = Literal["nodes", "interior", "cells", "sides", "coordinates"]
"""Positions of the values. ``nodes``:
all nodes, including those on the sides as unknowns. ``interior``: the nodes inside. ``cells``: the centres of cells.
``sides``: all nodes if the solution is zero on the sides, else the centres of cells. ``coordinates``: the coordinates
in the file determine them."""


@dataclass(frozen=True)
class PublishedLayout:
    """Layout of a published dataset in its files.

    Parameters
    ----------
    name, about
        Name of the layout, and a description in one line.
    variables
        For each name in this package, the name in the file and its dims; a dim ``1`` has size one and is dropped.
    inputs, target
        Names in this package.
    boundary, points
        Boundary of the grid, and positions of the values.
    family
        Name of the family, or None if the name of the file determines it.
    time
        Name of the array of times, if there is one.
    marks
        Part of the file's name that identifies the layout if the arrays are not sufficient.
    known
        Source of this description.
    """

    name: str
    about: str
    variables: Mapping[str, tuple[str, tuple[str, ...]]]
    inputs: tuple[str, ...]
    boundary: Side
    points: Points
    known: str
    family: Family | None = None
    target: str = "u"
    time: str | None = None
    marks: str = ""

    def fits(self, content: FileArrays, name: str) -> bool:
        """Return whether a file contains the arrays of the layout, with the right number of axes."""
        if self.marks.lower() not in name.lower():
            return False
        for array, dims in self.variables.values():
            if array not in content.arrays or content.arrays[array].ndim != len(dims):
                return False
            sizes = zip(dims, content.arrays[array].shape, strict=True)
            if any(dim == "1" and size != 1 for dim, size in sizes):
                return False
        return True

    def __str__(self) -> str:
        variables = ", ".join(
            f"{ours} = {name} ({', '.join(dims)})" for ours, (name, dims) in self.variables.items()
        )
        return f"{self.name}: {self.about}\n  {variables}\n  {self.boundary}, {self.points}; {self.known}"


_DARCY: Final = Family(
    "darcy", Darcy(3, 1.0), ("coefficient",), "steady flow through a porous medium, source 1"
)
_FIELDS: Final = ("sample", "y", "x")

_ALL: Final = (
    PublishedLayout(
        "mgno-multiscale",
        "trigonometric coefficients of MgNO and HANO, mul_tri_*.mat, 1023 x 1023",
        {"coefficient": ("coeff", _FIELDS), "u": ("sol", _FIELDS)},
        ("coefficient",),
        "dirichlet",
        "interior",
        "names confirmed by the code that reads the files; that the 1023 nodes are those inside 1024 intervals is not",
        _DARCY,
        marks="mul_tri",
    ),
    PublishedLayout(
        "fno-darcy",
        "FNO's piececonst_r421_*.mat (421 x 421) and MgNO's darcy_alpha2_tau5_512_*.mat (512 x 512)",
        {"coefficient": ("coeff", _FIELDS), "u": ("sol", _FIELDS)},
        ("coefficient",),
        "dirichlet",
        "sides",
        "names and shapes confirmed by the code that reads the files; whether the values lie at all nodes or at the "
        "centres of cells (what the published generator makes) is seen from the solution on the sides",
        _DARCY,
    ),
    PublishedLayout(
        "fno-navier-stokes",
        "FNO's NavierStokes_V1e-5_N1200_T20.mat and ns_*.mat: vorticity, 64 x 64, periodic",
        {"vorticity": ("a", ("sample", "x", "y")), "u": ("u", ("sample", "x", "y", "time"))},
        ("vorticity",),
        "periodic",
        "nodes",
        "names, shapes and the order of x and y confirmed by the generator and by the code that reads the files; the "
        "viscosity is in the file's name (V1e-3), or is 1e-5",
        FAMILIES["navier-stokes"],
        time="t",
    ),
    PublishedLayout(
        "fno-burgers",
        "FNO's burgers_data_R10.mat: from time 0 to time 1, 8192 points, periodic",
        {"initial": ("a", ("sample", "x")), "u": ("u", ("sample", "x"))},
        ("initial",),
        "periodic",
        "nodes",
        "names and shapes confirmed by the code that reads the files",
        FAMILIES["burgers"],
    ),
    PublishedLayout(
        "pdebench-darcy",
        "PDEBench's 2D_DarcyFlow_beta*_Train.hdf5, 128 x 128, the source being beta",
        {"coefficient": ("nu", _FIELDS), "u": ("tensor", ("sample", "1", "y", "x"))},
        ("coefficient",),
        "dirichlet",
        "coordinates",
        "names and shapes confirmed by a listing of the file; that beta is the source is from the paper "
        "(Takamoto et al. 2022)",
        _DARCY,
    ),
    PublishedLayout(
        "pdebench-burgers",
        "PDEBench's 1D_Burgers_Sols_Nu*.hdf5, 1024 points, periodic",
        {"u": ("tensor", ("sample", "time", "x"))},
        ("initial",),
        "periodic",
        "coordinates",
        "names and shapes confirmed by the code that reads the files; other equations of PDEBench in one dimension "
        "have the same, so the file's name decides",
        time="t-coordinate",
        marks="burgers",
    ),
    PublishedLayout(
        "mgno-helmholtz",
        "Helmholtz_inputs.npy and Helmholtz_outputs.npy (de Hoop et al. 2022), 101 x 101",
        {
            "wave_speed": ("Helmholtz_inputs", ("x", "y", "sample")),
            "u": ("Helmholtz_outputs", ("x", "y", "sample")),
        },
        ("wave_speed",),
        "neumann",
        "nodes",
        "names, shapes and that the sample comes last confirmed by the code that reads the files; that x comes before "
        "y is documented in a README only",
        FAMILIES["helmholtz"],
    ),
)

LAYOUTS: Final[Mapping[str, PublishedLayout]] = {layout.name: layout for layout in _ALL}
"""Layouts by name, in the order in which they are tried."""


def layout_named(name: str | PublishedLayout) -> PublishedLayout:
    """Return the layout of a name; a layout is returned unchanged.

    Raises
    ------
    InputError
        The name is unknown; the message lists the names.

    Examples
    --------
    >>> layout_named("pdebench-darcy").variables["coefficient"]
    ('nu', ('sample', 'y', 'x'))
    """
    if isinstance(name, PublishedLayout):
        return name
    if name not in LAYOUTS:
        raise InputError(f"no layout {name!r}: there are {', '.join(LAYOUTS)}")
    return LAYOUTS[name]


def recognised(content: FileArrays, name: str) -> PublishedLayout | None:
    """Return the published layout that fits the arrays and the name of a file, or None."""
    return next((layout for layout in LAYOUTS.values() if layout.fits(content, name)), None)
