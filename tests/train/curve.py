"""A small network with dropout and a batch norm, on a curve: every kind of state that a training can have.

As a program it trains until it is done or interrupted: ``python -m tests.train.curve OUTPUT PAUSE``.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from sciml.train import Fit, Lines, TensorSource, fit
from sciml.train.batches import Batch

SETTINGS = Fit(
    epochs=4,
    batch_size=24,
    learning_rate=1e-2,
    ema_decay=0.9,
    seed=11,
    device="cpu",
    threads=1,
    checkpoint_every=1e9,
)
STEPS = 5  # in an epoch: the samples are no multiple of the batch


def network(seed: int = 5) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Linear(2, 16), nn.BatchNorm1d(16), nn.Tanh(), nn.Dropout(0.2), nn.Linear(16, 2)
        )


def curve(samples: int, seed: int) -> TensorSource:
    x = torch.rand(samples, 2, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    y = torch.stack([torch.sin(3 * x[:, 0]), x[:, 0] * x[:, 1]], 1)
    return TensorSource({"x": x, "y": y})


def objective(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
    errors = (model(batch["x"]) - batch["y"]).square().mean(0)
    return {"loss": errors.sum(), "sine": errors[0], "product": errors[1]}


TRAINING, VALIDATION = curve(113, 21), curve(40, 22)


class Stopping:
    """An objective that calls back before its n-th training step."""

    def __init__(self, at: int, act) -> None:
        self.at, self.act, self.calls = at, act, 0

    def __call__(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        self.calls += 1
        if self.calls == self.at:
            self.act()
        return objective(model, batch)


def main(output: str, pause: str) -> None:
    def slowly(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        time.sleep(float(pause))
        return objective(model, batch)

    fit(network(), slowly, TRAINING, VALIDATION, SETTINGS, output=Path(output), progress=Lines(every_s=0.0))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except KeyboardInterrupt as stop:
        print(stop, file=sys.stderr)
        sys.exit(130)
