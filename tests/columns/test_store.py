from __future__ import annotations

import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr

from sciml.columns import blocks, convection_columns, count_classes
from sciml.columns import write as ingest
from sciml.columns.blocks import CHUNK, put_chunks
from sciml.columns.classes import Classes
from sciml.columns.open import open_columns, write_columns
from sciml.columns.plan import count_slabs, describe_sources, slabs_of
from sciml.errors import InputError, MissingVariable, SchemaError
from sciml.parallel import cluster
from sciml.progress import Bar, Lines
from sciml.storage.partial import claimed
from sciml.wrf import LossyInput, open_wrfout
from sciml.wrf.hyperslab import close_files
from tests.paths import SAMPLE_OFFLINE, SAMPLE_WRFOUT, SHARED

Writer = Callable[[xr.Dataset, str], Path]
SMALL = 600_000  # bytes in a block, few enough for several blocks of a small file


def _digest(store: Path) -> str:
    """One hash over the names and the bytes of all files."""
    whole = hashlib.sha256()
    for file in sorted(f for f in store.rglob("*") if f.is_file()):
        whole.update(str(file.relative_to(store)).encode() + file.read_bytes())
    return whole.hexdigest()


def _same(a: xr.Dataset, b: xr.Dataset) -> None:
    assert set(a.variables) == set(b.variables)
    for name in a.variables:
        np.testing.assert_array_equal(a[name].values, b[name].values, err_msg=str(name))
        assert a[name].dtype == b[name].dtype, name


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "sample.zarr"
    write_columns(SAMPLE_WRFOUT, path, truth=SAMPLE_OFFLINE, workers=1, block_bytes=2 << 20)
    return path


def test_a_store_contains_the_columns(store: Path) -> None:
    read = open_columns(store)
    assert read["T_PHY"].chunks is not None
    made = convection_columns(open_wrfout(SAMPLE_WRFOUT, chunks=None), SAMPLE_OFFLINE)
    _same(read.compute(), made)
    assert {k: read.attrs[k] for k in ("DX", "DT", "CUDT", "STEPCU")} == {
        k: made.attrs[k] for k in ("DX", "DT", "CUDT", "STEPCU")
    }
    assert read["KIND"].attrs["flag_meanings"] == "unknown none shallow deep held"
    _same(convection_columns(read, keep="pairs").compute(), made)


def test_chunks_are_those_of_zarr(store: Path, tmp_path: Path) -> None:
    ours = zarr.open_array(store / "T_PHY", mode="r")
    assert ours.chunks == (CHUNK, 44)
    copy = zarr.create_array(
        tmp_path / "copy", shape=ours.shape, chunks=ours.chunks, dtype="float32", compressors=ours.compressors
    )
    copy[:] = ours[:]
    assert (tmp_path / "copy" / "c" / "0" / "0").read_bytes() == (store / "T_PHY" / "c.0.0").read_bytes()


def test_partial_chunks_are_filled(tmp_path: Path) -> None:
    values = np.arange(5, dtype="f4")
    put_chunks(tmp_path, "x", 0, values, 4)
    put_chunks(tmp_path, "x", 8, np.zeros(4, "f4"), 4)
    assert sorted(p.name for p in (tmp_path / "x").iterdir()) == ["c.0", "c.1"]


@pytest.mark.parametrize("total", [1, CHUNK - 1, CHUNK, 3 * CHUNK + 5])
@pytest.mark.parametrize("step", [700, CHUNK, CHUNK + 900, 5 * CHUNK])
def test_pieces_cover_the_store_once(total: int, step: int) -> None:
    covered = np.zeros(total, int)
    for first in range(0, total, step):
        last = min(first + step, total)
        inner, edges = blocks._split(first, last, total)
        for a, b in edges:
            assert a // CHUNK == (b - 1) // CHUNK
            covered[a:b] += 1
        if inner:
            assert inner[0] % CHUNK == 0
            assert inner[1] % CHUNK == 0 or inner[1] == total
            covered[slice(*inner)] += 1
    assert (covered == 1).all()


