"""Nested dissection of a structured grid: the order of elimination with the fewest operations for sparse LU."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["nested_dissection"]

LEAF = 4


def nested_dissection(shape: tuple[int, int]) -> npt.NDArray[np.int64]:
    """Return the unknowns of a grid in the order of nested dissection (George 1973, doi 10.1137/0710032).

    A line of nodes across the longer axis separates the rectangle into two parts, which are ordered first, each in
    the same way. It suits stencils that reach the next node only.

    Parameters
    ----------
    shape
        Unknowns along y and x.

    Returns
    -------
    array
        Permutation (n,) of the unknowns in C order of (y, x).

    Examples
    --------
    >>> nested_dissection((1, 9)).tolist()
    [0, 1, 2, 3, 5, 6, 7, 8, 4]
    """
    numbers = np.arange(shape[0] * shape[1], dtype=np.int64).reshape(shape)
    parts: list[npt.NDArray[np.int64]] = []
    waiting = [numbers]
    while waiting:  # the separator of a part follows both halves, so that the order is built from its end
        part = waiting.pop()
        if not part.size:
            continue
        if max(part.shape) <= LEAF:
            parts.append(part.ravel())
            continue
        turned = part if part.shape[0] >= part.shape[1] else part.T
        middle = turned.shape[0] // 2
        parts.append(turned[middle])
        waiting += [turned[:middle], turned[middle + 1 :]]
    return np.concatenate(parts[::-1])
