"""Variational inequalities: min-max problems, and what generalises them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from sciml.checks import is_number
from sciml.errors import InputError
from sciml.train.minmax.proximal import Proximal

__all__ = ["FiniteSum", "VariationalInequality"]


@runtime_checkable
class FiniteSum(Protocol):
    """An operator that is the mean of terms, of which a stochastic method evaluates some.

    Attributes
    ----------
    terms
        Number of terms.
    """

    @property
    def terms(self) -> int: ...

    def __call__(self, z: Tensor) -> Tensor:
        """Return the mean of all terms at z."""
        ...

    def sample(self, z: Tensor, chosen: Tensor) -> Tensor:
        """Return the mean of chosen terms (int64) at z."""
        ...


@dataclass(frozen=True, eq=False)
class VariationalInequality:
    """Find z* with ``<F(z*), z - z*> + h(z) - h(z*) >= 0`` for all z, where F is the mean of the devices' operators.

    For ``min_x max_y f(x, y)`` the vector z is (x, y) joined and ``F = (df/dx, -df/dy)``.

    Parameters
    ----------
    operators
        Operators F_m of the devices of this process, each a function of z (size,), or a `FiniteSum`.
    start
        First iterate (size,).
    proximal
        ``prox(z, step)`` of h, such as `box` or `simplex`; None: h = 0.
    lipschitz
        Lipschitz constants of the operators of all devices, for the default step.
    answer
        The solution (size,), if it is known, for the errors of the history.

    Raises
    ------
    InputError
        There is no operator, or shapes or constants are invalid.

    Examples
    --------
    >>> problem = VariationalInequality([lambda z: 2 * z], torch.ones(3), lipschitz=(2.0,))
    >>> problem.size
    3
    """

    operators: Sequence[Callable[[Tensor], Tensor]]
    start: Tensor
    proximal: Proximal | None = None
    lipschitz: Sequence[float] | None = None
    answer: Tensor | None = None

    def __post_init__(self) -> None:
        if not self.operators or not all(callable(operator) for operator in self.operators):
            raise InputError("VariationalInequality needs operators: give a function of z for each device")
        if self.start.ndim != 1 or not self.start.is_floating_point() or not self.start.isfinite().all():
            raise InputError(
                f"start of shape {tuple(self.start.shape)} and {self.start.dtype}: give a vector of finite numbers"
            )
        if self.answer is not None and self.answer.shape != self.start.shape:
            raise InputError(
                f"answer of shape {tuple(self.answer.shape)} for a start of {tuple(self.start.shape)}: give one size"
            )
        if self.lipschitz is not None and not all(is_number(x) and x > 0 for x in self.lipschitz):
            raise InputError(f"lipschitz={tuple(self.lipschitz)!r}: give a number above 0 for each device")

    @property
    def size(self) -> int:
        """Number of components of z."""
        return len(self.start)

    def project(self, z: Tensor, step: float) -> Tensor:
        """Return the proximal point of z."""
        return z if self.proximal is None else self.proximal(z, step)

    def evaluate(self, place: int, z: Tensor, chosen: Tensor | None = None) -> Tensor:
        """Return the operator of a device of this process at z, of chosen terms if given.

        Raises
        ------
        InputError
            The operator returns another shape.
        """
        operator = self.operators[place]
        value = operator(z) if chosen is None else operator.sample(z, chosen)  # type: ignore[attr-defined]
        if not isinstance(value, torch.Tensor) or value.shape != z.shape:
            shape = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
            raise InputError(
                f"operator {place} returns {shape} for z of {tuple(z.shape)}: return a vector of that size"
            )
        return value.detach()
