"""Processes that exchange messages by gloo compute the iterates of a single process, bit for bit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from sciml.errors import InputError
from sciml.solve import solve
from sciml.train.minmax import Processes
from tests.train.minmax.worker import DEVICES, METHODS, problem_of


def test_processes_compute_what_one_process_does(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.train.minmax.worker"]
    root = Path(__file__).parents[3]
    started = [subprocess.Popen([*command, str(rank), str(tmp_path)], cwd=root) for rank in range(DEVICES)]
    assert [process.wait(120) for process in started] == [0] * DEVICES
    results = [torch.load(tmp_path / f"result_{rank}.pt") for rank in range(DEVICES)]
    for name, make in METHODS.items():
        single = solve(problem_of(None), make(None), throw=False)
        for result in results:
            assert torch.equal(result[name]["z"], single.z)
            assert result[name]["bytes_up"] == single.stats["bytes_up"]


def test_processes_without_a_group_are_a_clear_error() -> None:
    with pytest.raises(InputError, match="start with torchrun"):
        Processes()
