"""Nested dissection of a structured grid: the order of elimination with the fewest operations for sparse LU."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["nested_dissection"]

LEAF = 4


def nested_dissection(shape: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """Return the unknowns of a grid in the order of nested dissection (George 1973, doi 10.1137/0710032).

    A line (or plane) of nodes across the longest axis separates the grid into two parts, which are ordered first, each
    in the same way. It suits stencils that reach the next node only.

    Parameters
    ----------
    shape
        Unknowns along each axis.

    Returns
    -------
    array
        Permutation (n,) of the unknowns in C order.

    Examples
    --------
    >>> nested_dissection((1, 9)).tolist()
    [0, 1, 2, 3, 5, 6, 7, 8, 4]
    """
    numbers = np.arange(int(np.prod(shape)), dtype=np.int64).reshape(shape)
    parts: list[npt.NDArray[np.int64]] = []
    waiting = [numbers]
    while waiting:  # the separator of a part follows both halves, so that the order is built from its end
        part = waiting.pop()
        if not part.size:
            continue
        if max(part.shape) <= LEAF:
            parts.append(part.ravel())
            continue
        turned = np.moveaxis(part, int(np.argmax(part.shape)), 0)
        middle = turned.shape[0] // 2
        parts.append(turned[middle].ravel())
        waiting += [turned[:middle], turned[middle + 1 :]]
    return np.concatenate(parts[::-1])
