"""The coarsest level of a hierarchy, where equations are solved exactly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sciml.errors import InputError
from sciml.pde.grid import Field
from sciml.pde.system import Matrix

__all__ = ["Coarsest", "inverse_of"]

LARGEST_INVERSE = 3000
NEGLIGIBLE = 1e-10


class Coarsest:
    """The exact solution on the coarsest level, as pyamg calls it."""

    def __init__(self, inverse: Field) -> None:
        self.inverse = inverse

    def __call__(self, _matrix: Matrix, b: Field) -> Field:
        return np.asarray(self.inverse @ b)

    def __repr__(self) -> str:
        return "dense inverse"


def inverse_of(chain: Sequence[Matrix], singular: bool) -> Field:
    """The inverse of the coarsest matrix; of a singular one the pseudo-inverse, constants being its kernel."""
    last = chain[-1]
    if last.shape[0] > LARGEST_INVERSE:
        raise InputError(
            f"coarsening stopped at {last.shape[0]} unknowns: use another method ('ruge_stuben' coarsens most matrices)"
        )
    full = np.asarray(last.toarray())
    if not singular:
        inverse = np.linalg.inv(full)
        return (inverse + inverse.T) / 2 if np.allclose(full, full.T, rtol=1e-12) else inverse
    values, vectors = np.linalg.eigh((full + full.T) / 2)
    # Of a single unknown nothing but round-off is left, which only the level above can tell.
    scale = max(float(np.abs(chain[-2].diagonal()).max()) if len(chain) > 1 else 0.0, float(values.max()))
    kept = values > NEGLIGIBLE * scale
    return np.asarray((vectors[:, kept] / values[kept]) @ vectors[:, kept].T)
