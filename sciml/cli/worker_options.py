"""Options of the commands that share their work between processes: `--workers` and `--cluster`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import typer

from sciml.errors import InputError

__all__ = ["WorkerOptions"]


@dataclass(frozen=True)
class WorkerOptions:
    """Processes that share the work: some on this machine, or the workers of a Dask cluster."""

    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            metavar="N",
            min=1,
            help="Number of processes on this machine; default: the cluster, else one for each core.",
        ),
    ] = None
    cluster: Annotated[
        str | None,
        typer.Option(
            "--cluster",
            metavar="WHERE",
            help="Dask cluster that does the work: TOML file of SLURM, PBS, MPI or this machine, scheduler file "
            "(.json), or address; default: that of SCIML_CLUSTER.",
        ),
    ] = None

    @contextlib.contextmanager
    def chosen(self, quiet: bool, *, at_once: bool = False) -> Iterator[int | None]:
        """Choose the cluster of all work in the context, and yield the number of processes on this machine.

        Parameters
        ----------
        quiet
            Whether not to print the link of the dashboard.
        at_once
            Whether to connect to the cluster now, so that its workers also compute lazy arrays; else when it is needed.

        Raises
        ------
        InputError
            Both options are given, or there is no such cluster.
        """
        if self.cluster is not None and self.workers is not None:
            raise InputError(
                f"--workers {self.workers} and --cluster {self.cluster} are both given: --workers starts processes on "
                "this machine, and a cluster has its own; leave one out"
            )
        from sciml.parallel.cluster import chosen_cluster, client, scheduler_there
        from sciml.parallel.cluster_file import to_stderr

        with chosen_cluster(self.cluster, _say_nothing if quiet else to_stderr):
            if at_once and scheduler_there():
                with client():
                    yield self.workers
                return
            yield self.workers


def _say_nothing(line: str) -> None:
    """Show no line."""
