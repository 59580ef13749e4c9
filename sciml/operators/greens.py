"""The discrete Green's functions of a trained operator, beside the columns of the inverse of the system."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator, svds
from torch import Tensor

from sciml.analysis import LinearAction, linearize
from sciml.checks import check_whole
from sciml.errors import InputError
from sciml.nn.parametrize import dense_copy
from sciml.operators.trained_operator import TrainedOperator, answer, takes
from sciml.pde.elliptic import Elliptic, discretize
from sciml.pde.grid import Grid
from sciml.pde.system import System
from sciml.tables import aligned

__all__ = ["GreensFunctions", "greens_functions"]

Array = NDArray[Any]

RTOL = 1e-12  # of the solves with pyamg


@dataclass(frozen=True, eq=False)
class GreensFunctions:
    """The linear operator of a network at one source, compared with the inverse of the system.

    Attributes
    ----------
    points
        Rows and columns of the sources, (source, 2).
    network, exact
        Responses to a unit source in the control volume of each point, (source, y, x).
    error
        Difference of these responses, relative to the exact ones in the Frobenius norm.
    asymmetry
        Symmetry defect ``|G - G^T| / |G|`` of the network in the Frobenius norm, estimated from random vectors; the
        exact operator is symmetric in the inner product of the control volumes.
    singular_values, exact_singular_values
        The largest, (mode,).
    modes
        Left singular vectors of the network, (mode, y, x).
    residual
        Norm of the residual (the effect of biases), relative to the prediction.
    """

    points: Array
    network: Array
    exact: Array
    error: float
    asymmetry: float
    singular_values: Array
    exact_singular_values: Array
    modes: Array
    residual: float

    def __str__(self) -> str:
        pairs = zip(self.singular_values, self.exact_singular_values, strict=True)
        rows = [("mode", "network", "inverse", "ratio")]
        rows += [
            (str(number), f"{own:.4g}", f"{exact:.4g}", f"{own / exact:.3f}")
            for number, (own, exact) in enumerate(pairs, 1)
        ]
        head = (
            f"Green's functions of {len(self.points)} points: error {self.error:.2%}, symmetry defect "
            f"{self.asymmetry:.2%}, residual {self.residual:.2%} of the prediction; singular values:"
        )
        return "\n".join([head, *aligned(rows, align=">>>>")])


def greens_functions(
    operator: TrainedOperator,
    problem: Elliptic | System,
    points: Sequence[tuple[int, int]] | None = None,
    *,
    modes: int = 6,
    probes: int = 8,
    seed: int = 7,
) -> GreensFunctions:
    """Compute Green's functions of an operator from source to solution, without its matrix.

    The operator is linearized by its frozen action at the source of the problem (`sciml.analysis.linearize`), in
    float64. Memory is that of the network's gradient and of the columns that are returned.

    Parameters
    ----------
    operator
        Operator whose only input is the source (the family ``poisson``), or one that takes the system.
    problem
        Problem on the grid of the network, with a source, of a definite system.
    points
        Rows and columns of the sources; by default the centre and four points at quarters.
    modes
        Number of singular values.
    probes
        Number of random vectors for the symmetry defect.
    seed
        Seed of these vectors.

    Returns
    -------
    GreensFunctions
        The responses, their error, the symmetry defect and the leading singular vectors.

    Raises
    ------
    InputError
        The operator does not take a source, the system is not definite, a point is outside of the grid, or a number is
        below 1.
    """
    system = problem if isinstance(problem, System) else discretize(problem)
    check_whole("modes", modes, 1)
    check_whole("probes", probes, 1)
    if takes(operator.network) != "system" and operator.inputs != ("source",):
        raise InputError(
            f"the operator of {operator.family} takes {', '.join(operator.inputs)}: Green's functions are those of an "
            "operator from source to solution, such as one of the family poisson"
        )
    if system.kind != "definite":
        raise InputError(f"a {system.kind} system has no Green's functions here: give a definite one")
    places = _places(points, system.grid)
    volumes = system.grid.volumes().ravel()
    action = _action(operator, system.rhs / volumes, system.grid)
    flat = np.ravel_multi_index(tuple(places.T), system.grid.shape)
    own = action.columns(flat).T
    inverse = _inverse(system, volumes)
    unit = np.zeros((len(flat), system.grid.size))
    unit[np.arange(len(flat)), flat] = 1.0
    exact = np.stack([inverse.matvec(x) for x in unit])
    left, values, _ = action.svds(modes, seed=seed)
    start = np.random.default_rng(seed).standard_normal(system.grid.size)
    true_values = np.sort(svds(inverse, modes, v0=start, return_singular_vectors=False))[::-1]
    shape = system.grid.shape
    return GreensFunctions(
        points=places,
        network=own.reshape(-1, *shape),
        exact=exact.reshape(-1, *shape),
        error=float(np.linalg.norm(own - exact) / np.linalg.norm(exact)),
        asymmetry=_asymmetry(action, volumes, probes, seed),
        singular_values=values,
        exact_singular_values=true_values,
        modes=left.T.reshape(-1, *shape),
        residual=float(np.linalg.norm(action.residual) / np.linalg.norm(action.output)),
    )


def _places(points: Sequence[tuple[int, int]] | None, grid: Grid) -> Array:
    ny, nx = grid.shape
    quarters = [(ny // 2, nx // 2), *((y, x) for y in (ny // 4, 3 * ny // 4) for x in (nx // 4, 3 * nx // 4))]
    places: Array = np.asarray(quarters if points is None else points)
    if (
        places.ndim != 2
        or places.shape[1] != 2
        or not np.issubdtype(places.dtype, np.integer)
        or not len(places)
    ):
        raise InputError(f"points={points!r}: give pairs of a row and a column")
    if (places < 0).any() or (places >= np.array(grid.shape)).any():
        raise InputError(f"points={places.tolist()}: the grid has {ny} rows and {nx} columns, from 0")
    return places


def _action(operator: TrainedOperator, source: Array, grid: Grid) -> LinearAction:
    network = dense_copy(operator.network).double().eval()

    def predict(field: Tensor) -> Tensor:
        return answer(network, {"source": field}, operator.normalisation, grid)

    return linearize(predict, torch.from_numpy(source.reshape(1, *grid.shape)))


def _inverse(system: System, volumes: Array) -> LinearOperator:
    """Return the map from source to solution, by conjugate gradients with a hierarchy of pyamg."""
    import pyamg

    hierarchy = pyamg.ruge_stuben_solver(system.matrix)

    def solve(b: Array) -> Array:
        solution: Array = hierarchy.solve(b, tol=RTOL, accel="cg", maxiter=200)
        return solution

    n = system.grid.size
    return LinearOperator(
        (n, n),
        matvec=lambda x: solve(volumes * x.ravel()),
        rmatvec=lambda x: volumes * solve(x.ravel()),
        dtype=np.float64,
    )


def _asymmetry(action: LinearAction, volumes: Array, probes: int, seed: int) -> float:
    """Estimate the Frobenius norms of G / v and of its difference from its transpose by random signs."""
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], (probes, len(volumes)))
    forward = np.stack([action.matvec(z / volumes) for z in signs])
    back = np.stack([action.rmatvec(z) / volumes for z in signs])
    return float(np.linalg.norm(forward - back) / np.linalg.norm(forward))
