"""Measure analog ensembles: novelty of a held-out run, and errors, coverage and CRPS of their intervals.

    python bench/analogs.py FILE... [--held-out RUN] [--json OUT] [--seeds 7 11 23] [--take N]
    python bench/analogs.py --smoke

FILES are captures or stores of several runs with equally many levels; --held-out is the run that is new. Of the other
runs a fifth of the columns, drawn for each seed, is the test, and the rest is stored. Scores of novelty: the distance
to the nearest stored column (ours), the mean distance to the members (k-NN), the Mahalanobis distance of the 30 leading
principal components, and the largest distance from the training range (`FeatureScaling`, today's), all of the same
profiles. Intervals: the analog ensemble against equal weights of the same members, for several numbers of members; the
best of each is chosen on half of the test columns, and scored on the other half. --smoke splits the sample of data/ by
its western and eastern half.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from sciml.columns.open import open_columns
from sciml.convection.analogs import INPUTS, TENDENCIES, AnalogMemory
from sciml.convection.feature_scaling import FeatureScaling
from sciml.storage.packaged import packaged

Array = NDArray[Any]

SAMPLE, TRUTH = "wrfout_d01_convrad_24x24_5min.nc", "mskf_offline_convrad_24x24_5min.nc"
MEMBERS, FACTORS = (4, 8, 16, 32), (1.0, 4.0, 16.0, 64.0)
COMPONENTS = 30


def auroc(old: Array, new: Array) -> float:
    """Return the probability that a new column has a higher score than an old one."""
    order = np.sort(old)
    below = np.searchsorted(order, new, "left") + np.searchsorted(order, new, "right")
    return float(below.mean() / (2 * len(old)))


def crps(values: Array, weights: Array, truth: Array) -> Array:
    """Return the continuous ranked probability score of weighted members (column, member, ...)."""
    wide = weights.reshape(*weights.shape, *[1] * (values.ndim - 2))
    first = (wide * np.abs(values - truth[:, None])).sum(1)
    order = np.argsort(values, 1)
    x = np.take_along_axis(values, order, 1)
    w = np.take_along_axis(np.broadcast_to(wide, values.shape), order, 1)
    share = np.cumsum(w, 1)
    spread = ((share * (1 - share))[:, :-1] * np.diff(x, axis=1)).sum(
        1
    )  # half of the mean difference of two members
    return first - spread


def profiles(columns: xr.Dataset) -> Array:
    """Return the inputs of the memory, (column, feature)."""
    parts = [np.asarray(columns[name].transpose("column", "level").values, float) for name in INPUTS]
    parts[2] = np.cbrt(parts[2])
    return np.concatenate(parts, 1)


def novelties(memory: AnalogMemory, stored: xr.Dataset, asked: list[xr.Dataset]) -> dict[str, list[Array]]:
    """Return each score of novelty for several sets of columns."""
    x = profiles(stored)
    mean, scale = x.mean(0), x.std(0).clip(1e-12)
    _, s, vt = np.linalg.svd((x - mean) / scale, full_matrices=False)
    count = min(COMPONENTS, len(s))
    spread = s[:count] / np.sqrt(len(x))

    def channels(columns: xr.Dataset) -> torch.Tensor:
        levels = columns.sizes["level"]
        return (
            torch.from_numpy(profiles(columns).reshape(-1, len(INPUTS), levels)).permute(2, 1, 0).contiguous()
        )

    none = torch.zeros(0, len(x), dtype=torch.float64)
    scaling = FeatureScaling.of(channels(stored), torch.randn(1, len(x), dtype=torch.float64))
    scores: dict[str, list[Array]] = {}
    for columns in asked:
        rows = len(profiles(columns))
        far, _ = scaling.distances(channels(columns), none.new_zeros(1, rows))
        members = memory.ensemble(columns)["DISTANCE"].values
        principal = ((profiles(columns) - mean) / scale) @ vt[:count].T / spread
        for name, values in (
            ("nearest stored column", members[:, 0]),
            ("mean of the members", members.mean(1)),
            ("Mahalanobis", np.linalg.norm(principal, axis=1)),
            ("training range", far.amax((0, 1)).numpy()),
        ):
            scores.setdefault(name, []).append(values)
    return scores


def intervals(stored: xr.Dataset, test: xr.Dataset) -> dict[str, Any]:
    """Score the ensembles with our weights and with equal ones; the settings are chosen on the first half."""
    truth = {name: np.asarray(test[name].values, float) for name in TENDENCIES}
    half = np.arange(test.sizes["column"]) % 2 == 0
    best: dict[str, tuple[float, Any]] = {}
    for count in MEMBERS:
        memory = AnalogMemory(stored, members=count)
        members = memory.ensemble(test)
        squares = members["DISTANCE"].values ** 2
        options = {f"beta x {factor:g}": factor * memory.beta for factor in FACTORS} | {"equal": 0.0}
        for name, beta in options.items():
            weights = np.exp(-0.5 * beta * (squares - squares[:, :1]))
            weights /= weights.sum(1, keepdims=True)
            scores = {}
            for output in TENDENCIES:
                values = members[output].values.astype(float)
                score = crps(values, weights, truth[output]).reshape(len(half), -1).mean(1)
                size = truth[output].std()
                mean = np.einsum("cm,cml->cl", weights, values)
                scores[output] = {
                    "crps": float(score[~half].mean() / size),
                    "r2": float(
                        1 - np.square(mean - truth[output])[~half].mean() / truth[output][~half].var()
                    ),
                    "chosen_by": float(score[half].mean() / size),
                }
            kind = "equal weights" if name == "equal" else "analog weights"
            loss = float(np.mean([score["chosen_by"] for score in scores.values()]))
            if kind not in best or loss < best[kind][0]:
                best[kind] = loss, {"members": count, "weights": name, **scores}
    return {kind: result for kind, (_, result) in best.items()}


def coverage(memory: AnalogMemory, test: xr.Dataset, share: float = 0.9) -> dict[str, float]:
    """Return the fraction of the values of convecting columns inside the interval."""
    some = test.isel(column=np.flatnonzero(test["KIND"].values > 0))
    answer = memory.predict(some, coverage=share)
    made = {}
    for name in TENDENCIES:
        truth = some[name].values
        active = np.abs(truth) > 0
        inside = (truth >= answer[f"{name}_LOW"].values) & (truth <= answer[f"{name}_HIGH"].values)
        made[name] = float(inside[active].mean())
    return made


def measured(columns: xr.Dataset, new: xr.Dataset, seed: int) -> dict[str, Any]:
    """Return all scores of a draw of the test columns."""
    drawn = np.random.default_rng(seed).random(columns.sizes["column"]) < 0.2
    stored, test = (columns.isel(column=np.flatnonzero(rows)) for rows in (~drawn, drawn))
    memory = AnalogMemory(stored, seed=seed)
    scores = novelties(memory, stored, [test, new])
    return {
        "stored": int(stored.sizes["column"]),
        "auroc": {name: auroc(*values) for name, values in scores.items()},
        "coverage_of_90": coverage(memory, test),
        "intervals": intervals(stored, test),
    }


def main() -> None:
    """Run the measurements and print them as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--held-out", type=int, default=16)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[7, 11, 23])
    parser.add_argument("--take", type=int, default=1)
    parser.add_argument("--smoke", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.smoke or not options.files:
        columns = (
            open_columns(packaged(SAMPLE), truth=packaged(TRUTH)).isel(column=slice(None, None, 4)).load()
        )
        held = columns["west_east"].values >= np.median(columns["west_east"].values)
        options.seeds = options.seeds[:1]
    else:
        columns = open_columns(options.files).isel(column=slice(None, None, options.take)).load()
        held = columns["RUN"].values == options.held_out
    old, new = (columns.isel(column=np.flatnonzero(rows)) for rows in (~held, held))
    results = {str(seed): measured(old, new, seed) for seed in options.seeds}
    text = json.dumps(
        {"held_out": options.held_out, "new": int(new.sizes["column"]), "seeds": results}, indent=1
    )
    print(text)
    if options.json:
        options.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
