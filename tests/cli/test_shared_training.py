"""Commands started by torchrun: trainings equal those of one process, and others refuse to run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from sciml.columns.open import open_columns
from sciml.pde.generation import generate
from sciml.train import checkpoint
from tests.paths import REPO, SAMPLE_OFFLINE, SAMPLE_WRFOUT

TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--monitor-interval=0.1"]


def sciml(*words: object, processes: int = 2) -> subprocess.CompletedProcess[str]:
    """Run a command in one process or in two."""
    environment = {**os.environ, "PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *(TORCHRUN if processes > 1 else []), "-m", "sciml", *map(str, words)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500)


@pytest.fixture(scope="module")
def columns(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every fifth column of the sample, as three runs, in blocks of 100."""
    path = tmp_path_factory.mktemp("columns") / "c.zarr"
    sample = open_columns([SAMPLE_WRFOUT], truth=[SAMPLE_OFFLINE]).isel(column=slice(None, None, 5)).load()
    runs = (np.arange(sample.sizes["column"]) % 3 + 1).astype(np.int32)
    sample = sample.assign_coords(RUN=("column", runs))
    for variable in sample.variables.values():
        variable.encoding = {}
    sample.chunk(column=100).to_zarr(path, consolidated=False)
    return path


@pytest.fixture(scope="module")
def darcy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("darcy") / "d.zarr"
    generate("darcy-any", 21, 15, 17).to_zarr(path, consolidated=False)
    return path


def command(kind: str, columns: Path, darcy: Path, output: Path) -> list[object]:
    """A short training, whose last batch has an odd number of samples."""
    if kind == "convection":
        return [
            "convection",
            "train",
            columns,
            "-o",
            output,
            "--hold-out",
            3,
            "--epochs",
            2,
            "--batch-size",
            47,
        ]
    return ["pde", "train", "mgno", darcy, "-o", output, "--hold-out", 4, "--epochs", 2, "--batch-size", 6]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["convection", "pde"])
def test_both_pipelines_train_in_two_processes_as_in_one(kind, columns, darcy, tmp_path):
    together, alone = tmp_path / "two" / "m.sciml", tmp_path / "one" / "m.sciml"
    shared = sciml(*command(kind, columns, darcy, together), "--json", tmp_path / "two.json")
    assert shared.returncode == 0, shared.stderr
    assert shared.stdout.count(f"saved: {together}") == 1
    assert shared.stderr.count("epoch 2: training") == 1
    single = sciml(*command(kind, columns, darcy, alone), processes=1)
    assert single.returncode == 0, single.stderr
    trained = [checkpoint.load(path) for path in (together, alone)]
    for validation in (False, True):
        losses = [made.history.losses(validation=validation) for made in trained]
        np.testing.assert_allclose(*losses, rtol=1e-4)
    assert json.loads((tmp_path / "two.json").read_text())["finished"]
    assert sorted(path.name for path in together.parent.iterdir()) == ["m.sciml"]


@pytest.mark.slow
def test_an_error_of_one_process_is_printed_once(columns, tmp_path):
    """The second block has a value outside the bounds; only the second process reads it."""
    broken = xr.open_zarr(columns, consolidated=False).load()
    broken = xr.concat([broken] * 6, "column")
    broken["T_PHY"].values[4100] = np.nan
    for variable in broken.variables.values():
        variable.encoding = {}
    broken.chunk(column=100).to_zarr(tmp_path / "broken.zarr", consolidated=False)
    done = sciml("convection", "train", tmp_path / "broken.zarr", "-o", tmp_path / "m.sciml")
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, done.stderr
    assert "finite" in lines[0] and "T_PHY" in lines[0]
    assert not (tmp_path / "m.sciml").exists()


def test_other_commands_refuse_to_run_in_several_processes():
    done = subprocess.run(
        [sys.executable, "-m", "sciml", "pde", "families"],
        env={**os.environ, "WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr == "error: sciml pde families runs in one process: start it without torchrun\n"
