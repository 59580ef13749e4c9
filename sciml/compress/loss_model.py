"""Models of the loss of a quantised network as a function of the width of each tensor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from sciml.errors import InputError

__all__ = ["LossModel"]

Floats: TypeAlias = npt.NDArray[np.float64]
Choices: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class LossModel:
    """Predicted increase of the loss: a sum of terms of single tensors and of pairs of tensors.

    Attributes
    ----------
    name
        Name of the method.
    tensors
        Names of the tensors.
    widths
        Widths in bits, increasing.
    single
        Term of each tensor at each width (tensor, width).
    pairs
        Term of each pair of tensors (tensor, width, tensor, width), symmetric; each unordered pair counts once, and
        entries of equal tensors do not count. None without pair terms.
    """

    name: str
    tensors: tuple[str, ...]
    widths: tuple[int, ...]
    single: Floats
    pairs: Floats | None = None

    def __post_init__(self) -> None:
        shape = (len(self.tensors), len(self.widths))
        if self.single.shape != shape or (self.pairs is not None and self.pairs.shape != (*shape, *shape)):
            raise InputError(
                f"terms of shape {self.single.shape} for {shape} tensors and widths: give one of each"
            )

    def predict(self, choices: npt.ArrayLike) -> Floats:
        """Predict the increase of the loss.

        Parameters
        ----------
        choices
            Number of the width of each tensor (tensor,), or of several assignments (assignment, tensor).

        Returns
        -------
        ndarray
            One number for each assignment.
        """
        chosen = np.atleast_2d(np.asarray(choices, np.int64))
        rows = np.arange(len(self.tensors))
        total = self.single[rows, chosen].sum(1)
        if self.pairs is not None:
            for first in rows[:-1]:
                later = rows[first + 1 :]
                total = total + self.pairs[first, chosen[:, [first]], later, chosen[:, later]].sum(1)
        return np.asarray(total, np.float64)
