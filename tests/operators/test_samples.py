"""Samples of data of other origin, and errors before a training."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import xarray as xr

from sciml.errors import InputError, SchemaError
from sciml.operators.samples import Samples
from sciml.pde import FAMILIES, Burgers, generate

PLACE: dict[str, Any] = {"boundary": "dirichlet", "centring": "vertex"}


def own() -> xr.Dataset:
    random = np.random.default_rng(37)
    fields = {name: (("sample", "y", "x"), random.uniform(1, 2, (4, 5, 7))) for name in ("coefficient", "u")}
    return xr.Dataset(fields)


def test_a_single_name_is_not_a_sequence() -> None:
    named = own().rename(coefficient="perm")
    assert Samples.of(named, inputs="perm", **PLACE).inputs == ("perm",)


@pytest.mark.parametrize("kind", ["complex", "str", "datetime64[ns]", "bool"])
def test_only_real_numbers_are_accepted(kind: str) -> None:
    values = np.ones((4, 5, 7)).astype(kind)
    with pytest.raises(InputError, match=r"u holds .*give real numbers"):
        Samples.of(own().assign(u=(("sample", "y", "x"), values)), **PLACE)


def test_invalid_attributes() -> None:
    with pytest.raises(SchemaError, match="attribute 'grid' is 'square'"):
        Samples.of(own().assign_attrs(grid="square"))
    with pytest.raises(SchemaError, match="attribute 'family_parameters'"):
        Samples.of(own().assign_attrs(family_parameters="{"), **PLACE)


def test_values_that_cannot_be_read() -> None:
    def damaged(block: np.ndarray) -> np.ndarray:
        raise RuntimeError("Zstd decompression error")

    lazy = own().u.chunk(sample=2).data.map_blocks(damaged, dtype=float, meta=np.empty((0, 0, 0)))
    samples = Samples.of(own().assign(u=(("sample", "y", "x"), lazy)), **PLACE)
    with pytest.raises(InputError, match=r"cannot be read \(Zstd.*whole"):
        samples.survey(np.arange(4))


def test_a_series_of_one_time_begins_with_its_initial_state() -> None:
    """As in the Burgers file of FNO: from the state at 0 to that at 1."""
    family = FAMILIES["burgers"]
    ds = generate(replace(family, template=Burgers(16, frames=1)), 3, 16, seed=37).compute()
    samples = Samples.of(ds)
    assert len(samples) == 3
    assert samples.spacing == 1.0
    np.testing.assert_array_equal(samples.fields.u[1, 0], ds.initial[1])
    np.testing.assert_array_equal(samples.fields.truth[1, 0], ds.u[1, 0])
    with pytest.raises(InputError, match="single time"):
        Samples.of(ds.drop_attrs().drop_vars(["initial", "time"]), **PLACE)
