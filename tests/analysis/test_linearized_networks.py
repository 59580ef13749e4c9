"""Each network class of the package has an exact frozen action; a new class without a case fails here."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import sciml
from sciml.analysis import linearize
from sciml.compress.integer_linear import ReducedLinear
from sciml.compress.integer_lstm import ReducedLSTM
from sciml.convection import registry as column_registry
from sciml.convection.bilstm import ColumnBiLSTM
from sciml.convection.column_shape import ColumnShape
from sciml.convection.layer_network import LayerNetwork
from sciml.convection.network import Architecture, BiLSTM, Closure
from sciml.convection.pretraining import MaskedReconstruction
from sciml.convection.published_bilstm import PublishedBiLSTM, PublishedShape
from sciml.convection.transformer import ColumnTransformer
from sciml.convection.transformer_shape import TransformerShape
from sciml.emulation.network import SchemeNetwork, Sizes
from sciml.errors import InputError
from sciml.multigrid.torch.stencils import diffusion_stencil
from sciml.nn import (
    BinaryActivation,
    BinaryAttention,
    BinaryLinear,
    CentredSign,
    ElasticStep,
    EvoNorm,
    Hopfield,
    HopfieldLayer,
    HopfieldPooling,
    binarize,
    hypercomplexify,
    orthogonalize,
)
from sciml.nn.evonorm import EvoNormKind
from sciml.nn.lipschitz import Absolute, GroupSort
from sciml.nn.norm_activation import NORMS
from sciml.operators import registry as operator_registry
from sciml.operators.export import Inference
from sciml.operators.fno import FNO, SpectralConvolution
from sciml.operators.helmholtz_net import HelmholtzNet
from sciml.operators.hierarchy_net import HierarchyNet
from sciml.operators.mgno import MgNO
from sciml.operators.nonexpansive import Form, NonExpansive
from sciml.operators.published.benchmarks import PublishedArchitecture
from sciml.operators.published.network import PublishedMgNO
from sciml.pde.grid import Boundary, Grid
from sciml.schemes import load_scheme
from sciml.train.processes import _Losses
from tests.analysis.test_linearize import check
from workflows.kessler.soundings import SCHEME

Case = tuple[nn.Module, tuple[Tensor, ...], Callable[..., Any]]
PERIODIC = Boundary("periodic", "periodic", "periodic", "periodic")
EDGES = tuple(np.linspace(0.0, 0.9, 7))


def fields(*shape: int) -> tuple[Tensor, ...]:
    return (torch.randn(*shape, dtype=torch.float64),)


def plain(network: nn.Module, *inputs: Tensor) -> Case:
    return network.double(), inputs, network


def column(network: Any, layers: int) -> Case:
    channels, scalars = len(network.shape.channels), len(network.shape.scalars)
    return plain(network, *fields(2, layers, channels), *fields(2, scalars))


def published(**changes: Any) -> PublishedMgNO:
    shape = {"layers": 2, "channels": 3, "smoothing": ((1, 0), (1, 1)), "prolongations": (4,)}
    return PublishedMgNO(PublishedArchitecture(**{**shape, **changes}))


def hierarchy(whole: bool) -> Case:
    network = HierarchyNet(channels=3, hidden=4).double()
    grid = Grid((7, 7))
    stencil = diffusion_stencil(torch.rand(1, 7, 7, dtype=torch.float64) + 0.5, grid)
    rhs = torch.randn(1, 2, 7, 7, dtype=torch.float64)
    return (network, (stencil, rhs), network) if whole else (network, (rhs,), lambda b: network(stencil, b))


def helmholtz() -> Case:
    network = HelmholtzNet(channels=(2, 3), hidden=4).double()
    squared, absorbed = torch.rand(2, 1, 15, 15, dtype=torch.float64)
    gates = network.prepare(squared, absorbed)
    return network, fields(2, 2, 15, 15), lambda r: network(r, squared, absorbed, gates)


def transformer(attention: str, norm: str | None = None) -> ColumnTransformer:
    shape = TransformerShape(hidden=8, heads=2, layers=2, edges=EDGES, attention=attention, rank=2, norm=norm)
    network = ColumnTransformer(shape)
    network(torch.randn(3, 6, len(shape.channels)), torch.randn(3, len(shape.scalars)))  # sets the steps
    return network


def masked() -> Case:
    network = MaskedReconstruction(transformer("real")).double()
    hide = torch.rand(2, 6) < 0.4
    shape = network.network.shape
    inputs = (*fields(2, 6, len(shape.channels)), *fields(2, len(shape.scalars)))
    return network, inputs, lambda x, y: network(x, y, hide)


def binary() -> Case:
    torch_net = nn.Sequential(BinaryLinear(5, 6), BinaryActivation(), nn.Linear(6, 4), ElasticStep()).double()
    torch_net(torch.randn(9, 5, dtype=torch.float64))
    return plain(torch_net.eval(), *fields(3, 5))


def of_each(*kinds: str) -> nn.Module:
    """A network of columns whose LSTM is parametrised."""
    network: nn.Module = ColumnBiLSTM(ColumnShape(8, 2, 8, 8, EDGES))
    if "hypercomplex" in kinds:
        return hypercomplexify(network, 4)
    return binarize(network, "sign") if "sign" in kinds else binarize(network, "periodic", stage=2)


def nonexpansive(form: Form, constrained: bool = False) -> NonExpansive:
    """A network with another input, whose weights are not those that it starts from."""
    network = NonExpansive(2, channels=4, hidden=6, layers=2, kernel=3, form=form)
    for parameter in network.parameters():
        nn.init.normal_(parameter, 0.0, 0.3)
    return network.constrained() if constrained else network


def layers_of_norm_one() -> nn.Module:
    network = nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1, padding_mode="circular"), GroupSort(3), nn.Conv2d(6, 4, 1), Absolute()
    )
    return orthogonalize(network)


def centred() -> nn.Module:
    layer = nn.Linear(5, 4)
    nn.utils.parametrize.register_parametrization(layer, "weight", CentredSign())
    return nn.Sequential(layer, nn.SiLU())


CASES: dict[str, Callable[[], Case]] = {
    "mgno": lambda: plain(
        MgNO(channels=4, layers=2, levels=3, post=1, transfers="learned"), *fields(2, 1, 9, 11)
    ),
    "mgno-tied": lambda: plain(
        MgNO(channels=4, layers=2, levels=2, shared=True, transfers="tied"), *fields(1, 1, 9, 9)
    ),
    "mgno-cell": lambda: plain(MgNO(channels=3, layers=2, levels=3, centring="cell"), *fields(1, 1, 8, 12)),
    "mgno-periodic": lambda: plain(MgNO(2, 2, 3, 2, levels=2, boundary=PERIODIC), *fields(1, 2, 8, 8)),
    "mgno-relaxed": lambda: plain(
        MgNO(channels=3, layers=1, levels=2, grid=(4, 4), relaxations=2), *fields(1, 1, 9, 9)
    ),
    "mgno-relu": lambda: plain(MgNO(channels=4, layers=2, levels=2, activation="relu"), *fields(2, 1, 9, 9)),
    "mgno-none": lambda: plain(MgNO(channels=4, layers=2, levels=2, activation="none"), *fields(2, 1, 9, 9)),
    "nonexpansive": lambda: plain(nonexpansive("generator"), *fields(2, 2, 8, 9)),
    "nonexpansive-constrained": lambda: plain(nonexpansive("generator", True), *fields(1, 2, 8, 8)),
    "nonexpansive-plain": lambda: plain(nonexpansive("plain", True), *fields(1, 2, 8, 8)),
    "nonexpansive-averaged": lambda: plain(nonexpansive("averaged"), *fields(1, 2, 8, 8)),
    "layers-of-norm-1": lambda: plain(layers_of_norm_one(), *fields(2, 2, 8, 8)),
    "published": lambda: plain(published(), *fields(2, 1, 8, 12)),
    "published-norms": lambda: plain(
        published(padding="circular", bias=True, norm="level", skip=False, increment=True, size=8),
        *fields(1, 1, 8, 8),
    ),
    "published-operator": lambda: plain(
        published(padding="reflect", bias=True, norm="layer", head="operator", spare_operator=True, size=8),
        *fields(1, 1, 8, 8),
    ),
    "fno": lambda: plain(FNO(modes=4, width=4, layers=3, projection=6, padding=0.2), *fields(2, 1, 9, 10)),
    "fno-matrices": lambda: plain(
        nn.Sequential(SpectralConvolution(2, 3, 4, dft=True), nn.GELU()), *fields(1, 2, 7, 8)
    ),
    "helmholtz": helmholtz,
    "hierarchy": lambda: hierarchy(whole=False),
    "hierarchy-and-stencil": lambda: hierarchy(whole=True),
    "plume-closure": lambda: column(trained(Closure(Architecture(hidden=4, layers=2))), 9),
    "bilstm": lambda: column(ColumnBiLSTM(ColumnShape(5, 2, 8, 8, EDGES)), 6),
    "bilstm-hypercomplex": lambda: column(of_each("hypercomplex"), 6),
    "bilstm-sign": lambda: column(of_each("sign"), 6),
    "bilstm-periodic": lambda: column(of_each("periodic"), 6),
    "published-bilstm": lambda: plain(PublishedBiLSTM(PublishedShape(5)), *fields(2, 5, 27)),
    "published-stack": lambda: plain(BiLSTM(7, 3, 2, 4, levels=5), *fields(2, 5, 7)),
    "transformer": lambda: column(transformer("real"), 6),
    "transformer-norm": lambda: column(transformer("real", "evonorm-s0"), 6),
    "transformer-binary": lambda: column(transformer("binary"), 6),
    "pretraining": masked,
    "scheme": lambda: scheme(),
    "binary": binary,
    "binary-attention": lambda: plain(started(BinaryAttention(8, 2, rank=2, adapter=2), 8), *fields(2, 5, 8)),
    "centred-sign": lambda: plain(centred(), *fields(3, 5)),
    "mgno-hypercomplex": lambda: plain(
        hypercomplexify(MgNO(channels=4, layers=3, levels=2), 2), *fields(1, 1, 9, 9)
    ),
    "mgno-binary": lambda: plain(
        binarize(MgNO(channels=4, layers=3, levels=2), "periodic", stage=1), *fields(1, 1, 9, 9)
    ),
    "hopfield": lambda: plain(
        nn.Sequential(
            Hopfield(8, heads=2, steps=2, bias_pattern=True, normalise_association=True),
            Added(HopfieldLayer(Hopfield(8, heads=2), 5, separate=True)),
            HopfieldPooling(Hopfield(8, zero_pattern=True, beta=0.5), 3),
        ),
        *fields(2, 6, 8),
    ),
}
EXEMPT: dict[type[nn.Module], str] = {
    LayerNetwork: "is abstract",
    Inference: "wraps a network without gradients; linearize that network",
    ReducedLinear: "has no gradient; linearize the network that was quantized",
    _Losses: "returns the losses of a training, in place of the outputs of its network",
    ReducedLSTM: "has no gradient; linearize the network that was quantized",
}


class Added(nn.Module):
    """A layer added to its input: a memory depends on its input by its weights only, which are frozen."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        added: Tensor = x + self.layer(x)
        return added


