"""Ctrl-C in a terminal reaches the command and every process that it started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tests.paths import REPO

# A group that replaces `sciml wrf`, with commands that run for a long time.
PROGRAM = """
import sys, time, types
import typer

group = typer.Typer()

@group.command()
def alone():
    print("ready", flush=True)
    time.sleep(60)

@group.command()
def together():
    import sciml

    with sciml.client(n_workers=2, memory_limit="1GiB") as client:
        waiting = client.map(time.sleep, [60.0, 61.0, 62.0])
        while not any(client.processing().values()):
            time.sleep(0.02)
        print("ready", flush=True)
        client.gather(waiting)

if __name__ == "__main__":
    sys.modules["sciml.cli.wrf"] = types.SimpleNamespace(app=group)
    from sciml.cli import main

    main(["wrf", sys.argv[1]])
"""


@pytest.mark.dask
@pytest.mark.xdist_group("dask")
@pytest.mark.parametrize("command", ["alone", "together"])
def test_ctrl_c_prints_one_line_and_exits_with_130(command: str, tmp_path: os.PathLike[str]) -> None:
    script = os.path.join(tmp_path, "program.py")
    with open(script, "w") as file:
        file.write(PROGRAM)
    environment = {**os.environ, "PYTHONPATH": str(REPO)}
    environment.pop("DASK_SCHEDULER_ADDRESS", None)
    with subprocess.Popen(
        [sys.executable, script, command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        os.killpg(process.pid, signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert stderr == "interrupted; run the same command again to resume\n"
    assert process.returncode == 130
