"""Measure the column transformer: what pretraining gains by the share of labels, and R2 of real and binary attention.

    python bench/transformer.py [COLUMNS ...] [--hold-out RUN ...] [--exclude RUN ...] [--json OUT] [--work FOLDER]
    python bench/transformer.py --smoke

COLUMNS are stores or files of pairs of several runs; --take N takes each N-th column. Without them it uses the sample
of data/: five of its seven times train, the sixth validates, and the seventh scores. The pretraining sees all columns
of the training runs, without outputs of the scheme. A training on a share of the labels has at most --most times the
epochs, the same from scratch and after pretraining. Both take the best learning rate of --rates by the validation of
the first seed, and are then trained with all --seeds; each seed has its own pretraining and its own labelled columns.
The validation has the labels of all its columns in every training. A finished training in --work is not repeated.

Scores: binary attention gets the queries and keys of the real attention that was trained on all labels. Its scale and
its estimators are the least squares of the real scores of the training columns. The error is the mean square over the
columns that no training saw, relative to that without estimators.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from binary_scores import score_errors
from ranked import SAMPLE, Trainings, columns_of, spread

from sciml.convection.emulator import Emulator
from sciml.convection.pretraining import pretrain
from sciml.tables import aligned
from sciml.train import checkpoint
from sciml.train.progress import Quiet

FRACTIONS = (0.01, 0.1, 1.0)
SMOKE_FRACTIONS = (0.05, 0.5, 1.0)
SEEDS, RATES = (7, 11, 23), (1.5e-3, 4e-3, 1e-2)
SHOWN = ("RTHCUTEN", "RQVCUTEN", "PRATEC", "validation")
BINARY: dict[str, dict[str, Any]] = {
    "binary rank 0": {"attention": "binary", "rank": 0},
    "binary rank 1": {"attention": "binary", "rank": 1},
    "binary rank 1 of each head": {"attention": "binary", "rank": 1, "estimators": "heads"},
}


def starts(trainings: Trainings, options: argparse.Namespace) -> tuple[dict[int, Path], list[dict[str, Any]]]:
    """Pretrain a network for each seed; returns the checkpoints and their losses by epoch."""
    paths, rows = {}, []
    excluded = [*options.hold_out, *options.exclude]
    for seed in options.seeds:
        path = paths[seed] = trainings.folder / f"pretrained_{seed}.sciml"
        fit = {**trainings.fit, "epochs": options.pretraining_epochs, "seed": seed}
        fit |= {"learning_rate": options.pretraining_rate}
        if not path.exists():
            pretrain(trainings.columns, path, exclude=excluded, fit=fit, progress=Quiet())
        history = checkpoint.load(path).history
        assert history is not None
        losses = [epoch.training["loss"] for epoch in history.epochs]
        rows.append({"seed": seed, "loss": losses[:: max(len(losses) // 10, 1)] + losses[-1:]})
        print("pretraining", rows[-1], file=sys.stderr)
    return paths, rows


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Train and score everything; returns the record."""
    columns = columns_of(options.columns, options.take)
    fit = {"threads": 1, "device": "cpu", "batch_size": options.batch_size}
    trainings = Trainings(columns, folder, options.hold_out, options.exclude, fit)
    record: dict[str, Any] = {"about": about(options, trainings), "networks": {}}
    paths, record["pretraining"] = starts(trainings, options)

    def add(name: str, network: dict[str, Any], fraction: float = 1.0, **more: Any) -> None:
        times = min(options.most, 1 / fraction)
        own = {"epochs": max(1, round(options.epochs * times)), "validate_every": max(1, round(times))}
        settings = {"kind": "transformer", **network}
        record["networks"][name] = trainings.ranked(
            name, settings, options.rates, options.seeds, fit=own, fraction=fraction, **more
        )
        write(options, record)

    for fraction in options.fractions:
        add(f"scratch, {fraction:.0%} of the labels", {}, fraction)
        add(f"pretrained, {fraction:.0%} of the labels", {}, fraction, starts=paths)
    record["scores"] = []
    for row in record["networks"][f"scratch, {1:.0%} of the labels"]["seeds"]:
        path = trainings.path(f"scratch, {1:.0%} of the labels", row["learning_rate"], row["seed"])
        record["scores"].append({"seed": row["seed"], **errors_of(trainings, path)})
    write(options, record)
    for name, network in BINARY.items():
        add(name, network)
    add("binary rank 1 of each head, pretrained", BINARY["binary rank 1 of each head"], starts=paths)
    return record


def write(options: argparse.Namespace, record: dict[str, Any]) -> None:
    """Write the record so far."""
    if options.json:
        options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def errors_of(trainings: Trainings, path: Path) -> dict[str, Any]:
    """Return the errors of binary scores for a trained network."""
    seen = set(trainings.columns["RUN"].values.tolist()) - {*trainings.hold_out, *trainings.exclude}
    columns = trainings.of_runs(sorted(seen)), trainings.of_runs(trainings.exclude)
    return score_errors(Emulator.load(path), *columns)


def about(options: argparse.Namespace, trainings: Trainings) -> dict[str, Any]:
    """Describe the columns and the budgets."""
    runs = {"validation": options.hold_out, "scored": options.exclude}
    counts = {name: trainings.of_runs(some).sizes["column"] for name, some in runs.items()}
    names = (
        "take",
        "epochs",
        "most",
        "batch_size",
        "pretraining_epochs",
        "pretraining_rate",
        "seeds",
        "rates",
    )
    return {
        "data": [path.name for path in options.columns] or [SAMPLE],
        "columns": {"training": trainings.columns.sizes["column"] - sum(counts.values()), **counts},
        **{name: getattr(options, name) for name in names},
        "torch": torch.__version__,
    }


def table(record: dict[str, Any]) -> str:
    """Return the table of a record: mean, least and most of the seeds."""
    rows = [("network", "rate", *SHOWN)]
    for name, content in record["networks"].items():
        seeds = content["seeds"]
        rows.append((name, f"{seeds[0]['learning_rate']:g}", *(spread(seeds, output) for output in SHOWN)))
    lines = aligned(rows, align="<", indent="")
    forms = [own["relative_to_rank_0"] for own in record["scores"]]
    for form in forms[0] if forms else ():
        values = {rank: f"{np.mean([own[form][rank] for own in forms]):.3f}" for rank in forms[0][form]}
        lines.append(f"error of scores, {form}: " + ", ".join(f"rank {k} {v}" for k, v in values.items()))
    return "\n".join(lines)


def main() -> None:
    """Read the options, measure, and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("columns", nargs="*", type=Path)
    parser.add_argument("--hold-out", nargs="+", type=int, default=[2])
    parser.add_argument("--exclude", nargs="+", type=int, default=[3])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--rates", type=float, nargs="+", default=RATES)
    parser.add_argument("--take", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--most", type=float, default=20.0, help="most epochs, times --epochs")
    parser.add_argument("--pretraining-epochs", type=int, default=120)
    parser.add_argument("--pretraining-rate", type=float, default=3e-3)
    parser.add_argument("--smoke", action="store_true")
    options = parser.parse_args()
    options.fractions = FRACTIONS
    if options.smoke:
        options.take, options.epochs, options.pretraining_epochs, options.most = 4, 1, 1, 1.0
        options.seeds, options.rates, options.fractions = SEEDS[:1], RATES[:1], SMOKE_FRACTIONS
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        work = options.work or Path(folder)
        work.mkdir(parents=True, exist_ok=True)
        record = measure(options, work)
    print(table(record))


if __name__ == "__main__":
    main()
