"""Outputs of kf_edrates = 1: entrainment and detrainment rates and the adjustment time of the native library."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

import sciml
from sciml.convection.adjustment import shallow_strength
from sciml.convection.emulator import Emulator, Physics, physics, sounding_of
from sciml.convection.plume import DEEP, SHALLOW
from sciml.coupling.export import emulator_weights
from sciml.coupling.library import Library
from sciml.coupling.weights_file import write_weights
from tests.coupling.host import RATES, Answer, Host
from tests.paths import SAMPLE_OFFLINE, SAMPLE_WRFOUT, SHARED

pytestmark = [pytest.mark.native, pytest.mark.xdist_group("packaged")]

Array = np.ndarray[Any, Any]
TERRAIN = SHARED / "wrf" / "sample" / "wrfout_d01_terrain3km_full.nc"


@pytest.fixture(scope="module")
def columns() -> xr.Dataset:
    return sciml.convection_columns(sciml.open_wrfout(str(SAMPLE_WRFOUT))).load()


@pytest.fixture(scope="module")
def emulator() -> Emulator:
    return Emulator.load("mskf-convrad", precision="float64")


@pytest.fixture(scope="module")
def host(emulator: Emulator, library: Library, tmp_path_factory: pytest.TempPathFactory) -> Host:
    path = tmp_path_factory.mktemp("rates") / "mskf.nc"
    write_weights(path, emulator_weights(emulator))
    return Host(library.path, path)


@pytest.fixture(scope="module")
def answer(host: Host, columns: xr.Dataset) -> Answer:
    return host.run(columns, np.float64, rates=True)


def strength_of(known: Physics) -> torch.Tensor:
    """Cloud-base mass flux divided by that of the plume, computed by torch."""
    quiet = shallow_strength(known.sounding, known.plume, known.times)
    return torch.where(known.plume.kind == DEEP, known.closed.strength, quiet)


def test_fluxes_of_the_plume(answer: Answer, columns: xr.Dataset, emulator: Emulator) -> None:
    """Fluxes have the strength of the tendencies, reduced with them where a layer has too little vapour."""
    known = physics(sounding_of(columns), emulator.network.shape)
    assert known is not None
    index = known.index.numpy()
    kinds = answer.fields["KIND"][index]
    active = kinds > 0
    whole = (known.plume.flux_lcl * strength_of(known)).numpy() * columns.attrs["DX"] ** 2
    plume, down = known.plume, known.down
    for name, flux in zip(
        RATES, (plume.detrained, down.detrained, plume.entrained, -down.entrained), strict=True
    ):
        expected = (flux.numpy() * whole).T
        rates = answer.fields[name][index]
        size = np.abs(expected).sum(1)
        share = np.abs(rates).sum(1) / np.where(size > 0, size, 1)
        assert (rates[~active] == 0).all()
        some = active & (size > 0)
        assert (share[some] < 1 + 1e-9).all()
        assert np.median(share[some]) == pytest.approx(1, abs=1e-9)
        np.testing.assert_allclose(rates[some], (expected * share[:, None])[some], rtol=1e-6, atol=1e-6)
    nothing = np.setdiff1d(np.arange(columns.sizes["column"]), index[active])
    for name in (*RATES, "TIMEC_KF"):
        assert not answer.fields[name][nothing].any()
    np.testing.assert_allclose(
        answer.fields["TIMEC_KF"][index[active]], known.times.adjustment.numpy()[active], rtol=1e-12
    )


def test_entrained_mass_equals_detrained_mass(answer: Answer) -> None:
    """The sums over the column are equal for each plume; shallow clouds have no downdraught."""
    fields = answer.fields
    up, down = np.abs(fields["UER_KF"]).sum(1), np.abs(fields["DER_KF"]).sum(1)
    np.testing.assert_allclose(fields["UDR_KF"].sum(1), up, rtol=1e-10)
    np.testing.assert_allclose(fields["DDR_KF"].sum(1), -fields["DER_KF"].sum(1), rtol=1e-10)
    kind = fields["KIND"]
    assert (up[kind > 0] > 0).all()
    assert not down[kind == SHALLOW].any()
    assert (down[kind == DEEP] > 0).mean() > 0.5
    assert (fields["DER_KF"] <= 0).all()
    assert min(fields[name].min() for name in ("UDR_KF", "DDR_KF", "UER_KF")) >= 0


def test_adjustment_times_of_the_scheme(answer: Answer) -> None:
    """Where both trigger alike, they equal those of the scheme, in whole steps of 50 s."""
    with xr.open_dataset(SAMPLE_OFFLINE) as file:
        truth = file["TIMEC_KF"].values.ravel()
    both = (truth > 0) & (answer.fields["KIND"] > 0)
    assert both.sum() > 1000
    off = np.abs(answer.fields["TIMEC_KF"][both] - truth[both])
    assert (off <= 50).mean() > 0.99
    assert (off == 0).mean() > 0.9  # rounding of the inputs turns single steps


def test_rates_change_no_other_output(host: Host, columns: xr.Dataset, answer: Answer) -> None:
    few = columns.isel(column=slice(0, 4032, 5))
    without = host.run(few, np.float64)
    assert without.same(Answer({name: x[::5] for name, x in answer.fields.items()}, ""))
    single = host.run(few, rates=True, wrf_order=True, tile=100)
    assert single.same(host.run(few, rates=True, threads=2))
    for name in (*RATES, "TIMEC_KF"):
        np.testing.assert_allclose(single.fields[name], answer.fields[name][::5], rtol=3e-3, atol=3.0)


@pytest.mark.shared
def test_rates_of_wrf(host: Host) -> None:
    """A run of WRF with kf_edrates = 1: the same rates, layer by layer, but for the learned strength.

    Only columns that WRF evaluated at the output time are comparable: those with the same adjustment time.
    """
    columns = sciml.convection_columns(sciml.open_wrfout(str(TERRAIN))).load()
    with xr.open_dataset(TERRAIN) as file:
        truth = {
            name: file[name]
            .transpose("Time", "south_north", "west_east", "bottom_top")
            .values.reshape(-1, 44)
            for name in RATES
        }
        time = file["TIMEC_KF"].values.ravel()
    rates = host.run(columns, rates=True).fields
    fresh = (time > 0) & (rates["TIMEC_KF"] == time)
    for kind, most in ((SHALLOW, 1e-4), (DEEP, 5e-3)):
        here = fresh & (rates["KIND"] == kind)
        assert here.sum() > 30
        strength = truth["UER_KF"][here].sum(1) / rates["UER_KF"][here].sum(1)
        if kind == SHALLOW:
            np.testing.assert_allclose(strength, 1, rtol=1e-3)
        for name in RATES:
            size = np.abs(truth[name][here]).sum(1)
            off = np.abs(rates[name][here] * strength[:, None] - truth[name][here]).sum(1)
            assert np.quantile(off / np.maximum(size, 1), 0.9) < most, name
