"""Roll out operators for 1,000 noisy steps of decaying flows: errors of a step, and growth of differences.

    python bench/rollout_stability.py            # three seeds, 64 x 64; interrupted trainings and rollouts resume
    python bench/rollout_stability.py --smoke    # a minute, to test that the benchmark runs

Data: decaying two-dimensional turbulence (vorticity of root mean square 1, viscosity 1e-3, no forcing) and a viscous
Burgers equation on the periodic square, du/dt + u (du/dx + du/dy) = 5e-3 Laplace u, from the same random fields; 10, 4
and 4 series of 20 steps for training, validation and tests. All networks are trained on single steps with the same
data, loss and number of steps (500, of 2 samples each: a budget of 30 CPU minutes for all). The learning rate of the
first four is the best of two on the validation series, from trainings on a grid of half the points with the first seed;
NonExpansive has its default.

- plain, residual: four convolutions with GELU, u' = N(u) and u' = u + N(u)
- spectral norm: plain with `torch.nn.utils.parametrizations.spectral_norm`, a power iteration of the flattened kernel
- FNO
- NonExpansive in the Euclidean norm and in the norm of H^-1: the norms of the convolutions are exact, and their product
  is the certificate

Price: the error of a step over that of the residual network. Growth: over pairs of states that differ by noise of 5 %
of the field and receive the same noise of 1 % in every step, the largest factor of the norm of the difference in a
step, and that norm after all steps over the first one; for NonExpansive in H^-1 in that norm, and in the Euclidean one.
Rollouts with a certificate are computed in float64 and the others in float32. The flow: the largest growth of small
smooth differences in a step of the solver, in both norms; no step that does not expand can follow it.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import scipy.fft
import torch
import xarray as xr
from torch import Tensor, nn

from sciml.nn.sobolev import sobolev_norm
from sciml.operators.nonexpansive import NonExpansive
from sciml.operators.registry import register
from sciml.operators.rollout import Stepper
from sciml.operators.trained_operator import TrainedOperator
from sciml.operators.training import train
from sciml.pde.elliptic import drawn, grid_of
from sciml.pde.navier_stokes import START, NavierStokes
from sciml.pde.periodic import Equation, FourierCoefficients, resolved_modes, wave_numbers
from sciml.pde.spectral import PseudoSpectral, trajectories
from sciml.tables import aligned
from sciml.train import relative_l2
from sciml.train.progress import Lines

SEEDS = (3, 5, 11)
RATES = (3e-3, 1e-2)
BATCH = 2
ROUNDING = {torch.float64: 1e-10, torch.float32: 1e-3}
FLOW = ("error of no change", "growth in a step", "growth in a step in H^-1")
AMPLITUDE = {"turbulence": 4.0, "burgers": 1.0}


@dataclass(frozen=True)
class Size:
    """Points along an axis, series for training and tests, epochs, and steps of a rollout."""

    points: int = 64
    train: int = 10
    test: int = 4
    epochs: int = 5
    steps: int = 1000


SMOKE = Size(24, 4, 2, 1, 20)


@dataclass(frozen=True, eq=False)
class PlaneBurgers:
    """The Burgers equation of one field on the periodic square, for `sciml.pde.spectral.trajectories`."""

    points: int
    viscosity: float = 5e-3
    final_time: float = 1.0
    frames: int = 20

    def axes(self) -> dict[str, np.ndarray[Any, Any]]:
        places = np.arange(self.points) / self.points
        return {"y": places, "x": places}

    def times(self) -> np.ndarray[Any, Any]:
        return np.linspace(0.0, self.final_time, self.frames + 1)

    def start(self) -> np.ndarray[Any, Any]:
        return np.zeros((self.points, self.points))

    def equation(self) -> Equation:
        n = self.points
        ky, kx = wave_numbers(n, half=False)[:, None], wave_numbers(n, half=True)
        resolved = resolved_modes(n, half=False)[:, None] & resolved_modes(n, half=True)
        slope = np.where(resolved, -0.5j * (kx + ky), 0.0)

        def tendency(spectrum: FourierCoefficients) -> FourierCoefficients:
            u = scipy.fft.irfft2(spectrum, (n, n))
            return np.asarray(slope * scipy.fft.rfft2(u * u))

        def speed(spectrum: FourierCoefficients) -> np.ndarray[Any, Any]:
            return np.asarray(2 * np.abs(scipy.fft.irfft2(spectrum, (n, n))).max((-2, -1)))

        return Equation(-self.viscosity * (kx**2 + ky**2), tendency, speed, resolved)


def solved(kind: str, points: int, first: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Solve an equation from fields (sample, y, x); (sample, time, y, x)."""
    problem = problem_of(kind, points)
    return np.asarray(trajectories(problem, first, PseudoSpectral()))


