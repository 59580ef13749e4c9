"""Training of an operator on a dataset of problems and their solutions."""

from __future__ import annotations

import hashlib
import inspect
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import torch
from torch import nn

from sciml.checks import is_number
from sciml.errors import InputError
from sciml.multigrid.torch.transfers import LevelLayout
from sciml.nn.parametrize import dense_copy
from sciml.operators.field_scaling import FieldScaling, How
from sciml.operators.nonexpansive import constrained
from sciml.operators.objective import Loss, OperatorObjective
from sciml.operators.registry import class_of
from sciml.operators.samples import TRUTH, Names, Rows, Samples, Survey
from sciml.operators.side_values import sides_about, sides_lift
from sciml.operators.step_certificate import certified
from sciml.operators.system_data import check_system
from sciml.operators.trained_operator import TrainedOperator, build, takes
from sciml.pde.axes import Dims
from sciml.pde.grid import Boundary, Centring, Side
from sciml.pde.sides import Given, Sides
from sciml.train import BatchSource, History, Progress, TensorSource, run
from sciml.train.environment import chosen_device
from sciml.train.processes import Processes, joined
from sciml.train.progress import automatic
from sciml.train.weight_form import WeightForm

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["DEFAULTS", "Loss", "OperatorObjective", "train"]

DEFAULTS: Mapping[str, Any] = {
    "epochs": 10,
    "batch_size": 8,
    "learning_rate": 1e-3,
    "weight_decay": 1e-4,
    "schedule": "onecycle",
    "warmup": 0.2,
    "seed": 7,
}
NETWORK: Mapping[str, Any] = {"class": "MgNO"}


@joined()
@run.alone
def train(
    data: xr.Dataset | str | Path,
    output: str | Path,
    *,
    network: Mapping[str, Any] | None = None,
    loss: Loss | None = None,
    published: str | None = None,
    validation: xr.Dataset | str | Path | float | None = None,
    fit: Mapping[str, Any] | None = None,
    inputs: Names | None = None,
    target: str | Mapping[str, str] | None = None,
    layout: Any = None,
    dims: Dims | None = None,
    stride: int = 1,
    boundary: Boundary | Side | None = None,
    centring: Centring | None = None,
    side_values: Given | None = None,
    scaling: tuple[How, How] | None = None,
    resume: bool = True,
    progress: Progress | None = None,
) -> TrainedOperator:
    """Train an operator and save it.

    Parameters
    ----------
    data
        Dataset with dims (sample, y, x), (sample, x) or (sample, z, y, x), or with time after the sample, or the path
        of its file. Each step of a time series is a training pair.
    output
        Path of the checkpoint. The resumable state of the training is stored next to it until the training is complete.
    network
        Configuration of the network: the name of its ``class``, the settings that differ from its defaults, and those
        of the form of its weights, `sciml.train.weight_form.WeightForm`.
    loss
        Name of the loss, see `OperatorObjective`; by default ``h1``, the relative Sobolev norm.
    published
        Name of a benchmark of MgNO. Network, settings, scaling and loss that are not given are then those of the
        official code.
    validation
        Validation dataset, or the number (or the fraction, below 1) of samples of ``data`` that are held out at random.
        The weights of the epoch with the lowest validation error are saved. None: no validation.
    fit
        Settings that differ from `DEFAULTS` (fields of `Fit`).
    inputs, target, layout, dims, stride, boundary, centring, side_values
        See `sciml.operators.samples.Samples.of`.
    scaling
        Scaling of inputs and target, see `sciml.operators.field_scaling.Standard`; by default ``scalar`` and, where a
        side is Dirichlet, ``scale``. Inputs that are positive and skewed, such as a lognormal coefficient, are scaled
        by ``log``.
    resume
        Whether to continue an interrupted training of the same data, network and settings.
    progress
        Display of the progress; by default a live display in a terminal or a notebook, and lines in a log.

    Returns
    -------
    TrainedOperator
        Operator with the best weights. If the training reached its time limit, the operator is not saved; the same
        call continues the training.

    Raises
    ------
    MissingVariable
        An input or the target is not in the data.
    InputError
        The data cannot be used for training, the network does not accept them, or the output would replace a file that
        is not a checkpoint.
    """
    recipe = _recipe(published)
    form, given_network = WeightForm.take(network)
    configured = {**(recipe.network or NETWORK), **given_network}
    kind = class_of(configured.get("class"))
    # The best of a few rates for each network, on 1,024 samples in 10 epochs.
    rate = getattr(kind, "learning_rate", None)
    usual = {} if published or rate is None else {"learning_rate": rate}
    settings = run.fit_settings({**recipe.fit, **usual, **(fit or {})})
    settings.check_measured(validation is not None)
    device = chosen_device(settings.device)
    loss = loss or recipe.loss
    if loss not in get_args(Loss):
        raise InputError(f"loss={loss!r}: give one of {', '.join(get_args(Loss))}")
    run.check_output(Path(output), [item for item in (data, validation) if isinstance(item, str | Path)])
    given: dict[str, Any] = {"inputs": inputs, "target": target, "layout": layout, "stride": stride}
    given |= {"boundary": boundary, "centring": centring, "dims": dims, "side_values": side_values}
    given["rows"] = "axes" not in inspect.signature(kind).parameters
    samples = Samples.of(data, **given)
    held, others = _held_out(samples, validation, settings.seed, given)
    training = samples.rows(np.setdiff1d(np.arange(samples.samples), held))
    survey = Processes.of_group().of_first(lambda: samples.survey(training))
    _check_steps(kind, samples)
    described = _described(kind, configured, samples, scaling or recipe.scaling)
    with torch.random.fork_rng([]):
        torch.manual_seed(settings.seed)
        model = constrained(form.applied(build(described)))
    check_system(model, samples, by_residual=loss == "residual")
    sides = Sides.of(samples.side_values, survey.jumps)
    normalisation = _normalisation(model, samples, survey, sides, scaling or recipe.scaling)
    about = {
        "family": samples.family,
        "problem": dict(samples.parameters),
        "ranges": {name: [survey.moments[name].least, survey.moments[name].most] for name in samples.inputs},
        "target_range": [survey.moments[TRUTH].least, survey.moments[TRUTH].most],
        "published": published or "",
        "loss": loss,
        "samples": samples.samples - len(held),
        "held_out": held.tolist(),
        "steps": samples.steps,
        "time_step": samples.spacing,
        "line": samples.line,
        "data": survey.digest,
        **sides_about(samples, survey, sides),
        **{name: getattr(settings, name) for name in ("epochs", "batch_size", "learning_rate", "seed")},
        **form.about(model),
    }
    operator = TrainedOperator(model, normalisation, samples.inputs, samples.target, samples.grid, about)
    checked = samples.source(samples.rows(held)) if len(held) else None
    if others is not None:
        checked = others.source(np.arange(len(others)))
    identity = _identity(operator, loss, held, others)
    source = _near(samples.source(training), device)
    objective = OperatorObjective(loss, normalisation, samples.grid, 0.0 if sides.zero else sides.values)
    progress = automatic() if progress is None else progress
    if not form.real:
        progress.say(form.describe(model))
    for line in _described_logarithms(normalisation, survey):
        progress.say(line)
    history = run.run(
        operator.network,
        form.objective(objective),
        source,
        checked,
        settings,
        output=output,
        resume=resume,
        progress=progress,
        identity=identity | form.identity(settings.epochs),
        prepare=form.prepare,
    )
    trained = dense_copy(form.finished(operator.network.cpu())).eval()
    operator = replace(operator, network=trained, about=about | _errors(history))
    certificate = Processes.of_group().of_first(partial(certified, operator))
    operator = replace(operator, about={**operator.about, **certificate})
    run.save_finished(operator, output, history)
    return operator


