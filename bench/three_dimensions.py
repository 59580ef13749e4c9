"""Train MgNO and FNO on Darcy's problem in a cube, for equal CPU time, and certify their answers.

    python bench/three_dimensions.py [--json OUT] [--work FOLDER] [--minutes 10]    # 25 CPU minutes on one thread
    python bench/three_dimensions.py --smoke

Data: darcy-smooth on 31 x 31 x 31 nodes, 512 training and 32 test samples. The seconds of a training sample of each
network are measured first; the number of epochs is that which fits the time. Then four test problems are solved to a
guaranteed relative energy error of 1e-6 by `Corrected`, from the prediction and from zero. A finished training in
--work is not repeated.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from repeated import print_measured

from sciml.multigrid import AMG
from sciml.operators.corrected import Corrected
from sciml.operators.neural import Neural
from sciml.operators.trained_operator import TrainedOperator
from sciml.operators.training import train
from sciml.pde import generate, open_dataset, problem_of, write_dataset
from sciml.solve import solve
from sciml.train.progress import Quiet

NETWORKS: Mapping[str, Mapping[str, Any]] = {
    "MgNO": {"class": "MgNO", "channels": 12, "layers": 5},
    "FNO": {"class": "FNO", "modes": 8, "width": 16, "layers": 4, "projection": 64},
}
SEED, RTOL, CERTIFIED = 7, 1e-6, 4


def dataset(folder: Path, n: int, count: int, seed: int) -> xr.Dataset:
    """Return the samples of a seed, which are generated once."""
    path = folder / f"cube_{n}_{count}_{seed}.zarr"
    if not path.exists():
        write_dataset(generate("darcy-smooth", count, (n, n, n), seed), path, workers=1)
    return open_dataset(path)


def trained(
    data: xr.Dataset, path: Path, network: Mapping[str, Any], epochs: int, batch: int
) -> tuple[TrainedOperator, float]:
    """Train a network; returns the operator and the CPU seconds."""
    fit = {"epochs": epochs, "seed": SEED, "threads": 1, "device": "cpu", "batch_size": batch}
    begun = time.process_time()
    operator = train(data, path, network=network, fit=fit, progress=Quiet())
    return operator, time.process_time() - begun


def certified(problem: Any, neural: Neural | None) -> dict[str, float]:
    """Solve a problem with a guaranteed error; returns the cycles, the bound and the seconds."""
    begun = time.process_time()
    solution = solve(problem, Corrected(neural, AMG(), rtol=RTOL))
    seconds = time.process_time() - begun
    return {
        "cycles": solution.stats["cycles"], "bound": float(solution.error_bound or np.nan),
        "seconds": seconds, "success": solution.result.name == "SUCCESS",
    }  # fmt: skip


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Train both networks for the same time; returns the record."""
    n, counts, batch = (7, (12, 4), 2) if options.smoke else (31, (512, 32), 4)
    training, test = (dataset(folder, n, k, seed) for k, seed in zip(counts, (20_001, 20_002), strict=True))
    truth = test["u"].values
    size = np.linalg.norm(truth.reshape(len(truth), -1), axis=1)
    mean = training["u"].values.mean(0)
    record: dict[str, Any] = {"points": n, "samples": counts[0], "minutes": options.minutes, "networks": {}}
    record["mean"] = float(np.mean(np.linalg.norm((mean - truth).reshape(len(truth), -1), axis=1) / size))
    few = training.isel(sample=slice(0, 4 * batch)).load()
    for name, network in NETWORKS.items():
        path = folder / f"{name}_{n}_{options.minutes:g}.sciml"
        with tempfile.TemporaryDirectory() as trial:
            seconds = trained(few, Path(trial) / "t.sciml", network, 1, batch)[1] / len(few["sample"])
        epochs = max(1, round(60 * options.minutes / (seconds * counts[0])))
        known = path.with_suffix(".row.json")
        if not known.exists():
            _, spent = trained(training, path, network, epochs, batch)
            known.write_text(json.dumps({"epochs": epochs, "seconds": spent}), encoding="utf-8")
        neural = Neural.load(path)
        answers = neural.predict(test, batch=4).values
        error = np.linalg.norm((answers - truth).reshape(len(truth), -1), axis=1) / size
        row = json.loads(known.read_text(encoding="utf-8")) | {"error": float(error.mean())}
        row |= {"parameters": neural.operator.parameters, "seconds_a_sample": seconds}
        problems = [problem_of(test, i) for i in range(CERTIFIED)]
        row["certified"] = [certified(problem, neural) for problem in problems]
        row["from_zero"] = [certified(problem, None) for problem in problems]
        record["networks"][name] = row
        print(name, row, flush=True)
        if options.json:
            options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return record


def table(record: Mapping[str, Any]) -> str:
    """Return the table of a record."""
    lines = [
        "| | parameters | epochs | CPU minutes | relative L2 error | cycles to 1e-6, guaranteed: from zero, from it |",
        "|---|---|---|---|---|---|",
        f"| mean of the truths | | | | {record['mean']:.3f} | |",
    ]
    for name, row in record["networks"].items():
        cycles = [np.mean([case["cycles"] for case in row[key]]) for key in ("from_zero", "certified")]
        lines.append(
            f"| {name} | {row['parameters']:,} | {row['epochs']} | {row['seconds'] / 60:.1f} | {row['error']:.4f} | "
            f"{cycles[0]:.1f}, {cycles[1]:.1f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Read the options, measure, and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--smoke", action="store_true")
    options = parser.parse_args()
    if options.smoke:
        options.minutes = 0.01
    print_measured(options, measure, table)


if __name__ == "__main__":
    main()
