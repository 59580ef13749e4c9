"""Measure Hopfield networks: errors of retrieval, fixed points, and the pooling of bags.

    python bench/hopfield.py [--json OUT] [--figure PNG] [--work FOLDER]    # about 5 CPU minutes on one thread
    python bench/hopfield.py --smoke

Retrieval: N patterns are drawn on a sphere of radius sqrt(d), states are patterns with noise of 0.05 in each number,
and beta is 1. Errors are distances from the pattern after one update, relative to the radius. The bound is that of
theorem 4 of Ramsauer et al. (2021), 2 (N - 1) M exp(-beta (D - 2 r M)), with M the largest norm, D the separation of
the pattern and r the distance of the state from it. Theorem 3 guarantees sqrt(p) c^((d - 1) / 4) patterns with
probability 1 - p, on a sphere of radius 3 sqrt(d - 1) and beta 1; `capacity` has its constant c, 3.15 at d = 20.

Fixed points: 4 clusters of 8 patterns on a sphere; the iteration starts at every pattern. The effective number of
patterns of a fixed point is 32 for the mean of all, 8 for the mean of a cluster and 1 for a single pattern.

Pooling: bags of 60 instances of 12 numbers, of three tasks of our own making. `needle`: an instance of a bag is near a
fixed pattern, in half of the bags. `share`: are more than half of the instances of one of two kinds that overlap?
`address`: the instance near a fixed pattern has a further number, the sign of which is wanted; those of the other
instances are larger. All networks have the same layers before the pooling and a linear layer after it. Each takes the
learning rate that is best by the mean validation of all seeds: 2e-3, 1e-2 or 5e-2, or further ones by a factor of 5
while the best is the first or the last. Hopfield pooling also has the choice of two values of beta, and so twice the
trials. Scores are the shares of right answers.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from scipy.special import lambertw
from torch import Tensor, nn

from sciml.nn import Hopfield, HopfieldPooling
from sciml.nn.association import associate, effective_patterns
from sciml.plot.style import COLOURS, StyledFigure, style
from sciml.tables import aligned
from sciml.train import TensorSource, fit
from sciml.train.batches import Batch
from sciml.train.progress import Quiet
from sciml.train.settings import Fit

Row = dict[str, Any]
NOISE, STATES, ROUNDING = 0.05, 64, 1e-16
FEATURES, INSTANCES, WIDTH = 12, 60, 16
TASKS = ("needle", "share", "address")
RATES, FACTOR, ENDS = (2e-3, 1e-2, 5e-2), 5, (1e-4, 1.0)
POOLINGS: Mapping[str, Sequence[float | None]] = {"mean": [None], "maximum": [None], "Hopfield": [0.25, 2.0]}
"""Values of beta that are tried."""


@dataclass(frozen=True)
class Size:
    """Dimensions, numbers of patterns, values of beta, bags and epochs."""

    dimensions: tuple[int, ...] = (8, 12, 16, 20, 24, 32, 48, 64)
    patterns: tuple[int, ...] = (2**6, 2**10, 2**14, 2**16)
    betas: int = 33
    seeds: tuple[int, ...] = (7, 11, 23)
    bags: int = 400
    epochs: int = 25
    ends: tuple[float, float] = ENDS


SMOKE = Size((8, 16), (2**6,), 5, (7,), 60, 2, (1e-2, 1e-2))


def on_sphere(rng: np.random.Generator, count: int, dimension: int, radius: float) -> Tensor:
    """Draw points on a sphere, (count, dimension)."""
    x = rng.normal(size=(count, dimension))
    return torch.from_numpy(radius * x / np.linalg.norm(x, axis=1, keepdims=True))


def retrieval(patterns: int, dimension: int, seed: int) -> Row:
    """Return errors of one update, relative to the radius, and the bound of theorem 4 for the same states."""
    rng = np.random.default_rng([seed, patterns, dimension])
    radius = dimension**0.5
    stored = on_sphere(rng, patterns, dimension, radius)
    wanted = stored[:STATES]
    state = wanted + NOISE * torch.from_numpy(rng.normal(size=wanted.shape))
    answer = associate(state, stored, beta=1.0).weights @ stored
    error = torch.linalg.vector_norm(answer - wanted, dim=1)
    products = wanted @ stored.T
    own = products.diagonal().clone()
    products.fill_diagonal_(-torch.inf)
    margin = own - products.amax(1) - 2 * radius * torch.linalg.vector_norm(state - wanted, dim=1)
    bound = 2 * (patterns - 1) * radius * torch.exp(-margin)
    return {
        "patterns": patterns,
        "dimension": dimension,
        "seed": seed,
        "error": float(error.median() / radius),
        "worst": float(error.max() / radius),
        "bound": float(bound.median() / radius),
        "holds": bool((error <= bound + 1e-12 * radius).all()),
    }


def capacity(
    dimension: int, beta: float = 1.0, factor: float = 3.0, failure: float = 1e-3
) -> tuple[float, float]:
    """Return the number of patterns that theorem 3 guarantees, and its constant c.

    Parameters
    ----------
    dimension, beta
        Dimension of the patterns, and inverse temperature.
    factor
        The radius of the sphere is this factor times ``sqrt(dimension - 1)``.
    failure
        Probability that some pattern is not stored.
    """
    a = 2 / (dimension - 1) * (1 + np.log(2 * beta * factor**2 * failure * (dimension - 1)))
    b = 2 * factor**2 * beta / 5
    c = float(b / lambertw(np.exp(a + np.log(b))).real)
    return float(failure**0.5 * c ** ((dimension - 1) / 4)), c


def guaranteed(dimension: int, patterns: int, seed: int) -> Row:
    """Store many more patterns than theorem 3 guarantees, on its sphere; return the share that is retrieved."""
    rng = np.random.default_rng([seed, dimension])
    radius = 3.0 * (dimension - 1) ** 0.5
    stored = on_sphere(rng, patterns, dimension, radius)
    wanted = stored[: 4 * STATES]
    answer = associate(wanted, stored, beta=1.0).weights @ stored
    error = torch.linalg.vector_norm(answer - wanted, dim=1) / radius
    count, c = capacity(dimension)
    return {
        "dimension": dimension,
        "patterns": patterns,
        "seed": seed,
        "guaranteed": count,
        "c": c,
        "retrieved": float((error < 1e-2).double().mean()),
    }


def clusters(seed: int) -> Tensor:
    """Draw 4 clusters of 8 patterns on a sphere of radius 4, (32, 16)."""
    rng = np.random.default_rng(seed)
    centres = np.linalg.qr(rng.normal(size=(16, 4)))[0].T
    points = np.repeat(4.0 * centres, 8, 0) + 0.35 * rng.normal(size=(32, 16))
    return torch.from_numpy(4.0 * points / np.linalg.norm(points, axis=1, keepdims=True))


def fixed_points(beta: float, seed: int) -> Row:
    """Iterate from every pattern to a fixed point; count the distinct ones and their effective patterns."""
    stored = clusters(seed)
    end = associate(stored, stored, beta=beta, steps=None, eps=1e-9)
    points = end.weights @ stored
    near = torch.cdist(points, points) < 1e-3
    first = near.int().argmax(1)
    return {
        "beta": beta,
        "seed": seed,
        "effective": float(effective_patterns(end.weights).median()),
        "distinct": len(set(first.tolist())),
    }


def bags(task: str, count: int, seed: int) -> TensorSource:
    """Draw bags (bag, instance, number) with an answer of 0 or 1 for each."""
    rng = np.random.default_rng([seed, TASKS.index(task)])
    pattern = np.random.default_rng(97).normal(size=FEATURES) * (np.arange(FEATURES) > 0)
    x = rng.normal(size=(count, INSTANCES, FEATURES))
    answer = rng.permutation(count) % 2
    which = np.arange(count), rng.integers(INSTANCES, size=count)
    needle = 0.9 * pattern + 0.6 * rng.normal(size=(count, FEATURES))
    if task == "share":
        share = np.where(answer == 1, rng.uniform(0.55, 0.8, count), rng.uniform(0.2, 0.45, count))
        kind = rng.uniform(size=(count, INSTANCES)) < share[:, None]
        x += np.where(kind[..., None], 0.25, -0.25) * pattern
    elif task == "needle":
        x[which] = np.where(answer[:, None] == 1, needle, x[which])
    else:
        x[which] = needle
        x[..., 0] = 3.0 * rng.choice([-1, 1], size=(count, INSTANCES))
        x[(*which, 0)] = 1.5 * (2.0 * answer - 1.0)
    return TensorSource({"x": torch.from_numpy(x).float(), "answer": torch.from_numpy(answer).long()})


class BagNetwork(nn.Module):
    """A layer for each instance, a pooling, and a linear layer.

    Parameters
    ----------
    pooling
        ``mean``, ``maximum`` or ``Hopfield``.
    beta
        Inverse temperature of the Hopfield pooling.
    """

    def __init__(self, pooling: str, beta: float | None = None) -> None:
        super().__init__()
        self.instance = nn.Sequential(
            nn.Linear(FEATURES, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU()
        )
        self.pooling = HopfieldPooling(Hopfield(WIDTH, beta=beta), 1) if pooling == "Hopfield" else pooling
        self.answer = nn.Linear(WIDTH, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the logits, (bag, 2)."""
        x = self.instance(x)
        if isinstance(self.pooling, str):
            pooled = x.mean(1) if self.pooling == "mean" else x.amax(1)
        else:
            pooled = self.pooling(x)
        answer: Tensor = self.answer(pooled)
        return answer


