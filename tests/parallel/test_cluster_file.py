"""Clusters named by an address, a scheduler file or a TOML file."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import distributed
import pytest

import sciml
from sciml.errors import InputError
from sciml.parallel.bounded import bounded
from sciml.parallel.cluster_file import ClusterSettings, job_script, read_cluster

SLURM = """
kind = "slurm"
jobs = 2
cores = 1
memory = "500MB"
walltime = "00:05:00"
logs = "{folder}"
wait = 300
prologue = ["export FROM_PROLOGUE=yes"]
directives = ["--comment=sciml"]
"""


def _slurm_answers() -> bool:
    return (
        shutil.which("sinfo") is not None and subprocess.run(["sinfo"], capture_output=True).returncode == 0
    )


@pytest.fixture(autouse=True)
def no_scheduler_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DASK_SCHEDULER_ADDRESS", "SCIML_CLUSTER"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("kind = 'slum'", r"kind = 'slum': give one of slurm, pbs"),
        ("jobs = 2", "has no kind: add one of slurm"),
        ("kind = 'slurm'\njobs = 2", "of kind slurm needs cores, memory: add to the file"),
        ("kind = 'slurm'\nnodes = 2", "has nodes: the settings are kind, address, jobs"),
        ("kind = 'local'\ncores = 0", "cores = 0: give a whole number of 1 or more"),
        ("kind = 'local'\nprologue = 'module load x'", "give a list of texts"),
        ("kind =", "is no TOML"),
    ],
)
def test_a_file_that_describes_no_cluster(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "cluster.toml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_cluster(path)


def test_a_file_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cluster.toml is no file: give a TOML file with kind"):
        read_cluster(tmp_path / "cluster.toml")


@pytest.mark.parametrize(("kind", "sign"), [("slurm", "#SBATCH"), ("pbs", "#PBS")])
def test_the_job_script_has_the_settings(kind: str, sign: str) -> None:
    pytest.importorskip("dask_jobqueue")
    settings = ClusterSettings(
        kind,
        jobs=3,
        cores=4,
        memory="8GB",
        walltime="02:00:00",
        queue="compute",
        account="weather",
        prologue=("source env.sh",),
        directives=("-x 1",),
    )
    script = job_script(settings)
    for text in (
        f"{sign} -A weather",
        f"{sign} -x 1",
        "source env.sh",
        "--nworkers 4",
        "--nthreads 1",
        "02:00:00",
    ):
        assert text in script
    assert script.index("source env.sh") < script.index("dask_worker")


def test_a_network_that_this_machine_does_not_have() -> None:
    pytest.importorskip("dask_jobqueue")
    settings = ClusterSettings("slurm", jobs=1, cores=1, memory="1GB", interface="none0")
    with pytest.raises(InputError, match=r"could be started: .*'none0' is not a valid network interface"):
        job_script(settings)


def test_other_kinds_have_no_job_script() -> None:
    with pytest.raises(InputError, match="of kind local has no job script"):
        job_script(ClusterSettings("local"))


@pytest.mark.dask
@pytest.mark.xdist_group("dask")
@pytest.mark.parametrize("named_by", ["address", "file", "environment"])
def test_a_running_scheduler_is_used(tmp_path: Path, named_by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with distributed.LocalCluster(n_workers=1, processes=False, dashboard_address="127.0.0.1:0") as cluster:
        where: str | Path | None = cluster.scheduler_address
        if named_by == "file":
            where = tmp_path / "scheduler.json"
            with distributed.Client(cluster) as client:
                client.write_scheduler_file(str(where))
        if named_by == "environment":
            monkeypatch.setenv("SCIML_CLUSTER", str(where))
            where = None
        with sciml.client(where) as client:
            assert client.scheduler.address == cluster.scheduler_address
        assert cluster.status.name == "running"


@pytest.mark.dask
@pytest.mark.xdist_group("dask")
def test_a_local_cluster_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "cluster.toml"
    path.write_text("kind = 'local'\ncores = 2\nmemory = '1GiB'", encoding="utf-8")
    with sciml.client(path) as client:
        workers = client.scheduler_info(n_workers=-1)["workers"].values()
        assert [worker["memory_limit"] for worker in workers] == [2**29, 2**29]


@pytest.mark.dask
@pytest.mark.xdist_group("dask")
def test_workers_that_come_later_get_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sciml.parallel.bounded.REFRESH_S", 0.0)
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        submitted = []

        def submit(item: int) -> distributed.Future:
            submitted.append(item)
            return client.submit(abs, item, pure=False)

        results = bounded(client, submit, range(40))
        next(results)
        assert len(submitted) == 3
        cluster.scale(4)
        client.wait_for_workers(4)
        next(results)
        assert len(submitted) == 10  # nine under way
        assert len(list(results)) == 38


@pytest.mark.dask
@pytest.mark.xdist_group("dask")
@pytest.mark.skipif(not _slurm_answers(), reason="no SLURM answers on this machine")
def test_workers_in_jobs_of_slurm(tmp_path: Path) -> None:
    pytest.importorskip("dask_jobqueue")
    path = tmp_path / "cluster.toml"
    path.write_text(SLURM.format(folder=tmp_path), encoding="utf-8")
    with sciml.client(path) as client:  # with at least one worker; a small machine runs one job at a time
        jobs = client.run(lambda: (os.environ["SLURM_JOB_ID"], os.environ["FROM_PROLOGUE"]))
        assert len({job for job, _ in jobs.values()}) == len(jobs)
        assert {value for _, value in jobs.values()} == {"yes"}
        assert sum(client.gather(client.map(abs, range(-5, 5)))) == 25
