"""Clusters named by an address, a scheduler file or a TOML file: batch systems, MPI, or this machine."""

from __future__ import annotations

import contextlib
import importlib
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from sciml.errors import InputError

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["ClusterSettings", "announce", "connect", "job_script", "read_cluster", "to_stderr"]

Kind = Literal["slurm", "pbs", "mpi", "local", "address", "file"]
BATCH: Mapping[str, str] = {"slurm": "SLURMCluster", "pbs": "PBSCluster"}
NEEDED: Mapping[str, tuple[str, ...]] = {
    "slurm": ("jobs", "cores", "memory"),
    "pbs": ("jobs", "cores", "memory"),
    "address": ("address",),
    "file": ("address",),
}
"""Settings without which a kind of cluster cannot be used."""
REPLACEMENT_S = 30.0
"""Seconds between two looks for jobs that ended before the work, which are submitted again."""


def to_stderr(line: str) -> None:
    """Print a line on the standard error."""
    print(line, file=sys.stderr, flush=True)


def announce(client: Client, say: Callable[[str], None]) -> None:
    """Say where the dashboard of a scheduler is, if it has one."""
    if "dashboard" in client.scheduler_info(n_workers=0).get("services", {}):
        say(f"dashboard: {client.dashboard_link}")


@dataclass(frozen=True)
class ClusterSettings:
    """Settings of a cluster, as a TOML file has them.

    Parameters
    ----------
    kind
        ``slurm`` and ``pbs`` submit jobs with workers (dask-jobqueue), ``mpi`` makes workers of the other processes of
        ``mpirun`` (dask-mpi), ``local`` starts workers on this machine, ``address`` and ``file`` connect to a running
        scheduler.
    address
        Address of a scheduler (``tcp://host:8786``), or path of its scheduler file.
    jobs
        Number of jobs of a batch system.
    cores, processes, memory
        Cores, worker processes and memory (text such as ``"64GB"``) of a job, or of this machine for ``local``.
        By default a process for each core, because the netCDF library reads one file at a time in a process.
    walltime, queue, account
        Time limit (``"02:00:00"``), queue or partition, and account of a job.
    interface
        Network interface between scheduler and workers, such as ``"ib0"``.
    logs
        Folder for the output of the jobs.
    prologue
        Lines of the job script before the workers start, such as ``"source .venv/bin/activate"``.
    directives
        Further options of the batch system, such as ``"--exclusive"``.
    wait
        Seconds to wait for the first worker; 0 waits as long as the queue takes.

    Raises
    ------
    InputError
        A setting is missing or invalid.

    Examples
    --------
    >>> ClusterSettings("slurm", jobs=4, cores=16, memory="64GB").processes_of_a_job
    16
    """

    kind: Kind
    address: str | None = None
    jobs: int | None = None
    cores: int | None = None
    processes: int | None = None
    memory: str | None = None
    walltime: str | None = None
    queue: str | None = None
    account: str | None = None
    interface: str | None = None
    logs: str | None = None
    prologue: tuple[str, ...] = ()
    directives: tuple[str, ...] = ()
    wait: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise InputError(f"kind = {self.kind!r}: give one of {', '.join(get_args(Kind))}")
        missing = [name for name in NEEDED.get(self.kind, ()) if getattr(self, name) is None]
        if missing:
            raise InputError(f"a cluster of kind {self.kind} needs {', '.join(missing)}: add to the file")
        for name in ("jobs", "cores", "processes"):
            number = getattr(self, name)
            if number is not None and (not isinstance(number, int) or isinstance(number, bool) or number < 1):
                raise InputError(f"{name} = {number!r}: give a whole number of 1 or more")
        for name in ("prologue", "directives"):
            lines = getattr(self, name)
            if isinstance(lines, str) or not all(isinstance(line, str) for line in lines):
                raise InputError(f"{name} = {lines!r}: give a list of texts")
            object.__setattr__(self, name, tuple(lines))

    @property
    def processes_of_a_job(self) -> int | None:
        """Number of worker processes of a job."""
        return self.processes or self.cores

    @property
    def memory_of_a_process(self) -> int | None:
        """Bytes of memory of a worker process."""
        from dask.utils import parse_bytes

        if self.memory is None:
            return None
        return int(parse_bytes(self.memory)) // (self.processes_of_a_job or 1)


def read_cluster(where: str | Path) -> ClusterSettings:
    """Read where a cluster is.

    Parameters
    ----------
    where
        Address of a scheduler (with ``://``), its scheduler file (``.json``), or a TOML file with the settings.

    Returns
    -------
    ClusterSettings
        The settings.

    Raises
    ------
    InputError
        The file does not exist or is no TOML, or a setting is unknown, missing or invalid.

    Examples
    --------
    >>> read_cluster("tcp://127.0.0.1:8786").kind
    'address'
    """
    if "://" in str(where):
        return ClusterSettings("address", str(where))
    path = Path(where)
    if not path.is_file():
        raise InputError(
            f"{path} is no file: give a TOML file with kind = 'slurm' or another, a scheduler file (.json), or an "
            "address such as tcp://host:8786"
        )
    if path.suffix == ".json":
        return ClusterSettings("file", str(path))
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is no TOML: {error}") from error
    known = [field.name for field in fields(ClusterSettings)]
    unknown = sorted(set(content) - set(known))
    if unknown:
        raise InputError(f"{path} has {', '.join(unknown)}: the settings are {', '.join(known)}")
    if "kind" not in content:
        raise InputError(f"{path} has no kind: add one of {', '.join(get_args(Kind))}")
    try:
        return ClusterSettings(**content)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


