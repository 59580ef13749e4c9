"""The scheme's entry in every mode, called with WRF's 100 arguments; the model's own scheme is known exactly."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import sciml
from sciml.columns.open import open_columns
from sciml.convection.emulator import Emulator
from sciml.coupling.build import sources
from sciml.coupling.export import emulator_weights
from sciml.coupling.fortran_emulator import FortranEmulator
from sciml.coupling.library import Library
from sciml.coupling.weights_file import read_weights, write_weights
from sciml.verify.library.mode_statistics import read_statistics
from tests.coupling.caller import OUTPUTS, PROFILES, own_scheme
from tests.coupling.host import Host
from tests.paths import SAMPLE_WRFOUT

pytestmark = [pytest.mark.native, pytest.mark.xdist_group("packaged")]

NI, NJ, NK = 24, 8, 44
WHOLE = [[0, NI, 0, NJ]]
#: of the emulator, and where the entry has it
EMULATED = {
    **{name: name.upper() for name in PROFILES[:12]},
    "pratec": "PRATEC",
    "cutop": "CUTOP",
    "cubot": "CUBOT",
}
NAMED = dict(u="U_PHY", v="V_PHY", t="T_PHY", qv="QVAPOR", pcps="P_HYD", dz8w="DZ8W", rho="RHO", pi="PI_PHY")


@dataclass
class Run:
    """What a process with the library did."""

    fields: dict[str, np.ndarray[Any, Any]]
    statuses: list[tuple[int, str]]
    own_calls: list[list[int]]
    log: str
    folder: Path

    def same(self, other: dict[str, np.ndarray[Any, Any]], but: tuple[str, ...] = ()) -> bool:
        return all(x.tobytes() == other[name].tobytes() for name, x in self.fields.items() if name not in but)


@pytest.fixture(scope="module")
def columns() -> xr.Dataset:
    """A third of the last frame of the sample, as the scheme saw it."""
    everything = sciml.convection_columns(sciml.open_wrfout(str(SAMPLE_WRFOUT)))
    return everything.isel(column=slice(-NI * NJ, None)).load()


@pytest.fixture(scope="module")
def fields(columns: xr.Dataset) -> dict[str, np.ndarray[Any, Any]]:
    """The model's arrays before the call; every sixth column is held."""
    generator = np.random.default_rng(77)
    found = {}
    for name, theirs in (*NAMED.items(), ("w0avg", "W0AVG")):
        array = np.zeros((NJ, NK + 1, NI), np.float32)
        array[:, :NK] = columns[theirs].values.reshape(NJ, NI, NK).transpose(0, 2, 1)
        found[name] = array
    for name in ("zol", "hfx", "ust", "pblh"):
        found[name] = columns[name.upper()].values.astype(np.float32).reshape(NJ, NI)
    w = generator.normal(0, 0.05, (NJ, NK + 1, NI)).astype(np.float32)
    # so that after its update W0AVG is what the sample has, up to rounding
    mean = np.float32(0.5) * (w[:, :-1] + w[:, 1:])
    found["w"] = w
    found["w0avg"][:, :NK] = (np.float32(12) * found["w0avg"][:, :NK] - mean) / np.float32(11)
    for name in PROFILES:
        found[name] = generator.normal(0, 1e-3, (NJ, NK + 1, NI)).astype(np.float32)
    for name in OUTPUTS:
        found[name] = generator.uniform(1, 2, (NJ, NI)).astype(np.float32)
    found["nca"] = np.where(np.arange(NJ * NI).reshape(NJ, NI) % 6 == 0, 600, -3).astype(np.float32)
    found["cu_act_flag"] = np.full((NJ, NI), 7, np.int32)
    return found


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scheme") / "mskf.nc"
    write_weights(path, emulator_weights(Emulator.load("mskf-convrad")))
    return path


