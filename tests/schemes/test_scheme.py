"""A column scheme is checked when it is declared, and a second one needs a declaration alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sciml.errors import InputError
from sciml.schemes import MSKF, ColumnScheme, Field

SECOND = ColumnScheme(
    name="dry",
    cu_physics=99,
    inputs=(Field("T_PHY", "T", "t"), Field("P_HYD", "P_HYD", "p"), Field("HFX", "HFX", "hfx")),
    outputs=(Field("RTHCUTEN", "RTHCUTEN", "rthcuten"), Field("CUTOP", "CUTOP", "cutop", is_level=True)),
    optional_outputs=(Field("PRATEC", "PRATEC", "pratec"),),
    state=("T", "P", "PB", "HFX"),
    training=("RTHCUTEN",),
    decisive=("RTHCUTEN",),
    zero_if_absent=(),
    classes=("none", "adjusted"),
    closures={"enthalpy": ("RTHCUTEN",)},
)


def test_a_second_scheme_sorts_its_fields() -> None:
    assert SECOND.input_profiles == ("T_PHY", "P_HYD")
    assert SECOND.input_scalars == ("HFX",)
    assert SECOND.output_profiles == ("RTHCUTEN",)
    assert SECOND.output_scalars == ("CUTOP",)
    assert SECOND.levels == ("CUTOP",)
    assert SECOND.unit_labels == {"RTHCUTEN": "K s-1", "CUTOP": "level", "PRATEC": "mm s-1"}


def test_a_profile_after_a_value_per_column_is_an_error() -> None:
    with pytest.raises(
        InputError, match=r"profile after a value per column among HFX, T_PHY: give the profiles first"
    ):
        replace(SECOND, inputs=(SECOND.inputs[2], SECOND.inputs[0]))


def test_a_name_that_occurs_twice_is_an_error() -> None:
    with pytest.raises(InputError, match="names RTHCUTEN twice"):
        replace(SECOND, optional_outputs=(SECOND.outputs[0],))


@pytest.mark.parametrize("part", ["training", "decisive", "zero_if_absent"])
def test_a_list_that_names_no_output_is_an_error(part: str) -> None:
    with pytest.raises(InputError, match="does not return RQVCUTEN"):
        replace(SECOND, **{part: ("RQVCUTEN",)})


def test_a_closure_that_names_no_output_is_an_error() -> None:
    with pytest.raises(InputError, match="does not return RUCUTEN"):
        replace(SECOND, closures={"momentum": ("RUCUTEN",)})


@pytest.mark.parametrize("name", ["RTHBLTEN", ""])
def test_a_field_that_the_table_does_not_have_is_an_error(name: str) -> None:
    with pytest.raises(InputError, match="not in the table of WRF's variables: add a row"):
        Field(name, name, name)


def test_a_field_without_a_place_in_a_column_is_an_error() -> None:
    with pytest.raises(InputError, match="XTIME has the dimensions 0d"):
        Field("XTIME", "XTIME", "xtime")


def test_bounds_and_units_come_from_the_table() -> None:
    (temperature,) = (field for field in MSKF.inputs if field.name == "T_PHY")
    assert (temperature.units, temperature.bounds) == ("K", (130, 360))