def problem_of(kind: str, points: int) -> Any:
    turbulence = NavierStokes(points, viscosity=1e-3, forcing=0.0, final_time=2.5, frames=20)
    return turbulence if kind == "turbulence" else PlaneBurgers(points)


def starts(kind: str, points: int, count: int, seed: int) -> np.ndarray[Any, Any]:
    """Draw smooth random fields without a mean."""
    grid = grid_of(points, "vertex", "periodic", (1.0, 1.0))
    first = np.stack([drawn(START, grid, seed + number, "field") for number in range(count)])
    return np.asarray(AMPLITUDE[kind] * (first - first.mean((1, 2), keepdims=True)))


def series(kind: str, points: int, count: int, seed: int) -> xr.Dataset:
    """Solve the equation from random fields; (sample, time, y, x)."""
    grid, problem = grid_of(points, "vertex", "periodic", (1.0, 1.0)), problem_of(kind, points)
    frames = solved(kind, points, starts(kind, points, count, seed)).astype(np.float32)
    coords = {"time": problem.times(), **problem.axes()}
    u = xr.DataArray(frames, coords, ("sample", "time", "y", "x"), name="u")
    return xr.Dataset({"u": u}, attrs={"grid": json.dumps(grid.to_json()), "target": "u"})


def flow(kind: str, size: Size, folder: Path) -> dict[str, Any]:
    """Measure the solver: the error of no change, and the largest growth of small smooth differences in a step."""
    done = folder / f"{kind}-flow.json"
    if done.exists():
        read: dict[str, Any] = json.loads(done.read_text(encoding="utf-8"))
        return read
    first = starts(kind, size.points, size.test, 3000)
    other = first + 0.05 * starts(kind, size.points, size.test, 4000)
    alone, moved = (torch.from_numpy(solved(kind, size.points, x)) for x in (first, other))
    row: dict[str, Any] = {"equation": kind, "network": "flow"}
    row[FLOW[0]] = float(relative_l2(alone[:, :-1].flatten(0, 1), alone[:, 1:].flatten(0, 1)))
    for order, name in ((0.0, FLOW[1]), (1.0, FLOW[2])):
        sizes = sobolev_norm(alone - moved, order)
        row[name] = float((sizes[:, 1:] / sizes[:, :-1]).max())
    done.write_text(json.dumps(row), encoding="utf-8")
    return row


def circular(inputs: int, outputs: int) -> nn.Conv2d:
    """Make a periodic 5 x 5 convolution."""
    return nn.Conv2d(inputs, outputs, 5, padding=2, padding_mode="circular")


