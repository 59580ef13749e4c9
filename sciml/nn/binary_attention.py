"""Self-attention with binary queries, keys, values and probabilities, and low-rank estimators of what is left out."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from sciml.checks import check_int
from sciml.errors import InputError
from sciml.nn.association import join_heads, masked, similarity, split_heads
from sciml.nn.binary_activation import ElasticSign, ElasticStep
from sciml.nn.binary_weight import CentredSign

__all__ = ["ESTIMATORS", "BinaryAttention", "BinaryLinear", "SelfAttention"]

ESTIMATORS = ("shared", "heads")


class BinaryLinear(nn.Linear):
    """A linear layer of binary inputs and binary weights, as in BiPFT.

    It is ``linear(ElasticSign(x), CentredSign(weight), bias)``. Its state dict has the real weight.

    Parameters
    ----------
    inputs, outputs
        Sizes of the last dimension of the input and of the output.

    Notes
    -----
    Xing et al., AAAI 2024, arXiv 2312.08937.

    Examples
    --------
    >>> BinaryLinear(4, 2)(torch.ones(3, 4)).shape
    torch.Size([3, 2])
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        self.sign = ElasticSign(inputs)
        self.quantise = CentredSign()

    def forward(self, input: Tensor) -> Tensor:
        """Compute the outputs, (..., outputs)."""
        return linear(self.sign(input), self.quantise(self.weight), self.bias)


