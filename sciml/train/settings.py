"""The settings of a training."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from sciml.checks import is_int, is_number
from sciml.errors import InputError

__all__ = ["RESTART", "Communication", "Fit", "Precision", "ScheduleName"]

ScheduleName = Literal["onecycle", "cosine", "constant", "plateau"]
Precision = Literal["float32", "bfloat16"]
Communication = Literal["float32", "bfloat16", "powersgd"]

RESTART = "or restart with resume=False (--restart)"
"""End of each error message about a training that cannot be resumed."""

# A resumed training may change these settings: they do not change what is computed.
FREE = ("patience", "time_limit_s", "checkpoint_every", "threads", "device")
OPTIONAL = ("gradient_clip", "ema_decay", "patience", "time_limit_s", "time_budget_s", "threads")


@dataclass(frozen=True)
class Fit:
    """Settings of a training. Equal settings, data and model give equal weights, bit for bit, on one machine.

    Parameters
    ----------
    epochs, batch_size
        Number of passes over the data, and number of samples in a step; the last batch of an epoch may be smaller.
    learning_rate
        Highest learning rate of the schedule.
    weight_decay, betas
        Parameters of AdamW. Only weights of two dimensions or more decay, not biases or scales of norms.
    schedule
        ``onecycle`` (as `torch.optim.lr_scheduler.OneCycleLR` with cosine annealing), ``cosine`` or
        ``constant`` (both after a linear rise), or ``plateau`` (as `torch.optim.lr_scheduler.ReduceLROnPlateau`).
    plateau_patience, plateau_factor
        ``plateau`` multiplies the rate by the factor after more than ``plateau_patience`` validations without
        improvement.
    warmup
        Fraction of all steps in which the rate rises; ``pct_start`` of OneCycleLR.
    div_factor, final_div_factor
        ``onecycle`` starts from ``learning_rate / div_factor`` and ends at that over ``final_div_factor``;
        ``cosine`` ends at ``learning_rate / final_div_factor``.
    cycle_momentum
        ``onecycle`` also moves beta1 between 0.95 and 0.85, as torch's does by default.
    gradient_clip
        Largest global norm of the gradient, or None.
    ema_decay
        Decay of the moving average of the weights (ramped up over the first steps), or None. With it, the
        averaged weights are validated, and are those of the trained model.
    seed
        Seed of the order of the samples, and of all that the model draws from torch's generator.
    precision
        ``bfloat16`` runs model and objective under autocast; the weights stay float32. It is faster on a GPU.
    device
        ``auto`` uses a GPU if there is one; or any torch device string.
    patience
        Number of epochs without a better monitored value after which the training stops, or None.
    validate_every
        Number of epochs between validations; the last epoch is always validated.
    monitor
        Name of the validation loss, or metric, that decides which epoch is best; smaller is better.
    time_limit_s
        Seconds of this call after which the training stops, resumable, or None.
    time_budget_s
        Seconds of the whole training, or None. The learning rate then follows the fraction of the budget that is used,
        if that is larger than the fraction of the steps, and the training ends with the epoch in which the budget is
        used up, at the latest after ``epochs``. The weights then depend on the speed of the machine.
    checkpoint_every
        Seconds between saves of the resumable state within an epoch; it is also saved at the end of every epoch.
    threads
        Number of CPU threads of torch. None uses one for a small network (see
        `sciml.train.environment.thread_count`), else torch's own number. The number may change the last bits.
    deterministic
        Ask torch for deterministic algorithms where it has them.
    accumulate
        Number of parts of a batch whose gradients are computed one after the other and added, to save memory.
    communication
        Form of the gradients that several processes exchange: ``float32``, ``bfloat16``, or ``powersgd`` (matrices of
        rank 4 after the first 10 steps); the last two are hooks of `torch.distributed`.

    Raises
    ------
    InputError
        A value is out of range; the message names it.

    Examples
    --------
    >>> Fit(epochs=10, learning_rate=3e-3, seed=7).schedule
    'onecycle'
    """

    epochs: int = 50
    batch_size: int = 256
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.999)
    schedule: ScheduleName = "onecycle"
    warmup: float = 0.1
    div_factor: float = 25.0
    final_div_factor: float = 1e4
    cycle_momentum: bool = False
    plateau_patience: int = 5
    plateau_factor: float = 0.5
    gradient_clip: float | None = 1.0
    ema_decay: float | None = None
    seed: int = 7
    precision: Precision = "float32"
    device: str = "auto"
    patience: int | None = None
    validate_every: int = 1
    monitor: str = "loss"
    time_limit_s: float | None = None
    time_budget_s: float | None = None
    checkpoint_every: float = 300.0
    threads: int | None = None
    deterministic: bool = True
    accumulate: int = 1
    communication: Communication = "float32"

    def __post_init__(self) -> None:
        for name, (what, fits) in _RULES.items():
            value = getattr(self, name)
            if not (value is None and name in OPTIONAL) and not fits(value):
                raise InputError(f"Fit({name}={value!r}): give {what}")
        object.__setattr__(self, "betas", tuple(self.betas))  # a file of settings has a list

    def trajectory(self) -> dict[str, Any]:
        """Return the settings that determine the weights, as values that JSON can store."""
        content = {name: value for name, value in asdict(self).items() if name not in FREE}
        content["betas"] = list(self.betas)
        for name in ("accumulate", "communication"):  # files of earlier versions do not have them
            if content[name] == Fit.__dataclass_fields__[name].default:
                del content[name]
        if self.schedule in ("constant", "plateau") and self.warmup == 0:
            del content["epochs"]  # the steps do not depend on their total number
        return content

    def check_measured(self, measured: bool) -> None:
        """Check that the monitored value will be computed, which needs a validation."""
        if not measured and self.monitor != Fit.monitor:
            raise InputError(
                f"Fit(monitor={self.monitor!r}): give validation data too, or leave it out, since it is not measured"
            )

    def check_same(self, earlier: Mapping[str, Any], where: str) -> None:
        """Check that a training is resumed with the settings that it was started with."""
        mine = self.trajectory()
        for name in sorted({*mine, *earlier}):
            if mine.get(name) != earlier.get(name):
                raise InputError(
                    f"{where} was begun with {name}={earlier.get(name)!r}, now it is {mine.get(name)!r}: "
                    f"give the same settings, {RESTART}"
                )


def _number(value: Any, least: float = -math.inf, below: float = math.inf) -> bool:
    return not isinstance(value, bool) and is_number(value) and bool(least <= value < below)


def _positive(value: Any) -> bool:
    return _number(value) and value > 0


def _text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _betas(value: object) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2 and all(_number(beta, 0, 1) for beta in value)


_Rule = tuple[str, Callable[[Any], bool]]
_COUNT: _Rule = "a whole number of 1 or more", lambda value: is_int(value, 1)
_ABOVE: _Rule = "a number above 0", _positive
_FRACTION: _Rule = "a number in [0, 1)", lambda value: _number(value, 0, 1)
# These two may be infinite: they only decide when to stop or to save.
_SECONDS: _Rule = "a number above 0", lambda value: _positive(value) or value == math.inf
_EVERY: _Rule = "a number of 0 or more", lambda value: _number(value, 0) or value == math.inf
_SWITCH: _Rule = "True or False", lambda value: isinstance(value, bool)
_RULES: Mapping[str, _Rule] = {
    **dict.fromkeys(("epochs", "batch_size", "validate_every", "patience", "threads", "accumulate"), _COUNT),
    **dict.fromkeys(("learning_rate", "div_factor", "final_div_factor", "gradient_clip"), _ABOVE),
    **dict.fromkeys(("warmup", "ema_decay"), _FRACTION),
    **dict.fromkeys(("cycle_momentum", "deterministic"), _SWITCH),
    **dict.fromkeys(("time_limit_s", "time_budget_s"), _SECONDS),
    "checkpoint_every": _EVERY,
    "weight_decay": ("a number of 0 or more", lambda value: _number(value, 0)),
    "betas": ("two numbers in [0, 1)", _betas),
    "plateau_factor": ("a number above 0 and below 1", lambda value: _positive(value) and value < 1),
    "plateau_patience": ("a whole number of 0 or more", lambda value: is_int(value, 0)),
    "seed": ("a whole number from 0 to 2**64 - 1", lambda value: is_int(value, 0) and value < 2**64),
    "schedule": (f"one of {', '.join(get_args(ScheduleName))}", lambda v: v in get_args(ScheduleName)),
    "communication": (f"one of {', '.join(get_args(Communication))}", lambda v: v in get_args(Communication)),
    "precision": (f"one of {', '.join(get_args(Precision))}", lambda v: v in get_args(Precision)),
    "device": ("the name of a torch device, or 'auto'", _text),
    "monitor": ("the name of a loss or metric", _text),
}
"""For each setting: a description of its valid values, and a check of a value."""
