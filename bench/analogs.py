"""Measure analog ensembles on held-out runs: novelty, errors, CRPS and coverage of their intervals.

    python bench/analogs.py FILE... [--held-out RUN...] [--training FILE...] [--json OUT] [--seeds N...] [--take N]
    python bench/analogs.py --smoke

FILES are captures or stores of several runs with equally many levels. Each run of --held-out is left out in turn and is
"new". Of the other runs a fifth of the times, drawn for each seed, is "usual", and the columns of the other times are
stored. Distances are those of the profiles, or of the features of the plume that mskf-convrad sees.

Novelty: the distance to the nearest stored column (ours), the mean distance to the members (k-NN), the Mahalanobis
distance of the 30 leading principal components, and the distance from the training range (`FeatureScaling`, today's) of
the profiles and of the plume. Each has its AUROC of new against usual columns, and the share of the new columns above
the value that 5 % of the usual columns exceed.

Ensembles: weights by distance (ours) against equal weights (k-NN). The number of members and the scale of the weights
are chosen for both by the CRPS of every other usual column. Intervals of 90 %: calibrated on held-out runs (ours), on
columns of the same run, and not at all; the coverage counts true values that are not zero.

With --training, columns that mskf-convrad was trained on, the novelty of the emulator's own answer (that of `guard`),
the training range and the distance to the training columns rank the columns of each run by the error of its heating:
AUROC of columns whose error is above the 99th percentile of the training, and the share of them above the score that
5 % of the other columns exceed. It has no random choice. --smoke splits the packaged sample by its western and eastern
half. Nothing is trained. The same command resumes: results in the file of --json are not computed again.
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from sciml.columns.open import open_columns
from sciml.convection import weighted_members
from sciml.convection.analog_features import PlumeFeatures
from sciml.convection.analogs import INPUTS, TENDENCIES, AnalogMemory
from sciml.convection.emulator import Emulator, sounding_of
from sciml.convection.feature_scaling import FeatureScaling
from sciml.convection.problem import Convection
from sciml.solve import solve
from sciml.storage.packaged import packaged

Array = NDArray[Any]

SAMPLE, TRUTH = "wrfout_d01_convrad_24x24_5min.nc", "mskf_offline_convrad_24x24_5min.nc"
MEMBERS, FACTORS = (4, 8, 16, 32), (0.25, 1.0, 4.0, 16.0)
COMPONENTS, FALSE_ALARMS, PARTS, BLOCK = 30, 0.05, 5, 4096
OURS, PLUME, GUARD, RANGE = (
    "nearest column",
    "nearest column, plume",
    "novelty of guard",
    "training range, plume",
)


def auroc(old: Array, new: Array) -> float:
    """Return the probability that a new column has a higher score than an old one."""
    order = np.sort(old)
    below = np.searchsorted(order, new, "left") + np.searchsorted(order, new, "right")
    return float(below.mean() / (2 * len(old)))


def detection(old: Array, new: Array) -> dict[str, float]:
    """Return the AUROC, and the share of the new columns above the score that few old ones exceed."""
    return {
        "auroc": auroc(old, new),
        "detected": float((new > np.quantile(old, 1 - FALSE_ALARMS)).mean()),
    }


def profiles(columns: xr.Dataset) -> Array:
    """Return the inputs of the memory, (column, feature)."""
    parts = [np.asarray(columns[name].transpose("column", "level").values, float) for name in INPUTS]
    parts[2] = np.cbrt(parts[2])
    return np.concatenate(parts, 1)


class Plumes:
    """Features of the plume of columns, computed once and looked up by the variable NUMBER; as of `PlumeFeatures`."""

    any_levels: ClassVar[bool] = True

    def __init__(self, columns: xr.Dataset, emulator: Emulator[Any]) -> None:
        of_emulator = PlumeFeatures(emulator)
        self.count = of_emulator.count
        channels, scalars, features, rising = [], [], [], []
        for start in range(0, columns.sizes["column"], BLOCK):
            part = columns.isel(column=slice(start, start + BLOCK))
            seen = emulator.network.observe(sounding_of(part))
            features.append(of_emulator(part))
            rising.append(start + seen.index.numpy())
            channels.append(seen.channels)
            scalars.append(seen.scalars)
        self.features, self.rising = np.concatenate(features), np.concatenate(rising)
        self.channels, self.scalars = torch.cat(channels, -1), torch.cat(scalars, -1)

    def __call__(self, columns: xr.Dataset) -> Array:
        """Return the features of some of the columns."""
        some: Array = self.features[columns["NUMBER"].values]
        return some

    def parts(self, columns: xr.Dataset) -> tuple[torch.Tensor, torch.Tensor, Array]:
        """Return the channels and scalars of those of the columns whose plume rises, and which ones these are."""
        place = np.full(len(self.features), -1)
        place[self.rising] = np.arange(len(self.rising))
        own = place[columns["NUMBER"].values]
        rows = np.flatnonzero(own >= 0)
        return self.channels[..., own[rows]], self.scalars[..., own[rows]], rows


def numbered(columns: xr.Dataset) -> xr.Dataset:
    """Add the number of each column."""
    return columns.assign(NUMBER=("column", np.arange(columns.sizes["column"])))


def ranges(stored: xr.Dataset, asked: list[xr.Dataset], plumes: Plumes) -> dict[str, list[Array]]:
    """Return the distance from the range of the stored profiles, and from that of their plumes."""

    def channels(columns: xr.Dataset) -> torch.Tensor:
        x = torch.from_numpy(profiles(columns).reshape(-1, len(INPUTS), columns.sizes["level"]))
        return x.permute(2, 1, 0).contiguous()

    def none(columns: xr.Dataset) -> torch.Tensor:
        return torch.zeros(0, columns.sizes["column"], dtype=torch.float64)

    of_profiles = FeatureScaling.of(channels(stored), none(stored))
    of_plumes = FeatureScaling.of(*plumes.parts(stored)[:2])
    scores: dict[str, list[Array]] = {"training range": [], RANGE: []}
    for columns in asked:
        far, _ = of_profiles.distances(channels(columns), none(columns))
        scores["training range"].append(far.amax((0, 1)).numpy())
        z, y, rows = plumes.parts(columns)
        novelty = np.zeros(columns.sizes["column"])
        novelty[rows] = of_plumes.novelty(z, y).numpy()
        scores[RANGE].append(novelty)
    return scores


def mahalanobis(stored: xr.Dataset, asked: list[xr.Dataset]) -> list[Array]:
    """Return the Mahalanobis distance of the leading principal components."""
    x = profiles(stored)
    mean, scale = x.mean(0), x.std(0).clip(1e-12)
    _, s, vt = np.linalg.svd((x - mean) / scale, full_matrices=False)
    count = min(COMPONENTS, len(s))
    spread = s[:count] / np.sqrt(len(x))
    return [
        np.linalg.norm(((profiles(columns) - mean) / scale) @ vt[:count].T / spread, axis=1)
        for columns in asked
    ]


def weights_of(distance: Array, beta: float) -> Array:
    """Return the weights of members at these distances."""
    weights: Array = np.exp(-0.5 * beta * (np.square(distance) - np.square(distance[:, :1])))
    weights /= weights.sum(1, keepdims=True)
    return weights


def scores_of(members: xr.Dataset, columns: xr.Dataset, count: int, beta: float) -> dict[str, Any]:
    """Score the nearest members with these weights: R2, and CRPS over the standard deviation of the truth."""
    weights = weights_of(members["DISTANCE"].values[:, :count], beta)
    made = {}
    for name in TENDENCIES:
        truth, values = columns[name].values.astype(float), members[name].values[:, :count].astype(float)
        error = np.square(weighted_members.mean(values, weights) - truth).mean()
        crps = weighted_members.crps(values, weights, truth).mean() / truth.std()
        made[name] = {"r2": float(1 - error / truth.var()), "crps": float(crps)}
    return made


def ensembles(
    memory: AnalogMemory, members: dict[str, xr.Dataset], usual: xr.Dataset, new: xr.Dataset
) -> dict[str, Any]:
    """Score both kinds of weights; their settings are chosen on every other usual column."""
    parts = {
        "chosen on": (members["usual"].isel(column=slice(0, None, 2)), usual.isel(column=slice(0, None, 2))),
        "usual": (members["usual"].isel(column=slice(1, None, 2)), usual.isel(column=slice(1, None, 2))),
        "new": (members["new"], new),
    }
    made: dict[str, Any] = {}
    for kind, betas in (("by distance", [f * memory.beta for f in FACTORS]), ("equal", [0.0])):
        settings = [(count, beta) for count in MEMBERS for beta in betas]
        loss = [
            np.mean([score["crps"] for score in scores_of(*parts["chosen on"], count, beta).values()])
            for count, beta in settings
        ]
        count, beta = settings[int(np.argmin(loss))]
        scores = {where: scores_of(*parts[where], count, beta) for where in ("usual", "new")}
        made[kind] = {"members": count, "factor": beta / memory.beta, **scores}
    return made


def covered(columns: xr.Dataset, low: Array, high: Array, name: str) -> dict[str, float]:
    """Return the coverage of the true values that are not zero, and the mean width of the interval."""
    truth = columns[name].values
    active = truth != 0
    inside = (truth >= low) & (truth <= high)
    return {
        "coverage": float(inside[active].mean()),
        "width": float((high - low)[active].mean() / truth.std()),
    }


def intervals(
    memories: dict[str, AnalogMemory], members: dict[str, xr.Dataset], asked: dict[str, xr.Dataset]
) -> dict[str, Any]:
    """Measure intervals by the calibration of each memory, and between the quantiles .05 and .95 of the members."""
    made: dict[str, Any] = {}
    for where, some in asked.items():
        usual = memories["held out"].usual
        made[where] = {"novel": float((members[where]["DISTANCE"][:, 0] > usual).mean())}
        answers = {label: memory.summary(members[where], some) for label, memory in memories.items()}
        for name in TENDENCIES:
            limits = {
                label: (x[f"{name}_LOW"].values, x[f"{name}_HIGH"].values) for label, x in answers.items()
            }
            values, weights = members[where][name].values, members[where]["WEIGHT"].values
            low, high = (weighted_members.quantile(values, weights, share) for share in (0.05, 0.95))
            limits["not at all"] = low, high
            made[where][name] = {label: covered(some, *limit, name) for label, limit in limits.items()}
    return made


def split(columns: xr.Dataset, seed: int) -> Array:
    """Return which columns are usual: a fifth of the times of each run, or of the rows of a map."""
    usual = np.zeros(columns.sizes["column"], bool)
    rng = np.random.default_rng(seed)
    for run in np.unique(columns["RUN"].values) if "RUN" in columns.variables else [None]:
        rows = (
            np.flatnonzero(columns["RUN"].values == run)
            if run is not None
            else np.arange(columns.sizes["column"])
        )
        clock = "XTIME" if len(np.unique(columns["XTIME"].values[rows])) >= PARTS else "south_north"
        values, number = np.unique(columns[clock].values[rows], return_inverse=True)
        usual[rows] = number * PARTS // len(values) == rng.integers(PARTS)
    return usual


def measured(columns: xr.Dataset, new: xr.Dataset, seed: int, plumes: Plumes) -> dict[str, Any]:
    """Return all scores of a held-out run and a seed."""
    drawn = split(columns, seed)
    stored, usual = (columns.isel(column=np.flatnonzero(rows)) for rows in (~drawn, drawn))
    alone = stored.drop_vars(["RUN", "XTIME", "Time", "west_east"], errors="ignore")
    asked = {"usual": usual, "new": new}
    novelty = ranges(stored, list(asked.values()), plumes)
    novelty["Mahalanobis"] = mahalanobis(stored, list(asked.values()))
    made: dict[str, Any] = {"ensembles": {}, "intervals": {}}
    for space, used in ((OURS, None), (PLUME, plumes)):
        memories = {
            label: AnalogMemory(some, seed=seed, features=used)
            for label, some in (("held out", stored), ("same run", alone))
        }
        memory = memories["held out"]
        both = memory.ensemble(xr.concat(list(asked.values()), "column"))
        count = usual.sizes["column"]
        members = {"usual": both.isel(column=slice(0, count)), "new": both.isel(column=slice(count, None))}
        distances = [some["DISTANCE"].values for some in members.values()]
        novelty[space] = [x[:, 0] for x in distances]
        novelty[space.replace("nearest column", "mean of the members")] = [x.mean(1) for x in distances]
        made["ensembles"][space] = ensembles(memory, members, usual, new)
        made["intervals"][space] = intervals(memories, members, asked)
    return {
        "stored": int(stored.sizes["column"]),
        "usual": int(usual.sizes["column"]),
        "new": int(new.sizes["column"]),
        "novelty": {name: detection(*values) for name, values in novelty.items()},
        **made,
    }


def guard(training: xr.Dataset, columns: xr.Dataset, emulator: Emulator[Any]) -> dict[str, Any]:
    """Rank the columns of each run by novelty, and count those where the emulator errs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # grid spacings that it was not trained on
        outputs = solve(Convection(columns), emulator).outputs
    mass = np.gradient(columns["P_HYD"].values.astype(float), axis=1)
    squares = np.square(outputs["RTHCUTEN"].values.astype(float) - columns["RTHCUTEN"].values)
    wrong = np.sqrt((squares * mass).sum(1) / mass.sum(1)) > float(emulator.about["usual_error"])
    plumes = Plumes(columns, emulator)
    z, y, rising = plumes.parts(columns)
    scores = {
        GUARD: outputs["NOVELTY"].values[rising].astype(float),
        RANGE: emulator.normalisation.novelty(z, y).numpy(),
        OURS: AnalogMemory(training).novelty(columns)[rising],
        PLUME: AnalogMemory(training, features=PlumeFeatures(emulator)).novelty(columns)[rising],
    }
    runs, wrong = columns["RUN"].values[rising], wrong[rising]
    made = {}
    for run in [*np.unique(runs), None]:
        member = np.ones(len(runs), bool) if run is None else runs == run
        made["all" if run is None else str(run)] = {
            "columns": int(member.sum()),
            "wrong": int((wrong & member).sum()),
            "novelty": {name: detection(x[member & ~wrong], x[member & wrong]) for name, x in scores.items()},
        }
    return made


