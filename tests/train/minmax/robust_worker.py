"""Two groups of a regression, of one process or of a process each; as a program it is one process of the group."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from sciml.train import Fit, Quiet, TensorSource, fit
from sciml.train.batches import Batch
from sciml.train.grouped import GroupedSource
from sciml.train.minmax import Robust, RobustObjective

NAMES = ("run 1", "run 2")
FIT = {"epochs": 4, "batch_size": 16, "learning_rate": 1e-2, "seed": 11, "device": "cpu", "threads": 1}
MESSAGES = {
    "topk": Robust(step=0.2, messages="topk", share=0.2, both_ways=True),
    "natural": Robust(step=0.2, strength=0.0, messages="natural"),
}


def network() -> nn.Module:
    """Return a network with dropout, which draws random numbers."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        return nn.Sequential(nn.Linear(2, 12), nn.Tanh(), nn.Dropout(0.2), nn.Linear(12, 1))


def groups() -> list[TensorSource]:
    """Return two groups of different size, with different functions."""
    sources = []
    for number, size in enumerate((70, 23)):
        x = torch.rand(size, 2, generator=torch.Generator().manual_seed(3 + number)) * 2 - 1
        sources.append(TensorSource({"x": x, "y": torch.sin((2 + 2 * number) * x[:, :1])}))
    return sources


def squares(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
    """Return the mean square error."""
    error = (model(batch["x"]) - batch["y"]).square()
    return {"loss": error.mean(), "greatest": error.amax()}


def train(settings: Robust, output: Path | None = None, limit: float | None = None) -> dict[str, Any]:
    """Train, and return everything that is to be equal."""
    model, objective = network(), RobustObjective(squares, NAMES, settings, scales=(0.5, 0.7), seed=13)
    source = GroupedSource(groups())
    settings_of = Fit(**FIT, time_limit_s=limit)
    history = fit(model, objective, source, settings=settings_of, output=output, progress=Quiet())
    weights = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
    return {
        "weights": weights,
        "shares": objective.shares,
        "bytes": (objective.bytes_up, objective.bytes_down),
        "losses": [dict(epoch.training) for epoch in history.epochs],
        "stopped": history.stopped,
    }


def main() -> None:
    """Train in a group; the second training is stopped once, and resumed."""
    rank, folder = int(sys.argv[1]), Path(sys.argv[2])
    dist.init_process_group("gloo", f"file://{folder}/meeting", rank=rank, world_size=len(NAMES))
    results = {"topk": train(MESSAGES["topk"]), "natural": train(MESSAGES["natural"])}
    stops = 0
    while (again := train(MESSAGES["topk"], folder / "m.sciml", 1e-6))[
        "stopped"
    ] == "time limit" and stops < 5:
        stops += 1
    while again["stopped"] == "time limit":
        again = train(MESSAGES["topk"], folder / "m.sciml")
    results["resumed"] = again
    dist.barrier()
    dist.destroy_process_group()
    torch.save(results, folder / f"result_{rank}.pt")


if __name__ == "__main__":
    main()
