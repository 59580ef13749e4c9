"""A scheme of few fields, and pairs of the warm-rain scheme."""

from __future__ import annotations

import pytest
import xarray as xr

from sciml.schemes import ColumnScheme, load_scheme
from workflows.kessler.soundings import SCHEME, pairs


@pytest.fixture(scope="session")
def kessler() -> ColumnScheme:
    return load_scheme(SCHEME)


@pytest.fixture(scope="session")
def rainy() -> xr.Dataset:
    return pairs(160, 20, seed=5)