def trained(network: Closure) -> Closure:
    """Give the heads weights, which are 0 before a training."""
    for head in (network.level, network.column):
        nn.init.normal_(head.weight)
    return network


def started(network: nn.Module, width: int) -> nn.Module:
    network(torch.randn(4, 6, width))
    return network


def scheme() -> Case:
    network = SchemeNetwork(load_scheme(SCHEME), Sizes(hidden=4, layers=2))
    return plain(network, *fields(2, 6, network.lstm.input_size))


def made(name: str) -> Case:
    torch.manual_seed(23)
    network, inputs, net = CASES[name]()
    return network.eval(), inputs, net


@pytest.mark.parametrize("name", CASES)
def test_exact_replay(name: str) -> None:
    _, inputs, net = made(name)
    frozen = linearize(net, inputs)
    check(frozen, 29)
    assert np.linalg.norm(frozen.matvec(frozen.point)) > 1e-6 * np.linalg.norm(frozen.output)
    if name != "hierarchy-and-stencil":
        check_tangent(net, inputs)


def statistics(network: nn.Module) -> nn.Module:
    """Give the running variances of a network other values than those that it starts from."""
    for name, buffer in network.named_buffers():
        if name.endswith("running_var"):
            buffer.uniform_(0.5, 2.0)
    return network


