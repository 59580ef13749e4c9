"""Normalisations with their activation, by the names of the option ``--norm``."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from sciml.errors import InputError
from sciml.nn.evonorm import GROUPS, EvoNorm, EvoNormKind

__all__ = ["NORMS", "TokenNorm", "check_norm", "norm_activation"]

_KINDS: Mapping[str, EvoNormKind] = {
    "evonorm-b0": "B0",
    "evonorm-b1": "B1",
    "evonorm-b2": "B2",
    "evonorm-s0": "S0",
    "evonorm-s1": "S1",
    "evonorm-s2": "S2",
}
NORMS = (*_KINDS, "batchnorm-relu", "groupnorm-relu")
"""Names of the normalisations; the last two are the common ones, for comparison."""


def check_norm(name: str | None, owner: str) -> None:
    """Check the name of a normalisation; None is no normalisation.

    Raises
    ------
    InputError
        The name is unknown.
    """
    if name is not None and name not in NORMS:
        raise InputError(f"{owner}(norm={name!r}): give one of {', '.join(NORMS)}")


def norm_activation(name: str, channels: int, ndim: int) -> nn.Module:
    """Make a normalisation with its activation for fields (sample, channel, ...).

    Parameters
    ----------
    name
        One of `NORMS`.
    channels, ndim
        Number of channels, and of the axes after it (1, 2 or 3).

    Raises
    ------
    InputError
        The name is unknown.

    Examples
    --------
    >>> norm_activation("evonorm-s0", 8, 2)
    EvoNorm(8, S0, groups=8, eps=1e-05)
    """
    check_norm(name, "norm_activation")
    if name in _KINDS:
        return EvoNorm(channels, _KINDS[name], ndim=ndim)
    if name == "batchnorm-relu":
        return nn.Sequential((nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)[ndim - 1](channels), nn.ReLU())
    groups = next(n for n in range(min(GROUPS, channels), 0, -1) if channels % n == 0)
    return nn.Sequential(nn.GroupNorm(groups, channels), nn.ReLU())


class TokenNorm(nn.Module):
    """A normalisation with its activation for features (sample, token, feature), over the tokens.

    Parameters
    ----------
    name, width
        One of `NORMS`, and the number of features.
    """

    def __init__(self, name: str, width: int) -> None:
        super().__init__()
        self.norm = norm_activation(name, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the features, of the same shape."""
        made: Tensor = self.norm(x.transpose(1, 2))
        return made.transpose(1, 2)
