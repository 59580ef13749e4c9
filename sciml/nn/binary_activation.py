"""Binary activations: those of BiPer and the elastic ones of BiPFT."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sciml.errors import InputError
from sciml.nn.binary_sign import binary_sign
from sciml.nn.overridable import overridable

__all__ = ["BinaryActivation", "ElasticSign", "ElasticStep"]

LEAST_STEP = 1e-5


class BinaryActivation(nn.Module):
    """Signs of a tensor (sample, ...), with the derivative ``max(0, 2 - 2|a|)``, as in BiPer.

    In training mode, a sample is divided by its standard deviation first, which changes only the derivative.

    Parameters
    ----------
    eps
        Number added to the variance.

    Notes
    -----
    Vargas et al., CVPR 2024. The variance has the factor 1 / (numbers - 1), and gradients flow through it. Zeros count
    as +1; the official code has 0 there.

    Examples
    --------
    >>> BinaryActivation()(torch.tensor([[-0.2, 0.0, 3.0]])).tolist()
    [[-1.0, 1.0, 1.0]]
    """

    def __init__(self, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, a: Tensor) -> Tensor:
        """Compute the signs.

        Raises
        ------
        InputError
            In training, a sample of a single number, which has no standard deviation.
        """
        if self.training:
            if a.ndim < 2 or a[0].numel() < 2:
                raise InputError(f"activations of shape {tuple(a.shape)}: give samples of 2 numbers or more")
            variance = a.flatten(1).var(1) + self.eps
            a = a / variance.sqrt().reshape(-1, *[1] * (a.ndim - 1))
        return triangle_sign(a)


class ElasticSign(nn.Module):
    """Activations of two levels, ``step sign(x)``, with a learned step, as in BiPFT.

    The derivative by x is 1 where ``|x| <= step`` and 0 elsewhere; that by the step is divided by the square root of
    the count of numbers.

    Parameters
    ----------
    features
        Size of the last dimension, for a learned shift of each feature that is added to x first; None has no shift.

    Notes
    -----
    Xing et al., AAAI 2024. The first call sets the step to twice the mean of ``|x|``; it never counts as less than
    1e-5. Zeros count as +1; the official code has 0 there.

    Examples
    --------
    >>> ElasticSign()(torch.tensor([-1.0, 0.0, 2.0])).tolist()
    [-2.0, 2.0, 2.0]
    """

    started: Tensor

    def __init__(self, features: int | None = None) -> None:
        super().__init__()
        self.step = nn.Parameter(torch.ones(()))
        self.shift = None if features is None else nn.Parameter(torch.zeros(features))
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))

    def forward(self, x: Tensor) -> Tensor:
        """Compute the two levels."""
        if self.shift is not None:
            x = x + self.shift
        _start(self.step, self.started, x, 2.0)
        return signed_levels(x, self.step)


class ElasticStep(nn.Module):
    """Activations of the levels 0 and ``step``, with a learned step, as BiPFT has for attention probabilities.

    A number becomes ``step clamp(round(p / step), 0, 1)``, with halves rounded to even. The derivative by p is 1 where
    ``0 <= p <= step`` and 0 elsewhere; that by the step is the one of LSQ, divided by the square root of the count of
    numbers.

    Notes
    -----
    Xing et al., AAAI 2024; Esser et al., ICLR 2020 (LSQ). The first call sets the step to four times the mean of
    ``|p|``; it never counts as less than 1e-5.

    Examples
    --------
    >>> ElasticStep()(torch.tensor([0.0, 0.25, 0.5])).tolist()
    [0.0, 0.0, 0.0]
    """

    started: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.step = nn.Parameter(torch.ones(()))
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))

    def forward(self, p: Tensor) -> Tensor:
        """Compute the two levels."""
        _start(self.step, self.started, p, 4.0)
        return unsigned_levels(p, self.step)


@torch.no_grad()
def _start(step: Tensor, started: Tensor, x: Tensor, factor: float) -> None:
    """Set a step at the first call."""
    if torch.compiler.is_compiling() or bool(started):
        return
    step.copy_(factor * x.detach().abs().mean())
    started.fill_(True)


@overridable("pointwise")
def triangle_sign(a: Tensor) -> Tensor:
    """Return the signs, with the derivative ``max(0, 2 - 2|a|)``."""
    signs: Tensor = _TriangleSign.apply(a)  # type: ignore[no-untyped-call]
    return signs


@overridable("pointwise")
def signed_levels(x: Tensor, step: Tensor) -> Tensor:
    """Return the levels of `ElasticSign`."""
    levels: Tensor = _Signed.apply(x, step)  # type: ignore[no-untyped-call]
    return levels


@overridable("pointwise")
def unsigned_levels(p: Tensor, step: Tensor) -> Tensor:
    """Return the levels of `ElasticStep`."""
    levels: Tensor = _Unsigned.apply(p, step)  # type: ignore[no-untyped-call]
    return levels


class _TriangleSign(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor) -> Tensor:
        ctx.save_for_backward(a)
        return binary_sign(a)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (a,) = ctx.saved_tensors
        gradient: Tensor = (2 - 2 * a.abs()).clamp_min(0) * gradients[0]
        return gradient


class _Signed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, step: Tensor) -> Tensor:
        size = step.detach().clamp_min(LEAST_STEP)
        ctx.save_for_backward(x, size)
        return size * binary_sign(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        x, size = ctx.saved_tensors
        inside = (x.abs() <= size).to(x.dtype)
        by_step = (binary_sign(x) * gradients[0]).sum() / x.numel() ** 0.5
        return inside * gradients[0], by_step.reshape(size.shape)


class _Unsigned(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, p: Tensor, step: Tensor) -> Tensor:
        size = step.detach().clamp_min(LEAST_STEP)
        ctx.save_for_backward(p, size)
        return size * (p / size).round().clamp(0, 1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        p, size = ctx.saved_tensors
        share = p / size
        inside = ((share >= 0) & (share <= 1)).to(p.dtype)
        slope = torch.where(share > 1, torch.ones_like(share), inside * (share.round() - share))
        return inside * gradients[0], ((slope * gradients[0]).sum() / p.numel() ** 0.5).reshape(size.shape)
