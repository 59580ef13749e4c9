"""Training, evaluation and the emulator on runs with different grid spacings, time steps and numbers of levels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from sciml.columns.open import open_columns
from sciml.convection import prepared_columns, training
from sciml.convection.emulator import Emulator
from sciml.convection.perturbation import Perturbed
from sciml.convection.problem import Convection
from sciml.errors import InputError
from sciml.solve import solve
from sciml.train.progress import Quiet
from sciml.train.state import resume_path
from sciml.verify.emulator.evaluate import assess, evaluate
from tests.columns.mixed_runs import write_pairs

FAST = {"epochs": 1, "batch_size": 64, "seed": 17, "threads": 1, "device": "cpu"}
SMALL = {"hidden": 6, "pooled": 8}


@pytest.fixture(scope="module")
def files(pairs: xr.Dataset, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two runs of 44 levels, at 10 and 5 km, and one of 40 levels at 3 km."""
    folder = tmp_path_factory.mktemp("runs")
    parts = [pairs.isel(column=slice(k, 360, 3)) for k in range(3)]
    return [
        write_pairs(folder / "mskf_pairs_a.nc", parts[0], run=5),
        write_pairs(folder / "mskf_pairs_b.nc", parts[1], run=6, DX=5000.0),
        write_pairs(folder / "mskf_pairs_c.nc", parts[2], run=8, levels=40, DX=3000.0, DT=15.0, STEPCU=20),
    ]


@pytest.fixture(scope="module")
def mixed(files: list[Path]) -> xr.Dataset:
    return open_columns(files).load()


def train(columns: Any, output: Path, **options: Any) -> Emulator:
    return training.train(columns, output, **{"fit": FAST, "network": SMALL, "progress": Quiet(), **options})


