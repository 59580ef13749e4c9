"""Flexible GMRES for batches of complex systems as tensors, on CPU and GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

from sciml.checks import check_positive, check_whole
from sciml.multigrid.torch.krylov import BatchSolution

__all__ = ["flexible_gmres"]

Apply: TypeAlias = Callable[[Tensor], Tensor]


def flexible_gmres(
    apply: Apply,
    precondition: Apply,
    b: Tensor,
    *,
    rtol: float = 1e-6,
    max_cycles: int = 300,
    restart: int = 60,
) -> BatchSolution:
    """Solve A x = b for a batch by flexible GMRES (Saad 1993), each with its own Krylov space.

    All iterate until the last residual is below the tolerance; ``cycles`` counts the steps that each needed.

    Parameters
    ----------
    apply, precondition
        A and an approximation of its inverse, on complex tensors (batch, n).
    b
        Right-hand sides (batch, n), complex.
    rtol
        Tolerance of the residuals relative to b.
    max_cycles, restart
        Largest number of steps, and steps after which the directions are discarded.

    Examples
    --------
    >>> b = torch.tensor([[1.0 + 1j, 2.0], [0.0, 3.0]], dtype=torch.complex128)
    >>> scale = torch.tensor([2.0, 4.0j])
    >>> solution = flexible_gmres(lambda x: scale * x, lambda r: r, b)
    >>> bool(torch.allclose(scale * solution.u, b)), solution.cycles.tolist()
    (True, [2, 1])
    """
    check_positive("rtol", rtol)
    check_whole("restart", restart, 1)
    size = b.norm(dim=1)
    scale = torch.where(size > 0, size, 1.0)
    x, r = torch.zeros_like(b), b
    cycles = torch.zeros(len(b), dtype=torch.int64, device=b.device)
    done = 0
    while True:
        relative = r.norm(dim=1) / scale
        if done >= max_cycles or not bool(((relative > rtol) & torch.isfinite(relative)).any()):
            break
        step, count = _cycle(apply, precondition, r, rtol * scale, min(restart, max_cycles - done))
        cycles += torch.where(relative > rtol, count, 0)
        done += int(count.max())
        x = x + step
        r = b - apply(x)
    return BatchSolution(x, relative, cycles, relative <= rtol)


def _cycle(apply: Apply, precondition: Apply, r: Tensor, target: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Return the corrections of one cycle (batch, n), and the number of steps of each (batch,)."""
    size = r.norm(dim=1)
    tiny = torch.finfo(size.dtype).tiny
    basis, made = [r / size.clamp_min(tiny)[:, None]], list[Tensor]()
    upper = r.new_zeros(len(r), steps + 1, steps)
    first = r.new_zeros(len(r), steps + 1, 1)
    first[:, 0, 0] = size.to(r.dtype)
    count = torch.zeros(len(r), dtype=torch.int64, device=r.device)
    active = size > target
    y = first[:, :0]
    for j in range(steps):
        made.append(precondition(basis[j]))
        w, known = apply(made[j]), torch.stack(basis, 1)
        for _ in range(2):
            part = torch.einsum("bkn,bn->bk", known.conj(), w)
            w = w - torch.einsum("bk,bkn->bn", part, known)
            upper[:, : j + 1, j] += part
        length = w.norm(dim=1)
        upper[:, j + 1, j] = length.to(r.dtype)
        basis.append(w / length.clamp_min(tiny)[:, None])
        block, right = upper[:, : j + 2, : j + 1], first[:, : j + 2]
        y = torch.linalg.pinv(block, rtol=1e-14) @ right
        count += active
        active = active & ((right - block @ y).norm(dim=(1, 2)) > target)
        if not bool(active.any()):
            break
    return torch.einsum("bk,bkn->bn", y[..., 0], torch.stack(made, 1)), count
