"""Roll out operators for 1,000 noisy steps of decaying flows: errors of a step, and growth of differences.

    python bench/rollout_stability.py            # three seeds, 64 x 64; interrupted trainings resume
    python bench/rollout_stability.py --smoke    # a minute, to test that the benchmark runs

Data: decaying two-dimensional turbulence (vorticity, viscosity 1e-3, no forcing) and a viscous Burgers equation on the
periodic square, du/dt + u (du/dx + du/dy) = 5e-3 Laplace u, from the same random fields; 40, 8 and 8 series of 20 steps
for training, validation and tests. All networks are trained on single steps with the same data, loss and number of
steps, each with the best of several learning rates on the validation series of the first seed.

- plain, residual: convolutions with GELU, u' = N(u) and u' = u + N(u)
- spectral norm: plain with `torch.nn.utils.parametrizations.spectral_norm`, a power iteration of the flattened kernel
- FNO
- NonExpansive in its three forms: the norms of the convolutions are exact, and their product is the certificate

Price: the error of a step over that of the residual network. Growth: over pairs of states that differ by noise of 5 %
of the field and receive the same noise of 1 % in every step, the largest factor of the norm of the difference in a
step, and that norm after all steps over the first one. The steps are computed in float64.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import scipy.fft
import torch
import xarray as xr
from torch import Tensor, nn

from sciml.operators.registry import register
from sciml.operators.step_certificate import certified
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
RATES = (3e-3, 1e-2, 3e-2)
BATCH = 8
ROUNDING = 1e-10


@dataclass(frozen=True)
class Size:
    """Points along an axis, series for training and tests, epochs, and steps of a rollout."""

    points: int = 64
    train: int = 40
    test: int = 8
    epochs: int = 10
    steps: int = 1000


SMOKE = Size(16, 4, 2, 1, 20)


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


def series(kind: str, size: Size, count: int, seed: int) -> xr.Dataset:
    """Solve the equation from random fields; (sample, time, y, x)."""
    grid = grid_of(size.points, "vertex", "periodic", (1.0, 1.0))
    first = np.stack([drawn(START, grid, seed + number, "field") for number in range(count)])
    first -= first.mean((1, 2), keepdims=True)
    turbulence = NavierStokes(size.points, viscosity=1e-3, forcing=0.0, final_time=2.5, frames=20)
    problem: Any = turbulence if kind == "turbulence" else PlaneBurgers(size.points)
    frames = trajectories(problem, first, PseudoSpectral()).astype(np.float32)
    coords = {"time": problem.times(), **problem.axes()}
    u = xr.DataArray(frames, coords, ("sample", "time", "y", "x"), name="u")
    return xr.Dataset({"u": u}, attrs={"grid": json.dumps(grid.to_json()), "target": "u"})


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


NETWORKS: Mapping[str, Mapping[str, Any]] = {
    "plain": {"class": "PlainCNN"},
    "residual": {"class": "ResidualCNN"},
    "spectral norm": {"class": "SpectralNormCNN"},
    "FNO": {"class": "FNO", "modes": 12, "width": 16, "layers": 3, "coordinates": False},
    "NonExpansive generator": {"class": "NonExpansive", "form": "generator"},
    "NonExpansive averaged": {"class": "NonExpansive", "form": "averaged", "channels": 16},
    "NonExpansive plain": {"class": "NonExpansive", "form": "plain", "channels": 16},
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
    precise = operator.to("cpu", torch.float64)
    noise = torch.Generator().manual_seed(seed)
    first = torch.from_numpy(held["u"].values[:, 0]).double()
    size = first.square().mean().sqrt()

    def drawn_noise(scale: float) -> Tensor:
        return scale * size * torch.randn(first.shape, generator=noise, dtype=torch.float64)

    pair = torch.stack([first, first + drawn_noise(0.05)])
    started = before = (pair[0] - pair[1]).flatten(1).norm(dim=1)
    worst, finite = 0.0, steps
    for step in range(steps):
        pair = pair + drawn_noise(0.01)
        pair = precise.ask({"u": pair.flatten(0, 1)}, operator.grid).unflatten(0, (2, -1))
        after = (pair[0] - pair[1]).flatten(1).norm(dim=1)
        if not (after.isfinite().all() and pair.abs().max() < 1e30):
            worst, finite, after = float("inf"), step, torch.full_like(after, torch.inf)
            break
        seen = before > ROUNDING * size  # smaller differences are rounding errors
        worst = max(worst, *(after[seen] / before[seen]).tolist(), 0.0)
        before = after
    norm = float(pair[0].square().mean().sqrt() / size) if finite == steps else float("inf")
    return {
        "largest growth in a step": worst,
        "difference at the end": float((after / started).max()),
        "norm at the end": norm,
        "finite steps": finite,
    }


def measured(kind: str, size: Size, folder: Path) -> list[dict[str, Any]]:
    """Train all networks with all seeds on one equation and measure them."""
    data, held, test = (
        series(kind, size, n, s) for n, s in ((size.train, 1000), (size.test, 2000), (size.test, 3000))
    )
    rows: list[dict[str, Any]] = []
    for name, network in NETWORKS.items():
        stem = f"{kind}-{name.replace(' ', '-').lower()}"
        tried = {
            rate: fitted(
                data, held, folder / f"{stem}-{SEEDS[0]}-{rate:g}.sciml", network, size, rate, SEEDS[0]
            )
            for rate in RATES
        }
        rate = min(tried, key=lambda x: step_error(tried[x], held))
        for seed in SEEDS:
            path = folder / f"{stem}-{seed}-{rate:g}.sciml"
            operator = (
                tried[rate] if seed == SEEDS[0] else fitted(data, held, path, network, size, rate, seed)
            )
            row = {
                "equation": kind,
                "network": name,
                "seed": seed,
                "rate": rate,
                "parameters": operator.parameters,
            }
            row |= {
                "error of a step": step_error(operator, test),
                "error of 10": step_error(operator, test, 10),
            }
            row |= growth(operator, test, size.steps, seed)
            row["certificate"] = certified(operator).get("lipschitz_bound", float("nan"))
            print(json.dumps(row), flush=True)
            rows.append(row)
    return rows


def report(rows: list[dict[str, Any]]) -> str:
    """Return a table of the means over the seeds, with the price of a step and the worst growth."""
    lines = [("equation, network", "step", "price", "10 steps", "growth", "end", "norm", "certificate")]
    for kind, name in dict.fromkeys((row["equation"], row["network"]) for row in rows):
        mine = [row for row in rows if (row["equation"], row["network"]) == (kind, name)]
        base = [row for row in rows if (row["equation"], row["network"]) == (kind, "residual")]

        def mean(of: list[dict[str, Any]], key: str) -> float:
            return float(np.mean([row[key] for row in of]))

        def most(key: str, of: list[dict[str, Any]] = mine) -> float:
            return max(float(row[key]) for row in of)

        price = mean(mine, "error of a step") / mean(base, "error of a step")
        numbers = [mean(mine, "error of a step"), price, mean(mine, "error of 10")]
        numbers += [most("largest growth in a step"), most("difference at the end"), most("norm at the end")]
        lines.append((f"{kind}, {name}", *(f"{x:.4g}" for x in numbers), f"{most('certificate'):.7g}"))
    return "\n".join(aligned(lines))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--folder", type=Path, default=Path("rollout_stability"))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    size = SMOKE if options.smoke else Size()
    options.folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    rows = [row for kind in ("turbulence", "burgers") for row in measured(kind, size, options.folder)]
    print(report(rows))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
