"""The benchmarks refer to tests and files that exist; their tables and interpolations on small data."""

from __future__ import annotations

import ast
import importlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

from sciml.columns.open import open_columns
from sciml.convection.emulator import Emulator, sounding_of
from sciml.convection.feature_scaling import FeatureScaling
from sciml.convection.layer_targets import fitted_edges
from sciml.convection.prepared_profiles import profiles
from sciml.convection.transformer import ColumnTransformer
from sciml.convection.transformer_shape import TransformerShape
from tests.paths import REPO, SAMPLE_OFFLINE, SAMPLE_WRFOUT


def test_the_faults_benchmark_names_tests_that_exist() -> None:
    text = (REPO / "bench" / "faults.py").read_text(encoding="utf-8")
    named = {
        node.value
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "::" in node.value
    }
    named = {name for name in named if name.startswith("tests/")}
    assert named
    missing = []
    for name in sorted(named):
        path, test = name.split("::")
        definition = (REPO / path).exists() and re.search(
            rf"^def {test}\(", (REPO / path).read_text(encoding="utf-8"), flags=re.MULTILINE
        )
        if not definition:
            missing.append(name)
    assert missing == []


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Import a module of bench/ or .ci/."""
    monkeypatch.syspath_prepend(str(REPO / "bench"))
    monkeypatch.syspath_prepend(str(REPO / ".ci"))
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(
            (str(REPO / "bench"), str(REPO / ".ci"))
        ):
            del sys.modules[name]


def test_every_recorded_benchmark_has_its_files(load: Any) -> None:
    results: ModuleType = load("results")
    known = results.benches(Path("shared"))
    assert {"accuracy", "regimes", "climate"} <= set(known)
    for bench in known.values():
        for words in bench.commands:
            if words[0].startswith(("bench/", "workflows/")):
                assert (REPO / words[0]).exists(), words[0]


@pytest.fixture(scope="module")
def columns() -> xr.Dataset:
    import sciml

    opened = sciml.open_columns(SAMPLE_WRFOUT, truth=SAMPLE_OFFLINE)
    return opened.isel(column=slice(3, None, 23)).load()


@pytest.mark.parametrize("levels", [20, 44, 45, 97])
def test_other_levels_conserve_sums_over_mass(load: Any, columns: xr.Dataset, levels: int) -> None:
    mixed = columns.assign_coords(LEVELS=("column", np.full(columns.sizes["column"], 44, np.int32)))
    there = load("column_levels").on_levels(mixed, levels)
    assert "LEVELS" not in there.variables
    assert there.sizes["level"] == levels
    for name in ("QVAPOR", "U_PHY", "RTHCUTEN", "RQVCUTEN", "CLDFRA_DP"):
        sums = [
            (ds[name] * ds["RHO"] * ds["DZ8W"]).astype(np.float64).sum("level") for ds in (columns, there)
        ]
        scale = float((abs(columns[name]) * columns["RHO"] * columns["DZ8W"]).sum("level").max())
        np.testing.assert_allclose(sums[1], sums[0], rtol=3e-5, atol=1e-6 * scale, err_msg=name)
    assert float(there["QVAPOR"].min()) >= 0
    np.testing.assert_array_equal(there["PRATEC"], columns["PRATEC"])
    np.testing.assert_array_equal(there["KIND"], columns["KIND"])
    assert "CUTOP" not in there


def test_other_levels_reproduce_a_profile_linear_in_mass(load: Any, columns: xr.Dataset) -> None:
    on_levels = load("column_levels").on_levels

    def middle(ds: xr.Dataset) -> xr.DataArray:
        mass = (ds["RHO"] * ds["DZ8W"]).astype(np.float64)
        return mass.cumsum("level") - mass / 2

    given = columns.assign(V_PHY=(3.0 - 2e-3 * middle(columns)).transpose("column", "level"))
    there = on_levels(given, 61)
    np.testing.assert_allclose(there["V_PHY"], 3.0 - 2e-3 * middle(there), atol=2e-3)


def test_goals_of_many_regimes(load: Any) -> None:
    table: ModuleType = load("regimes_table")
    good = dict.fromkeys(table.GOALS, 1.0) | {"rain_ratio": 1.01, "novel": 0.02}
    good |= {"deep RTHCUTEN": 0.99, "deep RQVCUTEN": 0.96, "novelty_rank": 0.6, "novelty_usual": 0.01}
    tests = ("run 14", "run 3", "run 92", "sample", "terrain", "run 15 at 44 levels", "run 15 at 30 levels")
    rows = {f"mskf-regimes, seed {seed}: {test}": dict(good) for seed in (7, 11) for test in tests}
    rows |= {f"mskf-convrad: {test}": good for test in tests}
    assert all(goal.reached for goal in table.goals(rows, [3, 14, 92]))

    worse = {
        "run 14": {"RUCUTEN": 0.94},
        "run 3": {"RQICUTEN": 0.996},
        "run 92": {"rain_ratio": 0.97},
        "run 15 at 30 levels": {"PRATEC": 0.975},
    }
    for test, change in worse.items():
        rows[f"mskf-regimes, seed 11: {test}"] = good | change
    missed = {goal.what: goal.worst for goal in table.goals(rows, [3, 14, 92]) if not goal.reached}
    assert set(missed) == {
        "R2 of RUCUTEN, held-out runs",
        "R2 minus that of mskf-convrad, run 3 and sample",
        "rain, relative difference, equilibrium",
        "change of R2 by other levels",
    }
    assert missed["R2 of RUCUTEN, held-out runs"] == (0.94, "run 14, seed 11")
    assert missed["change of R2 by other levels"].value == pytest.approx(0.025)
    text = table.texts({"rows": rows, "held_out": [3, 14, 92]})
    assert "| R2 of RUCUTEN, held-out runs | >= 0.95 | 0.9400 | run 14, seed 11 | **missed** |" in text
    assert "0.970 (0.940)" in text  # mean and worst of the seeds


def climate(members: int, rain: float) -> tuple[xr.Dataset, xr.Dataset]:
    """A run of the scheme by day, and the same run as a history with four records a day and other rain."""
    pressure, mass = np.linspace(1e5, 1.2e4, 30), np.full(30, 300.0)
    t = 300 * (pressure / 1e5) ** 0.19 + 0.1 * np.arange(members)[:, None]
    q = 0.016 * (pressure / 1e5) ** 3 + 0 * t
    levels = {"PRESSURE": ("level", pressure), "MASS": ("level", mass)}

    def over(count: int, name: str, cooling: float) -> dict[str, Any]:
        state = {
            "T": np.broadcast_to(t - cooling, (count, *t.shape)),
            "QVAPOR": np.broadcast_to(q, (count, *q.shape)),
        }
        return {key: ((name, "member", "level"), values) for key, values in state.items()}

    calls = {"EVALUATED": 20.0, "SHALLOW": 8.0, "DEEP": 1.0}

    def full(count: int, name: str, values: dict[str, float]) -> dict[str, Any]:
        return {key: ((name, "member"), np.full((count, members), value)) for key, value in values.items()}

    daily = xr.Dataset(
        {**over(30, "day", 10.0), **full(30, "day", {"RAIN_CU": 4.0, "CAPE": 0.0, **calls}),
         "T_START": (("member", "level"), t)},
        coords={"day": np.arange(1, 31), **levels},
    ).expand_dims(convection=["scheme"])  # fmt: skip
    history = xr.Dataset(
        {**over(121, "time", 10.0), **full(121, "time", {"RAIN_CU": rain / 4, **calls})},
        coords={"time": np.arange(121) / 4, **levels},
    )
    history["T"] = history["T"].copy()
    history["T"][0] += 10.0
    return daily, history


def test_the_climate_of_a_run_is_compared_with_that_of_the_scheme(load: Any) -> None:
    bench: ModuleType = load("radiative_convective")
    daily, history = climate(5, rain=4.1)
    rows = bench.compare(bench.of_scheme(daily), bench.of_history(history))
    assert rows["convective rain"]["difference"] == pytest.approx(0.1)
    assert rows["convective rain"]["reached"] is False  # 2.5 %
    assert rows["shallow calls"]["emulator"] == pytest.approx(40.0)
    assert rows["shallow calls"]["reached"] is True
    assert rows["column vapour"]["difference"] == pytest.approx(0.0, abs=1e-9)
    assert rows["drift of T at 189 hPa"]["emulator"] == pytest.approx(-10.0)
    assert "+0.100 (0.000) | 2 %: **missed** |" in bench.table(rows)
    with pytest.raises(SystemExit, match="ends on day 25"):
        bench.of_history(history.sel(time=slice(0, 25)))


@pytest.mark.slow
def test_regimes_on_the_sample(tmp_path: Path, load: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "regimes.json"
    bench = load("regimes")
    monkeypatch.setattr(bench, "SMOKE", 30)
    monkeypatch.setattr("sys.argv", ["bench", "--smoke", "--work", str(tmp_path / "work"), "--out", str(out)])
    bench.main()
    numbers = json.loads(out.read_text(encoding="utf-8"))
    assert numbers["rows"]["mskf-convrad: sample"]["f1"] == pytest.approx(1.0, abs=1e-3)
    assert "mskf-regimes, seed 7: sample at 80 levels" in numbers["rows"]


def test_the_table_of_the_pure_networks(load: Any) -> None:
    bench: ModuleType = load("pure_networks")
    row = {"RTHCUTEN": 0.9614, "f1_deep": 0.98, "water": 3e-7, "momentum": None}
    rows = {
        "bilstm, seed 7": row,
        "bilstm, seed 11": {**row, "RTHCUTEN": 0.9414, "water": 5e-7},
        "published, seed 7": {"RTHCUTEN": 0.5, "f1_deep": 0.7, "negative": 12},
    }
    lines = bench.table({"rows": rows, "test": "run 3"}).splitlines()
    assert lines[0] == "| run 3 | goal | bilstm | published |"
    assert "| R2 RTHCUTEN | 0.95 | 0.951 (0.941) | 0.500 |" in lines
    assert "| water, 99th percentile |  | 4e-07 (5e-07) | - |" in lines
    assert "| columns with negative vapour |  | - | 12 |" in lines
    assert set(bench.GOALS) <= set(bench.ROWS)


@pytest.mark.slow
def test_the_pure_networks_on_the_sample(
    tmp_path: Path, load: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "numbers.json"
    bench = load("pure_networks")
    monkeypatch.setattr("sys.argv", ["bench", "--smoke", "--work", str(tmp_path / "work"), "--out", str(out)])
    bench.main()
    numbers = json.loads(out.read_text(encoding="utf-8"))
    assert set(numbers["rows"]) == {"bilstm, seed 7", "published, seed 7"}
    assert numbers["rows"]["bilstm, seed 7"]["water"] < 1e-6
    assert "| sample | goal | bilstm | published |" in capsys.readouterr().out


@pytest.mark.slow
def test_a_declared_scheme_is_trained_with_several_seeds(
    tmp_path: Path, load: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "scores.json"
    bench = load("declared_scheme")
    monkeypatch.setattr("sys.argv", ["bench", "--smoke", "--work", str(tmp_path), "--json", str(out)])
    bench.main()
    scores = json.loads(out.read_text(encoding="utf-8"))
    assert set(scores) == {"7", "11"} and set(scores["7"]) == {"20", "34"}
    rain = [scores[seed]["34"]["r2"]["rain"] for seed in ("7", "11")]
    assert rain[0] != rain[1]
    shown = capsys.readouterr().out
    assert f"{sum(rain) / 2:.4f} ({min(rain):.4f})" in shown
    assert "largest residual of a closure: " in shown


def test_the_linear_response_is_compared_with_that_of_the_scheme(load: Any) -> None:
    compare = load("linear_response").compare
    scheme = np.diag([-2.0, 0.5, -1.0, -4.0])
    matrices = xr.Dataset(
        {
            "MATRIX_TRUE": (("ensemble", "row", "state"), np.stack([scheme, 9 * scheme])),
            "COLUMNS": ("ensemble", [50, 70]),
            "MEAN_RAIN_TRUE": ("ensemble", [3.0, 4.0]),
        }
    )
    response = {"columns": 50, "matrix": (1.1 * scheme).tolist(), "mean_rain": 3.5}
    result = compare(matrices, response)
    assert result["difference"] == pytest.approx(0.1)
    assert result["blocks"]["dq/dq"] == pytest.approx(0.1)
    assert np.isnan(result["blocks"]["dT/dq"])
    assert result["growth of the emulator"] == pytest.approx(0.55)
    assert (result["growth of the scheme"], result["rain of the scheme"]) == (0.5, 3.0)
    with pytest.raises(SystemExit, match="of 60 soundings"):
        compare(matrices, {**response, "columns": 60})


def test_derivatives_of_single_soundings(load: Any) -> None:
    """Of a linear function they are its matrix; perturbations that are too small are left out."""
    bench = load("linear_response")
    rng = np.random.default_rng(29)
    matrix = rng.normal(size=(4, 4))
    rows = [(0, 0, 0, 0.0)] + [
        (n, f, s, s * (0.2 if f == 1 else 2e-4)) for n in (1, 2) for f in (1, 2) for s in (1, -1)
    ]
    made = object.__new__(bench.Soundings)
    made.level, made.field, made.sign, made.step = map(np.array, zip(*rows, strict=True))
    made.sounding, made.levels = np.full(9, 7), 2
    state = np.zeros((9, 4))
    for k, (level, field, _, step) in enumerate(rows[1:], 1):
        state[k, 2 * (field - 1) + level - 1] = step * (1000.0 if field == 2 else 1.0)
    for sign in (0, 1, -1):
        np.testing.assert_allclose(made.derivatives(state @ matrix.T, 7, sign), matrix)
    made.step = np.where((made.level == 2) & (made.field == 2), 1e-9 * made.sign, made.step)
    assert np.isnan(made.derivatives(state @ matrix.T, 7)).any(0).tolist() == [False, False, False, True]
    low, middle = bench.medians(np.outer([1.0, 2.0, 9.0], np.ones(5)))["dT/dq"][1::-1]
    assert (low, middle) == (1.0, 2.0)


def test_the_networks_of_the_parametrized_benchmark(load: Any) -> None:
    bench = load("parametrized")
    named = bench.networks()
    assert named["BiPer, 1 stage"]["real_fraction"] == 0.0
    assert named["plain sign, 2 stages"]["real_fraction"] == 0.5
    for terms in (2, 4):
        wanted, plain = bench.parameters(bench.SIZES, terms), named[f"plain, size of hypercomplex {terms}"]
        assert wanted <= bench.parameters(plain) < 1.06 * wanted < bench.parameters(bench.SIZES)
    rows = [dict.fromkeys(bench.SHOWN, 0.25 * seed) for seed in (1, 2, 3)]
    record = {"full": {"seeds": [{**row, "parameters": 4321, "learning_rate": 0.01} for row in rows]}}
    assert "full     4,321       0.01  0.500 (0.250 to 0.750)" in bench.table(record)


def test_a_ranked_training_takes_the_best_rate_for_all_seeds(load: Any, tmp_path: Path) -> None:
    ranked = load("ranked")
    trained = []

    class Known(ranked.Trainings):
        def row(self, name: str, network: Any, rate: float, seed: int, **more: Any) -> dict[str, Any]:
            trained.append((rate, seed, more["pretrained"]))
            return {"validation": abs(rate - 0.02), "learning_rate": rate, "seed": seed, "RTHCUTEN": 0.5}

    trainings = Known(xr.Dataset({"RUN": ("column", [1, 2, 2, 3])}), tmp_path, [2], [3], {})
    starts = {seed: tmp_path / f"{seed}" for seed in (7, 11)}
    made = trainings.ranked("full", {}, (0.01, 0.02), (7, 11), starts=starts)
    assert trained == [(0.01, 7, starts[7]), (0.02, 7, starts[7]), (0.02, 11, starts[11])]
    assert [row["seed"] for row in made["seeds"]] == [7, 11]
    assert {row["learning_rate"] for row in made["seeds"]} == {0.02}
    assert trainings.of_runs([2]).sizes["column"] == 2
    assert trainings.path("a, b", 0.01, 7).name == "a__b_0.01_7.sciml"


def test_the_errors_of_binary_scores_by_form_and_rank(load: Any) -> None:
    scores = load("binary_scores")
    torch.manual_seed(47)
    columns = open_columns(SAMPLE_WRFOUT, truth=SAMPLE_OFFLINE).isel(column=slice(None, None, 120)).load()
    shape = TransformerShape(hidden=8, heads=2, layers=1, width=8, pooled=8, edges=fitted_edges(columns))
    network = ColumnTransformer(shape).eval()
    seen = profiles(sounding_of(columns), shape.edges)
    assert seen is not None
    scaling = FeatureScaling.of(seen.channels, seen.scalars)
    made = scores.score_errors(Emulator(network, scaling, {}), columns, columns)["relative_to_rank_0"]
    assert made["shared"]["0"] == pytest.approx(1) == made["heads"]["0"]
    assert made["shared"]["0"] > made["shared"]["1"] > made["shared"]["any"] > made["heads"]["1"]
    assert made["heads, without signs"]["1"] > made["heads"]["1"] > made["heads"]["2"]
    assert made["heads"]["8"] == pytest.approx(0, abs=1e-6)


def test_the_tables_of_precisions(load: Any) -> None:
    page: ModuleType = load("compress_page")
    sizes = {"checkpoint": 8000, "weights_file": 8400, "resident": 64000.0}
    times = {"us": {"network": 40.0, "all": 50.0, "deep": 60.0}, "speed-up": {"network": 1.0, "all": 1.0}}
    fast = {"us": {"network": 16.0, "all": 25.0}, "speed-up": {"network": 2.5, "all": 2.0}}
    forms = {
        "float32": {**sizes, **times, "r2": {"RTHCUTEN": 0.9, "PRATEC": 0.8, "F1": 0.5}},
        "int8": {**sizes, **fast, "checkpoint": 2000, "r2": {"RTHCUTEN": 0.8, "PRATEC": 0.7, "F1": 0.5}},
        "torch": {**times, "peer": True},
    }
    assert page.mean_loss(forms["int8"]) == pytest.approx(0.25)
    lines = page.table("small", {"class": "published", "parameters": 2000, "forms": forms})
    eight = next(line for line in lines if line.startswith("int8"))
    assert eight.split() == "int8 16.00 2.50 25.00 2.00 - - - - 2,000 4.00 8,400 1.00 64,000 0.25".split()
    assert next(line for line in lines if line.startswith("PRATEC")).split() == [
        "PRATEC",
        "0.80000",
        "0.70000",
    ]
    drawn = page.figure(
        {"small": {"forms": forms}, "other": {"forms": {"int8": {**forms["int8"], "r2": None}}}}
    )
    left, right = drawn.axes
    # The line of the best forms, then a marker for each form, of each network.
    fronts = [line.get_xydata().tolist() for line in left.lines if line.get_linestyle() == "-"]
    assert fronts[0] == [[25.0, 8400.0]]
    assert [[25.0, pytest.approx(0.25)], [50.0, pytest.approx(0.15)]] in [
        line.get_xydata().tolist() for line in right.lines
    ]


@pytest.mark.slow
def test_precisions_on_the_sample(
    tmp_path: Path, load: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "numbers.json"
    bench = load("compress")
    monkeypatch.setattr(
        "sys.argv", ["bench", "--smoke", "--json", str(out), "--figure", str(tmp_path / "a.png")]
    )
    bench.main()
    numbers = json.loads(out.read_text(encoding="utf-8"))["emulators"]
    assert set(numbers) == {"mskf-convrad", "bilstm, untrained", "published, untrained"}
    sizes = [
        numbers["published, untrained"]["forms"][form]["checkpoint"] for form in ("float32", "int8", "int4")
    ]
    assert sizes[0] > 3.9 * sizes[1] > 7 * sizes[2]
    assert numbers["mskf-convrad"]["forms"]["int8"]["r2"]["RTHCUTEN"] > 0.999
    assert "onnxruntime quantize_dynamic" in capsys.readouterr().out
    assert (tmp_path / "a.png").stat().st_size > 10_000