@register
class PlainCNN(nn.Module):
    """Four periodic convolutions with GELU between them."""

    takes: ClassVar[str] = "fields"
    residual: ClassVar[bool] = False
    spectral: ClassVar[bool] = False

    def __init__(self, in_channels: int = 1, channels: int = 16) -> None:
        super().__init__()
        self.settings = {"in_channels": in_channels, "channels": channels}
        layers = [
            circular(*pair) for pair in itertools.pairwise((in_channels, channels, channels, channels, 1))
        ]
        self.layers = nn.ModuleList(layers)
        if self.residual:
            nn.init.zeros_(layers[-1].weight)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the next state."""
        u = x
        for number, layer in enumerate(self.layers):
            u = layer(nn.functional.gelu(u) if number else u)
        return x + u if self.residual else u

    def config(self) -> dict[str, Any]:
        """Return the configuration of the network."""
        return {"class": type(self).__name__, **self.settings}

    def constrained(self) -> nn.Module:
        """Return the network for the training."""
        if self.spectral:
            for layer in self.layers:
                nn.utils.parametrizations.spectral_norm(layer)
        return self


@register
class ResidualCNN(PlainCNN):
    """The same, added to the state."""

    residual: ClassVar[bool] = True


@register
class SpectralNormCNN(PlainCNN):
    """The same without addition, with a power iteration of each flattened kernel."""

    spectral: ClassVar[bool] = True


STEPS = {"class": "NonExpansive", "channels": 4, "hidden": 8, "kernel": 7}
NETWORKS: Mapping[str, Mapping[str, Any]] = {
    "plain": {"class": "PlainCNN"},
    "residual": {"class": "ResidualCNN"},
    "spectral norm": {"class": "SpectralNormCNN"},
    "FNO": {"class": "FNO", "modes": 12, "width": 16, "layers": 3, "coordinates": False},
    "NonExpansive": STEPS,
    "NonExpansive in H^-1": STEPS | {"order": 1.0},
}


def fitted(
    data: xr.Dataset,
    held: xr.Dataset,
    path: Path,
    network: Mapping[str, Any],
    size: Size,
    rate: float,
    seed: int,
) -> TrainedOperator:
    """Train an operator, or load it if its training is complete."""
    if path.exists():
        return TrainedOperator.load(path)
    fit = {"epochs": size.epochs, "batch_size": BATCH, "learning_rate": rate, "seed": seed, "threads": 1}
    return train(data, path, network=network, loss="l2", validation=held, fit=fit, progress=Lines())


def step_error(operator: TrainedOperator, held: xr.Dataset, steps: int = 1) -> float:
    """Mean relative L2 error after a number of steps, over the series."""
    frames = torch.from_numpy(held["u"].values)
    last = frames.shape[1] - steps
    u = frames[:, :last].flatten(0, 1)
    for _ in range(steps):
        u = operator.ask({"u": u}, operator.grid)
    return float(relative_l2(u, frames[:, steps:].flatten(0, 1)))


@torch.no_grad()
def growth(operator: TrainedOperator, held: xr.Dataset, steps: int, seed: int) -> dict[str, float]:
    """Roll out pairs of noisy states with the same noise; see the top of the file."""
    proven = "lipschitz_bound" in operator.about
    kind = torch.float64 if proven else torch.float32
    order = float(getattr(operator.network, "order", 0.0))
    ready = Stepper(operator, lipschitz=1).operator if proven else operator
    ready = ready.to("cpu", kind)
    noise = torch.Generator().manual_seed(seed)
    first = torch.from_numpy(held["u"].values[:1, 0]).to(kind)
    size, least = first.square().mean().sqrt(), ROUNDING[kind]

    def drawn_noise(scale: float) -> Tensor:
        return scale * size * torch.randn(first.shape, generator=noise, dtype=torch.float64).to(kind)

    pair = torch.stack([first, first + drawn_noise(0.05)])
    start = before = sobolev_norm(pair[0] - pair[1], order)
    euclidean_start = sobolev_norm(pair[0] - pair[1])
    worst, euclidean, finite = 0.0, 0.0, steps
    for step in range(steps):
        pair = pair + drawn_noise(0.01)
        pair = ready.ask({"u": pair.flatten(0, 1)}, operator.grid).reshape(pair.shape)
        after = sobolev_norm(pair[0] - pair[1], order)
        if not (after.isfinite().all() and pair.abs().max() < 1e18):
            worst = euclidean = float("inf")
            finite, after = step, torch.full_like(after, torch.inf)
            break
        seen = before > least * start  # smaller differences are rounding errors
        worst = max(worst, *(after[seen] / before[seen]).tolist(), 0.0)
        euclidean = max(euclidean, float((sobolev_norm(pair[0] - pair[1]) / euclidean_start).max()))
        before = after
    norm = float(pair[0].square().mean().sqrt() / size) if finite == steps else float("inf")
    return {
        "largest growth in a step": worst,
        "difference at the end": float((after / start).max()),
        "largest Euclidean difference": euclidean,
        "norm at the end": norm,
        "finite steps": finite,
    }


def rate_of(kind: str, name: str, network: Mapping[str, Any], size: Size, folder: Path) -> float:
    """Choose the learning rate on a grid of half the points."""
    if network["class"] == "NonExpansive":
        return NonExpansive.learning_rate
    half = size.points // 2
    data, held = series(kind, half, size.train, 1000), series(kind, half, size.test, 2000)
    stem = f"half-{kind}-{name.replace(' ', '-').lower()}"
    errors = {
        rate: step_error(
            fitted(data, held, folder / f"{stem}-{rate:g}.sciml", network, size, rate, SEEDS[0]), held
        )
        for rate in RATES
    }
    return min(errors, key=lambda rate: errors[rate])


def measured(kind: str, name: str, seed: int, size: Size, folder: Path) -> dict[str, Any]:
    """Train a network with a seed on one equation and measure it, or read the numbers of an earlier call."""
    network = NETWORKS[name]
    stem = f"{kind}-{name.replace(' ', '-').lower()}-{seed}"
    done = folder / f"{stem}.json"
    if done.exists():
        read: dict[str, Any] = json.loads(done.read_text(encoding="utf-8"))
        return read
    rate = rate_of(kind, name, network, size, folder)
    data, held, test = (
        series(kind, size.points, n, s) for n, s in ((size.train, 1000), (size.test, 2000), (size.test, 3000))
    )
    operator = fitted(data, held, folder / f"{stem}.sciml", network, size, rate, seed)
    row: dict[str, Any] = {"equation": kind, "network": name, "seed": seed, "rate": rate}
    row |= {"parameters": operator.parameters, "error of a step": step_error(operator, test)}
    row |= {"error of 10": step_error(operator, test, 10), **growth(operator, test, size.steps, seed)}
    row["certificate"] = operator.about.get("lipschitz_bound")
    done.write_text(json.dumps(row), encoding="utf-8")
    print(json.dumps(row), file=sys.stderr, flush=True)
    return row


def report(rows: list[dict[str, Any]]) -> str:
    """Return a table of the means over the seeds, with the price of a step and the worst growth."""
    head = (
        "equation, network",
        "step",
        "price",
        "10 steps",
        "growth",
        "end",
        "Euclidean",
        "norm",
        "certificate",
    )
    lines: list[tuple[str, ...]] = [head]
    for kind, name in dict.fromkeys((row["equation"], row["network"]) for row in rows):
        mine = [row for row in rows if (row["equation"], row["network"]) == (kind, name)]
        if name == "flow":
            still, euclidean, grown = (f"{mine[0][key]:.4g}" for key in FLOW)
            lines.append((f"{kind}, no change", still, *7 * ("",)))
            lines.append((f"{kind}, flow", "", "", "", euclidean, *4 * ("",)))
            lines.append((f"{kind}, flow in H^-1", "", "", "", grown, *4 * ("",)))
            continue
        base = [row for row in rows if (row["equation"], row["network"]) == (kind, "residual")]

        def mean(of: list[dict[str, Any]], key: str) -> float:
            return float(np.mean([row[key] for row in of]))

        def most(key: str, of: list[dict[str, Any]] = mine) -> float:
            return max(float(row[key]) for row in of)

        price = mean(mine, "error of a step") / mean(base, "error of a step")
        numbers = [mean(mine, "error of a step"), price, mean(mine, "error of 10")]
        numbers += [most("largest growth in a step"), most("difference at the end")]
        numbers += [most("largest Euclidean difference"), most("norm at the end")]
        proof = "none" if mine[0]["certificate"] is None else f"{most('certificate'):.7g}"
        lines.append((f"{kind}, {name}", *(f"{x:.4g}" for x in numbers), proof))
    return "\n".join(aligned(lines))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--folder", type=Path, default=Path("bench-output/rollout_stability"))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    size = SMOKE if options.smoke else Size()
    options.folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    kinds = ("turbulence", "burgers")
    order = [(kind, name, seed) for seed in SEEDS for kind in kinds for name in NETWORKS]
    known = {key: measured(*key, size, options.folder) for key in order}
    rows: list[dict[str, Any]] = []
    for kind in kinds:
        rows.append(flow(kind, size, options.folder))
        rows += [known[kind, name, seed] for name in NETWORKS for seed in SEEDS]
    print(report(rows))
    if options.json:
        numbers: dict[str, dict[str, list[Any]]] = {kind: {} for kind in kinds}
        for row in rows:
            finite = {key: None if x in (math.inf, -math.inf) else x for key, x in row.items()}
            numbers[row["equation"]].setdefault(row["network"], []).append(finite)
        options.json.write_text(json.dumps(numbers, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
