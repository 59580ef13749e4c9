from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import dask
import distributed
import pytest

import sciml
from sciml.errors import InputError
from sciml.parallel.cluster import address

pytestmark = [pytest.mark.dask, pytest.mark.xdist_group("dask")]


@pytest.fixture(autouse=True)
def no_scheduler_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DASK_SCHEDULER_ADDRESS", raising=False)


def test_a_local_cluster_is_made_and_closed() -> None:
    with sciml.client(n_workers=2, memory_limit="1GiB") as client:
        workers = client.scheduler_info(n_workers=-1)["workers"]
        assert len(workers) == 2
        assert {worker["nthreads"] for worker in workers.values()} == {1}
        assert client.submit(sum, [3, 4]).result(timeout=30) == 7
        cluster = client.cluster
    assert client.status == "closed"
    assert cluster.status.name == "closed"


HELD: list[bytes] = []


def hold(megabytes: int) -> None:
    """Take memory that no task can free, as a fragmented heap or a library does."""
    HELD.append(b"x" * (megabytes << 20))


def test_a_worker_near_its_limit_goes_on() -> None:
    """Dask pauses a worker at 80 % of its limit, and one that has no results in memory would never work again."""
    with sciml.client(n_workers=1, memory_limit="800MiB") as client:
        client.restart()  # a worker that replaces another one
        used = client.submit(os.getpid).result(timeout=30)
        resident = int(Path(f"/proc/{used}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20
        client.submit(hold, 700 - resident).result(timeout=30)
        time.sleep(0.5)  # several looks of the worker's monitor of memory
        assert client.submit(sum, [3, 4]).result(timeout=30) == 7


@pytest.mark.skipif(sys.platform != "linux", reason="malloc_trim is of glibc")
def test_freed_memory_returns_to_the_system() -> None:
    """Small blocks below one that stays in use are returned, which `free` alone does not do."""
    code = """
import ctypes
from sciml.parallel.freed_memory import run_and_trim
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 >> 20
def work(_):
    blocks = [libc.malloc(60000) for _ in range(4000)]
    for block in blocks:
        ctypes.memset(block, 1, 60000)
    for block in blocks[:-1]:
        libc.free(block)
    return resident()
before, inside = resident(), run_and_trim(work, 0)
assert inside - before > 150 and resident() - before < 50, (before, inside, resident())
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_existing_client_is_used_and_left_open() -> None:
    with sciml.client(n_workers=1, processes=False) as outer:
        with sciml.client(n_workers=3) as inner:
            assert inner is outer
        assert outer.status == "running"
        assert outer.submit(max, 3, 5).result(timeout=30) == 5


def test_a_named_scheduler_is_used_and_left_running(monkeypatch: pytest.MonkeyPatch) -> None:
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address="127.0.0.1:0"
    ) as cluster:
        monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", cluster.scheduler_address)
        with sciml.client(n_workers=7) as client:
            assert client.scheduler.address == cluster.scheduler_address
            assert list(client.nthreads().values()) == [2]
        assert client.status == "closed"
        assert cluster.status.name == "running"


def test_the_configuration_names_one_too() -> None:
    assert address() is None
    with dask.config.set({"scheduler-address": "tcp://127.0.0.1:9"}):
        assert address() == "tcp://127.0.0.1:9"


def test_a_scheduler_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", "tcp://127.0.0.1:9")
    with (
        pytest.raises(InputError, match=r"tcp://127\.0\.0\.1:9.*unset DASK_SCHEDULER_ADDRESS"),
        sciml.client(connect_timeout=0.5),
    ):
        pass


@pytest.mark.parametrize("argument", ["n_workers", "threads_per_worker"])
def test_no_workers_at_all(argument: str) -> None:
    with pytest.raises(InputError, match=f"{argument}=0: give at least 1"), sciml.client(**{argument: 0}):
        pass


SCRIPT = """
import operator
import sciml

class Own:
    def __init__(self, value):
        self.value = value

    def twice(self):
        return Own(2 * self.value)

def own(value):
    return operator.methodcaller("twice")(value)

with sciml.client(n_workers=2, memory_limit="1GiB") as client:
    answers = client.gather([client.submit(own, Own(value)) for value in (3, 5)])
print([isinstance(answer, Own) and answer.value for answer in answers])
"""


@pytest.mark.parametrize("stdin", [False, True], ids=["without a guard", "from standard input"])
def test_any_script_may_start_workers(tmp_path: Path, stdin: bool) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "-" if stdin else str(script)],
        input=SCRIPT if stdin else None,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("[6, 10]\n", "", 0)


def test_the_script_is_as_it_was_when_workers_have_started() -> None:
    main = sys.modules["__main__"]
    before = {name: getattr(main, name, None) for name in ("__file__", "__spec__")}
    with sciml.client(n_workers=1, memory_limit="1GiB"):
        assert {name: getattr(main, name, None) for name in before} == before
