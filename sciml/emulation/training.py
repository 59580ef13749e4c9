"""Training of an emulator of a declared scheme on pairs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr

from sciml.emulation.emulator import SchemeEmulator
from sciml.emulation.level_groups import LevelGroups
from sciml.emulation.network import SchemeNetwork, Sizes
from sciml.emulation.pairs import check_pairs, group_by_levels
from sciml.emulation.scaling import InputScaling
from sciml.errors import InputError
from sciml.schemes.declaration import scheme_table
from sciml.schemes.scheme import ColumnScheme
from sciml.train import TensorSource
from sciml.train.processes import joined
from sciml.train.progress import Progress, automatic
from sciml.train.run import alone, check_output, fit_settings, run, save_finished
from sciml.train.weight_form import WeightForm

__all__ = ["DEFAULTS", "train"]

DEFAULTS: Mapping[str, Any] = {
    "epochs": 40,
    "batch_size": 128,
    "learning_rate": 4e-3,
    "schedule": "onecycle",
    "warmup": 0.2,
    "ema_decay": 0.999,
    "seed": 7,
}


@joined()
@alone
def train(
    scheme: ColumnScheme,
    pairs: xr.Dataset | Sequence[xr.Dataset],
    output: str | Path,
    *,
    validation: xr.Dataset | Sequence[xr.Dataset] | None = None,
    fit: Mapping[str, Any] | None = None,
    network: Mapping[str, Any] | None = None,
    resume: bool = True,
    progress: Progress | None = None,
) -> SchemeEmulator:
    """Train an emulator of a declared scheme and save it.

    Parameters
    ----------
    scheme
        Declaration of the scheme.
    pairs
        Its inputs and outputs, from `sciml.emulation.open_pairs`, or several datasets of other numbers of levels, as
        from `sciml.emulation.open_groups`.
    output
        Checkpoint to write. The state of an unfinished training is stored beside it.
    validation
        Pairs of other columns: the emulator has the weights of the best epoch on them.
    fit, network
        Settings that differ from `DEFAULTS` (fields of `Fit`) and from those of `Sizes`; the network's may include
        those of `sciml.train.weight_form.WeightForm`.
    resume
        Whether to resume an interrupted training, which must have the same scheme, pairs and settings.
    progress
        Display of the progress.

    Raises
    ------
    InputError, MissingVariable
        The pairs do not fit the scheme or are of another one, contradict one of its closures, or a setting is wrong.
    """
    settings = fit_settings({**DEFAULTS, **(fit or {})})
    settings.check_measured(validation is not None)
    form, given = WeightForm.take(network)
    try:
        sizes = Sizes(**given)
    except TypeError as error:
        raise InputError(f"[network] {error}: it has {', '.join(Sizes.__dataclass_fields__)}") from error
    check_output(Path(output), [])
    groups = _checked(scheme, pairs)
    for columns in groups:
        check_closed(scheme, columns)
    scaling = InputScaling.of(
        scheme,
        *(
            {name: torch.from_numpy(columns[name].values) for name in scheme.input_names}
            for columns in groups
        ),
    )
    torch.manual_seed(settings.seed)
    model = form.applied(SchemeNetwork(scheme, sizes))
    progress = automatic() if progress is None else progress
    if not form.real:
        progress.say(form.describe(model))
    source = _source(scheme, groups, scaling)
    source.check_batch_size(settings.batch_size)
    model.calibrate(source)
    held = None if validation is None else _source(scheme, _checked(scheme, validation), scaling)
    identity = {
        "the scheme": _digest(json.dumps(scheme_table(scheme), sort_keys=True).encode()),
        "the pairs": _digest(*(columns[name].values.tobytes() for columns in groups for name in columns)),
        "the network": str(sizes),
        **form.identity(settings.epochs),
    }
    history = run(
        model,
        form.objective(lambda module, batch: module.losses(batch)),
        source,
        held,
        settings,
        output=output,
        resume=resume,
        progress=progress,
        identity=identity,
        prepare=form.prepare,
    )
    about = {
        "columns": sum(columns.sizes["column"] for columns in groups),
        "levels": [columns.sizes["level"] for columns in groups],
        **form.about(model),
    }
    emulator = SchemeEmulator(form.finished(model).eval(), scaling, about)
    save_finished(emulator, output, history)
    return emulator


def check_closed(scheme: ColumnScheme, columns: xr.Dataset, tolerance: float = 1e-4) -> None:
    """Check that pairs satisfy the closures of a scheme, which the network would otherwise contradict.

    Raises
    ------
    InputError
        The residual of a closure exceeds the fraction `tolerance` of its terms.
    """
    for name, (residual, size) in residuals(scheme, columns).items():
        worst = float(np.sqrt(np.mean(residual**2)) / max(np.sqrt(np.mean(size**2)), 1e-300))
        if worst > tolerance:
            raise InputError(
                f"the pairs do not satisfy the closure {name} of the scheme {scheme.name}: its residual is {worst:.2g} "
                "of its terms; correct the closure, the units or the pairs"
            )


def residuals(
    scheme: ColumnScheme, columns: xr.Dataset
) -> dict[str, tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]:
    """Return the sum of the terms of each closure, and the sum of their sizes, of each column or level."""
    from sciml.schemes.closures import ColumnClosure

    made = {}
    for law in scheme.laws:
        if isinstance(law, ColumnClosure):
            terms = [columns[law.mass].values * columns[name].values for name in law.terms]
            sums = [term.sum(1) for term in terms]
            sizes = [np.abs(term).sum(1) for term in terms]
            if law.surface:
                sums.append(columns[law.surface].values)
                sizes.append(np.abs(sums[-1]))
        else:
            sums = [
                term.factor * (columns[term.by].values if term.by else 1.0) * columns[term.output].values
                for term in law.terms
            ]
            sizes = [np.abs(term) for term in sums]
        made[law.name] = (np.sum(sums, 0), np.sum(sizes, 0))
    return made


def _checked(scheme: ColumnScheme, pairs: xr.Dataset | Sequence[xr.Dataset]) -> tuple[xr.Dataset, ...]:
    """Return checked pairs, by their numbers of levels."""
    given = [pairs] if isinstance(pairs, xr.Dataset) else list(pairs)
    if not given:
        raise InputError("no dataset of pairs: give one at least")
    return group_by_levels([check_pairs(dataset, scheme) for dataset in given])


def _source(scheme: ColumnScheme, groups: Sequence[xr.Dataset], scaling: InputScaling) -> LevelGroups:
    made = []
    for columns in groups:
        values = {name: torch.from_numpy(columns[name].values) for name in map(str, columns)}
        x = scaling.standardise({name: values[name] for name in scheme.input_names})
        made.append(TensorSource({"x": x.float(), **{name: value.float() for name, value in values.items()}}))
    return LevelGroups(made)


def _digest(*parts: bytes) -> str:
    whole = hashlib.sha256()
    for part in parts:
        whole.update(part)
    return whole.hexdigest()[:16]
