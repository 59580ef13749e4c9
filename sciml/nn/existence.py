"""For which sizes and paddings there are orthogonal convolutions."""

from __future__ import annotations

import math

from torch import nn

from sciml.errors import InputError
from sciml.nn.convolution_shape import ConvolutionShape

__all__ = ["check_dilation", "check_odd", "check_padding", "exists", "possible"]

_PAPER = "Achour, Malgouyres and Mamalet (JMLR 23, 2022)"


def exists(conv: nn.Module, padding: str | None = None) -> bool:
    """Return whether there is an orthogonal convolution of the sizes of a layer.

    Parameters
    ----------
    conv
        Convolution or transposed convolution with odd kernel sizes, or a linear layer; its weights are not used.
    padding
        ``circular``, ``zero`` or ``valid`` in place of the padding of the layer.

    Returns
    -------
    bool
        With circular padding, whether M <= C k^2 in the RO case, and whether S <= k in the CO case. Without padding the
        condition of the RO case is the same.

    Raises
    ------
    InputError
        The layer is no convolution, the kernel is even, or the theorem excludes the padding: zero padding with more
        than one tap, and no padding in the CO case unless k = S.

    Notes
    -----
    For sizes that differ between axes the condition of the RO case is M <= C min(k1, S1) min(k2, S2), or M <= C k^2
    with the same k and S everywhere. The proofs for the two other paddings: without padding only the first tap acts on
    the first point and only the last tap on the last point, so that both would have norm 1, and one of them is one of
    several taps of an inner point whose squares sum to 1. With zero padding, the first and the last output omit the
    taps outside of the grid, so that only min((k + 1) / 2, S) taps along each axis are not zero: neighbouring outputs
    do not overlap.

    Examples
    --------
    >>> exists(nn.Conv2d(3, 28, 3, padding=1, padding_mode="circular"))
    True
    >>> exists(nn.Conv2d(1, 10, 3, stride=4), "circular"), exists(nn.Conv2d(1, 9, 3, stride=4), "circular")
    (False, True)
    """
    shape = ConvolutionShape.of(conv, padding)
    check_odd("exists", shape)
    check_padding("exists", shape)
    return possible(shape)


def possible(shape: ConvolutionShape) -> bool:
    """Return whether there is an orthogonal convolution of a shape on a periodic grid."""
    pairs = list(zip(shape.kernel, shape.stride, strict=True))
    if shape.rows_orthonormal:
        return shape.outputs <= shape.inputs * math.prod(min(k, s) for k, s in pairs)
    return all(s <= k for k, s in pairs)


def check_odd(name: str, shape: ConvolutionShape) -> None:
    """Check that the theorems apply to a kernel.

    Raises
    ------
    InputError
        A size of the kernel is even, or the kernel has both a stride and a dilation.
    """
    if any(size % 2 == 0 for size in shape.kernel):
        raise InputError(
            f"{name} of a kernel of {'x'.join(map(str, shape.kernel))}: the theorems of {_PAPER} are for odd sizes; "
            "give an odd kernel, or use spectrum(conv, n), which takes any"
        )
    check_dilation(name, shape)


def check_dilation(name: str, shape: ConvolutionShape) -> None:
    """Check that a kernel has no dilation along an axis with a stride.

    Raises
    ------
    InputError
        It has.
    """
    if any(d > 1 and s > 1 for d, s in zip(shape.dilation, shape.stride, strict=True)):
        raise InputError(
            f"{name} of a kernel with stride {shape.stride} and dilation {shape.dilation}: give one of the two"
        )


def check_padding(name: str, shape: ConvolutionShape) -> None:
    """Check that the padding does not exclude orthogonality.

    Raises
    ------
    InputError
        It does; the message quotes the theorem.
    """
    if math.prod(shape.kernel) == 1 or shape.padding == "circular":
        return
    remedy = "use padding_mode='circular' on a periodic problem, or a kernel of 1"
    if shape.padding == "zero":
        raise InputError(
            f"{name} with zero padding ({shape}): {_PAPER} show that an orthogonal convolution with 'same' zero "
            f"padding is trivial, with one tap that is not zero at stride 1; {remedy}"
        )
    if shape.padding == "valid" and (shape.rows_orthonormal or shape.kernel == shape.stride):
        return
    if shape.padding == "valid":
        raise InputError(
            f"{name} without padding ({shape}): {_PAPER} show that for 'valid' padding and M > C S^2 no convolution is "
            f"orthogonal; {remedy}"
        )
    raise InputError(
        f"{name} with padding_mode={shape.padding!r}: there is no theorem for this padding; {remedy}"
    )
