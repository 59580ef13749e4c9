"""Weights divided by the exact largest singular value of their convolution."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from sciml.checks import check_positive
from sciml.errors import InputError
from sciml.nn.convolution_shape import ConvolutionShape
from sciml.nn.convolution_spectrum import spectral_norm

__all__ = ["SpectralScale"]


class SpectralScale(nn.Module):
    """Parametrisation of a weight as ``w / max(1, s / bound)`` with the largest singular value s of its convolution.

    Parameters
    ----------
    layer
        Convolution, transposed convolution or linear layer whose weight is parametrised; only its sizes are used.
    n
        Points along each axis of the periodic grid that the layer acts on. None bounds the singular values on all grids
        instead, periodic or with zero padding (`sciml.nn.orthogonality.supremum`), 0.5 % for each axis above the
        exact ones.
    bound
        Largest singular value of the result.

    Raises
    ------
    InputError
        The layer is no convolution, the padding reflects or repeats the field, the stride does not divide the points,
        or the bound is not above 0.

    Notes
    -----
    The singular value is computed from all waves of the grid, not by a few steps of a power iteration, and the
    derivative goes through it. Yoshida and Miyato (arXiv 1705.10941) divide by a power iteration of the flattened
    kernel, which is no bound. Our form divides by a little more than s, so that rounding to the type of the weight
    leaves the bound valid.

    Examples
    --------
    >>> from torch.nn.utils import parametrize
    >>> from sciml.nn.orthogonality import largest_singular_value
    >>> conv = nn.Conv2d(3, 3, 3, padding=1, padding_mode="circular")
    >>> _ = nn.init.ones_(conv.weight)
    >>> _ = parametrize.register_parametrization(conv, "weight", SpectralScale(conv, 16))
    >>> round(largest_singular_value(conv, 16), 4)
    1.0
    """

    def __init__(self, layer: nn.Module, n: int | tuple[int, ...] | None = None, bound: float = 1.0) -> None:
        super().__init__()
        self.shape = ConvolutionShape.of(layer)
        check_positive("bound", bound, owner="SpectralScale")
        if self.shape.padding not in ("circular", "zero", "valid") and max(self.shape.kernel, default=1) > 1:
            raise InputError(
                f"SpectralScale with padding_mode={self.shape.padding!r}, which can amplify a field at its edges: "
                "give a convolution with circular, zero or no padding"
            )
        if n is not None and self.shape.padding != "circular" and max(self.shape.kernel, default=1) > 1:
            raise InputError(
                f"SpectralScale(n={n}) with {self.shape.padding} padding: the exact values are those of a periodic "
                "grid; give n=None, or padding_mode='circular'"
            )
        self.grid = None if n is None else self.shape.grid(n)
        self.n, self.bound = n, float(bound)

    def forward(self, weight: Tensor) -> Tensor:
        """Compute the weight."""
        largest = spectral_norm(weight, self.shape, self.grid)
        factor = torch.clamp_max(self.bound / (largest * (1 + self._margin(weight.dtype))), 1.0)
        return weight * factor.to(weight.dtype)

    def _margin(self, dtype: torch.dtype) -> float:
        """Return the relative size of the rounding of a weight of this norm, in any of its singular values.

        The rounding of the taps W_t changes them by at most half an eps each, so that the norm changes by at most
        eps / 2 times the sum of |W_t|_F, which is at most (taps min(M, C S^2))^(1/2) times the norm. The rounding of
        the factor adds as much.
        """
        shape = self.shape
        count = math.prod(shape.kernel) * min(shape.outputs, shape.columns)
        return torch.finfo(dtype).eps * (1.0 + math.sqrt(count))

    def right_inverse(self, weight: Tensor) -> Tensor:
        """Return the weight, which is scaled later."""
        return weight

    def extra_repr(self) -> str:
        """Return the settings."""
        where = "all grids" if self.n is None else f"n={self.n}"
        return f"{where}, bound={self.bound:g}"
