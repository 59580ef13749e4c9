"""Measurement of the time of matrices in the native kernels."""

from __future__ import annotations

from typing import Any

import pytest

from sciml.compress.costs import CostTable
from sciml.coupling.matrix_costs import ISAS, measure_costs, reduced_isa
from sciml.errors import InputError

pytestmark = pytest.mark.native


@pytest.mark.parametrize("isa", ["baseline", "amx"])
def test_each_kind_and_size_has_a_time(isa: str) -> None:
    """Sizes of which rows, columns and blocks divide nothing, on each instruction set of this processor."""
    if ISAS.index(isa) > ISAS.index(reduced_isa()):
        with pytest.raises(InputError, match="this processor runs"):
            measure_costs(["int8"], [(4, 1)], isa=isa)
        return
    kinds, shapes = ("bf16", "int8", "int4", "sign"), [(1, 1), (37, 129)]
    table = measure_costs(kinds, shapes, isa=isa, levels=3, block=50, rounds=2)
    assert set(table.microseconds) == {(kind, *shape) for kind in kinds for shape in shapes}
    assert (table.isa, table.levels, table.block) == (isa, 3, 50)
    assert CostTable.from_json(table.to_json()) == table  # all times are positive


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kinds": ["int16"]}, "int16"),
        ({"kinds": []}, "give some of bf16"),
        ({"levels": 0}, "levels=0"),
        ({"block": 2000}, "block=2000"),
        ({"isa": "sse2"}, "sse2"),
    ],
)
def test_wrong_arguments_are_named(change: dict[str, Any], message: str) -> None:
    """Before anything is measured."""
    given = {"kinds": ["int8"], "shapes": [(8, 8)]} | change
    with pytest.raises(InputError, match=message):
        measure_costs(**given)
