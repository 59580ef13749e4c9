"""Iterations for batches of right-hand sides, each of which stops when its residual is small."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from sciml.checks import check_positive
from sciml.multigrid.conjugate import ConjugateDirection
from sciml.solve import Result
from sciml.tables import html_table, named_values, number_or_switch

__all__ = ["BatchSolution", "bicgstab", "conjugate_gradients", "cycling"]

ApplyCycle = Callable[[Tensor], Tensor]
Axis = int | tuple[int, ...]
RESTARTS = 3


class Apply(Protocol):
    """Protocol of functions that apply A; the result is written to ``out`` if it is given."""

    def __call__(self, x: Tensor, out: Tensor | None = None) -> Tensor: ...


@dataclass(frozen=True, eq=False)
class BatchSolution:
    """Result of a batched solve.

    Parameters
    ----------
    u
        Solutions, with the shape of the right-hand sides.
    relative_residual
        ||b - A u|| / ||b|| (batch,), computed from the solution, not from a recursion.
    cycles
        Number of cycles of each right-hand side (batch,).
    converged
        Whether each residual is below the tolerance (batch,).
    """

    u: Tensor
    relative_residual: Tensor
    cycles: Tensor
    converged: Tensor

    @classmethod
    def joined(cls, parts: Sequence[BatchSolution], axis: int = 0) -> BatchSolution:
        """Join the solutions of parts of a batch along the dimension ``axis`` of u."""
        return cls(
            torch.cat([part.u for part in parts], axis),
            torch.cat([part.relative_residual for part in parts]),
            torch.cat([part.cycles for part in parts]),
            torch.cat([part.converged for part in parts]),
        )

    @property
    def result(self) -> Result:
        """Worst result of the batch."""
        if bool(self.converged.all()):
            return Result.SUCCESS
        return (
            Result.MAX_ITERATIONS if bool(torch.isfinite(self.relative_residual).all()) else Result.NOT_FINITE
        )

    @property
    def stats(self) -> dict[str, float]:
        """Statistics by name; counts are ints."""
        return {
            "problems": self.cycles.numel(),
            "unconverged": int((~self.converged).sum()),
            "cycles_most": int(self.cycles.max()),
            "cycles_mean": float(self.cycles.double().mean()),
            "relative_residual_worst": float(self.relative_residual.max()),
        }

    def __str__(self) -> str:
        return "\n".join([f"BatchSolution: {self.result.name}", *named_values(self._rows())])

    def _rows(self) -> list[tuple[str, str]]:
        return [(name.replace("_", " "), number_or_switch(value)) for name, value in self.stats.items()]

    def _repr_html_(self) -> str:
        return html_table(f"BatchSolution: {self.result.name}", self._rows(), note=self.result.value)


class _Batch:
    """The state that every iteration shares: x, r and who is still at work."""

    def __init__(self, apply: Apply, b: Tensor, x: Tensor | None, rtol: float, axis: Axis) -> None:
        check_positive("rtol", rtol)
        self.apply, self.b, self.axis = apply, b, axis
        self.x = torch.zeros_like(b) if x is None else x.clone()
        self.r = b.clone() if x is None else b - apply(self.x)
        self.work = torch.empty_like(b)
        self.scale = self.norm(b)
        self.target = rtol * self.scale
        self.active = self.norm(self.r) > self.target
        self.cycles = torch.zeros_like(self.active, dtype=torch.int64)

    def dot(self, x: Tensor, y: Tensor) -> Tensor:
        """Inner products, broadcasting against the batch."""
        return torch.mul(x, y, out=self.work).sum(self.axis, keepdim=True)

    def ratio(self, above: Tensor, below: Tensor) -> Tensor:
        """Ratio of inner products, 0 for those at rest."""
        return torch.where(self.active, above / below, 0.0)

    def add(self, x: Tensor, factor: Tensor, y: Tensor, out: Tensor | None = None) -> Tensor:
        return torch.addcmul(x, factor, y, out=out)

    def copy(self, x: Tensor) -> Tensor:
        return torch.empty_like(self.b).copy_(x)

    def norm(self, x: Tensor) -> Tensor:
        return self.dot(x, x).sqrt_()

    def move(self, step: Tensor, along: Tensor, image: Tensor) -> None:
        """Take the step, 0 for those at rest."""
        step = torch.where(self.active, step, 0.0)
        self.x.addcmul_(step, along)
        self.r.addcmul_(step, image, value=-1)

    def count(self) -> None:
        self.cycles += self.active
        self.active &= self.norm(self.r) > self.target

    def wake(self) -> bool:
        """Replace the recursive residual by the true one; who is above the tolerance after all works again."""
        self.r = self.b - self.apply(self.x)
        self.active = self.norm(self.r) > self.target
        return bool(self.active.any())

    def iterated(self, begin: Callable[[], Iterator[None]], cycles: int, most: int) -> BatchSolution:
        """Take steps of so many cycles until all rest; start again where round-off hid a residual.

        Parameters
        ----------
        begin
            Start of a method at the present x and r: an iterator that takes one step each time.
        cycles, most
            Number of cycles of a step, and the largest number in all.
        """
        done = 0
        for _ in range(RESTARTS):
            steps = begin()
            while done + cycles <= most and bool(self.active.any()):
                next(steps)
                done += cycles
            if not self.wake() or done + cycles > most:
                break
        return self.solution()

    def solution(self) -> BatchSolution:
        size = self.norm(self.r)  # the true residual: every iteration ends with it
        scale = torch.where(self.scale > 0, self.scale, 1.0)
        return BatchSolution(
            self.x, (size / scale).flatten(), self.cycles.flatten(), (size <= self.target).flatten()
        )


def conjugate_gradients(
    apply: Apply,
    precondition: ApplyCycle,
    b: Tensor,
    *,
    x: Tensor | None = None,
    rtol: float = 1e-8,
    max_cycles: int = 100,
    axis: Axis = 0,
) -> BatchSolution:
    """Preconditioned conjugate gradients for a batch of symmetric problems.

    A right-hand side whose residual is below ``rtol`` times its norm rests while the others go on. When all rest, the
    true residuals are looked at, and conjugate gradients start again where round-off hid one above the tolerance.

    Parameters
    ----------
    apply, precondition
        A and an approximation of its inverse, on tensors shaped as b.
    b, x
        Right-hand sides and first guesses (zero).
    axis
        Which dimensions of b are the unknowns; the others are the batch.
    """
    batch = _Batch(apply, b, x, rtol, axis)

    def steps() -> Iterator[None]:
        direction = ConjugateDirection(batch, memory=0)
        while True:
            step = direction.step(batch.r, precondition(batch.r))
            batch.move(step.length, step.direction, step.image)
            batch.count()
            yield

    return batch.iterated(steps, 1, max_cycles)


def bicgstab(
    apply: Apply,
    precondition: ApplyCycle,
    b: Tensor,
    *,
    x: Tensor | None = None,
    rtol: float = 1e-8,
    max_cycles: int = 100,
    axis: Axis = 0,
) -> BatchSolution:
    """Preconditioned BiCGStab (van der Vorst 1992) for a batch of problems that need not be symmetric.

    An iteration takes two cycles; parameters as in `conjugate_gradients`.
    """
    batch = _Batch(apply, b, x, rtol, axis)

    def steps() -> Iterator[None]:
        shadow = batch.r.clone()
        p, v = torch.zeros_like(b), torch.zeros_like(b)
        rho = alpha = omega = torch.ones_like(batch.scale)
        while True:
            rho, before = batch.dot(shadow, batch.r), rho
            beta = torch.where(batch.active, rho / before * (alpha / omega), 0.0)
            p = batch.r + beta * (p - omega * v)
            p_hat = precondition(p)
            v = apply(p_hat)
            alpha = batch.ratio(rho, batch.dot(shadow, v))
            batch.move(alpha, p_hat, v)
            batch.count()
            s_hat = precondition(batch.r)
            t = apply(s_hat)
            omega = torch.where(batch.active, batch.dot(t, batch.r) / batch.dot(t, t), 1.0)
            batch.move(omega, s_hat, t)
            batch.count()
            yield

    return batch.iterated(steps, 2, max_cycles)


def cycling(
    apply: Apply,
    precondition: ApplyCycle,
    b: Tensor,
    *,
    x: Tensor | None = None,
    rtol: float = 1e-8,
    max_cycles: int = 100,
    axis: Axis = 0,
) -> BatchSolution:
    """Cycle after cycle on the residual, without acceleration; parameters as in `conjugate_gradients`."""
    batch = _Batch(apply, b, x, rtol, axis)
    for _ in range(max_cycles):
        if not bool(batch.active.any()):
            break
        batch.x += torch.where(batch.active, precondition(batch.r), 0.0)
        batch.r = b - apply(batch.x)
        batch.count()
    return batch.solution()
