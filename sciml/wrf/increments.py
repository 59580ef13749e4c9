"""Amounts between frames from running totals, with rounding, resets to zero, and frames without a predecessor.

Each chunk along time is a task, which reads each total once.
"""

from __future__ import annotations

import functools
import warnings
from typing import Any, Final

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph

__all__ = ["DIFFERENCE", "ELSEWHERE", "NOT_KNOWN", "TOTAL", "amount_between", "increments"]

Array = npt.NDArray[Any]
Rules = npt.NDArray[np.int8]

DIFFERENCE: Final = 0
"""The amount of a frame is its total minus the total of the frame before."""
ELSEWHERE: Final = 1
"""As `DIFFERENCE`, with the frame before shifted to the same ground; NaN where the total falls."""
TOTAL: Final = 2
"""The amount is the total, because the run began at the time of the frame before or there is no such frame."""
NOT_KNOWN: Final = 3
"""The amount is NaN."""

# Fraction of the largest total before; no format in use rounds as coarsely.
_BEYOND_ROUNDING: Final = 0.1
_SMALLEST_WARNED: Final = 0.1  # mm


class _Warner:
    """Warns once, from the first task that calls it."""

    def __init__(self, source: str) -> None:
        self._left = [source]

    def __call__(self, fall: float, cells: int) -> None:
        try:
            source = self._left.pop()
        except IndexError:
            return
        warnings.warn(
            f"{source}: from one frame to the next the total precipitation falls by up to {fall:.3g} mm in {cells} "
            "cells, more than rounding explains, while most cells do not fall, so this is not a reset; the amount "
            "there is set to 0 mm: check that the file is not damaged, that its frames are of one run, and that "
            "BUCKET_MM, I_RAINC and I_RAINNC are in it",
            stacklevel=2,
        )


def amount_between(now: Array, before: Array, *, moved: bool = False, warner: _Warner | None = None) -> Array:
    """Precipitation between two frames [mm], from the totals of a whole field in both.

    Parameters
    ----------
    now, before
        Totals [mm] of the same shape, in any precision; NaN where they are not known.
    moved
        Whether the nest moved. Then a total that falls by more than rounding gives NaN, and no reset is assumed.

    Notes
    -----
    Totals were reset if, of the cells with at least a tenth of the largest total before, more than half lose more than
    a third of their total. Otherwise a total that falls was rounded (packed, quantised), and the amount is 0. The
    amount is also 0 where no total falls by more than the step between values.

    Examples
    --------
    >>> amount_between(np.array([128.02, 3.5]), np.array([128.05, 3.0]))
    array([0. , 0.5])
    >>> amount_between(np.array([0.25, 3.5]), np.array([128.05, 3.0]))
    array([0.25, 3.5 ])
    """
    gained = now - before
    largest = float(np.fmax.reduce(np.maximum(before, 0), axis=None, initial=0.0))
    low = float(np.fmin.reduce(gained, axis=None, initial=0.0))
    if low < -_BEYOND_ROUNDING * largest and -low > 1.01 * (_step(before) + _step(now)):
        beyond = gained < -_BEYOND_ROUNDING * largest
        if moved:
            gained = np.where(beyond, np.nan, gained)
        else:
            high = before > _BEYOND_ROUNDING * largest
            if 2 * np.count_nonzero(gained[high] < -before[high] / 3) > np.count_nonzero(high):
                return np.asarray(np.maximum(now, 0))
            if warner is not None and low < -_SMALLEST_WARNED:
                warner(-low, int(np.count_nonzero(beyond)))
    return np.asarray(np.maximum(gained, 0))


def _step(totals: Array) -> float:
    """Smallest difference between totals [mm] if they have few values, each in many cells; else 0."""
    wet = totals[np.isfinite(totals) & (totals != 0)]
    values = np.unique(wet)
    return float(np.diff(values).min()) if 4 <= values.size <= wet.size / 2 else 0.0


def increments(
    total: xr.DataArray, rules: Rules, source: str, before: xr.DataArray | None = None
) -> xr.DataArray:
    """Precipitation between each frame and the frame before [mm], float32, lazy where `total` is lazy.

    Parameters
    ----------
    total
        Running total with the dimension Time.
    rules
        `DIFFERENCE`, `ELSEWHERE`, `TOTAL` or `NOT_KNOWN` for each frame; for the first frame `TOTAL` or `NOT_KNOWN`.
    source
        Name of the file, for the warning about totals that fall by more than rounding.
    before
        Total in the frame before each frame, with the same dims; default: the frame before in `total`.
    """
    ordered = total.transpose("Time", ...)
    warner = _Warner(source)
    if not isinstance(ordered.data, da.Array):
        whole = ordered.values
        earlier = _shifted(whole) if before is None else before.transpose(*ordered.dims).values
        data: Any = _block(whole, earlier, rules, warner)
    else:
        data = _lazily(ordered, rules, before, warner)
    out = xr.DataArray(data, dims=ordered.dims)
    return out.transpose(*total.dims).assign_coords(total.coords)


def _shifted(totals: Array, last: Array | None = None) -> list[Any]:
    """The frame before each frame of a block; `last` before the first frame."""
    return [last, *totals[:-1]]


def _block(now: Array, earlier: Any, rules: Rules, warner: _Warner) -> Array:
    out = np.empty(now.shape, np.float32)
    for k, rule in enumerate(rules):
        if rule == NOT_KNOWN:
            out[k] = np.nan
        elif rule == TOTAL:
            out[k] = np.maximum(now[k], 0)
        else:
            out[k] = amount_between(now[k], earlier[k], moved=bool(rule == ELSEWHERE), warner=warner)
    return out


def _after(now: Array, chunk_before: Array | None, rules: Rules, warner: _Warner) -> Array:
    last = None if chunk_before is None else chunk_before[-1]
    return _block(now, _shifted(now, last), rules, warner)


def _lazily(ordered: xr.DataArray, rules: Rules, before: xr.DataArray | None, warner: _Warner) -> da.Array:
    # A reset is detected in a whole field, so a chunk has whole fields.
    whole = ordered.chunk(dict.fromkeys(ordered.dims[1:], -1)).data
    chunks, tail = whole.chunks, (0,) * (ordered.ndim - 1)
    others = [whole]
    if before is not None:
        others.append(before.transpose(*ordered.dims).data.rechunk(chunks))
    name = f"rain-{tokenize(*others, rules)}"
    graph: dict[Any, Any] = {}
    edges = np.concatenate([[0], np.cumsum(chunks[0])])
    for k in range(len(chunks[0])):
        own = rules[edges[k] : edges[k + 1]]
        chunk = (whole.name, k, *tail)
        if before is not None:
            call = functools.partial(_block, rules=own, warner=warner)
            graph[(name, k, *tail)] = (call, chunk, (others[1].name, k, *tail))
        else:
            call = functools.partial(_after, rules=own, warner=warner)
            graph[(name, k, *tail)] = (call, chunk, (whole.name, k - 1, *tail) if k else None)
    layers = HighLevelGraph.from_collections(name, graph, dependencies=others)
    return da.Array(layers, name, chunks, dtype=np.float32)
