"""Ctrl-C in long commands: one line, status 130, no partial files, and resumption."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sciml.columns.write import write_columns
from tests.paths import REPO, SAMPLE_OFFLINE, SAMPLE_WRFOUT

TRAINING = "[fit]\nepochs = 400\nbatch_size = 64\n[network]\nhidden = 4\npooled = 4\n"


def interrupted(arguments: list[str], where: Path, until: str | None, **more: str) -> tuple[int, str]:
    """Start `sciml ARGUMENTS`, send SIGINT after the line `until` (or after 1.5 s), and wait for the end."""
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
        text = ""
        if until is None:
            time.sleep(1.5)
        while until is not None and until not in text:
            line = process.stderr.readline()
            assert line, f"the command ended before {until!r}: {text}"
            text += line
        os.killpg(process.pid, signal.SIGINT)
        _, rest = process.communicate(timeout=120)
    # As in a shell, the status is 130 also for a process that the signal killed. CPython exits like this if the signal
    # arrives while a string is executed, as in the import of a module with dataclasses.
    if process.returncode == -signal.SIGINT:
        return 130, rest or "interrupted before the command could print"
    return process.returncode, rest


@pytest.mark.slow
def test_train(tmp_path: Path, short_sample: tuple[Path, Path]) -> None:
    wrfout, truth = short_sample
    (tmp_path / "t.toml").write_text(TRAINING)
    write_columns([wrfout], tmp_path / "c.zarr", truth=[truth], workers=1)
    command = ["convection", "train", "c.zarr", "-o", "m.sciml", "--config", "t.toml", "--device", "cpu"]
    status, text = interrupted(command, tmp_path, "epoch 2:")
    assert status == 130 and "Traceback" not in text
    assert "interrupted" in text.strip().splitlines()[-1]
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"t.toml", "c.zarr", "m.resume.sciml"}, left
    # the same command resumes after the first two epochs
    status, text = interrupted(command, tmp_path, "epoch 4:")
    assert status == 130
    assert not (tmp_path / "m.sciml").exists()


@pytest.mark.slow
def test_evaluate(tmp_path: Path) -> None:
    command = [
        "convection",
        "evaluate",
        "mskf-convrad",
        str(SAMPLE_WRFOUT),
        "--reference",
        str(SAMPLE_OFFLINE),
    ]
    status, text = interrupted([*command, "--json", "e.json", "--html", "e.html"], tmp_path, None)
    assert status == 130 and len(text.strip().splitlines()) == 1, text
    # The page is drawn after the numbers are written, so the numbers may be complete on a fast machine.
    left = list(tmp_path.iterdir())
    assert {path.name for path in left} <= {"e.json"}
    assert all("outputs" in json.loads(path.read_text()) for path in left)


@pytest.mark.slow
@pytest.mark.native
def test_build(tmp_path: Path) -> None:
    status, text = interrupted(["coupling", "build", "-o", "lib", "mskf-convrad"], tmp_path, None)
    assert status == 130 and len(text.strip().splitlines()) == 1, text
    assert not list((tmp_path / "lib").glob("*")) if (tmp_path / "lib").exists() else True
    assert not list((tmp_path / "cache").rglob("*.so"))
