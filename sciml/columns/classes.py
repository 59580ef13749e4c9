"""Classes of columns: whether the scheme computed a column at a call, and which convection it diagnosed.

Tendencies that are held from an earlier call do not belong to the state in the same file, so such a column is not used
for training. The rules were derived from runs of WRF 4.3.3 (see `stored_kinds`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import xarray as xr

from sciml.tables import aligned

__all__ = [
    "HELD",
    "KINDS",
    "KIND_ATTRS",
    "NONE",
    "SHALLOW",
    "DEEP",
    "UNKNOWN",
    "Classes",
    "count_classes",
    "stored_kinds",
    "true_kinds",
]

Array = npt.NDArray[Any]

NONE: Final = 0
SHALLOW: Final = 1
DEEP: Final = 2
HELD: Final = 3
UNKNOWN: Final = -1
KINDS: Final = {"none": NONE, "shallow": SHALLOW, "deep": DEEP, "held": HELD, "unknown": UNKNOWN}
KIND_ATTRS: Final[dict[str, Any]] = {
    "long_name": "class of convection in the column",
    "flag_values": np.array([UNKNOWN, NONE, SHALLOW, DEEP, HELD], dtype=np.int8),
    "flag_meanings": "unknown none shallow deep held",
}


def true_kinds(
    nca: Array, pratec: Array, cudt: float | Array | None = None, cutop: Array | None = None
) -> npt.NDArray[np.int8]:
    """Return the classes of columns from the return values of the scheme, if it evaluated every column.

    Parameters
    ----------
    nca
        Hold time on return [s], in any shape; positive where convection triggered.
    pratec
        Precipitation rate [mm s-1], in the same shape; zero in shallow columns.
    cudt
        Minutes between calls, a number or one for each column: the hold time of shallow columns. It distinguishes
        them from deep columns
        whose rain evaporates completely. None if it is not known.
    cutop
        CUTOP, above 1 where convection triggered; needed with CUDT = 0, where shallow columns return NCA = 0.

    Returns
    -------
    int8, same shape
        NONE, SHALLOW or DEEP.

    Examples
    --------
    >>> true_kinds(np.array([0.0, 0.0]), np.array([0.0, 0.0]), cudt=0.0, cutop=np.array([1.0, 9.0]))
    array([0, 1], dtype=int8)
    >>> true_kinds(np.array([-100.0, 300.0, 2400.0]), np.array([0.0, 0.0, 1e-4]))
    array([0, 1, 2], dtype=int8)
    >>> true_kinds(np.array([300.0, 2400.0]), np.array([0.0, 0.0]), cudt=5.0)
    array([1, 2], dtype=int8)
    """
    deep = np.asarray(pratec) > 0
    triggered = np.asarray(nca) > 0
    if cudt is not None:
        minutes = np.asarray(cudt, np.float64)
        if cutop is not None:
            triggered |= (minutes <= 0) & (np.asarray(cutop) > 1)
        deep |= np.abs(np.asarray(nca) - 60.0 * minutes) > 0.5
    return np.where(~triggered, NONE, np.where(deep, DEEP, SHALLOW)).astype(np.int8)


def stored_kinds(
    nca: Array,
    pratec: Array,
    *,
    dt: float,
    cudt: float,
    cumulus_step: bool = True,
    cutop: Array | None = None,
    before: Array | None = None,
    interval: float | None = None,
) -> npt.NDArray[np.int8]:
    """Return the classes of columns from the fields of a wrfout at an output time.

    Parameters
    ----------
    nca, pratec
        NCA [s] and PRATEC [mm s-1] of the frame (south_north, west_east). NCA was decremented at the end of the
        step.
    dt
        Time step [s].
    cudt
        Minutes between calls of the scheme.
    cumulus_step
        Whether the scheme was called in the step that ends at this time. If not, every column is unknown.
    cutop
        CUTOP, above 1 where convection triggered. It is needed only if the scheme is called every step (CUDT = 0, or
        CUDT*60 = DT), because the NCA of a shallow column has then expired too.
    before
        NCA of the frame before; None for the first frame.
    interval
        Seconds between the two frames.

    Returns
    -------
    int8, same shape
        NONE, SHALLOW or DEEP if computed at this call; HELD; UNKNOWN if the file does not determine it.

    Notes
    -----
    If the frame before is at most CUDT earlier, a column was evaluated if and only if its NCA on entry,
    ``before - (steps - 1) * dt``, was less than half a time step. Otherwise, shallow columns (NCA = CUDT*60 - DT and no
    rain) and columns without convection (NCA expired and no rain) are certain. Columns with rain are held if their
    NCA fell by exactly the interval, else unknown.
    """
    nca = np.asarray(nca)
    kind = np.full(nca.shape, UNKNOWN, dtype=np.int8)
    if not cumulus_step:
        return kind
    down = (nca < 0.5 * dt) & (pratec == 0)
    if cudt * 60 - dt < 0.5 * dt:
        # At the end of the step the NCA of a shallow column has expired, as in a column without convection.
        triggered = np.zeros(nca.shape, bool) if cutop is None else cutop > 1
        shallow = down & triggered
        none = down & ~triggered & (cutop is not None)
    else:
        shallow = (np.abs(nca - (cudt * 60 - dt)) < 0.5 * dt) & (pratec == 0)
        none = down & ~shallow
    deep = pratec > 0
    kind[none] = NONE
    kind[shallow] = SHALLOW
    if before is None or interval is None:
        return kind
    if interval <= max(cudt * 60, dt) + 0.5 * dt:
        evaluated = before - (round(interval / dt) - 1) * dt < 0.5 * dt
        kind[deep & evaluated] = DEEP
        kind[~evaluated] = HELD
    else:
        kind[deep & (np.abs(before - interval - nca) < 0.5 * dt)] = HELD
    return kind


@dataclass(frozen=True)
class Classes:
    """Numbers of columns of each class. ``print`` shows a table.

    Attributes
    ----------
    none, shallow, deep
        Numbers of columns that the scheme computed at that call, by the convection that it diagnosed.
    held
        Number of columns whose tendencies are held from an earlier call.
    unknown
        Number of columns for which the file does not determine the class.
    """

    none: int
    shallow: int
    deep: int
    held: int = 0
    unknown: int = 0

    @property
    def total(self) -> int:
        """Number of all columns."""
        return self.none + self.shallow + self.deep + self.held + self.unknown

    @property
    def pairs(self) -> int:
        """Number of columns that can be used for training."""
        return self.none + self.shallow + self.deep

    def __add__(self, other: Classes) -> Classes:
        return Classes(*(getattr(self, k) + getattr(other, k) for k in KINDS))

    def __str__(self) -> str:
        total = max(self.total, 1)
        rows: list[tuple[object, ...]] = [
            (name, getattr(self, name), f"{100 * getattr(self, name) / total:6.1f} %") for name in KINDS
        ]
        rows.append(("pairs", self.pairs, f"of {self.total}"))
        return "\n".join(aligned(rows, align="<><", widths=(8, 10), gap=" "))

    @classmethod
    def count(cls, kind: Array) -> Classes:
        """Count an array of KIND values."""
        return cls(*(int(np.count_nonzero(kind == value)) for value in KINDS.values()))


def count_classes(columns: xr.Dataset) -> Classes:
    """Count the classes of a columns dataset.

    Parameters
    ----------
    columns
        Result of `convection_columns`; only KIND is read.

    Returns
    -------
    Classes
        Number of columns of each class.

    Examples
    --------
    >>> print(count_classes(xr.Dataset(coords={"KIND": ("column", np.array([0, 0, 1, 3], "int8"))})))
    none              2   50.0 %
    shallow           1   25.0 %
    deep              0    0.0 %
    held              1   25.0 %
    unknown           0    0.0 %
    pairs             3 of 4
    """
    return Classes.count(columns["KIND"].values)
