"""Attribution of column networks: contributions add up to the head; refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr

from sciml.convection.attribution import attribution
from sciml.convection.bilstm import ColumnBiLSTM
from sciml.convection.column_shape import ColumnShape
from sciml.convection.emulator import Emulator
from sciml.convection.feature_scaling import FeatureScaling
from sciml.convection.network import Closure
from sciml.convection.physics import sounding_of
from sciml.convection.published_bilstm import PublishedBiLSTM
from sciml.errors import InputError


@pytest.fixture(scope="module")
def emulator(pairs: xr.Dataset) -> Emulator[ColumnBiLSTM]:
    torch.manual_seed(23)
    shape = ColumnShape(6, 1, 8, 8, tuple(np.linspace(0.0, 0.9, 8)))
    network = ColumnBiLSTM(shape).eval()
    seen = network.observe(sounding_of(pairs))
    assert seen is not None
    return Emulator(network, FeatureScaling.of(seen.channels, seen.scalars), {"log_error": 0.0})


def test_contributions_add_up_to_the_head(emulator: Emulator[ColumnBiLSTM], pairs: xr.Dataset) -> None:
    convecting = pairs.isel(column=np.flatnonzero(pairs["KIND"] > 0)[:3])
    made = attribution(emulator, convecting, "RQVCUTEN")
    total = made["CONTRIBUTION"].sum(("layer", "channel")) + made["SCALAR_CONTRIBUTION"].sum("scalar")
    np.testing.assert_allclose(total + made["RESIDUAL"], made["HEAD"], rtol=0, atol=1e-13)
    assert made.sizes["output_layer"] == made.sizes["layer"] == 7
    assert made.attrs["head"] == "RQVCUTEN"
    seen = emulator.network.observe(sounding_of(convecting))
    assert seen is not None
    x, y = emulator.normalisation.standardise(seen.channels, seen.scalars)
    level, _, beside = emulator.network(x.float(), y.float())
    deep = (beside[:, 2] > beside[:, 1]).long()
    exact = level[torch.arange(len(level)), :, deep, 1]
    np.testing.assert_allclose(made["HEAD"], exact.detach(), rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(made["column"], seen.index)


def test_the_push_of_the_packaged_emulator(pairs: xr.Dataset) -> None:
    rising = pairs.isel(column=np.flatnonzero(pairs["KIND"] > 0)[:1])
    made = attribution(Emulator.load("mskf-convrad"), rising)
    total = made["CONTRIBUTION"].sum(("layer", "channel")) + made["SCALAR_CONTRIBUTION"].sum("scalar")
    np.testing.assert_allclose(total + made["RESIDUAL"], made["HEAD"], rtol=0, atol=1e-10)
    assert made.attrs == {"head": "push", "network": "plume-closure"}


def test_refusals(emulator: Emulator[ColumnBiLSTM], pairs: xr.Dataset) -> None:
    with pytest.raises(InputError, match=r"head='RTHCUTE': give one of RTHCUTEN"):
        attribution(emulator, pairs.isel(column=slice(0, 2)), "RTHCUTE")
    with pytest.raises(InputError, match="807 columns: give 1 to 64"):
        attribution(emulator, pairs)
    other = Emulator(PublishedBiLSTM(), emulator.normalisation, {})
    with pytest.raises(InputError, match="a network of class published"):
        attribution(other, pairs.isel(column=slice(0, 2)))
    dry = pairs.isel(column=slice(0, 1)).copy()
    dry["QVAPOR"] = dry["QVAPOR"] * 1e-3
    with pytest.raises(InputError, match="no parcel rises in these 1 columns"):
        attribution(emulator, dry)
    assert isinstance(Emulator.load("mskf-convrad").network, Closure)
