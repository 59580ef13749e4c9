"""Train MgNO on Poisson's equation, and compare its Green's functions with the inverse of the discrete system.

    python bench/greens.py                   # three seeds, 15 minutes on a core; interrupted trainings resume
    python bench/greens.py --seeds 3         # one seed
    python bench/greens.py --smoke           # seconds, to test that the benchmark runs
    python bench/greens.py --operator MODEL  # a checkpoint of the family poisson in place of the trainings

Data: Poisson's equation with zero boundary values on 16 x 16 nodes, 2,048 samples. The sources are Gaussian fields of
short correlation (tau 3, alpha 0.25): with white noise as the source, the mean square error of a linear operator is the
Frobenius norm of the error of its matrix. Networks: two layers of 12 channels with V-cycles of 4 levels and ReLU,
trained for 80 epochs on the relative L2 norm.

Each network is linearized at two sources of the same kind that were not in the training, and its whole matrix (256
columns) is compared with the inverse: error and symmetry defect in the Frobenius norm, residual (the effect of the
biases), largest singular value over that of the inverse. One V-cycle of pyamg stands beside the networks.

On 127 x 127 nodes an untrained network of this kind with 7 levels is linearized in another process, of which the memory
is measured: the operator has no matrix, which would have 16,129^2 numbers. The memory does not depend on the weights.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import resource
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sciml.operators import Neural
from sciml.operators.field_scaling import FieldScaling
from sciml.operators.greens import GreensFunctions, greens_functions
from sciml.operators.mgno import MgNO
from sciml.operators.trained_operator import TrainedOperator
from sciml.operators.training import train
from sciml.pde import GaussianField, Poisson, generate
from sciml.pde.elliptic import discretize
from sciml.pde.families import FAMILIES
from sciml.pde.grid import Grid
from sciml.tables import aligned
from sciml.train.progress import Lines

SEEDS = (3, 5, 11)
SOURCES = (31, 37)
ROUGH = replace(FAMILIES["poisson"], template=Poisson(3, GaussianField(tau=3.0, alpha=0.25)))
MIB = 2**20
Row = dict[str, Any]


@dataclass(frozen=True)
class Size:
    """Nodes along an axis, numbers of samples for training and tests, epochs, batch size, and levels of a cycle."""

    points: int
    train: int
    test: int
    epochs: int
    batch: int
    levels: int


FULL, LARGE = Size(16, 2048, 256, 80, 64, 4), (127, 7)
SMOKE, SMALLER = Size(8, 32, 8, 1, 8, 3), (15, 3)


def trained(size: Size, activation: str, seed: int, folder: Path) -> TrainedOperator:
    """Return the operator of a training, which is read if it is complete."""
    path = folder / f"{activation}_{size.points}_{seed}.sciml"
    if path.exists():
        return TrainedOperator.load(path)
    network = {"class": "MgNO", "layers": 2, "channels": 12, "post": 1, "levels": size.levels}
    fit = {"epochs": size.epochs, "batch_size": size.batch, "learning_rate": 1e-2, "weight_decay": 0.0}
    return train(
        generate(ROUGH, size.train, size.points, 20_001).load(),
        path,
        network={**network, "activation": activation},
        loss="l2",
        fit={**fit, "seed": seed, "threads": 1},
        progress=Lines(),
    )


def test_error(operator: TrainedOperator, size: Size) -> float:
    """Return the mean relative L2 error over test samples."""
    data = generate(ROUGH, size.test, size.points, 20_002).load()
    rest = Neural(operator).predict(data) - data["u"]
    sizes = [np.sqrt((x**2).sum(("y", "x"))) for x in (rest, data["u"])]
    return float((sizes[0] / sizes[1]).mean())


def matrices(
    operator: TrainedOperator, points: int, sources: Sequence[int], mode: str = "frozen"
) -> list[GreensFunctions]:
    """Compare the whole matrix of an operator at several sources."""
    every = list(itertools.product(range(points), repeat=2))
    problems = [ROUGH.problem(points, seed) for seed in sources]
    return [greens_functions(operator, problem, every, modes=4, mode=mode) for problem in problems]


def described(name: str, operator: TrainedOperator, size: Size, mode: str = "frozen") -> Row:
    """Return the numbers of an operator; each but the test error is a mean over the sources, with the worst error."""
    made = matrices(operator, size.points, SOURCES, mode)
    return {
        "name": name,
        "test error": test_error(operator, size),
        "error": float(np.mean([x.error for x in made])),
        "worst error": max(x.error for x in made),
        "asymmetry": float(np.mean([x.asymmetry for x in made])),
        "residual": float(np.mean([x.residual for x in made])),
        "first singular value": float(
            np.mean([x.singular_values[0] / x.exact_singular_values[0] for x in made])
        ),
    }


def cycle_error(points: int) -> float:
    """Return the error of one V-cycle of pyamg as a matrix, relative to the inverse in the Frobenius norm."""
    import pyamg

    matrix = discretize(ROUGH.problem(points, SOURCES[0])).matrix
    exact = np.linalg.inv(matrix.toarray())
    cycle = pyamg.ruge_stuben_solver(matrix).aspreconditioner() @ np.eye(len(exact))
    return float(np.linalg.norm(cycle - exact) / np.linalg.norm(exact))


def untrained(points: int, levels: int) -> TrainedOperator:
    """Return an operator with an untrained network of the same kind."""
    torch.manual_seed(SEEDS[0])
    network = MgNO(layers=2, channels=12, post=1, levels=levels, activation="relu")
    inputs = FieldScaling.raw(("source",))
    return TrainedOperator(network, inputs, ("source",), "u", Grid((points, points)), {})


def memory(points: int, levels: int) -> Row:
    """Linearize a network in another process, and return its memory in MiB before and at most."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measured, (points, levels))


