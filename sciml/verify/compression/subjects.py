"""Subjects of the compression of each kind of model: emulators of convection and of declared schemes, operators."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from sciml.compress.quantization import compression_of
from sciml.errors import InputError
from sciml.train import TensorSource, checkpoint
from sciml.verify.compression.subject import BATCH, Subject, known_scores, split_rows

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["convection_subject", "operator_subject", "scheme_subject", "subject_of"]


def subject_of(
    model: str | Path,
    data: Sequence[Path],
    *,
    reference: Sequence[Path] = (),
    dataset: Callable[[], xr.Dataset] | None = None,
    samples: int = 768,
    seed: int = 7,
) -> Subject:
    """Open a checkpoint and the data of its kind, and split the data in three parts.

    Parameters
    ----------
    model
        Checkpoint of an emulator or operator, or its name.
    data
        Columns with the outputs of the scheme, pairs of a declared scheme, or one dataset of PDE problems.
    reference
        Output of the true scheme for wrfouts.
    dataset
        Function that opens the dataset of PDE problems, if options describe it.
    samples
        Largest number of samples for the second-order terms.
    seed
        Seed of the split.

    Raises
    ------
    InputError
        The model is compressed already or of an unknown kind, or the data do not fit it.
    """
    kind = str(checkpoint.load(checkpoint.resolve(model)).config.get("kind"))
    if kind != "operator" and dataset is not None:
        raise InputError(
            f"{model} is no operator: leave out the options that describe a dataset of PDE problems"
        )
    if kind != "convection-emulator" and reference:
        raise InputError(
            f"--reference {reference[0]} goes with an emulator of convection, and {model} is none"
        )
    if kind == "convection-emulator":
        from sciml.columns.open import open_columns
        from sciml.convection.emulator import Emulator

        emulator = Emulator.load(model)
        _check_plain(model, emulator)
        return convection_subject(
            emulator, open_columns(list(data), truth=list(reference) or None), samples, seed
        )
    if kind == "scheme-emulator":
        from sciml.emulation import SchemeEmulator, open_groups

        loaded = SchemeEmulator.load(model)
        _check_plain(model, loaded)
        return scheme_subject(loaded, open_groups(list(data), loaded.scheme), samples, seed)
    if kind != "operator":
        raise InputError(f"{model} is a checkpoint of kind {kind!r}: give an emulator or an operator")
    if len(data) > 1:
        raise InputError(f"{len(data)} datasets for the operator {model}: give one")
    from sciml.operators import TrainedOperator
    from sciml.pde import open_dataset

    operator = TrainedOperator.load(model)
    _check_plain(model, operator)
    return operator_subject(operator, open_dataset(data[0]) if dataset is None else dataset(), samples, seed)


def convection_subject(emulator: Any, columns: xr.Dataset, samples: int, seed: int) -> Subject:
    """Make the subject of an emulator of the convection scheme; its R2 and F1 are those of `sciml.verify.assess`."""
    from sciml.columns.missing import absent_targets
    from sciml.convection.preparation import prepared
    from sciml.verify.emulator.evaluate import assess

    network: Any = emulator.network
    absent = [name for name in network.targets if name not in columns]
    if absent:
        raise InputError(
            f"the columns have no {', '.join(absent_targets(columns) or absent)}: give columns with the outputs of the "
            "scheme, or its output with --reference"
        )

    def batches(rows: Any) -> list[dict[str, Tensor]]:
        parts = [
            part for _, part in prepared(columns.isel(column=rows), type(network), network.shape) if part
        ]
        if not parts:
            raise InputError(f"no {network.selects} in any of {len(rows)} columns: give more columns")
        joined = {name: torch.cat([part[name] for part in parts]) for name in parts[0] if name != "row"}
        raw = joined.pop("channels").double().permute(1, 2, 0), joined.pop("scalars").double().T
        x, y = emulator.normalisation.standardise(*raw)
        return list(TensorSource({**joined, "x": x.float(), "y": y.float()}).batches(BATCH))

    def score(made: nn.Module, data: Sequence[Any]) -> dict[str, float | None]:
        scores = assess(data[0], replace(emulator, network=made)).to_json()
        named = {name: (output or {}).get("r2") for name, output in scores["outputs"].items()}
        return {**named, "trigger F1": scores["trigger"]["f1"]}

    rows = split_rows(columns.sizes["column"], seed, samples, "columns")
    scored = tuple([columns.isel(column=part).load()] for part in rows[1:])
    return Subject(
        "convection-emulator",
        emulator,
        batches(rows[0]),
        (batches(rows[1]), batches(rows[2])),
        (scored[0], scored[1]),
        lambda model, batch: model.losses(batch),
        known_scores(score),
        (len(rows[0]), len(rows[1]), len(rows[2])),
    )


def scheme_subject(emulator: Any, groups: Sequence[xr.Dataset], samples: int, seed: int) -> Subject:
    """Make the subject of an emulator of a declared scheme."""
    from sciml.emulation import evaluate

    scheme = emulator.scheme
    parts: tuple[list[Any], list[Any], list[Any]] = ([], [], [])
    for group in groups:
        rows = split_rows(group.sizes["column"], seed, samples, "columns")
        for part, chosen in zip(parts, rows, strict=True):
            part.append(group.isel(column=chosen).load())

    def batches(datasets: Sequence[xr.Dataset]) -> list[dict[str, Tensor]]:
        made = []
        for dataset in datasets:
            values = {str(name): torch.from_numpy(np.array(dataset[name].values)) for name in dataset}
            x = emulator.scaling.standardise({name: values[name] for name in scheme.input_names})
            tensors = {"x": x.float(), **{name: value.float() for name, value in values.items()}}
            made += list(TensorSource(tensors).batches(BATCH))
        return made

    def score(made: nn.Module, data: Sequence[Any]) -> dict[str, float | None]:
        return dict(evaluate(replace(emulator, network=made), list(data)).r2)

    sizes = [sum(dataset.sizes["column"] for dataset in part) for part in parts]
    return Subject(
        "scheme-emulator",
        emulator,
        batches(parts[0]),
        (batches(parts[1]), batches(parts[2])),
        (parts[1], parts[2]),
        lambda model, batch: model.losses(batch),
        known_scores(score),
        (sizes[0], sizes[1], sizes[2]),
    )


def operator_subject(operator: Any, dataset: xr.Dataset, samples: int, seed: int) -> Subject:
    """Make the subject of an operator; its loss is the squared error relative to the square of the target."""
    from sciml.operators.samples import TRUTH
    from sciml.operators.trained_operator import answer, samples_for

    pairs = samples_for(operator, dataset)
    if operator.inputs != pairs.inputs and not set(pairs.inputs) <= set(operator.inputs):
        raise InputError(
            f"the data have the inputs {', '.join(pairs.inputs)}, and the operator takes {', '.join(operator.inputs)}: "
            "give data of its kind"
        )
    grid = pairs.grid
    if operator.any_resolution:
        operator.check(grid)
    elif grid.shape != operator.grid.shape:
        raise InputError(
            f"the data have {grid.shape[0]} x {grid.shape[1]} unknowns, and the operator was trained on "
            f"{operator.grid.shape[0]} x {operator.grid.shape[1]}: give data of that resolution"
        )

    def predicted(network: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        fields = {name: value for name, value in batch.items() if name != TRUTH}
        return answer(network, fields, operator.normalisation, grid)

    def loss(network: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        squares = (predicted(network, batch) - batch[TRUTH]).square().flatten(1).sum(1)
        return (squares / batch[TRUTH].square().flatten(1).sum(1)).mean()

    def score(network: nn.Module, data: Sequence[Any]) -> dict[str, float | None]:
        with torch.no_grad():
            made = torch.cat([predicted(network, batch).double() for batch in data])
        truth = torch.cat([batch[TRUTH].double() for batch in data])
        return {operator.target: 1.0 - float((made - truth).square().mean() / truth.var(correction=0))}

    rows = split_rows(pairs.samples, seed, max(samples // 8, 8), "samples")
    terms, calibration, confirmation = (
        list(pairs.source(pairs.rows(part)).batches(min(BATCH, 16))) for part in rows
    )
    return Subject(
        "operator",
        operator,
        terms,
        (calibration, confirmation),
        (calibration, confirmation),
        loss,
        known_scores(score),
        (len(rows[0]), len(rows[1]), len(rows[2])),
    )


def _check_plain(path: str | Path, model: object) -> None:
    if compression_of(model) is not None:
        raise InputError(f"{path} is compressed already: give the checkpoint that was trained")
