"""Tables of the time of matrices: JSON, the cost of a network's tensors, and errors."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from torch import nn

from sciml.compress import CostTable, allocate_bits
from sciml.compress.costs import check_sizes, kernel_matrices
from sciml.errors import InputError, SchemaError
from sciml.nn import LSTM

TABLE = CostTable(
    "avx2",
    12,
    64,
    {(kind, 32, n): n / 8 * us for kind, us in (("int4", 1.0), ("int8", 1.5), ("bf16", 4.0)) for n in (3, 8)},
)


class Net(nn.Module):
    lstm_heads = ("head",)

    def __init__(self) -> None:
        super().__init__()
        self.lstm = LSTM(3, 8, batch_first=True)
        self.head = nn.Linear(8, 32)
        self.column = nn.Linear(32, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.column(torch.tanh(self.head(self.lstm(x)[0])))
        return made


def test_a_table_survives_json() -> None:
    """Keys are tuples in the table and members in JSON."""
    plain = json.loads(json.dumps(TABLE.to_json()))
    assert CostTable.from_json(plain) == TABLE
    assert plain["costs"][0] == {"kind": "int4", "rows": 32, "columns": 3, "us": 0.375}


def test_the_cost_of_a_network_counts_the_matrices_of_the_kernels_only() -> None:
    """LSTM matrices and heads have the time of their kind; other layers compute in float32 at all widths."""
    net = Net()
    assert kernel_matrices(net) == {
        "lstm.weight_ih_l0": (32, 3),
        "lstm.weight_hh_l0": (32, 8),
        "head.weight": (32, 8),
    }
    cost = TABLE.cost(net)
    assert cost("lstm.weight_hh_l0", (32, 8), 16) == 4.0
    assert cost("lstm.weight_ih_l0", (32, 3), 8) == 1.5 * 3 / 8
    assert cost("column.weight", (2, 32), 4) == cost("lstm.bias_ih_l0", (32,), 4) == 0.0


def test_widths_are_chosen_by_the_measured_time() -> None:
    """The largest cost is that of 16 bits everywhere, the sum over the matrices of the kernels."""
    torch.manual_seed(5)
    net = Net()
    batches = list(torch.randn(64, 6, 3).split(8))
    target = Net()
    chosen = allocate_bits(
        net,
        batches,
        lambda model, batch: (model(batch) - target(batch)).square().mean(),
        keep=0.5,
        cost=TABLE.cost(net),
    )
    assert chosen.largest_cost == pytest.approx(4.0 * (3 / 8 + 2))
    assert chosen.cost < chosen.largest_cost


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"costs": [{"kind": "int8", "rows": 4, "us": 1.0}]}, "damaged"),
        ({"costs": [{"kind": "int8", "rows": 4, "columns": 2, "us": float("nan")}]}, "positive number"),
        ({"levels": 2.5}, "whole numbers"),
        ({"speed": 3}, "a table of costs has isa, levels, block, costs, not"),
    ],
)
def test_a_damaged_table_is_named(change: dict[str, Any], message: str) -> None:
    """The error names the file and the fault."""
    with pytest.raises(SchemaError, match=f"costs.json: .*{message}"):
        CostTable.from_json(TABLE.to_json() | change, "costs.json")


def test_sizes_and_kinds_that_are_not_in_the_table_are_named() -> None:
    """The remedy is to measure them."""
    with pytest.raises(InputError, match=r"no time of sign with 32 rows and 8 columns.*measure_costs"):
        TABLE.time("sign", 32, 8)
    with pytest.raises(InputError, match=r"with 40 rows and 5 columns"):
        TABLE.cost(LSTM(5, 10, batch_first=True))
    with pytest.raises(InputError, match="width 3: the kernels have"):
        TABLE.cost(Net())("head.weight", (32, 8), 3)


@pytest.mark.parametrize("shapes", [[], [(4,)], [(0, 3)], [(4, 2.5)], [(8, 1025)], [(4097, 8)]])
def test_wrong_sizes_are_refused(shapes: list[Any]) -> None:
    """Each is shown with the limits."""
    with pytest.raises(InputError, match="give rows and columns of matrices"):
        check_sizes(shapes, 1024)
