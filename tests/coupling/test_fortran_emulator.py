"""The native library as an algorithm: its errors. Parity is tested with the emulators."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import sciml
from sciml.convection.emulator import Emulator
from sciml.convection.linear_response import linear_response
from sciml.convection.problem import Convection
from sciml.coupling.fortran_emulator import FortranEmulator
from sciml.coupling.library import Library
from sciml.errors import InputError, SchemaError
from sciml.solve import solve
from tests.coupling.published import Net
from tests.paths import SAMPLE_OFFLINE, SAMPLE_WRFOUT

pytestmark = pytest.mark.native


@pytest.fixture(scope="module")
def columns() -> xr.Dataset:
    sample: xr.Dataset = sciml.convection_columns(sciml.open_wrfout(str(SAMPLE_WRFOUT)))
    return sample.isel(column=slice(0, 5)).load()


def test_a_bare_network(library: Library, published: tuple[Net, Path], columns: xr.Dataset) -> None:
    with pytest.raises(SchemaError, match="bare network"):
        solve(Convection(columns), FortranEmulator(library.path, published[1]))


def test_nan(library: Library, published: tuple[Net, Path], columns: xr.Dataset) -> None:
    bad = columns.copy(deep=True)
    bad["T_PHY"][2, 7] = np.nan
    with pytest.raises(InputError, match="T_PHY has 1 values"):
        solve(Convection(bad), FortranEmulator(library.path, published[1]))


def test_its_linear_response_is_that_of_the_emulator(
    library: Library, packaged_weights: dict[str, Path]
) -> None:
    pairs = sciml.open_columns(SAMPLE_WRFOUT, truth=SAMPLE_OFFLINE)
    convecting = pairs.isel(column=np.flatnonzero(pairs["KIND"].values > 0)[:12]).load()
    native = FortranEmulator(library.path, packaged_weights["floats"])
    mine, theirs = (linear_response(each, convecting) for each in (native, Emulator.load("mskf-convrad")))
    assert np.linalg.norm(mine.matrix - theirs.matrix) < 1e-3 * np.linalg.norm(theirs.matrix)
    np.testing.assert_allclose(mine.rain, theirs.rain, atol=1e-3 * np.abs(theirs.rain).max())
    with pytest.raises(InputError, match="smooth with a FortranEmulator"):
        linear_response(native, convecting, smooth=True)
