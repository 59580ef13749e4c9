"""Distances by the features of the plume: blocks, columns without a plume, and what they predict."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import xarray as xr

from sciml.columns.open import open_columns
from sciml.convection import AnalogMemory, PlumeFeatures
from sciml.convection.analog_features import STEP
from sciml.convection.emulator import Emulator
from sciml.convection.member_levels import to_levels
from sciml.convection.physics import sounding_of
from sciml.errors import InputError
from tests.paths import SAMPLE_OFFLINE, SAMPLE_WRFOUT


@pytest.fixture(scope="module")
def emulator() -> Emulator[Any]:
    return Emulator.load("mskf-convrad")


@pytest.fixture(scope="module")
def sample() -> xr.Dataset:
    return open_columns(SAMPLE_WRFOUT, truth=SAMPLE_OFFLINE).isel(column=slice(None, None, 7)).load()


def test_features_of_the_plume(sample: xr.Dataset, emulator: Emulator[Any]) -> None:
    """They are the emulator's standardised features, rounded, with the same bits for all blocks and orders."""
    features, sample = PlumeFeatures(emulator), sample.isel(column=slice(0, 240))
    whole = features(sample)
    seen = emulator.network.observe(sounding_of(sample))
    z, _ = emulator.normalisation.rescale(seen.channels, seen.scalars)
    rising = np.zeros(sample.sizes["column"], bool)
    rising[seen.index.numpy()] = True
    np.testing.assert_array_equal(whole[:, -1] > 0, rising)
    assert not whole[~rising].any()
    np.testing.assert_array_equal(whole, np.rint(whole))
    own = np.clip(z.numpy()[3, 1], -8, 8)
    count = z.shape[1]
    np.testing.assert_allclose(whole[rising, 3 * count + 1] * STEP, own, atol=STEP)
    parts = [features(sample.isel(column=slice(i, i + 97))) for i in range(0, len(whole), 97)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    order = np.random.default_rng(7).permutation(len(whole))
    np.testing.assert_array_equal(features(sample.isel(column=order)), whole[order])


def test_analogs_by_the_plume(sample: xr.Dataset, emulator: Emulator[Any]) -> None:
    """They predict another part of the map better than analogs by profiles, and no heating without a plume."""
    east = sample["west_east"].values >= 16
    stored, asked = (sample.isel(column=np.flatnonzero(rows)) for rows in (~east, east))
    error = {}
    for name, used in (("plume", PlumeFeatures(emulator)), ("profiles", None)):
        memory = AnalogMemory(stored, members=4, features=used)
        answer = memory.predict(asked)
        error[name] = float(np.square(answer["RTHCUTEN"] - asked["RTHCUTEN"]).mean())
        assert memory.held_out == "strip"
        if used is not None:
            assert "350 features -> RTHCUTEN" in repr(memory)
            rising = memory.features(asked)[:, -1] > 0
            assert 0.1 < rising.mean() < 0.9
            assert not answer["RTHCUTEN"].values[~rising].any()
            assert not answer["NOVELTY"].values[~rising].any()
    assert error["plume"] < 0.7 * error["profiles"]


def test_an_emulator_without_a_plume_is_refused(emulator: Emulator[Any]) -> None:
    other = dataclasses.replace(emulator, normalisation=SimpleNamespace(), name="published")
    with pytest.raises(InputError, match="published has no features of a plume: give an emulator"):
        PlumeFeatures(other)


def test_members_on_other_levels() -> None:
    """Interpolation is exact for a function that is linear in the logarithm of pressure, and holds the ends."""
    rng = np.random.default_rng(5)
    pressure = np.sort(rng.uniform(2e4, 1e5, (3, 2, 9)))[..., ::-1]
    levels = np.sort(rng.uniform(4e4, 7e4, (3, 6)))[:, ::-1]
    slope = rng.normal(size=(3, 2, 1))
    made = to_levels(2.0 + slope * np.log(pressure), pressure, levels)
    inside = (levels > pressure.min(2).max(1)[:, None]) & (levels < pressure.max(2).min(1)[:, None])
    assert inside.sum() > 6
    exact = 2.0 + slope * np.log(levels)[:, None]
    np.testing.assert_allclose(made.transpose(0, 2, 1)[inside], exact.transpose(0, 2, 1)[inside], rtol=1e-12)
    ends = to_levels(pressure, pressure, np.full((3, 1), 2e5))
    np.testing.assert_array_equal(ends[..., 0], pressure[..., 0])
