"""The library instead of the scheme, in a host linked as WRF is: modes, tiles, threads, ranks and restarts."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import sciml
from sciml.coupling.library import Library
from sciml.verify.library.mode_statistics import read_statistics
from tests.coupling.conftest import Settings
from tests.coupling.standin import (
    OPTIONS,
    SCHEME,
    STEPS,
    Run,
    initial_state,
    run,
    same_bits,
    water_gap,
    write_state,
)

pytestmark = [pytest.mark.native, pytest.mark.xdist_group("standin")]

SILENT = ("original", "capture", "shadow")
MODES = (*SILENT, "emulate", "guard")
TENDENCIES = ("RTHCUTEN", "RQVCUTEN", "RQCCUTEN", "RQRCUTEN", "RQICUTEN", "RQSCUTEN", "RUCUTEN", "RVCUTEN")
RATES = ("UDR_KF", "DDR_KF", "UER_KF", "DER_KF", "TIMEC_KF")


#: The emulator as trained, and of 8 bits.
both = pytest.mark.parametrize("settings", ["floats", "int8"], indirect=True)


@pytest.fixture(scope="module")
def done_before() -> dict[str, dict[str, Run]]:
    return {}


@pytest.fixture(scope="module")
def whole(
    host: Path,
    state: Path,
    settings: Settings,
    done_before: dict[str, dict[str, Run]],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Run]:
    """Run each mode with one tile, one thread and one rank, without a stop; once for each weights file."""
    weights = str(settings("emulate")["weights"])
    if weights not in done_before:
        where = tmp_path_factory.mktemp("whole")
        options = dict(state=state, steps=STEPS, kf_edrates=True)
        done_before[weights] = {mode: run(host, where / mode, settings(mode), **options) for mode in MODES}
    return done_before[weights]


def test_the_link_line(host: Path, library: Library) -> None:
    symbols = subprocess.run(["nm", str(host)], capture_output=True, text=True, check=True).stdout
    assert f" U __wrap_{SCHEME}\n" in symbols
    assert f" T {SCHEME}\n" in symbols
    needed = subprocess.run(["ldd", str(host)], capture_output=True, text=True, check=True).stdout
    assert str(library.path) in needed


@both
@pytest.mark.parametrize("mode", SILENT)
def test_outputs_of_the_host_do_not_change(whole: dict[str, Run], plain: xr.Dataset, mode: str) -> None:
    assert same_bits(plain, whole[mode].history) == []
    assert library_lines(whole[mode]) == whole[mode].stderr.splitlines()
    assert whole[mode].stderr.count(f"mode            = '{mode}'") == 1


@both
def test_outputs_that_change(whole: dict[str, Run], plain: xr.Dataset) -> None:
    emulated, guarded = whole["emulate"].history, whole["guard"].history
    for first, second in ((plain, emulated), (plain, guarded), (emulated, guarded)):
        assert {"RTHCUTEN", "RAINC"} <= set(same_bits(first, second))
    counts = read_statistics(whole["guard"].directory.glob("sciml_mskf_guard_*.nc")).sums
    assert 50 < counts["RETURNED"] < counts["COLUMNS"] - 50


@both
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("tile", "threads"), [((1, 1), 2), ((7, 5), 2), ((0, 0), 2)], ids=str)
def test_tiles_and_threads(
    host: Path,
    state: Path,
    settings: Settings,
    whole: dict[str, Run],
    tmp_path: Path,
    mode: str,
    tile: tuple[int, int],
    threads: int,
) -> None:
    options = dict(state=state, steps=STEPS, kf_edrates=True)
    done = run(host, tmp_path, settings(mode), tile=tile, threads=threads, **options)
    assert same_bits(whole[mode].history, done.history) == []
    assert library_lines(done) == library_lines(whole[mode])


def test_an_emulator_of_8_bits_changes_the_weather(
    host: Path,
    settings: Settings,
    packaged_weights: dict[str, Path],
    state: Path,
    whole: dict[str, Run],
    tmp_path: Path,
) -> None:
    """The weather of the emulator of 8 bits is another one, and close to that of the trained one."""
    given = settings("emulate", weights=str(packaged_weights["int8"]))
    other = run(host, tmp_path, given, state=state, steps=STEPS, kf_edrates=True).history
    trained = whole["emulate"].history
    assert {"RUCUTEN", "RVCUTEN"} <= set(same_bits(trained, other))
    last = dict(Time=-1)
    assert (
        np.corrcoef(trained["RAINC"].isel(last).values.ravel(), other["RAINC"].isel(last).values.ravel())[
            0, 1
        ]
        > 0.99
    )


def library_lines(done: Run) -> list[str]:
    """Return the lines that the library printed."""
    return [line for line in done.stderr.splitlines() if line.startswith("sciml:")]


@both
@pytest.mark.parametrize("mode", MODES)
def test_restart(
    host: Path, state: Path, settings: Settings, whole: dict[str, Run], tmp_path: Path, mode: str
) -> None:
    half = tmp_path / "half"
    run(host, tmp_path, settings(mode), state=state, steps=9, state_out=half, kf_edrates=True)
    again = run(host, tmp_path, state=half, steps=STEPS - 9, tile=(7, 5), kf_edrates=True)
    assert same_bits(whole[mode].history, again.history) == []


@both
@pytest.mark.mpi
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("ranks", [2, 4])
def test_ranks(
    host_on_ranks: Path,
    state: Path,
    settings: Settings,
    whole: dict[str, Run],
    tmp_path: Path,
    mode: str,
    ranks: int,
) -> None:
    options = dict(state=state, steps=STEPS, kf_edrates=True)
    done = run(host_on_ranks, tmp_path, settings(mode), ranks=ranks, tile=(7, 5), **options)
    assert same_bits(whole[mode].history, done.history) == []
    assert library_lines(done) == library_lines(whole[mode])
    assert len(list(tmp_path.glob(f"sciml_mskf_{mode}_*.nc"))) == (mode != "original") * ranks


@both
@pytest.mark.mpi
def test_restart_on_other_ranks(
    host: Path,
    host_on_ranks: Path,
    state: Path,
    settings: Settings,
    whole: dict[str, Run],
    tmp_path: Path,
) -> None:
    half = tmp_path / "half"
    guard = settings("guard")
    run(host_on_ranks, tmp_path, guard, state=state, steps=9, ranks=2, state_out=half, kf_edrates=True)
    again = run(host, tmp_path, guard, state=half, steps=STEPS - 9, threads=2, kf_edrates=True)
    assert same_bits(whole["guard"].history, again.history) == []


@both
def test_the_emulated_weather(whole: dict[str, Run]) -> None:
    """There are deep, shallow, held and calm columns at all times, and the host conserves water."""
    history = whole["emulate"].history
    for time in range(1, history.sizes["Time"]):
        here = history.isel(Time=time)
        assert int((here["CLDFRA_SH"].max("bottom_top") > 0).sum()) >= 10
        assert int((here["PRATEC"] > 0).sum()) >= 30
        assert int((here["CU_ACT_FLAG"] == 0).sum()) >= 30
    assert all(np.isfinite(field.values).all() for field in history.data_vars.values())
    assert float(history["QVAPOR"].min()) > -1e-8
    assert water_gap(history) < 1e-3


def test_the_contract_of_a_call(
    host: Path, state: Path, settings: Settings, each_step: xr.Dataset, tmp_path: Path
) -> None:
    """Fields that the host does not change between two steps, as in the history of its own scheme."""
    options = dict(state=state, steps=STEPS, history_interval=1, kf_edrates=True)
    history = run(host, tmp_path, settings("emulate"), tile=(7, 5), **options).history
    assert history["W0AVG"].values.tobytes() == each_step["W0AVG"].values.tobytes()
    dt, levels = history.attrs["DT"], history.sizes["bottom_top"]
    assert (history["RAINCV"] == np.float32(dt) * history["PRATEC"]).all()
    left = history["NCA"] / dt
    assert (left == np.round(left)).all()
    first = history.isel(Time=1)
    nothing = first["NCA"] < 0
    assert 0 < int(nothing.sum()) < nothing.size
    for name in (*TENDENCIES, "CLDFRA_DP", "CLDFRA_SH", "QC_CU", "QI_CU"):
        assert not first[name].where(nothing, 0).any()
    for name, value in (("CUTOP", 1), ("CUBOT", levels + 1), ("PRATEC", 0), ("NCA", -100)):
        assert (first[name].where(nothing, value) == value).all()
    before, after = history.isel(Time=5), history.isel(Time=6)
    held = after["CU_ACT_FLAG"] == 0
    assert held.equals(before["NCA"] >= 0.5 * dt)
    for name in (*TENDENCIES[6:], "PRATEC", "CUTOP", "CUBOT", "CLDFRA_DP", "CLDFRA_SH", "QC_CU", "QI_CU"):
        assert (after[name] == before[name]).where(held, True).all()
    for name in RATES:
        assert not first[name].where(nothing, 0).any()
        assert (after[name] == before[name]).where(held, True).all()


def test_captures_equal_the_calls_of_the_host(
    host: Path, state: Path, settings: Settings, each_step: xr.Dataset, tmp_path: Path
) -> None:
    """At the first call of all columns, inputs are the initial state, and outputs are those in the history."""
    drawn = dict.fromkeys(("capture_none", "capture_shallow", "capture_deep"), 1.0)
    run(host, tmp_path, settings("capture", **drawn), state=state, steps=1, tile=(7, 5), threads=2)
    (path,) = tmp_path.glob("sciml_mskf_capture_*.nc")
    with xr.open_dataset(path, decode_times=False) as ds:
        history = sciml.convection_columns(ds.load())
    first = each_step.isel(Time=1)
    assert history.sizes["column"] == first.sizes["south_north"] * first.sizes["west_east"]
    j, i = (xr.DataArray(history[name].values, dims="column") for name in ("south_north", "west_east"))
    for name in (*TENDENCIES, "PRATEC", "CUTOP", "CUBOT", "QC_CU", "T_PHY", "P_HYD", "DZ8W", "W0AVG"):
        here = first[name].isel(south_north=j - int(j.min()), west_east=i - int(i.min()))
        np.testing.assert_array_equal(history[name].values.T, here.values, err_msg=name)


def test_absent_arguments(
    host: Path, state: Path, settings: Settings, whole: dict[str, Run], tmp_path: Path
) -> None:
    for mode in MODES:
        absent = ("adapt_step_flag", "f_qv", "f_qc", "aerocu")
        options = dict(state=state, steps=STEPS, kf_edrates=True, absent=absent)
        done = run(host, tmp_path / mode, settings(mode), tile=(7, 5), **options)
        assert same_bits(whole[mode].history, done.history) == []


@both
@pytest.mark.parametrize("mode", ["capture", "shadow", "emulate"])
def test_microphysics_without_ice(
    host: Path, standin: Path, state: Path, settings: Settings, tmp_path: Path, mode: str
) -> None:
    """Without or with all optional arguments the host's scheme runs, with one message except in capture."""
    for place, given in (("absent", dict(absent=OPTIONS)), ("ice", dict(ice=False))):
        alone = run(standin, tmp_path / f"alone_{place}", state=state, **given)
        done = run(host, tmp_path / place, settings(mode), state=state, tile=(7, 5), threads=2, **given)
        assert same_bits(alone.history, done.history) == []
        assert sum("microphysics" in line for line in library_lines(done)) == (mode != "capture")