@pytest.fixture
def run(library: Library, weights: Path, fields: dict[str, np.ndarray[Any, Any]], tmp_path: Path) -> Any:
    """Run calls in a process of their own, in a folder of its own."""

    def one(
        settings: str | None,
        *,
        tiles: list[list[int]] | None = None,
        calls: list[dict[str, Any]] | None = None,
        changed: dict[str, np.ndarray[Any, Any]] | None = None,
        name: str = "run",
        env: dict[str, str] | None = None,
        **given: Any,
    ) -> Run:
        folder = tmp_path / name
        folder.mkdir()
        np.savez(folder / "fields.npz", **{**fields, **(changed or {})})
        if settings is not None:
            text = f"&sciml_mskf\n weights = '{weights}'\n{settings}\n/\n".replace("\n weights = '' ", "")
            (folder / "sciml_mskf.nml").write_text(text)
        specification = {
            "library": str(library.path),
            "fields": str(folder / "fields.npz"),
            "output": str(folder / "after.npz"),
            "calls": calls or [{"step": 6, "tiles": tiles or WHOLE}],
            **given,
        }
        (folder / "specification.json").write_text(json.dumps(specification))
        words = [sys.executable, "-m", "tests.coupling.caller", str(folder / "specification.json")]
        root = str(Path(__file__).parents[2])
        environment = {**os.environ, "PYTHONPATH": root, **(env or {})}
        done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout.splitlines()[-1])
        with np.load(folder / "after.npz") as file:
            after = {name: file[name] for name in file.files}
        return Run(after, [tuple(x) for x in said["statuses"]], said["calls"], done.stderr, folder)

    return one


@pytest.fixture(scope="module")
def alone(fields: dict[str, np.ndarray[Any, Any]]) -> dict[str, np.ndarray[Any, Any]]:
    """What the model's own scheme makes of the fields."""
    after = {name: x.copy() for name, x in fields.items()}
    own_scheme(after, slice(0, NJ), slice(0, NI))
    return after


@pytest.mark.parametrize("mode", ["original", "capture", "shadow"])
def test_the_models_answers_do_not_change(run: Any, alone: Any, mode: str) -> None:
    done = run(f"mode = '{mode}'\n capture_none = 1, capture_shallow = 1, capture_deep = 1")
    assert done.same(alone)
    assert done.statuses == [(0, "")]
    assert done.own_calls == [[0, NI, 0, NJ]]


def test_without_a_namelist_it_is_as_if_the_library_were_not_there(run: Any, alone: Any) -> None:
    done = run(None)
    assert done.same(alone)
    assert "sciml_mskf.nml" in done.log and "own scheme" in done.log


def test_emulate_is_the_emulator(
    run: Any, fields: Any, library: Library, weights: Path, columns: Any
) -> None:
    """Every output of evaluated columns is the library's own for the same state; held ones keep theirs."""
    done = run("mode = 'emulate'", own=False)
    assert done.statuses == [(0, "")]
    after, held = done.fields, fields["nca"] >= 25
    state = columns.copy(deep=True)
    state["W0AVG"].values[:] = after["w0avg"][:, :NK].transpose(0, 2, 1).reshape(-1, NK)
    said = sciml.solve(sciml.Convection(state), FortranEmulator(library.path, weights)).outputs
    for name, theirs in EMULATED.items():
        found = after[name]
        if found.ndim == 3:
            ours = said[theirs].values.reshape(NJ, NI, NK).transpose(0, 2, 1)
            np.testing.assert_array_equal(found[:, NK], fields[name][:, NK])
            found, before, keep = found[:, :NK], fields[name][:, :NK], held[:, None]
        else:
            ours, before, keep = said[theirs].values.reshape(NJ, NI), fields[name], held
        np.testing.assert_array_equal(found, np.where(keep, before, ours), err_msg=name)
    kind = said["KIND"].values.reshape(NJ, NI)
    nca = said["NCA"].values.reshape(NJ, NI)
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


def check_rates(after: Any, before: Any, said: Any) -> None:
    """kf_edrates is 1: held columns keep what they have, all others have the emulator's entrainment rates."""
    held = before["nca"] >= 25
    for name in ("udr", "ddr", "uer", "der"):
        ours = said[f"{name.upper()}_KF"].reshape(NJ, NI, NK).transpose(0, 2, 1)
        kept = np.where(held[:, None], before[name][:, :NK], ours)
        np.testing.assert_array_equal(after[name][:, :NK], kept, err_msg=name)
        np.testing.assert_array_equal(after[name][:, NK], before[name][:, NK])
        assert (ours != 0).sum() > 100
    timec = said["TIMEC_KF"].reshape(NJ, NI)
    np.testing.assert_array_equal(after["timec"], np.where(held, before["timec"], timec))


def test_rates_that_the_model_does_not_ask_for(run: Any, fields: Any) -> None:
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


