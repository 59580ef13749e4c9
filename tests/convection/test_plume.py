"""The parcel test and the plume, compared with the results of the true scheme on the sample."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr

from sciml.convection.downdraft import descend
from sciml.convection.emulator import Physics, physics, sounding_of
from sciml.convection.network import Architecture
from sciml.convection.plume import SHALLOW
from sciml.convection.source_layer import candidates, parcel_test
from sciml.convection.updraft import ascend
from tests.convection.conftest import whole_sample
from tests.paths import SHARED


def test_the_parcel_test_has_recall_one(pairs: xr.Dataset) -> None:
    passed = parcel_test(sounding_of(pairs)).numpy()
    triggered = pairs["KIND"].values > 0
    assert triggered.sum() > 200
    assert passed[triggered].all()
    assert (passed & ~triggered).mean() <= 0.01


def test_the_plume_equals_that_of_the_scheme() -> None:
    """On all columns of the sample: single columns differ by the rounding of the scheme."""
    sample = whole_sample().load()
    known = physics(sounding_of(sample), Architecture())
    assert known is not None
    truth = sample.isel(column=known.index.numpy())
    kind = known.plume.kind.numpy()
    agrees = kind == truth["KIND"].values
    assert agrees.mean() >= 0.995
    assert (known.plume.top.numpy() + 1 == truth["CUTOP"].values)[agrees].mean() >= 0.995
    assert (known.plume.cloud_base.numpy() + 1 == truth["CUBOT"].values)[agrees].mean() >= 0.995
    for name, mine in (("QC_CU", known.plume.liquid), ("QI_CU", known.plume.ice)):
        true, computed = truth[name].values[agrees], mine.numpy().T[agrees]
        assert 1 - ((true - computed) ** 2).sum() / ((true - true.mean()) ** 2).sum() >= 0.998, name


def test_adjustment_times_equal_those_of_the_scheme(pairs: xr.Dataset, known: Physics) -> None:
    truth = pairs.isel(column=known.index.numpy())
    agrees = known.plume.kind.numpy() == truth["KIND"].values
    ratio = (known.times.adjustment.numpy() / truth["TIMEC_KF"].values)[agrees]
    assert np.abs(ratio - 1).max() < 0.3 and np.mean(np.abs(ratio - 1) < 0.011) > 0.98
    assert (known.times.counter.numpy() == truth["NCA"].values)[agrees].mean() > 0.99


def test_adjustment_times_are_at_most_a_day(pairs: xr.Dataset) -> None:
    """In whole steps, where the wind is so light that air takes longer to cross the cell."""
    for dt, longest in ((50.0, 86400.0), (7000.0, 84000.0), (1e5, 1e5)):
        calm = {name: 1e-3 * pairs[name] for name in ("U_PHY", "V_PHY")}
        known = physics(sounding_of(pairs.assign(calm).assign_attrs(DT=dt)), Architecture())
        assert known is not None
        deep = known.plume.kind != SHALLOW
        assert deep.sum() > 50
        assert (known.times.counter[deep] == longest).all()
        assert known.times.adjustment.max() == 86400.0


def test_the_plume_does_not_depend_on_the_wind(pairs: xr.Dataset, known: Physics) -> None:
    turned = pairs.assign(U_PHY=-pairs["V_PHY"], V_PHY=pairs["U_PHY"])
    other = ascend(sounding_of(turned).take(known.index))
    for name, value in vars(known.plume).items():
        torch.testing.assert_close(getattr(other, name), value, rtol=0, atol=0)


def test_source_layers_start_every_15_hpa(known: Physics) -> None:
    s = known.sounding
    flags = candidates(s)
    for column in (3, 57):
        p = s.p[:, column].numpy()
        starts = [0]
        threshold = p[0] - 1500.0
        for k in range(1, len(p)):
            if p[0] - 30000.0 <= p[k] < threshold:
                starts.append(k)
                threshold -= 1500.0
        assert torch.nonzero(flags[:, column]).squeeze(1).tolist() == starts


def test_the_updraft_conserves_water(known: Physics) -> None:
    """The water that enters at the source layer and by mixing leaves as detrained vapour, condensate or rain."""
    s, plume = known.sounding, known.plume
    entered = (plume.entrained * s.q).sum(0)
    vapour = (plume.detrained * plume.q_undiluted).sum(0)
    left = vapour + (plume.detrained_liquid + plume.detrained_ice).sum(0) + (plume.rain + plume.snow).sum(0)
    # the tables' interpolation of saturation, which the scheme shares, is what does not close
    assert ((left - entered).abs() / entered).max() < 2e-3
    mass = plume.entrained.sum(0) - plume.detrained.sum(0)
    assert mass.abs().max() < 1e-9


def test_the_downdraft_takes_no_more_than_the_rain(known: Physics) -> None:
    down = descend(known.sounding, known.plume)
    rain = (known.plume.rain + known.plume.snow).sum(0)
    assert bool((down.evaporated <= rain * (1 + 1e-12)).all())
    assert bool((down.flux >= 0).all())
    torch.testing.assert_close(down.entrained.sum(0), down.detrained.sum(0))
    assert bool((down.evaporated[known.plume.kind == SHALLOW] == 0).all())


@pytest.mark.shared
def test_the_class_on_captured_columns() -> None:
    """Exact inputs, captured inside WRF: every column that the scheme evaluated at four calls."""
    from sciml.columns import convection_columns
    from sciml.convection.emulator import physics

    capture = xr.open_dataset(SHARED / "wrf/train/mskf_io_convrad_train3.nc")
    columns = convection_columns(capture, keep="pairs").isel(column=slice(None, None, 4)).load()
    known = physics(sounding_of(columns), Architecture())
    assert known is not None
    kind = np.zeros(columns.sizes["column"], dtype=np.int8)
    kind[known.index.numpy()] = known.plume.kind.numpy()
    assert (kind == columns["KIND"].values).mean() > 0.998