def test_the_blocks_do_not_change_the_store(frames: xr.Dataset, write: Writer, tmp_path: Path) -> None:
    """Blocks by rows, by frames or whole, from a file or from three, give the same columns and classes."""
    whole = write(frames, "wrfout_d01_whole")
    pieces = [write(frames.isel(Time=[k]), f"wrfout_d01_2007-06-10_11:{30 + 5 * k}:00") for k in range(3)]
    assert slabs_of(describe_sources(whole, None, None)[0], 100_000)[0].rows is not None
    stores = [tmp_path / f"{k}.zarr" for k in range(4)]
    for path, size in zip(stores, (100_000, SMALL, 1 << 30), strict=False):
        write_columns(whole, path, workers=1, block_bytes=size)
    result = write_columns(pieces, stores[3], workers=1)
    assert _digest(stores[0]) == _digest(stores[1]) == _digest(stores[2])
    assert result.held > 0
    _same(open_columns(stores[3]).compute(), open_columns(stores[0]).compute())
    _same(open_columns(whole).compute(), open_columns(stores[0]).compute())
    _same(open_columns(pieces).compute(), open_columns(stores[0]).compute())


def test_held_columns_are_left_out_or_marked(frames: xr.Dataset, write: Writer, tmp_path: Path) -> None:
    file = write(frames, "wrfout_d01_held")
    result = write_columns(file, tmp_path / "pairs.zarr", workers=1)
    write_columns(file, tmp_path / "all.zarr", workers=1, keep="all")
    pairs, everything = open_columns(tmp_path / "pairs.zarr"), open_columns(tmp_path / "all.zarr", keep="all")
    assert pairs.sizes["column"] == result.pairs < result.total == everything.sizes["column"]
    assert pairs.attrs["classes"]["held"] == result.held == count_classes(everything).held > 0
    assert count_classes(pairs).held == 0
    assert open_columns(tmp_path / "all.zarr").sizes["column"] == result.pairs


@pytest.mark.dask
def test_the_same_bytes_from_two_workers(store: Path, tmp_path: Path) -> None:
    with cluster.client(n_workers=2) as client:
        path = tmp_path / "two.zarr"
        write_columns(SAMPLE_WRFOUT, path, truth=SAMPLE_OFFLINE, block_bytes=2 << 20)
        assert len(client.nthreads()) == 2
    assert _digest(path) == _digest(store)


@pytest.mark.shared
def test_all_forms_in_one_store(tmp_path: Path) -> None:
    folder = SHARED / "wrf" / "train"
    files = [folder / f"{n}.nc" for n in ("mskf_io_convrad_train3", "wrfout_d01_convrad_train1")]
    truth = folder / "mskf_offline_convrad_train1.nc"
    result = write_columns(files, tmp_path / "mixed.zarr", truth=truth, workers=1)
    read = open_columns(tmp_path / "mixed.zarr")
    assert read.sizes["column"] == result.pairs == 8025 + 13824
    assert set(np.unique(read["RUN"].values)) == {1, 3}
    _same(read.compute(), open_columns(files, truth=truth).compute())


def _interrupted_after(monkeypatch: pytest.MonkeyPatch, number: int, error: BaseException) -> list[int]:
    """Let the block after so many fail; return the list of finished blocks."""
    done: list[int] = []
    real = ingest.write_block

    def writing(item: Any) -> Any:
        if len(done) == number:
            raise error
        done.append(item[2].number)
        return real(item)

    monkeypatch.setattr(ingest, "write_block", writing)
    return done