def test_guard_gives_novel_columns_to_the_models_own_scheme(run: Any, fields: Any, alone: Any) -> None:
    """All columns that convect lie beyond a tiny novelty: they get the own scheme's answer, to the bit."""
    emulated = run("mode = 'emulate'", name="emulated").fields
    done = run("mode = 'guard', novelty = 1e-6", name="guarded")
    held = fields["nca"] >= 25
    returned = np.zeros((NJ, NI), bool)
    for i0, i1, j0, j1 in done.own_calls:
        assert (i1 - i0, j1 - j0) == (1, 1)
        returned[j0, i0] = True
    # the parcel test is exact: where nothing rises nobody needs to be asked
    assert (returned == (~held & (emulated["cutop"] > 1))).sum() >= returned.sum()
    assert returned.sum() > 20
    for name, found in done.fields.items():
        mask = returned[:, None] if found.ndim == 3 else returned
        np.testing.assert_array_equal(found, np.where(mask, alone[name], emulated[name]), err_msg=name)
    counts = read_statistics(done.folder.glob("sciml_mskf_guard_*.nc"))
    assert counts.sums["NOVEL"] == counts.sums["RETURNED"] == returned.sum()
    assert counts.sums["CLIPPED"] == 0 and "beyond novelty 1e-06" in str(counts)
    at_ease = run("mode = 'guard', novelty = 1d3", name="at_ease")
    assert not at_ease.own_calls and at_ease.same(emulated)


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


def test_columns_beyond_the_training_are_clipped_and_counted(run: Any, fields: Any) -> None:
    """A sky of more vapour than any run had: told by the count, and answered all the same."""
    moist = fields["qv"] * np.float32(1.5)
    done = run("mode = 'emulate'", changed={"qv": moist}, own=False)
    found = read_statistics(done.folder.glob("sciml_mskf_emulate_*.nc"))
    assert 10 < found.sums["CLIPPED"] == found.sums["NOVEL"] <= found.sums["COLUMNS"]
    assert found.sums["NOVELTY"] > 1
    assert all(np.isfinite(done.fields[name]).all() for name in PROFILES)


def test_columns_that_are_not_sound_go_to_the_models_own_scheme(run: Any, fields: Any, alone: Any) -> None:
    spoilt = fields["t"].copy()
    spoilt[2, 3, 5] = np.nan
    good = run("mode = 'emulate'", name="good").fields
    done = run("mode = 'emulate'", changed={"t": spoilt}, name="spoilt")
    assert done.own_calls == [[5, 6, 2, 3]]
    for name, found in done.fields.items():
        if name == "t":
            continue
        np.testing.assert_array_equal(found[2, ..., 5], alone[name][2, ..., 5], err_msg=name)
        kept = np.delete(found.reshape(NJ, -1, NI), 5, axis=2)
        np.testing.assert_array_equal(kept, np.delete(good[name].reshape(NJ, -1, NI), 5, axis=2))
    found = read_statistics(done.folder.glob("sciml_mskf_emulate_*.nc"))
    assert found.sums["UNSOUND"] == found.sums["RETURNED"] == 1


def test_captures_are_exact_pairs(run: Any, alone: Any, fields: Any) -> None:
    done = run("mode = 'capture', run = 3\n capture_none = 1, capture_shallow = 1, capture_deep = 1")
    (path,) = done.folder.glob("sciml_mskf_capture_*.nc")
    with xr.open_dataset(path) as ds:
        found = sciml.convection_columns(ds.load())
        j, i = ds["J"].values, ds["I"].values
        for name in ("udr", "ddr", "uer", "der"):
            np.testing.assert_array_equal(ds[f"{name.upper()}_KF"].values, alone[name][j, :NK, i])
        np.testing.assert_array_equal(ds["TIMEC_KF"].values, alone["timec"][j, i])
        np.testing.assert_array_equal(ds["W0AVG_IN"].values, fields["w0avg"][j, :NK, i])
        np.testing.assert_array_equal(ds["NCA_IN"].values, fields["nca"][j, i])
    assert (found["XTIME"].values == 5).all()  # step 6 of 50 s
    assert (found["RUN"].values == 3).all()
    stored = open_columns(path, keep="all")
    assert stored.drop_attrs().equals(found.drop_attrs())
    held = fields["nca"] >= 25
    assert found.sizes == {"column": (~held).sum(), "level": NK}
    j, i = found["south_north"].values, found["west_east"].values
    for name, theirs in (*NAMED.items(), ("w0avg", "W0AVG"), ("rthcuten", "RTHCUTEN"), ("qi_cu", "QI_CU")):
        np.testing.assert_array_equal(found[theirs].values, alone[name][j, :NK, i], err_msg=name)
    np.testing.assert_array_equal(found["PRATEC"].values, alone["pratec"][j, i])
    wind = fields["u"][j, 0, i]
    np.testing.assert_array_equal(found["KIND"].values, np.where(wind > 2, 2, np.where(wind > 0, 1, 0)))
    assert (found["WEIGHT"].values == 1).all()
    assert {name: found.attrs[name] for name in ("DX", "DT", "CUDT", "STEPCU")} == {
        "DX": 10000, "DT": 50, "CUDT": 5, "STEPCU": 6
    }  # fmt: skip