@contextlib.contextmanager
def connect(
    settings: ClusterSettings, *, connect_timeout: float = 30.0, say: Callable[[str], None] = to_stderr
) -> Iterator[Client]:
    """Yield a client of a cluster; at the end, close the client and the jobs that were started.

    Parameters
    ----------
    settings
        Settings of any kind but ``local``.
    connect_timeout
        Seconds to wait for a running scheduler to answer.
    say
        Function that shows a line of text.

    Yields
    ------
    distributed.Client
        Client with at least one worker, if the cluster was started here.

    Raises
    ------
    InputError
        No scheduler answers, a package or the batch system is missing, or no worker starts in time.
    """
    import distributed

    if settings.kind in ("address", "file"):
        target = (
            {"address": settings.address}
            if settings.kind == "address"
            else {"scheduler_file": settings.address}
        )
        try:
            connected = distributed.Client(**target, timeout=connect_timeout)
        except (OSError, TimeoutError, ValueError) as error:
            raise InputError(
                f"no Dask scheduler answers at {settings.address!r} ({error}): start it (dask scheduler), or unset "
                "DASK_SCHEDULER_ADDRESS and SCIML_CLUSTER to use this machine alone"
            ) from error
        with connected:
            announce(connected, say)
            if not connected.nthreads():
                say(
                    f"the scheduler at {settings.address} has no worker yet: the work starts with the first one"
                )
            yield connected
        return
    if settings.kind == "mpi":
        _package("dask_mpi", "dask-mpi").initialize(nthreads=1, nanny=False)
        with distributed.Client() as connected:
            announce(connected, say)
            _wait(connected, settings, say)
            yield connected
        return
    with _submitted(settings) as cluster, distributed.Client(cluster) as connected:
        announce(connected, say)
        _wait(connected, settings, say)
        # From now on a job that ends too early, by its time limit or by scancel, is replaced.
        cluster.adapt(minimum_jobs=settings.jobs, maximum_jobs=settings.jobs, interval=f"{REPLACEMENT_S} s")
        yield connected


def job_script(settings: ClusterSettings) -> str:
    """Return the job script that a batch system gets, without submitting it.

    Raises
    ------
    InputError
        The cluster is of no batch system, or dask-jobqueue is missing.
    """
    if settings.kind not in BATCH:
        raise InputError(f"a cluster of kind {settings.kind} has no job script: {', '.join(BATCH)} have")
    with contextlib.closing(_batch(settings)) as cluster:
        return str(cluster.job_script())


@contextlib.contextmanager
def _submitted(settings: ClusterSettings) -> Iterator[Any]:
    with contextlib.closing(_batch(settings)) as cluster:
        try:
            cluster.scale(jobs=settings.jobs)
        except (OSError, RuntimeError) as error:
            raise InputError(
                f"the jobs of kind {settings.kind} were not submitted ({error}): run this where the batch system's "
                "commands are, and check queue and account"
            ) from error
        yield cluster


def _batch(settings: ClusterSettings) -> Any:
    """Make the cluster object of dask-jobqueue; no job is submitted yet."""
    package = _package("dask_jobqueue", "dask-jobqueue")
    given = {
        "cores": settings.cores,
        "processes": settings.processes_of_a_job,
        "memory": settings.memory,
        "walltime": settings.walltime,
        "queue": settings.queue,
        "account": settings.account,
        "interface": settings.interface,
        "log_directory": settings.logs,
        "job_script_prologue": list(settings.prologue) or None,
        "job_extra_directives": list(settings.directives) or None,
        "python": sys.executable,
    }
    made = getattr(package, BATCH[settings.kind])
    try:
        return made(**{name: value for name, value in given.items() if value is not None})
    except (RuntimeError, ValueError, TypeError) as error:
        raise InputError(
            f"no scheduler for the jobs of kind {settings.kind} could be started: {error}"
        ) from error


def _package(module: str, name: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InputError(f"{name} is not installed: pip install {name}") from error


def _wait(client: Client, settings: ClusterSettings, say: Callable[[str], None]) -> None:
    """Wait for the first worker."""
    say("waiting for the first worker")
    try:
        client.wait_for_workers(1, timeout=settings.wait or None)
    except TimeoutError as error:
        raise InputError(
            f"no worker of the {settings.jobs or ''} jobs started within {settings.wait:g} s: look at the queue "
            f"and at the output of the jobs{f' in {settings.logs}' if settings.logs else ''}, or raise wait"
        ) from error