NORMED: dict[str, Callable[[str], Case]] = {
    "mgno": lambda norm: plain(MgNO(channels=4, layers=2, levels=2, norm=norm), *fields(1, 1, 9, 9)),
    "fno": lambda norm: plain(FNO(modes=3, width=4, layers=2, norm=norm), *fields(1, 1, 8, 8)),
    "bilstm": lambda norm: column(ColumnBiLSTM(ColumnShape(4, 1, 8, 8, EDGES, norm=norm)), 5),
}


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("kind", NORMED)
def test_networks_with_normalisations(kind: str, norm: str) -> None:
    torch.manual_seed(43)
    network, inputs, _ = NORMED[kind](norm)
    net = statistics(network).eval()
    check(linearize(net, inputs), 47)
    check(linearize(net, inputs, "tangent"), 53)


@pytest.mark.parametrize("kind", get_args(EvoNormKind))
def test_each_evonorm(kind: EvoNormKind) -> None:
    """The variances are frozen, so that the action is a mask."""
    torch.manual_seed(59)
    norm = statistics(EvoNorm(6, kind, groups=3).double()).eval()
    for parameter in norm.parameters():
        nn.init.normal_(parameter)
    action = linearize(norm, fields(2, 6, 5))
    check(action, 61)
    matrix = action.dense()
    assert np.count_nonzero(matrix - np.diag(np.diag(matrix))) == 0
    np.testing.assert_allclose(
        action.residual.reshape(2, 6, 5), norm.bias.detach().numpy().reshape(1, 6, 1) + np.zeros((2, 1, 5))
    )


