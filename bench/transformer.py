"""Measure the column transformer: errors of binary scores by rank, what pretraining gains, and R2 beside `bilstm`.

    python bench/transformer.py [STORE] [--json OUT] [--work FOLDER] [--seeds 7 11 23] [--held-out RUN] [--epochs N]
    python bench/transformer.py --smoke

STORE is a columns store of several runs (`sciml wrf columns`), of which --held-out is the test; --take N takes each
N-th column of it. Without it the sample of data/ is split by west_east: its western half is trained on, its eastern
half is the test. These halves are of one run and the same hours, so that the test is easier than one on another run.
--smoke takes each fourth column, one epoch and one seed.

Scores: in each block of a trained transformer with real attention, binary attention gets the same queries and keys. Its
steps and its estimators of each rank are fitted to the real scores of the training columns, with the same optimiser and
number of steps for each rank. The error is the mean square over the test columns, relative to that of rank 0.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr

from sciml.columns.open import open_columns
from sciml.convection.emulator import Emulator
from sciml.convection.layer_network import joined_inputs
from sciml.convection.physics import sounding_of
from sciml.convection.prepared_profiles import profiles
from sciml.convection.pretraining import pretrain
from sciml.convection.problem import Convection
from sciml.convection.training import train
from sciml.nn.binary_attention import BinaryAttention
from sciml.storage.packaged import packaged
from sciml.train.progress import Quiet
from sciml.verify.emulator.evaluate import assess

SAMPLE, TRUTH = "wrfout_d01_convrad_24x24_5min.nc", "mskf_offline_convrad_24x24_5min.nc"
RANKS = (0, 1, 2, 8)
FRACTIONS = (0.01, 0.1, 1.0)
OUTPUTS = ("RTHCUTEN", "RQVCUTEN", "RUCUTEN", "PRATEC")
STEPS, BATCH, RATE = 400, 128, 1e-2  # of the fit of the estimators
SMOKE, SMOKE_FRACTIONS = 4, (0.05, 0.5, 1.0)


def split(store: Path | None, held_out: int, take: int) -> tuple[xr.Dataset, xr.Dataset]:
    """Return the columns to train on and those of the test."""
    if store is None:
        columns = open_columns(packaged(SAMPLE), truth=packaged(TRUTH)).isel(column=slice(None, None, take))
        west = columns["west_east"].values < np.median(columns["west_east"].values)
    else:
        columns = open_columns(store).isel(column=slice(None, None, take))
        west = columns["RUN"].values != held_out
    parts = (columns.isel(column=np.flatnonzero(rows)).load() for rows in (west, ~west))
    first, second = parts
    return first, second


def hidden_states(emulator: Emulator[Any], columns: xr.Dataset) -> list[torch.Tensor]:
    """Return the inputs of the attention of each block."""
    network = emulator.network
    parts: list[list[torch.Tensor]] = [[] for _ in network.blocks]
    for _, some in Convection(columns).blocks(4096):  # of equal numbers of levels
        seen = profiles(sounding_of(some), network.shape.edges)
        if seen is None:
            continue
        x, y = emulator.normalisation.standardise(seen.channels, seen.scalars)
        with torch.no_grad():
            h = network.embed(joined_inputs(x.float(), y.float())) + network.place
            for own, block in zip(parts, network.blocks, strict=True):
                own.append(block.norm(h))
                h = block(h)
    return [torch.cat(own) for own in parts]


def score_errors(
    emulator: Emulator[Any], training: xr.Dataset, test: xr.Dataset, seed: int, steps: int
) -> dict[str, Any]:
    """Fit the estimators of each rank in each block, and return the mean square error of the scores of the test."""
    before, after = hidden_states(emulator, training), hidden_states(emulator, test)
    errors: dict[int, list[float]] = {rank: [] for rank in RANKS}
    variance = []
    for number, block in enumerate(emulator.network.blocks):
        real = block.attention
        with torch.no_grad():
            exact = real.scores(after[number])
        variance.append(float(exact.square().mean()))
        for rank in RANKS:
            torch.manual_seed(seed)
            binary = BinaryAttention(real.query.in_features, real.heads, rank=rank, binary_projections=False)
            binary.query, binary.key = real.query, real.key
            binary.scores(before[number][:BATCH])
            own = [
                p
                for name, p in binary.named_parameters()
                if name.startswith(("sign_q", "sign_k", "q_", "k_"))
            ]
            optimiser = torch.optim.Adam(own, RATE)
            decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
            for _ in range(steps):
                rows = torch.randint(len(before[number]), (BATCH,))
                h = before[number][rows]
                loss = (binary.scores(h) - real.scores(h).detach()).square().mean()
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                decay.step()
            with torch.no_grad():
                errors[rank].append(float((binary.scores(after[number]) - exact).square().mean()))
    whole = {rank: sum(each) for rank, each in errors.items()}
    return {
        "mean_square_score": sum(variance),
        "error_by_rank": {str(rank): value for rank, value in whole.items()},
        "relative_to_rank_0": {str(rank): value / whole[0] for rank, value in whole.items()},
    }


def scores(emulator: Emulator[Any], columns: xr.Dataset) -> dict[str, Any]:
    """Return F1 of the trigger and R2 of some outputs in the test."""
    result = assess(columns, emulator, data="test", block=4096).to_json()
    r2 = {name: (result["outputs"].get(name) or {}).get("r2") for name in OUTPUTS}
    count = sum(weight.numel() for weight in emulator.network.parameters())
    return {"f1": result["trigger"]["f1"], **r2, "parameters": count}


def measure(options: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Train and score everything."""
    training, test = split(options.store, options.held_out, options.take)
    rows: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    for seed in options.seeds:
        fit = {"seed": seed, "epochs": options.epochs, "threads": 1, "device": "cpu"}
        start = work / f"start{seed}.sciml"
        pretrain(training, start, fit=fit, progress=Quiet())
        for fraction in SMOKE_FRACTIONS if options.smoke else FRACTIONS:
            few = max(1, round(options.epochs * min(options.most, 1 / fraction)))
            plans: dict[str, dict[str, Any]] = {
                "scratch": {"network": {"kind": "transformer"}},
                "pretrained": {"network": {"kind": "transformer"}, "pretrained": start},
            }
            if fraction == 1.0:
                plans["binary rank 0"] = {
                    "network": {"kind": "transformer", "attention": "binary", "rank": 0}
                }
                plans["binary rank 1"] = {
                    "network": {"kind": "transformer", "attention": "binary", "rank": 1}
                }
                plans["bilstm"] = {"network": {"kind": "bilstm"}}
            for name, plan in plans.items():
                path = work / f"{name.replace(' ', '_')}_{fraction:g}_{seed}.sciml"
                emulator = train(
                    training, path, fit={**fit, "epochs": few}, fraction=fraction, progress=Quiet(), **plan
                )
                row = {
                    "seed": seed,
                    "fraction": fraction,
                    "plan": name,
                    "epochs": few,
                    **scores(emulator, test),
                }
                rows.append(row)
                print(json.dumps(row), flush=True)
                if name == "scratch" and fraction == 1.0:
                    errors.append(score_errors(emulator, training, test, seed, options.steps))
                    print(json.dumps(errors[-1]), flush=True)
    return {"scores": errors, "trainings": rows, "columns": [training.sizes["column"], test.sizes["column"]]}


def main() -> None:
    """Read the options, measure, and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("store", nargs="?", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[7, 11, 23])
    parser.add_argument("--held-out", type=int, default=3)
    parser.add_argument("--take", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument(
        "--most", type=float, default=10.0, help="most epochs at a small fraction, times --epochs"
    )
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--smoke", action="store_true")
    options = parser.parse_args()
    if options.smoke:
        options.take, options.epochs, options.seeds, options.most, options.steps = SMOKE, 1, [7], 1.0, 20
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        work = options.work or Path(folder)
        work.mkdir(parents=True, exist_ok=True)
        numbers = measure(options, work)
    if options.json:
        options.json.write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
    for record in numbers["scores"]:
        print("squared score error, relative to rank 0:", record["relative_to_rank_0"])


if __name__ == "__main__":
    main()
