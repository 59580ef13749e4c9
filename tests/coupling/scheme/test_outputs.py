"""Outputs of the entry of the scheme in every mode; the outputs of the model's scheme are known exactly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sciml
from sciml.coupling.fortran_emulator import FortranEmulator
from sciml.coupling.library import Library
from sciml.verify.library.mode_statistics import read_statistics
from tests.coupling.caller import PROFILES
from tests.coupling.host import Host
from tests.coupling.scheme.conftest import EMULATED, NI, NJ, NK

pytestmark = [pytest.mark.native, pytest.mark.xdist_group("packaged")]


@pytest.mark.parametrize("mode", ["original", "capture", "shadow"])
def test_outputs_of_the_model_do_not_change(run: Any, alone: Any, mode: str) -> None:
    done = run(f"mode = '{mode}'\n capture_none = 1, capture_shallow = 1, capture_deep = 1")
    assert done.same(alone)
    assert done.statuses == [(0, "")]
    assert done.own_calls == [[0, NI, 0, NJ]]


def test_without_a_namelist_the_scheme_of_the_model_runs(run: Any, alone: Any) -> None:
    done = run(None)
    assert done.same(alone)
    assert "sciml_mskf.nml" in done.log and "own scheme" in done.log


def test_emulate_is_the_emulator(
    run: Any, fields: Any, library: Library, weights: Path, columns: Any
) -> None:
    """Outputs of evaluated columns equal those of the library for the same state; held columns do not change."""
    done = run("mode = 'emulate'", own=False)
    assert done.statuses == [(0, "")]
    after, held = done.fields, fields["nca"] >= 25
    state = columns.copy(deep=True)
    state["W0AVG"].values[:] = after["w0avg"][:, :NK].transpose(0, 2, 1).reshape(-1, NK)
    emulated = sciml.solve(sciml.Convection(state), FortranEmulator(library.path, weights)).outputs
    for name, theirs in EMULATED.items():
        values = after[name]
        if values.ndim == 3:
            ours = emulated[theirs].values.reshape(NJ, NI, NK).transpose(0, 2, 1)
            np.testing.assert_array_equal(values[:, NK], fields[name][:, NK])
            values, before, keep = values[:, :NK], fields[name][:, :NK], held[:, None]
        else:
            ours, before, keep = emulated[theirs].values.reshape(NJ, NI), fields[name], held
        np.testing.assert_array_equal(values, np.where(keep, before, ours), err_msg=name)
    kind = emulated["KIND"].values.reshape(NJ, NI)
    nca = emulated["NCA"].values.reshape(NJ, NI)
    np.testing.assert_array_equal(after["nca"], np.where(held | (kind == 0), fields["nca"], nca))
    np.testing.assert_array_equal(
        after["raincv"], np.where(held, fields["raincv"], np.float32(50) * after["pratec"])
    )
    np.testing.assert_array_equal(after["cu_act_flag"], ~held)
    check_rates(after, fields, Host(library.path, weights).run(state, rates=True, wrf_order=True).fields)
    mean = np.float32(0.5) * (fields["w"][:, :-1] + fields["w"][:, 1:])
    np.testing.assert_array_equal(
        after["w0avg"][:, :NK], (fields["w0avg"][:, :NK] * np.float32(11) + mean) / np.float32(12)
    )
    for name in ("t", "qv", "u", "w", "pblh"):
        np.testing.assert_array_equal(after[name], fields[name])
    assert (kind == 2).sum() > 10 and (kind == 1).sum() > 5


def check_rates(after: Any, before: Any, emulated: Any) -> None:
    """kf_edrates is 1: held columns keep their rates, all others have the emulator's."""
    held = before["nca"] >= 25
    for name in ("udr", "ddr", "uer", "der"):
        ours = emulated[f"{name.upper()}_KF"].reshape(NJ, NI, NK).transpose(0, 2, 1)
        expected = np.where(held[:, None], before[name][:, :NK], ours)
        np.testing.assert_array_equal(after[name][:, :NK], expected, err_msg=name)
        np.testing.assert_array_equal(after[name][:, NK], before[name][:, NK])
        assert (ours != 0).sum() > 100
    timec = emulated["TIMEC_KF"].reshape(NJ, NI)
    np.testing.assert_array_equal(after["timec"], np.where(held, before["timec"], timec))


def test_rates_are_not_written_if_the_model_has_none(run: Any, fields: Any) -> None:
    done = run("mode = 'emulate'", own=False, numbers={"kf_edrates": 0})
    for name in ("udr", "ddr", "uer", "der", "timec"):
        np.testing.assert_array_equal(done.fields[name], fields[name])