def losses(network: nn.Module, batch: Batch) -> dict[str, Tensor]:
    """Return the cross-entropy, and the share of wrong answers."""
    logits = network(batch["x"])
    wrong = (logits.argmax(1) != batch["answer"]).float().mean()
    return {"loss": nn.functional.cross_entropy(logits, batch["answer"]), "wrong": wrong}


def pooled(
    task: str, pooling: str, setting: tuple[float, float | None], seed: int, size: Size, folder: Path
) -> Row:
    """Train a network on bags; return its validation loss and the share of right answers on other bags."""
    rate, beta = setting
    path = folder / f"{task}_{pooling}_{rate:g}_{beta}_{seed}.json"
    if path.exists():
        row: Row = json.loads(path.read_text(encoding="utf-8"))
        return row
    torch.manual_seed(seed)
    network = BagNetwork(pooling, beta)
    data, held, test = (
        bags(task, count, part)
        for count, part in ((size.bags, 1001), (size.bags, 2002), (2 * size.bags, 3003))
    )
    settings = Fit(epochs=size.epochs, batch_size=32, learning_rate=rate, seed=seed, device="cpu", threads=1)
    history = fit(network, losses, data, held, settings, progress=Quiet())
    least = min(epoch.validation["loss"] for epoch in history.epochs)
    with torch.no_grad():
        batch = next(test.batches(2 * size.bags))
        right = 1 - float(losses(network, batch)["wrong"])
    row = {"seed": seed, "learning_rate": rate, "beta": beta, "validation": least, "right": right}
    path.write_text(json.dumps(row) + "\n", encoding="utf-8")
    return row