def _near(source: BatchSource, device: torch.device) -> BatchSource:
    """Move samples in memory to the GPU if the training runs there, so that batches need no transfer."""
    if device.type == "cuda" and isinstance(source, TensorSource):
        return source.to(device)
    return source


@dataclass(frozen=True)
class _Recipe:
    network: Mapping[str, Any] | None
    fit: Mapping[str, Any]
    loss: Loss
    scaling: tuple[How, How] | None


def _recipe(name: str | None) -> _Recipe:
    """Return the settings of the official code for a benchmark, or the defaults of this package."""
    if name is None:
        return _Recipe(None, DEFAULTS, "h1", None)
    from sciml.operators.published.benchmarks import RECIPES
    from sciml.operators.published.network import PublishedMgNO

    if name not in RECIPES:
        raise InputError(f"published={name!r}: give one of {', '.join(RECIPES)}")
    known = RECIPES[name]
    settings = asdict(known.fit())
    called: Mapping[str, Loss] = {
        "relative_l2": "l2",
        "relative_h1_truncated": "h1-truncated",
        "absolute_h1": "h1-helmholtz",
    }
    ways: Mapping[str, How] = {"point": "pointwise", "scalar": "scalar", "none": "raw"}
    network = PublishedMgNO(known.architecture).config()
    return _Recipe(
        network, settings, called[known.loss], (ways[known.input_scaling], ways[known.target_scaling])
    )


def _held_out(
    samples: Samples, validation: Any, seed: int, given: Mapping[str, Any]
) -> tuple[Rows, Samples | None]:
    """Return the numbers of the samples that are held out, or the separate validation data."""
    none = np.zeros(0, dtype=np.int64)
    if validation is None:
        return none, None
    if is_number(validation) and not isinstance(validation, bool):
        total = samples.samples
        count = math.ceil(validation * total) if 0 < validation < 1 else int(validation)
        if count != validation and validation >= 1:
            raise InputError(
                f"validation={validation}: give a whole number of samples, or a fraction below 1"
            )
        if not 0 < count < total:
            raise InputError(
                f"validation={validation} of {total} samples leaves {total - count} to train on: "
                "hold out at least 1 and fewer than all"
            )
        drawn = np.random.default_rng([seed, 20]).permutation(total)[:count]
        return np.sort(drawn), None
    others = Samples.of(validation, **given)
    for name in ("inputs", "target", "grid"):
        mine, theirs = getattr(samples, name), getattr(others, name)
        if mine != theirs:
            raise InputError(f"the data's {name} is {mine}, the validation's {theirs}: give data of one kind")
    if others.steps != samples.steps:
        raise InputError("only one of the data and the validation is a time series: give data of one kind")
    others.survey(none)
    return none, others


