"""Training the emulator on a store of columns, with whole runs held out."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from sciml.convection.emulator import Emulator
from sciml.convection.network import Architecture, Closure
from sciml.convection.normalise import Normalisation
from sciml.convection.problem import Convection
from sciml.convection.store import open_columns
from sciml.convection.targets import TARGETS, losses, prepared
from sciml.errors import InputError, MissingVariable
from sciml.train import BatchSource, Fit, TensorSource, fit
from sciml.train.progress import Progress, automatic
from sciml.train.state import discard
from sciml.train.store import StoreSource

__all__ = ["DEFAULTS", "train"]

# Found in a handful of trainings on two of our runs with a third in sight (bench/accuracy.py says what that means).
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
# Prepared columns (3.5 kB each) beyond this many bytes are kept on disk while training.
MEMORY = 3 << 30


def train(
    columns: xr.Dataset | str | Path | Sequence[str | Path],
    output: str | Path,
    *,
    hold_out: Sequence[int] = (),
    exclude: Sequence[int] = (),
    fit: Mapping[str, Any] | None = None,
    network: Mapping[str, Any] | None = None,
    resume: bool = True,
    progress: Progress | None = None,
) -> Emulator:
    """Train an emulator and save it.

    Parameters
    ----------
    columns
        A store, files of pairs, or a columns dataset (see `sciml.convection.store.open_columns`).
    output
        The checkpoint to write; the resumable state of the training lies beside it until it is done.
    hold_out
        Values of RUN that are kept for validation: with them, the best epoch on those runs is kept, and
        ``patience`` may stop early.
    exclude
        Values of RUN that are not looked at at all: those to test on.
    fit, network
        Settings that differ from `DEFAULTS` (fields of `Fit`) and from `Architecture`'s.
    resume
        Go on with a training that was cut off.

    Raises
    ------
    MissingVariable
        A target is not there: only captures, drawn pairs and wrfouts with their companion hold all.
    InputError
        No column convects, or a held-out run that is not among the columns.
    """
    settings = _settings(fit)
    shape = Architecture(**_known(network))
    dataset = columns if isinstance(columns, xr.Dataset) else open_columns(columns)
    for name in TARGETS:
        if name not in dataset:
            raise MissingVariable(
                f"the columns lack {name}, which training needs: capture it in WRF, write it with the iofields "
                f"line +:h:0:{name}, or give the true scheme's companion"
            )
    runs = dataset["RUN"].values
    absent = sorted({*hold_out, *exclude} - set(np.unique(runs).tolist()))
    if absent:
        there = ", ".join(map(str, np.unique(runs)))
        raise InputError(f"no columns of RUN {absent} to leave out: there are those of RUN {there}")
    if exclude:
        dataset = dataset.isel(column=np.flatnonzero(~np.isin(runs, list(exclude))))
        runs = dataset["RUN"].values
    problem = Convection(dataset)
    shown = progress if progress is not None else automatic()
    with tempfile.TemporaryDirectory(prefix="sciml-", dir=Path(output).resolve().parent) as scratch:
        data = _Prepared(dataset, shape.levels, Path(scratch), shown)
        held = np.isin(runs[data.row], list(hold_out))
        if held.all():
            raise InputError(
                f"{int((~held).sum())} of {len(runs)} columns are left to train on: all are held out"
            )
        normalisation = Normalisation.of(*data.features(~held))
        torch.manual_seed(settings.seed)
        closure = Closure(shape)
        history = _fit(closure, data, held, normalisation, settings, output, resume, shown)
    imbalance = data.enthalpy[~held]
    about = {
        "levels": problem.levels,
        **{name.lower(): value for name, value in problem.settings.items()},
        "runs": sorted({int(r) for r in runs[data.row][~held]}),
        "held_out": [int(r) for r in hold_out],
        "excluded": [int(r) for r in exclude],
        "columns": int((~held).sum()),
        "seed": settings.seed,
        "epochs": settings.epochs,
        "enthalpy": [float(imbalance.min()), float(imbalance.max())],
        "source": str(dataset.attrs.get("SOURCE", "")),
    }
    emulator = Emulator(closure.eval(), normalisation, about)
    if history.stopped != "time limit":
        emulator.save(output, history)
        discard(output)
    return emulator


def _settings(given: Mapping[str, Any] | None) -> Fit:
    try:
        return Fit(**{**DEFAULTS, **(given or {})})
    except TypeError as error:
        raise InputError(f"[fit] {error}: it has {', '.join(Fit.__dataclass_fields__)}") from error


def _known(given: Mapping[str, Any] | None) -> dict[str, Any]:
    unknown = sorted(set(given or {}) - {"hidden", "layers", "pooled", "levels"})
    if unknown:
        raise InputError(f"[network] {', '.join(unknown)}: it has hidden, layers, pooled, levels")
    return dict(given or {})


class _Prepared:
    """The features and truth of all columns whose plume rises: in memory, or on disk if they are too many."""

    def __init__(self, columns: xr.Dataset, levels: int, scratch: Path, shown: Progress) -> None:
        self.path: Path | None = None
        self.tensors: dict[str, Tensor] = {}
        parts: list[dict[str, Tensor]] = []
        rows: list[Tensor] = []
        enthalpy: list[Tensor] = []
        size, total = 0, columns.sizes["column"]
        for done, part in prepared(columns, levels):
            shown.say(f"prepared {done} of {total} columns")
            if part is None:
                continue
            rows.append(part.pop("row"))
            enthalpy.append(part.pop("enthalpy"))
            size += sum(x.numel() * x.element_size() for x in part.values())
            parts.append(part)
            if size > MEMORY or self.path is not None:
                self.path = scratch / "prepared.zarr"
                _append(self.path, parts)
                parts = []
        if not rows:
            raise InputError(f"no plume rises in any of {total} columns: there is nothing to learn from")
        self.row = torch.cat(rows).numpy()
        self.enthalpy = torch.cat(enthalpy).numpy()
        if parts:
            self.tensors = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    def features(self, rows: np.ndarray[Any, Any], most: int = 400_000) -> tuple[Tensor, Tensor]:
        """Channels (level, channel, column) and scalars (scalar, column) of rows, evenly thinned if very many."""
        chosen = np.flatnonzero(rows)
        chosen = chosen[:: max(1, len(chosen) // most)]
        if self.path is None:
            channels, scalars = self.tensors["channels"][chosen], self.tensors["scalars"][chosen]
        else:
            store = xr.open_zarr(self.path, consolidated=False)[["channels", "scalars"]].isel(column=chosen)
            channels, scalars = (torch.from_numpy(store[name].values) for name in ("channels", "scalars"))
        return channels.double().permute(1, 2, 0), scalars.double().T

    def source(self, rows: np.ndarray[Any, Any], normalisation: Normalisation) -> BatchSource:
        """Batches of the chosen rows, standardised."""
        transform = _Standardised(normalisation)
        if self.path is None:
            chosen = torch.from_numpy(np.flatnonzero(rows))
            return TensorSource(transform({name: x[chosen] for name, x in self.tensors.items()}))
        names = tuple(str(name) for name in xr.open_zarr(self.path, consolidated=False).data_vars)
        return StoreSource(self.path, names, rows=rows, transform=transform)


class _Standardised:
    """Replaces the raw features of a batch by the network's inputs."""

    def __init__(self, normalisation: Normalisation) -> None:
        self.normalisation = normalisation

    def __call__(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        raw = batch["channels"].double().permute(1, 2, 0), batch["scalars"].double().T
        x, y = self.normalisation.standardise(*raw)
        rest = {name: value for name, value in batch.items() if name not in ("channels", "scalars")}
        return {**rest, "x": x.float(), "y": y.float()}


def _append(path: Path, parts: list[dict[str, Tensor]]) -> None:
    joined = {name: torch.cat([part[name] for part in parts]).numpy() for name in parts[0]}
    block = xr.Dataset(
        {
            name: (("column", *(f"{name}_{i}" for i in range(1, value.ndim))), value)
            for name, value in joined.items()
        }
    ).chunk(column=4096)
    if path.exists():
        block.to_zarr(path, append_dim="column", safe_chunks=False, consolidated=False)
    else:
        block.to_zarr(path, consolidated=False)


def _fit(
    closure: Closure,
    data: _Prepared,
    held: np.ndarray[Any, Any],
    normalisation: Normalisation,
    settings: Fit,
    output: str | Path,
    resume: bool,
    shown: Progress,
) -> Any:
    training = data.source(~held, normalisation)
    validation = data.source(held, normalisation) if held.any() else None
    return fit(
        closure,
        losses,
        training,
        validation,
        replace(settings, patience=settings.patience if held.any() else None),
        output=output,
        progress=shown,
        resume=resume,
    )