def test_resume_after_ctrl_c(
    frames: xr.Dataset, write: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(frames, "wrfout_d01_long")
    write_columns(file, tmp_path / "whole.zarr", workers=1, block_bytes=SMALL)
    path = tmp_path / "cut.zarr"
    with monkeypatch.context() as patch:
        first = _interrupted_after(patch, 2, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            write_columns(file, path, workers=1, block_bytes=SMALL)
    assert not path.exists()
    with monkeypatch.context() as patch:
        second = _interrupted_after(patch, 999, KeyboardInterrupt())
        write_columns(file, path, workers=1, block_bytes=SMALL)
    assert not set(first) & set(second)
    assert _digest(path) == _digest(tmp_path / "whole.zarr")
    assert sorted(p.name for p in tmp_path.glob("cut*")) == ["cut.zarr"]


def test_resume_after_a_full_disk(
    frames: xr.Dataset, write: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(frames, "wrfout_d01_full")
    write_columns(file, tmp_path / "whole.zarr", workers=1, block_bytes=SMALL)
    path = tmp_path / "cut.zarr"
    with monkeypatch.context() as patch:
        _interrupted_after(patch, 1, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        with pytest.raises(OSError, match="No space left") as caught:
            write_columns(file, path, workers=1, block_bytes=SMALL)
    assert caught.value.filename.endswith("cut.zarr.partial")
    assert not path.exists()
    write_columns(file, path, workers=1, block_bytes=SMALL)
    assert _digest(path) == _digest(tmp_path / "whole.zarr")


def test_a_limit_on_the_size_of_files(tmp_path: Path) -> None:
    """The kernel enforces a limit on the size of files, and the command prints one line."""
    code = (
        "import resource, signal\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))\n"
        "from sciml.cli import main\n"
        f"main(['wrf', 'columns', {str(SAMPLE_WRFOUT)!r}, '-o', {str(tmp_path / 'x.zarr')!r}, '--workers', '1'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert "x.zarr" in done.stderr
    assert not (tmp_path / "x.zarr").exists()


def test_ctrl_c_on_the_command_line(frames: xr.Dataset, write: Writer, tmp_path: Path) -> None:
    file = write(frames, "wrfout_d01_line")
    path = tmp_path / "line.zarr"
    code = (
        "import sys, time\nfrom sciml.columns import write as ingest\nreal = ingest.write_block\n"
        "def slowly(item):\n    time.sleep(0.4)\n    return real(item)\n"
        "ingest.write_block = slowly\nfrom sciml.columns.write import write_columns\nfrom sciml.cli import main\n"
        "import functools\ningest.BLOCK_BYTES = 1\n"
        "ingest.write_columns = functools.partial(write_columns, block_bytes=100_000)\n"
        "main(sys.argv[1:])\n"
    )
    arguments = ["wrf", "columns", str(file), "-o", str(path), "--workers", "1"]
    running = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    done = tmp_path / "line.zarr.partial" / "done"
    for _ in range(600):
        if done.is_dir() and any(p.suffix == ".npz" for p in done.iterdir()):
            break
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=60)
    assert running.returncode == 130, errors
    assert "interrupted" in errors
    assert "Traceback" not in errors
    assert not path.exists()
    write_columns(file, path, workers=1, block_bytes=100_000)
    write_columns(file, tmp_path / "whole.zarr", workers=1)
    assert _digest(path) == _digest(tmp_path / "whole.zarr")


def test_existing_files_are_not_overwritten(frames: xr.Dataset, write: Writer, tmp_path: Path) -> None:
    file, path = write(frames, "wrfout_d01_a"), tmp_path / "a.zarr"
    result = write_columns(file, path, workers=1)
    before = (path / "zarr.json").stat().st_mtime_ns
    assert write_columns(file, path, workers=1) == result
    assert (path / "zarr.json").stat().st_mtime_ns == before
    with pytest.raises(InputError, match="exists"):
        write_columns(file, path, workers=1, keep="all")
    write_columns(file, path, workers=1, keep="all", overwrite=True)
    assert open_columns(path, keep="all").sizes["column"] == result.total
    with pytest.raises(InputError, match="no folder"):
        write_columns(file, tmp_path / "not" / "there.zarr", workers=1)


def test_only_a_store_is_replaced(frames: xr.Dataset, write: Writer, tmp_path: Path) -> None:
    file = write(frames, "wrfout_d01_a")
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").write_text("years")
    (tmp_path / "note").write_text("unchanged")
    (tmp_path / "new.zarr.partial").mkdir()
    (tmp_path / "new.zarr.partial" / "thesis.tex").write_text("more years")
    before = sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*"))
    for name, why in (
        ("thesis", r"not a store of columns \(it contains thesis\.tex\)"),
        (".", "contains an input"),
        ("note", "note is not a store"),
        ("new.zarr", r"in the way.*thesis\.tex"),
    ):
        with pytest.raises(InputError, match=why):
            write_columns(file, tmp_path / name, workers=1, overwrite=True)
    assert sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*")) == before


def test_one_writer_at_a_time(frames: xr.Dataset, write: Writer, tmp_path: Path) -> None:
    file, path = write(frames, "wrfout_d01_a"), tmp_path / "a.zarr"
    with claimed(path.resolve(), "store"):
        with pytest.raises(
            InputError, match=rf"another process \({os.getpid()} on .*\) is writing .*a\.zarr"
        ):
            write_columns(file, path, workers=1)
        assert (tmp_path / ".a.zarr.lock").exists()
    assert not list(tmp_path.glob("a.zarr*"))
    write_columns(file, path, workers=1)
    assert [p.name for p in tmp_path.glob("a.zarr*")] == ["a.zarr"]


def test_a_store_of_another_process_is_not_replaced(
    frames: xr.Dataset, write: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process may finish between the check and the lock."""
    file, other, path = write(frames, "wrfout_d01_a"), write(frames, "wrfout_d01_b"), tmp_path / "x.zarr"
    real = ingest.claimed

    def late(output: Path, what: str) -> Any:
        monkeypatch.setattr(ingest, "claimed", real)
        write_columns(other, path, workers=1)
        return real(output, what)

    monkeypatch.setattr(ingest, "claimed", late)
    with pytest.raises(InputError, match="exists"):
        write_columns(file, path, workers=1)
    assert open_columns(path).attrs["SOURCE"] == "wrfout_d01_b"
    assert not (tmp_path / "x.zarr.partial").exists()


def test_a_file_changed_in_its_middle(frames: xr.Dataset, write: Writer, tmp_path: Path) -> None:
    """In WRF's uncompressed output head and tail are static fields, so a repeated run differs only in the middle."""
    file, path = write(frames, "wrfout_d01_a"), tmp_path / "a.zarr"
    content = bytearray(file.read_bytes())
    assert len(content) > 2 << 18
    write_columns(file, path, workers=1)
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))
    with pytest.raises(InputError, match="exists"):
        write_columns(file, path, workers=1)


def _counts(files: Any) -> dict[str, int]:
    result = sum(
        (count_slabs(s, 1 << 30, "all")[1] for s in describe_sources(files, None, None)), Classes(0, 0, 0)
    )
    close_files()
    return {**vars(result), "pairs": result.pairs, "total": result.total}


def test_a_frame_is_used_once(frames: xr.Dataset, write: Writer, tmp_path: Path) -> None:
    whole = _counts(write(frames, "wrfout_d01_2007-06-10_11:30:00"))
    inner = write(frames.isel(Time=[1]), "wrfout_d01_2007-06-10_11:35:00")
    late = write(frames.isel(Time=[2]), "wrfout_d01_2007-06-10_11:40:00")
    early = tmp_path / "wrfout_d01_2007-06-10_11:30:00"
    # contained in another, and given in any order
    for files in ([early, inner], [inner, early], [late, inner, early]):
        assert _counts(files) == whole
    first = write(frames.isel(Time=[0, 1]), "wrfout_d01_2007-06-10_11:30:00")
    assert _counts([late, first]) == whole
    # the same run in two folders, and a copy under another name
    (tmp_path / "seg2").mkdir()
    again = write(frames.isel(Time=[1, 2]), "seg2/wrfout_d01_2007-06-10_11:35:00")
    with pytest.warns(UserWarning, match="1 frames of .*seg2.* in other files too"):
        assert _counts([first, again]) == whole
    with pytest.warns(UserWarning, match="2 frames of .*copy.* in other files too"):
        assert _counts([first, late, write(frames.isel(Time=[0, 2]), "wrfout_d01_copy")]) == whole


def test_two_experiments_are_two_runs(frames: xr.Dataset, write: Writer) -> None:
    """Two runs in one folder with the same initial state share neither frames nor NCA."""
    warm = frames["W0AVG"] * np.float32(1.01)
    hot = frames.assign(W0AVG=frames["W0AVG"].where(np.arange(3)[:, None, None, None] == 0, warm))
    first, second = write(frames, "wrfout_d01_ctl"), write(hot, "wrfout_d01_hot")
    alone = [_counts(file) for file in (first, second)]
    both = _counts([first, second])
    assert both == {name: alone[0][name] + alone[1][name] for name in both}
    assert [s.before for s in describe_sources([first, second], None, None)] == ["", ""]


def test_frames_out_of_order(frames: xr.Dataset, write: Writer) -> None:
    with pytest.raises(InputError, match=r"frame 2 \(2007-06-10T11:30:00\) does not come after frame 1"):
        describe_sources(write(frames.isel(Time=[1, 2, 0]), "wrfout_d01_mixed"), None, None)
    with pytest.raises(InputError, match="sort its frames by time, each once"):
        describe_sources(write(frames.isel(Time=[0, 0, 1]), "wrfout_d01_twice"), None, None)


def test_another_plan_does_not_resume_the_old_one(
    frames: xr.Dataset, write: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.zarr"
    with monkeypatch.context() as patch:
        _interrupted_after(patch, 1, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            write_columns(write(frames, "wrfout_d01_old"), path, workers=1, block_bytes=SMALL)
    other = write(frames.assign(T=frames["T"] + np.float32(1)), "wrfout_d01_old")
    write_columns(other, path, workers=1)
    assert open_columns(path)["T_PHY"].values[0, 0] > 300


def test_a_store_of_another_schema(store: Path, tmp_path: Path, frames: xr.Dataset, write: Writer) -> None:
    path = tmp_path / "other.zarr"
    write_columns(write(frames, "wrfout_d01_s"), path, workers=1)
    about = json.loads((path / "zarr.json").read_text())
    about["attributes"]["sciml_schema"] = 99
    (path / "zarr.json").write_text(json.dumps(about))
    with pytest.raises(SchemaError, match="schema 99"):
        open_columns(path)
    del about["attributes"]["sciml_schema"]
    (path / "zarr.json").write_text(json.dumps(about))
    with pytest.raises(SchemaError, match="not one of columns"):
        open_columns(path)
    (path / "zarr.json").write_text("{")
    with pytest.raises(InputError, match=r"other\.zarr"):
        open_columns(path)


def test_nan_writes_nothing(frames: xr.Dataset, write: Writer, tmp_path: Path) -> None:
    broken = frames.copy(deep=True)
    broken["QVAPOR"].values[2, 7, 1, 1] = np.nan
    with pytest.raises(InputError, match=r"QVAPOR of wrfout_d01_nan contains 1 NaN"):
        write_columns(write(broken, "wrfout_d01_nan"), tmp_path / "x.zarr", workers=1, keep="all")
    assert not list(tmp_path.glob("x.zarr*"))


def test_bad_input_of_a_store(frames: xr.Dataset, answers: xr.Dataset, write: Writer, tmp_path: Path) -> None:
    out = tmp_path / "x.zarr"
    with pytest.raises(MissingVariable, match=r"W0AVG.*\+:h:0:W0AVG"):
        write_columns(write(frames.drop_vars("W0AVG"), "wrfout_d01_w"), out, workers=1)
    between = frames.assign(ITIMESTEP=frames["ITIMESTEP"] + 1)
    with pytest.raises(InputError, match="none of the 432 columns"):
        write_columns(write(between, "wrfout_d01_b"), out, workers=1)
    good = write(frames, "wrfout_d01_g")
    companion = write(answers, "mskf_offline.nc")
    with pytest.raises(InputError, match="is the truth of"):
        write_columns(companion, out, workers=1)
    with pytest.raises(InputError, match="not among the wrfouts"):
        write_columns([good, write(frames, "wrfout_d01_h")], out, truth=companion, workers=1)
    with pytest.raises(InputError, match="workers=0"):
        write_columns(good, out, workers=0)
    cut = tmp_path / "wrfout_d01_cut"
    cut.write_bytes(good.read_bytes()[:-5000])
    with pytest.raises(InputError, match="wrfout_d01_cut"):
        write_columns(cut, out, workers=1)
    assert not list(tmp_path.glob("x.zarr*"))


def test_why_no_column_can_be_classified(frames: xr.Dataset, write: Writer, tmp_path: Path) -> None:
    file = write(frames.drop_vars("NCA"), "wrfout_d01_no_nca")
    with pytest.raises(
        InputError, match=r"none of the 432 columns .*no_nca: NCA is not in the file.*\+:h:0:NCA"
    ):
        write_columns(file, tmp_path / "x.zarr", workers=1)


def test_a_crop_of_the_mass_points_alone(frames: xr.Dataset, write: Writer, tmp_path: Path) -> None:
    file = write(frames.isel(west_east=slice(0, 10)), "wrfout_d01_crop")
    with pytest.raises(InputError, match=r"west_east = 10 but west_east_stag = 25"):
        write_columns(file, tmp_path / "x.zarr", workers=1)
    with pytest.raises(InputError, match="contains no columns"):
        write_columns(
            write(frames.isel(west_east=[], west_east_stag=[0]), "wrfout_d01_none"), tmp_path / "x.zarr"
        )
    assert not list(tmp_path.glob("x.zarr*"))


def test_companions_of_files_of_one_name(
    frames: xr.Dataset, answers: xr.Dataset, write: Writer, tmp_path: Path
) -> None:
    """Two members of an ensemble in two folders: each truth belongs to the wrfout in its folder."""
    named = answers.assign_attrs(SOURCE_FILE="wrfout_d01_same")
    folders = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        wrfout = write(frames.assign(T=frames["T"] + np.float32(name == "two")), f"{name}/wrfout_d01_same")
        folders.append((wrfout, write(named, f"{name}/mskf_offline.nc")))
    wrfouts, truths = zip(*folders, strict=True)
    result = describe_sources(wrfouts, truths[::-1], None)
    assert (
        [Path(s.truth).parent.name for s in result]
        == [Path(s.path).parent.name for s in result]
        == ["one", "two"]
    )
    with pytest.raises(InputError, match="2 files of that name"):
        describe_sources(wrfouts, write(named, "mskf_offline.nc"), None)


def test_lossy_input_causes_a_warning_while_writing(
    frames: xr.Dataset, write: Writer, tmp_path: Path
) -> None:
    rounded = frames.assign(W0AVG=frames["W0AVG"].round(3))
    with pytest.warns(LossyInput, match=r"wrfout_d01_r .*W0AVG: all values are multiples of 0\.001"):
        write_columns(write(rounded, "wrfout_d01_r"), tmp_path / "x.zarr", workers=1)


def test_a_bounded_number_of_tasks() -> None:
    """Dask gets only a few tasks at a time, for any number of blocks."""
    from distributed import Future

    from sciml.parallel.bounded import TaskRunner

    under_way: list[int] = []

    class Counting:
        def nthreads(self) -> dict[str, int]:
            return {"one": 1, "two": 1}

        def submit(self, function: Any, work: Any, item: Any, pure: bool) -> Any:
            under_way.append(item)
            return here.submit(function, work, item, pure=pure)

        def cancel(self, futures: list[Future]) -> None:
            assert not futures

    with cluster.client(n_workers=1, processes=False) as here:
        most = 0
        results = {}
        for count, (index, value) in enumerate(
            TaskRunner(Counting())(abs, range(40), lambda done, total: None)
        ):  # type: ignore[arg-type]
            results[index] = value
            most = max(most, len(under_way) - count)
    assert results == {k: k for k in range(40)}
    assert most <= 6


def test_progress_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with Lines(every=0.0) as progress:
        progress.stage("writing")(1, 2)
    assert "writing: 1 of 2 blocks" in capsys.readouterr().err
    with Bar() as progress:
        progress.stage("writing")(2, 2)


def test_counting_reads_only_small_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    from sciml.columns import plan

    read: list[str] = []
    real = plan.read_slab

    def reading(path: Any, names: tuple[str, ...], slab: Any = None) -> xr.Dataset:
        out = real(path, names, slab)
        read.extend(str(n) for n in out.data_vars if out[n].ndim > 3)
        return out

    monkeypatch.setattr(plan, "read_slab", reading)
    _, result = count_slabs(describe_sources(SAMPLE_WRFOUT, SAMPLE_OFFLINE, None)[0], 1 << 20, "pairs")
    assert (result.deep, read) == (812, [])


@pytest.mark.parametrize("name", ["columns.nc", "columns.NC4", "columns.h5", "columns.csv"])
def test_a_store_does_not_take_the_name_of_a_file(tmp_path, name):
    """A folder called columns.nc would later be opened as netCDF."""
    with pytest.raises(InputError, match=r"is the name of a file.* give columns\.zarr"):
        write_columns(SAMPLE_WRFOUT, tmp_path / name)
    assert not list(tmp_path.iterdir())