def test_what_is_drawn_depends_on_place_and_step_alone(run: Any) -> None:
    settings = "mode = 'capture'\n capture_none = 0.3, capture_shallow = 0.3, capture_deep = 0.5"
    tiles = [[i, min(i + 5, NI), j, j + 3 if j < 6 else NJ] for j in range(0, NJ, 3) for i in range(0, NI, 5)]

    def drawn(name: str, tiles: list[list[int]]) -> set[tuple[int, int, int, float]]:
        calls = [{"step": step, "tiles": tiles} for step in (6, 12, 18)]
        done = run(settings, calls=calls, name=name)
        (path,) = done.folder.glob("sciml_mskf_capture_*.nc")
        with xr.open_dataset(path, decode_times=False) as ds:
            names = ("ITIMESTEP", "J", "I", "WEIGHT")
            return set(zip(*(ds[x].values.tolist() for x in names), strict=True))

    one, other = drawn("one", WHOLE), drawn("other", tiles)
    assert one == other
    by_step = [{(j, i) for step, j, i, _ in one if step == s} for s in (6, 12, 18)]
    assert all(by_step) and by_step[0] != by_step[1]


def test_intervals_rooms_and_steps_of_captures(run: Any) -> None:
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
    found = read_statistics(done.folder.glob("sciml_mskf_shadow_*.nc"))
    looked = fields["nca"] < 25
    either = looked & ((alone["cutop"] > 1) | (emulated["cutop"] > 1))
    both = looked & (alone["cutop"] > 1) & (emulated["cutop"] > 1)
    assert 0 < both.sum() < either.sum() and found.matched == both.sum()
    assert found.sums["COLUMNS"] == looked.sum() and found.sums["HELD"] == (~looked).sum()
    assert found.triggered == either.sum()
    for name, theirs in EMULATED.items():
        true, said = (x[name].astype(np.float64) for x in (alone, emulated))
        if true.ndim == 3:
            true, said = (x[:, :NK].transpose(0, 2, 1)[either] for x in (true, said))
        elif theirs in ("CUTOP", "CUBOT"):
            true, said = true[both], said[both]
        else:
            true, said = true[either], said[either]
        if theirs == "NCA":
            true, said = (
                np.where(x["cutop"][either] > 1, y, 0) for x, y in ((alone, true), (emulated, said))
            )
        error = said - true
        expected = [true.sum(0), (true**2).sum(0), error.sum(0), (error**2).sum(0), np.abs(error).max(0)]
        np.testing.assert_allclose(found.outputs[theirs], expected, rtol=1e-9, atol=1e-25, err_msg=name)
    truth = np.where(alone["pratec"] > 0, 2, np.where(alone["cutop"] > 1, 1, 0))[looked]
    assert found.sums["CONFUSION"].sum(1).tolist() == [(truth == k).sum() for k in range(3)]
    rain = [float(50 * x["pratec"][looked].astype(np.float64).sum()) for x in (alone, emulated)]
    np.testing.assert_allclose([found.sums["RAIN_SCHEME"], found.sums["RAIN_EMULATOR"]], rain, rtol=1e-6)
    scores = found.scores()
    assert scores["seconds"]["emulator"] > 0
    cubot = found.score("CUBOT")
    true, said = (x["cubot"][both].astype(np.float64) for x in (alone, emulated))
    assert cubot["bias"] == pytest.approx((said - true).mean())
    assert cubot["rmse"] == pytest.approx(np.sqrt(((said - true) ** 2).mean()))
    assert np.ptp(true) == 0 and cubot["r2"] is None  # this test's own scheme has one cloud base
    units = {row[0]: row[1] for row in found.rows()}
    assert units["RTHCUTEN"] == "K s-1" and units["CUBOT"] == "level"
    assert found.chapter().body.count("<img") == 2
    assert "RTHCUTEN" in str(found)


