"""Block bootstrap of sums: what a score is made of is added up by blocks of time and space, and blocks are drawn.

A score of rain is a formula of sums: hits and misses, squares of fractions, products of anomalies. Kept by block, the
sums of a thousand resamples are one matrix product, and a score with its interval costs little more than the score.
The blocks are drawn by `scores.processing.block_bootstrap`, circular in time (Kuensch 1989; Politis and Romano 1992).
"""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sciml.errors import InputError, SciMLError

__all__ = ["Blocks", "library", "require_scores"]

Array = NDArray[Any]

MANY: Final = 20
"""From so many windows on, blocks are drawn of time alone."""
TILES: Final = 4
LEVEL: Final = 0.95


def library(name: str) -> Any:
    """A module of the package `scores`.

    Raises
    ------
    SciMLError
        It is not installed.
    """
    try:
        return importlib.import_module(f"scores.{name}")
    except ImportError as error:
        raise SciMLError(_absent(str(error))) from error


def require_scores() -> None:
    """Refuse to begin without the package `scores`, before anything is read.

    Raises
    ------
    SciMLError
        It is not installed.
    """
    if importlib.util.find_spec("scores") is None:
        raise SciMLError(_absent("no module named scores"))


def _absent(reason: str) -> str:
    return f"rain is scored by the package scores, which cannot be imported ({reason}): pip install scores"


@dataclass(frozen=True, eq=False)
class Blocks:
    """How windows and the grid are cut into blocks, and how often each is drawn in each resample.

    Parameters
    ----------
    shape
        (window, y, x) of the fields.
    length
        Windows in a block.
    tiles
        (y, x): into how many tiles the grid is cut.
    draws
        (resample, window * tile_y * tile_x): how often each is drawn.
    """

    shape: tuple[int, int, int]
    length: int
    tiles: tuple[int, int]
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
        """Cut into blocks and draw them.

        Parameters
        ----------
        length
            Windows in a block; by default a day of them where there are at least five days, else the cube root of
            their number.
        per_day
            Windows a day.
        resamples, seed
            Of the bootstrap.

        Raises
        ------
        InputError
            A length or number of resamples out of range.
        """
        count, rows, columns = shape
        if resamples < 0 or (length is not None and not 1 <= length <= count):
            raise InputError(
                f"resamples={resamples}, length={length}: give at least 0, and 1 to {count} windows a block"
            )
        if length is None:
            day = round(per_day) if per_day else 0
            length = day if day and count >= 5 * day else max(1, round(count ** (1 / 3)))
        most = (1, 1) if count >= MANY else (TILES, TILES)
        tiles = (max(1, min(most[0], rows // 4)), max(1, min(most[1], columns // 4)))
        return cls(shape, length, tiles, _drawn((count, *tiles), length, resamples, seed))

    @property
    def count(self) -> int:
        """How many different blocks there are."""
        return -(-self.shape[0] // self.length) * self.tiles[0] * self.tiles[1]

    def sums(self, values: Array) -> Array:
        """Add up (..., window, y, x) by window and tile: (..., window * tile_y * tile_x)."""
        for axis, tiles in zip((-2, -1), self.tiles, strict=True):
            size = values.shape[axis]
            values = np.add.reduceat(values, _starts(size, tiles), axis=axis)
        return values.reshape(*values.shape[:-3], -1)

    def resampled(self, sums: Array) -> Array:
        """The sums of each resample, (..., resample); the whole sum is ``sums.sum(-1)``."""
        return np.asarray(sums @ self.draws.T)

    def interval(self, score: Array) -> Array:
        """(..., resample) to (..., 2): the middle 95 % of the resamples; NaN where one block is all there is."""
        found = np.full((*score.shape[:-1], 2), np.nan)
        # Where many resamples have no such score at all, the rest tell too little.
        enough = np.isfinite(score).mean(-1) > 0.5 if score.shape[-1] else np.zeros(score.shape[:-1], bool)
        if self.count > 1 and enough.any():
            tail = (1 - LEVEL) / 2
            known = np.where(np.isfinite(score), score, np.nan)[enough]
            found[enough] = np.nanquantile(known, [tail, 1 - tail], axis=-1).T
        return found

    def told(self, window: str) -> str:
        """How the intervals were made, in words."""
        if self.count < 2:
            return "there is one block only, so no interval can be told"
        cut = (
            f" and tiles of a {self.tiles[0]} x {self.tiles[1]} cut of the grid"
            if max(self.tiles) > 1
            else ""
        )
        return (
            f"intervals: the middle 95 % of {self.draws.shape[0]} resamples of blocks of {self.length} "
            f"window{'s' * (self.length > 1)} of {window}{cut}"
        )


def _starts(size: int, tiles: int) -> Array:
    return np.linspace(0, size, tiles, endpoint=False).round().astype(int)


def _drawn(shape: tuple[int, int, int], length: int, resamples: int, seed: int) -> Array:
    """How often each block is drawn in each resample; the global generator is left as it was."""
    xr = importlib.import_module("xarray")
    size = int(np.prod(shape))
    if not resamples:
        return np.zeros((0, size))
    dims = ("window", "tile_y", "tile_x")
    index = xr.DataArray(np.arange(size, dtype=float).reshape(shape), dims=dims)
    blocks = {name: (length if name == "window" else 1) for name, n in zip(dims, shape, strict=True) if n > 1}
    if not blocks:
        return np.ones((resamples, size))
    draw = library("processing").block_bootstrap
    state = np.random.get_state()  # noqa: NPY002
    try:
        np.random.seed(seed)  # noqa: NPY002  # what scores draws from
        found = draw(index, blocks=blocks, n_iteration=resamples, circular=True)
    finally:
        np.random.set_state(state)  # noqa: NPY002
    chosen = found.transpose("iteration", *dims).values.reshape(resamples, -1).astype(int)
    return np.stack([np.bincount(row, minlength=size) for row in chosen]).astype(float)
