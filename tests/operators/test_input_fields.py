"""Arguments of networks: one clear error for fields of any other form."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from sciml.errors import InputError
from sciml.operators.fno import FNO
from sciml.operators.hierarchy_net import HierarchyNet
from sciml.operators.mgno import MgNO
from sciml.operators.published.benchmarks import PublishedArchitecture
from sciml.operators.published.network import PublishedMgNO

NETWORKS: dict[str, Any] = {
    "MgNO": lambda: MgNO(2, channels=2, layers=1, levels=2),
    "MgNO on cells": lambda: MgNO(2, channels=2, layers=1, levels=2, centring="cell"),
    "FNO": lambda: FNO(2, modes=2, width=2, layers=1, projection=2),
    "PublishedMgNO": lambda: PublishedMgNO(PublishedArchitecture(in_channels=2, layers=1, channels=2)),
}
SHAPES = {
    (2, 2, 32): "add the axis of the channels",
    (2, 2): "fields in the plane",
    (32,): "fields in the plane",
    (2, 2, 32, 32, 32): "fields of 3 axes need a network that is made with axes=3",
    (2, 3, 32, 32): "give that many",
    (2, 32, 32, 2): "give that many",
    (2, 2, 2, 32): "at least 3 x 3",
    (2, 2, 32, 1): "at least 3 x 3",
}


@pytest.mark.parametrize("name", NETWORKS)
def test_invalid_fields_are_an_error_with_their_shape(name: str) -> None:
    network = NETWORKS[name]()
    for shape, match in SHAPES.items():
        with pytest.raises(InputError, match=match) as caught:
            network(torch.zeros(shape))
        assert "\n" not in str(caught.value)
        assert type(network).__name__ in str(caught.value)
    with pytest.raises(InputError, match=r"real floating-point numbers, these are torch\.complex64"):
        network(torch.zeros(1, 2, 32, 32, dtype=torch.complex64))
    with pytest.raises(InputError, match="not ndarray"):
        network(np.zeros((1, 2, 32, 32)))
    assert network(torch.zeros(2, 2, 32, 32)).shape == (2, 1, 32, 32)


def test_a_system_has_nine_stencils_on_the_grid_of_its_right_hand_side() -> None:
    network = HierarchyNet(channels=2, hidden=2)
    rhs = torch.ones(1, 1, 7, 7)
    for stencil, given, match in [
        (torch.ones(1, 5, 7, 7), rhs, r"stencil\) takes fields \(sample, 9 channels"),
        (torch.ones(9, 7, 7), rhs, "stencil"),
        (torch.ones(1, 9, 7, 7), rhs[0], "right-hand side"),
        (torch.ones(1, 9, 7, 7), torch.ones(1, 1, 7, 9), r"\(7, 7\) points, right-hand sides on \(7, 9\)"),
    ]:
        with pytest.raises(InputError, match=match):
            network(stencil, given)