def main() -> None:
    """Run the measurements and print them as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--held-out", type=int, nargs="+", default=[13, 15, 16])
    parser.add_argument("--training", type=Path, nargs="+", default=[])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[7, 11, 23])
    parser.add_argument("--take", type=int, default=1)
    parser.add_argument("--smoke", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    emulator = Emulator.load("mskf-convrad")
    results: dict[str, Any] = {"seeds": options.seeds, "take": options.take, "runs": {}}
    if options.json and options.json.exists() and not options.smoke:
        earlier = json.loads(options.json.read_text(encoding="utf-8"))
        results = earlier if earlier["take"] == options.take else results
    if options.smoke or not options.files:
        columns = (
            open_columns(packaged(SAMPLE), truth=packaged(TRUTH)).isel(column=slice(None, None, 5)).load()
        )
        columns = numbered(columns)
        plumes = Plumes(columns, emulator)
        east = columns["west_east"].values >= np.median(columns["west_east"].values)
        old, new = (columns.isel(column=np.flatnonzero(rows)) for rows in (~east, east))
        results["runs"]["east"] = {"7": measured(old, new, 7, plumes)}
    else:
        columns = numbered(open_columns(options.files).isel(column=slice(None, None, options.take)).load())
        plumes = Plumes(columns, emulator)
        for run in options.held_out:
            held = columns["RUN"].values == run
            old, new = (columns.isel(column=np.flatnonzero(rows)) for rows in (~held, held))
            for seed in options.seeds:
                done = results["runs"].setdefault(str(run), {})
                if str(seed) not in done:
                    done[str(seed)] = measured(old, new, seed, plumes)
                    save(results, options.json)
        if options.training and "guard" not in results:
            training = open_columns(options.training).isel(column=slice(None, None, options.take)).load()
            results["guard"] = guard(training, columns, emulator)
    print(summary(results))
    save(results, options.json)


def save(results: dict[str, Any], path: Path | None) -> None:
    """Write the results, if a file is given."""
    if path is not None:
        path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def summary(results: dict[str, Any]) -> str:
    """Return the means over the seeds as lines of text."""
    lines = []
    for run, seeds in results["runs"].items():
        rows = list(seeds.values())
        for name in rows[0]["novelty"]:
            cells = [f"{mean(rows, 'novelty', name, key):.3f}" for key in ("auroc", "detected")]
            lines.append(f"run {run} novelty {name}: AUROC {cells[0]}, detected {cells[1]}")
        for space in rows[0]["intervals"]:
            for where in ("usual", "new"):
                novel = mean(rows, "intervals", space, where, "novel")
                lines.append(f"run {run} {space}: share of novel {where} columns {novel:.3f}")
                for output in TENDENCIES:
                    kinds = [("ensembles", space, kind, where, output) for kind in ("by distance", "equal")]
                    crps, r2 = (
                        " and ".join(f"{mean(rows, *k, s):.4f}" for k in kinds) for s in ("crps", "r2")
                    )
                    cover = ", ".join(
                        f"{label} {mean(rows, 'intervals', space, where, output, label, 'coverage'):.3f}"
                        for label in ("held out", "same run", "not at all")
                    )
                    lines.append(f"  {output}, {where}: CRPS {crps}, R2 {r2}, coverage {cover}")
    for run, row in results.get("guard", {}).items():
        cells = [f"{name} {x['auroc']:.3f} {x['detected']:.3f}" for name, x in row["novelty"].items()]
        lines.append(f"run {run}: {row['wrong']} of {row['columns']} wrong; {', '.join(cells)}")
    return "\n".join(lines)


def mean(rows: list[Any], *path: str) -> float:
    """Return the mean over the rows of the value at a path of keys."""
    values = []
    for row in rows:
        for key in path:
            row = row[key]
        values.append(row)
    return float(np.mean(values))


if __name__ == "__main__":
    main()
