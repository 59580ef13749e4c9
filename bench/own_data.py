"""Train operators on data without a description: pressure between 1 and 0 in an anisotropic lognormal medium.

    python bench/own_data.py [--json OUT] [--work FOLDER] [--seeds 7 11 23]    # 25 CPU minutes on one thread
    python bench/own_data.py --smoke

512 training and 128 test samples of 32 x 48 cells: the logarithm of the permeability k is a Gaussian field of standard
deviation 1.25 with correlation lengths of 0.1 of the width and 0.05 of the height; the pressure p is 1 in the west, 0
in the east, without flow through the other sides. The trainings know the names, the boundary and the centring, as for
`sciml pde train NET own.npz --inputs k --target p`, not the equation. The mean of the truths of the training is the
prediction that needs no training. Each network is trained with the default scaling of its input, which takes the
logarithm, and without the logarithm. A finished training in --work is not repeated.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from repeated import print_measured, spread

from sciml.operators.neural import Neural
from sciml.operators.trained_operator import TrainedOperator
from sciml.operators.training import train
from sciml.pde import Boundary, Darcy, discretize
from sciml.pde.reference_solver import solver
from sciml.train.progress import Quiet

BOUNDARY = Boundary(south="neumann", north="neumann")
SHAPE, LENGTHS, DEVIATION = (32, 48), (0.05, 0.1), 1.25
FORMS: Mapping[str, tuple[str, tuple[str, str] | None]] = {
    "MgNO": ("MgNO", None),
    "FNO": ("FNO", None),
    "MgNO, no logarithm": ("MgNO", ("scalar", "scale")),
    "FNO, no logarithm": ("FNO", ("scalar", "scale")),
}


def samples(count: int, seed: int) -> xr.Dataset:
    """Draw and solve problems."""
    generator = np.random.default_rng(seed)
    ny, nx = (2 * n for n in SHAPE)  # periodic on twice the rectangle
    waves = [2 * np.pi * np.fft.fftfreq(2 * n, 1 / n) / 2 for n in SHAPE]
    power = np.exp(-0.5 * np.add.outer((waves[0] * LENGTHS[0]) ** 2, (waves[1] * LENGTHS[1]) ** 2))
    amplitude = np.sqrt(power / power.sum() * ny * nx)
    fields: dict[str, list[np.ndarray[Any, Any]]] = {"k": [], "p": []}
    for _ in range(count):
        noise = np.fft.fft2(generator.standard_normal((ny, nx)))
        logarithm = np.fft.ifft2(noise * amplitude).real[: SHAPE[0], : SHAPE[1]]
        k = np.exp(DEVIATION * logarithm)
        problem = Darcy(
            SHAPE, k, 0.0, BOUNDARY, boundary_value=lambda x, y: np.where(x < 0.5, 1.0, 0.0), centring="cell"
        )
        system = discretize(problem)
        fields["k"].append(k)
        fields["p"].append(solver(system)(system))
    return xr.Dataset({name: (("sample", "y", "x"), np.float32(values)) for name, values in fields.items()})


def relative(prediction: np.ndarray[Any, Any], truth: np.ndarray[Any, Any]) -> float:
    """Return the relative L2 error, averaged over the samples."""
    error = np.linalg.norm((prediction - truth).reshape(len(truth), -1), axis=1)
    return float(np.mean(error / np.linalg.norm(truth.reshape(len(truth), -1), axis=1)))


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Train every form with every seed; returns the record."""
    counts, epochs = ((24, 8), 1) if options.smoke else ((512, 128), 12)
    paths = [folder / f"own_{count}.nc" for count in counts]
    for path, count, seed in zip(paths, counts, (1001, 2002), strict=True):
        if not path.exists():
            samples(count, seed).to_netcdf(path)
    training, test = (xr.load_dataset(path) for path in paths)
    mean = np.broadcast_to(training["p"].values.mean(0), test["p"].shape)
    record: dict[str, Any] = {"mean": relative(mean, test["p"].values), "epochs": epochs, "forms": {}}
    for name, (kind, scaling) in FORMS.items():
        rows = []
        for seed in options.seeds:
            path = folder / f"{''.join(filter(str.isalnum, name))}_{seed}.sciml"
            begun = time.process_time()
            operator = TrainedOperator.load(path) if path.exists() else train(
                training, path, network={"class": kind}, inputs="k", target="p", boundary=BOUNDARY,
                centring="cell", scaling=scaling, progress=Quiet(),  # type: ignore[arg-type]
                fit={"epochs": epochs, "seed": seed, "threads": 1, "device": "cpu"},
            )  # fmt: skip
            error = relative(Neural(operator).predict(test).values, test["p"].values)
            rows.append({"seed": seed, "error": error, "seconds": time.process_time() - begun})
            print(name, rows[-1], flush=True)
        record["forms"][name] = rows
        if options.json:
            options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return record


def table(record: Mapping[str, Any]) -> str:
    """Return the table of a record."""
    lines = ["| | relative L2 error | mean of the truths over it |", "|---|---|---|"]
    lines.append(f"| mean of the truths | {record['mean']:.3f} | 1 |")
    for name, rows in record["forms"].items():
        errors = [row["error"] for row in rows]
        lines.append(f"| {name} | {spread(errors)} | {record['mean'] / np.mean(errors):.1f} |")
    return "\n".join(lines)


def main() -> None:
    """Read the options, measure, and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[7, 11, 23])
    parser.add_argument("--smoke", action="store_true")
    options = parser.parse_args()
    if options.smoke:
        options.seeds = options.seeds[:1]
    print_measured(options, measure, table)


if __name__ == "__main__":
    main()
