"""Selection of the columns of some runs by the options ``--run`` and ``--exclude``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sciml.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["select_runs"]


def select_runs(columns: xr.Dataset, runs: Sequence[int], *, drop: bool = False) -> xr.Dataset:
    """Select the columns of some runs, or with ``drop`` all others; without runs, all columns.

    Raises
    ------
    InputError
        There is no column of a run, or none is left.
    """
    import numpy as np

    if not runs:
        return columns
    numbers = columns["RUN"].values
    absent = [number for number in dict.fromkeys(runs) if number not in numbers]
    present = ", ".join(map(str, np.unique(numbers)))
    if absent:
        raise InputError(f"no column of RUN {', '.join(map(str, absent))}: the files contain RUN {present}")
    member = np.isin(numbers, runs) != drop
    if not member.any():
        raise InputError(f"--exclude leaves no column: the files contain RUN {present}")
    return columns.isel(column=np.flatnonzero(member))
