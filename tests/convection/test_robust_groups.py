"""Training of the emulator for its worst group of columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

from sciml.convection import training
from sciml.convection.emulator import Emulator
from sciml.convection.robust_groups import column_groups, robust_settings
from sciml.errors import InputError
from sciml.train import checkpoint
from sciml.train.progress import Quiet

FAST = {"epochs": 2, "batch_size": 64, "seed": 17, "threads": 1, "device": "cpu"}
SMALL = {"hidden": 6, "pooled": 8}


@pytest.fixture(scope="module")
def runs(pairs: xr.Dataset) -> xr.Dataset:
    """Four runs: one of 240 columns and three of 80."""
    some = pairs.isel(column=slice(0, 480))
    numbers = np.where(np.arange(480) % 2 == 0, 1, np.arange(480) // 2 % 3 + 2)
    return some.assign_coords(RUN=("column", numbers.astype(np.int32)))


def train(columns: Any, output: Path, **options: Any) -> Emulator[Any]:
    return training.train(columns, output, **{"fit": FAST, "network": SMALL, "progress": Quiet(), **options})


def test_shares_and_losses_of_the_runs_are_stored_and_shown(runs: xr.Dataset, tmp_path: Path) -> None:
    train(runs, tmp_path / "m.sciml", hold_out=[4], robust={"by": "run", "step": 0.5})
    made = Emulator.load(tmp_path / "m.sciml")
    known = made.about["robust"]
    assert known["by"] == "run" and known["groups"] == ["run 1", "run 2", "run 3"]
    assert sum(known["shares"]) == pytest.approx(1.0)
    size = sum(parameter.numel() for parameter in made.network.parameters())
    history = checkpoint.load(tmp_path / "m.sciml").history
    assert history is not None
    steps = history.epochs[-1].step
    assert known["bytes_up"] == steps * (4 * size + 8 * 4)  # the gradient, and four losses
    assert f"run 2: loss {known['losses'][1]:.4g}, share {known['shares'][1]:.3g}" in repr(made)
    assert history.monitor == "worst group" and history.best is not None
    last = history.epochs[-1]
    assert last.metrics["worst group"] > 0
    moved = [last.training[f"share of run {run}"] for run in (1, 2, 3)]
    worst = max((1, 2, 3), key=lambda run: known["relative_losses"][run - 1])
    assert max(moved) > 1 / 3 and known["shares"][worst - 1] > 1 / 3


def test_fixed_equal_shares_train_as_balanced_batches(runs: xr.Dataset, tmp_path: Path) -> None:
    """With a step of 0 the small runs count as much as the large one."""
    made = train(runs, tmp_path / "m.sciml", robust={"by": "run", "step": 0.0})
    assert made.about["robust"]["shares"] == [0.25] * 4
    again = train(runs, tmp_path / "n.sciml", robust={"by": "run", "step": 0.0})
    for a, b in zip(made.network.parameters(), again.network.parameters(), strict=True):
        assert torch.equal(a, b)


def test_groups_of_runs_spacings_and_seasons() -> None:
    times = np.array(["2021-12-31", "2022-01-01", "2022-07-15", "2023-05-01"], "datetime64[ns]")
    columns = xr.Dataset(
        coords={
            "RUN": ("column", [7, 3, 7, 3]),
            "DX": ("column", [3000.0, 3000.0, 9000.0, 12500.0]),
            "Time": ("column", times),
        }
    )
    for by, names, numbers in [
        ("run", ["run 3", "run 7"], [1, 0, 1, 0]),
        ("dx", ["dx 3000", "dx 9000", "dx 12500"], [0, 0, 1, 2]),
        ("season", ["season DJF", "season MAM", "season JJA"], [0, 0, 2, 1]),
    ]:
        made, group = column_groups(columns, by)
        assert made == names and group.tolist() == numbers
    late = columns.assign_coords(Time=("column", np.where(np.arange(4) == 2, np.datetime64("NaT"), times)))
    with pytest.raises(InputError, match="Time is missing in 1 of 4 columns; give columns of wrfout"):
        column_groups(late, "season")
    with pytest.raises(InputError, match="by season: Time is missing in 4 of 4"):
        column_groups(columns.drop_vars("Time"), "season")
    assert column_groups(columns.drop_vars("DX").assign_attrs(DX=5000.0), "dx")[0] == ["dx 5000"]
    with pytest.raises(InputError, match="groups by dx: the columns do not have DX"):
        column_groups(columns.drop_vars("DX"), "dx")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"robust": "dx"}, "--robust dx: all training columns are of dx 10000; give columns of two or more"),
        ({"robust": "run", "exclude": [2, 3, 4]}, "--robust run: all training columns are of run 1;"),
        ({"robust": "month"}, "robust by 'month': give run, dx, season"),
        ({"robust": {"step": 0.1}}, "robust by None: give run, dx, season"),
        ({"robust": {"by": "run", "steps": 3}}, r"\[robust\] steps: it may have by, step, strength"),
        ({"robust": "run", "balance": ["run"]}, "balance run and robust run: choose one of the two"),
        ({"robust": {"by": "run", "prior": {"run 9": 1.0}}}, "the groups are run 1, run 2, run 3, run 4"),
        ({"robust": "run", "fit": {**FAST, "batch_size": 3}}, "batch_size=3 for 4 groups"),
    ],
)
def test_impossible_groups_are_one_clear_error(
    runs: xr.Dataset, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        train(runs, tmp_path / "m.sciml", **options)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "m.sciml").exists()


def test_only_the_same_robust_training_is_resumed(runs: xr.Dataset, tmp_path: Path) -> None:
    limited = {**FAST, "time_limit_s": 1e-6}
    train(runs, tmp_path / "m.sciml", robust="run", fit=limited)
    with pytest.raises(InputError, match=r"the settings of the groups step 0\.05, .* now it is step 0\.2"):
        train(runs, tmp_path / "m.sciml", robust={"by": "run", "step": 0.2})
    with pytest.raises(InputError, match="the groups run 1, run 2, run 3, run 4, now it is not given"):
        train(runs, tmp_path / "m.sciml")


def test_settings_of_a_table() -> None:
    assert robust_settings(None) is None and robust_settings({}) is None
    made = robust_settings({"by": "dx", "messages": "topk"})
    assert made is not None and made[0] == "dx" and made[1].messages == "topk"
