"""Compare normalisations at batches of 1, 2 and 32, of an operator on Darcy's problem and of the column transformer.

    python bench/normalization.py [COLUMNS ...] [--json OUT] [--work FOLDER]    # about 12 CPU minutes on one thread
    python bench/normalization.py --smoke

Operators: MgNO with 2 layers of 8 channels on darcy-smooth, 31 x 31, 80 samples, 8 epochs for every batch size.
Columns: a transformer with 2 blocks of 16 features, 4 epochs. COLUMNS are stores or files of pairs of several runs, of
which --take N takes each N-th column; run 2 validates and run 3 is scored. Without them, the times of the sample are
the runs. All batch sizes see the same number of samples, so that batches of 1 have 32 times the steps of those of 32.

The forms are the options of `--norm`, and GELU without a normalisation. With a normalisation a layer of MgNO is
z + norm(z), without one GELU(z).

Each form takes, for each batch size, the best of the learning rates 3e-3, 9e-3 and 2.7e-2 by the validation of the
first seed. If that is an end of the row, the next rate by a factor of 3 is tried too. It is then trained with all
seeds, at that rate and at 3 times that rate. A training fails if a loss is not finite, or if its answer is no better
than a constant one: the mean field of the training samples, or R2 of the heating of 0. All other settings are the
defaults, among them a gradient of norm 1 at most. A finished training in --work is not repeated.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ranked import Trainings, columns_of, validation

from sciml.operators.training import train
from sciml.pde import generate
from sciml.tables import aligned
from sciml.train import relative_l2
from sciml.train.loop import NotFinite
from sciml.train.progress import Quiet

SEEDS, BATCHES = (7, 11, 23), (1, 2, 32)
RATES, FACTOR = (3e-3, 9e-3, 2.7e-2), 3
ENDS = (1e-4, 1.0)
"""Rates between which the search continues."""
NORMS = ("batchnorm-relu", "groupnorm-relu", "evonorm-b0", "evonorm-s0")
HEATING, MOISTENING = "RTHCUTEN", "RQVCUTEN"

Row = dict[str, Any]


@dataclass(frozen=True)
class Size:
    """Points, samples and epochs of the operators; epochs of the columns; seeds, rates and batch sizes."""

    points: int = 31
    samples: int = 80
    held: int = 64
    epochs: int = 8
    column_epochs: int = 4
    seeds: tuple[int, ...] = SEEDS
    rates: tuple[float, ...] = RATES
    batches: tuple[int, ...] = BATCHES
    ends: tuple[float, float] = ENDS


SMOKE = Size(15, 16, 8, 1, 1, SEEDS[:1], RATES[1:2], (2, 16), (RATES[1], RATES[1]))


class Operators:
    """Trainings of operators on Darcy's problem; each writes a checkpoint and a row, and is not repeated."""

    forms: Mapping[str, Mapping[str, Any]] = {
        "GELU": {"class": "MgNO"},
        **{norm: {"class": "MgNO", "norm": norm} for norm in NORMS},
    }
    sizes: Mapping[str, int] = {"channels": 8, "layers": 2, "levels": 3}

    def __init__(self, folder: Path, size: Size) -> None:
        self.folder, self.size = folder, size
        parts = [(size.samples, 1001), (size.held, 2002), (2 * size.held, 3003)]
        self.data, self.held, self.test = (
            generate("darcy-smooth", count, size.points, seed) for count, seed in parts
        )
        mean = torch.from_numpy(self.data["u"].values).mean(0, keepdim=True)
        truth = torch.from_numpy(self.test["u"].values)
        self.constant = float(relative_l2(mean.expand_as(truth), truth))

    def row(self, form: str, batch: int, rate: float, seed: int) -> Row:
        """Train an operator, and return its errors on the validation and on the test samples."""
        path = self.folder / f"{''.join(filter(str.isalnum, form))}_{batch}_{rate:g}_{seed}.sciml"

        def made() -> Row:
            fit: Row = {"epochs": self.size.epochs, "validate_every": self.size.epochs, "batch_size": batch}
            fit |= {"learning_rate": rate, "seed": seed, "threads": 1, "device": "cpu"}
            network = {**self.forms[form], **self.sizes}
            operator = train(
                self.data,
                path,
                network=network,
                loss="l2",
                validation=self.held,
                fit=fit,
                progress=Quiet(),
            )
            answer = operator.ask(
                {"coefficient": torch.from_numpy(self.test["coefficient"].values)}, operator.grid
            )
            error = float(relative_l2(answer, torch.from_numpy(self.test["u"].values)))
            return {"validation": validation(path)["validation"], "error": error}

        row = once(path, made, {"learning_rate": rate, "seed": seed, "batch": batch})
        return {**row, "failed": not row.get("error", np.inf) < self.constant}


