"""Smoothers of pyamg for vectors (n, batch): weighted Jacobi, polynomials, Gauss-Seidel."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol, cast

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from sciml.errors import InputError
from sciml.pde.grid import Field
from sciml.pde.system import Matrix

__all__ = [
    "GaussSeidel",
    "Jacobi",
    "Nothing",
    "Polynomial",
    "Smoother",
    "Sweep",
    "product",
    "smoother_of",
    "sparse",
]

Sweep = Literal["forward", "backward", "symmetric"]
REVERSED: dict[Sweep, Sweep] = {"forward": "backward", "backward": "forward", "symmetric": "symmetric"}


class Smoother(Protocol):
    """Smoothing of a level before or after its coarse correction."""

    def __call__(self, x: Tensor | None, b: Tensor) -> Tensor:
        """Smooth x for the right-hand side b, both (n, batch); None is zero."""
        ...

    def adjoint(self, matrix: Matrix) -> Smoother:
        """Return the smoother of the transposed matrix whose error propagation is the adjoint in energy."""
        ...


def sparse(matrix: Matrix, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Convert a scipy matrix to a torch CSR tensor with sorted rows and 32-bit indices, for MKL and cuSPARSE."""
    csr = sp.csr_matrix(matrix, copy=True)
    csr.sum_duplicates()
    with warnings.catch_warnings():  # torch warns that CSR tensors are in beta state
        warnings.simplefilter("ignore", UserWarning)
        return torch.sparse_csr_tensor(
            torch.from_numpy(csr.indptr.astype(np.int32)),
            torch.from_numpy(csr.indices.astype(np.int32)),
            torch.from_numpy(np.asarray(csr.data, dtype=np.float64)).to(dtype),
            csr.shape,
            device=device,
        )


def product(matrix: Tensor, x: Tensor, out: Tensor | None = None) -> Tensor:
    """Multiply a CSR tensor by (n, batch), writing to ``out``; torch.mm would clear and copy the result."""
    if out is None:
        out = torch.empty(matrix.shape[0], x.shape[1], dtype=x.dtype, device=x.device)
    return torch.addmm(out, matrix, x, beta=0, out=out)


def _diagonal(matrix: Matrix) -> Field:
    diagonal = np.asarray(matrix.diagonal(), dtype=np.float64)
    if not diagonal.all():
        raise InputError(
            f"row {int(np.argmin(np.abs(diagonal)))} of a level has a zero on the diagonal: point smoothers divide by "
            "it, use method='geometric' or another coarsening"
        )
    return diagonal


class Nothing:
    """No smoothing."""

    def __call__(self, x: Tensor | None, b: Tensor) -> Tensor:
        return torch.zeros_like(b) if x is None else x

    def adjoint(self, matrix: Matrix) -> Nothing:
        return self


class Jacobi:
    """x + weight D^-1 (b - A x), ``iterations`` times."""

    def __init__(self, matrix: Matrix, operator: Tensor, weight: float, iterations: int = 1) -> None:
        self.operator, self.weight, self.iterations = operator, weight, iterations
        self.inverse = weight / _diagonal(matrix)
        self.scale = torch.from_numpy(self.inverse).to(operator.device, operator.dtype)[:, None]

    def __call__(self, x: Tensor | None, b: Tensor) -> Tensor:
        for _ in range(self.iterations):
            if x is None:
                x = self.scale * b
            else:
                x = torch.addcmul(x, self.scale, torch.addmm(b, self.operator, x, alpha=-1))
        return torch.zeros_like(b) if x is None else x

    def adjoint(self, matrix: Matrix) -> Jacobi:
        operator = sparse(matrix, self.operator.device, self.operator.dtype)
        return Jacobi(matrix, operator, self.weight, self.iterations)


@dataclass(frozen=True, eq=False)
class Polynomial:
    """x + p(A) (b - A x), highest coefficient of p first: Chebyshev and Richardson smoothing."""

    operator: Tensor
    coefficients: tuple[float, ...]
    iterations: int = 1

    def __call__(self, x: Tensor | None, b: Tensor) -> Tensor:
        for _ in range(self.iterations):
            residual = b if x is None else torch.addmm(b, self.operator, x, alpha=-1)
            step = self.coefficients[0] * residual
            for c in self.coefficients[1:]:
                step = torch.addmm(residual, self.operator, step, beta=c)
            x = step if x is None else x + step
        return torch.zeros_like(b) if x is None else x

    def adjoint(self, matrix: Matrix) -> Polynomial:
        operator = sparse(matrix, self.operator.device, self.operator.dtype)
        return Polynomial(operator, self.coefficients, self.iterations)


