"""Sizes of a convolution that its singular values depend on, for one, two and three dimensions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor, nn

from sciml.errors import InputError

__all__ = ["ConvolutionShape", "Layer", "Padding"]

Padding = Literal["circular", "zero", "valid"]
Layer = (
    nn.Linear
    | nn.Conv1d
    | nn.Conv2d
    | nn.Conv3d
    | nn.ConvTranspose1d
    | nn.ConvTranspose2d
    | nn.ConvTranspose3d
)
_TRANSPOSED = nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d


@dataclass(frozen=True)
class ConvolutionShape:
    """Sizes of a convolution; a transposed convolution has those of the convolution of which it is the adjoint.

    Parameters
    ----------
    outputs, inputs
        Numbers M and C of output and input channels of a group.
    kernel, stride, dilation
        Sizes along each axis; all are empty for a linear layer.
    groups
        Number of groups.
    transposed
        Whether the layer is the adjoint of this convolution.
    padding
        Padding of the layer: ``circular``, ``zero``, ``valid`` (none), ``reflect`` or ``replicate``.

    Examples
    --------
    >>> shape = ConvolutionShape.of(nn.Conv2d(4, 8, 3, stride=2, padding=1, padding_mode="circular"))
    >>> shape.outputs, shape.columns, shape.rows_orthonormal, shape.padding
    (8, 16, True, 'circular')
    """

    outputs: int
    inputs: int
    kernel: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()
    groups: int = 1
    transposed: bool = False
    padding: str = "circular"

    @classmethod
    def of(cls, layer: nn.Module, padding: str | None = None) -> ConvolutionShape:
        """Return the shape of a layer.

        Parameters
        ----------
        layer
            Linear layer, convolution or transposed convolution.
        padding
            ``circular``, ``zero`` or ``valid`` in place of the padding of the layer.

        Raises
        ------
        InputError
            The layer is of another class, or the padding is unknown.
        """
        if padding is not None and padding not in get_args(Padding):
            raise InputError(f"padding={padding!r}: give {', '.join(get_args(Padding))}")
        if not isinstance(layer, Layer):
            raise InputError(
                f"{type(layer).__name__} is no convolution: give a Conv1d, Conv2d, Conv3d, a transposed one or a Linear"
            )
        if isinstance(layer, nn.Linear):
            return cls(layer.out_features, layer.in_features, padding=padding or "circular")
        transposed = isinstance(layer, _TRANSPOSED)
        channels = layer.out_channels // layer.groups, layer.in_channels // layer.groups
        outputs, inputs = reversed(channels) if transposed else channels
        sizes = (tuple(layer.kernel_size), tuple(layer.stride), tuple(layer.dilation))
        return cls(outputs, inputs, *sizes, layer.groups, transposed, padding or _padding_of(layer))

    @property
    def columns(self) -> int:
        """Number of inputs of a group for each point of the output, C S1 S2 ..."""
        return self.inputs * math.prod(self.stride)

    @property
    def rows_orthonormal(self) -> bool:
        """Whether the rows can be orthonormal (the RO case, M <= C S1 S2 ...); else only the columns can be."""
        return self.outputs <= self.columns

    def grid(self, n: int | tuple[int, ...]) -> tuple[int, ...]:
        """Return the points along each axis of the output of the convolution for a layer that acts on n points.

        Raises
        ------
        InputError
            There are fewer than 1 points, a number for each axis is missing, or a stride does not divide the points.
        """
        given = n if isinstance(n, tuple | list) else (n,) * len(self.kernel)
        if len(given) != len(self.kernel) or not all(
            isinstance(x, int) and not isinstance(x, bool) and x >= 1 for x in given
        ):
            raise InputError(
                f"a grid of {n!r} points for {len(self.kernel)} axes: give a number above 0 for each axis"
            )
        if self.transposed:
            return tuple(given)
        for points, stride in zip(given, self.stride, strict=True):
            if points % stride:
                raise InputError(
                    f"a grid of {points} points: the stride {stride} of a circular convolution must divide them"
                )
        return tuple(points // stride for points, stride in zip(given, self.stride, strict=True))

    def taps(self, weight: Tensor) -> Tensor:
        """Return the weight of the layer as (group, output, input, taps ...)."""
        return weight.reshape(self.groups, self.outputs, self.inputs, *self.kernel)

    def __str__(self) -> str:
        """Return the sizes as in the papers."""
        lead = f"M={self.outputs}, C={self.inputs}"
        if not self.kernel:
            return lead
        groups = f", groups={self.groups}" if self.groups > 1 else ""
        return f"{lead}, k={_short(self.kernel)}, S={_short(self.stride)}{groups}"


def _short(value: tuple[int, ...]) -> str:
    return str(value[0]) if len(set(value)) == 1 else "x".join(map(str, value))


def _padding_of(layer: nn.Module) -> str:
    mode = str(layer.padding_mode)
    if mode != "zeros":
        return mode
    width = layer.padding
    none = width == "valid" or (not isinstance(width, str) and not any(width))  # type: ignore[arg-type]
    return "valid" if none else "zero"
