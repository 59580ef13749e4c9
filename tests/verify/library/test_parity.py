"""Parity of outputs that agree and of outputs that do not, and numbers computed by hand."""

import json

import numpy as np
import pytest
import xarray as xr

from sciml.errors import InputError
from sciml.verify.library.parity import compare_outputs


@pytest.fixture
def outputs():
    rng = np.random.default_rng(51)
    kind = rng.integers(0, 3, 2000)
    heating = rng.normal(0, 1e-4, (2000, 20)) * (kind > 0)[:, None]
    return xr.Dataset(
        {
            "KIND": ("column", kind.astype(np.int8)),
            "RTHCUTEN": (("column", "level"), heating),
            "RQSCUTEN": (("column", "level"), np.zeros((2000, 20))),
            "PRATEC": ("column", np.where(kind == 2, rng.gamma(2, 1e-4, 2000), 0.0)),
        }
    )


def test_equal_outputs_agree_exactly(outputs):
    result = compare_outputs(outputs, outputs)
    assert result.ok
    assert all(x.largest == x.worst == 0 and x.within == 1 for x in result.agreements)


def test_numbers_computed_by_hand(outputs):
    other = outputs.copy(deep=True)
    other["RTHCUTEN"] *= 1 + 3e-7
    span = float(outputs["RTHCUTEN"].max() - outputs["RTHCUTEN"].min())
    other["RTHCUTEN"][7, 4] += 5e-4 * span
    heating = compare_outputs(outputs, other).agreements[0]
    assert heating.name == "RTHCUTEN"
    assert heating.median == pytest.approx(3e-7, rel=1e-6)
    assert heating.worst == pytest.approx(5e-4, rel=1e-2)
    assert heating.within == 1 - 1 / 2000
    assert compare_outputs(outputs, other).ok
    assert not compare_outputs(outputs, other, share=0.9999).ok


def test_too_many_columns_outside_the_tolerance(outputs):
    other = outputs.copy(deep=True)
    other["PRATEC"][:3] = other["PRATEC"][:3] + 1e-3
    assert not compare_outputs(outputs, other).ok


def test_nan_is_a_disagreement(outputs):
    other = outputs.copy(deep=True)
    other["RTHCUTEN"][:5] = np.nan
    result = compare_outputs(outputs, other)
    assert not result.ok
    assert json.loads(json.dumps(result.to_json(), allow_nan=False))["outputs"]["RTHCUTEN"]["median"] is None


def test_a_value_where_the_reference_is_zero(outputs):
    other = outputs.copy(deep=True)
    other["RQSCUTEN"][9, 9] = 1e-12
    rows = {x.name: x for x in compare_outputs(outputs, other).agreements}
    assert rows["RQSCUTEN"].within == 1 - 1 / 2000
    assert rows["RQSCUTEN"].worst == np.inf


def test_columns_of_another_class_are_counted(outputs):
    other = outputs.copy(deep=True)
    other["KIND"] = (other["KIND"] + 1) % 3
    result = compare_outputs(outputs, other)
    assert result.classes_differ == 2000
    assert not result.ok
    assert str(result).splitlines()[-1].startswith("DISAGREE: native against torch, 2,000 columns, 2000 of")


def test_bad_input(outputs):
    with pytest.raises(InputError, match="torch has 2000 columns and native 3"):
        compare_outputs(outputs, outputs.isel(column=slice(3)))
    with pytest.raises(InputError, match="no output in common"):
        compare_outputs(outputs, outputs[["KIND"]])
