"""Evaluations of the truth itself and of stored tendencies, by blocks, with weights, and with invalid input."""

import json
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from sciml.columns.extract import convection_columns
from sciml.convection.emulator import Emulator
from sciml.errors import InputError, MissingVariable
from sciml.verify.emulator.accumulate import OUTPUTS, ScoreAccumulator, classify
from sciml.verify.emulator.evaluate import assess, evaluate
from sciml.wrf.opening import open_wrfout
from tests.paths import DATA, SAMPLE_OFFLINE, SAMPLE_WRFOUT, SHARED

PRETRAINED = DATA / "mskf-convrad.sciml"
pytestmark = pytest.mark.skipif(not SAMPLE_OFFLINE.exists(), reason="no sample in data/")


@pytest.fixture(scope="module")
def truth():
    return convection_columns(open_wrfout(SAMPLE_WRFOUT), SAMPLE_OFFLINE).load()


@pytest.fixture(scope="module")
def stored():
    return convection_columns(open_wrfout(SAMPLE_WRFOUT)).load()


def test_the_truth_scores_perfectly_against_itself(truth):
    result = evaluate(truth, truth).to_json()
    trigger = result["trigger"]
    assert trigger["accuracy"] == trigger["f1"] == trigger["f1_deep"] == trigger["f1_shallow"] == 1
    table = np.array(trigger["confusion"])
    assert table.sum() == result["columns"]["evaluated"] == truth.sizes["column"]
    assert (table == np.diag(np.diag(table))).all()
    for name, scores in result["outputs"].items():
        assert scores["rmse"] == scores["bias"] == 0
        if name == "RQSCUTEN":
            assert scores["r2"] is None
            assert "numerically zero" in scores["note"]
        else:
            assert scores["r2"] == scores["r2_all"] == 1
            assert scores["nmae"] == 0
    assert result["rain"]["ratio"] == 1
    assert result["rain"]["correlation"] == pytest.approx(1)
    assert result["budgets"]["water"]["truth"] == result["budgets"]["water"]["prediction"]
    assert not result["not_scored"]
    assert (
        set(OUTPUTS) >= set(result["outputs"]) >= {"RTHCUTEN", "RVCUTEN", "QI_CU", "PRATEC", "NCA", "CUTOP"}
    )


def test_all_scores_are_present_and_json_has_no_nan(truth, stored):
    text = json.dumps(evaluate(truth, stored, model="stored", data="sample").to_json(), allow_nan=False)
    result = json.loads(text)
    assert {"accuracy", "f1", "confusion", "f1_deep", "f1_shallow"} <= result["trigger"].keys()
    for scores in result["outputs"].values():
        assert {"r2", "rmse", "bias", "nmae", "r2_all", "deep", "shallow"} <= scores.keys()
    levels = result["outputs"]["RTHCUTEN"]["levels"]
    assert len(levels["r2"]) == len(levels["bias"]) == len(result["height_km"]) == truth.sizes["level"]


def test_each_score_computed_by_hand(truth, stored):
    result = evaluate(truth, stored).to_json()["outputs"]
    kind = truth["KIND"].values
    for name in ("RTHCUTEN", "RVCUTEN", "PRATEC"):
        for key, here in (("triggered", kind > 0), ("deep", kind == 2), ("shallow", kind == 1)):
            t, p = (ds[name].values[here].astype(np.float64) for ds in (truth, stored))
            scores = result[name] if key == "triggered" else result[name][key]
            assert scores["rmse"] == pytest.approx(np.sqrt(np.mean((p - t) ** 2)))
            if t.std() > 0:
                assert scores["r2"] == pytest.approx(1 - ((p - t) ** 2).sum() / ((t - t.mean()) ** 2).sum())


def test_levels_are_scored_where_both_sides_triggered(truth):
    """A missed column has no cloud base; its index, one above the top, is not a level."""
    missed = truth.copy(deep=True)
    triggered = np.flatnonzero(truth["KIND"].values > 0)[::5]
    missed["KIND"][triggered] = 0
    missed["CUBOT"][triggered], missed["CUTOP"][triggered] = truth.sizes["level"] + 1, 1
    outputs = evaluate(truth, missed).to_json()["outputs"]
    for name in ("CUTOP", "CUBOT"):
        assert outputs[name]["r2"] == outputs[name]["r2_all"] == 1
        assert outputs[name]["n"] == (truth["KIND"].values > 0).sum() - triggered.size


def test_held_columns_lower_the_scores(truth, stored):
    """As in other runs, the stored tendencies score 0.6-0.8 with held columns and 0.9-1.0 without."""
    everything = evaluate(truth, stored).to_json()["outputs"]
    good = np.isin(stored["KIND"], (0, 1, 2))
    pairs = evaluate(truth.isel(column=good), stored.isel(column=good)).to_json()
    assert pairs["trigger"]["f1"] > 0.985
    for name in ("RTHCUTEN", "RQVCUTEN", "RQCCUTEN"):
        assert 0.6 < everything[name]["r2"] < 0.9
        assert pairs["outputs"][name]["r2"] > 0.97
    assert everything["RUCUTEN"]["r2"] < 0.7 < pairs["outputs"]["RUCUTEN"]["r2"]


