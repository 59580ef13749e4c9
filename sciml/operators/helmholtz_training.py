"""Training of a `HelmholtzNet` on the residuals of small problems."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from sciml.checks import check_positive, check_whole
from sciml.errors import InputError
from sciml.operators.helmholtz_net import HelmholtzNet, apply_helmholtz
from sciml.operators.learned_helmholtz import LearnedHelmholtz
from sciml.pde.grid import Grid
from sciml.pde.media import AnySpeed

__all__ = ["Stage", "draw_media", "krylov_vectors", "residual_ratio", "train_helmholtz"]

Update: TypeAlias = Callable[[str], None]


@dataclass(frozen=True)
class Stage:
    """A part of the training, on grids of one size.

    Parameters
    ----------
    nodes
        Nodes along each axis; nodes + 1 is a multiple of the network's ``multiple``.
    steps
        Steps of Adam.
    media
        Media in a step, each with two right-hand sides.
    layers
        Least and largest width of the absorbing layers, in nodes.
    learning_rate
        Learning rate at the first step, which decreases to 0 along a cosine.
    krylov
        Largest number of directions of flexible GMRES from which the residuals are taken.
    """

    nodes: int
    steps: int
    media: int = 12
    layers: tuple[float, float] = (5.0, 9.0)
    learning_rate: float = 3e-3
    krylov: int = 6

    def __post_init__(self) -> None:
        for name in ("nodes", "steps", "media", "krylov"):
            check_whole(name, getattr(self, name), 1)
        check_positive("learning_rate", self.learning_rate)
        if not 0 < self.layers[0] <= self.layers[1] < self.nodes / 2:
            raise InputError(f"layers={self.layers!r}: give two widths below half of {self.nodes} nodes")


STAGES = (Stage(31, 800, 24), Stage(47, 800, 10, (6.0, 14.0), 2.5e-3, 10))
"""Default stages; the packaged network was trained by these steps, and its learning rates decreased more slowly."""


def draw_media(
    nodes: int, count: int, layers: tuple[float, float], rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Draw (k h)^2 and its product with the absorption, both (count, y, x) of float32.

    Media are `AnySpeed`, with 10 to 12 nodes for the shortest wavelength, and an absorption of 1 to 2.5 at the sides.
    """
    grid, squared, absorbed = Grid((nodes, nodes)), [], []
    edge = np.minimum(np.arange(nodes) + 1.0, nodes - np.arange(nodes))
    for _ in range(count):
        speed = AnySpeed().draw(grid, rng)
        square = (2 * np.pi / rng.uniform(10, 12) * speed.min() / speed) ** 2
        profile = np.clip(1 - edge / rng.uniform(*layers), 0, None) ** 2
        squared.append(square)
        absorbed.append(square * rng.uniform(1, 2.5) * np.maximum(profile[:, None], profile))
    media, absorption = (torch.from_numpy(np.stack(part)).float() for part in (squared, absorbed))
    return media, absorption


@torch.no_grad()
def krylov_vectors(
    network: HelmholtzNet, media: tuple[Tensor, Tensor], b: Tensor, count: int
) -> list[Tensor]:
    """Return b and the next directions of flexible GMRES, orthonormal in complex numbers, (medium, 2, y, x) each."""
    gates = network.prepare(*media)
    basis = [_unit(torch.view_as_complex(b.movedim(1, -1).contiguous()))]
    for _ in range(count):
        z = network(torch.view_as_real(basis[-1]).movedim(-1, 1).contiguous(), *media, gates)
        image = apply_helmholtz(z, *media).movedim(1, -1).contiguous()
        w = torch.view_as_complex(image)
        for _ in range(2):
            for known in basis:
                w = w - (known.conj() * w).sum((1, 2), keepdim=True) * known
        basis.append(_unit(w))
    return [torch.view_as_real(v).movedim(-1, 1) for v in basis]


def _unit(w: Tensor) -> Tensor:
    made: Tensor = w / torch.linalg.vector_norm(w, dim=(1, 2), keepdim=True).clamp_min(1e-30)
    return made


