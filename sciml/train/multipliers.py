"""Constraints of a training by Lagrange multipliers: minimised over the weights, maximised over the multipliers.

``min_theta max_lambda L(theta) + sum_b lambda_b (c_b(theta) - limit_b)`` with ``lambda_b >= 0`` for constraints
``c_b <= limit_b``, and free multipliers for ``c_b = limit_b``. At the solution the multipliers are those of Karush,
Kuhn and Tucker. A step uses ``lambda_b + damping (c_b - limit_b)`` in place of the multiplier, which is the gradient of
the augmented Lagrangian (Hestenes 1969, Powell 1969) with the constraint of the step before; the ascent alone
oscillates. Our form; a similar one is the proportional-integral control of Stooke, Achiam and Abbeel (2020).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sciml.checks import is_number
from sciml.errors import InputError
from sciml.train.adaptive import Objective
from sciml.train.batches import Batch

__all__ = ["Ascent", "MultiplierObjective"]


@dataclass(frozen=True)
class Ascent:
    """Settings of the multipliers.

    Parameters
    ----------
    step
        Step of the ascent.
    damping
        Factor of the constraint that is added to the multiplier.
    start
        First multiplier of each constraint; with a step and a damping of 0 it is a fixed penalty.
    penalty
        Factor of what exceeds a limit in the loss of the validation, which decides which epoch is best.
    equality
        Whether a constraint is to equal its limit, with a free multiplier, instead of not exceeding it.

    Raises
    ------
    InputError
        A setting is out of range.

    Examples
    --------
    >>> Ascent(step=0.1).equality
    False
    """

    step: float = 0.05
    damping: float = 5.0
    start: float = 0.0
    penalty: float = 10.0
    equality: bool = False

    def __post_init__(self) -> None:
        for name in ("step", "damping", "start", "penalty"):
            if not (is_number(getattr(self, name)) and getattr(self, name) >= 0):
                raise InputError(f"[multipliers] {name}={getattr(self, name)!r}: give a number of 0 or more")
        if self.equality not in (True, False):
            raise InputError(f"[multipliers] equality={self.equality!r}: give true or false")


class MultiplierObjective:
    """Objective of `sciml.train.fit` with constraints; see `sciml.train.adaptive.Adaptive`.

    In a validation ``loss`` has a fixed penalty for what exceeds the limits, because multipliers change.

    Parameters
    ----------
    objective
        Function ``objective(model, batch)`` that returns the named losses of a batch, the constraints among them.
    limits
        Limit of each constraint, by its name among the losses.
    settings
        Settings.

    Raises
    ------
    InputError
        There is no constraint, or a limit is not a number. Raised by a call: the losses do not have a constraint.

    Notes
    -----
    A constraint is a mean over the samples of a batch, so that the multipliers of several processes agree.

    Examples
    --------
    >>> def losses(model, batch):
    ...     return {"loss": (model.weight - 2.0).square().sum(), "size": model.weight.sum()}
    >>> objective = MultiplierObjective(losses, {"size": 1.5}, Ascent(step=0.5))
    >>> objective.update({"size": 1.7})
    >>> [round(value, 3) for value in objective.multipliers.tolist()]
    [0.1]
    """

    def __init__(
        self, objective: Objective, limits: Mapping[str, float], settings: Ascent | None = None
    ) -> None:
        if not limits or not all(is_number(limit) for limit in limits.values()):
            raise InputError(f"limits {dict(limits)!r}: give the limit of at least one constraint")
        self.objective, self.limits, self.settings = objective, dict(limits), settings or Ascent()
        self.multipliers = torch.full((len(self.limits),), float(self.settings.start), dtype=torch.float64)
        self.excess = torch.zeros_like(self.multipliers)

    def __call__(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Return the losses; ``loss`` has the constraints with their factors, or in a validation the penalty."""
        losses = dict(self.objective(model, batch))
        if absent := sorted(set(self.limits) - set(losses)):
            raise InputError(f"constraint {', '.join(absent)}: the losses have {', '.join(losses)}")
        total, settings = losses["loss"], self.settings
        if not model.training:
            for name, limit in self.limits.items():
                excess = losses[name] - limit
                total = total + settings.penalty * (
                    excess.abs() if settings.equality else excess.clamp_min(0)
                )
            return {**losses, "loss": total}
        factors = self._limited(self.multipliers + settings.damping * self.excess)
        for name, factor in zip(self.limits, factors.tolist(), strict=True):
            total = total + factor * losses[name]
        return {**losses, "loss": total}

    def _limited(self, values: Tensor) -> Tensor:
        return values if self.settings.equality else values.clamp_min(0.0)

    def update(self, losses: Mapping[str, float]) -> None:
        """Do a step of the ascent with the constraints of a step."""
        values = [losses[name] - limit for name, limit in self.limits.items()]
        self.excess = torch.tensor(values, dtype=torch.float64)
        self.multipliers = self._limited(self.multipliers + self.settings.step * self.excess)

    def tensors(self) -> dict[str, Tensor]:
        """Return the multipliers, and the constraints of the last step less their limits."""
        return {"multipliers": self.multipliers, "excess": self.excess}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Set what `tensors` returned."""
        self.multipliers, self.excess = tensors["multipliers"].cpu(), tensors["excess"].cpu()
