"""Augmented stores: mixtures of columns of a run, their physics and labels, and what training and evaluation do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

from sciml.cli import app
from sciml.columns.open import open_columns
from sciml.convection import augmentation, training
from sciml.convection.augmentation import augment
from sciml.convection.emulator import Emulator
from sciml.convection.problem import INPUT_PROFILES, INPUT_SURFACE, Convection
from sciml.convection.synthetic_columns import Draw, draw, label, mix
from sciml.errors import InputError, MissingVariable
from sciml.progress import StageProgress
from sciml.solve import solve
from sciml.train.progress import Quiet
from sciml.verify.emulator.evaluate import assess
from tests.columns.mixed_runs import write_pairs

QUIET = StageProgress()
INPUTS = [*INPUT_PROFILES, *INPUT_SURFACE]
FAST = {"epochs": 1, "batch_size": 64, "seed": 17, "threads": 1, "device": "cpu"}


@pytest.fixture(scope="module")
def teacher() -> Emulator[Any]:
    return Emulator.load("mskf-convrad")


@pytest.fixture(scope="module")
def files(pairs: xr.Dataset, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two runs of 44 levels, at 10 and 5 km, and one of 40 levels."""
    folder = tmp_path_factory.mktemp("runs")
    parts = [pairs.isel(column=slice(k, 360, 3)) for k in range(3)]
    return [
        write_pairs(folder / "mskf_pairs_a.nc", parts[0], run=5),
        write_pairs(folder / "mskf_pairs_b.nc", parts[1], run=6, DX=5000.0),
        write_pairs(folder / "mskf_pairs_c.nc", parts[2], run=8, levels=40),
    ]


