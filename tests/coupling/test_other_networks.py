"""The networks without a plume from a checkpoint to a host: commands, f2py, traps, levels and equilibrium."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from typer.testing import CliRunner

import sciml
import tests.coupling.test_guest as hosts
from sciml.cli import app
from sciml.columns.open import open_columns
from sciml.convection.emulator import Emulator, sounding_of
from sciml.coupling.export import emulator_weights
from sciml.coupling.f2py import load_extension
from sciml.coupling.fortran_emulator import FortranEmulator
from sciml.coupling.library import Library
from sciml.coupling.rce_host import simulate
from sciml.coupling.rce_setup import Climate, Start
from sciml.coupling.weights_file import write_weights
from tests.coupling.host import PROFILES
from tests.coupling.test_levels import on_levels
from tests.coupling.test_pure_networks import published, pure, solved
from tests.paths import SAMPLE_WRFOUT

pytestmark = [pytest.mark.native, pytest.mark.xdist_group("packaged")]

MAKERS: dict[str, Any] = {"bilstm": pure, "published": published}
guest = hosts.guest


@pytest.fixture(scope="module")
def columns() -> xr.Dataset:
    """A fifth of the sample: 807 columns."""
    everything: xr.Dataset = sciml.convection_columns(sciml.open_wrfout(str(SAMPLE_WRFOUT)))
    return everything.isel(column=slice(None, None, 5)).load()


@pytest.fixture(scope="module", params=MAKERS)
def emulator(request: pytest.FixtureRequest, columns: xr.Dataset) -> Emulator[Any]:
    made: Emulator[Any] = MAKERS[request.param](columns)
    if request.param == "bilstm":  # weights of a usual size, with which rounding does not grow
        with torch.no_grad():
            for weight in made.network.parameters():
                weight.mul_(0.4)
            seen = made.network.observe(sounding_of(columns))
            x, y = made.normalisation.standardise(seen.channels, seen.scalars)
            logits = made.network(x.float(), y.float())[2][:, :3]
            made.network.column.bias[:3] -= logits.mean(0)
    return made


@pytest.fixture(scope="module")
def folder(emulator: Emulator[Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that `sciml coupling build` made from a checkpoint."""
    where = tmp_path_factory.mktemp("network")
    emulator.save(where / "mine.sciml")
    shown = CliRunner().invoke(
        app, ["coupling", "build", "-o", str(where / "built"), str(where / "mine.sciml")]
    )
    assert shown.exit_code == 0, shown.output
    return where / "built"


def test_check(folder: Path) -> None:
    shown = CliRunner().invoke(app, ["coupling", "check", str(folder), "--columns", "110"])
    assert shown.exit_code == 0, shown.output
    lines = shown.output.splitlines()
    assert lines[-1].startswith("verdict: ok")
    assert all(line.startswith("ok") for line in lines[:-1] if "does not predict" not in line)


def test_replay(folder: Path, tmp_path: Path) -> None:
    words = ["coupling", "replay", str(folder), str(SAMPLE_WRFOUT), "-o", str(tmp_path), "--tile", "7x5"]
    shown = CliRunner().invoke(app, words)
    assert shown.exit_code == 0, shown.output
    lines = shown.output.splitlines()
    assert lines[-1].startswith("verdict: ok, 4,032 columns through Fortran")
    assert lines[-1].endswith("all with the same bits")
    assert lines[-2].startswith("agree: Fortran against torch, 4,032 columns")


@pytest.mark.slow
def test_f2py(folder: Path, emulator: Emulator[Any], library: Library) -> None:
    """The bare network, called by f2py, has the bits of the call by ctypes."""
    pytest.importorskip("mesonbuild")
    module = load_extension(library.path).emulator
    with library.open(folder / "mskf.nc") as state:
        about = state.description
        levels = about.pool_levels or 37
        x = np.random.default_rng(5).normal(size=(21, levels, about.channels)).astype(np.float32)
        truth = state.network(x)
    handle, status, message = module.open_weights(str(folder / "mskf.nc"))
    assert status == 0, message
    outputs = module.run_network(handle, x.T, 1, about.outputs, about.pooled)
    module.close_weights(handle)
    assert outputs[2] == 0, outputs[3]
    for mine, wanted in zip(outputs[:2], truth, strict=True):
        np.testing.assert_array_equal(mine.T, wanted)
    assert np.ptp(truth[0]) > 0


def test_traps(guest: Path, folder: Path, isa: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Traps, flags and rounding of the host do not change the outputs, and are restored."""
    some = sciml.convection_columns(sciml.open_wrfout(str(SAMPLE_WRFOUT))).isel(column=slice(None, None, 8))
    hosts.test_traps(guest, folder / "mskf.nc", some.load(), isa, tmp_path, monkeypatch)


@pytest.mark.parametrize(("levels", "hybrid"), [(20, False), (64, True), (100, False), (100, True)])
def test_numbers_of_levels(
    library: Library, columns: xr.Dataset, tmp_path: Path, levels: int, hybrid: bool
) -> None:
    """The library and torch agree on levels of any number and kind."""
    made, some = pure(columns), on_levels(columns.isel(column=slice(0, 300)), levels, hybrid=hybrid)
    write_weights(tmp_path / "pure.nc", emulator_weights(made))
    truth = solved(some, made)
    mine = solved(some, FortranEmulator(library.path, tmp_path / "pure.nc", precision="float64"))
    assert set(np.unique(truth["KIND"])) == {0, 1, 2}
    assert np.array_equal(mine["KIND"], truth["KIND"])
    for name in PROFILES:
        size = float(abs(truth[name]).max()) + 1e-300
        np.testing.assert_allclose(mine[name], truth[name], atol=1e-9 * size, err_msg=name)
    single = solved(some, FortranEmulator(library.path, tmp_path / "pure.nc"))
    same = (single["KIND"] == truth["KIND"]).values
    assert same.mean() >= 0.99
    for name in PROFILES:
        size = float(abs(truth[name]).max()) + 1e-300
        worst = np.abs(single[name].values - truth[name].values).max(1)[same] / size
        assert np.mean(worst <= 1e-4) >= 0.99, name


def test_equilibrium(folder: Path, emulator: Emulator[Any]) -> None:
    """A quarter of a day of the host of single columns: water closes, and threads do not change the bits."""
    sample = open_columns(SAMPLE_WRFOUT, keep="all").isel(column=slice(None, None, 7)).load()
    start = replace(Start.of(sample, days=1, members=6, seed=11, hours=1.0), steps=432)
    runs = [
        simulate(folder / "libsciml_mskf.so", folder / "mskf.nc", start, Climate(), threads=threads)[0]
        for threads in (1, 2)
    ]
    xr.testing.assert_identical(*runs)
    (run, _) = runs
    assert all(np.isfinite(run[name].values).all() for name in run.data_vars)
    assert run["EVALUATED"].values[1:].sum() > 0
    assert (run["SHALLOW"] + run["DEEP"]).values[1:].sum() > 0
    change = np.diff(run["WATER"].values, axis=0)
    come = (run["EVAPORATION"] - run["RAIN_LS"] + run["WATER_CU"]).values[1:]
    assert np.abs(change - come).max() < 1e-13 * run["WATER"].values.max()
    if emulator.network.command == "bilstm":  # the published network does not close the water of a column
        rain = run["RAIN_CU"].values[1:]
        assert np.abs(run["WATER_CU"].values[1:] + rain).max() < 4e-7 * max(rain.max(), 1.0)
