"""Learning rates as functions of the step alone, so that a resumed training needs no state of a scheduler."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sciml.train.settings import Fit

__all__ = ["learning_rate", "momentum", "reductions"]


def learning_rate(settings: Fit, step: float, total: int, monitored: Sequence[float] = ()) -> float:
    """Compute the learning rate of one optimiser step.

    Parameters
    ----------
    settings
        Settings of the training: ``schedule``, ``learning_rate``, ``warmup`` and the factors.
    step, total
        Number of the step, counted from 0 (a fraction where a time budget decides); steps of the whole training.
    monitored
        Validation values so far, for ``plateau``.

    Examples
    --------
    >>> settings = Fit(learning_rate=0.5, schedule="constant", warmup=0.5)
    >>> [learning_rate(settings, step, 8) for step in (0, 1, 3, 7)]
    [0.125, 0.25, 0.5, 0.5]
    """
    peak = settings.learning_rate
    if settings.schedule == "onecycle":
        start = peak / settings.div_factor
        return _cycle(settings.warmup, step, total, start, peak, start / settings.final_div_factor)
    rising = round(settings.warmup * total)
    if step < rising:
        return peak * (step + 1) / rising
    if settings.schedule == "cosine":
        return _cosine(peak, peak / settings.final_div_factor, (step - rising) / max(1, total - 1 - rising))
    if settings.schedule == "plateau":
        return float(peak * settings.plateau_factor ** reductions(monitored, settings.plateau_patience))
    return peak


def momentum(settings: Fit, step: float, total: int) -> float:
    """Compute beta1 of one optimiser step: constant, or from 0.95 to 0.85 and back with ``cycle_momentum``."""
    if settings.schedule == "onecycle" and settings.cycle_momentum:
        return _cycle(settings.warmup, step, total, 0.95, 0.85, 0.95)
    return settings.betas[0]


def reductions(monitored: Sequence[float], patience: int, threshold: float = 1e-4) -> int:
    """Count how often more than ``patience`` values in a row brought no improvement (relative ``threshold``)."""
    count, bad, best = 0, 0, math.inf
    for value in monitored:
        if value < best * (1.0 - threshold):
            best, bad = value, 0
        else:
            bad += 1
        if bad > patience:
            count, bad = count + 1, 0
    return count


def _cycle(warmup: float, step: float, total: int, start: float, peak: float, end: float) -> float:
    # The turning point is torch's: step ``warmup * total - 1``, a real number.
    turn = warmup * total - 1
    if turn > 0 and step <= turn:
        return _cosine(start, peak, step / turn)
    return _cosine(peak, end, (step - turn) / max(total - 1 - turn, 1e-12))


def _cosine(start: float, end: float, fraction: float) -> float:
    return end + (start - end) / 2.0 * (math.cos(math.pi * min(1.0, fraction)) + 1.0)
