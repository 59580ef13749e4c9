"""The modes with networks without a plume, in a host linked as WRF is, and what the library prints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import sciml
from sciml.coupling.export import emulator_weights
from sciml.coupling.weights_file import write_weights
from tests.coupling.conftest import Settings
from tests.coupling.standin import STEPS, Run, run, same_bits
from tests.coupling.test_pure_networks import published, pure
from tests.paths import SAMPLE_WRFOUT

pytestmark = [pytest.mark.native, pytest.mark.xdist_group("standin")]

SILENT = ("original", "capture", "shadow")
MODES = ("shadow", "emulate", "guard")
MAKERS: dict[str, Any] = {"bilstm": pure, "published": published}


@pytest.fixture(scope="module", params=MAKERS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def weights(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    everything: xr.Dataset = sciml.convection_columns(sciml.open_wrfout(str(SAMPLE_WRFOUT)))
    emulator: Any = MAKERS[kind](everything.isel(column=slice(None, None, 5)).load())
    path = tmp_path_factory.mktemp("weights") / "network.nc"
    write_weights(path, emulator_weights(emulator))
    return path


@pytest.fixture(scope="module")
def whole(
    host: Path, state: Path, settings: Settings, weights: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Run]:
    where = tmp_path_factory.mktemp("whole")
    options: dict[str, Any] = dict(state=state, steps=STEPS, kf_edrates=True)
    modes = dict.fromkeys((*SILENT, *MODES))
    return {mode: run(host, where / mode, settings(mode, weights=str(weights)), **options) for mode in modes}


def test_what_the_modes_return(whole: dict[str, Run], plain: xr.Dataset, kind: str) -> None:
    for mode in SILENT:
        assert same_bits(plain, whole[mode].history) == [], mode
    emulated = whole["emulate"].history
    assert {"RTHCUTEN", "RAINC"} <= set(same_bits(plain, emulated))
    zero = {"UDR_KF", "TIMEC_KF"} | ({"RUCUTEN", "CLDFRA_DP"} if kind == "published" else set())
    for name in zero:
        assert not emulated[name].values.any(), name
    assert all(np.isfinite(emulated[name].values).all() for name in ("RTHCUTEN", "RQVCUTEN", "RAINC"))


def test_the_outputs_that_are_zero_are_printed_once(whole: dict[str, Run], kind: str) -> None:
    for mode in MODES:
        done = whole[mode]
        assert done.stderr.count("the emulator does not predict") == 1
        assert f"for {'any number of' if kind == 'bilstm' else '44'} levels" in done.stderr


@pytest.mark.parametrize("mode", MODES)
def test_tiles_threads_and_restart(
    host: Path,
    state: Path,
    settings: Settings,
    weights: Path,
    whole: dict[str, Run],
    tmp_path: Path,
    mode: str,
) -> None:
    given, half = settings(mode, weights=str(weights)), tmp_path / "half"
    options: dict[str, Any] = dict(tile=(7, 5), threads=2, kf_edrates=True)
    run(host, tmp_path, given, state=state, steps=9, state_out=half, **options)
    again = run(host, tmp_path, state=half, steps=STEPS - 9, kf_edrates=True)
    assert same_bits(whole[mode].history, again.history) == []


@pytest.mark.mpi
@pytest.mark.parametrize("mode", [*SILENT, "emulate", "guard"])
def test_ranks(
    host_on_ranks: Path,
    state: Path,
    settings: Settings,
    weights: Path,
    whole: dict[str, Run],
    tmp_path: Path,
    mode: str,
) -> None:
    options: dict[str, Any] = dict(state=state, steps=STEPS, tile=(7, 5), kf_edrates=True)
    done = run(host_on_ranks, tmp_path, settings(mode, weights=str(weights)), ranks=2, **options)
    assert same_bits(whole[mode].history, done.history) == []
