"""Columns in radiative-convective equilibrium with the emulator as their only convection, run by a Fortran host.

The host is ``workflows/column_host/``; the head of ``column_domain.f90`` there describes the format of its streams.
`sciml.coupling.rce_setup.Climate` has the prescribed conditions; `sciml.coupling.rce_setup.Start` draws the initial
state and the fluctuations of the vertical velocity, which the trigger needs, from columns of a real run.
"""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import xarray as xr

from sciml.constants import DAY
from sciml.coupling.fortran_programs import FortranProgram
from sciml.coupling.rce_setup import Climate, Start
from sciml.errors import InputError
from sciml.version import __version__

__all__ = ["HOST", "history", "run_columns", "simulate"]

HOST: Final = FortranProgram(
    "column_host", ("column_physics.f90", "column_domain.f90", "column_steps.f90", "column_host.f90")
)
_PROFILES: Final = {
    "T": ("K", "temperature"),
    "QVAPOR": ("kg kg-1", "water vapour mixing ratio"),
    "QCLOUD": ("kg kg-1", "condensate mixing ratio"),
    "U": ("m s-1", "wind along x"),
    "V": ("m s-1", "wind along y"),
    "HEATING_CU": ("K s-1", "mean heating by convection"),
    "MOISTENING_CU": ("kg kg-1 s-1", "mean moistening by convection"),
    "HEATING_LS": ("K s-1", "mean heating by large-scale condensation"),
    "W0AVG": ("m s-1", "running mean of the vertical velocity at the last call"),
}
_SUMS: Final = {
    "WATER": ("kg m-2", "vapour and condensate of the column"),
    "ENTHALPY": ("J m-2", "cp T + Lv qv of the column, Lv = 2.5e6 J kg-1"),
    "PBLH": ("m", "depth of the boundary layer"),
    "EVAPORATION": ("kg m-2", "from the sea"),
    "RAIN_CU": ("kg m-2", "PRATEC while its tendencies are applied"),
    "RAIN_LS": ("kg m-2", "of large-scale condensation, at the ground"),
    "EVAPORATED_RAIN": ("kg m-2", "of large-scale rain on its way"),
    "RAIN_LATE": (
        "kg m-2",
        "PRATEC after its tendencies are over: WRF adds it to RAINC, here it does not fall",
    ),
    "WATER_CU": ("kg m-2", "change of column water by the convective tendencies"),
    "SENSIBLE": ("J m-2", "heat from the sea"),
    "RADIATION": ("J m-2", "heating by radiation"),
    "ENTHALPY_CU": ("J m-2", "change of ENTHALPY by the convective tendencies"),
    "SCHEME_CU": ("J m-2", "the same with the scheme's Lv(T) = 3.15e6 - 2370 T"),
    "ABSOLUTE_CU": ("J m-2", "sum of |cp dT| by the convective tendencies"),
    "EVALUATED": ("1", "calls in which the column was not held"),
    "SHALLOW": ("1", "of them shallow"),
    "DEEP": ("1", "of them deep"),
    "NOVEL": ("1", "of them of novelty above 1"),
    "NOVELTY": ("1", "the greatest"),
    "UNSOUND": ("1", "calls in which the column was not sound"),
    "LIMITED": ("1", "steps in which tendencies were made smaller to leave no negative water"),
    "LEAST_VAPOUR": ("kg kg-1", "the least mixing ratio after any step"),
}


_STANDARD_NAMES: Final = {
    "T": "air_temperature",
    "QVAPOR": "humidity_mixing_ratio",
    "U": "x_wind",
    "V": "y_wind",
    "PBLH": "atmosphere_boundary_layer_thickness",
    "PRESSURE": "air_pressure",
}


