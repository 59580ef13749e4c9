"""Captures of a run that is killed, statistics that are written early, and files that cannot be written."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import sciml
from sciml.verify.library.mode_statistics import read_statistics
from tests.coupling.conftest import Settings
from tests.coupling.standin import STEPS, run, same_bits

pytestmark = [pytest.mark.native, pytest.mark.xdist_group("standin")]


def loaded(path: Path) -> xr.Dataset:
    with xr.open_dataset(path, decode_times=False) as ds:
        whole: xr.Dataset = ds.load()
    return whole


def columns_in(path: Path) -> int:
    """Return the number of records in the header of a file; 0 without a file."""
    if not path.exists():
        return 0
    with path.open("rb") as file:
        return int.from_bytes(file.read(8)[4:], "big")


@pytest.mark.parametrize("signalled", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_leaves_its_captures(
    host: Path, state: Path, settings: Settings, tmp_path: Path, signalled: signal.Signals
) -> None:
    """After Ctrl-C or a signal that cannot be handled, the file has all columns of the calls before."""
    given = settings("capture", interval=1e6, capture_columns=100000)
    whole = run(host, tmp_path / "whole", given, state=state, steps=STEPS, kf_edrates=True)
    (path,) = whole.directory.glob("sciml_mskf_capture_*.nc")
    expected = loaded(path)
    there = tmp_path / "killed"
    run(host, there, given, state=state, steps=0, kf_edrates=True)  # writes the namelists
    text = (there / "standin.nml").read_text()
    (there / "standin.nml").write_text(text.replace("steps = 0", "steps = 100000"))
    captured = there / path.name
    with subprocess.Popen([str(host), "standin.nml"], cwd=there, stderr=subprocess.DEVNULL) as process:
        enough, deadline = expected.sizes["column"], time.monotonic() + 60
        while columns_in(captured) < enough and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.002)
        process.send_signal(signalled)
    captured_columns = loaded(captured)
    assert captured_columns.sizes["column"] >= enough
    assert captured_columns.isel(column=slice(0, enough)).equals(expected)
    assert captured_columns.attrs == expected.attrs
    steps, counts = np.unique(captured_columns["ITIMESTEP"].values, return_counts=True)
    assert len(steps) >= STEPS / 6 and (counts > 0).all()
    assert sciml.convection_columns(captured_columns).sizes["column"] == captured_columns.sizes["column"]


@pytest.mark.mpi
def test_mpi_abort_leaves_the_captures_of_all_ranks(
    host_on_ranks: Path, state: Path, settings: Settings, tmp_path: Path
) -> None:
    """The files have the columns of all calls before the abort, as those of a run that ends there."""
    given = settings("capture", interval=1e6, capture_columns=100000)
    options = dict(state=state, steps=STEPS, ranks=2, kf_edrates=True)
    whole = run(host_on_ranks, tmp_path / "whole", given, **options)
    cut = run(host_on_ranks, tmp_path / "cut", given, **options, abort_step=STEPS // 2, check=False)
    assert cut.code == 9 and "FATAL: standin: aborts" in cut.stdout
    names = {path.name for path in whole.directory.glob("sciml_mskf_capture_*.nc")}
    assert len(names) == 2
    assert {path.name for path in cut.directory.glob("sciml_mskf_capture_*.nc")} == names
    for name in names:
        expected, left = loaded(whole.directory / name), loaded(cut.directory / name)
        before = int((expected["ITIMESTEP"] <= STEPS // 2).sum())
        assert 0 < before < expected.sizes["column"]
        assert left.equals(expected.isel(column=slice(0, before)))


def test_the_file_is_complete_after_every_record(
    host: Path, state: Path, settings: Settings, tmp_path: Path
) -> None:
    """While the file grows, its first columns do not change, and its size agrees with its header."""
    done = run(host, tmp_path, settings("capture"), state=state, steps=STEPS, tile=(7, 5), kf_edrates=True)
    (path,) = done.directory.glob("sciml_mskf_capture_*.nc")
    expected, content = loaded(path), path.read_bytes()
    count = expected.sizes["column"]
    record = sum(int(x.values[0].nbytes) for x in expected.data_vars.values())
    begin = len(content) - count * record
    assert 2000 < begin < 10000
    short = tmp_path / "short.nc"
    # killed between the records and their number: a few bytes too many
    short.write_bytes(content[:4] + (17).to_bytes(4, "big") + content[8 : begin + 17 * record + 5])
    assert loaded(short).equals(expected.isel(column=slice(0, 17)))


def test_intervals_are_files(host: Path, state: Path, settings: Settings, tmp_path: Path) -> None:
    """The files of the intervals have the columns of one file together."""
    options = dict(state=state, steps=STEPS, kf_edrates=True)
    single = run(host, tmp_path / "one", settings("capture", interval=1e6), **options)
    many = run(host, tmp_path / "many", settings("capture", interval=5), **options)
    (whole,) = single.directory.glob("sciml_mskf_capture_*.nc")
    parts = [loaded(path) for path in sorted(many.directory.glob("sciml_mskf_capture_*.nc"))]
    assert len(parts) > 2
    assert xr.concat(parts, "column").equals(loaded(whole))


def test_rates_are_captured_if_the_host_has_them(
    host: Path, state: Path, settings: Settings, tmp_path: Path
) -> None:
    names = {"UDR_KF", "DDR_KF", "UER_KF", "DER_KF", "TIMEC_KF"}
    for wanted in (True, False):
        where = tmp_path / str(wanted)
        run(host, where, settings("capture"), state=state, steps=1, kf_edrates=wanted)
        (path,) = where.glob("sciml_mskf_capture_*.nc")
        assert names & set(loaded(path).data_vars) == (names if wanted else set())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_ends_the_capture_alone(
    host: Path, state: Path, settings: Settings, plain: xr.Dataset, tmp_path: Path
) -> None:
    """There is one message, and the fields are those of the host without the library, bit for bit."""
    named = run(host, tmp_path / "named", settings("capture"), state=state, steps=1, kf_edrates=True)
    (path,) = named.directory.glob("sciml_mskf_capture_*.nc")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / path.name).symlink_to("/dev/full")
    done = run(host, tmp_path / "full", settings("capture"), state=state, steps=STEPS, kf_edrates=True)
    assert same_bits(plain, done.history) == []
    assert done.stderr.count("WARNING: cannot write") == 1
    assert "No space left" in done.stderr


def test_statistics_count_once(host: Path, state: Path, settings: Settings, tmp_path: Path) -> None:
    """Intervals add up to the whole."""
    options = dict(state=state, steps=STEPS)
    single = run(host, tmp_path / "one", settings("guard", interval=1e6), **options)
    many = run(host, tmp_path / "many", settings("guard", interval=5), **options)
    whole = read_statistics(single.directory.glob("sciml_mskf_guard_*.nc"))
    parts = read_statistics(many.directory.glob("sciml_mskf_guard_*.nc"))
    assert parts.files > whole.files == 1
    for name in ("COLUMNS", "HELD", "NOVEL", "RETURNED"):
        assert parts.sums[name] == whole.sums[name] > 0
