"""The discrete Green's functions of a trained operator, beside the columns of the inverse of the system."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator, svds
from torch import Tensor

from sciml.analysis import Action, LinearAction, linearize
from sciml.checks import check_whole
from sciml.errors import InputError
from sciml.multigrid.torch.stencils import stencil_of
from sciml.multigrid.torch.transfers import LevelLayout
from sciml.nn.parametrize import dense_copy
from sciml.operators.requirements import check_family
from sciml.operators.trained_operator import TrainedOperator
from sciml.pde.elliptic import Elliptic, discretize
from sciml.pde.grid import Grid
from sciml.pde.system import System
from sciml.progress import Update
from sciml.tables import aligned

__all__ = ["GreensFunctions", "greens_functions"]

Array = NDArray[Any]

RTOL = 1e-12  # of the solves with pyamg


@dataclass(frozen=True, eq=False)
class GreensFunctions:
    """The linear operator of a network at one source, compared with the inverse of the system.

    Attributes
    ----------
    mode
        ``frozen`` or ``tangent``, see `greens_functions`.
    grid
        Grid of the fields.
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
    modes, exact_modes
        Left singular vectors of the network and of the inverse, (mode, y, x). Those of equal values are not unique.
    residual
        Norm of the residual (the effect of biases), relative to the prediction.
    """

    mode: Action
    grid: Grid
    points: Array
    network: Array
    exact: Array
    error: float
    asymmetry: float
    singular_values: Array
    exact_singular_values: Array
    modes: Array
    exact_modes: Array
    residual: float

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as values of JSON; `errors` has the relative error of each point."""
        return {
            "mode": self.mode,
            "points": self.points.tolist(),
            "error": self.error,
            "errors": self.errors.tolist(),
            "asymmetry": self.asymmetry,
            "residual": self.residual,
            "singular_values": self.singular_values.tolist(),
            "exact_singular_values": self.exact_singular_values.tolist(),
        }

    @property
    def errors(self) -> Array:
        """Relative error of the response to each source, (source,)."""
        rest, exact = ((x**2).sum((1, 2)) for x in (self.network - self.exact, self.exact))
        relative: Array = np.sqrt(rest / exact)
        return relative

    def __str__(self) -> str:
        pairs = zip(self.singular_values, self.exact_singular_values, strict=True)
        rows = [("mode", "network", "inverse", "ratio")]
        rows += [
            (str(number), f"{own:.4g}", f"{exact:.4g}", f"{own / exact:.3f}")
            for number, (own, exact) in enumerate(pairs, 1)
        ]
        head = (
            f"Green's functions ({self.mode}) of {len(self.points)} points: error {self.error:.2%}, symmetry defect "
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
    mode: Action = "frozen",
    progress: Update | None = None,
) -> GreensFunctions:
    """Compute Green's functions of an operator from source to solution, without its matrix.

    The operator is linearized at the source of the problem (`sciml.analysis.linearize`), in float64. Memory is that of
    the network's gradient and of the columns that are returned.

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
    mode
        ``frozen``, the operator that gives the prediction from the source, or ``tangent``, the response to a change of
        the source. They are equal for a network of ReLU.
    progress
        Function of the number of responses done and of their total.

    Returns
    -------
    GreensFunctions
        The responses, their error, the symmetry defect and the leading singular vectors.

    Raises
    ------
    InputError
        The operator does not take a source or the grid of the problem, the system is not definite, a point is outside
        of the grid, or a number is out of range.
    """
    system = problem if isinstance(problem, System) else discretize(problem)
    check_whole("modes", modes, 1)
    check_whole("probes", probes, 1)
    if not operator.takes_system and operator.inputs != ("source",):
        raise InputError(
            f"the operator of {operator.family} takes {', '.join(operator.inputs)}: Green's functions are those of an "
            "operator from source to solution, such as one of the family poisson"
        )
    if system.kind != "definite":
        raise InputError(f"a {system.kind} system has no Green's functions here: give a definite one")
    operator.check(system.on_grid)
    if not operator.takes_system and not isinstance(problem, System):
        check_family(operator, problem)
    if modes > system.size - 2:
        raise InputError(f"modes={modes} on a grid of {system.size} points: give at most {system.size - 2}")
    places = _places(points, system.on_grid)
    volumes = system.weights
    action = _action(operator, system, mode)
    flat = np.ravel_multi_index(tuple(places.T), system.on_grid.shape)
    inverse = _inverse(system, volumes)
    own, exact = np.empty((2, len(flat), system.size))
    for number, place in enumerate(flat):
        unit = np.zeros(system.size)
        unit[place] = 1.0
        own[number], exact[number] = action.matvec(unit), inverse.matvec(unit)
        if progress is not None:
            progress(number + 1, len(flat))
    left, values, _ = action.svds(modes, seed=seed)
    start = np.random.default_rng(seed).standard_normal(system.size)
    true_left, true_values, _ = svds(inverse, modes, v0=start)
    order = np.argsort(-true_values)
    shape = system.on_grid.shape
    return GreensFunctions(
        mode=mode,
        grid=system.on_grid,
        points=places,
        network=own.reshape(-1, *shape),
        exact=exact.reshape(-1, *shape),
        error=float(np.linalg.norm(own - exact) / np.linalg.norm(exact)),
        asymmetry=_asymmetry(action, volumes, probes, seed),
        singular_values=values,
        exact_singular_values=true_values[order],
        modes=left.T.reshape(-1, *shape),
        exact_modes=true_left.T[order].reshape(-1, *shape),
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


def _action(operator: TrainedOperator, system: System, mode: Action) -> LinearAction:
    """Linearize the map from the source to the solution."""
    grid = system.on_grid
    copied = replace(operator, network=dense_copy(operator.network).double().eval())
    source = torch.from_numpy(system.field(system.rhs) / grid.volumes())[None]
    stencil, volumes = stencil_of(system.matrix, grid)[None], torch.from_numpy(grid.volumes())

    def predict(field: Tensor) -> Tensor:
        if operator.takes_system:
            made: Tensor = copied.network(stencil, (field * volumes)[:, None], LevelLayout.of(grid))[:, 0]
            return made
        return copied.differentiable({"source": field}, grid)

    return linearize(predict, source, mode)


def _inverse(system: System, volumes: Array) -> LinearOperator:
    """Return the map from source to solution, by conjugate gradients with a hierarchy of pyamg."""
    import pyamg

    hierarchy = pyamg.ruge_stuben_solver(system.matrix)

    def solve(b: Array) -> Array:
        solution: Array = hierarchy.solve(b, tol=RTOL, accel="cg", maxiter=200)
        return solution

    n = system.size
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