class SelfAttention(nn.Module):
    """Self-attention with real scores, without an output projection.

    Parameters
    ----------
    width, heads
        Number of features, and of the heads that share them.

    Raises
    ------
    InputError
        The heads do not divide the width.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        check_int("heads", heads, 1, owner=type(self).__name__)
        if width % heads:
            raise InputError(
                f"{type(self).__name__}(width={width}, heads={heads}): give a width that heads divides"
            )
        self.heads = heads
        self.query, self.key, self.value = (self.projection(width) for _ in range(3))

    def projection(self, width: int) -> nn.Linear:
        """Make the layer that computes queries, keys or values."""
        return nn.Linear(width, width)

    def scores(self, hidden: Tensor) -> Tensor:
        """Compute the scores before the softmax, (sample, head, token, token), of hidden (sample, token, width)."""
        return similarity(self.split(self.query(hidden)), self.split(self.key(hidden)))

    def values(self, hidden: Tensor) -> Tensor:
        """Compute the values, (sample, head, token, feature of a head)."""
        return self.split(self.value(hidden))

    def probabilities(self, scores: Tensor) -> Tensor:
        """Compute the weights of the values."""
        return torch.softmax(scores, -1)

    def forward(self, hidden: Tensor, mask: Tensor | None = None) -> Tensor:
        """Compute the features.

        Parameters
        ----------
        hidden
            (sample, token, width).
        mask
            Numbers that are added to the scores, or True for tokens to ignore; of a shape that broadcasts to theirs.

        Returns
        -------
        Tensor
            (sample, token, width).
        """
        weights = self.probabilities(masked(self.scores(hidden), mask))
        return join_heads(weights @ self.values(hidden))

    def split(self, x: Tensor) -> Tensor:
        """Split features into heads, (sample, head, token, feature of a head)."""
        return split_heads(x, self.heads)


class BinaryAttention(SelfAttention):
    """Self-attention with two levels of queries, keys, values and probabilities, as in BiPFT.

    The scores are ``((a_q sign Q)(a_k sign K)^T + q_m k_p^T + q_p k_m^T + q_p k_p^T) / sqrt(d)``, where ``d`` is the
    number of features of a head. The low-rank terms estimate the error of the binary product and are linear in the real
    input; all heads share them, or each head has its own. The values are ``a_v sign V + v_p`` with a number ``v_p`` for
    each token.

    Parameters
    ----------
    width, heads
        Number of features, and of the heads that share them.
    rank
        Rank of the estimators; 0 has none, nor ``v_p``.
    adapter
        Rank of a real linear map that is added to queries, keys and values before their signs; 0 has none.
    binary_projections
        Whether the layers of queries, keys and values have binary inputs and weights.
    estimators
        ``shared`` by all heads, as in the paper, or ``heads``, where each head has its own.

    Raises
    ------
    InputError
        The heads do not divide the width, a rank is below 0, or the estimators are neither of the two.

    Notes
    -----
    Xing et al., AAAI 2024, arXiv 2312.08937. The authors have rank 1 in the pretraining, any rank in the fine-tuning.
    Estimators of each head are our form: the errors of heads differ, so that a shared estimate leaves most of them.
    `sciml.nn.score_estimators.fit_estimators` starts them from the least squares of the real scores.

    Examples
    --------
    >>> BinaryAttention(8, 2, rank=1)(torch.ones(3, 5, 8)).shape
    torch.Size([3, 5, 8])
    """

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        rank: int = 1,
        adapter: int = 0,
        binary_projections: bool = True,
        estimators: str = "shared",
    ) -> None:
        self.binary_projections = binary_projections
        super().__init__(width, heads)
        check_int("rank", rank, 0, owner="BinaryAttention")
        check_int("adapter", adapter, 0, owner="BinaryAttention")
        if estimators not in ESTIMATORS:
            raise InputError(f"BinaryAttention(estimators={estimators!r}): give {' or '.join(ESTIMATORS)}")
        self.rank, self.adapter = rank, adapter
        self.groups = heads if estimators == "heads" else 1
        self.sign_q, self.sign_k, self.sign_v = ElasticSign(), ElasticSign(), ElasticSign()
        self.step = ElasticStep()
        if rank:
            self.q_p, self.q_m, self.k_p, self.k_m = (nn.Linear(width, self.groups * rank) for _ in range(4))
            self.v_p = nn.Linear(width, 1)
        if adapter:
            self.adapter_q, self.adapter_k, self.adapter_v = (
                nn.Sequential(nn.Linear(width, adapter, bias=False), nn.Linear(adapter, width, bias=False))
                for _ in range(3)
            )

    def projection(self, width: int) -> nn.Linear:
        """Make the layer that computes queries, keys or values."""
        return BinaryLinear(width, width) if self.binary_projections else nn.Linear(width, width)

    def real_parts(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Compute queries and keys before their signs, (sample, head, token, feature of a head)."""
        q, k = self.query(hidden), self.key(hidden)
        if self.adapter:
            q, k = q + self.adapter_q(hidden), k + self.adapter_k(hidden)
        return self.split(q), self.split(k)

    def estimate(self, hidden: Tensor) -> Tensor:
        """Compute the low-rank terms of the scores before the division by sqrt(d).

        Returns
        -------
        Tensor
            (sample, head, token, token), with one head where all share the estimators.
        """
        q_p, q_m, k_p, k_m = (
            self._by_group(part(hidden)) for part in (self.q_p, self.q_m, self.k_p, self.k_m)
        )
        terms: Tensor = q_m @ k_p.mT + q_p @ k_m.mT + q_p @ k_p.mT
        return terms

    def _by_group(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:2], self.groups, self.rank).transpose(1, 2)

    @torch.no_grad()
    def set_estimators(self, left: Tensor, right: Tensor) -> None:
        """Set the estimators so that the low-rank terms are ``[x, 1] left right^T [x, 1]^T``.

        Parameters
        ----------
        left, right
            (head, width + 1, component), with one head where all share the estimators, and at most twice the rank as
            components; the last row is that of the constant one.
        """

        def halves(side: Tensor) -> tuple[Tensor, Tensor]:
            whole = side.new_zeros(*side.shape[:2], 2 * self.rank)
            whole[..., : side.shape[-1]] = side
            return whole[..., : self.rank], whole[..., self.rank :]

        (q_m, q_p), (k_p, k_sum) = halves(left), halves(right)
        for name, value in (("q_m", q_m), ("q_p", q_p), ("k_p", k_p), ("k_m", k_sum - k_p)):
            layer, flat = getattr(self, name), value.transpose(1, 2).flatten(0, 1)
            layer.weight.copy_(flat[:, :-1])
            layer.bias.copy_(flat[:, -1])

    def scores(self, hidden: Tensor) -> Tensor:
        """Compute the scores before the softmax, (sample, head, token, token), of hidden (sample, token, width)."""
        q, k = self.real_parts(hidden)
        scores: Tensor = self.sign_q(q) @ self.sign_k(k).transpose(-1, -2)
        if self.rank:
            scores = scores + self.estimate(hidden)
        return scores / math.sqrt(q.shape[-1])

    def values(self, hidden: Tensor) -> Tensor:
        """Compute the values, (sample, head, token, feature of a head)."""
        v = self.value(hidden)
        if self.adapter:
            v = v + self.adapter_v(hidden)
        levels: Tensor = self.sign_v(self.split(v))
        return levels + self.v_p(hidden).unsqueeze(1) if self.rank else levels

    def probabilities(self, scores: Tensor) -> Tensor:
        """Compute the weights of the values, 0 or the step."""
        weights: Tensor = self.step(torch.softmax(scores, -1))
        return weights