def residual_ratio(network: HelmholtzNet, media: tuple[Tensor, Tensor], r: Tensor) -> Tensor:
    """Return the mean of ||r - A B r|| / ||r|| over residuals (batch, 2, y, x), whose media repeat."""
    repeats = len(r) // len(media[0])
    gates = [[gate.repeat(repeats, 1, 1, 1) for gate in level] for level in network.prepare(*media)]
    squared, absorbed = (part.repeat(repeats, 1, 1) for part in media)
    left = r - apply_helmholtz(network(r, squared, absorbed, gates), squared, absorbed)
    ratio: Tensor = (left.flatten(1).norm(dim=1) / r.flatten(1).norm(dim=1)).mean()
    return ratio


def train_helmholtz(
    path: str | Path,
    network: HelmholtzNet | None = None,
    stages: Sequence[Stage] = STAGES,
    *,
    seed: int = 7,
    progress: Update | None = None,
) -> LearnedHelmholtz:
    """Train a network by the residuals that it leaves, on small problems first.

    The loss is the mean of ||r - A B r|| / ||r||. The residuals r are white noise, point sources, and the directions
    of flexible GMRES with the network at that time, which consist of what the network does not solve yet. No solution
    of a problem is computed. A stage that is complete is saved, and not repeated if the training is started again.

    Parameters
    ----------
    path
        Checkpoint to write after each stage; if it is there, its stages are not repeated.
    network
        Network to train; by default a `HelmholtzNet` with its default settings.
    stages
        Stages, smallest grids first.
    seed
        Seed of the weights, media and residuals.
    progress
        Function of a line of text, called every 50 steps.

    Returns
    -------
    LearnedHelmholtz
        The trained network.

    Raises
    ------
    InputError
        The grid of a stage does not fit the network, or the checkpoint is of another training.
    """
    check_whole("seed", seed, 0)
    torch.manual_seed(seed)
    network = HelmholtzNet() if network is None else network
    for stage in stages:
        if (stage.nodes + 1) % network.multiple:
            raise InputError(
                f"nodes={stage.nodes}: nodes + 1 must be a multiple of {network.multiple} for this network"
            )
    made = LearnedHelmholtz(network, about={"seed": seed, "stages": []})
    done = 0
    if Path(path).exists():
        made = LearnedHelmholtz.load(path)
        done = len(made.about.get("stages", ()))
        if made.network.config() != network.config() or made.about.get("seed") != seed:
            raise InputError(f"{path} is of another network or seed: give another path, or delete it")
    for number, stage in enumerate(stages[done:], done):
        _train(made.network, stage, np.random.default_rng([seed, number]), progress)
        finished = [*made.about["stages"], {"nodes": stage.nodes, "steps": stage.steps, "media": stage.media}]
        made = replace(made, about={**made.about, "stages": finished})
        made.save(path)
    made.network.eval()
    return made


def _train(network: HelmholtzNet, stage: Stage, rng: np.random.Generator, progress: Update | None) -> None:
    optimiser = torch.optim.Adam(network.parameters(), lr=stage.learning_rate, betas=(0.9, 0.99))
    network.train()
    step, mean = 0, math.nan
    while step < stage.steps:
        media = draw_media(stage.nodes, stage.media, stage.layers, rng)
        b = _sources(stage, rng)
        count = 1 if step < 150 and math.isnan(mean) else int(rng.integers(1, stage.krylov + 1))
        vectors = krylov_vectors(network, media, b, count)
        order = rng.permutation(len(vectors))
        for first in range(0, len(vectors), 2):
            r = torch.cat([vectors[i] for i in order[first : first + 2]])
            loss = residual_ratio(network, media, r * stage.nodes)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            share = 0.5 * (1 + math.cos(math.pi * min(step / stage.steps, 1.0)))
            optimiser.param_groups[0]["lr"] = stage.learning_rate * min(1.0, (step + 1) / 100) * share
            optimiser.step()
            step += 1
            mean = loss.item() if math.isnan(mean) else 0.98 * mean + 0.02 * loss.item()
            if progress is not None and step % 50 == 0:
                progress(f"{stage.nodes} x {stage.nodes}, step {step} of {stage.steps}: residual {mean:.3f}")


def _sources(stage: Stage, rng: np.random.Generator) -> Tensor:
    """Draw right-hand sides: white noise, and a point source for each third medium."""
    b = rng.standard_normal((stage.media, 2, stage.nodes, stage.nodes))
    points = stage.media // 3
    b[:points] = 0.0
    b[
        np.arange(points), 0, rng.integers(stage.nodes, size=points), rng.integers(stage.nodes, size=points)
    ] = 1.0
    return torch.from_numpy(b).float()