@both
def test_invalid_columns(host: Path, settings: Settings, whole: dict[str, Run], tmp_path: Path) -> None:
    """A column of NaN is computed by the host's scheme and counted; all others are unchanged."""
    spoilt = initial_state(moister=1.15)
    spoilt["TH_PHY"].values[4, 10, 7] = np.nan
    state = write_state(spoilt, tmp_path / "state")
    done = run(host, tmp_path, settings("emulate"), state=state, steps=STEPS, kf_edrates=True)
    others = dict(west_east=[i for i in range(24) if i != 7])
    assert same_bits(whole["emulate"].history.isel(others), done.history.isel(others)) == []
    counts = read_statistics(tmp_path.glob("sciml_mskf_emulate_*.nc")).sums
    # the host's scheme may hold it afterwards
    assert 1 <= counts["UNSOUND"] == counts["RETURNED"] <= 5


@pytest.mark.parametrize("mode", ["shadow", "emulate", "guard"])
def test_without_weights(
    host: Path, state: Path, settings: Settings, plain: xr.Dataset, tmp_path: Path, mode: str
) -> None:
    """Depending on the setting, the host's scheme runs for the whole run, or the host stops."""
    nowhere = str(tmp_path / "nowhere.nc")
    options = dict(state=state, steps=STEPS, tile=(2, 2), threads=2, kf_edrates=True)
    done = run(host, tmp_path / "on", settings(mode, weights=nowhere), **options)
    assert same_bits(plain, done.history) == []
    assert sum(nowhere in line and "cannot" in line for line in library_lines(done)) == 1
    stop = settings(mode, weights=nowhere, on_failure="stop")
    ended = run(host, tmp_path / "off", stop, check=False, **options)
    assert ended.code == 9
    assert library_lines(ended) == ended.stderr.splitlines()
    assert ended.stdout.splitlines()[-1].startswith("FATAL: sciml: ")


