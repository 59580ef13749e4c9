"""Files of the modes: captured columns, and statistics of the emulator compared with the scheme."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

import sciml
from sciml.columns.open import open_columns
from sciml.verify.library.mode_statistics import read_statistics
from tests.coupling.scheme.conftest import EMULATED, NAMED, NI, NJ, NK, WHOLE

pytestmark = [pytest.mark.native, pytest.mark.xdist_group("packaged")]


def test_captures_are_exact_pairs(run: Any, alone: Any, fields: Any) -> None:
    done = run("mode = 'capture', run = 3\n capture_none = 1, capture_shallow = 1, capture_deep = 1")
    (path,) = done.folder.glob("sciml_mskf_capture_*.nc")
    with xr.open_dataset(path) as ds:
        columns = sciml.convection_columns(ds.load())
        j, i = ds["J"].values, ds["I"].values
        for name in ("udr", "ddr", "uer", "der"):
            np.testing.assert_array_equal(ds[f"{name.upper()}_KF"].values, alone[name][j, :NK, i])
        np.testing.assert_array_equal(ds["TIMEC_KF"].values, alone["timec"][j, i])
        np.testing.assert_array_equal(ds["W0AVG_IN"].values, fields["w0avg"][j, :NK, i])
        np.testing.assert_array_equal(ds["NCA_IN"].values, fields["nca"][j, i])
    assert (columns["XTIME"].values == 5).all()  # step 6 of 50 s
    assert (columns["RUN"].values == 3).all()
    stored = open_columns(path, keep="all")
    assert stored.drop_attrs().equals(columns.drop_attrs())
    held = fields["nca"] >= 25
    assert columns.sizes == {"column": (~held).sum(), "level": NK}
    j, i = columns["south_north"].values, columns["west_east"].values
    for name, theirs in (*NAMED.items(), ("w0avg", "W0AVG"), ("rthcuten", "RTHCUTEN"), ("qi_cu", "QI_CU")):
        np.testing.assert_array_equal(columns[theirs].values, alone[name][j, :NK, i], err_msg=name)
    np.testing.assert_array_equal(columns["PRATEC"].values, alone["pratec"][j, i])
    wind = fields["u"][j, 0, i]
    np.testing.assert_array_equal(columns["KIND"].values, np.where(wind > 2, 2, np.where(wind > 0, 1, 0)))
    assert (columns["WEIGHT"].values == 1).all()
    assert {name: columns.attrs[name] for name in ("DX", "DT", "CUDT", "STEPCU")} == {
        "DX": 10000, "DT": 50, "CUDT": 5, "STEPCU": 6
    }  # fmt: skip


def test_the_draw_depends_on_position_and_step_alone(run: Any) -> None:
    settings = "mode = 'capture'\n capture_none = 0.3, capture_shallow = 0.3, capture_deep = 0.5"
    tiles = [[i, min(i + 5, NI), j, j + 3 if j < 6 else NJ] for j in range(0, NJ, 3) for i in range(0, NI, 5)]

    def drawn(name: str, tiles: list[list[int]]) -> set[tuple[int, int, int, float]]:
        calls = [{"step": step, "tiles": tiles} for step in (6, 12, 18)]
        done = run(settings, calls=calls, name=name)
        (path,) = done.folder.glob("sciml_mskf_capture_*.nc")
        with xr.open_dataset(path, decode_times=False) as ds:
            names = ("ITIMESTEP", "J", "I", "WEIGHT")
            return set(zip(*(ds[x].values.tolist() for x in names), strict=True))

    whole, parts = drawn("whole", WHOLE), drawn("parts", tiles)
    assert whole == parts
    by_step = [{(j, i) for step, j, i, _ in whole if step == s} for s in (6, 12, 18)]
    assert all(by_step) and by_step[0] != by_step[1]


def test_intervals_sizes_and_steps_of_captures(run: Any) -> None:
    settings = """mode = 'capture', capture_none = 1, capture_shallow = 1, capture_deep = 1
      interval = 10, capture_columns = 10, capture_first = 12, capture_every = 12"""
    calls = [{"step": step, "tiles": WHOLE} for step in range(6, 48, 6)]
    done = run(settings, calls=calls)
    paths = sorted(done.folder.glob("sciml_mskf_capture_*.nc"))
    steps = []
    for path in paths:
        with xr.open_dataset(path, decode_times=False) as ds:
            assert ds.sizes["column"] == 10
            steps += np.unique(ds["ITIMESTEP"].values).tolist()
    assert steps == [12, 24, 36]
    assert "passed over" in done.log
    assert not list(done.folder.glob("*.part*"))


def test_shadow_statistics_are_those_of_the_differences(run: Any, alone: Any, fields: Any) -> None:
    emulated = run("mode = 'emulate'", name="emulated").fields
    tiles = [[0, 11, 0, NJ], [11, NI, 0, 3], [11, NI, 3, NJ]]
    done = run("mode = 'shadow'", calls=[{"step": 6, "tiles": tiles, "threads": True}], name="shadow")
    assert done.same(alone)
    statistics = read_statistics(done.folder.glob("sciml_mskf_shadow_*.nc"))
    evaluated = fields["nca"] < 25
    either = evaluated & ((alone["cutop"] > 1) | (emulated["cutop"] > 1))
    both = evaluated & (alone["cutop"] > 1) & (emulated["cutop"] > 1)
    assert 0 < both.sum() < either.sum() and statistics.matched == both.sum()
    assert statistics.sums["COLUMNS"] == evaluated.sum() and statistics.sums["HELD"] == (~evaluated).sum()
    assert statistics.triggered == either.sum()
    for name, theirs in EMULATED.items():
        true, emulation = (x[name].astype(np.float64) for x in (alone, emulated))
        if true.ndim == 3:
            true, emulation = (x[:, :NK].transpose(0, 2, 1)[either] for x in (true, emulation))
        elif theirs in ("CUTOP", "CUBOT"):
            true, emulation = true[both], emulation[both]
        else:
            true, emulation = true[either], emulation[either]
        if theirs == "NCA":
            true, emulation = (
                np.where(x["cutop"][either] > 1, y, 0) for x, y in ((alone, true), (emulated, emulation))
            )
        error = emulation - true
        expected = [true.sum(0), (true**2).sum(0), error.sum(0), (error**2).sum(0), np.abs(error).max(0)]
        np.testing.assert_allclose(statistics.outputs[theirs], expected, rtol=1e-9, atol=1e-25, err_msg=name)
    truth = np.where(alone["pratec"] > 0, 2, np.where(alone["cutop"] > 1, 1, 0))[evaluated]
    assert statistics.sums["CONFUSION"].sum(1).tolist() == [(truth == k).sum() for k in range(3)]
    rain = [float(50 * x["pratec"][evaluated].astype(np.float64).sum()) for x in (alone, emulated)]
    np.testing.assert_allclose(
        [statistics.sums["RAIN_SCHEME"], statistics.sums["RAIN_EMULATOR"]], rain, rtol=1e-6
    )
    scores = statistics.scores()
    assert scores["seconds"]["emulator"] > 0
    cubot = statistics.score("CUBOT")
    true, emulation = (x["cubot"][both].astype(np.float64) for x in (alone, emulated))
    assert cubot["bias"] == pytest.approx((emulation - true).mean())
    assert cubot["rmse"] == pytest.approx(np.sqrt(((emulation - true) ** 2).mean()))
    assert np.ptp(true) == 0 and cubot["r2"] is None  # this test's own scheme has one cloud base
    units = {row[0]: row[1] for row in statistics.rows()}
    assert units["RTHCUTEN"] == "K s-1" and units["CUBOT"] == "level"
    assert statistics.chapter().body.count("<img") == 2
    assert "RTHCUTEN" in str(statistics)
