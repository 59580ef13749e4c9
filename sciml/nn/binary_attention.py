"""Self-attention with binary queries, keys, values and probabilities, and low-rank estimators of what is left out."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from sciml.checks import check_int
from sciml.errors import InputError
from sciml.nn.binary_activation import ElasticSign, ElasticStep
from sciml.nn.binary_weight import CentredSign

__all__ = ["BinaryAttention", "BinaryLinear", "SelfAttention"]


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
        q, k = self.split(self.query(hidden)), self.split(self.key(hidden))
        return q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])

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
            Numbers that are added to the scores, of a shape that broadcasts to theirs.

        Returns
        -------
        Tensor
            (sample, token, width).
        """
        scores = self.scores(hidden)
        weights = self.probabilities(scores if mask is None else scores + mask)
        return (weights @ self.values(hidden)).transpose(1, 2).flatten(2)

    def split(self, x: Tensor) -> Tensor:
        """Split features into heads, (sample, head, token, feature of a head)."""
        return x.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2)


class BinaryAttention(SelfAttention):
    """Self-attention with two levels of queries, keys, values and probabilities, as in BiPFT.

    The scores are ``((a_q sign Q)(a_k sign K)^T + q_m k_p^T + q_p k_m^T + q_p k_p^T) / sqrt(d)``, where ``d`` is the
    number of features of a head. The low-rank terms estimate the error of the binary product, are linear in the real
    input and are shared by all heads. The values are ``a_v sign V + v_p`` with a number ``v_p`` for each token.

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

    Raises
    ------
    InputError
        The heads do not divide the width, or a rank is below 0.

    Notes
    -----
    Xing et al., AAAI 2024, arXiv 2312.08937. The authors have rank 1 in the pretraining, any rank in the fine-tuning.

    Examples
    --------
    >>> BinaryAttention(8, 2, rank=1)(torch.ones(3, 5, 8)).shape
    torch.Size([3, 5, 8])
    """

    def __init__(
        self, width: int, heads: int, *, rank: int = 1, adapter: int = 0, binary_projections: bool = True
    ) -> None:
        self.binary_projections = binary_projections
        super().__init__(width, heads)
        check_int("rank", rank, 0, owner="BinaryAttention")
        check_int("adapter", adapter, 0, owner="BinaryAttention")
        self.rank, self.adapter = rank, adapter
        self.sign_q, self.sign_k, self.sign_v = ElasticSign(), ElasticSign(), ElasticSign()
        self.step = ElasticStep()
        if rank:
            self.q_p, self.q_m, self.k_p, self.k_m = (nn.Linear(width, rank) for _ in range(4))
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
        """Compute the low-rank terms of the scores, (sample, 1, token, token), before the division by sqrt(d)."""
        q_p, k_p = self.q_p(hidden), self.k_p(hidden)
        terms: Tensor = self.q_m(hidden) @ k_p.mT + q_p @ self.k_m(hidden).mT + q_p @ k_p.mT
        return terms.unsqueeze(1)

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
