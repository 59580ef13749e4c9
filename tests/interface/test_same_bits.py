"""Results of the packaged emulator and operator do not change: their bits are those of an earlier commit.

`same_bits.json` has, for each result, the SHA-256 of its values and their sums, and the machine and the torch version
on which they were computed. The bits depend on both (vector instructions, matrix products), so that the digests are
compared there only; the sums in double precision are compared everywhere.

A change that must alter results writes the file again: ``python -m tests.interface.test_same_bits``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

import sciml as sm
from tests.paths import SAMPLE_WRFOUT

RECORD = Path(__file__).with_name("same_bits.json")
DIGITS = 12
"""Digits of the sums in the record; the test allows for the last two, which vector instructions may change."""


def machine() -> str:
    """What the last bits depend on."""
    info = Path("/proc/cpuinfo")
    models = (
        [line for line in info.read_text().splitlines() if line.startswith("model name")]
        if info.exists()
        else []
    )
    model = models[0].split(":")[1].strip() if models else "unknown processor"
    return f"{model}, {torch.backends.cpu.get_cpu_capability()}, torch {torch.__version__}, numpy {np.__version__}"


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def emulated(precision: Any) -> dict[str, np.ndarray[Any, Any]]:
    """Every output of `mskf-convrad` for every fifth column of the sample."""
    columns = sm.convection_columns(sm.open_wrfout(SAMPLE_WRFOUT)).isel(column=slice(None, None, 5)).load()
    emulator = sm.Emulator.load("mskf-convrad", precision=precision)
    outputs = sm.solve(sm.Convection(columns), emulator).outputs
    return {str(name): outputs[name].values for name in sorted(map(str, outputs.data_vars))}


def predicted(precision: Any) -> dict[str, np.ndarray[Any, Any]]:
    """The answer of `darcy-any` to one problem."""
    problem = sm.Darcy(resolution=63, coefficient=sm.TwoPhase(3, 12), seed=9)
    solution = sm.solve(problem, sm.Neural.load("darcy-any", precision=precision))
    return {"u": np.asarray(xr.DataArray(solution.u).values)}


MODELS = {"mskf-convrad": emulated, "darcy-any": predicted}


def digest(values: np.ndarray[Any, Any]) -> str:
    header = f"{values.dtype.str} {values.shape}".encode()
    return hashlib.sha256(header + np.ascontiguousarray(values).tobytes()).hexdigest()


def sums(values: np.ndarray[Any, Any]) -> list[float]:
    """Sum, and sum of the absolute values, to `DIGITS` digits."""
    wide = values.astype(np.float64)
    return [float(f"{x:.{DIGITS - 1}e}") for x in (wide.sum(), np.abs(wide).sum())]


def measured() -> dict[str, Any]:
    """The content of the record, computed with this version."""
    torch.set_num_threads(1)
    return {
        "machine": machine(),
        "digests": {
            model: {
                precision: {name: digest(values) for name, values in answer(precision).items()}
                for precision in ("float32", "float64")
            }
            for model, answer in MODELS.items()
        },
        "sums": {
            model: {name: sums(values) for name, values in answer("float64").items()}
            for model, answer in MODELS.items()
        },
    }


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("model", MODELS)
def test_the_bits_are_the_same(model: str, precision: str) -> None:
    record = json.loads(RECORD.read_text())
    if record["machine"] != machine():
        pytest.skip(f"the digests are those of {record['machine']}, this is {machine()}")
    digests = {name: digest(values) for name, values in MODELS[model](precision).items()}
    assert digests == record["digests"][model][precision]


@pytest.mark.parametrize("model", MODELS)
def test_the_sums_are_the_same(model: str) -> None:
    expected = json.loads(RECORD.read_text())["sums"][model]
    results = {name: sums(values) for name, values in MODELS[model]("float64").items()}
    assert list(results) == list(expected)
    for name, (total, size) in results.items():
        assert size == pytest.approx(expected[name][1], rel=1e-10, abs=1e-300), name
        assert total == pytest.approx(expected[name][0], rel=1e-10, abs=1e-10 * size + 1e-300), name


if __name__ == "__main__":
    RECORD.write_text(json.dumps(measured(), indent=1) + "\n")
