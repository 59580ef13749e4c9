"""Work on a scheduler with separate worker processes that die: complete, and with the bits of one process."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dask
import distributed
import numpy as np
import pytest

import sciml
from sciml.columns.open import open_columns
from sciml.columns.write import write_columns
from sciml.convection.emulator import Emulator
from sciml.errors import ClusterError
from sciml.parallel.bounded import bounded
from sciml.pde.families import family_named
from sciml.pde.generation import generate
from sciml.pde.writing import write_dataset
from sciml.progress import StageProgress, Update
from sciml.verify.emulator.evaluate import assess
from sciml.verify.forecast.compare import compare_runs, open_source
from tests.paths import DATA, REPO, SAMPLE_OFFLINE, SAMPLE_WRFOUT

pytestmark = [
    pytest.mark.dask,
    pytest.mark.xdist_group("dask"),
    pytest.mark.skipif(not SAMPLE_WRFOUT.exists(), reason="no sample in data/"),
]
SMALL = 1 << 20  # bytes of a block: a frame of the sample


class Processes:
    """A scheduler and its workers, each a process of its own, without a nanny that would start it again."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "scheduler.json"
        self._started: list[subprocess.Popen[bytes]] = []
        self.scheduler = self._start("scheduler", "--port", "0", "--scheduler-file", str(self.file))
        deadline = time.monotonic() + 120
        while not self.file.exists():
            assert time.monotonic() < deadline and self.scheduler.poll() is None
            time.sleep(0.05)

    def _start(self, kind: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.dask_{kind}", *arguments]
        process = subprocess.Popen(
            [*command, "--no-dashboard"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": str(REPO)},
        )
        self._started.append(process)
        return process

    def add(self, count: int) -> list[subprocess.Popen[bytes]]:
        options = ("--scheduler-file", str(self.file), "--nthreads", "1", "--no-nanny")
        return [self._start("worker", *options) for _ in range(count)]

    def close(self) -> None:
        for process in self._started:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    made = Processes(tmp_path_factory.mktemp("scheduler"))
    yield made
    made.close()


@pytest.fixture
def two_workers(processes: Processes) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Two workers; those of earlier tests have ended."""
    with sciml.client(processes.file) as client:
        added = processes.add(2)
        client.wait_for_workers(2, timeout=120)
        yield added
    for process in added:
        process.kill()
        process.wait()


class Stages(StageProgress):
    """Calls a function with the number of blocks written."""

    def __init__(self, written: Callable[[int], None]) -> None:
        self._written = written

    def stage(self, name: str, unit: str = "blocks") -> Update:
        return (lambda done, total: self._written(done)) if name == "writing" else super().stage(name)


def digest(store: Path) -> str:
    whole = hashlib.sha256()
    for file in sorted(path for path in store.rglob("*") if path.is_file()):
        whole.update(str(file.relative_to(store)).encode() + file.read_bytes())
    return whole.hexdigest()


@pytest.fixture(scope="module")
def store_of_one_process(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("one") / "columns.zarr"
    write_columns(SAMPLE_WRFOUT, path, truth=SAMPLE_OFFLINE, workers=1, block_bytes=SMALL)
    return path


def test_columns(
    tmp_path: Path,
    processes: Processes,
    two_workers: list[subprocess.Popen[bytes]],
    store_of_one_process: Path,
) -> None:
    """One worker dies; later all that are left, and another comes."""
    killed = []

    def kill(done: int) -> None:
        if done == 1:
            two_workers[0].send_signal(signal.SIGKILL)
            killed.append(0)
        if done == 3:
            two_workers[1].send_signal(signal.SIGKILL)
            killed.append(1)
            two_workers.extend(processes.add(1))

    path = tmp_path / "columns.zarr"
    write_columns(SAMPLE_WRFOUT, path, truth=SAMPLE_OFFLINE, block_bytes=SMALL, progress=Stages(kill))
    assert killed == [0, 1]
    assert digest(path) == digest(store_of_one_process)
    assert [entry.name for entry in tmp_path.iterdir()] == ["columns.zarr"]


def test_generated_data(tmp_path: Path, two_workers: list[subprocess.Popen[bytes]]) -> None:
    def kill(done: int, total: int) -> None:
        if done == 4:
            two_workers[0].send_signal(signal.SIGKILL)

    dataset = generate(family_named("darcy-smooth"), 24, 31, 7, chunk=4)
    write_dataset(dataset, tmp_path / "many.zarr", progress=kill)
    assert two_workers[0].wait(60) == -signal.SIGKILL
    with dask.config.set(scheduler="synchronous"):
        write_dataset(dataset, tmp_path / "one.zarr", workers=1)
    assert digest(tmp_path / "many.zarr") == digest(tmp_path / "one.zarr")


@pytest.mark.slow
def test_evaluation_and_comparison(two_workers: list[subprocess.Popen[bytes]]) -> None:
    columns = open_columns(SAMPLE_WRFOUT, truth=SAMPLE_OFFLINE, keep="all").isel(column=slice(1000, 1900))
    emulator = Emulator.load(DATA / "mskf-convrad.sciml")
    source = open_source(SAMPLE_WRFOUT)

    def kill(done: int, total: int) -> None:
        if done == 300:
            two_workers[0].send_signal(signal.SIGKILL)

    def results(progress: Any) -> tuple[str, list[np.ndarray]]:
        evaluation = assess(columns, emulator, by=[["class"]], block=300, progress=progress)
        compared = compare_runs(source, source, resamples=20, thresholds=[0.02], scales=[1, 5])
        assert compared.profiles is not None
        arrays = [*compared.profiles.variables.values(), *compared.rain.scores.variables.values()]
        return json.dumps(evaluation.to_json()), [array.values for array in arrays]

    shared = results(kill)
    assert two_workers[0].wait(60) == -signal.SIGKILL
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distributed, "get_client", _no_client)
        alone = results(None)
    assert shared[0] == alone[0]
    for ours, theirs in zip(shared[1], alone[1], strict=True):
        np.testing.assert_array_equal(ours, theirs)


def _no_client() -> None:
    raise ValueError("no client")


def test_a_scheduler_that_dies(
    tmp_path: Path,
    processes: Processes,
    two_workers: list[subprocess.Popen[bytes]],
    store_of_one_process: Path,
) -> None:
    """This is the last test of the scheduler."""

    def kill(done: int) -> None:
        if done == 2:
            processes.scheduler.send_signal(signal.SIGKILL)

    path = tmp_path / "columns.zarr"
    with pytest.raises(ClusterError, match=r"scheduler stopped.*run the same command again to resume"):
        write_columns(SAMPLE_WRFOUT, path, truth=SAMPLE_OFFLINE, block_bytes=SMALL, progress=Stages(kill))
    finished = {entry.name for entry in (tmp_path / "columns.zarr.partial" / "done").iterdir()}
    assert len(finished) >= 2
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distributed, "get_client", _no_client)
        write_columns(SAMPLE_WRFOUT, path, truth=SAMPLE_OFFLINE, workers=1, block_bytes=SMALL)
    assert digest(path) == digest(store_of_one_process)


def _end_the_process(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
def test_a_block_that_ends_each_worker() -> None:
    """The system ends a worker with too little memory in the same way."""
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        sciml.client(n_workers=1, memory_limit="1GiB") as client,
        pytest.raises(ClusterError, match=r"a worker died .* needs more memory than they have \(1024 MiB\)"),
    ):
        list(bounded(client, lambda item: client.submit(_end_the_process, item), [1]))
