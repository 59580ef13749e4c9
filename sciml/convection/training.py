"""Training of the emulator on a store of columns, with whole runs held out for validation."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from sciml.columns.formats import SYNTHETIC
from sciml.columns.missing import absent_targets
from sciml.columns.open import open_columns
from sciml.convection.balance import balanced, check_balance
from sciml.convection.budgets import Balances, multiplier_settings
from sciml.convection.emulator import Emulator
from sciml.convection.label_share import check_share, drawn, pretrained_for
from sciml.convection.prepared_columns import PreparedColumns, scratch_folder
from sciml.convection.problem import Convection, between
from sciml.convection.registry import DEFAULT, class_of
from sciml.convection.robust_groups import WorstGroup, robust_settings
from sciml.errors import InputError, MissingVariable
from sciml.train import Batch, BatchSource, Fit
from sciml.train.environment import chosen_device
from sciml.train.processes import Processes, joined
from sciml.train.progress import Progress, automatic
from sciml.train.run import alone, check_output, fit_settings, run, save_finished
from sciml.train.weight_form import WeightForm
from sciml.wrf.missing import iofields_line

__all__ = ["DEFAULTS", "opened", "train"]

# Chosen in a few trainings on two runs, by the scores of a third (see bench/accuracy.py).
DEFAULTS: Mapping[str, Any] = {
    "epochs": 30,
    "batch_size": 256,
    "learning_rate": 4e-3,
    "weight_decay": 1e-4,
    "schedule": "onecycle",
    "warmup": 0.3,
    "ema_decay": 0.999,
    "seed": 7,
}


@joined()
@alone
def train(
    columns: xr.Dataset | str | Path | Sequence[str | Path],
    output: str | Path,
    *,
    hold_out: Sequence[int] = (),
    exclude: Sequence[int] = (),
    fit: Mapping[str, Any] | None = None,
    network: Mapping[str, Any] | None = None,
    balance: Sequence[str] = (),
    fraction: float = 1.0,
    pretrained: str | Path | None = None,
    robust: str | Mapping[str, Any] | None = None,
    multipliers: Sequence[str] | Mapping[str, Any] = (),
    resume: bool = True,
    progress: Progress | None = None,
) -> Emulator[Any]:
    """Train an emulator and save it.

    Parameters
    ----------
    columns
        A store, files of pairs, or a columns dataset (see `sciml.columns.open.open_columns`); of runs of any grid
        spacing, time step and number of levels.
    output
        Checkpoint to write. The state of an unfinished training is stored in the same folder. An existing file must be
        a checkpoint (see `sciml.train.checkpoint.check_target`).
    hold_out
        Values of RUN for validation: the emulator has the weights of the best epoch on these runs, and
        ``patience`` may stop the training early. Synthetic columns (`sciml.convection.augmentation`) of these runs are
        not used.
    exclude
        Values of RUN that are neither trained on nor validated with, such as those of a test.
    fit
        Settings that differ from `DEFAULTS` and from those of the network's class (fields of `Fit`).
    network
        Class of the network, ``kind`` (``plume-closure``, ``bilstm``, ``published``, or one that was registered; see
        `sciml.convection.registry`), its settings, such as those of `sciml.convection.network.Architecture`, and those
        of the form of its weights, `sciml.train.weight_form.WeightForm`.
    balance
        "run", "class" or both: sample the training columns so that each run, each class of convection, or each class of
        each run has the same share (`sciml.convection.balance`). By default each epoch uses each column once.
    fraction
        Fraction of the training columns whose outputs are used, drawn at random by the seed.
    pretrained
        Checkpoint of `sciml.convection.pretraining.pretrain` with weights, layers and scaling of a ``transformer``.
    robust
        ``run``, ``dx`` or ``season``: train for the worst group of columns; or a table with one of them as ``by`` and
        settings of `sciml.train.minmax.robust.Robust`. With held-out runs, the weights are those of the epoch with
        the least loss of the worst held-out group.
    multipliers
        Budgets, ``water`` or ``energy``, to train by Lagrange multipliers, of those that the network does not close by
        construction; or a table with them as ``budgets``, their limits as ``limits``, and settings of
        `sciml.train.multipliers.Ascent`. See `sciml.convection.budgets`.
    resume
        Whether to resume an interrupted training, which must have the same columns, runs and settings.
    progress
        Display of the progress.

    Returns
    -------
    Emulator
        The trained emulator, as saved.

    Raises
    ------
    MissingVariable
        A target is absent: only captures, drawn pairs and wrfouts with their reference file have all of them.
    InputError
        No column convects, a column has fewer levels than the network needs, a value is not finite or outside the
        physical bounds, a held-out run has no columns or no convection, the output is a file of another kind, or the
        training columns have one group only.
    """
    kind = class_of((network or {}).get("kind", DEFAULT))
    settings = fit_settings({**DEFAULTS, **kind.fit, **(fit or {})})
    settings.check_measured(bool(hold_out))
    keys = check_balance(balance)
    groups = robust_settings(robust)
    if groups and keys:
        raise InputError(f"balance {', '.join(keys)} and robust {groups[0]}: choose one of the two")
    conserved = multiplier_settings(multipliers, kind)
    if groups and conserved:
        raise InputError(
            f"multipliers {', '.join(conserved[0])} and robust {groups[0]}: choose one of the two"
        )
    chosen_device(settings.device)
    form, given = WeightForm.take(network)
    check_share(fraction)
    start = None if pretrained is None else pretrained_for(kind, form, pretrained)
    given = _network_settings(kind, given)
    shape = kind.shape_of(given if start is None else start.settings(given))
    dataset = opened(columns, Path(output))
    if any(name not in dataset for name in kind.targets):
        absent = absent_targets(dataset) or [name for name in kind.targets if name not in dataset]
        raise MissingVariable(
            f"the columns do not have {', '.join(absent)}, which training needs: capture them in WRF, write them with "
            f"the iofields line {iofields_line(absent)}, or give the true scheme's companion"
        )
    runs = dataset["RUN"].values
    _check_runs(runs, hold_out, exclude)
    if exclude:
        dataset = dataset.isel(column=np.flatnonzero(~np.isin(runs, list(exclude))))
    dataset = _without_held_mixtures(dataset, hold_out)
    runs = dataset["RUN"].values
    problem = Convection(dataset)
    problem.check_levels(kind.least_levels)
    progress = automatic() if progress is None else progress
    with scratch_folder(Path(output)) as scratch:
        shape = (
            kind.fitted(shape, dataset) if start is None else replace(shape, edges=start.network.shape.edges)
        )
        data = PreparedColumns(dataset, kind, shape, scratch, progress)
        held = np.isin(runs[data.row], list(hold_out))
        if held.all():
            raise InputError(f"0 of {len(runs)} columns are left to train on: all are held out")
        no_plume = sorted(set(hold_out) - set(runs[data.row].tolist()))
        if no_plume:
            raise InputError(
                f"no {kind.selects} in any column of RUN {no_plume}: hold out another to validate with"
            )
        used = drawn(~held, fraction, settings.seed)
        normalisation = kind.scaling.of(*data.features(used)) if start is None else start.normalisation
        torch.manual_seed(settings.seed)
        made: Any = form.applied(kind(shape))
        if start is not None:
            start.initialise(made)
        if not form.real:
            progress.say(form.describe(made))
        identity = _identity(problem, data, held, runs[data.row], exclude, made, normalisation)
        if fraction < 1:
            identity["the fraction"] = f"{fraction:g}"
        if start is not None:
            identity["the pretrained weights of digest"] = start.digest
        weights = None
        if keys:
            identity["the balance"] = ", ".join(keys)
            values = {"run": runs[data.row][used], "class": dataset["KIND"].values[data.row][used]}
            weights = balanced({key: values[key] for key in keys})
        training: BatchSource = data.source(used, normalisation, weights)
        made.calibrate(training)
        if start is not None:
            start.fit_estimators(made, training)
        objective, worst, balances = form.objective(_losses), None, None
        if conserved:
            balances = Balances(conserved, made, training)
            objective = balances.wrapped(form.objective(balances.losses))
            identity |= balances.identity
        if groups:
            split = (dataset, data, used, held, normalisation)
            worst = WorstGroup.of(groups, *split, made, objective, settings.seed)
            objective, training, settings = worst.objective, worst.training, worst.monitored(settings)
            identity |= worst.identity
        history = run(
            made,
            objective,
            training,
            data.source(held, normalisation) if held.any() else None,
            settings,
            output=output,
            resume=resume,
            progress=progress,
            identity=identity | form.identity(settings.epochs),
            prepare=form.prepare,
            metrics=worst.metrics if worst and held.any() else None,
        )
        about = _about(problem, used, data.row, settings)
        about |= form.about(made)
        made = form.finished(made).eval()
        about |= worst.about(made) if worst else {}
        about |= balances.about(made, data.source(used, normalisation), history) if balances else {}
        about |= Processes.of_group().of_first(lambda: made.measured(data.source(used, normalisation)))
    about |= {
        "held_out": [int(r) for r in hold_out],
        "excluded": [int(r) for r in exclude],
        "balance": list(keys),
        **({"fraction": float(fraction)} if fraction < 1 else {}),
        **({} if start is None else {"pretrained": start.summary}),
    }
    emulator = Emulator(made.eval(), normalisation, about)
    save_finished(emulator, output, history)
    return emulator


def opened(columns: xr.Dataset | str | Path | Sequence[str | Path], output: Path) -> xr.Dataset:
    """Open columns that are not open yet, after `check_output`."""
    if isinstance(columns, xr.Dataset):
        paths: list[str | Path] = []
    else:
        paths = [columns] if isinstance(columns, str | Path) else list(columns)
    check_output(output, paths)
    return columns if isinstance(columns, xr.Dataset) else open_columns(paths)


def _check_runs(runs: np.ndarray[Any, Any], hold_out: Sequence[int], exclude: Sequence[int]) -> None:
    """Check that the runs exist, and that none is both held out and excluded."""
    absent = sorted({*hold_out, *exclude} - set(np.unique(runs).tolist()))
    if absent:
        present = ", ".join(map(str, np.unique(runs)))
        raise InputError(f"no columns of RUN {absent} to leave out: there are those of RUN {present}")
    both = sorted({*hold_out} & {*exclude})
    if both:
        raise InputError(f"RUN {both} is held out for validation and excluded: choose one of the two")


def _without_held_mixtures(columns: xr.Dataset, hold_out: Sequence[int]) -> xr.Dataset:
    """Leave out synthetic columns of held-out runs, because validation compares with the scheme."""
    if SYNTHETIC not in columns.coords or not hold_out:
        return columns
    made = (columns[SYNTHETIC].values != 0) & np.isin(columns["RUN"].values, list(hold_out))
    return columns.isel(column=np.flatnonzero(~made)) if made.any() else columns


def _identity(
    problem: Convection,
    data: PreparedColumns,
    held: np.ndarray[Any, Any],
    runs: np.ndarray[Any, Any],
    exclude: Sequence[int],
    network: Any,
    normalisation: Any,
) -> dict[str, str]:
    """Return the properties that an interrupted training and the one that resumes it must share."""
    columns = hashlib.blake2b(data.digest.encode() + held.tobytes(), digest_size=6)
    return {
        "the training runs": _numbers(runs[~held]),
        "the held-out runs": _numbers(runs[held]),
        "the excluded runs": _numbers(exclude),
        "the run's settings": ", ".join(f"{name} {between(pair)}" for name, pair in problem.settings.items()),
        "the network's class": network.command,
        "the network": ", ".join(f"{name} {getattr(network.shape, name)}" for name in network.settings),
        "the columns of digest": columns.hexdigest(),
        "the normalisation of digest": _coarse(normalisation),
    }


def _about(
    problem: Convection,
    used: np.ndarray[Any, Any],
    rows: np.ndarray[Any, Any],
    settings: Fit,
) -> dict[str, Any]:
    """Description of the columns and the training for the checkpoint."""
    columns, rows = problem.columns, rows[used]
    synthetic = int(columns[SYNTHETIC].values[rows].sum()) if SYNTHETIC in columns.coords else 0
    return {
        **{name.lower(): list(pair) for name, pair in problem.settings.items()},
        "runs": np.unique(columns["RUN"].values[rows]).tolist(),
        "held_out": [],
        "excluded": [],
        "columns": len(rows),
        **({"synthetic": synthetic} if synthetic else {}),
        "seed": settings.seed,
        "epochs": settings.epochs,
        "source": str(columns.attrs.get("SOURCE", "")),
    }


def _losses(network: Any, batch: Batch) -> dict[str, Tensor]:
    """Compute the losses as the network's class defines them."""
    losses: dict[str, Tensor] = network.losses(batch)
    return losses


def _numbers(runs: Sequence[int] | np.ndarray[Any, Any]) -> str:
    return ", ".join(map(str, np.unique(np.asarray(runs, dtype=np.int64)))) or "none"


def _coarse(normalisation: Any) -> str:
    """Digest of the root mean squares, to four digits: their last bits depend on the number of threads."""
    sizes = [f"{x.double().square().mean().sqrt().item():.3e}" for x in normalisation.tensors().values()]
    return hashlib.blake2b(" ".join(sizes).encode(), digest_size=6).hexdigest()


def _network_settings(kind: Any, given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the settings without the kind of the network, all of which its class has."""
    settings = {name: value for name, value in (given or {}).items() if name != "kind"}
    unknown = sorted(set(settings) - set(kind.settings))
    if unknown:
        known = ", ".join(("kind", *kind.settings))
        raise InputError(f"[network] {', '.join(unknown)}: that of {kind.command} has {known}")
    return settings
