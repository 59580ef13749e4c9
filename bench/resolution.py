"""Train MgNO at one resolution, and measure its errors on grids that are 2 and 4 times finer, and coarser.

    python bench/resolution.py             # three seeds, vertices and cells; interrupted trainings resume
    python bench/resolution.py --smoke     # seconds, to test that the benchmark runs
    python bench/resolution.py --only "MgNO, vertices"

Data: darcy-smooth, 1,024 training samples at 63 x 63 nodes or 64 x 64 cells. The test samples are the same random
fields at every resolution, each solved on its own grid. Errors are means over the samples: relative L2, the true H1
norm, and the H1 error after smoothing steps with the known matrix (`Neural(operator, smooth=3)`). The truths at the
resolution of the training, interpolated, are the answer of an operator without error that does not see the finer
coefficient.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from sciml.operators.trained_operator import TrainedOperator
from sciml.operators.training import train
from sciml.pde import generate, open_dataset, write_dataset
from sciml.tables import aligned
from sciml.train.progress import Lines
from sciml.verify.operator.resolutions import at_resolutions

SEEDS = (3, 5, 11)
TRAINING, TEST = 20_001, 20_002
GOALS = {"l2": 0.008, "h1": 0.035, "ratio_l2": (1.10, 1.15), "ratio_h1": (1.2, 1.3), "smoothed": 1.1}


class Entry(NamedTuple):
    """A network of the benchmark, its settings of the training, and whether the unknowns are in cells."""

    name: str
    network: Mapping[str, Any]
    fit: Mapping[str, Any]
    cells: bool


class Size(NamedTuple):
    """Nodes along an axis, numbers of samples, and epochs."""

    points: int
    train: int
    test: int
    epochs: int


FULL, SMOKE = Size(63, 1024, 32, 10), Size(15, 16, 4, 1)
ENTRIES = tuple(
    Entry(f"{name}, {'cells' if cells else 'vertices'}", {"class": "MgNO", **network}, {}, cells)
    for name, network in (("MgNO", {}), ("MgNO, grid of the fields", {"grid": 0}))
    for cells in (False, True)
    if not (cells and network)
)


def dataset(folder: Path, size: Size, cells: bool) -> Path:
    """Return the path of the training samples, which are generated once."""
    points = size.points + cells  # 2^k - 1 nodes, or 2^k cells
    path = folder / f"darcy_{points}_{size.train}_train.zarr"
    if not path.exists():
        write_dataset(generate("darcy-smooth", size.train, points, TRAINING, centring=_centring(cells)), path)
    return path


def _centring(cells: bool) -> Any:
    return "cell" if cells else "vertex"


def trained(folder: Path, entry: Entry, size: Size, seed: int) -> TrainedOperator:
    """Return the operator of a training, which is read if it is complete."""
    path = folder / f"{entry.name.replace(', ', '_').replace(' ', '_')}_{size.points}_{seed}.sciml"
    if path.exists():
        return TrainedOperator.load(path)
    fit = {"epochs": size.epochs, "batch_size": 8, **entry.fit, "seed": seed, "threads": 1}
    data = open_dataset(dataset(folder, size, entry.cells))
    return train(data, path, network=entry.network, fit=fit, progress=Lines())


def measure(operator: TrainedOperator, entry: Entry, size: Size) -> list[dict[str, Any]]:
    """Return the errors at the resolution of the training, and at 2, 4 and 1/2 times it."""
    points = size.points + entry.cells
    test = generate("darcy-smooth", size.test, points, TEST, centring=_centring(entry.cells))
    others = [factor * (size.points + 1) - (not entry.cells) for factor in (2, 4)]
    others += [(size.points + 1) // 2 - (not entry.cells)] if operator.any_resolution else []
    return at_resolutions(operator, test, others, samples=size.test)


def table(results: Mapping[str, list[list[dict[str, Any]]]]) -> str:
    """Tabulate the means over the seeds, and the worst in brackets."""
    rows = []
    for name, runs in results.items():
        for place, first in enumerate(runs[0]):
            columns = [[run[place].get(key, 1.0) for run in runs] for key in KEYS]
            shape = " x ".join(map(str, first["shape"]))
            rows.append([name, shape, *(f"{np.mean(c):.4f} ({max(c):.4f})" for c in columns)])
    head = ["", "grid", "L2", "ratio", "H1", "ratio", "H1, smoothed", "truths interpolated: L2", "H1"]
    return "\n".join(aligned([head, *rows]))


KEYS = (
    "relative_l2",
    "ratio_l2",
    "relative_h1",
    "ratio_h1",
    "smoothed_h1",
    "interpolated_l2",
    "interpolated_h1",
)


def main() -> None:
    names = [entry.name for entry in ENTRIES]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--work", type=Path, default=Path("bench-output/resolution"), help="folder of data and checkpoints"
    )
    parser.add_argument("--json", type=Path, help="file to write the numbers to")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS), help="seeds of the trainings")
    parser.add_argument("--smoke", action="store_true", help="small sizes, one seed")
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help="networks to train")
    given = parser.parse_args()
    size, seeds = (SMOKE, given.seeds[:1]) if given.smoke else (FULL, given.seeds)
    folder = given.work / "smoke" if given.smoke else given.work
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    results: dict[str, list[Any]] = {}
    for entry in ENTRIES:
        if entry.name in (given.only or names):
            for seed in seeds:
                operator = trained(folder, entry, size, seed)
                results.setdefault(entry.name, []).append(measure(operator, entry, size))
    print(table(results))
    if given.json:
        content = {"results": results, "seeds": list(seeds), "size": size._asdict(), "goals": GOALS}
        given.json.write_text(json.dumps(content, indent=1))


if __name__ == "__main__":
    main()
