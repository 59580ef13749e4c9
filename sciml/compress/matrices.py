"""Products of activations and weights in the arithmetic of the native library, bit for bit, on tensors.

Only additions, products and roundings of float32 and integers are used, in a fixed order and without fused operations,
so that every processor has the same bits. Sums of products of integer codes are computed by float32 matrix products:
they stay below 2^24, so that each of their partial sums is exact in any order.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sciml.compress.arithmetic import KINDS, LARGEST_WEIGHT, MOST_SHIFT, check_block
from sciml.errors import InputError

__all__ = ["Activations", "Matrix", "block_codes", "check_kind", "power_of_two", "refuse_gradients"]

CHUNK = 32  # features of a chunk of bfloat16 sums
LEAST_BFLOAT16 = 2.0**-50  # smaller magnitudes are 0, so that no product is subnormal
SECOND_PLANE = 7  # bits of the codes of the remainders

Blocks = list[tuple[Tensor, Tensor]]


def check_kind(kind: str, what: str = "a matrix") -> str:
    """Return the kind of arithmetic of a matrix.

    Raises
    ------
    InputError
        It is none of `sciml.compress.arithmetic.KINDS`.
    """
    if kind not in KINDS:
        raise InputError(f"arithmetic {kind!r} of {what}: give one of {', '.join(KINDS)}")
    return kind


def refuse_gradients(x: Tensor, what: str) -> None:
    """Check that no gradient is asked of a layer that rounds.

    Raises
    ------
    InputError
        The input requires a gradient, or carries a derivative of `torch.func` or of forward mode.
    """
    tangent = torch.autograd.forward_ad.unpack_dual(x).tangent  # type: ignore[no-untyped-call]
    tracked = torch._C._functorch.is_gradtrackingtensor(x)
    if tracked or tangent is not None or (x.requires_grad and torch.is_grad_enabled()):
        raise InputError(
            f"a gradient through {what}, which rounds to integers and has none: use the network before it was "
            "quantized"
        )


def power_of_two(exponent: Tensor) -> Tensor:
    """Return 2 to integers from -126 to 127, exactly; the power function of some devices rounds."""
    return ((exponent.to(torch.int32) + 127) << 23).view(torch.float32)


def block_codes(x: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """Return the codes and the shift of one block for each row, as `sciml.compress.arithmetic.quantize_blocks`.

    Parameters
    ----------
    x
        Finite values, float32 (..., values).
    bits
        Bits of a code.

    Returns
    -------
    tuple
        Codes, float32 (..., values), and shifts, int32 (..., 1).
    """
    largest = x.abs().amax(-1, keepdim=True)
    fraction, exponent = torch.frexp(largest)
    fits = fraction <= (2 ** (bits - 1) - 1) / 2.0 ** (bits - 1)
    shift = torch.where(fits, bits - 1, bits - 2) - exponent.to(torch.int32)
    shift = torch.where(largest == 0, 0, shift.clamp_max(MOST_SHIFT)).to(torch.int32)
    return torch.round(x * power_of_two(shift)), shift


@dataclass(frozen=True, eq=False)
class Activations:
    """Inputs of a product, converted once for all weights of a kind.

    Parameters
    ----------
    blocks
        Codes (..., values) and ``2^-shift`` (..., 1) of each block and plane, for integer kinds.
    values
        Values (..., features) for the other kinds; bfloat16 ones are padded to whole chunks.
    """

    blocks: Blocks
    values: Tensor | None = None

    @classmethod
    def of(cls, x: Tensor, kind: str, block: int, planes: int = 1) -> Activations:
        """Convert float32 (..., features) for weights of a kind.

        Parameters
        ----------
        x
            Finite values.
        kind
            Kind of the weights.
        block
            Features of a block.
        planes
            2 to add codes of the remainders, with the same weights; 1 without.
        """
        if kind == "float32":
            return cls([], x)
        if kind == "bf16":
            return cls([], _chunks(_bfloat16(x)))
        blocks: Blocks = []
        for at in range(0, x.shape[-1], block):
            part = x[..., at : at + block]
            codes, shift = block_codes(part, 8)
            blocks.append((codes, power_of_two(-shift)))
            if planes == 2:
                rest = part * power_of_two(shift) - codes
                blocks.append((torch.round(rest * 2.0**SECOND_PLANE), power_of_two(-(shift + SECOND_PLANE))))
        return cls(blocks)


@dataclass(frozen=True, eq=False)
class Matrix:
    """A weight in one kind of arithmetic.

    Parameters
    ----------
    kind
        Name in `sciml.compress.arithmetic.KINDS`.
    blocks
        Transposed codes (values, rows) and scales (rows,) of each block, for integer kinds.
    values
        Transposed values (features, rows) for the other kinds.
    planes
        Planes of the activations.
    """

    kind: str
    blocks: Blocks
    values: Tensor | None = None
    planes: int = 1

    @classmethod
    def of(cls, weight: Tensor, kind: str, block: int, planes: int = 1) -> Matrix:
        """Convert a dense weight (rows, features).

        Raises
        ------
        InputError
            The kind or the block is not available, or a weight is not finite.
        """
        check_kind(kind)
        check_block(block)
        weight = weight.detach().float()
        if not bool(torch.isfinite(weight).all()):
            raise InputError(
                "a weight is not finite, and integers have no such value: train the network again"
            )
        if kind == "float32":
            return cls(kind, [], weight.T.contiguous())
        if (most := float(weight.abs().amax())) >= LARGEST_WEIGHT:
            raise InputError(
                f"a weight is {most:g}, and arithmetic {kind} takes magnitudes below 2^24: train the network again, or "
                "leave it in floats"
            )
        if kind == "bf16":
            return cls(kind, [], _chunks(_bfloat16(weight)).movedim(0, -1).contiguous())
        blocks: Blocks = []
        scale = _row_scale(weight) if kind == "sign" else None
        for at in range(0, weight.shape[1], block):
            part = weight[:, at : at + block]
            if scale is not None:
                blocks.append((torch.where(part >= 0, 1.0, -1.0).T.contiguous(), scale))
            else:
                codes, shift = block_codes(part, int(kind.removeprefix("int")))
                blocks.append((codes.T.contiguous(), power_of_two(-shift[:, 0])))
        return cls(kind, blocks, None, planes)

    def add(self, total: Tensor, x: Activations) -> Tensor:
        """Return the sum (..., rows) plus the products, in the order of `sciml.compress`'s arithmetic.

        Integer kinds add ``(P 2^-sx) scale`` of each block, where ``P`` is the sum of products of the codes. bfloat16
        adds the sums of even and odd features of each chunk of 32, as the instruction TDPBF16PS does. float32 adds
        product after product.
        """
        if self.kind == "bf16":
            return total + self._bfloat16_sums(x)
        if self.kind == "float32":
            assert x.values is not None and self.values is not None
            for feature in range(x.values.shape[-1]):
                total = total + x.values[..., feature, None] * self.values[feature]
            return total
        for number, (codes, inverse) in enumerate(x.blocks):
            weights, scale = self.blocks[number // self.planes]
            total = (codes @ weights).mul_(inverse).mul_(scale).add_(total)
        return total

    def _bfloat16_sums(self, x: Activations) -> Tensor:
        assert x.values is not None and self.values is not None
        # (..., chunk, pair, parity) and (chunk, pair, parity, row)
        sums = x.values[..., 0, :, None] * self.values[:, 0]
        for pair in range(1, CHUNK // 2):
            # products of two bfloat16 numbers are exact, so that a fused operation has the same bits
            sums.addcmul_(x.values[..., pair, :, None], self.values[:, pair])
        chunks = sums[..., 0, :] + sums[..., 1, :]
        total = chunks[..., 0, :]
        for number in range(1, chunks.shape[-2]):
            total = total + chunks[..., number, :]
        return total


def _bfloat16(x: Tensor) -> Tensor:
    """Round to bfloat16, ties to even; small magnitudes become 0."""
    rounded = x.to(torch.bfloat16).to(torch.float32)
    return torch.where(rounded.abs() < LEAST_BFLOAT16, 0.0, rounded)


def _chunks(x: Tensor) -> Tensor:
    """Pad the features with zeros and split them: (..., chunk, pair, parity)."""
    padded = torch.nn.functional.pad(x, (0, -x.shape[-1] % CHUNK))
    return padded.reshape(*x.shape[:-1], -1, CHUNK // 2, 2)


def _row_scale(weight: Tensor) -> Tensor:
    """Return the mean magnitude of each row, rounded to bfloat16."""
    return weight.double().abs().mean(1).float().to(torch.bfloat16).to(torch.float32)
