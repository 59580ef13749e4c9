"""The worst run's training of bench/robust.py as a variational inequality: MASHA1 and the extragradient method."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from sciml.convection.emulator import Emulator
from sciml.convection.prepared_columns import PreparedColumns
from sciml.convection.robust_groups import group_losses
from sciml.solve import solve
from sciml.train.minmax import MASHA1, Draws, Extragradient, RandK, VariationalInequality
from sciml.train.minmax.group_game import group_game, set_parameters
from sciml.train.progress import Quiet

if TYPE_CHECKING:
    from robust import Comparison

SHARE, TAU, BATCH = 0.1, 0.98, 20
PACE = 0.1
STEPS: Mapping[str, tuple[float, ...]] = {
    "MASHA1, 10 % of the components": (0.3, 1.0),
    "extragradient": (0.1, 0.3),
}
ITERATIONS = {"MASHA1, 10 % of the components": 270, "extragradient": 12}
"""With about as many gradients as the other trainings."""


class Game:
    """The problem of a comparison: the samples of each run, and an untrained network."""

    def __init__(self, made: Comparison, plain: Path) -> None:
        self.made, self.emulator = made, Emulator.load(plain)
        self.kind = type(self.emulator.network)
        runs = made.runs
        columns = made.columns.isel(column=np.flatnonzero(np.isin(runs, made.training)))
        data = PreparedColumns(columns, self.kind, self.emulator.network.shape, plain.parent, Quiet())
        own = columns["RUN"].values[data.row]
        self.sources = [data.source(own == run, self.emulator.normalisation) for run in made.training]
        self.batches = [next(iter(source.batches(10**9))) for source in self.sources]

    def network(self, seed: int) -> Any:
        """Return an untrained network with the scales of the outputs."""
        torch.manual_seed(seed)
        network = self.kind.from_json(self.emulator.network.shape.to_json())
        buffers = dict(self.emulator.network.named_buffers())
        for name, buffer in network.named_buffers():
            buffer.copy_(buffers[name])
        return network

    def row(self, name: str, step: float, seed: int, smoke: bool) -> dict[str, Any]:
        """Solve with a step and a seed, and score."""
        known = self.made.folder / f"{name.split(',')[0]}_{step:g}_{seed}.json"
        if known.exists():
            row: dict[str, Any] = json.loads(known.read_text())
            return row
        begun = time.process_time()
        network = self.network(seed)
        scales = group_losses(losses_of, network, self.sources)
        problem: VariationalInequality = group_game(
            network, losses_of, self.batches, pace=PACE, scales=scales
        )
        most = {"max_iterations": 3 if smoke else ITERATIONS[name], "rtol": 0.0}
        masha = MASHA1(RandK(SHARE), step=step, tau=TAU, batch=BATCH, draws=Draws(seed), **most)
        method = masha if name.startswith("MASHA1") else Extragradient(step=step, **most)
        answer = solve(problem, method, throw=False)
        count = len(self.batches)
        set_parameters(list(network.parameters()), answer.z[:-count])
        scored = replace(self.emulator, network=network.eval())
        row = {
            "seed": seed,
            "settings": {"step": step},
            "validation": self.made.scores(scored, self.made.held),
            "test": self.made.scores(scored, self.made.tested),
            **({"unseen": self.made.scores(scored, self.made.unseen)} if self.made.unseen else {}),
            "megabytes_up": answer.stats["bytes_up"] / count / 1e6,
            "megabytes_down": answer.stats["bytes_down"] / 1e6,
            "iterations": answer.stats["iterations"],
            "shares": answer.z[-count:].tolist(),
            "cpu_seconds": time.process_time() - begun,
        }
        known.write_text(json.dumps(row, indent=1) + "\n")
        worst = row["validation"]["RTHCUTEN"]["worst"]
        print(name, step, seed, f"{worst:.3f}", f"{row['cpu_seconds']:.0f} s", file=sys.stderr, flush=True)
        return row


def losses_of(network: Any, batch: Any) -> dict[str, torch.Tensor]:
    """Return the losses of a network."""
    losses: dict[str, torch.Tensor] = network.losses(batch)
    return losses


def solve_game(made: Comparison, options: argparse.Namespace) -> dict[str, Any]:
    """Solve with each method and step, with the first seed only."""
    game = Game(made, made.checkpoint("plain averaging", {}, options.seeds[0]))
    record = {}
    for name, steps in STEPS.items():
        first = [
            game.row(name, step, options.seeds[0], options.smoke)
            for step in (steps[:1] if options.smoke else steps)
        ]
        best = max(first, key=lambda row: row["validation"]["RTHCUTEN"]["worst"])
        record[name] = {"choices": first, "seeds": [best]}
    return record
