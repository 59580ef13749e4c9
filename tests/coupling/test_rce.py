"""Columns in radiative-convective equilibrium: budgets, bits, calls of the scheme, and errors."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner, Result

from sciml.cli import app
from sciml.columns.open import open_columns
from sciml.convection.emulator import Emulator
from sciml.convection.features import CHANNELS, SCALARS
from sciml.coupling.rce_host import HOST, history, run_columns, simulate
from sciml.coupling.rce_setup import Climate, Start
from sciml.errors import InputError, SciMLError
from sciml.verify.emulator.novelty import novel_features
from tests.paths import SAMPLE_WRFOUT

pytestmark = [pytest.mark.native, pytest.mark.xdist_group("packaged")]

LV = 2.5e6
DAYS, MEMBERS = 1.5, 4


class Built(NamedTuple):
    library: Path
    weights: Path
    host: Path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("built")
    shown = CliRunner().invoke(app, ["coupling", "build", "-o", str(folder), "mskf-convrad"])
    assert shown.exit_code == 0, shown.output
    library = folder / "libsciml_mskf.so"
    return Built(library, folder / "mskf.nc", HOST.compile(library, tmp_path_factory.mktemp("host")))


@pytest.fixture(scope="module")
def columns() -> xr.Dataset:
    return open_columns(SAMPLE_WRFOUT, keep="all").isel(column=slice(None, None, 7)).load()


@pytest.fixture(scope="module")
def start(columns: xr.Dataset) -> Start:
    return Start.of(columns, days=DAYS, members=MEMBERS, seed=11, hours=3.0)


@pytest.fixture(scope="module")
def run(built: Built, start: Start) -> xr.Dataset:
    records, log = simulate(built.library, built.weights, start, Climate(), threads=1)
    assert log.startswith(f"{start.steps} steps of {MEMBERS} columns, 1 threads")
    return records


NAME = "the emulator mskf.nc"  # as the command names it in the attribute history


class Here:
    """A folder to run the host in, with its input."""

    def __init__(self, built: Built, start: Start, folder: Path, climate: Climate | None = None) -> None:
        self.built, self.folder = built, folder
        start.write(folder / "input", climate or Climate())

    def __call__(self, name: str, steps: tuple[int, int], threads: int = 1, state: str = "state") -> Path:
        output, weights = self.folder / name, self.built.weights
        places = (self.folder / "input", output, self.folder / state)
        run_columns(self.built.host, weights, *places, steps, threads=threads)
        return output


def ran(built: Built, start: Start, folder: Path, climate: Climate | None = None) -> xr.Dataset:
    output = Here(built, start, folder, climate)("output", (1, start.steps))
    return history(start, output, emulator=NAME)


def since(run: xr.Dataset, name: str) -> np.ndarray:
    values: np.ndarray = run[name].values[1:]
    return values


def test_the_run_is_valid(run: xr.Dataset) -> None:
    assert dict(run.sizes) == {"time": 13, "member": MEMBERS, "level": 44}
    assert all(np.isfinite(run[name].values).all() for name in run.data_vars)
    assert since(run, "LEAST_VAPOUR").min() >= 0
    assert run["QCLOUD"].min() >= 0
    assert since(run, "UNSOUND").sum() == 0
    # otherwise the other tests have no effect
    for name in ("SHALLOW", "DEEP", "RAIN_CU", "RAIN_LS", "EVAPORATED_RAIN"):
        assert since(run, name).sum() > 0, name


def test_water_closes(run: xr.Dataset) -> None:
    change = np.diff(run["WATER"].values, axis=0)
    come = since(run, "EVAPORATION") - since(run, "RAIN_LS") + since(run, "WATER_CU")
    assert np.abs(change - come).max() < 1e-14 * run["WATER"].values.max()
    # what tendencies take away falls as rain: the interface is in single precision
    rain = since(run, "RAIN_CU")
    assert np.abs(since(run, "WATER_CU") + rain).max() < 4e-7 * rain.max()


def test_enthalpy_closes(run: xr.Dataset) -> None:
    change = np.diff(run["ENTHALPY"].values, axis=0)
    come = since(run, "SENSIBLE") + LV * since(run, "EVAPORATION") + since(run, "RADIATION")
    come += since(run, "ENTHALPY_CU")
    assert np.abs(change - come).max() < 1e-13 * run["ENTHALPY"].values.max()
    # the balance of the scheme bounds that of the emulator
    share = since(run, "SCHEME_CU").sum() / since(run, "ABSOLUTE_CU").sum()
    assert abs(share) < 0.03


def test_the_sums_are_those_of_the_profiles(run: xr.Dataset) -> None:
    mass = run["MASS"].values
    water = (run["QVAPOR"].values + run["QCLOUD"].values) @ mass
    np.testing.assert_allclose(run["WATER"].values, water, rtol=1e-13)
    heat = (1004.5 * run["T"].values + LV * run["QVAPOR"].values) @ mass
    np.testing.assert_allclose(run["ENTHALPY"].values, heat, rtol=1e-13)


@pytest.mark.parametrize("threads", [2, 3, 9])
def test_threads_do_not_change_the_bits(
    built: Built, start: Start, run: xr.Dataset, tmp_path: Path, threads: int
) -> None:
    output = Here(built, start, tmp_path)("output", (1, start.steps), threads)
    again = history(start, output, emulator=NAME)
    xr.testing.assert_identical(run, again)


@pytest.mark.parametrize("stop", [7, 216, 1000])
def test_a_restarted_run_has_the_same_bits(
    built: Built, start: Start, run: xr.Dataset, tmp_path: Path, stop: int
) -> None:
    """The run stops while columns are held, within an interval, and at a record."""
    here = Here(built, start, tmp_path)
    parts = here("first", (1, stop)), here("second", (stop + 1, start.steps), 2)
    xr.testing.assert_identical(run, history(start, *parts, emulator=NAME))
    whole = here("whole", (1, start.steps), 2, "state of the whole")
    assert whole.stat().st_size > 10_000
    assert (here.folder / "state").read_bytes() == (here.folder / "state of the whole").read_bytes()


def test_a_member_does_not_depend_on_the_others(
    built: Built, columns: xr.Dataset, run: xr.Dataset, tmp_path: Path
) -> None:
    fewer = Start.of(columns, days=0.5, members=2, seed=11, hours=3.0)
    records = ran(built, fewer, tmp_path)
    xr.testing.assert_identical(records, run.isel(time=slice(None, 5), member=slice(None, 2)))


def test_tendencies_are_held_as_in_wrf(built: Built, columns: xr.Dataset, tmp_path: Path) -> None:
    """Tendencies change at calls, every sixth step, and end after their time, and at no other step."""
    each = Start.of(columns, days=1, members=MEMBERS, seed=11, hours=50 / 3600)
    records = ran(built, each, tmp_path)
    heating = since(records, "HEATING_CU")
    assert since(records, "LIMITED").sum() == 0
    step = np.arange(2, len(heating) + 1)
    changed = (np.diff(heating, axis=0) != 0).any(2)
    over = (heating[1:] == 0).all(2)
    called = (step % 6 == 0)[:, None]
    assert not (changed & ~called & ~over).any()
    assert (changed & called).any()
    assert (changed & over & ~called).sum() > 0  # deep ones end where they end
    evaluated = since(records, "EVALUATED")[1:]
    assert not evaluated[step % 6 != 0].any()
    assert (evaluated[step % 6 == 0] == 0).any()  # some are held


def test_w0avg_has_the_spread_of_the_sample(built: Built, columns: xr.Dataset, tmp_path: Path) -> None:
    many = Start.of(columns, days=2, members=60, seed=13, hours=6.0)
    records = ran(built, many, tmp_path)
    spread = records["W0AVG"].values[3:].std((0, 1))
    np.testing.assert_allclose(spread, columns["W0AVG"].values.std(0), rtol=0.15)


def test_rain_follows_the_cooling(built: Built, columns: xr.Dataset, tmp_path: Path) -> None:
    """Convection balances the radiative cooling."""
    rained = []
    for cooling in (0.5, 3.0):
        begin = Start.of(columns, days=2, members=MEMBERS, seed=11)
        records = ran(built, begin, tmp_path, Climate(cooling=cooling))
        rained.append(since(records, "RAIN_CU").sum())
    assert rained[1] > 1.2 * rained[0]


def test_without_vapour_nothing_rains(built: Built, start: Start, tmp_path: Path) -> None:
    dry = replace(start, vapour=np.zeros_like(start.vapour), steps=432)
    records = ran(built, dry, tmp_path, Climate(exchange=1e-5))
    assert since(records, "RAIN_CU").sum() == since(records, "RAIN_LS").sum() == 0
    assert since(records, "LEAST_VAPOUR").min() >= 0


def test_novel_features(run: xr.Dataset) -> None:
    emulator = Emulator.load("mskf-convrad")
    features = novel_features(emulator, run, most=100)
    assert all(x.name in (*CHANNELS, *SCALARS) and 0 < x.share <= 1 < x.novelty for x in features)
    assert [x.share for x in features] == sorted((x.share for x in features), reverse=True)
    hot = run.assign(T=run["T"] + 15.0, QVAPOR=2.2 * run["QVAPOR"])
    far = {x.name: x for x in novel_features(emulator, hot, most=100)}
    assert far["t_lcl"].share > 0.9
    assert str(far["t_lcl"]).startswith("t_lcl: in ")
    profiles = [x for x in far.values() if x.low is not None and x.high is not None]
    assert {x.name for x in profiles} == set(far) & set(CHANNELS)
    assert "water" in far
    assert str(far["water"]).startswith("water at ")
    lowest, highest = run["PRESSURE"].values[[-1, 0]] / 100.0
    assert all(lowest < x.low <= x.high < highest + 20.0 for x in profiles)
    assert novel_features(emulator, run.assign(QVAPOR=run["QVAPOR"] * 0), most=100) == []  # none rises


@pytest.mark.parametrize(
    ("steps", "spoil", "message"),
    [
        ((0, 5), "", "FIRST to LAST are to lie within 1 to 2592"),
        ((1, 10**6), "", "FIRST to LAST are to lie within 1 to 2592"),
        ((9, 8), "", "FIRST to LAST are to lie within 1 to 2592"),
        ((2, 8), "", "cannot open the state"),
        ((3, 8), "state", "is not the state before FIRST"),
        ((2, 8), "half a state", "ends too early"),
        ((2, 8), "another state", "is no state of these columns"),
        ((1, 8), "half an input", "ends too early"),
        ((1, 8), "another input", "is no input of this version and byte order"),
        ((1, 8), "no input", "cannot open"),
        ((1, 8), "weights", "mskf.nc"),
    ],
)
def test_errors_of_the_host_are_one_line(
    built: Built, start: Start, tmp_path: Path, steps: tuple[int, int], spoil: str, message: str
) -> None:
    here = Here(built, start, tmp_path)
    given, state = tmp_path / "input", tmp_path / "state"
    if "state" in spoil:
        here("before", (1, 1))
    content = state.read_bytes() if state.exists() else b""
    if spoil == "half a state":
        state.write_bytes(content[:1000])
    elif spoil == "another state":
        state.write_bytes(content[:4] + b"\x07" + content[5:])
    elif spoil == "half an input":
        given.write_bytes(given.read_bytes()[:-8])
    elif spoil == "another input":
        given.write_bytes(given.read_bytes()[::-1])
    elif spoil == "no input":
        given.unlink()
    elif spoil == "weights":
        here.built = built._replace(weights=tmp_path / "mskf.nc")
    with pytest.raises(SciMLError) as error:
        here("output", steps)
    assert message in str(error.value)
    assert str(error.value).startswith("column_host: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "numbers",
    [{"members": 0}, {"days": 0.1}, {"days": float("nan")}, {"spread": 1.5}, {"hours": 0.0}, {"seed": -1}],
    ids=str,
)
def test_no_run(columns: xr.Dataset, numbers: dict[str, float]) -> None:
    with pytest.raises(InputError) as error:
        Start.of(columns, **numbers)  # type: ignore[arg-type]
    assert "give" in str(error.value)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"sst": 28.0}, "sst = 28.0: give a number from 250 to 320"),
        ({"wind": float("nan")}, "wind = nan: give"),
        ({"rain_time": 0.0}, "rain_time = 0.0: give"),
    ],
)
def test_no_climate(numbers: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Climate(**numbers)


def test_outputs_of_other_columns(built: Built, start: Start, tmp_path: Path) -> None:
    output = Here(built, start, tmp_path)("output", (1, 216))
    assert history(start, output).sizes["time"] == 2
    for spoilt in (output.read_bytes()[:-4], b"\0" * 80 + output.read_bytes()[80:]):
        output.write_bytes(spoilt)
        with pytest.raises(InputError, match="not those of these columns"):
            history(start, output)


def command(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["coupling", "rce", *map(str, words)])


def test_the_command(built: Built, tmp_path: Path) -> None:
    names = ("rce.nc", "rce.png", "rce.json")
    output, picture, summary = (tmp_path / name for name in names)
    words = (built.library.parent, "--days", "1", "--members", "4", "--seed", "11", "--threads", "1")
    shown = command(*words, "-o", output, "--figure", picture, "--json", summary)
    assert shown.exit_code == 0, shown.output
    assert shown.output.splitlines()[-1].startswith("verdict: ok")
    assert picture.read_bytes()[:4] == b"\x89PNG"
    numbers = json.loads(summary.read_text())
    assert (numbers["members"], numbers["days"], numbers["calls refused"]) == (4, 1.0, 0)
    with xr.open_dataset(output) as written:
        assert dict(written.sizes) == {"time": 5, "member": 4, "level": 44}
    again = command(*words, "--json", summary)
    assert again.output.splitlines()[1:] == shown.output.splitlines()[1:]  # all but the time it took
    repeated = json.loads(summary.read_text())
    del numbers["sciml_provenance"], repeated["sciml_provenance"]  # with the time
    assert repeated == numbers


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("{tmp}",), "no library"),
        (("{tmp}/nowhere",), "is not a folder"),
        (("{built}", "-o", "{tmp}"), "is a folder"),
        (("{built}", "-o", "{tmp}/a", "--json", "{tmp}/a"), "two different files"),
        (("{built}", "--sst", "27"), "sst = 27"),
        (("{built}", "--file", "{tmp}/no.nc"), "no.nc"),
        (("{built}", "--days", "1", "--json", "{built}/mskf.nc/x"), "not a folder"),
    ],
)
def test_errors_of_the_command_are_one_line(
    built: Built, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    places = {"tmp": tmp_path, "built": built.library.parent}
    shown = command(*(word.format(**places) for word in words))
    assert shown.exit_code == 2
    assert message in shown.stderr
    assert len(shown.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())
