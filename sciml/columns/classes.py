"""Which columns the scheme computed at that call, and what it found there.

A column whose tendencies are held from an earlier call shows tendencies that do not belong to the state
beside them: it must never become a training pair. The rules are those measured on WRF 4.3.3 (see
`stored_kinds`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import xarray as xr

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
    "long_name": "what the scheme found in the column",
    "flag_values": np.array([UNKNOWN, NONE, SHALLOW, DEEP, HELD], dtype=np.int8),
    "flag_meanings": "unknown none shallow deep held",
}


def true_kinds(
    nca: Array, pratec: Array, cudt: float | None = None, cutop: Array | None = None
) -> npt.NDArray[np.int8]:
    """Classes from the scheme's own return values, every column evaluated.

    Parameters
    ----------
    nca
        The hold time on return [s], any shape; positive where something triggered.
    pratec
        The precipitation rate [mm s-1], same shape; zero in shallow columns.
    cudt
        Minutes between calls, which is the hold time of shallow columns: tells the deep ones whose rain
        evaporates altogether. None if not known.
    cutop
        CUTOP, above 1 where something triggered; needed with CUDT = 0, where shallow columns return NCA = 0.

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
    if cudt is not None and cudt <= 0 and cutop is not None:
        triggered |= np.asarray(cutop) > 1
    if cudt is not None:
        deep |= np.abs(np.asarray(nca) - 60.0 * float(cudt)) > 0.5
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
    """Classes from what a wrfout holds at one output time.

    Parameters
    ----------
    nca, pratec
        NCA [s] and PRATEC [mm s-1] of the frame (south_north, west_east): NCA after the decrement at the
        step's end.
    dt
        Time step [s].
    cudt
        Minutes between calls of the scheme.
    cumulus_step
        Whether the scheme was called in the step that ends at this time. If not, every column is unknown.
    cutop
        CUTOP, above 1 where something triggered; only needed where the scheme is called every step (CUDT = 0,
        or CUDT*60 = DT), for there the NCA of a shallow column has run down too.
    before
        NCA of the frame before, if there is one.
    interval
        Seconds between the two frames.

    Returns
    -------
    int8, same shape
        NONE, SHALLOW, DEEP where computed at this call; HELD; UNKNOWN where the file cannot tell.

    Notes
    -----
    With the frame before at most CUDT earlier, a column was evaluated iff the NCA it had on entry,
    ``before - (steps - 1) * dt``, was less than half a time step. Without, shallow columns (NCA = CUDT*60 -
    DT and no
    rain) and columns without convection (NCA run down and no rain) are certain, and raining ones are held if
    their
    NCA fell by exactly the interval, else unknown.
    """
    nca = np.asarray(nca)
    kind = np.full(nca.shape, UNKNOWN, dtype=np.int8)
    if not cumulus_step:
        return kind
    down = (nca < 0.5 * dt) & (pratec == 0)
    if cudt * 60 - dt < 0.5 * dt:
        # A shallow column's NCA has run down at the step's end, as that of one where nothing triggered.
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
    """How many columns of each class there are; prints as a table."""

    none: int
    shallow: int
    deep: int
    held: int = 0
    unknown: int = 0

    @property
    def total(self) -> int:
        """All columns."""
        return self.none + self.shallow + self.deep + self.held + self.unknown

    @property
    def pairs(self) -> int:
        """Columns that may be trained on."""
        return self.none + self.shallow + self.deep

    def __add__(self, other: Classes) -> Classes:
        return Classes(*(getattr(self, k) + getattr(other, k) for k in KINDS))

    def __str__(self) -> str:
        total = max(self.total, 1)
        rows = [
            f"{name:<8} {getattr(self, name):>10d} {100 * getattr(self, name) / total:6.1f} %"
            for name in KINDS
        ]
        return "\n".join([*rows, f"{'pairs':<8} {self.pairs:>10d} of {self.total}"])

    @classmethod
    def count(cls, kind: Array) -> Classes:
        """Count an array of KIND values."""
        return cls(*(int(np.count_nonzero(kind == value)) for value in KINDS.values()))


def count_classes(columns: xr.Dataset) -> Classes:
    """Count the classes of a columns dataset (what `convection_columns` returns).

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
