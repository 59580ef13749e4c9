"""Train neural operators on Darcy's problem and compare their errors and times with those of multigrid cycles.

    python bench/operators.py            # three seeds, about an hour on two cores; interrupted trainings resume
    python bench/operators.py --smoke    # a minute, to test that the benchmark runs

Data: darcy-smooth, 1,024 training and 128 test samples at 63 x 63, 256 and 64 at 127 x 127, of different seeds. The
official network takes only multiples of 32, so it is trained on the same random fields on 64 x 64 and 128 x 128 cells,
with the official loss and settings for the same number of epochs; a step of it is timed in its plain form (NCHW).

Other resolutions: every operator trained at 63 predicts on grids that are 2 and 4 times finer, as `Neural` does: MgNO
and the official network by averages to the trained grid and interpolation, FNO and HierarchyNet directly.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from operators_speed import Plain

import sciml.operators.losses as losses
from sciml.multigrid import AMG
from sciml.operators.trained_operator import TrainedOperator
from sciml.operators.training import OperatorObjective, train
from sciml.pde import generate, open_dataset, problem_of, write_dataset
from sciml.pde.grid import Grid
from sciml.train import relative_l2
from sciml.train.progress import Lines, Quiet

SEEDS = (3, 5, 11)
BATCH = 8


class Entry(NamedTuple):
    name: str
    network: Mapping[str, Any] | None
    published: str | None
    fit: Mapping[str, Any]
    cells: bool = False


ENTRIES = (
    Entry("HierarchyNet, 2 cycles", {"class": "HierarchyNet"}, None, {"learning_rate": 5e-3}),
    Entry("MgNO", {"class": "MgNO", "grid": 0}, None, {"learning_rate": 3e-3}),
    Entry(
        "MgNO shared",
        {"class": "MgNO", "shared": True, "levels": 2, "layers": 6, "grid": 0},
        None,
        {"learning_rate": 2e-3},
    ),
    Entry("FNO", {"class": "FNO"}, None, {"learning_rate": 1e-3}),
    Entry("official MgNO", None, "darcy-rough", {}, cells=True),
)


class Size(NamedTuple):
    """A resolution of the benchmark, with its numbers of samples and epochs."""

    resolution: int
    train: int
    test: int
    epochs: int


SIZES = (Size(63, 1024, 128, 10), Size(127, 256, 64, 6))
SMOKE = (Size(31, 32, 8, 1), Size(63, 16, 8, 1))


def finest(sizes: tuple[Size, ...], test: int = 16) -> Size:
    """Return the grid 4 times finer than that of the first size, which is used for tests only."""
    return Size(4 * (sizes[0].resolution + 1) - 1, 0, test, 0)


def dataset(folder: Path, size: Size, part: str, cells: bool) -> Path:
    """Return the path of the training or test samples of a size, which are generated once."""
    count, seed = (size.train, 20_001) if part == "train" else (size.test, 20_002)
    resolution = size.resolution + cells  # 2^k - 1 nodes, or 2^k cells
    path = folder / f"darcy_{resolution}_{count}_{part}.zarr"
    if not path.exists():
        samples = generate("darcy-smooth", count, resolution, seed, centring="cell" if cells else "vertex")
        write_dataset(samples, path)
    return path


def errors(operator: TrainedOperator, path: Path) -> dict[str, float]:
    """Return the mean relative errors over a test set: L2, true H1, and the official truncated H1."""
    data = open_dataset(path)
    grid = Grid.from_json(json.loads(data.attrs["grid"]))
    parts = []
    for start in range(0, data.sizes["sample"], BATCH):
        block = data.isel(sample=slice(start, start + BATCH)).load()
        truth = torch.from_numpy(block["u"].values)
        prediction = operator.predict({"coefficient": torch.from_numpy(block["coefficient"].values)}, grid)
        norms = (
            relative_l2(prediction, truth),
            losses.relative_h1(prediction, truth, grid),
            losses.relative_h1_truncated(prediction, truth),
        )
        parts.append([len(truth) * float(norm) for norm in norms])
    means = np.sum(parts, 0) / data.sizes["sample"]
    return dict(zip(("l2", "h1", "h1_truncated"), map(float, means), strict=True))


def stepping(operator: TrainedOperator, path: Path, loss: Any, plainly: bool) -> Callable[[], None]:
    """Return a training step of 8 samples; with `plainly`, of the network in its plain form (NCHW)."""
    data = open_dataset(path).isel(sample=slice(0, BATCH)).load()
    batch = {
        "coefficient": torch.from_numpy(data["coefficient"].values),
        "truth": torch.from_numpy(data["u"].values),
    }
    objective = OperatorObjective(loss, operator.normalisation, operator.grid)
    network: torch.nn.Module = Plain(operator.network) if plainly else copy.deepcopy(operator.network)
    network.train().requires_grad_(True)
    optimizer = torch.optim.AdamW(network.parameters(), 0.0)

    def step() -> None:
        optimizer.zero_grad()
        objective(network, batch)["loss"].backward()
        optimizer.step()

    return step


def predicting(operator: TrainedOperator, path: Path) -> Callable[[], None]:
    """Return a function that predicts 8 samples."""
    data = open_dataset(path).isel(sample=slice(0, BATCH)).load()
    fields = {"coefficient": torch.from_numpy(data["coefficient"].values)}
    grid = Grid.from_json(json.loads(data.attrs["grid"]))

    def predict() -> None:
        operator.predict(fields, grid)

    return predict


def least(jobs: Mapping[str, Callable[[], None]], rounds: int = 12) -> dict[str, float]:
    """Run the jobs in turn, and return the least CPU milliseconds of each."""
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, job in jobs.items():
            begin = time.process_time()
            job()
            times[name].append(time.process_time() - begin)
    return {name: 1e3 * min(seconds) for name, seconds in times.items()}


def multigrid(path: Path, cycles: int, samples: int) -> list[dict[str, float]]:
    """Return the errors and the time per sample of 1, 2, ... cycles of Ruge-Stuben multigrid from zero."""
    data = open_dataset(path).isel(sample=slice(0, samples)).load()
    grid = Grid.from_json(json.loads(data.attrs["grid"]))
    iterates = np.zeros((cycles, data.sizes["sample"], *grid.shape))
    seconds, setup = np.zeros(cycles), 0.0
    for i in range(data.sizes["sample"]):
        begin = time.process_time()
        hierarchy = AMG().init(problem_of(data, i))
        setup += time.process_time() - begin
        system = hierarchy.system
        u = np.zeros_like(system.rhs)
        begin = time.process_time()
        for k in range(cycles):
            u = u + hierarchy.cycle(system.residual(u))
            iterates[k, i] = u.reshape(grid.shape)
            seconds[k] += time.process_time() - begin
    truth = torch.from_numpy(data["u"].values).double()
    rows = []
    for k in range(cycles):
        iterate = torch.from_numpy(iterates[k])
        rows.append(
            {
                "l2": float(relative_l2(iterate, truth)),
                "h1": float(losses.relative_h1(iterate, truth, grid)),
                "ms": 1e3 * seconds[k] / len(truth),
                "setup_ms": 1e3 * setup / len(truth),
            }
        )
    return rows


def trained(folder: Path, entry: Entry, size: Size, seed: int, *, quiet: bool) -> TrainedOperator:
    """Return an operator of the benchmark, which is trained if no earlier call has finished it."""
    output = folder / f"{entry.name.split(',')[0].replace(' ', '_')}_{size.resolution}_{seed}.sciml"
    if output.exists():
        return TrainedOperator.load(output)
    return train(
        dataset(folder, size, "train", entry.cells),
        output,
        network=entry.network,
        published=entry.published,
        fit={**entry.fit, "epochs": size.epochs, "batch_size": BATCH, "seed": seed, "threads": 1},
        progress=Quiet() if quiet else Lines(),
    )


def mean_and_worst(values: list[float]) -> str:
    """Format the mean and the worst of the seeds."""
    return f"{np.mean(values):.4f} ({np.max(values):.4f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--output", type=Path, default=Path("bench-output/operators"), help="folder for checkpoints"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS), help="seeds of the trainings")
    parser.add_argument("--smoke", action="store_true", help="small sizes, one seed")
    names = [entry.name.split(",")[0] for entry in ENTRIES]
    parser.add_argument("--only", nargs="+", choices=names, help="networks to train", metavar="NAME")
    parser.add_argument("--quiet", action="store_true", help="print no progress")
    given = parser.parse_args()
    folder = given.output / "smoke" if given.smoke else given.output
    folder.mkdir(parents=True, exist_ok=True)
    sizes, seeds = (SMOKE, given.seeds[:1]) if given.smoke else (SIZES, given.seeds)
    entries = [entry for entry, name in zip(ENTRIES, names, strict=True) if name in (given.only or names)]
    torch.set_num_threads(1)
    results: dict[str, Any] = {}
    for entry in entries:
        for seed in seeds:
            for size in sizes:
                operator = trained(folder, entry, size, seed, quiet=given.quiet)
                here = errors(operator, dataset(folder, size, "test", entry.cells))
                if size is sizes[0]:
                    finer = errors(operator, dataset(folder, sizes[1], "test", entry.cells))
                    here["transfer"] = finer["l2"] / here["l2"]
                    here["l2_finer"] = finer["l2"]
                    most = errors(operator, dataset(folder, finest(sizes), "test", entry.cells))
                    here["transfer_4"] = most["l2"] / here["l2"]
                results.setdefault(entry.name, {}).setdefault(size.resolution, []).append(here)
    steps, predictions = {}, {}
    for entry in entries:
        operator = trained(folder, entry, sizes[0], seeds[0], quiet=True)
        where = dataset(folder, sizes[0], "train", entry.cells)
        loss = "h1-truncated" if entry.published else "h1"
        steps[entry.name] = stepping(operator, where, loss, plainly=entry.published is not None)
        predictions[entry.name] = predicting(operator, where)
    step, prediction = least(steps), least(predictions)
    times = {name: (step[name], prediction[name] / BATCH) for name in steps}
    cycles = multigrid(dataset(folder, sizes[0], "test", False), 4, 32)
    report(results, times, cycles, sizes)
    whole = {"results": results, "times": times, "multigrid": cycles, "seeds": seeds}
    (folder / "results.json").write_text(json.dumps(whole, indent=1))


def report(results: Any, times: Any, cycles: Any, sizes: tuple[Size, ...]) -> None:
    """Print the results and the goals."""
    first, second = sizes
    print(
        f"\ndarcy-smooth, {first.train} samples, {first.epochs} epochs; means over the seeds (worst in brackets)"
    )
    print(
        f"{'':24}{f'L2 at {first.resolution}':>18}{'true H1':>18}{'truncated H1':>18}"
        f"{f'L2, applied at {second.resolution}':>22}{'ratio, 2 times':>18}{'ratio, 4 times':>18}"
        f"{f'L2 at {second.resolution}':>18}"
    )
    for name, by_size in results.items():
        coarse, fine = by_size[first.resolution], by_size[second.resolution]
        columns = [mean_and_worst([run[key] for run in coarse]) for key in ("l2", "h1", "h1_truncated")]
        columns.append(f"{mean_and_worst([run['l2_finer'] for run in coarse]):>22}")
        columns += [mean_and_worst([run[key] for run in coarse]) for key in ("transfer", "transfer_4")]
        columns.append(mean_and_worst([run["l2"] for run in fine]))
        print(f"{name:24}" + "".join(f"{text:>18}" for text in columns))
    print(
        "goals                   L2 0.015, true H1 0.06; ratio 1.5; L2 0.08 at the finer size, trained at it"
    )
    reference = times.get("official MgNO")  # in its plain form
    print(
        f"\n{'':24}{'training step':>16}{'of official':>14}{'per sample':>12}   CPU ms, one thread, batches of {BATCH}"
    )
    for name, (step, sample) in times.items():
        ratio = f"{step / reference[0]:.2f}" if reference else "-"
        print(f"{name:24}{step:16.1f}{ratio:>14}{sample:12.2f}")
    print("goal                                    0.60")
    print(
        "\nRuge-Stuben V(1,1) cycles from zero on the same problems (set-up: "
        f"{cycles[0]['setup_ms']:.1f} ms per sample)"
    )
    for k, row in enumerate(cycles, 1):
        print(f"{f'{k} cycles':24}L2 {row['l2']:.4f}  true H1 {row['h1']:.4f}  {row['ms']:.2f} ms per sample")


if __name__ == "__main__":
    main()
