"""Training of a linear multigrid layer for contraction, and its asymmetry afterwards."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import scipy.sparse.linalg as spla
import torch
from numpy.typing import NDArray

from sciml.multigrid.torch.stencils import diffusion_stencil, galerkin
from sciml.multigrid.torch.transfers import LevelLayout
from sciml.operators.mgno_layer import Cycle
from sciml.pde.elliptic import Poisson, discretize
from sciml.pde.grid import Grid
from sciml.pde.system import System
from sciml.verify.operator.iterations import Apply, conjugate_gradients

__all__ = ["geometric_layer", "learned_layer"]

Array = NDArray[np.float64]
DAMPING: Final = 0.8  # of Jacobi
BATCH: Final = 8
CYCLES: Final = 4  # of the training loss
RATE: Final = 3e-3
PROBES: Final = 24
LIMIT: Final = 200


def geometric_layer(n: int) -> Cycle:
    """Return a layer of one channel that is the V(1,1) cycle of Poisson with damped Jacobi (mgno, section 5a)."""
    grid = Grid((n, n))
    layout = LevelLayout.of(grid)
    stencil = diffusion_stencil(torch.ones(1, n, n, dtype=torch.float64), grid)
    cycle = Cycle(1, 1, levels=int(np.log2(n + 1)), post=1, bottom=1).double()
    with torch.no_grad():
        for level, kernel in enumerate(cycle.matrix):
            scaled = 0.25**level * stencil[0, :, layout.shape[0] // 2, layout.shape[1] // 2].reshape(3, 3)
            _set(kernel, scaled)
            last = layout.shape == (1, 1)
            middle = torch.zeros(3, 3, dtype=torch.float64)
            middle[1, 1] = (1.0 if last else DAMPING) / scaled[1, 1]
            _set(cycle.smoother[level], middle)
            _set(cycle.after[level], middle)
            if not last:
                stencil, layout = galerkin(stencil, layout), layout.coarse()
    return cycle


def _set(kernel: torch.nn.Module, values: torch.Tensor) -> None:
    assert isinstance(kernel, torch.nn.Conv2d)
    kernel.weight.copy_(values)


def learned_layer(*, resolution: int = 31, steps: int = 250, seed: int = 7) -> dict[str, Any]:
    """Train all kernels of such a layer for faster contraction, and compare both as solvers (mgno, section 5d).

    The loss is the logarithm of the mean contraction of random errors through four cycles.

    Returns
    -------
    dict
        ``layers``: without a layer, of the geometric and of the learned layer: ``contraction`` (spectral, by power
        iteration), ``asymmetry`` (|x.By - y.Bx| over |x.By|, root mean squares over random x and y), iterations of
        ``gmres``, ``cg`` and ``flexible_cg`` to 1e-8, None where they do not converge.
    """
    system = discretize(Poisson(resolution))
    # The right-hand side has every frequency; a smooth right-hand side excites few modes.
    system = dataclasses.replace(system, rhs=np.random.default_rng(seed).normal(size=system.size))
    layers: dict[str, Cycle | None] = {"none": None, "geometric": geometric_layer(resolution)}
    layers["learned"] = _trained(geometric_layer(resolution), resolution, steps, seed)
    scores = {name: _measured(system, layer, seed) for name, layer in layers.items()}
    return {"resolution": resolution, "steps": steps, "layers": scores}


def _trained(cycle: Cycle, n: int, steps: int, seed: int) -> Cycle:
    layout = LevelLayout.of(Grid((n, n)))
    generator = torch.Generator().manual_seed(seed)
    five_point = torch.tensor([[[[0.0, -1, 0], [-1, 4, -1], [0, -1, 0]]]], dtype=torch.float64)
    optimiser = torch.optim.Adam(cycle.parameters(), lr=RATE)
    for _ in range(steps):
        e = torch.randn(BATCH, 1, n, n, dtype=torch.float64, generator=generator)
        before = torch.linalg.vector_norm(e.flatten(1), dim=1)
        for _ in range(CYCLES):
            e = e - cycle(torch.nn.functional.conv2d(e, five_point, padding=1), layout)
        loss = (torch.linalg.vector_norm(e.flatten(1), dim=1) / before).log().mean() / CYCLES
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return cycle


def _measured(system: System, layer: Cycle | None, seed: int) -> Mapping[str, float | int | None]:
    apply = None if layer is None else _applied(layer, system)
    limit = LIMIT if layer is not None else 2000
    scores: dict[str, float | int | None] = {"contraction": None, "asymmetry": None}
    if apply is not None:
        generator = np.random.default_rng(seed)
        scores["contraction"] = _contraction(system, apply, generator)
        pairs = generator.normal(size=(PROBES, 2, system.size))
        sides = np.array([(x @ apply(y), y @ apply(x)) for x, y in pairs])
        scores["asymmetry"] = float(np.sqrt((np.diff(sides) ** 2).mean() / (sides**2).mean()))
    scores["gmres"] = _gmres(system, apply, limit)
    scores["cg"] = conjugate_gradients(system, None, apply, limit=limit).residual
    scores["flexible_cg"] = conjugate_gradients(system, None, apply, limit=limit, flexible=True).residual
    return scores


def _applied(layer: Cycle, system: System) -> Apply:
    layout, shape = LevelLayout.of(system.on_grid), (1, 1, *system.on_grid.shape)

    def apply(r: Array) -> Array:
        with torch.no_grad():
            return np.asarray(
                layer(torch.from_numpy(np.ascontiguousarray(r)).reshape(shape), layout).numpy().ravel()
            )

    return apply


def _contraction(system: System, apply: Apply, generator: np.random.Generator, steps: int = 60) -> float:
    e = generator.normal(size=system.size)
    sizes = []
    for _ in range(steps):
        e = e - apply(system.matrix @ e)
        sizes.append(float(np.linalg.norm(e)))
        e /= sizes[-1]
    return float(
        np.exp(np.mean(np.log(sizes[-10:])))
    )  # the mean, because modes of an asymmetric layer rotate


def _gmres(system: System, apply: Apply | None, limit: int) -> int | None:
    seen: list[float] = []
    by = None if apply is None else spla.LinearOperator(system.matrix.shape, matvec=apply, dtype=np.float64)
    # Right preconditioning, A B y = b and u = B y, so that the residual is the true residual.
    operator = system.matrix if by is None else spla.aslinearoperator(system.matrix) @ by
    _, info = spla.gmres(
        operator,
        system.rhs,
        rtol=1e-8,
        restart=limit,
        maxiter=1,
        callback=seen.append,
        callback_type="pr_norm",
    )
    return len(seen) if info == 0 else None
