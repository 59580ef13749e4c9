"""Least-squares fit of the estimators of binary attention to its real scores."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sciml.errors import InputError
from sciml.nn.binary_activation import LEAST_STEP
from sciml.nn.binary_attention import BinaryAttention
from sciml.nn.binary_sign import binary_sign

__all__ = ["ScoreMoments", "fit_estimators"]

ROUNDS, CHANGE = 40, 1e-5  # of the alternating least squares: most rounds, least relative gain of one
EXACT = 1e-10  # relative error that is rounding
NULL = 1e-10  # relative variance of a direction of the inputs that does not count
RIDGE = 1e-10


@dataclass(frozen=True)
class ScoreMoments:
    """Sums over samples and tokens that determine the squared error of binary scores with low-rank estimators.

    With the inputs and a constant one, ``x``, the estimate of the product of the queries and keys is
    ``c sign(Q) sign(K)^T + x M x^T``. The sums are in coordinates in which ``x`` has the identity as second moment.

    Parameters
    ----------
    basis
        (input, coordinate), from coordinates to inputs and the constant, which is last.
    second
        (sample, coordinate, coordinate), sums of products over the tokens.
    real, binary
        (group, coordinate, coordinate), sums of products with the real and the binary scores.
    squares
        (3,): sums of squares of the real scores, of their products with the binary ones, and of the squares of these.
    heads
        Number of heads of a group.
    pairs
        Number of pairs of tokens and heads.
    """

    basis: Tensor
    second: Tensor
    real: Tensor
    binary: Tensor
    squares: Tensor
    heads: int
    pairs: int

    @classmethod
    @torch.no_grad()
    def of(cls, attention: BinaryAttention, hidden: Tensor, basis: Tensor | None = None) -> ScoreMoments:
        """Sum over hidden states, (sample, token, width); the groups are the estimators' heads."""
        first, second = attention.real_parts(hidden)
        q, k = first.double(), second.double()
        groups = attention.groups
        heads = attention.heads // groups
        x = torch.cat([hidden.double(), hidden.new_ones(*hidden.shape[:2], 1).double()], -1)
        if basis is None:
            values, vectors = torch.linalg.eigh((x.mT @ x).sum(0) / (x.shape[0] * x.shape[1]))
            large = values > NULL * values[-1]
            basis = vectors[:, large] / values[large].sqrt()
        x = x @ basis
        signs = binary_sign(q), binary_sign(k)

        def product(left: Tensor, right: Tensor) -> Tensor:
            return (x.mT.unsqueeze(1) @ left) @ (right.mT @ x.unsqueeze(1))

        def inner(
            first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]
        ) -> Tensor:  # of two score matrices
            return ((first[0].mT @ second[0]) * (first[1].mT @ second[1])).sum()

        sums = [
            part.sum(0).reshape(groups, heads, *part.shape[2:]).sum(1)
            for part in (product(q, k), product(*signs))
        ]
        squares = torch.stack([inner((q, k), (q, k)), inner((q, k), signs), inner(signs, signs)])
        pairs = q.shape[0] * q.shape[1] * q.shape[2] ** 2
        return cls(basis, x.mT @ x, sums[0], sums[1], squares, heads, pairs)

    def error(self, scale: float, left: Tensor, right: Tensor) -> float:
        """Return the mean square error of ``c sign(Q) sign(K)^T + x left right^T x^T``, of the product QK^T.

        Parameters
        ----------
        scale
            The number c.
        left, right
            (group, coordinate, component).
        """
        inner = left.mT.unsqueeze(1) @ self.second @ left.unsqueeze(1)
        outer = right.mT.unsqueeze(1) @ self.second @ right.unsqueeze(1)
        low = self.heads * (inner * outer).sum()
        cross = ((left @ right.mT) * (self.real - scale * self.binary)).sum()
        exact, mixed, own = self.squares.unbind()
        return float((exact - 2 * scale * mixed + scale**2 * own + low - 2 * cross) / self.pairs)

    def fitted(self, components: int, scale: float | None = None) -> tuple[float, Tensor, Tensor]:
        """Fit the scale, unless it is given, and the components by alternating least squares.

        Returns
        -------
        scale, left, right
            The number c, and (group, coordinate, component); the components of a group are orthogonal.
        """
        count = min(components, self.real.shape[-1])
        exact, mixed, own = self.squares.tolist()
        if not count:
            empty = self.real[..., :0]
            return (mixed / own if scale is None else scale), empty, empty
        right = torch.linalg.svd(self.real)[2][:, :count].mT
        last = float("inf")
        for _ in range(ROUNDS):
            left = self._solved(right, self.real, self.binary, scale)[1]
            left = torch.linalg.qr(left)[0]
            c, right = self._solved(left, self.real.mT, self.binary.mT, scale)
            error = self.error(c, left, right)
            if last - error <= CHANGE * abs(error) or error <= EXACT * exact / self.pairs:
                break
            last = error
        u, size, v = torch.linalg.svd(left @ right.mT)
        root = size[:, :count].sqrt().unsqueeze(1)
        return c, u[..., :count] * root, v[:, :count].mT * root

    def _solved(
        self, known: Tensor, real: Tensor, binary: Tensor, scale: float | None
    ) -> tuple[float, Tensor]:
        """Solve for the scale and one side of the components, given the other."""
        known = torch.linalg.qr(known)[0]
        size, count = known.shape[1:]
        sides = []
        for number, side in enumerate(known):
            inner = (side.mT @ self.second @ side).flatten(1)
            normal = (self.second.flatten(1).mT @ inner).reshape(size, size, count, count)
            normal = self.heads * normal.permute(0, 2, 1, 3).reshape(size * count, size * count)
            normal.diagonal().add_(RIDGE * normal.diagonal().mean())
            wanted = torch.stack([(part[number] @ side).flatten() for part in (real, binary)], 1)
            sides.append(torch.linalg.solve(normal, wanted).unflatten(0, (size, count)))
        by_real, by_binary = torch.stack(sides).unbind(-1)
        if scale is None:
            _, mixed, own = self.squares.tolist()
            seen = binary @ known
            rest = own - float((seen * by_binary).sum())
            scale = (mixed - float((seen * by_real).sum())) / max(rest, 1e-12 * own)
            scale = max(scale, LEAST_STEP**2)
        return scale, by_real - scale * by_binary


