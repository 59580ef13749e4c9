"""Processes that call the scheme's entry with WRF's 100 arguments, and the fields that they start from."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import sciml
from sciml.convection.emulator import Emulator
from sciml.coupling.export import emulator_weights
from sciml.coupling.library import Library
from sciml.coupling.weights_file import write_weights
from tests.coupling.caller import OUTPUTS, PROFILES, own_scheme
from tests.paths import SAMPLE_WRFOUT

NI, NJ, NK = 24, 8, 44
WHOLE = [[0, NI, 0, NJ]]
#: Outputs of the emulator by the arguments of the scheme.
EMULATED = {
    **{name: name.upper() for name in PROFILES[:12]},
    "pratec": "PRATEC",
    "cutop": "CUTOP",
    "cubot": "CUBOT",
}
NAMED = dict(u="U_PHY", v="V_PHY", t="T_PHY", qv="QVAPOR", pcps="P_HYD", dz8w="DZ8W", rho="RHO", pi="PI_PHY")


@dataclass
class Run:
    """The results of a process with the library."""

    fields: dict[str, np.ndarray[Any, Any]]
    statuses: list[tuple[int, str]]
    own_calls: list[list[int]]
    log: str
    folder: Path

    def same(self, other: dict[str, np.ndarray[Any, Any]], but: tuple[str, ...] = ()) -> bool:
        return all(x.tobytes() == other[name].tobytes() for name, x in self.fields.items() if name not in but)


@pytest.fixture(scope="session")
def columns() -> xr.Dataset:
    """A third of the last frame of the sample: inputs of the scheme."""
    everything = sciml.convection_columns(sciml.open_wrfout(str(SAMPLE_WRFOUT)))
    return everything.isel(column=slice(-NI * NJ, None)).load()


@pytest.fixture(scope="session")
def fields(columns: xr.Dataset) -> dict[str, np.ndarray[Any, Any]]:
    """The model's arrays before the call; every sixth column is held."""
    generator = np.random.default_rng(77)
    arrays = {}
    for name, theirs in (*NAMED.items(), ("w0avg", "W0AVG")):
        array = np.zeros((NJ, NK + 1, NI), np.float32)
        array[:, :NK] = columns[theirs].values.reshape(NJ, NI, NK).transpose(0, 2, 1)
        arrays[name] = array
    for name in ("zol", "hfx", "ust", "pblh"):
        arrays[name] = columns[name.upper()].values.astype(np.float32).reshape(NJ, NI)
    w = generator.normal(0, 0.05, (NJ, NK + 1, NI)).astype(np.float32)
    # after its update W0AVG equals that of the sample, up to rounding
    mean = np.float32(0.5) * (w[:, :-1] + w[:, 1:])
    arrays["w"] = w
    arrays["w0avg"][:, :NK] = (np.float32(12) * arrays["w0avg"][:, :NK] - mean) / np.float32(11)
    for name in PROFILES:
        arrays[name] = generator.normal(0, 1e-3, (NJ, NK + 1, NI)).astype(np.float32)
    for name in OUTPUTS:
        arrays[name] = generator.uniform(1, 2, (NJ, NI)).astype(np.float32)
    arrays["nca"] = np.where(np.arange(NJ * NI).reshape(NJ, NI) % 6 == 0, 600, -3).astype(np.float32)
    arrays["cu_act_flag"] = np.full((NJ, NI), 7, np.int32)
    return arrays


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights file of the packaged emulator."""
    path = tmp_path_factory.mktemp("scheme") / "mskf.nc"
    write_weights(path, emulator_weights(Emulator.load("mskf-convrad")))
    return path


@pytest.fixture
def run(library: Library, weights: Path, fields: dict[str, np.ndarray[Any, Any]], tmp_path: Path) -> Any:
    """Return a function that runs calls in a new process, in a new folder."""

    def run_process(
        settings: str | None,
        *,
        tiles: list[list[int]] | None = None,
        calls: list[dict[str, Any]] | None = None,
        changed: dict[str, np.ndarray[Any, Any]] | None = None,
        name: str = "run",
        env: dict[str, str] | None = None,
        **given: Any,
    ) -> Run:
        folder = tmp_path / name
        folder.mkdir()
        np.savez(folder / "fields.npz", **{**fields, **(changed or {})})
        if settings is not None:
            text = f"&sciml_mskf\n weights = '{weights}'\n{settings}\n/\n".replace("\n weights = '' ", "")
            (folder / "sciml_mskf.nml").write_text(text)
        specification = {
            "library": str(library.path),
            "fields": str(folder / "fields.npz"),
            "output": str(folder / "after.npz"),
            "calls": calls or [{"step": 6, "tiles": tiles or WHOLE}],
            **given,
        }
        (folder / "specification.json").write_text(json.dumps(specification))
        words = [sys.executable, "-m", "tests.coupling.caller", str(folder / "specification.json")]
        root = str(Path(__file__).parents[3])
        environment = {**os.environ, "PYTHONPATH": root, **(env or {})}
        done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout.splitlines()[-1])
        with np.load(folder / "after.npz") as file:
            after = {name: file[name] for name in file.files}
        return Run(after, [tuple(x) for x in report["statuses"]], report["calls"], done.stderr, folder)

    return run_process


@pytest.fixture(scope="session")
def alone(fields: dict[str, np.ndarray[Any, Any]]) -> dict[str, np.ndarray[Any, Any]]:
    """Fields after a call of the scheme of the model."""
    after = {name: x.copy() for name, x in fields.items()}
    own_scheme(after, slice(0, NJ), slice(0, NI))
    return after
