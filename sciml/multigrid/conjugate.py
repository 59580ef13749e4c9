"""The recurrence of conjugate gradients, on arrays of numpy and on tensors.

Every loop of conjugate gradients takes its steps from `ConjugateDirection`: the solves of `sciml.multigrid.krylov`,
`sciml.multigrid.torch.krylov` and `sciml.multigrid.certified`, `sciml.operators.preconditioning.flexible_cg`, the
bounds of `sciml.multigrid.bounds` and the counts of iterations of `sciml.verify`. The loops themselves stay apart,
because they compute the residual in different ways (by recursion, from x, with twice the precision) and stop by
different rules (a norm, each right-hand side by its own norm, an error bound, several counts at once).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from sciml.pde.grid import Field
from sciml.pde.system import Matrix

__all__ = ["ConjugateDirection", "MatrixSpace", "Step", "VectorSpace"]

Vector = TypeVar("Vector")


class VectorSpace(Protocol[Vector]):
    """Operations of conjugate gradients on the vectors of one array library.

    Where ``out`` is given, it may hold the result; the caller does not read its former values again.
    """

    def apply(self, x: Vector, out: Vector | None = None) -> Vector:
        """Compute A x."""

    def dot(self, x: Vector, y: Vector) -> Any:
        """Compute the inner product, or one for each right-hand side of a batch."""

    def ratio(self, above: Any, below: Any) -> Any:
        """Divide two inner products."""

    def add(self, x: Vector, factor: Any, y: Vector, out: Vector | None = None) -> Vector:
        """Compute x + factor y."""

    def copy(self, x: Vector) -> Vector:
        """Copy a vector."""


@dataclass(frozen=True, eq=False)
class MatrixSpace:
    """Vectors (n,) of numpy, with a sparse matrix.

    Parameters
    ----------
    matrix
        csr_matrix (n, n), symmetric.
    """

    matrix: Matrix

    def apply(self, x: Field, out: Field | None = None) -> Field:
        return np.asarray(self.matrix @ x)

    def dot(self, x: Field, y: Field) -> Any:
        return x @ y

    def ratio(self, above: Any, below: Any) -> Any:
        return above / below

    def add(self, x: Field, factor: Any, y: Field, out: Field | None = None) -> Field:
        total: Field = np.multiply(factor, y, out=out)
        total += x
        return total

    def copy(self, x: Field) -> Field:
        return x.copy()


@dataclass(frozen=True, eq=False, slots=True)
class Step(Generic[Vector]):
    """A step of conjugate gradients: x grows by ``length`` times the direction, the residual falls by its image.

    Parameters
    ----------
    direction, image
        The direction p, and A p.
    product
        r . p, or r . z, which is equal to it without rounding where the preconditioner is fixed.
    energy
        p . A p
    length
        Length that minimises the energy error along the direction, ``product / energy``.
    """

    direction: Vector
    image: Vector
    product: Any
    energy: Any

    @property
    def length(self) -> Any:
        return self.product / self.energy


class ConjugateDirection(Generic[Vector]):
    """Search directions of preconditioned conjugate gradients, each conjugate to those before it.

    Parameters
    ----------
    space
        Operations on the vectors, and the matrix.
    memory
        Number of earlier directions to which each one is made conjugate explicitly: flexible conjugate gradients (Notay
        2000, SIAM J. Sci. Comput. 22, 1444-1460), whose preconditioner may change from step to step and whose
        residuals need not come from a recursion; for one right-hand side. 0: by the ratio of r . z alone (Saad 2003,
        algorithm 9.1), with two inner products a step instead of three, for a fixed symmetric preconditioner.

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> matrix, b = sp.csr_matrix([[2.0, 1.0], [1.0, 3.0]]), np.array([1.0, 2.0])
    >>> direction, x = ConjugateDirection(MatrixSpace(matrix)), np.zeros(2)
    >>> for _ in range(2):
    ...     r = b - matrix @ x
    ...     x = x + direction.correction(r, r)
    >>> bool(np.allclose(matrix @ x, b))
    True
    """

    def __init__(self, space: VectorSpace[Vector], memory: int = 1) -> None:
        self.space = space
        self.memory = memory
        self._earlier: deque[Step[Vector]] = deque(maxlen=max(memory, 1))

    def step(self, r: Vector, z: Vector, az: Vector | None = None) -> Step[Vector]:
        """Compute the next step.

        Parameters
        ----------
        r, z
            The residual b - A x, and the preconditioner applied to it.
        az
            A z where it is known; then A times the direction follows by recursion, without another product.

        Returns
        -------
        Step
            With ``memory=0`` its vectors are overwritten by the next call.
        """
        if not self.memory:
            return self._fixed(r, z)
        space, direction, image = self.space, z, az
        for earlier in self._earlier:
            factor = -space.ratio(space.dot(z, earlier.image), earlier.energy)
            direction = space.add(direction, factor, earlier.direction)
            image = None if image is None else space.add(image, factor, earlier.image)
        if not self._earlier:
            direction = space.copy(z)
        if image is None:
            image = space.apply(direction)
        taken = Step(direction, image, space.dot(r, direction), space.dot(direction, image))
        if taken.energy > 0:
            self._earlier.append(taken)
        else:  # no direction can be made conjugate to it: start again
            self._earlier.clear()
        return taken

    def _fixed(self, r: Vector, z: Vector) -> Step[Vector]:
        space, product = self.space, self.space.dot(r, z)
        if not self._earlier:
            direction = space.copy(z)
            image = space.apply(direction)
        else:
            before = self._earlier[0]
            factor = space.ratio(product, before.product)
            direction = space.add(z, factor, before.direction, before.direction)
            image = space.apply(direction, before.image)
        taken = Step(direction, image, product, space.dot(direction, image))
        self._earlier.append(taken)
        return taken

    def correction(self, r: Vector, z: Vector, az: Vector | None = None) -> Any:
        """Compute the next step as the correction of x; parameters as in `step`."""
        taken = self.step(r, z, az)
        return taken.length * taken.direction