@pytest.mark.mpi
def test_all_ranks_stop(host_on_ranks: Path, state: Path, settings: Settings, tmp_path: Path) -> None:
    stop = settings("emulate", weights=str(tmp_path / "nowhere.nc"), on_failure="stop")
    done = run(host_on_ranks, tmp_path, stop, state=state, ranks=2, threads=2, tile=(2, 2), check=False)
    assert done.code == 9
    assert "FATAL: sciml: " in done.stdout


def test_another_grid_causes_one_warning(host: Path, settings: Settings, tmp_path: Path) -> None:
    other = initial_state(moister=1.15)
    other.attrs["DX"] = 20000.0
    state = write_state(other, tmp_path / "state")
    done = run(host, tmp_path, settings("emulate"), state=state, tile=(2, 2), threads=2)
    assert sum("WARNING: DX is 20000" in line for line in library_lines(done)) == 1


def test_too_few_levels(host: Path, standin: Path, settings: Settings, tmp_path: Path) -> None:
    """With fewer levels than the plume needs, the host's scheme runs, with a message."""
    fewer = initial_state(moister=1.15).isel(level=slice(0, 19), face=slice(0, 20))
    state = write_state(fewer, tmp_path / "state")
    alone = run(standin, tmp_path / "alone", state=state)
    done = run(host, tmp_path, settings("emulate"), state=state, tile=(2, 2), threads=2)
    assert same_bits(alone.history, done.history) == []
    assert sum("the columns have 19 levels" in line for line in library_lines(done)) == 1


def test_other_levels_than_in_training(host: Path, standin: Path, settings: Settings, tmp_path: Path) -> None:
    """The emulator runs without a warning, and with the same bits for any tiles."""
    fewer = initial_state(moister=1.15).isel(level=slice(0, 40), face=slice(0, 41))
    state = write_state(fewer, tmp_path / "state")
    alone = run(standin, tmp_path / "alone", state=state)
    runs = [
        run(host, tmp_path / str(threads), settings("emulate"), state=state, tile=tile, threads=threads)
        for tile, threads in (((2, 2), 2), ((7, 5), 1))
    ]
    assert same_bits(runs[0].history, runs[1].history) == []
    assert same_bits(alone.history, runs[0].history) != []
    assert not any("WARNING" in line for done in runs for line in library_lines(done))
