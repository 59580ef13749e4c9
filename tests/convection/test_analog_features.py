"""Distances by the features of the plume: blocks, columns without a plume, and what they predict."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import xarray as xr

from sciml.columns.open import open_columns
from sciml.convection import AnalogMemory
from sciml.convection.analog_features import STEP, PlumeFeatures
from sciml.convection.emulator import Emulator
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
    for name, used in (("plume", emulator), ("profiles", None)):
        memory = AnalogMemory(stored, members=4, emulator=used)
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


def test_an_emulator_without_a_plume_is_refused(sample: xr.Dataset, emulator: Emulator[Any]) -> None:
    other = dataclasses.replace(emulator, normalisation=SimpleNamespace(), name="published")
    with pytest.raises(InputError, match="published has no features of a plume: give an emulator"):
        AnalogMemory(sample, emulator=other)