class GaussSeidel:
    """Lexicographic Gauss-Seidel for a batch: a sparse product and a sparse triangular solve in each sweep.

    The triangular solve uses MKL on a CPU and cuSPARSE on a GPU. If torch has neither, independent rows are solved
    together, one wavefront after the other (Anderson and Saad 1989).
    """

    def __init__(self, matrix: Matrix, operator: Tensor, sweep: Sweep, iterations: int = 1) -> None:
        csr = sp.csr_matrix(matrix)
        _diagonal(csr)
        self.sweep, self.iterations = sweep, iterations
        directions = ("forward", "backward") if sweep == "symmetric" else (sweep,)
        device, dtype = operator.device, operator.dtype
        self.device, self.dtype = device, dtype
        self.halves = []
        for direction in directions:
            lower = direction == "forward"
            triangle = sp.tril(csr) if lower else sp.triu(csr)
            rest = sp.triu(csr, 1) if lower else sp.tril(csr, -1)
            self.halves.append(
                (sparse(rest, device, dtype), _triangular(triangle.tocsr(), lower, device, dtype))
            )

    def __call__(self, x: Tensor | None, b: Tensor) -> Tensor:
        for _ in range(self.iterations):
            for rest, solve in self.halves:
                x = solve(b if x is None else torch.addmm(b, rest, x, alpha=-1))
        return torch.zeros_like(b) if x is None else x

    def adjoint(self, matrix: Matrix) -> GaussSeidel:
        operator = torch.empty(0, device=self.device, dtype=self.dtype)
        return GaussSeidel(matrix, operator, REVERSED[self.sweep], self.iterations)


def _triangular(
    triangle: Matrix, lower: bool, device: torch.device, dtype: torch.dtype
) -> Callable[[Tensor], Tensor]:
    mkl = torch.backends.mkl.is_available()  # type: ignore[no-untyped-call]
    if device.type == "cuda" or (device.type == "cpu" and mkl):
        return _Triangle(sparse(triangle, device, dtype), lower)
    return Wavefronts(triangle, lower, device, dtype)


class _Triangle:
    def __init__(self, factor: Tensor, lower: bool) -> None:
        self.factor, self.lower = factor, lower
        with warnings.catch_warnings():  # deprecated, but the only sparse triangular solve
            warnings.simplefilter("ignore", UserWarning)
            self(torch.zeros(factor.shape[0], 1, dtype=factor.dtype, device=factor.device))

    def __call__(self, b: Tensor) -> Tensor:
        return torch.triangular_solve(b, self.factor, upper=not self.lower).solution


class Wavefronts:
    """A sparse triangular solve (n, batch) by levels of dependency.

    Examples
    --------
    >>> triangle = sp.csr_matrix(np.array([[2.0, 0.0], [1.0, 4.0]]))
    >>> solve = Wavefronts(triangle, True, torch.device("cpu"), torch.float64)
    >>> solve(torch.tensor([[2.0], [9.0]], dtype=torch.float64)).ravel().tolist()
    [1.0, 2.0]
    """

    def __init__(self, triangle: Matrix, lower: bool, device: torch.device, dtype: torch.dtype) -> None:
        n = triangle.shape[0]
        inverse = 1 / triangle.diagonal()
        strict = sp.csr_matrix(sp.tril(triangle, -1) if lower else sp.triu(triangle, 1))
        depth = np.zeros(n, dtype=np.int64)
        for i in range(n) if lower else range(n - 1, -1, -1):
            before = strict.indices[strict.indptr[i] : strict.indptr[i + 1]]
            depth[i] = 1 + depth[before].max() if len(before) else 0
        self.fronts = []
        for k in range(int(depth.max(initial=-1)) + 1):
            rows = np.flatnonzero(depth == k)
            scale = torch.from_numpy(inverse[rows]).to(device, dtype)[:, None]
            before = sparse(strict[rows], device, dtype) if k else None
            self.fronts.append((torch.from_numpy(rows).to(device), scale, before))

    def __call__(self, b: Tensor) -> Tensor:
        x = torch.zeros_like(b)
        for rows, scale, before in self.fronts:
            known = b[rows]
            if before is not None:
                known = torch.addmm(known, before, x, alpha=-1)
            x[rows] = scale * known
        return x


def smoother_of(smoother: Any, matrix: Matrix, operator: Tensor) -> Smoother:
    """Make the batched smoother for one that `pyamg.relaxation.smoothing.change_smoothers` set up.

    Parameters
    ----------
    smoother
        ``level.presmoother`` or ``level.postsmoother``.
    matrix, operator
        Matrix of the level, in scipy and in torch.

    Raises
    ------
    InputError
        The smoother does not exist in torch.
    """
    name = getattr(smoother, "__name__", type(smoother).__name__)
    if isinstance(smoother, functools.partial) and name in ("gauss_seidel", "block_gauss_seidel"):
        if smoother.keywords.get("blocksize", 1) == 1:
            sweep = cast(Sweep, smoother.keywords.get("sweep", "forward"))
            return GaussSeidel(matrix, operator, sweep, smoother.keywords.get("iterations", 1))
    elif isinstance(smoother, functools.partial) and name in ("jacobi", "block_jacobi"):
        if smoother.keywords.get("blocksize", 1) == 1:
            weight = float(np.real(smoother.keywords.get("omega", 1.0)))
            return Jacobi(matrix, operator, weight, smoother.keywords.get("iterations", 1))
    elif name in ("chebyshev", "richardson"):
        held = dict(
            zip(smoother.__code__.co_freevars, (c.cell_contents for c in smoother.__closure__), strict=True)
        )
        coefficients = held["coefficients"] if name == "chebyshev" else [held["omega"]]
        return Polynomial(operator, tuple(float(c) for c in coefficients), int(held["iterations"]))
    elif name == "none":
        return Nothing()
    raise InputError(f"smoother {name!r} does not exist in torch: use gauss_seidel, jacobi or chebyshev")