@pytest.mark.shared
def test_the_baseline_row_of_stored_tendencies():
    folder = SHARED / "wrf" / "train"
    output = open_wrfout(folder / "wrfout_d01_convrad_train1.nc")
    truth = convection_columns(output, folder / "mskf_offline_convrad_train1.nc").load()
    result = evaluate(truth, convection_columns(output).load()).to_json()
    # the published row for two other runs: F1 .98, deep .91; .66 .79 .74 .30 .23
    assert result["trigger"]["f1"] == pytest.approx(0.98, abs=0.02)
    assert result["trigger"]["f1_deep"] == pytest.approx(0.91, abs=0.04)
    row = {"RTHCUTEN": 0.66, "RQVCUTEN": 0.79, "RQCCUTEN": 0.74, "RQICUTEN": 0.30, "RUCUTEN": 0.23}
    for name, value in row.items():
        assert result["outputs"][name]["r2"] == pytest.approx(value, abs=0.1)


def test_held_and_unknown_columns_are_left_out(truth, stored):
    result = evaluate(stored, truth.drop_vars("KIND")).to_json()["columns"]
    kind = stored["KIND"].values
    assert result["held"] == (kind == 3).sum() > 0
    assert result["unknown"] == (kind == -1).sum() > 0
    assert result["evaluated"] == np.isin(kind, (0, 1, 2)).sum()


def test_columns_whose_truth_is_not_finite_are_left_out(truth):
    broken = truth.copy(deep=True)
    broken["RTHCUTEN"][17, 3] = np.nan
    result = evaluate(broken, truth).to_json()
    assert result["columns"]["not_finite"] == 1
    assert result["outputs"]["RTHCUTEN"]["r2"] == 1


def test_a_prediction_that_is_not_finite_is_not_hidden(truth):
    broken = truth.copy(deep=True)
    here = int(np.flatnonzero(truth["KIND"].values == 2)[0])
    broken["RTHCUTEN"][here, 3] = np.nan
    result = evaluate(truth, broken).to_json()
    assert result["columns"]["prediction_not_finite"] == 1
    assert result["outputs"]["RTHCUTEN"]["r2"] is None
    assert result["outputs"]["RQVCUTEN"]["r2"] == 1


def test_blocks_give_the_scores_of_the_whole(truth, stored):
    whole = evaluate(truth, stored, model="m", data="d").to_json()
    accumulator = ScoreAccumulator(model="m", data="d")
    for start in range(0, truth.sizes["column"], 1000):
        part = slice(start, start + 1000)
        good = accumulator.select(truth.isel(column=part))
        accumulator.add(truth.isel(column=part).isel(column=good), stored.isel(column=part).isel(column=good))
    blocks = accumulator.result().to_json()
    assert blocks["trigger"] == whole["trigger"]
    assert blocks["budgets"] == whole["budgets"]
    for name, scores in whole["outputs"].items():
        for key in ("rmse", "bias", "nmae", "n"):
            assert blocks["outputs"][name][key] == pytest.approx(scores[key], rel=1e-9)
    whole_levels, levels = (x["outputs"]["RTHCUTEN"]["levels"] for x in (whole, blocks))
    assert levels["bias"] == pytest.approx(whole_levels["bias"], rel=1e-9)


def test_weighted_scores_are_reported_in_addition(truth, stored):
    rng = np.random.default_rng(41)
    weight = xr.where(truth["KIND"] == 0, 20.0, 1.5) * rng.uniform(0.9, 1.1, truth.sizes["column"])
    drawn = truth.assign_coords(WEIGHT=weight.astype(np.float32))
    beside = evaluate(drawn, stored).to_json()
    main = evaluate(drawn, stored, weighted=True).to_json()
    assert "weighted" not in main
    for name, scores in beside["weighted"]["outputs"].items():
        assert scores["r2"] == main["outputs"][name]["r2"]
    plain = evaluate(truth, stored).to_json()
    assert plain["outputs"]["RTHCUTEN"]["r2"] == beside["outputs"]["RTHCUTEN"]["r2"]
    assert plain["trigger"]["accuracy"] != beside["weighted"]["trigger"]["accuracy"]
    assert "weighted" not in plain
    with pytest.raises(InputError, match="WEIGHT"):
        evaluate(truth, stored, weighted=True)