BAD = [
    ("mode = 'emulat'", {}, "give one of: original capture shadow emulate guard"),
    ("mood = 'emulate'", {}, "no setting is called mood; there are mode, on_failure, weights"),
    ("mode = 'guard', novelty = -1", {}, "give a number from 0 to"),
    ("mode = 'capture', capture_every = 1.5", {}, "give a whole number from 1"),
    ("mode = 'capture'\n mode = 'shadow'", {}, "mode is set twice"),
    ("mode 'capture'", {}, "= and one value are wanted"),
    ("mode = 'capture", {}, "a string does not end"),
    ("mode = 'shadow', directory = '/nowhere/at/all'", {}, "cannot write into directory"),
    ("mode = 'emulate'\n weights_ = 1", {}, "weights_"),
    ("mode = 'emulate'", {"numbers": {"aercu_opt": 1}}, "aercu_opt = 1"),
    ("mode = 'emulate'", {"numbers": {"warm_rain": 1}}, "warm_rain T"),
    ("mode = 'emulate'", {"numbers": {"f_qi": None}}, "F_QI F"),
    ("mode = 'emulate'", {"numbers": {"wide": 1}}, "REAL of 8 bytes"),
    ("mode = 'emulate'", {"numbers": {"g": 3.7}}, "constants are not WRF's"),
    ("mode = 'emulate'", {"numbers": {"kte": 40}}, "the columns have 40 levels"),
]


@pytest.mark.parametrize(("settings", "given", "said"), BAD)
def test_what_cannot_be_ends_in_the_models_own_scheme(
    run: Any, alone: Any, settings: str, given: dict[str, Any], said: str
) -> None:
    """One message, and every call answered by the model's own scheme, as if the library were not there."""
    done = run(settings, calls=[{"step": step, "tiles": WHOLE} for step in (6, 12)][:1], **given)
    assert done.same(alone)
    assert all(status != 0 and said in message for status, message in done.statuses), done.statuses
    assert done.log.count(said) == 1
    assert not list(done.folder.glob("sciml_mskf_*_*.nc"))


def test_weights_that_are_missing_or_damaged(run: Any, alone: Any, weights: Path, tmp_path: Path) -> None:
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "damaged.nc").write_bytes(content)
    for n, (path, said) in enumerate((("nowhere.nc", "nowhere.nc"), (f"{tmp_path}/damaged.nc", "damaged"))):
        nml = tmp_path / f"{n}.nml"
        nml.write_text(f"&sciml_mskf mode = 'guard', weights = '{path}' /")
        done = run(None, env={"SCIML_MSKF_NAMELIST": str(nml)}, name=f"bad{n}")
        assert done.same(alone) and said in done.log and "own scheme" in done.log


def test_what_was_trained_otherwise_is_warned_of_once(run: Any) -> None:
    calls = [{"step": step, "tiles": WHOLE} for step in (6, 12)]
    done = run("mode = 'emulate'", calls=calls, numbers={"dx": 3000.0, "dt": 20.0})
    assert done.log.count("DX is 3000, the emulator was trained with 10000") == 1
    assert done.log.count("DT is 20, the emulator was trained with 50") == 1
    assert done.log.count("CUDT") == 1  # told among the training's values only


def test_other_eta_levels_are_warned_of_once(run: Any, fields: Any) -> None:
    """Levels crowded towards the ground: as many, but elsewhere."""
    p = fields["pcps"].copy()
    p[:, :NK] = p[:, :1] * (p[:, :NK] / p[:, :1]) ** 0.8
    calls = [{"step": step, "tiles": WHOLE} for step in (6, 12)]
    done = run("mode = 'shadow'", calls=calls, changed={"pcps": p})
    assert done.log.count("other eta levels") == 1
    assert "eta" not in run("mode = 'shadow'", name="as_trained").log


def test_every_setting_is_documented_with_its_default(run: Any) -> None:
    """The namelist that is installed sets what holds without it."""
    documented = (sources() / "sciml_mskf.nml").read_text()
    nml = run("mode = 'original'", name="bare").log
    told = [line.split("sciml: ")[1].split() for line in nml.splitlines() if " = " in line or "= " in line]
    told = [(words[0], words[-1]) for words in told if words[1].startswith("=")]
    assert len(told) == 18
    stated = dict(
        line.split("!")[0].split("=") for line in documented.splitlines() if "=" in line.split("!")[0]
    )
    assert {name.strip(): value.strip() for name, value in stated.items()}.keys() == {n for n, _ in told}
    for name, value in told:
        if name == "weights":
            continue
        theirs = {x.strip(): y.strip() for x, y in stated.items()}[name]
        assert theirs == value or float(theirs) == float(value), name


def test_weights_tell_what_they_were_trained_with(weights: Path) -> None:
    assert {"about_dx", "about_dt", "about_cudt"} <= read_weights(weights).attributes.keys()
