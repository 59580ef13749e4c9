"""The options --workers and --cluster of the commands that share their work."""

from __future__ import annotations

import re
from pathlib import Path

import distributed
import pytest
from typer.testing import CliRunner

from sciml.cli import app
from tests.cli.test_every_command import EVERY, options
from tests.paths import SAMPLE_OFFLINE, SAMPLE_WRFOUT

SHARED = ("wrf columns", "wrf compare", "pde generate", "convection evaluate", "convection analogs")


@pytest.mark.parametrize("name", SHARED)
def test_the_options_are_the_same(name: str) -> None:
    given, others = options(EVERY[name]), options(EVERY["wrf columns"])
    for option in ("--workers", "--cluster"):
        assert (given[option].help, given[option].default) == (others[option].help, None)


@pytest.mark.parametrize(
    ("cluster", "message"),
    [
        (["--cluster", "tcp://localhost:8786", "--workers", "3"], "a cluster has its own; leave one out"),
        (["--cluster", "slurm.toml"], "slurm.toml is no file: give a TOML file with kind = 'slurm'"),
    ],
)
def test_clusters_that_cannot_be_used(tmp_path: Path, cluster: list[str], message: str) -> None:
    output = tmp_path / "d.zarr"
    shown = CliRunner().invoke(app, ["pde", "generate", "darcy-smooth", "-o", str(output), *cluster])
    assert shown.exit_code == 2
    assert message in " ".join(shown.stderr.split())
    assert not any(tmp_path.iterdir())


@pytest.mark.dask
@pytest.mark.xdist_group("dask")
@pytest.mark.skipif(not SAMPLE_WRFOUT.exists(), reason="no sample in data/")
def test_a_running_scheduler_does_the_work(tmp_path: Path) -> None:
    with distributed.LocalCluster(n_workers=1, processes=False, dashboard_address="127.0.0.1:0") as cluster:
        command = ["wrf", "columns", str(SAMPLE_WRFOUT), "--reference", str(SAMPLE_OFFLINE)]
        command += ["-o", str(tmp_path / "c.zarr"), "--cluster", cluster.scheduler_address]
        shown = CliRunner().invoke(app, command)
        assert shown.exit_code == 0, shown.output
        port = cluster.scheduler_info["services"]["dashboard"]
        assert re.search(rf"^dashboard: http://\S+:{port}/status$", shown.stderr, re.MULTILINE)
        assert cluster.scheduler.transition_counter > 0
        assert (tmp_path / "c.zarr" / "zarr.json").is_file()
        again = CliRunner().invoke(app, command)
    assert "nothing to do" in again.stderr
    assert "dashboard" not in again.stderr, "it connects only if there is work"