def _check_steps(kind: Any, samples: Samples) -> None:
    if getattr(kind, "steps_only", False) and not samples.steps:
        raise InputError(
            f"{kind.__name__} learns steps in time, and {samples.target!r} has no time: give a time series, or another "
            "network"
        )


def _described(
    kind: Any, network: Mapping[str, Any], samples: Samples, scaling: tuple[How, How] | None
) -> dict[str, Any]:
    """Return the configuration of the network with the settings that the samples determine."""
    described, known = dict(network), inspect.signature(kind).parameters
    if samples.grid.ndim != 2:
        if "axes" not in known:
            raise InputError(
                f"{kind.__name__} takes fields of the plane, the data have {samples.grid.ndim} axes "
                f"({', '.join(samples.grid.dims)}): train MgNO or FNO (mgno, fno)"
            )
        described = {"axes": samples.grid.ndim, **described}
    if {"centring", "boundary"} <= set(known):
        fixed = {"centring": samples.grid.centring, "boundary": samples.grid.boundary.sides}
        described = {**fixed, **described}
    if "points" in known:
        described = {"points": list(samples.grid.shape), **described}
    if callable(getattr(kind, "trained_form", None)):
        # Steps in time have features at the scale of the grid, a line has no resolution across, and a scaling of each
        # point is for one resolution.
        whole = samples.steps or samples.line or "pointwise" in (scaling or ())
        described |= kind.trained_form(LevelLayout.of(samples.grid), described, whole=whole)
    if takes(kind) != "system":
        described = {"in_channels": len(samples.inputs), **described}
    if (
        described.get("size") is not None
    ):  # layer norms of a published network have one scale for each grid point
        described["size"] = samples.grid.shape[0]
    return described


def _normalisation(
    model: nn.Module, samples: Samples, survey: Survey, sides: Sides, scaling: tuple[How, How] | None
) -> FieldScaling:
    if takes(model) == "system":
        return FieldScaling.raw(samples.inputs)
    held = "dirichlet" in samples.grid.boundary.sides.values()
    of_inputs, of_target = scaling or ("scalar", "scale" if held else "scalar")
    ways = dict.fromkeys(samples.inputs, of_inputs)
    if scaling is None and not samples.steps:
        ways |= {name: "log" for name in samples.inputs if survey.moments[name].skewed}
    inputs = {name: survey.moments[name].standard(how) for name, how in ways.items()}
    if getattr(model, "steps_only", False):
        order: Any = getattr(model, "order", 0)
        if of_inputs == "pointwise" and order:
            raise InputError(
                f"{type(model).__name__}(order={order:g}) with scaling='pointwise': its norm needs one scale for all "
                "points; give scaling=('scalar', 'scalar')"
            )
        return FieldScaling(inputs, inputs[samples.target])
    return FieldScaling(
        inputs,
        survey.moments[TRUTH].standard(of_target, sides_lift(samples, survey, sides)),
    )


def _described_logarithms(normalisation: FieldScaling, survey: Survey) -> list[str]:
    """Return a line for each input that is scaled by its logarithm."""
    return [
        f"{name} is scaled by its logarithm: the skewness of its values is {survey.moments[name].values.skewness:.2g}, "
        f"that of the logarithms {survey.moments[name].logs.skewness:.2g}"
        for name, standard in normalisation.inputs.items()
        if standard.how == "log"
    ]


def _identity(operator: TrainedOperator, loss: Loss, held: Rows, others: Samples | None) -> dict[str, str]:
    """Return the properties that an interrupted training must share with the one that continues it."""
    described: dict[str, Any] = operator.network.config()  # type: ignore[operator]
    ways = operator.normalisation.ways()
    return {
        "the data of digest": str(operator.about["data"]),
        "the samples held out of digest": hashlib.blake2b(held.tobytes(), digest_size=6).hexdigest(),
        "the validation": "other data" if others is not None else f"{len(held)} samples held out",
        "the inputs": ", ".join(operator.inputs),
        "the target": operator.target,
        "the grid": str(operator.grid),
        "the network": ", ".join(f"{name} {value}" for name, value in described.items()),
        "the loss": loss,
        "the scaling": f"{', '.join(ways['inputs'].values())} to {ways['target']}",
        **({"the sides": str(operator.about["sides"])} if "sides" in operator.about else {}),
    }


def _errors(history: History) -> dict[str, Any]:
    """Return the validation errors of the saved weights; empty without validation."""
    if history.best is None:
        return {}
    best = next(epoch for epoch in history.epochs if epoch.number == history.best)
    return {"errors": {name: value for name, value in best.validation.items() if name != "loss"}}