@torch.no_grad()
def fit_estimators(attention: BinaryAttention, hidden: Tensor) -> None:
    """Set the steps of queries and keys, and the estimators, to the least squares of the real scores.

    The real scores are those of the attention's own queries and keys before their signs. Estimators of rank ``r`` can
    be any bilinear form of rank ``2 r`` of the inputs.

    Parameters
    ----------
    attention
        The attention, which is changed.
    hidden
        Inputs of the attention, (sample, token, width).

    Raises
    ------
    InputError
        The hidden states have no samples, or are not finite.

    Notes
    -----
    Our form: reduced-rank regression (Izenman, J. Multivariate Anal. 5, 1975) with the scale of the binary scores as
    another unknown. The paper trains the estimators with the network.
    """
    if not hidden.numel() or not bool(hidden.isfinite().all()):
        raise InputError(
            f"hidden states of shape {tuple(hidden.shape)}: give finite ones of at least one sample"
        )
    moments = ScoreMoments.of(attention, hidden)
    scale, left, right = moments.fitted(2 * attention.rank)
    q, k = attention.real_parts(hidden)
    ratio = float(q.abs().mean() / k.abs().mean().clamp_min(1e-30))
    for sign, step in (
        (attention.sign_q, (scale * ratio) ** 0.5),
        (attention.sign_k, (scale / ratio) ** 0.5),
    ):
        sign.step.fill_(step)
        sign.started.fill_(True)
    if attention.rank:
        attention.set_estimators(*(moments.basis @ side for side in (left, right)))
