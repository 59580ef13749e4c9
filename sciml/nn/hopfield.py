"""The layer of modern Hopfield networks, which associates states with stored patterns."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

from sciml.checks import check_int
from sciml.errors import InputError
from sciml.nn.association import (
    Beta,
    Retrieval,
    Steps,
    associate,
    check_beta,
    join_heads,
    split_heads,
)

__all__ = ["Hopfield"]

Pattern = Literal["state", "stored", "projection"]
SPREAD = 0.02
"""Standard deviation of the initial weights of projections and of learned patterns."""


class Hopfield(nn.Module):
    """A layer that associates states with stored patterns and returns a mean of projections of the patterns.

    States and stored patterns are normalised, mapped to the association space and split into heads; the association may
    be iterated there (`sciml.nn.association.associate`). The projections of the patterns are weighted by the result.
    One step with default settings is the cross-attention of a transformer.

    Parameters
    ----------
    size
        Number of features of a state.
    heads
        Number of heads.
    beta
        Inverse temperature, above 0; one for all heads or one for each. None is the inverse square root of ``hidden``.
    steps, eps
        Largest number of updates of the state, and the change of the weights at which they stop; see `associate`.
        ``steps`` may have a number for each head.
    stored_size, projection_size
        Numbers of features of a stored pattern and of a pattern to be projected; by default ``size``, and
        ``stored_size``.
    hidden, values
        Numbers of features of a head in the association space, and of a projected pattern; by default ``size / heads``,
        and ``hidden``.
    output
        Number of features of the result; by default ``size``. 0 joins the heads without a last linear layer.
    static
        Patterns that enter the association as they are, without a normalisation and a linear map. Each head gets all
        features of a static pattern.
    connected
        Whether the patterns to be projected are first mapped like the stored patterns.
    normalise
        Whether layer norms are applied to the patterns that are not static.
    normalise_association
        Whether states and stored patterns are also normalised in the association space, with shared weights.
    bias
        Whether the linear layers have biases.
    bias_pattern
        Whether a learned pattern is appended to the stored ones.
    zero_pattern
        Whether a pattern of zeros is appended to the stored ones, so that a state may associate with nothing.
    dropout
        Probability with which a weight of the association is set to 0 in the training.

    Raises
    ------
    InputError
        A size or a number of steps is invalid, or beta is not above 0.

    Notes
    -----
    Ramsauer et al. (2021), ICLR. Four faults of the official program are not reproduced: beta for each head, static
    patterns with several heads, the bias pattern (without effect there) and a stopping rule that depends on the batch.

    Examples
    --------
    >>> Hopfield(8, heads=2, beta=(0.5, 2.0), steps=None)(torch.ones(3, 6, 8)).shape
    torch.Size([3, 6, 8])
    """

    def __init__(
        self,
        size: int,
        *,
        heads: int = 1,
        beta: Beta | None = None,
        steps: Steps = 0,
        eps: float = 1e-4,
        stored_size: int | None = None,
        projection_size: int | None = None,
        hidden: int | None = None,
        values: int | None = None,
        output: int | None = None,
        static: Collection[Pattern] = (),
        connected: bool = False,
        normalise: bool = True,
        normalise_association: bool = False,
        bias: bool = True,
        bias_pattern: bool = False,
        zero_pattern: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        stored_size = size if stored_size is None else stored_size
        projection_size = stored_size if projection_size is None else projection_size
        sizes = {"state": size, "stored": stored_size, "projection": projection_size}
        self._check(sizes, heads, beta, hidden, values, output, static, connected)
        self.heads, self.beta, self.steps, self.eps = heads, beta, steps, eps
        self.connected, self.zero_pattern, self.dropout = connected, zero_pattern, dropout
        hidden = (size if "state" in static else size // heads) if hidden is None else hidden
        for name in ("state", "stored"):
            if name in static and sizes[name] != hidden:
                raise InputError(
                    f"Hopfield(hidden={hidden}) with static {name} patterns of {sizes[name]} features: "
                    "these are those of a head"
                )
        self.sizes, self.hidden = sizes, hidden
        self.values = projection_size if "projection" in static else hidden if values is None else values
        self.norms, self.maps = nn.ModuleDict(), nn.ModuleDict()
        widths = {"state": hidden, "stored": hidden, "projection": self.values}
        for name in get_args(Pattern):
            if name in static:
                continue
            inputs = heads * hidden if connected and name == "projection" else sizes[name]
            if normalise:
                self.norms[name] = nn.LayerNorm(sizes[name])
            self.maps[name] = nn.Linear(inputs, heads * widths[name], bias=bias)
        self.shared_norm = nn.LayerNorm(hidden) if normalise_association else None
        if bias_pattern:
            self.bias_stored = nn.Parameter(torch.empty(heads, 1, hidden).normal_(std=SPREAD))
            self.bias_projection = nn.Parameter(torch.empty(heads, 1, self.values).normal_(std=SPREAD))
        self.bias_pattern = bias_pattern
        output = size if output is None else output
        self.out = nn.Linear(heads * self.values, output, bias=bias) if output else None
        self.output = output or heads * self.values
        for layer in (*self.maps.values(), self.out):
            if isinstance(layer, nn.Linear):
                _reset(layer)

    @staticmethod
    def _check(
        sizes: dict[str, int],
        heads: int,
        beta: Beta | None,
        hidden: int | None,
        values: int | None,
        output: int | None,
        static: Collection[str],
        connected: bool,
    ) -> None:
        for name, value in {**sizes, "heads": heads}.items():
            check_int(name if name in ("heads", "size") else f"size of {name}", value, 1, owner="Hopfield")
        for name, number in (("hidden", hidden), ("values", values)):
            if number is not None:
                check_int(name, number, 1, owner="Hopfield")
        if output is not None:
            check_int("output", output, 0, owner="Hopfield")
        unknown = set(static) - set(get_args(Pattern))
        if unknown:
            raise InputError(
                f"Hopfield(static={sorted(unknown)}): give some of {', '.join(get_args(Pattern))}"
            )
        if connected and ({"stored", "projection"} & set(static) or sizes["projection"] != sizes["stored"]):
            raise InputError(
                "Hopfield(connected=True) maps the patterns as the stored ones, then again: give stored and projected "
                "patterns of one size, which are not static"
            )
        if hidden is None and "state" not in static and sizes["state"] % heads:
            raise InputError(
                f"Hopfield(size={sizes['state']}, heads={heads}): give a size that heads divides, or hidden"
            )
        check_beta(beta)
        if isinstance(beta, Sequence | Tensor) and torch.as_tensor(beta).numel() not in (1, heads):
            raise InputError(f"Hopfield(heads={heads}, beta={beta!r}): give one beta, or one for each head")

    def forward(
        self,
        stored: Tensor,
        state: Tensor | None = None,
        projection: Tensor | None = None,
        *,
        padding: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Associate states with stored patterns and compute the result.

        Parameters
        ----------
        stored
            (sample, pattern, feature).
        state
            (sample, state, feature); by default the stored patterns.
        projection
            (sample, pattern, feature): what the weights are applied to; by default the stored patterns.
        padding
            (sample, pattern), True for patterns of a sample that are to be ignored.
        mask
            (state, pattern), (sample, state, pattern) or (sample, head, state, pattern): True for patterns that a state
            ignores, or numbers that are added to the similarities.

        Returns
        -------
        Tensor
            (sample, state, output).

        Raises
        ------
        InputError
            The shapes do not fit, or all patterns of a state are ignored.
        """
        retrieval, projected = self.association(stored, state, projection, padding=padding, mask=mask)
        weights = dropout(retrieval.weights, self.dropout, self.training)
        joined = join_heads(weights @ projected)
        return joined if self.out is None else self.out(joined)

    def association(
        self,
        stored: Tensor,
        state: Tensor | None = None,
        projection: Tensor | None = None,
        *,
        padding: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> tuple[Retrieval, Tensor]:
        """Compute the association, for an analysis of the heads; parameters and errors as in `forward`.

        Returns
        -------
        tuple of Retrieval and Tensor
            Weights (sample, head, state, pattern) and states; projected patterns (sample, head, pattern, feature).
        """
        state = stored if state is None else state
        projection = stored if projection is None else projection
        for name, x in (("state", state), ("stored", stored), ("projection", projection)):
            if x.ndim != 3 or x.shape[-1] != self.sizes[name]:
                raise InputError(
                    f"{name} of shape {tuple(x.shape)}: give (sample, pattern, {self.sizes[name]})"
                )
        q, k = self._enter("state", state), self._enter("stored", stored)
        v = self._enter("projection", projection)
        if self.shared_norm is not None:
            q, k = self.shared_norm(q), self.shared_norm(k)
        if self.bias_pattern:
            k = torch.cat([k, self.bias_stored.expand(k.shape[0], -1, -1, -1)], -2)
            v = torch.cat([v, self.bias_projection.expand(v.shape[0], -1, -1, -1)], -2)
        if self.zero_pattern:
            k, v = (torch.cat([x, torch.zeros_like(x[..., :1, :])], -2) for x in (k, v))
        combined = self._mask(padding, mask, stored, k.shape[-2] - stored.shape[1])
        retrieval = associate(q, k, beta=self.beta, steps=self.steps, eps=self.eps, mask=combined)
        return retrieval, v

    def _enter(self, name: str, x: Tensor) -> Tensor:
        """Normalise patterns, map them to the association space and split them into heads."""
        if name not in self.maps:
            return x.unsqueeze(1).expand(-1, self.heads, -1, -1)
        if name in self.norms:
            x = self.norms[name](x)
        if self.connected and name == "projection":
            x = self.maps["stored"](x)
        return split_heads(self.maps[name](x), self.heads)

    @staticmethod
    def _mask(padding: Tensor | None, mask: Tensor | None, stored: Tensor, extra: int) -> Tensor | None:
        """Combine the masks; appended patterns are never ignored."""
        if padding is not None:
            if padding.dtype != torch.bool or padding.shape != stored.shape[:2]:
                raise InputError(
                    f"padding of shape {tuple(padding.shape)} and {padding.dtype}: give booleans "
                    f"{tuple(stored.shape[:2])}, True for patterns to ignore"
                )
            padding = padding[:, None, None, :]
        if mask is not None and mask.ndim == 3:
            mask = mask.unsqueeze(1)
        if mask is None or padding is None:
            combined = padding if mask is None else mask
        elif mask.dtype == torch.bool:
            combined = mask | padding
        else:
            combined = mask.masked_fill(padding, -torch.inf)
        if combined is None or not extra:
            return combined
        return torch.cat([combined, combined.new_zeros(*combined.shape[:-1], extra)], -1)


def _reset(layer: nn.Linear) -> None:
    nn.init.normal_(layer.weight, std=SPREAD)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
