"""Ctrl-C in the middle of the real long commands: one line, status 130, nothing half-written, and it goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.paths import REPO, SAMPLE_OFFLINE, SAMPLE_WRFOUT

TRAINING = "[fit]\nepochs = 400\nbatch_size = 64\n[network]\nhidden = 4\npooled = 4\n"


def interrupted(arguments: list[str], where: Path, until: str | None, **more: str) -> tuple[int, str]:
    """Start `sciml ARGUMENTS`, send SIGINT after `until` was said (or a second and a half), and wait for the end."""
    environment = {**os.environ, "PYTHONPATH": str(REPO), "SCIML_CACHE": str(where / "cache"), **more}
    with subprocess.Popen(
        [sys.executable, "-m", "sciml", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=where,
        start_new_session=True,
    ) as process:
        assert process.stderr is not None
        said = ""
        if until is None:
            time.sleep(1.5)
        while until is not None and until not in said:
            line = process.stderr.readline()
            assert line, f"it ended before it said {until!r}: {said}"
            said += line
        os.killpg(process.pid, signal.SIGINT)
        _, rest = process.communicate(timeout=120)
    # What a shell tells: 130 too for a death by the signal, which CPython chooses over any exit status where
    # the signal fell into a string being executed (dataclasses do that while they are imported).
    return 130 if process.returncode == -signal.SIGINT else process.returncode, rest


@pytest.mark.slow
def test_train(tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_text(TRAINING)
    columns = ["wrf", "columns", str(SAMPLE_WRFOUT), "--truth", str(SAMPLE_OFFLINE), "--workers", "1"]
    subprocess.run(
        [sys.executable, "-m", "sciml", *columns, "-o", "c.zarr"],
        check=True,
        capture_output=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPO)},
    )
    command = ["convection", "train", "c.zarr", "-o", "m.sciml", "--config", "t.toml", "--device", "cpu"]
    status, said = interrupted(command, tmp_path, "epoch 2:")
    assert status == 130 and "Traceback" not in said
    assert "interrupted" in said.strip().splitlines()[-1]
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"t.toml", "c.zarr", "m.resume.sciml"}, left
    # the same command goes on: it has the first two epochs behind it
    status, said = interrupted(command, tmp_path, "epoch 4:")
    assert status == 130
    assert not (tmp_path / "m.sciml").exists()


@pytest.mark.slow
def test_evaluate(tmp_path: Path) -> None:
    command = ["convection", "evaluate", "mskf-convrad", str(SAMPLE_WRFOUT), "--truth", str(SAMPLE_OFFLINE)]
    status, said = interrupted([*command, "--json", "e.json", "--html", "e.html"], tmp_path, None)
    assert status == 130 and len(said.strip().splitlines()) == 1, said
    # The page is drawn after the numbers are written, so that a fast machine may have these, and has them whole.
    left = list(tmp_path.iterdir())
    assert {path.name for path in left} <= {"e.json"}
    assert all("outputs" in json.loads(path.read_text()) for path in left)


@pytest.mark.slow
@pytest.mark.native
def test_build(tmp_path: Path) -> None:
    status, said = interrupted(["coupling", "build", "-o", "lib", "mskf-convrad"], tmp_path, None)
    assert status == 130 and len(said.strip().splitlines()) == 1, said
    assert not list((tmp_path / "lib").glob("*")) if (tmp_path / "lib").exists() else True
    assert not list((tmp_path / "cache").rglob("*.so"))