def test_the_same_bits_for_any_tiles_and_threads(run: Any) -> None:
    whole = run("mode = 'emulate'", name="whole")
    single = [[i, i + 1, j, j + 1] for j in range(NJ) for i in range(NI)]
    odd = [[i, min(i + 7, NI), j, min(j + 5, NJ)] for j in range(0, NJ, 5) for i in range(0, NI, 7)]
    for n, tiles in enumerate((single, odd)):
        assert run("mode = 'emulate'", tiles=tiles, name=f"tiles{n}").same(whole.fields)
        calls = [{"step": 6, "tiles": tiles, "threads": True}]
        assert run("mode = 'emulate'", calls=calls, name=f"threads{n}").same(whole.fields)


def test_guard_uses_the_scheme_of_the_model_for_novel_columns(run: Any, fields: Any, alone: Any) -> None:
    """With a tiny limit all convecting columns are novel and have the outputs of the model's scheme, bit for bit."""
    emulated = run("mode = 'emulate'", name="emulated").fields
    done = run("mode = 'guard', novelty = 1e-6", name="guarded")
    held = fields["nca"] >= 25
    returned = np.zeros((NJ, NI), bool)
    for i0, i1, j0, j1 in done.own_calls:
        assert (i1 - i0, j1 - j0) == (1, 1)
        returned[j0, i0] = True
    # the parcel test is exact: columns without a rising parcel are not returned
    assert (returned == (~held & (emulated["cutop"] > 1))).sum() >= returned.sum()
    assert returned.sum() > 20
    for name, values in done.fields.items():
        mask = returned[:, None] if values.ndim == 3 else returned
        np.testing.assert_array_equal(values, np.where(mask, alone[name], emulated[name]), err_msg=name)
    counts = read_statistics(done.folder.glob("sciml_mskf_guard_*.nc"))
    assert counts.sums["NOVEL"] == counts.sums["RETURNED"] == returned.sum()
    assert counts.sums["OUTSIDE"] <= 0.05 * returned.sum() and "above novelty 1e-06" in str(counts)
    within_limits = run("mode = 'guard', novelty = 1d3", name="within_limits")
    assert not within_limits.own_calls and within_limits.same(emulated)


def test_limits_scale_a_response_as_a_whole(run: Any, fields: Any) -> None:
    free = run("mode = 'emulate'", name="free").fields
    done = run("mode = 'emulate', heating = 8", name="limited")
    heating = np.abs(free["rthcuten"][:, :NK] * fields["pi"][:, :NK]).max(1) * 86400
    held = fields["nca"] >= 25
    beyond = ~held & (heating > 8)
    assert 5 < beyond.sum() < (~held).sum()
    now = np.abs(done.fields["rthcuten"][:, :NK] * fields["pi"][:, :NK]).max(1) * 86400
    np.testing.assert_allclose(now[beyond], 8, rtol=1e-5)
    share = np.where(beyond, 8 / np.maximum(heating, 1e-9), 1)
    for name in (*PROFILES[:8], "pratec"):
        profile = free[name].ndim == 3
        scaled = free[name] * (share[:, None] if profile else share)
        expected = np.where(held[:, None] if profile else held, free[name], scaled)
        if profile:
            expected[:, NK] = free[name][:, NK]
        np.testing.assert_allclose(done.fields[name], expected, rtol=1e-5, atol=1e-30, err_msg=name)
    guarded = run("mode = 'guard', heating = 8, limited = 0.5, novelty = 1d3", name="guarded")
    assert len(guarded.own_calls) == (beyond & (share < 0.5)).sum() > 0


def test_columns_unlike_those_of_the_training_are_counted(run: Any, fields: Any) -> None:
    """Columns much warmer and moister than in the training are counted and emulated."""
    other = {"t": fields["t"] + np.float32(35), "qv": fields["qv"] * np.float32(6)}
    done = run("mode = 'emulate'", changed=other, own=False)
    statistics = read_statistics(done.folder.glob("sciml_mskf_emulate_*.nc"))
    assert 10 < statistics.sums["OUTSIDE"] == statistics.sums["NOVEL"] <= statistics.sums["COLUMNS"]
    assert statistics.sums["NOVELTY"] > 1
    assert all(np.isfinite(done.fields[name]).all() for name in PROFILES)


def test_the_scheme_of_the_model_computes_invalid_columns(run: Any, fields: Any, alone: Any) -> None:
    spoilt = fields["t"].copy()
    spoilt[2, 3, 5] = np.nan
    good = run("mode = 'emulate'", name="good").fields
    done = run("mode = 'emulate'", changed={"t": spoilt}, name="spoilt")
    assert done.own_calls == [[5, 6, 2, 3]]
    for name, values in done.fields.items():
        if name == "t":
            continue
        np.testing.assert_array_equal(values[2, ..., 5], alone[name][2, ..., 5], err_msg=name)
        others = np.delete(values.reshape(NJ, -1, NI), 5, axis=2)
        np.testing.assert_array_equal(others, np.delete(good[name].reshape(NJ, -1, NI), 5, axis=2))
    statistics = read_statistics(done.folder.glob("sciml_mskf_emulate_*.nc"))
    assert statistics.sums["UNSOUND"] == statistics.sums["RETURNED"] == 1