@pytest.fixture(scope="module")
def store(files: list[Path], teacher: Emulator[Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("augmented") / "more.zarr"
    augment(files, path, teacher=teacher, factor=2.0, seed=11, exclude=[6], progress=QUIET)
    return path


def synthetic(store: Path) -> xr.Dataset:
    columns = open_columns(store).load()
    return columns.isel(column=np.flatnonzero(columns["SYNTHETIC"].values == 1))


def of_run(columns: xr.Dataset, run: int) -> xr.Dataset:
    return columns.isel(column=np.flatnonzero(columns["RUN"].values == run))


def same(a: xr.Dataset, b: xr.Dataset) -> bool:
    return all(np.array_equal(a[name].values, b[name].values, equal_nan=True) for name in a.data_vars)


def test_the_store_has_the_columns_and_the_mixtures(store: Path, files: list[Path]) -> None:
    columns = open_columns(store).load()
    given = open_columns([files[0], files[2]]).load()
    original = columns.isel(column=np.flatnonzero(columns["SYNTHETIC"].values == 0))
    names = [name for name in given.data_vars if name in original]
    assert set(given.data_vars) - set(names) <= {"TIMEC_KF"}
    assert same(given[names], original)
    for name in ("KIND", "RUN", "LEVELS", "XTIME", "WEIGHT"):
        np.testing.assert_array_equal(original[name], given[name])
    made = synthetic(store)
    assert columns.attrs["sciml_schema"] == 2
    assert set(np.unique(made["RUN"])) == {5, 8}
    assert set(made["LEVELS"].values[made["RUN"].values == 8]) == {40}
    assert np.isnan(of_run(made, 8)["T_PHY"].values[:, 40:]).all()
    numbers = columns.attrs["augmentation"]
    assert numbers["original"] == 240 and numbers["drawn"] == 480
    counts = [int((made["KIND"] == kind).sum()) for kind in (0, 1, 2)]
    assert list(numbers["synthetic"].values()) == counts and min(counts[1:]) > 0


def test_no_column_of_an_excluded_run_is_there(store: Path) -> None:
    assert 6 not in open_columns(store)["RUN"].values


def test_the_labels_are_the_outputs_of_the_teacher(store: Path, teacher: Emulator[Any]) -> None:
    made = synthetic(store)
    outputs = solve(Convection(made[INPUTS].assign_attrs(made.attrs)), teacher, throw=False).outputs
    np.testing.assert_array_equal(made["KIND"], outputs["KIND"])
    labels = [name for name in made.data_vars if name not in INPUTS]
    assert {"RTHCUTEN", "RQVCUTEN", "RUCUTEN", "PRATEC", "NCA", "CUTOP"} <= set(labels)
    for name in labels:
        np.testing.assert_allclose(made[name].values, outputs[name].values, rtol=1e-5, atol=1e-12)


def hydrostatic_error(columns: xr.Dataset) -> np.ndarray[Any, Any]:
    """Relative difference of the fall of pressure between two levels and the weight of the air between them."""
    value = {name: columns[name].values.astype(np.float64) for name in ("RHO", "DZ8W", "P_HYD")}
    weight = 9.81 * value["RHO"] * value["DZ8W"]
    error: np.ndarray[Any, Any] = np.abs(
        -np.diff(value["P_HYD"], axis=1) / (0.5 * (weight[:, 1:] + weight[:, :-1])) - 1.0
    )
    return error


def test_mass_and_state_of_a_mixture(store: Path, files: list[Path]) -> None:
    made = of_run(synthetic(store), 5)
    given = hydrostatic_error(open_columns(files[0]))
    assert hydrostatic_error(made).max() <= given.max() + 2e-6
    assert np.median(hydrostatic_error(made)) < 1e-5
    # Equation of state of moist air, with the pressure of the Exner function.
    value = {name: made[name].values.astype(np.float64) for name in INPUT_PROFILES}
    pressure, q = 1e5 * value["PI_PHY"] ** 3.5, value["QVAPOR"]
    gas = value["RHO"] / (1 + q) * 287.0 * value["T_PHY"] * (1 + 461.6 / 287.0 * q)
    np.testing.assert_allclose(gas, pressure, rtol=3e-6)
    assert q.min() >= 0.0


def test_a_mixture_lies_between_its_two_columns(pairs: xr.Dataset) -> None:
    columns = pairs[INPUTS].isel(column=slice(0, 9))
    drawn = Draw(np.array([2, 4]), np.array([7, 4]), np.array([0.25, 0.0]))
    made = mix(columns, drawn, np.random.default_rng(3))
    for name in ("HFX", "P_HYD", "PBLH"):
        given = columns[name].values.astype(np.float64)
        np.testing.assert_allclose(made[name].values[0], 0.75 * given[2] + 0.25 * given[7], rtol=1e-6)
        np.testing.assert_allclose(made[name].values[1], given[4], rtol=1e-6)
    mass = columns["RHO"].values.astype(np.float64) * columns["DZ8W"].values
    there = made["RHO"].values.astype(np.float64) * made["DZ8W"].values
    np.testing.assert_allclose(there, np.stack([0.75 * mass[2] + 0.25 * mass[7], mass[4]]), rtol=1e-6)
    change = made["T_PHY"].values[1] - columns["T_PHY"].values[4]
    assert 0.01 < np.abs(change).max() < 3.0
    for name in ("U_PHY", "V_PHY"):
        assert 1.0 < np.abs(made[name].values[1] - columns[name].values[4]).max() < 30.0, name


def test_negative_vapour_by_round_off_becomes_zero(pairs: xr.Dataset) -> None:
    columns = pairs[INPUTS].isel(column=slice(0, 4)).copy(deep=True)
    columns["QVAPOR"].values[:, -1] = -3e-13
    before = columns.copy(deep=True)
    made = mix(columns, Draw(np.array([1]), np.array([3]), np.array([0.4])), np.random.default_rng(3))
    assert made["QVAPOR"].values.min() == 0.0
    assert same(columns, before)


def test_classes_are_drawn_by_their_shares() -> None:
    kind = np.repeat([0, 1, 2], [8000, 1000, 500])
    drawn = draw(kind, 20000, np.random.default_rng(5))
    counts = np.bincount(kind[drawn.first], minlength=3) / 20000
    expected = np.array([0.15 * 8000, 0.7 * 1000, 500]) / (0.15 * 8000 + 0.7 * 1000 + 500)
    np.testing.assert_allclose(counts, expected, atol=0.015)
    assert drawn.weight.min() >= 0.0
    assert drawn.weight.max() <= 0.5
    assert 0.48 < (drawn.weight == 0).mean() < 0.52


def test_the_mixtures_of_a_run_depend_on_the_seed_and_the_run_alone(
    store: Path, files: list[Path], teacher: Emulator[Any], tmp_path: Path
) -> None:
    options: dict[str, Any] = {"teacher": teacher, "factor": 2.0, "progress": QUIET}
    augment(files[::-1], tmp_path / "all.zarr", seed=11, **options)
    augment(files[0], tmp_path / "other.zarr", seed=12, **options)
    mine = of_run(synthetic(store), 5)
    again = of_run(synthetic(tmp_path / "all.zarr"), 5)
    assert mine.sizes["column"] == again.sizes["column"]
    other = synthetic(tmp_path / "other.zarr")
    assert not np.isin(other["HFX"].values, mine["HFX"].values).all()


def test_an_interrupted_call_is_resumed_with_the_same_bits(
    store: Path, files: list[Path], teacher: Emulator[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "more.zarr"
    calls: list[int] = []

    def interrupted(*arguments: Any) -> xr.Dataset:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return label(*arguments)

    options: dict[str, Any] = {
        "teacher": teacher,
        "factor": 2.0,
        "seed": 11,
        "exclude": [6],
        "progress": QUIET,
    }
    monkeypatch.setattr(augmentation, "label", interrupted)
    with pytest.raises(KeyboardInterrupt):
        augment(files, target, **options)
    assert not target.exists()
    augment(files, target, **options)
    assert len(calls) == 3  # the first of two blocks was finished
    assert same(open_columns(target).load(), open_columns(store).load())
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "more.zarr") in (
        [],
        ["more.zarr.partial"],
    )


def test_a_complete_store_is_not_made_again(
    store: Path, files: list[Path], teacher: Emulator[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"teacher": teacher, "seed": 11, "exclude": [6], "progress": QUIET}
    monkeypatch.setattr(augmentation, "label", None)
    made = augment(files, store, factor=2.0, **options)
    assert made.original == 240
    assert made.total == open_columns(store).sizes["column"]
    with pytest.raises(InputError, match=r"more.zarr exists: remove it, choose another name, or pass"):
        augment(files, store, factor=1.0, **options)


def test_small_blocks_draw_from_small_pieces(
    files: list[Path], teacher: Emulator[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(augmentation, "PIECE", 50)
    monkeypatch.setattr(augmentation, "BLOCK", 30)
    made = augment(files[0], tmp_path / "a.zarr", teacher=teacher, progress=QUIET)
    assert made.drawn == made.original == 120
    first = synthetic(tmp_path / "a.zarr")
    assert first.sizes["column"] == made.synthetic.pairs


def test_evaluation_leaves_mixtures_out_and_counts_them(store: Path, teacher: Emulator[Any]) -> None:
    columns = open_columns(store).load()
    own = of_run(columns, 5)
    scores = assess(own, teacher).to_json()
    assert scores["columns"]["evaluated"] == 120
    assert scores["columns"]["synthetic"] == own.sizes["column"] - 120
    with pytest.raises(InputError, match="no column to evaluate"):
        assess(own.isel(column=slice(120, None)), teacher)


def test_training_does_not_validate_with_mixtures(store: Path, tmp_path: Path) -> None:
    emulator = training.train(
        store,
        tmp_path / "m.sciml",
        hold_out=[8],
        fit=FAST,
        network={"kind": "bilstm", "hidden": 4, "layers": 1},
        progress=Quiet(),
    )
    made = of_run(synthetic(store), 5)
    assert 0 < emulator.about["synthetic"] <= made.sizes["column"]
    assert emulator.about["runs"] == [5]
    assert emulator.about["columns"] <= 120 + made.sizes["column"]
    assert "synthetic" in repr(emulator)


def test_columns_of_a_run_join_an_augmented_store(store: Path, files: list[Path]) -> None:
    joined = open_columns([store, files[1]])
    made = joined["SYNTHETIC"].values
    assert made.sum() == synthetic(store).sizes["column"]
    assert not made[joined["RUN"].values == 6].any()
    assert joined.attrs["sciml_schema"] == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"factor": 0.0}, r"factor=0.0\): give a positive number"),
        ({"factor": float("nan")}, "give a positive number"),
        ({"seed": -1}, "give a whole number of 0 or more"),
        ({"exclude": [99]}, r"no columns of RUN \[99\] to leave out: there are those of RUN 5"),
        ({"exclude": [5]}, "0 of 120 columns are left to mix"),
        ({"teacher": "no-such-model"}, "no-such-model"),
    ],
)
def test_errors_of_parameters(
    files: list[Path], teacher: Emulator[Any], tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        augment(files[0], tmp_path / "a.zarr", **{"teacher": teacher, "progress": QUIET, **options})
    assert not list(tmp_path.iterdir())


def test_errors_of_columns(store: Path, files: list[Path], teacher: Emulator[Any], tmp_path: Path) -> None:
    columns = open_columns(files[0]).load()
    target = tmp_path / "a.zarr"
    with pytest.raises(
        InputError, match=r"\d+ of \d+ columns are synthetic: give the store that was augmented"
    ):
        augment(store, target, teacher=teacher, progress=QUIET)
    with pytest.raises(MissingVariable, match="do not have RTHCUTEN, which training needs"):
        augment(columns.drop_vars("RTHCUTEN"), target, teacher=teacher, progress=QUIET)
    calm = columns.isel(column=np.flatnonzero(columns["KIND"].values == 0)[:3])
    with pytest.raises(InputError, match="the teacher finds no convection in 3 mixtures"):
        augment(calm, target, teacher=teacher, progress=QUIET)
    with pytest.raises(InputError, match=r"a.nc is the name of a file"):
        augment(columns, tmp_path / "a.nc", teacher=teacher, progress=QUIET)
    with pytest.raises(InputError, match="there is no folder"):
        augment(columns, tmp_path / "b" / "a.zarr", teacher=teacher, progress=QUIET)
    assert not list(tmp_path.iterdir())


def test_a_teacher_without_all_outputs_is_an_error(files: list[Path], tmp_path: Path) -> None:
    published = training.train(
        files[0], tmp_path / "p.sciml", fit=FAST, network={"kind": "published"}, progress=Quiet()
    )
    with pytest.raises(InputError, match=r"does not predict .*RUCUTEN.*: give a plume-closure emulator"):
        augment(files[0], tmp_path / "a.zarr", teacher=published, progress=QUIET)


def test_a_teacher_that_knows_the_test_run_is_named(
    files: list[Path], teacher: Emulator[Any], tmp_path: Path
) -> None:
    known = Emulator(teacher.network, teacher.normalisation, {**teacher.about, "runs": [6]}, name="all-runs")
    with pytest.warns(UserWarning, match="all-runs was trained on RUN 6, which is left out here"):
        augment(files, tmp_path / "a.zarr", teacher=known, factor=0.2, exclude=[6], progress=QUIET)


def test_the_command(files: list[Path], tmp_path: Path) -> None:
    store, numbers = tmp_path / "a.zarr", tmp_path / "n.json"
    words = ["convection", "augment", str(files[0]), "-o", str(store), "--teacher", "mskf-convrad"]
    done = CliRunner().invoke(app, [*words, "--json", str(numbers)])
    assert done.exit_code == 0, done.output
    assert "120 columns of runs and" in done.output
    content = json.loads(numbers.read_text())
    assert content["drawn"] == 120 and content["seed"] == 7
    shown = CliRunner().invoke(app, ["wrf", "info", str(store)])
    assert f"{sum(content['synthetic'].values())} of the columns are synthetic" in shown.output
