"""Association of states with stored patterns, softmax(beta q k) v: attention, and Hopfield networks that iterate it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from sciml.checks import is_number, is_whole
from sciml.errors import InputError

__all__ = [
    "Retrieval",
    "associate",
    "effective_patterns",
    "energy",
    "join_heads",
    "similarity",
    "split_heads",
]

MOST_UPDATES = 10_000
"""Updates after which an iteration without a limit stops, because rounding can make it alternate between two states."""

Beta = float | Sequence[float] | Tensor
Steps = int | None | Sequence[int | None]


class Retrieval(NamedTuple):
    """The association of states with stored patterns.

    Attributes
    ----------
    weights
        (..., state, pattern); not negative, of sum 1 over the patterns.
    state
        (..., state, feature): the states of these weights, after the updates.
    updates
        Whole numbers, (...): how often the states of each sample and head were updated.
    """

    weights: Tensor
    state: Tensor
    updates: Tensor


def split_heads(x: Tensor, heads: int) -> Tensor:
    """Split features into heads.

    Parameters
    ----------
    x
        (sample, token, feature).
    heads
        Number of heads; it divides the number of features.

    Returns
    -------
    Tensor
        (sample, head, token, feature of a head).
    """
    return x.reshape(*x.shape[:2], heads, -1).transpose(1, 2)


def join_heads(x: Tensor) -> Tensor:
    """Join the features of all heads; the inverse of `split_heads`.

    Parameters
    ----------
    x
        (sample, head, token, feature of a head).

    Returns
    -------
    Tensor
        (sample, token, feature).
    """
    return x.transpose(1, 2).flatten(2)


def similarity(state: Tensor, stored: Tensor, beta: Beta | None = None) -> Tensor:
    """Compute beta times the scalar products of states and stored patterns.

    Parameters
    ----------
    state
        (..., state, feature).
    stored
        (..., pattern, feature).
    beta
        Inverse temperature, above 0: a number, or one for each head, the last of the leading dimensions. None is the
        inverse square root of the number of features.

    Returns
    -------
    Tensor
        (..., state, pattern).

    Raises
    ------
    InputError
        Beta is not above 0, or there is another number of them than of heads; or the numbers of features differ.
    """
    if state.shape[-1] != stored.shape[-1]:
        raise InputError(
            f"states of {state.shape[-1]} features and patterns of {stored.shape[-1]}: give equal numbers"
        )
    transposed = stored.transpose(-1, -2)
    if beta is None:
        return state @ transposed / math.sqrt(state.shape[-1])
    return (state * _factors(beta, state)) @ transposed


def associate(
    state: Tensor,
    stored: Tensor,
    *,
    beta: Beta | None = None,
    steps: Steps = 0,
    eps: float = 1e-4,
    mask: Tensor | None = None,
) -> Retrieval:
    """Associate states with stored patterns, by ``softmax(beta q k)``, and iterate.

    The update of a state is ``q <- softmax(beta q k) k``. Each sample and each head stops by itself: when its number of
    updates reaches the limit, or when the Frobenius norm of the change of its weights is at most ``eps``. The result of
    a sample therefore does not depend on the other samples of a batch.

    Parameters
    ----------
    state
        (..., state, feature), such as (sample, head, state, feature).
    stored
        (..., pattern, feature); the leading dimensions broadcast with those of ``state``.
    beta
        As in `similarity`.
    steps
        Largest number of updates before the weights of the result: 0 associates once, as attention does, and None
        iterates until the change is small. A list has a number for each head.
    eps
        Change of the weights at which the iteration stops.
    mask
        True for patterns to ignore, or numbers that are added to the similarities; of a shape that broadcasts to
        (..., state, pattern).

    Returns
    -------
    Retrieval
        Weights, states and numbers of updates. ``weights @ values`` is what is retrieved.

    Raises
    ------
    InputError
        Beta is not above 0, steps or eps are below 0, or all patterns of a state are masked.

    Notes
    -----
    Ramsauer et al. (2021), Hopfield networks is all you need, ICLR, equations 22 to 26. The official program stops a
    head by the largest change in the batch.

    Examples
    --------
    >>> stored = 3.0 * torch.eye(4)
    >>> retrieval = associate(torch.tensor([[2.0, 0.5, 0.0, 0.0]]), stored, beta=1.0, steps=None)
    >>> (retrieval.weights @ stored).round(decimals=1).tolist(), int(retrieval.updates)
    ([[3.0, 0.0, 0.0, 0.0]], 2)
    """
    if not (is_number(eps) and eps >= 0):
        raise InputError(f"eps={eps!r}: give the change of the weights at which to stop, 0 or more")
    limits = _limits(steps)
    _check_mask(mask)

    def weigh(q: Tensor) -> Tensor:
        return torch.softmax(masked(similarity(q, stored, beta), mask), -1)

    weights = weigh(state)
    leading = weights.shape[:-2]
    updates = torch.zeros(leading, dtype=torch.int64, device=weights.device)
    if not any(limits):
        return Retrieval(weights, state, updates)
    fixed = (
        torch.compiler.is_compiling()
    )  # a graph has a fixed number of updates; those after the last change nothing
    if fixed and max(limits) == MOST_UPDATES:
        raise InputError("steps=None in a compiled or exported network: give a number of updates")
    limit = torch.tensor(limits, device=weights.device)
    if len(limits) > 1 and (not leading or leading[-1] != len(limits)):
        raise InputError(f"steps={list(limits)} for weights of shape {tuple(weights.shape)}: one per head")
    limit = (limit if len(limits) > 1 else limit[0]).expand(leading)
    active = limit > 0
    for _ in range(max(limits)):
        if not fixed and not bool(active.any()):
            break
        chosen = active[..., None, None]
        state = torch.where(chosen, weights @ stored, state)
        fresh = torch.where(chosen, weigh(state), weights)
        change = torch.linalg.vector_norm((fresh - weights).detach(), dim=(-2, -1))
        weights, updates = fresh, updates + active
        active = active & (change > eps) & (updates < limit)
    return Retrieval(weights, state, updates)


def masked(scores: Tensor, mask: Tensor | None) -> Tensor:
    """Add a mask of numbers to scores, or set them to minus infinity where a mask of booleans is True."""
    if mask is None:
        return scores
    return scores.masked_fill(mask, -torch.inf) if mask.dtype == torch.bool else scores + mask


def energy(state: Tensor, stored: Tensor, *, beta: Beta | None = None) -> Tensor:
    """Compute the energy of states, which no update increases.

    ``E = -lse(beta, X xi) + xi.xi / 2 + log(N) / beta + M^2 / 2`` with ``lse(b, z) = log(sum exp(b z)) / b``, N stored
    patterns X and M the largest norm of a pattern. It is between 0 and 2 M^2 for a state of norm at most M.

    Parameters
    ----------
    state
        (..., state, feature).
    stored
        (..., pattern, feature).
    beta
        As in `similarity`.

    Returns
    -------
    Tensor
        (..., state).

    Raises
    ------
    InputError
        Beta is not above 0.

    Notes
    -----
    Ramsauer et al. (2021), ICLR, equations 18 to 20 of the authors' page; theorem 2 is about its decrease.

    Examples
    --------
    >>> x = torch.eye(2)
    >>> [round(float(e), 4) for e in energy(x, x, beta=1.0)]
    [0.3799, 0.3799]
    """
    scores = similarity(state, stored, beta)
    factor: Tensor | float = 1 / math.sqrt(state.shape[-1])
    if beta is not None:
        factor = _factors(beta, state).squeeze(-1)
    largest = stored.square().sum(-1).amax(-1)
    top = scores.amax(-1, keepdim=True)
    # log of the mean of the exponentials: a small beta divides no rounding error of log N
    free = (top.squeeze(-1) + torch.log1p(torch.expm1(scores - top).mean(-1))) / factor
    return state.square().sum(-1) / 2 - free + largest.unsqueeze(-1) / 2


def effective_patterns(weights: Tensor) -> Tensor:
    """Compute how many patterns share the weights of a state: the inverse of the sum of their squares.

    It is the number of patterns for equal weights, and 1 where a state has retrieved a single pattern.

    Parameters
    ----------
    weights
        (..., pattern), of sum 1.

    Returns
    -------
    Tensor
        (...).

    Examples
    --------
    >>> effective_patterns(torch.tensor([[0.25, 0.25, 0.25, 0.25], [1.0, 0.0, 0.0, 0.0]])).tolist()
    [4.0, 1.0]
    """
    return 1 / weights.square().sum(-1)


def check_beta(beta: Beta | None) -> None:
    """Check that an inverse temperature is above 0.

    Raises
    ------
    InputError
        It is not, or it is not finite.
    """
    if beta is None:
        return
    if isinstance(beta, Tensor) and torch.compiler.is_compiling():
        return  # an exported graph cannot raise an error about a value
    plain = beta.tolist() if hasattr(beta, "tolist") else beta
    values = list(plain) if isinstance(plain, Sequence) else [plain]
    if not values or not all(is_number(value) and 0 < value < math.inf for value in values):
        raise InputError(f"beta={plain!r}: give a number above 0, or one for each head")


def _factors(beta: Beta, state: Tensor) -> Tensor:
    """Return beta for states (..., state, feature), (..., 1, 1)."""
    check_beta(beta)
    factors = torch.as_tensor(beta, dtype=state.dtype, device=state.device)
    if factors.ndim and tuple(factors.shape) != tuple(state.shape[-3:-2]):
        raise InputError(
            f"{factors.numel()} values of beta for states of shape {tuple(state.shape)}: give one for each head"
        )
    return factors[..., None, None]


def _limits(steps: Steps) -> tuple[int, ...]:
    given = tuple(steps) if isinstance(steps, Sequence) else (steps,)
    if not given or not all(each is None or is_whole(each, 0) for each in given):
        raise InputError(
            f"steps={steps!r}: give a whole number of updates, 0 or more, None until the change is small, "
            "or such a value for each head"
        )
    return tuple(MOST_UPDATES if each is None else int(each) for each in given)


def _check_mask(mask: Tensor | None) -> None:
    if mask is None or torch.compiler.is_compiling():
        return
    ignored = mask if mask.dtype == torch.bool else torch.isneginf(mask)
    empty = int(ignored.all(-1).sum())
    if empty:
        raise InputError(f"a mask ignores all patterns of {empty} states: leave at least one for each")
