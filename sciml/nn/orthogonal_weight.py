"""Weights of orthogonal convolutions, as products of orthogonal factors."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sciml.checks import check_positive
from sciml.errors import InputError
from sciml.nn.convolution_shape import ConvolutionShape
from sciml.nn.existence import check_dilation, check_padding, possible

__all__ = ["Orthogonal"]


class Orthogonal(nn.Module):
    """Parametrisation of a weight whose convolution is orthogonal on every periodic grid.

    The weight is a product of convolutions: a matrix A with orthonormal rows (RO case) or columns (CO case), which acts
    on blocks of S points along each axis, and factors ``P + (I - P) z`` with a projector P, which shift a part of the
    channels by one point along one axis. If M > C S^2, factors act on the outputs of A, one point of the coarse grid
    apart; the others act on its inputs.

    Parameters
    ----------
    layer
        Convolution, transposed convolution or linear layer whose weight is parametrised; only its sizes are used.
        Kernels may be even.
    padding
        ``circular``, ``zero`` or ``valid`` in place of the padding of the layer.
    bound
        Common value of all singular values.

    Raises
    ------
    InputError
        The layer is no convolution, no orthogonal convolution has its sizes, or the theorem excludes its padding.

    Notes
    -----
    Our form: the factors are those of the block convolution orthogonal parametrisation (Li et al., NeurIPS 2019) in 1
    to 3 dimensions, and A treats strides as in AOC (Boissin et al., 2025). It does not contain all orthogonal
    convolutions: the ranks of the projectors are half of the channels. Unlike a training by
    `sciml.nn.orthogonality.penalty` it is exact also for M = C S^2. The original tensors are matrices whose orthonormal
    bases (QR decomposition) are A and the ranges of the projectors; they are computed in float64.

    Assigning a dense weight takes the orthogonal matrix nearest to the block of taps in its middle, with projectors
    drawn at random in pairs that leave this block in the middle. A weight of this form is not recovered.

    Examples
    --------
    >>> from torch.nn.utils import parametrize
    >>> from sciml.nn.orthogonality import spectrum
    >>> conv = nn.Conv2d(4, 16, 3, stride=2, padding=1, padding_mode="circular")
    >>> _ = parametrize.register_parametrization(conv, "weight", Orthogonal(conv))
    >>> bool(((spectrum(conv, 8) - 1).abs() < 1e-6).all())
    True
    """

    def __init__(self, layer: nn.Module, padding: str | None = None, bound: float = 1.0) -> None:
        super().__init__()
        check_positive("bound", bound, owner="Orthogonal")
        self.bound = float(bound)
        self.shape = shape = ConvolutionShape.of(layer, padding)
        check_padding("Orthogonal", shape)
        check_dilation("Orthogonal", shape)
        if not possible(shape):
            need = "M <= C k^2 where S > k" if shape.rows_orthonormal else "S <= k where M > C S^2"
            raise InputError(
                f"Orthogonal({shape}): no orthogonal convolution has these sizes, which need {need} (Achour, "
                "Malgouyres and Mamalet, JMLR 23, 2022); give another kernel, stride or number of channels"
            )
        pairs = list(zip(shape.kernel, shape.stride, strict=True))
        self.block = tuple(min(k, s) for k, s in pairs)  # points on which A acts
        wide = shape.outputs > shape.columns
        # Numbers of factors along each axis: after A, on the coarse grid, and before it.
        self.after = tuple((k - b) // s if wide else 0 for (k, s), b in zip(pairs, self.block, strict=True))
        self.before = tuple(
            k - b - s * count for (k, s), b, count in zip(pairs, self.block, self.after, strict=True)
        )

    def forward(self, *originals: Tensor) -> Tensor:
        """Compute the weight from A (group, rows, columns) and the bases of the projectors (group, channels, rank)."""
        shape, dims = self.shape, len(self.block)
        dtype = originals[0].dtype
        first, *bases = (_basis(x.double()) for x in originals)
        if first.shape[-2] != shape.outputs:  # rows are orthonormal: the basis is of their transpose
            first = first.mT
        kernel = first.reshape(shape.groups, shape.outputs, shape.inputs, *self.block)
        left = iter(bases)
        for axis in range(dims):
            for _ in range(self.after[axis]):
                kernel = _shifted(kernel, next(left), axis, shape.stride[axis], outputs=True)
            for _ in range(self.before[axis]):
                kernel = _shifted(kernel, next(left), axis, 1, outputs=False)
        return (self.bound * kernel.flatten(0, 1)).to(dtype)

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, ...]:
        """Compute the original tensors of the orthogonal matrix nearest to the middle block of a dense weight."""
        shape = self.shape
        taps = shape.taps(weight.detach()).double()
        for axis, (size, block) in enumerate(zip(shape.kernel, self.block, strict=True)):
            start = self.before[axis] // 2 + shape.stride[axis] * (self.after[axis] // 2)
            taps = taps.narrow(3 + axis, min(start, size - block), block)
        flat = taps.flatten(2)
        u, _, vh = torch.linalg.svd(flat, full_matrices=False)
        nearest = u @ vh
        originals = [nearest if nearest.shape[-2] >= nearest.shape[-1] else nearest.mT]
        for axis in range(len(self.block)):
            for channels, count in ((shape.outputs, self.after[axis]), (shape.inputs, self.before[axis])):
                originals += self._projectors(channels, count, weight)
        return tuple(x.to(weight.dtype).contiguous() for x in originals)

    def _projectors(self, channels: int, count: int, like: Tensor) -> list[Tensor]:
        """Draw the bases of projectors; those of a pair are complements, which together shift all channels by one."""
        made = []
        for number in range(count):
            if number % 2 == 0:
                drawn = torch.randn(self.shape.groups, channels, channels, dtype=torch.float64)
                whole = torch.linalg.qr(drawn).Q.to(like.device)
            half = channels // 2
            made.append(whole[..., :half] if number % 2 == 0 else whole[..., half:])
        return made

    def extra_repr(self) -> str:
        """Return the sizes."""
        return str(self.shape)


def _basis(matrix: Tensor) -> Tensor:
    """Return the orthonormal basis of the columns by QR, with signs that make it continuous."""
    if not matrix.numel():
        return matrix
    q, r = torch.linalg.qr(matrix)
    signs = torch.diagonal(r, dim1=-2, dim2=-1).detach().sign()
    basis: Tensor = q * torch.where(signs == 0, 1.0, signs)[..., None, :]
    return basis


def _shifted(kernel: Tensor, basis: Tensor, axis: int, step: int, *, outputs: bool) -> Tensor:
    """Multiply a kernel (group, M, C, taps ...) by ``P + (I - P) z`` along an axis, from the left or the right."""
    if outputs:
        fixed = torch.einsum("gmr,gnr,gnc...->gmc...", basis, basis, kernel)
    else:
        fixed = torch.einsum("gmd...,gdr,gcr->gmc...", kernel, basis, basis)
    at = 3 + axis
    size = list(kernel.shape)
    size[at] = step
    zeros = kernel.new_zeros(size)
    return torch.cat([fixed, zeros], at) + torch.cat([zeros, kernel - fixed], at)