def check_tangent(net: Callable[..., Any], inputs: tuple[Tensor, ...]) -> None:
    """The product with the Jacobian is that of forward differentiation."""
    tangent = linearize(net, inputs, "tangent")
    check(tangent, 31)
    directions = tuple(torch.randn_like(x) for x in inputs)
    flat = np.concatenate([x.numpy().ravel() for x in directions])
    _, exact = torch.autograd.functional.jvp(net, inputs, directions)
    parts = exact if isinstance(exact, tuple) else (exact,)
    wanted = np.concatenate([y.detach().numpy().ravel() for y in parts])
    np.testing.assert_allclose(tangent @ flat, wanted, rtol=0, atol=1e-11 * np.abs(wanted).max())


def classes() -> set[type[nn.Module]]:
    """All network and layer classes that the package defines."""
    every: set[type[nn.Module]] = set()
    for module in pkgutil.walk_packages(sciml.__path__, "sciml."):
        if module.name.startswith(("sciml.cli", "sciml.__main__")):
            continue
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, type) and issubclass(value, nn.Module) and value.__module__ == module.name:
                every.add(value)
    return every


def test_every_class_has_a_case() -> None:
    """Those of the registries, and each layer that a case contains."""
    seen = {type(module) for name in CASES for module in made(name)[0].modules()}
    seen |= {parent for kind in seen for parent in kind.__mro__}  # parametrised classes are subclasses
    named = {operator_registry.class_of(name) for name in operator_registry._BUILT_IN}
    named |= {column_registry.class_of(name) for name in column_registry._BUILT_IN}
    missing = {kind.__name__ for kind in (classes() | named) - seen - set(EXEMPT)}
    assert not missing, f"add cases of {sorted(missing)}, and rules if they need them"


def test_layers_without_gradients_are_refused() -> None:
    layer = nn.Sequential(nn.Linear(4, 4), ReducedLinear(nn.Linear(4, 2), "int8"))
    with pytest.raises(InputError, match="reduced linear layer"):
        linearize(layer, torch.ones(3, 4))
    with pytest.raises(InputError, match="without gradients"):
        linearize(
            Inference(nn.Linear(3, 2), torch.float32, channels_last=False, piece=1 << 20), torch.ones(2, 3)
        )
