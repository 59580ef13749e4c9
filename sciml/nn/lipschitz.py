"""Layers that do not expand: activations, steps of a convex potential, and Lipschitz bounds of networks.

All norms are Euclidean, over the points and channels of a sample.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from sciml.checks import check_int
from sciml.errors import InputError
from sciml.nn.convolution import convolution_weights
from sciml.nn.convolution_shape import ConvolutionShape, Layer
from sciml.nn.convolution_spectrum import largest_singular_value, supremum

__all__ = ["Absolute", "ConvexPotentialStep", "GroupSort", "lipschitz_factors"]


class GroupSort(nn.Module):
    """Sort the channels of each group, with derivatives of norm 1 everywhere.

    Parameters
    ----------
    size
        Number of channels of a group; 2 is MaxMin.

    Raises
    ------
    InputError
        The size is less than 2. Raised by ``forward``: it does not divide the channels.

    Notes
    -----
    Anil, Lucas and Grosse, ICML 2019. A ReLU is not expansive either, but it removes a part of each field.

    Examples
    --------
    >>> GroupSort(2)(torch.tensor([[1.0, 3.0, 5.0, 4.0]]))
    tensor([[3., 1., 5., 4.]])
    """

    def __init__(self, size: int = 2) -> None:
        super().__init__()
        check_int("size", size, 2, owner="GroupSort")
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """Sort a field (sample, channel, ...) in groups of neighbouring channels, largest first."""
        if x.shape[1] % self.size:
            raise InputError(
                f"GroupSort({self.size}) does not divide {x.shape[1]} channels: give a number that does"
            )
        groups = x.reshape(len(x), -1, self.size, *x.shape[2:])
        if self.size == 2:
            first, second = groups[:, :, 0], groups[:, :, 1]
            made = torch.stack([torch.maximum(first, second), torch.minimum(first, second)], 2)
        else:
            made = groups.sort(2, descending=True).values
        return made.flatten(1, 2)

    def extra_repr(self) -> str:
        """Return the size."""
        return str(self.size)


class Absolute(nn.Module):
    """The absolute value, whose derivative has norm 1 but at 0."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the absolute values."""
        return x.abs()


class ConvexPotentialStep(nn.Module):
    """``x - 2 W^T relu(W x + b)`` with a convolution W, on a periodic plane.

    With singular values of W up to 1 it is a step down the gradient of a convex function, and does not expand.

    Parameters
    ----------
    channels, hidden
        Numbers of channels of x and of W x.
    kernel
        Odd size of the kernel of W.

    Raises
    ------
    InputError
        A number is less than 1, or the kernel is even.

    Notes
    -----
    Meunier, Delattre, Araujo and Allauzen, "A Dynamical System Perspective for Lipschitz Neural Networks", ICML 2022,
    equation of the convex potential layer, where the factor is 2 / |W|^2 with a power iteration. A larger W makes it
    expand by at most 2 |W|^2 - 1.

    Examples
    --------
    >>> step = ConvexPotentialStep(1, 4)
    >>> step(torch.ones(2, 1, 8, 8)).shape
    torch.Size([2, 1, 8, 8])
    """

    def __init__(self, channels: int, hidden: int, kernel: int = 3) -> None:
        super().__init__()
        for name, value in (("channels", channels), ("hidden", hidden), ("kernel", kernel)):
            check_int(name, value, 1, owner="ConvexPotentialStep")
        if kernel % 2 == 0:
            raise InputError(f"ConvexPotentialStep(kernel={kernel}): give an odd size")
        self.conv = nn.Conv2d(channels, hidden, kernel, padding=kernel // 2, padding_mode="circular")

    def forward(self, x: Tensor) -> Tensor:
        """Compute the step of a field (sample, channel, y, x)."""
        weight, bias = convolution_weights(self.conv)
        return x - 2 * transposed_convolution(functional.relu(_convolve(x, weight, bias)), weight)

    def factor(self, n: tuple[int, ...] | None) -> float:
        """Bound the Lipschitz constant on a periodic grid of n points, or on all grids."""
        size = supremum(self.conv) if n is None else largest_singular_value(self.conv, n)
        return max(1.0, 2 * size**2 - 1)


def transposed_convolution(x: Tensor, weight: Tensor) -> Tensor:
    """Apply the adjoint of a convolution of stride 1 with an odd kernel on a periodic plane."""
    return _convolve(x, weight.flip(2, 3).transpose(0, 1), None)


def _convolve(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    high, wide = weight.shape[2] // 2, weight.shape[3] // 2
    return functional.conv2d(functional.pad(x, (wide, wide, high, high), mode="circular"), weight, bias)


def _norm(layer: nn.Module, n: tuple[int, ...] | None) -> float:
    """Return the norm of a layer, exact if it acts on a periodic grid of n points."""
    shape = ConvolutionShape.of(layer)
    periodic = shape.padding == "circular" and set(shape.stride) <= {1}
    return largest_singular_value(layer, n if shape.kernel else ()) if n and periodic else supremum(layer)


_NOT_EXPANSIVE = (nn.ReLU, nn.ReLU6, nn.Tanh, nn.Hardtanh, nn.Softplus, nn.Identity, GroupSort, Absolute)


def lipschitz_factors(network: nn.Module, n: tuple[int, ...] | None = None) -> dict[str, float]:
    """Bound the Lipschitz constant of each layer of a network; the product bounds that of the network.

    Parameters
    ----------
    network
        A network with the method ``lipschitz_factors(n)``, or a `torch.nn.Sequential` of such networks, convolutions,
        linear layers, and activations that do not expand (ReLU, tanh, GroupSort, ...).
    n
        Points along each axis of the periodic grid of all layers; None bounds them on all grids, and with zero padding.

    Returns
    -------
    dict
        Factors by the name of the layer; those of circular convolutions of stride 1 are exact norms if n is given.

    Raises
    ------
    InputError
        A layer is of another class; the message names it.

    Examples
    --------
    >>> conv = nn.Conv1d(1, 1, 1, bias=False)
    >>> _ = nn.init.constant_(conv.weight, -2.0)
    >>> lipschitz_factors(nn.Sequential(conv, nn.ReLU(), conv), (8,))
    {'0': 2.0, '2': 2.0}
    """
    own = getattr(network, "lipschitz_factors", None)
    if callable(own):
        named: dict[str, float] = own(n)
        return named
    if not isinstance(network, nn.Sequential):
        raise InputError(
            f"{type(network).__name__} has no bound of its Lipschitz constant: give a network with the method "
            "lipschitz_factors, such as NonExpansive, or a Sequential of convolutions and activations"
        )
    factors: dict[str, float] = {}
    # named_children leaves out the second use of a layer, which counts too
    for name, layer in network._modules.items():
        if isinstance(layer, ConvexPotentialStep):
            factors[name] = layer.factor(n)
        elif isinstance(layer, Layer):
            factors[name] = _norm(layer, n)
        elif isinstance(layer, nn.Sequential) or hasattr(layer, "lipschitz_factors"):
            factors |= {f"{name}.{below}": x for below, x in lipschitz_factors(layer, n).items()}
        elif not isinstance(layer, _NOT_EXPANSIVE):
            raise InputError(
                f"layer {name}, a {type(layer).__name__}, has no bound of its Lipschitz constant: use ReLU, GroupSort, "
                "Absolute, Tanh, or a convolution"
            )
    return factors