def run_columns(
    host: Path,
    weights: Path,
    stream: Path,
    output: Path,
    state: Path,
    steps: tuple[int, int],
    *,
    threads: int = 1,
) -> str:
    """Run the host from the first to the last of these steps and return its standard output.

    Parameters
    ----------
    host, weights, stream
        From `HOST`, ``sciml coupling build`` and `Start.write`.
    output
        Output file, overwritten; for `history`.
    state
        State file: read if the first step is not 1, and written for a run that continues.
    threads
        Threads of the library, at most; the answers have the same bits for any number.

    Raises
    ------
    SciMLError
        When the host fails, with its standard error.
    """
    return HOST.run(host, [weights, stream, output, state], [*steps, threads], output)


def history(start: Start, *outputs: str | os.PathLike[str], emulator: str = "an emulator") -> xr.Dataset:
    """Read the outputs of one run of the host, or of its parts in their order.

    Parameters
    ----------
    start
        Initial state of the run.
    outputs
        Output files, from `run_columns`.
    emulator
        Name of the emulator, for the attribute ``history``.

    Returns
    -------
    xr.Dataset
        Dimensions ``time`` (days), ``member``, ``level`` (lowest first); the state, and the mean tendencies and
        the sums of sources and sinks since the record before. Coordinates PRESSURE (Pa) and MASS (kg m-2) by level.

    Raises
    ------
    InputError
        When a file is incomplete, or of other columns.
    """
    members, levels = start.temperature.shape
    size = len(_PROFILES) * members * levels + len(_SUMS) * members
    parts = []
    for path in outputs:
        content = Path(path).read_bytes()
        head = start.header.tobytes()
        if content[: len(head)] != head or (len(content) - len(head)) % (8 * size):
            raise InputError(f"{path} has {len(content)} bytes, not those of these columns: run it again")
        parts.append(np.frombuffer(content[len(head) :], np.float64).reshape(-1, size))
    records = np.concatenate(parts)
    profiles = records[:, : -len(_SUMS) * members].reshape(-1, len(_PROFILES), members, levels)
    sums = records[:, -len(_SUMS) * members :].reshape(-1, len(_SUMS), members)
    variables: dict[str, Any] = {}
    for number, (name, about) in enumerate(_PROFILES.items()):
        variables[name] = (("time", "member", "level"), profiles[:, number], _attributes(name, *about))
    for number, (name, about) in enumerate(_SUMS.items()):
        variables[name] = (("time", "member"), sums[:, number], _attributes(name, *about))
    days = np.arange(len(records)) * start.interval * start.dt / DAY
    coordinates = {
        "time": ("time", days, _attributes("time", "day", "time since the start")),
        "PRESSURE": ("level", start.pressure, _attributes("PRESSURE", "Pa", "pressure")),
        "MASS": ("level", start.mass, _attributes("MASS", "kg m-2", "mass of the layer")),
    }
    attrs = {
        "title": "columns in radiative-convective equilibrium",
        "history": f"columns run by the column host with {emulator}, sciml {__version__}",
        "DX": start.dx,
        "DT": start.dt,
        "CUDT": start.cudt,
    }
    return xr.Dataset(variables, coordinates, attrs)


def _attributes(name: str, units: str, long_name: str) -> dict[str, str]:
    standard = {"standard_name": _STANDARD_NAMES[name]} if name in _STANDARD_NAMES else {}
    return {"units": units, "long_name": long_name, **standard}


def simulate(
    library: Path, weights: Path, start: Start, climate: Climate, *, threads: int = 1
) -> tuple[xr.Dataset, str]:
    """Compile the host, run it from the first step to the last, and read its outputs.

    Returns
    -------
    tuple
        The dataset of `history`, and the standard output of the host.

    Raises
    ------
    BuildError, SciMLError
        Without a compiler; or when the host fails, with its standard error.
    """
    with TemporaryDirectory(prefix="sciml-columns-") as temporary:
        where = Path(temporary)
        stream, output, state = (where / name for name in ("input", "output", "state"))
        start.write(stream, climate)
        host = HOST.compile(library, where)
        log = run_columns(host, weights, stream, output, state, (1, start.steps), threads=threads)
        return history(start, output, emulator=f"the emulator {weights.name}"), log