def _measured(points: int, levels: int) -> Row:
    torch.set_num_threads(1)
    operator = untrained(points, levels)
    problem = ROUGH.problem(points, SOURCES[0])
    field = {"source": torch.from_numpy(problem.source_field())[None].float()}
    operator.ask(field, problem.grid)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    greens_functions(operator, problem, [(points // 2, points // 2)], modes=2, probes=1)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "points": points,
        "memory before": before,
        "memory at most": after,
        "memory of a matrix": 8 * points**4 / MIB,
    }


def report(numbers: Row) -> str:
    """Return the tables."""
    columns = ("test error", "error", "worst error", "asymmetry", "residual", "first singular value")
    rows = [("", *columns)]
    rows += [(row["name"], *(f"{row[key]:.4f}" for key in columns)) for row in numbers["networks"]]
    lines = [
        *aligned(rows, align="<" + ">" * len(columns)),
        f"one V-cycle of pyamg: error {numbers['cycle']:.4f}",
    ]
    large = numbers.get("large")
    if large:
        lines += [
            f"{large['points']} x {large['points']}: "
            f"memory {large['memory before']:.0f} MiB before, {large['memory at most']:.0f} MiB at most; "
            f"the matrix alone would have {large['memory of a matrix']:.0f} MiB",
        ]
    return "\n".join(lines)


def measured(size: Size, large: tuple[int, int], seeds: Sequence[int], folder: Path) -> Row:
    """Train all networks and return all numbers."""
    rows = [described(f"relu, seed {seed}", trained(size, "relu", seed, folder), size) for seed in seeds]
    return {"networks": rows, "cycle": cycle_error(size.points), "large": memory(*large)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, to test that the benchmark runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--operator", type=Path, help="checkpoint in place of the trainings")
    parser.add_argument(
        "--folder", type=Path, default=Path("bench-output/greens"), help="folder of checkpoints"
    )
    parser.add_argument("--json", type=Path, help="file to write the numbers to")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    if given.operator:
        operator = TrainedOperator.load(given.operator)
        size = replace(FULL, points=operator.grid.shape[0])
        numbers = {
            "networks": [described(given.operator.stem, operator, size)],
            "cycle": cycle_error(size.points),
        }
    else:
        size, large = (SMOKE, SMALLER) if given.smoke else (FULL, LARGE)
        numbers = measured(size, large, given.seeds, given.folder)
    print(report(numbers))
    if given.json:
        given.json.write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
