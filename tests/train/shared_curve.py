"""Trainings in double precision that processes of torchrun share.

The samples are no multiple of the batch, and the last batch of an epoch is no multiple of two.
As a program it trains and saves weights and history: ``python -m tests.train.shared_curve FOLDER CASE ...``.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import xarray as xr
from torch import Tensor, nn

from sciml.parallel.launch import restarts
from sciml.train import BatchSource, History, Lines, StoreSource, TensorSource, fit
from sciml.train.batches import Batch
from sciml.train.processes import Processes, joined
from tests.train.curve import SETTINGS


class Scaled(nn.Module):
    """Multiplication by a parameter without dimensions; another parameter is not used."""

    def __init__(self) -> None:
        super().__init__()
        self.scale, self.unused = nn.Parameter(torch.ones(())), nn.Parameter(torch.ones(3))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * x


def network(seed: int = 5) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        hidden = (nn.Linear(2, 24), nn.Tanh(), nn.Linear(24, 24), nn.Tanh())
        return nn.Sequential(*hidden, nn.Linear(24, 2), Scaled()).double()


def curve(samples: int, seed: int) -> dict[str, Tensor]:
    x = torch.rand(samples, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 - 1
    return {"x": x, "y": torch.stack([torch.sin(3 * x[:, 0]), x[:, 0] * x[:, 1]], 1)}


def objective(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
    errors = (model(batch["x"]) - batch["y"]).square().mean(0)
    return {"loss": errors.sum(), "sine": errors[0], "product": errors[1]}


def noisy(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
    """Dropout of the inputs."""
    return objective(model, {**batch, "x": nn.functional.dropout(batch["x"], 0.1, model.training)})


def in_store(tensors: dict[str, Tensor], path: Path, **options: Any) -> StoreSource:
    """Write samples in blocks of 8, and return the source that mixes 4 of them."""
    data = xr.Dataset({name: (("column", "value"), tensor.numpy()) for name, tensor in tensors.items()})
    Processes.of_group().of_first(
        lambda: data.chunk(column=8).to_zarr(path, consolidated=False, mode="w") and None
    )
    return StoreSource(path, ("x", "y"), buffer=4, **options)


def sources(folder: Path, stored: bool) -> tuple[BatchSource, BatchSource]:
    training, validation = curve(117, 21), curve(41, 22)
    if not stored:
        return TensorSource(training), TensorSource(validation)
    return in_store(training, folder / "training.zarr"), in_store(validation, folder / "validation.zarr")


CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "stored": {},
    "parts": {"accumulate": 3},
    "patience": {
        "patience": 1,
        "epochs": 30,
        "learning_rate": 0.1,
        "schedule": "constant",
        "ema_decay": None,
    },
    "bfloat16": {"communication": "bfloat16", "epochs": 12},
    "powersgd": {"communication": "powersgd", "epochs": 12},
    "noisy": {},
}
"""Settings of each case."""


def train(
    folder: Path, case: str, before: Callable[[int], None] | None = None
) -> tuple[dict[str, Tensor], History]:
    """Train a case; ``before(call)`` is called before each call of the objective."""
    calls = itertools.count(1)

    def counted(model: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
        if before is not None:
            before(next(calls))
        return (noisy if case == "noisy" else objective)(model, batch)

    settings = replace(SETTINGS, **CASES[case])
    if before is not None:
        settings = replace(settings, checkpoint_every=0.0)
    model, output = network(), folder / f"{case}.sciml"
    history = fit(
        model, counted, *sources(folder, case == "stored"), settings, output=output, progress=Lines(1e9)
    )
    return model.state_dict(), history


def save(folder: Path, case: str, result: tuple[dict[str, Tensor], History]) -> None:
    """Save the weights of each process, and the history of the first."""
    weights, history = result
    rank = Processes.of_group().rank
    torch.save(weights, folder / f"{case}.{rank}.pt")
    (folder / f"{case}.{rank}.json").write_text(history.to_json())


def load(folder: Path, case: str, rank: int = 0) -> tuple[dict[str, Tensor], History]:
    """Load what a process saved."""
    history = History.from_json((folder / f"{case}.{rank}.json").read_text())
    return torch.load(folder / f"{case}.{rank}.pt"), history


def kill_at(call: int, life: int, number: signal.Signals = signal.SIGKILL) -> Callable[[int], None]:
    """Return a function that sends the second process a signal in one of its lives."""

    def act(present: int) -> None:
        if Processes.of_group().rank == 1 and present == call and restarts() == life:
            os.kill(os.getpid(), number)

    return act


def main(folder: Path, cases: list[str]) -> None:
    """Train the cases; ``CASE@N`` kills the second process in its life number N, ``CASE!`` sends it SIGTERM."""
    with joined() as processes:
        for given in cases:
            case, _, life = given.partition("@")
            before = kill_at(16, int(life)) if life else None
            if case.endswith("!"):
                case, before = case[:-1], kill_at(9, 0, signal.SIGTERM)
            if processes.of_first((folder / f"{case}.0.pt").exists):
                continue
            save(folder, case, train(folder, case, before))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