def test_novelty_and_probabilities_are_scored_if_given(truth):
    rng = np.random.default_rng(43)
    triggered = (truth["KIND"] > 0).values
    answer = truth.assign(
        NOVELTY=("column", rng.uniform(0, 1.25, triggered.size).astype(np.float32)),
        P_TRIGGER=("column", np.where(triggered, 0.95, 0.05)),
    )
    result = evaluate(truth, answer).to_json()
    assert result["novelty"]["fraction_above_1"] == pytest.approx(0.2, abs=0.03)
    assert result["novelty"]["looked_at"] == triggered.size
    assert result["novelty"]["inside"]["f1"] == result["novelty"]["outside"]["f1"] == 1
    assert result["novelty"]["outside"]["heating_nmae"] == 0
    assert result["trigger"]["reliability"]["P_TRIGGER"]["brier"] == pytest.approx(0.0025)
    assert evaluate(truth, truth).to_json()["novelty"] is None
    none = evaluate(truth, truth.assign(NOVELTY=("column", np.zeros(triggered.size)))).to_json()["novelty"]
    assert none["looked_at"] == 0
    assert "median" not in none


def test_scores_on_training_data_are_marked(truth):
    few = truth.isel(column=slice(1500, 1600))
    pretrained = Emulator.load(PRETRAINED)
    about = {**pretrained.about, "source": f"another.nc, {SAMPLE_WRFOUT.name}"}
    for runs, known in (([0], True), ([5], False)):
        result = assess(few, replace(pretrained, about={**about, "runs": runs}))
        assert result.to_json()["seen_in_training"] is known
        assert ("the model was trained on runs of these data" in str(result)) is known
    assert assess(few, pretrained).to_json()["seen_in_training"] is False


def test_an_evaluation_prints_as_a_table(truth, stored):
    result = evaluate(truth, stored, model="stored", data="sample")
    text = str(result)
    assert text.splitlines()[0] == "stored on sample"
    assert "RTHCUTEN" in text
    assert "K s-1" in text
    assert max(map(len, text.splitlines())) <= 110
    page = result._repr_html_()
    assert page.count("<tr") == len(result.scores["outputs"]) + 1
    assert ">RTHCUTEN</th>" in page


def test_the_table_of_columns_identifies_the_worst_column(truth, stored):
    table = evaluate(truth, stored).columns
    assert table.sizes["column"] == truth.sizes["column"]
    assert {"Time", "south_north", "west_east", "RUN"} <= set(table.coords)
    true, predicted = table["HEATING"].values
    worst = table.isel(column=int(np.abs(predicted - true).argmax()))
    assert np.abs(worst["HEATING"].sel(source="prediction") - worst["HEATING"].sel(source="truth")) > 100


def test_inputs_are_not_changed(truth, stored):
    before, beside = truth.copy(deep=True), stored.copy(deep=True)
    evaluate(truth, stored)
    xr.testing.assert_identical(truth, before)
    xr.testing.assert_identical(stored, beside)


def test_classes_from_the_available_variables(truth):
    np.testing.assert_array_equal(classify(truth.drop_vars("KIND")), truth["KIND"])
    np.testing.assert_array_equal(classify(truth[["KIND"]]), truth["KIND"])
    with pytest.raises(MissingVariable, match="NCA"):
        classify(truth[["RTHCUTEN"]].drop_vars("KIND"))


def test_bad_input_is_an_error(truth):
    with pytest.raises(InputError, match="4032 columns and the prediction 100"):
        evaluate(truth, truth.isel(column=slice(100)))
    with pytest.raises(MissingVariable, match="RHO"):
        evaluate(truth.drop_vars("RHO"), truth)
    held = truth.assign_coords(KIND=("column", np.full(truth.sizes["column"], 3, np.int8)))
    with pytest.raises(InputError, match="4032 held"):
        evaluate(held, truth)
    with pytest.raises(InputError, match="no column"):
        evaluate(truth.isel(column=[]), truth.isel(column=[]))


@pytest.mark.parametrize("name", ["Time", "south_north", "west_east", "RUN"])
def test_a_prediction_in_another_order_is_an_error(truth, name):
    order = np.random.default_rng(47).permutation(truth.sizes["column"])
    if name == "RUN":
        truth = truth.assign_coords(RUN=("column", np.arange(order.size) % 3))
    others = [place for place in ("Time", "south_north", "west_east", "RUN") if place != name]
    with pytest.raises(InputError, match=rf"{name} differs in \d+ of 4032 columns .*in the same order"):
        evaluate(truth, truth.isel(column=order).drop_vars(others))
    without = truth.isel(column=order).drop_vars([name, *others])
    assert evaluate(truth, without).to_json()["trigger"]["accuracy"] < 1, (
        "without places the order is trusted"
    )


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0])
def test_an_invalid_weight_is_an_error(truth, value):
    weight = np.linspace(1, 5, truth.sizes["column"])
    weight[17] = value
    with pytest.raises(InputError, match="WEIGHT has 1 values that are not finite or negative"):
        evaluate(truth.assign_coords(WEIGHT=("column", weight)), truth)
