"""Binary weights: a scale for each output channel times the sign of a trained real tensor, and what they share."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from sciml.errors import InputError
from sciml.nn.binary_sign import binary_sign

__all__ = ["CentredSign", "Periodic", "StraightThroughSign"]

ANGLE = math.pi / 4  # largest angle of a latent weight that a dense weight is converted to


class Periodic(nn.Module):
    """Parametrisation of a weight by a periodic function of a latent weight, as in BiPer.

    Stage 1 gives the real weight ``scale sin(frequency w)``, stage 2 the binary weight
    ``scale sign(sin(frequency w))``, a square wave. In both, the derivative is that of the sine. The original tensors
    are the latent weight and the scale, a number for each output channel.

    Parameters
    ----------
    frequency
        Angular frequency of the sine.
    stage
        1 or 2; `sciml.nn.set_stage` changes it later.
    transposed
        Whether the outputs are the second dimension of the weight, as in `torch.nn.ConvTranspose2d`.

    Raises
    ------
    InputError
        The frequency is not above 0, or the stage is another number.

    Notes
    -----
    Vargas et al., CVPR 2024. The authors multiply the output of a convolution by the scale, which is the same. A zero
    of the sine counts as +1; the official code has 0 there. Assigning a dense weight gives a latent weight within an
    eighth of a period of zero: in stage 1 the weight is then the same up to rounding, in stage 2 it has the same
    signs and the scale of least squared error.

    Examples
    --------
    >>> from torch.nn.utils import parametrize
    >>> layer = parametrize.register_parametrization(nn.Linear(3, 2), "weight", Periodic(20.0))
    >>> layer.weight.abs().unique().numel()
    2
    """

    def __init__(self, frequency: float = 20.0, *, stage: int = 2, transposed: bool = False) -> None:
        super().__init__()
        if not (isinstance(frequency, int | float) and 0 < frequency < math.inf):
            raise InputError(f"Periodic(frequency={frequency!r}): give a number above 0")
        if stage not in (1, 2):
            raise InputError(f"Periodic(stage={stage!r}): give 1 (sine) or 2 (square wave)")
        self.frequency, self.stage, self.transposed = float(frequency), stage, transposed
        self.rounded = False

    def forward(self, latent: Tensor, scale: Tensor) -> Tensor:
        """Compute the weight from the latent weight and the scale (output channel,)."""
        wave = torch.sin(self.frequency * latent)
        if self.stage == 2:
            wave = straight_through(wave)
        return _along(_stored(scale, self.rounded), latent, self.transposed) * wave

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the latent weight and the scale of a dense weight."""
        rows = _rows(weight, self.transposed)
        largest = rows.abs().amax(1) / math.sin(ANGLE)
        share = weight / _along(torch.where(largest > 0, largest, 1), weight, self.transposed)
        scale = largest if self.stage == 1 else rows.abs().mean(1)
        return torch.asin(share) / self.frequency, scale

    @torch.no_grad()
    def initialise(self, latent: Tensor, scale: Tensor, weight: Tensor) -> None:
        """Set the latent weight to a dense weight, as the authors do, and the scale so that rows keep their norms.

        The authors draw the scale from 0 to 1. With ours, the rows of the stage 1 weight have the norms of the dense
        weight.
        """
        latent.copy_(weight)
        rows = _rows(weight, self.transposed)
        wave = torch.sin(self.frequency * rows).square().mean(1).sqrt()
        size = rows.square().mean(1).sqrt()
        scale.copy_(torch.where(wave > 0, size / torch.where(wave > 0, wave, 1), size))

    def penalty(self, latent: Tensor) -> Tensor:
        """Compute ``mean(1/2 - 1/2 cos(2 frequency w))``, the mean square of the sine."""
        return (0.5 - 0.5 * torch.cos(2 * self.frequency * latent)).mean()

    def extra_repr(self) -> str:
        """Return the settings."""
        return f"{self.frequency:g}, stage={self.stage}"


