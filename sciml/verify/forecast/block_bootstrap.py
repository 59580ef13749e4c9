"""Block bootstrap of sums: the terms of a score are summed by blocks of time and space, and blocks are resampled.

A score of rain is a function of sums, such as hits and misses, squares of fractions, or products of anomalies. With
sums by block, the sums of a thousand resamples are one matrix product, so the interval takes little additional time.
The blocks are drawn by `scores.processing.block_bootstrap`, circular in time (Kuensch 1989; Politis and Romano 1992).
"""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sciml.checks import is_whole
from sciml.errors import InputError, SciMLError

__all__ = ["Blocks", "library", "require_scores"]

Array = NDArray[Any]

MANY: Final = 20
"""Number of windows from which blocks divide time only."""
SUBDOMAINS: Final = 4
LEVEL: Final = 0.95


def library(name: str) -> Any:
    """Import a module of the package `scores`.

    Raises
    ------
    SciMLError
        The package is not installed.
    """
    try:
        return importlib.import_module(f"scores.{name}")
    except ImportError as error:
        raise SciMLError(_absent(str(error))) from error


def require_scores() -> None:
    """Raise an error if the package `scores` is not installed.

    Raises
    ------
    SciMLError
        The package is not installed.
    """
    if importlib.util.find_spec("scores") is None:
        raise SciMLError(_absent("no module named scores"))


def _absent(reason: str) -> str:
    return f"rain is scored by the package scores, which cannot be imported ({reason}): pip install scores"


@dataclass(frozen=True, eq=False)
class Blocks:
    """Division of windows and grid into blocks, and the number of draws of each block in each resample.

    Parameters
    ----------
    shape
        Shape (window, y, x) of the fields.
    length
        Number of windows in a block.
    subdomains
        Number of subdomains of the grid along (y, x).
    draws
        Number of draws, (resample, window * subdomain_y * subdomain_x).
    """

    shape: tuple[int, int, int]
    length: int
    subdomains: tuple[int, int]
    draws: Array = field(repr=False)

    @classmethod
    def of(
        cls,
        shape: tuple[int, int, int],
        *,
        length: int | None = None,
        per_day: float | None = None,
        resamples: int = 1000,
        seed: int = 7,
    ) -> Blocks:
        """Divide into blocks and draw them.

        Parameters
        ----------
        length
            Number of windows in a block; by default the number in one day if there are at least five days, else the
            cube root of the number of windows.
        per_day
            Number of windows in a day.
        resamples, seed
            Number of resamples and seed of the bootstrap.

        Raises
        ------
        InputError
            The length or the number of resamples is out of range.
        """
        count, rows, columns = shape
        if not is_whole(resamples, 0) or not (length is None or (is_whole(length, 1) and length <= count)):
            raise InputError(
                f"resamples={resamples}, length={length}: give at least 0, and 1 to {count} windows a block"
            )
        if length is None:
            day = round(per_day) if per_day else 0
            length = day if day and count >= 5 * day else max(1, round(count ** (1 / 3)))
        most = (1, 1) if count >= MANY else (SUBDOMAINS, SUBDOMAINS)
        subdomains = (max(1, min(most[0], rows // 4)), max(1, min(most[1], columns // 4)))
        return cls(shape, length, subdomains, _drawn((count, *subdomains), length, resamples, seed))

    @property
    def count(self) -> int:
        """Number of different blocks."""
        return -(-self.shape[0] // self.length) * self.subdomains[0] * self.subdomains[1]

    def sums(self, values: Array) -> Array:
        """Sum (..., window, y, x) by window and subdomain: (..., window * subdomain_y * subdomain_x)."""
        for axis, count in zip((-2, -1), self.subdomains, strict=True):
            size = values.shape[axis]
            values = np.add.reduceat(values, _starts(size, count), axis=axis)
        return values.reshape(*values.shape[:-3], -1)

    def resampled(self, sums: Array) -> Array:
        """Compute the sums of each resample, (..., resample); the sum of the sample is ``sums.sum(-1)``."""
        return np.asarray(sums @ self.draws.T)

    def interval(self, score: Array) -> Array:
        """Compute the middle 95 % of resamples, (..., resample) to (..., 2); NaN with a single block."""
        ends = np.full((*score.shape[:-1], 2), np.nan)
        # With many undefined resamples the interval would not be meaningful.
        enough = np.isfinite(score).mean(-1) > 0.5 if score.shape[-1] else np.zeros(score.shape[:-1], bool)
        if self.count > 1 and enough.any():
            tail = (1 - LEVEL) / 2
            known = np.where(np.isfinite(score), score, np.nan)[enough]
            ends[enough] = np.nanquantile(known, [tail, 1 - tail], axis=-1).T
        return ends

    def describe(self, window: str) -> str:
        """Describe the method of the intervals."""
        if self.count < 2:
            return "no intervals: there is only one block"
        cut = (
            f" and {self.subdomains[0]} x {self.subdomains[1]} subdomains of the grid"
            if max(self.subdomains) > 1
            else ""
        )
        return (
            f"intervals: the middle 95 % of {self.draws.shape[0]} resamples of blocks of {self.length} "
            f"window{'s' * (self.length > 1)} of {window}{cut}"
        )


def _starts(size: int, count: int) -> Array:
    return np.linspace(0, size, count, endpoint=False).round().astype(int)


def _drawn(shape: tuple[int, int, int], length: int, resamples: int, seed: int) -> Array:
    """Count the draws of each block in each resample; the state of the global generator is restored."""
    xr = importlib.import_module("xarray")
    size = int(np.prod(shape))
    if not resamples:
        return np.zeros((0, size))
    dims = ("window", "subdomain_y", "subdomain_x")
    index = xr.DataArray(np.arange(size, dtype=float).reshape(shape), dims=dims)
    blocks = {name: (length if name == "window" else 1) for name, n in zip(dims, shape, strict=True) if n > 1}
    if not blocks:
        return np.ones((resamples, size))
    draw = library("processing").block_bootstrap
    state = np.random.get_state()  # noqa: NPY002
    try:
        np.random.seed(seed)  # noqa: NPY002  # the generator that scores uses
        drawn = draw(index, blocks=blocks, n_iteration=resamples, circular=True)
    finally:
        np.random.set_state(state)  # noqa: NPY002
    chosen = drawn.transpose("iteration", *dims).values.reshape(resamples, -1).astype(int)
    return np.stack([np.bincount(row, minlength=size) for row in chosen]).astype(float)
