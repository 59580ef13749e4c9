"""Dense weights of parametrised modules, their copies, and what does not fit."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations as torch_parametrizations
from torch.nn.utils import parametrize, prune

from sciml.errors import InputError, SchemaError
from sciml.nn import dense_copy, load_weights, materialise, misfit, parametrizations
from sciml.nn.convolution import convolution_weights
from sciml.nn.parametrize import computed_once, is_parametrized
from tests.nn.functions import KINDS, Cubic, register


def network() -> nn.Sequential:
    torch.manual_seed(31)
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 1, 1, bias=False))


def test_without_parametrisations_it_is_the_state_dict() -> None:
    plain = network()
    state = materialise(plain)
    assert list(state) == list(plain.state_dict())
    assert all(x.data_ptr() == plain.state_dict()[name].data_ptr() for name, x in state.items())
    assert not is_parametrized(plain)


@pytest.mark.parametrize("kind", KINDS)
def test_plain_names_and_equal_answers(kind: str) -> None:
    net = network().eval()
    buffers = kind in (
        "doubled",
        "factors",
    )  # those of the norm too, which take no gradient and no negative value
    names = [name for name in net.state_dict() if "running" not in name or buffers]
    names.remove("1.num_batches_tracked")
    for name in names:
        register(net, name, kind)
    before = {name: x.clone() for name, x in net.state_dict().items()}
    state, x = materialise(net), torch.randn(3, 2, 6, 5)
    plain = network().eval()
    load_weights(plain, state, "the file")
    copied = dense_copy(net)
    assert torch.equal(plain(x), net(x))
    assert torch.equal(copied(x), net(x))
    assert sorted(parametrizations(net)) == sorted(names)
    assert not is_parametrized(copied)
    assert [type(part) for part in copied.modules()] == [type(part) for part in plain.modules()]
    assert {name for name, _ in copied.named_parameters()} == {name for name, _ in plain.named_parameters()}
    # The network itself stays as it was
    assert net.state_dict().keys() == before.keys()
    assert all(torch.equal(x, before[name]) for name, x in net.state_dict().items())
    state["0.weight"].zero_()
    assert net[0].weight.abs().sum() > 0


@pytest.mark.parametrize("name", ["weight_norm", "spectral_norm", "orthogonal"])
def test_the_parametrisations_of_torch(name: str) -> None:
    layer = getattr(torch_parametrizations, name)(nn.Linear(5, 4)).train()
    layer(torch.randn(3, 5))  # a step of the power iteration
    before = {key: x.clone() for key, x in layer.state_dict().items()}
    state = materialise(layer)
    assert sorted(state) == ["bias", "weight"]
    assert all(torch.equal(x, before[key]) for key, x in layer.state_dict().items())
    assert all(part.training for part in layer.modules())
    assert torch.equal(state["weight"], layer.eval().weight)


def test_a_frozen_weight_stays_frozen_in_a_copy() -> None:
    net = network()
    net[0].weight.requires_grad_(False)
    register(net, "0.weight", "cubic")
    register(net, "2.weight", "factors")
    copied = dense_copy(net)
    assert not copied[0].weight.requires_grad
    assert copied[2].weight.requires_grad


def test_a_parametrisation_with_parametrised_weights() -> None:
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mix = torch_parametrizations.weight_norm(nn.Linear(3, 3, bias=False))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.mix(x)

    layer = nn.Linear(3, 2)
    parametrize.register_parametrization(layer, "weight", Mixed())
    assert sorted(materialise(layer)) == ["bias", "weight"]
    assert torch.equal(dense_copy(layer).weight, layer.weight)


def test_a_weight_that_two_layers_share() -> None:
    shared = torch_parametrizations.weight_norm(nn.Linear(3, 3))
    net = nn.Sequential(shared, nn.Tanh(), shared)
    state = materialise(net)
    assert sorted(state) == ["0.bias", "0.weight", "2.bias", "2.weight"]
    assert dense_copy(net)[0] is not shared
    assert torch.equal(state["0.weight"], state["2.weight"])


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_weights_computed_by_hooks_get_a_clear_error() -> None:
    pruned, normed = network(), network()
    prune.l1_unstructured(pruned[0], "weight", 0.5)
    nn.utils.weight_norm(normed[2])
    for net, match in ((pruned, "0 is computed by a hook of L1Unstructured"), (normed, "2 is .* WeightNorm")):
        with pytest.raises(InputError, match=match):
            materialise(net)
    prune.remove(pruned[0], "weight")
    assert materialise(pruned).keys() == network().state_dict().keys()


def test_what_does_not_fit() -> None:
    state = network().state_dict()
    assert misfit(network(), state) is None
    del state["2.weight"]
    assert misfit(network(), state) == ("2.weight", "none", "(1, 4, 1, 1)")
    with pytest.raises(SchemaError, match=r"^net.sciml has weights 2.weight of shape none.*train it again"):
        load_weights(network(), state, "net.sciml")


def test_convolution_weights() -> None:
    layer = nn.Conv2d(2, 4, 3)
    register(layer, "weight", "cubic")
    weight, bias = convolution_weights(layer)
    assert torch.equal(weight, layer.weight)
    assert bias is layer.bias
    with pytest.raises(InputError, match="Identity has no weight"):
        convolution_weights(nn.Identity())


def test_computed_once() -> None:
    layer = nn.Linear(3, 2)
    parametrize.register_parametrization(layer, "weight", Cubic())
    with computed_once():
        assert layer.weight is layer.weight
    assert layer.weight is not layer.weight
