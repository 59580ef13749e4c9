"""The LSTM against torch's, and the gradients of parametrised weights against finite differences."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.rnn import pack_padded_sequence

from sciml.errors import InputError
from sciml.nn.lstm import LSTM
from tests.nn.functions import KINDS, Doubled, Factors, originals, register

SHAPES: list[dict[str, Any]] = [
    {"bidirectional": True, "batch_first": True},
    {"bidirectional": True, "batch_first": True, "num_layers": 3},
    {"bias": False},
    {"proj_size": 2, "num_layers": 2},
    {"bidirectional": True, "dropout": 0.3, "num_layers": 2},
]


def pair(**options: Any) -> tuple[LSTM, nn.LSTM]:
    made = []
    for kind in (LSTM, nn.LSTM):
        torch.manual_seed(17)
        made.append(kind(3, 5, **options))
    return made[0], made[1]


@pytest.mark.parametrize("options", SHAPES, ids=str)
def test_the_lstm_equals_that_of_torch_bit_for_bit(options: dict[str, Any]) -> None:
    mine, theirs = pair(**options)
    assert list(mine.state_dict()) == list(theirs.state_dict())
    assert all(torch.equal(x, theirs.state_dict()[name]) for name, x in mine.state_dict().items())
    for shape in ((4, 7, 3), (7, 3)):
        x = torch.randn(shape, generator=torch.Generator().manual_seed(19))
        results = []
        for lstm in (mine, theirs):
            torch.manual_seed(23)  # of the dropout
            lstm.zero_grad()
            output, (hidden, cell) = lstm(x)
            again, _ = lstm(x, (hidden.detach(), cell.detach()))
            (output.square().sum() + again.sum()).backward()
            results.append([output, hidden, cell, again, *(p.grad for p in lstm.parameters())])
        assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_precisions_and_autocast() -> None:
    mine, theirs = pair(batch_first=True)
    x = torch.randn(2, 6, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(mine(x)[0], theirs(x)[0])
    assert torch.equal(mine.double()(x.double())[0], theirs.double()(x.double())[0])
    with pytest.raises(InputError, match=r"input of torch\.float32, and weights of torch\.float64"):
        mine(x)


def test_bad_input() -> None:
    lstm, _ = pair()
    for x in (torch.zeros(4, 2, 8), torch.zeros(3), torch.zeros(1, 2, 3, 3)):
        with pytest.raises(InputError, match="needs 2 or 3 dimensions, 3 features"):
            lstm(x)
    with pytest.raises(InputError, match="PackedSequence: give a padded tensor"):
        lstm(pack_padded_sequence(torch.zeros(4, 2, 3), [4, 2]))


def loss(lstm: nn.Module, x: Tensor) -> Tensor:
    output, (hidden, cell) = lstm(x)
    return (output * torch.linspace(-1, 1, output.numel()).to(x).reshape(output.shape)).sum() + (
        hidden * cell
    ).sum()


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_reach_the_original_tensors(kind: str) -> None:
    torch.manual_seed(29)
    lstm = LSTM(3, 4, 2, bidirectional=True, batch_first=True)
    for name in list(lstm.state_dict()):
        register(lstm, name, kind)
    lstm.double()
    x = torch.randn(2, 5, 3, dtype=torch.float64)
    loss(lstm, x).backward()
    tensors = dict(originals(lstm))
    assert len(tensors) >= 16
    for name, tensor in tensors.items():
        assert tensor.grad is not None, name
        flat, gradient, step = tensor.data.view(-1), tensor.grad.flatten(), 1e-6
        for index in {0, flat.numel() // 2, flat.numel() - 1}:
            value = flat[index].item()
            sides = []
            for moved in (value + step, value - step):
                flat[index] = moved
                sides.append(loss(lstm, x).item())
            flat[index] = value
            difference = (sides[0] - sides[1]) / (2 * step)
            assert gradient[index].item() == pytest.approx(difference, rel=1e-6, abs=1e-8), name


def test_gradients_as_torch_computes_them() -> None:
    lstm = LSTM(2, 3, bidirectional=True)
    register(lstm, "weight_hh_l0_reverse", "factors")
    lstm.double()
    x = torch.randn(4, 2, 2, dtype=torch.float64)
    names, tensors = zip(*originals(lstm), strict=True)

    def function(*values: Tensor) -> Tensor:
        return torch.func.functional_call(lstm, dict(zip(names, values, strict=True)), (x,))[0]

    assert torch.autograd.gradcheck(function, tensors)


def test_an_optimiser_step_changes_the_next_output() -> None:
    lstm = LSTM(2, 3)
    register(lstm, "weight_ih_l0", "doubled")
    x = torch.randn(4, 2, 2)
    before = lstm(x)[0]
    optimizer = torch.optim.SGD(lstm.parameters(), lr=0.1)
    before.sum().backward()
    optimizer.step()
    reference = nn.LSTM(2, 3)
    reference.load_state_dict({name: getattr(lstm, name).detach() for name in reference.state_dict()})
    after = lstm(x)[0]
    assert torch.equal(after, reference(x)[0])
    assert not torch.equal(after, before)


def test_each_weight_is_computed_once_a_call() -> None:
    class Counting(nn.Module):
        calls = 0

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            return x.clone()

    lstm, counting = LSTM(2, 3), Counting()
    parametrize.register_parametrization(lstm, "weight_hh_l0", counting)
    counting.calls = 0
    lstm(torch.zeros(4, 2, 2))
    assert counting.calls == 1


@pytest.mark.parametrize("kind", [Doubled, Factors])
def test_copies_casts_assignments_and_removal(kind: type[nn.Module]) -> None:
    """Operations after which the list of weights of torch has a stale or a computed tensor."""
    mine, reference = pair(batch_first=True)
    parametrize.register_parametrization(mine, "weight_hh_l0", kind())
    x = torch.randn(2, 6, 3, dtype=torch.float64)
    mine(x.float())[0].sum().backward()
    mine.double()
    mine(x)
    copied = copy.deepcopy(mine)
    assert torch.equal(copied(x)[0], mine(x)[0])
    new = torch.randn(20, 5, dtype=torch.float64)
    reference.double().weight_hh_l0.data.copy_(new)
    copied.weight_hh_l0 = new
    wanted = reference(x)[0]
    torch.testing.assert_close(copied(x)[0], wanted)
    assert not torch.equal(mine(x)[0], copied(x)[0])
    parametrize.remove_parametrizations(mine, "weight_hh_l0")
    mine.weight_hh_l0.data.copy_(new)
    assert type(mine) is LSTM
    for plain in (mine, copy.deepcopy(mine)):
        assert torch.equal(plain(x)[0], wanted)