def tried(task: str, pooling: str, beta: float | None, size: Size, folder: Path) -> list[list[Row]]:
    """Train with all seeds, and with learning rates until the best is not at an end; rows by rate and seed."""
    rows: dict[float, list[Row]] = {}
    wanted = list(RATES)
    while wanted:
        for rate in wanted:
            rows[rate] = [pooled(task, pooling, (rate, beta), seed, size, folder) for seed in size.seeds]
        best = min(rows, key=lambda rate: validation(rows[rate]))
        ends = {min(rows): best / FACTOR, max(rows): best * FACTOR}
        inside = best in ends and size.ends[0] < ends[best] < size.ends[1]
        wanted = [float(f"{ends[best]:.4g}")] if inside else []
    return [rows[rate] for rate in sorted(rows)]


def validation(rows: Sequence[Row]) -> float:
    """Return the mean validation loss of rows."""
    return float(np.mean([row["validation"] for row in rows]))


def measure(size: Size, folder: Path) -> Row:
    """Measure everything; returns the record."""
    record: Row = {"retrieval": [], "capacity": [], "fixed_points": [], "pooling": {}}
    for patterns, dimension, seed in itertools.product(size.patterns, size.dimensions, size.seeds):
        record["retrieval"].append(retrieval(patterns, dimension, seed))
    for dimension, seed in itertools.product((20, 32, 64), size.seeds):
        record["capacity"].append(guaranteed(dimension, max(size.patterns), seed))
    for beta, seed in itertools.product(np.geomspace(0.01, 100.0, size.betas), size.seeds):
        record["fixed_points"].append(fixed_points(float(beta), seed))
    for task, (name, betas) in itertools.product(TASKS, POOLINGS.items()):
        every = [rows for beta in betas for rows in tried(task, name, beta, size, folder)]
        record["pooling"].setdefault(task, {})[name] = {"tried": every, "seeds": min(every, key=validation)}
    return record