@pytest.fixture(scope="module")
def emulator(files: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Emulator:
    return train(files, tmp_path_factory.mktemp("model") / "m.sciml", hold_out=[6])


def same_weights(a: Emulator, b: Emulator) -> bool:
    other = b.network.state_dict()
    return all(bool((value == other[name]).all()) for name, value in a.network.state_dict().items())


def test_an_emulator_of_three_runs(emulator: Emulator, files: list[Path], tmp_path: Path) -> None:
    about = emulator.about
    assert (about["dx"], about["dt"], about["cudt"]) == ([3000, 10000], [15, 50], [5, 5])
    assert (about["runs"], about["held_out"], about["balance"]) == ([5, 8], [6], [])
    assert 0 < about["usual_error"] < 1e-2
    again = train(open_columns(list(reversed(files))), tmp_path / "m.sciml", hold_out=[6])
    assert again.about["columns"] == about["columns"]


def test_the_outputs_of_each_run_are_its_own(
    emulator: Emulator, mixed: xr.Dataset, files: list[Path]
) -> None:
    outputs = solve(Convection(mixed), emulator).outputs
    first = 0
    for file in files:
        alone = solve(Convection(open_columns(file)), emulator).outputs
        levels, rows = alone.sizes["level"], slice(first, first := first + alone.sizes["column"])
        for name in alone.data_vars:
            mine = outputs[name].isel(column=rows).values
            if mine.ndim > 1:
                assert np.isnan(mine[:, levels:]).all()
                mine = mine[:, :levels]
            np.testing.assert_allclose(mine, alone[name].values, rtol=1e-5, atol=1e-12)
    assert (outputs["KIND"] > 0).any()


def test_runs_of_too_few_levels_are_named(files: list[Path], pairs: xr.Dataset, tmp_path: Path) -> None:
    some = pairs.isel(column=slice(0, 50))
    low = [write_pairs(tmp_path / f"mskf_pairs_{run}.nc", some, run=run, levels=run) for run in (14, 19, 20)]
    with pytest.raises(
        InputError, match="columns of RUN 14, 19 have 14 levels, and the network needs 20 or more: give a run"
    ):
        train([*files, *low], tmp_path / "m.sciml", exclude=[6])
    with pytest.raises(InputError, match="columns of RUN 14, 19 have 14 levels"):
        train([*files, *low], tmp_path / "m.sciml", network={"kind": "bilstm"})
    assert not list(tmp_path.glob("*.sciml"))


def test_training_depends_on_the_settings_of_each_column(mixed: xr.Dataset, tmp_path: Path) -> None:
    output = tmp_path / "m.sciml"
    train(mixed, output, fit={**FAST, "time_limit_s": 1e-6})
    assert resume_path(output).exists()
    spacing = mixed["DX"].values.copy()
    spacing[mixed["RUN"].values == 6] = 6000.0  # between those of the other runs
    with pytest.raises(InputError, match=r"columns of digest \w+, now it is \w+"):
        train(mixed.assign_coords(DX=("column", spacing)), output)
    with pytest.raises(InputError, match="was begun with the balance not given, now it is run, class"):
        train(mixed, output, balance=["class", "run"])
    assert same_weights(train(mixed, output), train(mixed, tmp_path / "n.sciml"))


def test_columns_on_disk_are_trained_on_alike(
    mixed: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepared_columns, "MEMORY", 1)
    for name in ("m", "n"):
        train(mixed, tmp_path / f"{name}.sciml", hold_out=[8], balance=["run"])
    assert same_weights(Emulator.load(tmp_path / "m.sciml"), Emulator.load(tmp_path / "n.sciml"))


def test_a_balanced_training(mixed: xr.Dataset, emulator: Emulator, tmp_path: Path) -> None:
    balanced = train(mixed, tmp_path / "m.sciml", hold_out=[6], balance=["run", "class"])
    assert balanced.about["balance"] == ["run", "class"]
    assert not same_weights(balanced, emulator)
    again = train(mixed, tmp_path / "n.sciml", hold_out=[6], balance=["class", "run"])
    assert same_weights(balanced, again)
    with pytest.raises(InputError, match="give a list of run, class"):
        train(mixed, tmp_path / "o.sciml", balance=["month"])
    assert not (tmp_path / "o.sciml").exists()


def test_groups_have_the_scores_of_their_columns(emulator: Emulator, mixed: xr.Dataset) -> None:
    result = assess(mixed, emulator, by=[("run", "dx"), ("class",), ("levels", "class")], block=100).to_json()
    runs, classes, both = result["groups"]
    assert [(row["run"], row["dx"]) for row in runs["rows"]] == [(5, 10000), (6, 5000), (8, 3000)]
    for row in runs["rows"]:
        part = mixed.isel(column=np.flatnonzero(mixed["RUN"].values == row["run"]))
        alone = assess(part, emulator).to_json()
        assert row["columns"] == alone["columns"]["evaluated"] == 120
        for name in ("f1", "f1_shallow", "f1_deep"):
            assert row[name] == alone["trigger"][name]
        for name, value in row["r2"].items():
            assert value == (None if value is None else pytest.approx(alone["outputs"][name]["r2"], rel=1e-6))
        assert row["rain_ratio"] == pytest.approx(alone["rain"]["ratio"], rel=1e-6)
        assert row["novel"] == pytest.approx(alone["novelty"]["fraction_above_1"])
        assert -1 <= row["novelty_rank"] <= 1
        assert 0 <= row["novelty_usual"] <= 1
    assert [row["class"] for row in classes["rows"]] == ["none", "shallow", "deep"]
    none, shallow, deep = classes["rows"]
    assert (none["f1"], none["f1_deep"], shallow["f1_deep"], deep["f1"]) == (None, None, None, None)
    assert deep["f1_deep"] == result["trigger"]["f1_deep"]
    assert shallow["f1_shallow"] == result["trigger"]["f1_shallow"]
    assert deep["r2"]["RTHCUTEN"] == pytest.approx(result["outputs"]["RTHCUTEN"]["deep"]["r2"])
    assert sum(row["columns"] for row in both["rows"]) == mixed.sizes["column"]
    assert "novelty_rank" in result["definitions"]


def test_novelty_is_ranked_by_the_error(emulator: Emulator, mixed: xr.Dataset) -> None:
    """With the error itself as novelty, the rank correlation is 1; without the model, there is no usual error."""
    outputs = solve(Convection(mixed), emulator).outputs
    table = evaluate(mixed, outputs).columns
    error = table["HEATING_ERROR"].values
    mass = mixed["RHO"] * mixed["DZ8W"]
    square = mass * (outputs["RTHCUTEN"] - mixed["RTHCUTEN"]) ** 2
    np.testing.assert_allclose(error, np.sqrt(square.sum("level") / mass.sum("level")), rtol=1e-4, atol=1e-12)
    assert set(np.unique(table["DX"])) == {3000, 5000, 10000}

    class Oracle:
        def __init__(self) -> None:
            self.about = {"usual_error": float(np.quantile(error[error > 0], 0.5))}

        def init(self, problem: Convection) -> Emulator:
            return emulator

        def run(self, problem: Convection, state: Emulator) -> Any:
            solution = solve(problem, state)
            mine = evaluate(problem.columns, solution.outputs).columns["HEATING_ERROR"].values
            solution.outputs["NOVELTY"] = "column", mine / self.about["usual_error"]
            return solution

    (row,) = assess(mixed, Oracle(), by=[("cudt",)]).to_json()["groups"][0]["rows"]
    assert row["novelty_rank"] == pytest.approx(1)
    assert row["novelty_usual"] == 0
    assert row["novel"] == pytest.approx(0.5, abs=0.04)


def test_scores_of_a_mixture_ignore_what_is_not_there(mixed: xr.Dataset) -> None:
    result = evaluate(mixed, mixed)
    scores = result.to_json()
    assert scores["columns"]["not_finite"] == scores["columns"]["prediction_not_finite"] == 0
    assert scores["outputs"]["RTHCUTEN"]["r2"] == scores["outputs"]["RTHCUTEN"]["r2_all"] == 1
    inside = np.isfinite(mixed["RTHCUTEN"].values)
    kind = mixed["KIND"].values
    assert scores["outputs"]["RTHCUTEN"]["n"] == inside[kind > 0].sum()
    heated = evaluate(mixed, mixed.assign(RTHCUTEN=mixed["RTHCUTEN"] + 1e-4)).to_json()["outputs"]["RTHCUTEN"]
    true = mixed["RTHCUTEN"].values[kind > 0].astype(np.float64)
    true = true[np.isfinite(true)]
    assert heated["r2"] == pytest.approx(1 - 1e-8 * true.size / ((true - true.mean()) ** 2).sum(), rel=1e-3)
    assert heated["bias"] == pytest.approx(1e-4, rel=1e-4)
    assert scores["budgets"]["negative_vapour_dt"] == [15, 50]
    assert np.isfinite(result.profiles["height"]).all()
    broken = mixed.copy(deep=True)
    broken["RTHCUTEN"].values[np.flatnonzero(mixed["LEVELS"].values == 40)[7], 39] = np.nan
    assert evaluate(mixed, broken).to_json()["columns"]["prediction_not_finite"] == 1


def test_the_class_of_a_column_depends_on_its_own_cudt(mixed: xr.Dataset) -> None:
    """Without KIND: a hold time of 300 s is that of a shallow column where CUDT is 5 min, else of a deep one."""
    half = np.where(np.arange(mixed.sizes["column"]) % 2, 5.0, 8.0)
    bare = mixed.drop_vars("KIND").assign_coords(CUDT=("column", half))
    result = evaluate(mixed, bare).to_json()["trigger"]["confusion"]
    shallow = mixed["KIND"].values == 1
    assert result[1] == [0, int((shallow & (half == 5)).sum()), int((shallow & (half == 8)).sum())]


def test_what_takes_only_one_run(mixed: xr.Dataset, emulator: Emulator, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="columns are of different runs"):
        Perturbed.of(emulator, mixed)
    published = {"kind": "published"}
    with pytest.raises(InputError, match="have 40 to 44 levels, the published network takes one number"):
        training.train(mixed, tmp_path / "p.sciml", network=published, fit=FAST, progress=Quiet())


def test_settings_outside_the_training_are_named_once(emulator: Emulator, mixed: xr.Dataset) -> None:
    far = mixed.assign_coords(DX=("column", np.where(mixed["RUN"].values == 8, 1000.0, 9000.0)))
    with pytest.warns(
        UserWarning, match="DX is 1000 to 9000, the emulator was trained with 3000 to 10000"
    ) as caught:
        assess(far, emulator, block=100)
    assert len([warning for warning in caught if "DX is" in str(warning.message)]) == 1
