"""The committed sample with the true scheme's results, and the emulator's physics of it."""

from __future__ import annotations

import pytest
import xarray as xr

from sciml.columns import convection_columns
from sciml.convection.emulator import Physics, physics, sounding_of
from sciml.convection.network import Architecture
from sciml.wrf import open_wrfout
from tests.paths import SAMPLE_OFFLINE, SAMPLE_WRFOUT


def whole_sample() -> xr.Dataset:
    return convection_columns(open_wrfout(SAMPLE_WRFOUT), truth=xr.open_dataset(SAMPLE_OFFLINE))


@pytest.fixture(scope="session")
def pairs() -> xr.Dataset:
    """Every fifth column of the sample: 807 pairs, 29 % of which convect."""
    return whole_sample().isel(column=slice(None, None, 5)).load()


@pytest.fixture(scope="session")
def known(pairs: xr.Dataset) -> Physics:
    result = physics(sounding_of(pairs), Architecture())
    assert result is not None
    return result
