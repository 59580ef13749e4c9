"""The labelled columns that a training uses, and the pretrained network that it starts from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sciml.checks import is_number
from sciml.errors import InputError
from sciml.train.weight_form import WeightForm

if TYPE_CHECKING:
    from sciml.convection.pretrained import Pretrained

__all__ = ["check_share", "drawn", "pretrained_for"]


def check_share(fraction: object) -> None:
    """Check the fraction of the training columns to use; raise `InputError` unless it is above 0, at most 1."""
    if not is_number(fraction) or not 0 < fraction <= 1:
        raise InputError(f"fraction={fraction!r}: give a number above 0 and at most 1, such as 0.01")


def drawn(rows: np.ndarray[Any, Any], fraction: float, seed: int) -> np.ndarray[Any, Any]:
    """Keep a fraction of the true values of a mask, drawn at random by the seed.

    Raises
    ------
    InputError
        Fewer than two columns would be left.

    Examples
    --------
    >>> int(drawn(np.ones(200, bool), 0.05, 7).sum())
    10
    """
    if fraction == 1:
        return rows
    whole = np.flatnonzero(rows)
    count = round(fraction * len(whole))
    if count < 2:
        raise InputError(f"fraction={fraction:g} of {len(whole)} columns leaves {count}: give a larger one")
    chosen = np.zeros_like(rows)
    chosen[np.random.default_rng(seed).permutation(whole)[:count]] = True
    return chosen


def pretrained_for(kind: Any, form: WeightForm, path: str | Path) -> Pretrained:
    """Load the pretrained network that a training starts from.

    Raises
    ------
    InputError
        The network to train is no transformer, or its weights are not real.
    """
    from sciml.convection.pretrained import Pretrained

    if kind.command != "transformer":
        raise InputError(
            f"{path} is for the network transformer, not {kind.command}: give --network transformer"
        )
    if not form.real:
        raise InputError(
            f"{path} has real weights: leave out hypercomplex and binary, or the pretrained weights"
        )
    return Pretrained.load(path)
