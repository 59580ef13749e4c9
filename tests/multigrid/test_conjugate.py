"""Steps of conjugate gradients, which all loops of the package share."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator, cg

import sciml
from sciml.multigrid.conjugate import ConjugateDirection, MatrixSpace
from sciml.pde import Darcy, TwoPhase, discretize
from sciml.pde.grid import Field

SYSTEM = discretize(Darcy(15, TwoPhase(3, 12), seed=9))
INVERSE = 1 / SYSTEM.matrix.diagonal()


class Counted(MatrixSpace):
    """A space that counts its products and inner products."""

    counts: dict[str, int]

    def __init__(self, matrix: Any) -> None:
        super().__init__(matrix)
        object.__setattr__(self, "counts", {"apply": 0, "dot": 0})

    def apply(self, x: Field, out: Field | None = None) -> Field:
        self.counts["apply"] += 1
        return super().apply(x, out)

    def dot(self, x: Field, y: Field) -> Any:
        self.counts["dot"] += 1
        return super().dot(x, y)


def iterated(steps: int, memory: int, space: MatrixSpace | None = None) -> Field:
    space = space or MatrixSpace(SYSTEM.matrix)
    direction, x, r = ConjugateDirection(space, memory), np.zeros(SYSTEM.grid.size), SYSTEM.rhs.copy()
    for _ in range(steps):
        step = direction.step(r, INVERSE * r)
        x += step.length * step.direction
        r -= step.length * step.image
    return x


@pytest.mark.parametrize("memory", [0, 1, 5])
def test_the_iterates_are_those_of_scipy(memory: int) -> None:
    seen: list[Field] = []
    jacobi = LinearOperator(SYSTEM.matrix.shape, matvec=lambda r: INVERSE * r)
    cg(SYSTEM.matrix, SYSTEM.rhs, rtol=1e-12, maxiter=12, M=jacobi, callback=lambda x: seen.append(x.copy()))
    for steps in (1, 4, 12):
        np.testing.assert_allclose(iterated(steps, memory), seen[steps - 1], rtol=1e-9)


@pytest.mark.parametrize(("memory", "dots"), [(0, 2), (1, 3), (5, 7)])
def test_one_product_with_the_matrix_a_step(memory: int, dots: int) -> None:
    few, many = Counted(SYSTEM.matrix), Counted(SYSTEM.matrix)
    iterated(8, memory, few)
    iterated(18, memory, many)
    assert many.counts["apply"] - few.counts["apply"] == 10
    assert many.counts["dot"] - few.counts["dot"] == 10 * dots


def test_a_known_image_spares_the_product() -> None:
    space = Counted(SYSTEM.matrix)
    plain, known = ConjugateDirection(MatrixSpace(SYSTEM.matrix)), ConjugateDirection(space)
    r = SYSTEM.rhs
    for _ in range(4):
        z = INVERSE * r
        expected, step = plain.step(r, z), known.step(r, z, SYSTEM.matrix @ z)
        np.testing.assert_allclose(step.image, expected.image, rtol=1e-9, atol=1e-12)
        r = r - expected.length * expected.image
    assert space.counts["apply"] == 0


@pytest.mark.parametrize("memory", [1, 3])
def test_directions_are_conjugate_whatever_the_preconditioner(memory: int) -> None:
    rng = np.random.default_rng(3)
    direction, r = ConjugateDirection(MatrixSpace(SYSTEM.matrix), memory), SYSTEM.rhs.copy()
    steps = []
    for _ in range(6):
        steps.append(direction.step(r, rng.uniform(0.5, 2, r.size) * r))
        r = r - steps[-1].length * steps[-1].image
    for later, earlier in ((i, i - j) for i in range(1, 6) for j in range(1, min(memory, i) + 1)):
        energy = (steps[later].energy * steps[earlier].energy) ** 0.5
        assert abs(steps[later].direction @ steps[earlier].image) < 1e-10 * energy


def test_a_direction_without_energy_is_not_used_again() -> None:
    matrix = sp.csr_matrix(np.diag([1.0, -1.0, 2.0]))
    direction = ConjugateDirection(MatrixSpace(matrix))
    first = direction.step(np.ones(3), np.array([0.0, 1.0, 0.0]))
    assert first.energy == -1
    np.testing.assert_array_equal(direction.step(np.ones(3), np.ones(3)).direction, np.ones(3))


def test_a_preconditioner_may_return_the_residual_itself() -> None:
    """The direction is a copy: the loops change r in place."""
    r = SYSTEM.rhs.copy()
    for memory in (0, 1):
        step = ConjugateDirection(MatrixSpace(SYSTEM.matrix), memory).step(r, r)
        assert not np.shares_memory(step.direction, r)


def test_no_loop_computes_its_own_directions() -> None:
    """Each module that iterates by conjugate gradients takes its steps from the shared class."""
    source = Path(sciml.__file__).parent
    users = {
        str(path.relative_to(source))
        for path in source.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "ConjugateDirection"
    }
    assert users == {
        "multigrid/bounds.py",
        "multigrid/certified.py",
        "multigrid/krylov.py",
        "multigrid/torch/krylov.py",
        "operators/preconditioning.py",
        "verify/operator/iterations.py",
    }