class Columns:
    """Trainings of the column transformer."""

    forms: Mapping[str, Mapping[str, Any]] = {"GELU": {}, **{norm: {"norm": norm} for norm in NORMS}}
    sizes: Mapping[str, Any] = dict(kind="transformer", hidden=16, heads=2, layers=2, width=16, pooled=16)

    def __init__(self, folder: Path, size: Size, paths: Sequence[Path], take: int) -> None:
        self.size = size
        self.trainings = Trainings(columns_of(paths, take), folder, [2], [3], {"threads": 1, "device": "cpu"})

    def row(self, form: str, batch: int, rate: float, seed: int) -> Row:
        """Train a network, and return its validation and its scores on the columns that no training saw."""
        name = f"{form} {batch}"

        def made() -> Row:
            epochs = self.size.column_epochs
            fit = {"epochs": epochs, "validate_every": epochs, "batch_size": batch}
            return self.trainings.row(name, {**self.sizes, **self.forms[form]}, rate, seed, fit=fit)

        path = self.trainings.path(name, rate, seed)
        row = once(path, made, {"learning_rate": rate, "seed": seed, "batch": batch})
        return {**row, "failed": not (row.get(HEATING) or -np.inf) > 0}


def once(path: Path, made: Callable[[], Row], about: Row) -> Row:
    """Return the row of a training, which is computed once; one that is not finite has no validation."""
    known = path.with_suffix(".row.json")
    if known.exists():
        row: Row = json.loads(known.read_text(encoding="utf-8"))
        return row
    try:
        row = {**about, **made()}
    except NotFinite as error:
        row = {**about, "not_finite": str(error).partition(":")[0]}
    known.write_text(json.dumps(row) + "\n", encoding="utf-8")
    print(path.stem, row, file=sys.stderr, flush=True)
    return row


def tuned(task: Operators | Columns, form: str, batch: int) -> Row:
    """Choose the rate by the first seed, train with all seeds at that rate and at 3 times that rate."""
    size = task.size

    def trained(rate: float, seed: int) -> Row:
        return task.row(form, batch, float(f"{rate:.4g}"), seed)

    tried = {rate: trained(rate, size.seeds[0]) for rate in size.rates}
    while True:
        best = min(tried, key=lambda rate: tried[rate].get("validation", np.inf))
        ends = {min(tried): best / FACTOR, max(tried): best * FACTOR}
        if best not in ends or not size.ends[0] < ends[best] < size.ends[1]:
            break
        tried[ends[best]] = trained(ends[best], size.seeds[0])
    return {
        "rate": float(f"{best:.4g}"),
        "rates": list(tried.values()),
        "seeds": [trained(best, seed) for seed in size.seeds],
        "thrice": [trained(FACTOR * best, seed) for seed in size.seeds],
    }


def measure(options: argparse.Namespace, folder: Path) -> Row:
    """Train everything; returns the record."""
    size = SMOKE if options.smoke else Size()
    record: Row = {"seeds": size.seeds, "torch": torch.__version__, "darcy": {}, "columns": {}}
    for name in ("darcy", "columns"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    operators = Operators(folder / "darcy", size)
    columns = Columns(folder / "columns", size, options.columns, options.take)
    runs = columns.trainings.columns["RUN"].values
    record["constant"] = operators.constant
    record["runs"] = {str(run): int((runs == run).sum()) for run in np.unique(runs)}
    tasks: tuple[tuple[str, Operators | Columns], ...] = (("darcy", operators), ("columns", columns))
    for batch, (name, task) in itertools.product(reversed(size.batches), tasks):
        for form in task.forms:
            record[name].setdefault(form, {})[str(batch)] = tuned(task, form, batch)
            if options.json:
                options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return record


def spread(rows: Sequence[Row], name: str) -> str:
    """Return mean, least and most of a value over the seeds; rows without it are not finite."""
    values = [row[name] for row in rows if row.get(name) is not None]
    if len(values) < len(rows):
        return "not finite"
    return f"{np.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def table(record: Row) -> str:
    """Return the tables of a record: scores at the tuned rate, and at 3 times that rate with the failures."""
    lines: list[str] = []
    for task, scores in (("darcy", ("error",)), ("columns", (HEATING, MOISTENING))):
        head = [(task, "batch", "rate", *scores, f"{scores[0]} at 3 x the rate", "failed")]
        for form, batches in record[task].items():
            for batch, cell in sorted(batches.items(), key=lambda item: int(item[0])):
                failed = sum(row["failed"] for row in cell["thrice"])
                head.append(
                    (
                        form,
                        batch,
                        f"{cell['rate']:g}",
                        *(spread(cell["seeds"], score) for score in scores),
                        spread(cell["thrice"], scores[0]),
                        f"{failed} of {len(cell['thrice'])}",
                    )
                )
        lines += [*aligned(head, align="<", indent=""), ""]
    return "\n".join([*lines, f"error of the mean field of Darcy's problem: {record['constant']:.3f}"])


def main() -> None:
    """Read the options, measure, and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("columns", nargs="*", type=Path)
    parser.add_argument("--take", type=int, default=20)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--smoke", action="store_true")
    options = parser.parse_args()
    if options.smoke:
        options.take = max(options.take, 40)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        record = measure(options, options.work or Path(folder))
    print(table(record))


if __name__ == "__main__":
    main()