def means(rows: Sequence[Row], keys: tuple[str, ...], values: tuple[str, ...]) -> dict[Any, list[float]]:
    """Return means over the seeds, of the rows of equal keys."""
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in keys), []).append(row)
    return {
        key: [float(np.mean([row[value] for row in own])) for value in values] for key, own in groups.items()
    }


def table(record: Row) -> str:
    """Return the tables of a record."""
    errors = means(record["retrieval"], ("dimension", "patterns"), ("error", "bound"))
    counts = sorted({patterns for _, patterns in errors})
    rows = [("error of an update, bound", *(f"N = {count}" for count in counts))]
    for dimension in sorted({dimension for dimension, _ in errors}):
        cells = (errors[dimension, count] for count in counts)
        rows.append((f"d = {dimension}", *(f"{error:.1e}, {bound:.1e}" for error, bound in cells)))
    lines = [
        *aligned(rows),
        f"the bound holds for all states: {all(row['holds'] for row in record['retrieval'])}",
        "",
    ]
    shares = means(record["capacity"], ("dimension", "patterns"), ("guaranteed", "c", "retrieved"))
    rows = [("d", "N", "guaranteed", "c", "retrieved")]
    rows += [
        (str(d), str(n), f"{count:.3g}", f"{c:.3f}", f"{share:.3f}")
        for (d, n), (count, c, share) in shares.items()
    ]
    lines += [*aligned(rows), ""]
    points = means(record["fixed_points"], ("beta",), ("effective", "distinct"))
    points = dict(list(points.items())[::4])
    rows = [("beta", "effective patterns", "fixed points")]
    rows += [
        (f"{beta:.3g}", f"{count:.2f}", f"{distinct:.1f}") for (beta,), (count, distinct) in points.items()
    ]
    lines += [*aligned(rows), ""]
    rows = [("share of right answers", *POOLINGS)]
    for task, by_name in record["pooling"].items():
        scores = ([row["right"] for row in own["seeds"]] for own in by_name.values())
        rows.append((task, *(f"{np.mean(own):.3f} ({min(own):.3f} to {max(own):.3f})" for own in scores)))
    return "\n".join([*lines, *aligned(rows)])


def figure(record: Row) -> Figure:
    """Draw the error of an update against the dimension, and the effective number of patterns against beta."""
    errors = means(record["retrieval"], ("dimension", "patterns"), ("error", "bound"))
    points = means(record["fixed_points"], ("beta",), ("effective", "distinct"))
    with style():
        drawn = StyledFigure(figsize=(10.0, 3.8))
        left, right = drawn.subplots(1, 2)
        for colour, count in zip(COLOURS.values(), sorted({n for _, n in errors}), strict=False):
            own = sorted((d, *value) for (d, n), value in errors.items() if n == count)
            d, error, bound = np.array(own).T
            error[error < ROUNDING] = np.nan
            left.plot(d, error, "o-", color=colour, markersize=3.5, label=f"{count:,} patterns")
            left.plot(d, bound, "--", color=colour, linewidth=0.9)
        left.set(yscale="log", ylim=(ROUNDING, 10.0), xlabel="dimension", ylabel="error / radius")
        left.set_title("One update (dashed: bound of theorem 4)")
        left.legend()
        beta = [key for (key,) in points]
        for number, (colour, name) in enumerate(
            (("prediction", "effective patterns"), ("third", "distinct fixed points"))
        ):
            right.plot(beta, [value[number] for value in points.values()], color=COLOURS[colour], label=name)
        right.set(
            xscale="log", yscale="log", xlabel="beta", yticks=[1, 4, 8, 32], yticklabels=["1", "4", "8", "32"]
        )
        right.minorticks_off()
        right.set_title("Fixed points of 4 clusters of 8 patterns")
        right.legend(loc="center right")
    return drawn


def main() -> None:
    """Read the options, measure, and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--smoke", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        work = options.work or Path(folder)
        work.mkdir(parents=True, exist_ok=True)
        record = measure(SMOKE if options.smoke else Size(), work)
    if options.json:
        options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    if options.figure:
        figure(record).savefig(options.figure, dpi=110)
    print(table(record))


if __name__ == "__main__":
    main()
