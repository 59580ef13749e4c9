"""Steps that all trainings share: settings, checks of the output, the loop, and saving the model."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ParamSpec, Protocol, TypeVar

from torch import nn

from sciml.errors import InputError, SciMLError
from sciml.storage.lock import owned
from sciml.storage.provenance import note
from sciml.train import checkpoint
from sciml.train.batches import BatchSource
from sciml.train.history import History
from sciml.train.loop import Metrics, Objective, Prepare, fit
from sciml.train.processes import Processes, is_first
from sciml.train.progress import Progress, automatic
from sciml.train.settings import Fit
from sciml.train.state import discard, resume_path

__all__ = ["Saveable", "alone", "check_output", "fit_settings", "run", "save_finished"]

P = ParamSpec("P")
R = TypeVar("R")


class Saveable(Protocol):
    """A trained model that writes its own checkpoint."""

    def save(self, path: str | Path, history: Any = None) -> Path:
        """Write a checkpoint."""
        ...


def alone(train: Callable[P, R]) -> Callable[P, R]:
    """Let a training function lock its parameter ``output``, so that no other process trains the same checkpoint.

    Of the processes of a group the first locks it.
    """
    signature = inspect.signature(train)

    @functools.wraps(train)
    def locked(*args: P.args, **kwargs: P.kwargs) -> R:
        if not is_first():
            return train(*args, **kwargs)
        with owned(signature.bind(*args, **kwargs).arguments["output"]):
            return train(*args, **kwargs)

    return locked


def fit_settings(given: Mapping[str, Any]) -> Fit:
    """Make the settings of a training from a table of them.

    Raises
    ------
    InputError
        A setting does not exist, or a value is out of range.
    """
    try:
        return Fit(**given)
    except TypeError as error:
        raise InputError(f"[fit] {error}: it has {', '.join(Fit.__dataclass_fields__)}") from error


def check_output(output: Path, inputs: Iterable[str | Path]) -> None:
    """Check, before anything is read, that the output can be written; make its folder.

    Parameters
    ----------
    output
        Checkpoint that will be written; the state of the training is saved beside it.
    inputs
        Files that are read, which must not be overwritten.

    Raises
    ------
    InputError
        The output would overwrite an input, or a file or folder that is not a checkpoint.
    SciMLError
        The folder cannot be made.
    """
    paths = list(inputs)
    for path in (output, resume_path(output)):
        checkpoint.check_target(path, paths)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SciMLError(f"cannot make {output.parent}: {error.strerror}; give another output") from error


def run(
    network: nn.Module,
    objective: Objective,
    training: BatchSource,
    validation: BatchSource | None,
    settings: Fit,
    *,
    output: str | Path,
    resume: bool,
    progress: Progress | None,
    identity: Mapping[str, str],
    prepare: Prepare | None = None,
    metrics: Metrics | None = None,
) -> History:
    """Train a network; `Fit.patience` applies only if there is something to validate with.

    Parameters are those of `sciml.train.fit`.
    """
    note("fit", settings.trajectory())
    if (size := Processes.of_group().size) > 1:
        note("processes", {"number": size})
    return fit(
        network,
        objective,
        training,
        validation,
        replace(settings, patience=settings.patience if validation is not None else None),
        output=output,
        progress=automatic() if progress is None else progress,
        resume=resume,
        identity=identity,
        prepare=prepare,
        metrics=metrics,
    )


def save_finished(model: Saveable, output: str | Path, history: History) -> None:
    """Save a model and discard the resumable state, unless the time limit stopped the training.

    Of several processes the first does, and the others wait for it.
    """
    if history.stopped != "time limit":

        def save() -> None:
            model.save(output, history)
            discard(output)

        Processes.of_group().of_first(save)