class StraightThroughSign(nn.Module):
    """Parametrisation of a weight as ``scale sign(w)``, with the derivative of ``scale w``: the common baseline.

    Stage 1 gives the real weight ``scale w / mean|w|``, with the mean of each output channel, stage 2 the binary one.
    The original tensors are the latent weight and the scale, a number for each output channel.

    Parameters
    ----------
    stage
        1 or 2; `sciml.nn.set_stage` changes it later.
    transposed
        Whether the outputs are the second dimension of the weight, as in `torch.nn.ConvTranspose2d`.

    Notes
    -----
    Bengio et al., 2013, arXiv 1308.3432; stage 1 is our form. Zeros count as +1. Assigning a dense weight gives it as
    latent weight, and the scale of least squared error.

    Examples
    --------
    >>> from torch.nn.utils import parametrize
    >>> layer = parametrize.register_parametrization(nn.Linear(3, 2), "weight", StraightThroughSign())
    >>> layer.weight.abs().unique().numel()
    2
    """

    def __init__(self, *, stage: int = 2, transposed: bool = False) -> None:
        super().__init__()
        if stage not in (1, 2):
            raise InputError(f"StraightThroughSign(stage={stage!r}): give 1 (real) or 2 (sign)")
        self.stage, self.transposed = stage, transposed
        self.rounded = False

    def forward(self, latent: Tensor, scale: Tensor) -> Tensor:
        """Compute the weight from the latent weight and the scale (output channel,)."""
        if self.stage == 1:
            size = _rows(latent, self.transposed).abs().mean(1)
            return _along(scale / torch.where(size > 0, size, 1), latent, self.transposed) * latent
        return _along(_stored(scale, self.rounded), latent, self.transposed) * straight_through(latent)

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the latent weight and the scale of a dense weight."""
        return weight.clone(), _rows(weight, self.transposed).abs().mean(1)


class CentredSign(nn.Module):
    """Parametrisation of a weight as ``sign(w - mean w) mean|w|``, with the derivative of w, as in BiPFT.

    Parameters
    ----------
    rowwise
        Whether each row has its own mean of the sizes. The mean that is subtracted is always that of the tensor.

    Notes
    -----
    Xing et al., AAAI 2024. Zeros count as +1; the official code has 0 there.

    Examples
    --------
    >>> from torch.nn.utils import parametrize
    >>> layer = parametrize.register_parametrization(nn.Linear(3, 2), "weight", CentredSign())
    >>> layer.weight.abs().unique().numel()
    1
    """

    def __init__(self, *, rowwise: bool = False) -> None:
        super().__init__()
        self.rowwise = rowwise

    def forward(self, weight: Tensor) -> Tensor:
        """Compute the binary weight."""
        with torch.no_grad():
            size = weight.abs()
            scale = size.flatten(1).mean(1) if self.rowwise else size.mean().expand(len(weight))
            binary = _along(scale, weight, transposed=False) * binary_sign(weight - weight.mean())
        return _Through.apply(weight, binary)  # type: ignore[no-any-return, no-untyped-call]

    def right_inverse(self, weight: Tensor) -> Tensor:
        """Return the weight, whose binary weight is computed later."""
        return weight


class _Through(torch.autograd.Function):
    """A given value, with the derivative of another tensor."""

    @staticmethod
    def forward(ctx: object, x: Tensor, value: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def backward(ctx: object, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


def straight_through(x: Tensor) -> Tensor:
    """Return the sign, +1 at zero, with the derivative of x."""
    sign: Tensor = _Through.apply(x, binary_sign(x.detach()))  # type: ignore[no-untyped-call]
    return sign


def _stored(scale: Tensor, rounded: bool) -> Tensor:
    """Return a scale, or its value in bfloat16, which a file stores."""
    return scale.to(torch.bfloat16).to(scale.dtype) if rounded else scale


def _rows(weight: Tensor, transposed: bool) -> Tensor:
    """Return a weight as (output channel, all others)."""
    return (weight.transpose(0, 1) if transposed else weight).flatten(1)


def _along(scale: Tensor, weight: Tensor, transposed: bool) -> Tensor:
    """Return a scale (output channel,) in a shape that multiplies a weight."""
    shape = [1] * weight.ndim
    shape[1 if transposed else 0] = -1
    return scale.reshape(shape)
