"""Exported networks: equal results by ONNX Runtime, torch.export, torch.compile and `inference`."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from sciml.errors import InputError, SciMLError
from sciml.multigrid.torch.stencils import diffusion_stencil
from sciml.operators.export import Inference, compiled, export_onnx, export_program, inference
from sciml.operators.fno import FNO
from sciml.operators.hierarchy_net import HierarchyNet
from sciml.operators.mgno import MgNO
from sciml.operators.published.benchmarks import PublishedArchitecture
from sciml.operators.published.network import PublishedMgNO
from sciml.pde.grid import Boundary, Grid

TWO = {"smoothing": ((1, 0), (1, 1)), "prolongations": (4,)}
NETWORKS = {
    "published": (lambda: PublishedMgNO(PublishedArchitecture(layers=1, channels=4, **TWO)), (2, 1, 8, 10)),
    "layer-normed": (
        lambda: PublishedMgNO(
            PublishedArchitecture(
                layers=1, channels=4, norm="level", padding="circular", bias=True, size=8, **TWO
            )
        ),
        (2, 1, 8, 8),
    ),
    "fno": (lambda: FNO(2, 1, modes=4, width=4, layers=2, padding=0.2), (2, 2, 9, 6)),
    "mgno": (lambda: MgNO(channels=4, layers=1, levels=2), (2, 1, 7, 7)),
    "mgno-relaxed": (lambda: MgNO(channels=4, layers=1, levels=2, grid=(3, 3), relaxations=2), (2, 1, 7, 7)),
    "mgno-cell": (lambda: MgNO(channels=4, layers=1, levels=2, centring="cell"), (2, 1, 6, 7)),
}


def made(name: str) -> tuple[nn.Module, tuple[int, ...], torch.Tensor]:
    torch.manual_seed(7)
    make, shape = NETWORKS[name]
    return make().eval(), shape, torch.randn(5, *shape[1:])


def apart(result: torch.Tensor | np.ndarray, wanted: torch.Tensor) -> float:
    result = torch.as_tensor(result)
    assert result.shape == wanted.shape
    return float(torch.linalg.norm(result.double() - wanted.double()) / torch.linalg.norm(wanted.double()))


@pytest.mark.usefixtures("onnx_registry")
@pytest.mark.parametrize("name", NETWORKS)
def test_onnx_runtime_gives_the_same_result(name: str, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    network, shape, x = made(name)
    with torch.no_grad():
        wanted = network(x)
    path = export_onnx(network, tmp_path / "net.onnx", shape)
    assert [value.name for value in tmp_path.iterdir()] == ["net.onnx"]
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for samples in (5, 1):  # neither is the number that it was traced with
        (solution,) = session.run(["u"], {"x0": x[:samples].numpy()})
        assert apart(solution, wanted[:samples]) < 1e-4
    with torch.no_grad():
        assert torch.equal(network(x), wanted)  # what was exported is a copy


@pytest.mark.usefixtures("onnx_registry")
def test_onnx_of_the_learned_cycle(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    torch.manual_seed(7)
    network = HierarchyNet(channels=3, hidden=3, cycles=1)
    rhs = torch.randn(3, 1, 3, 3)
    stencil = diffusion_stencil(torch.rand(3, 3, 3) + 0.5, Grid((3, 3)))
    path = export_onnx(network, tmp_path / "net.onnx", [(2, 9, 3, 3), (2, 1, 3, 3)])
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (solution,) = session.run(["u"], {"x0": stencil.numpy(), "x1": rhs.numpy()})
    with torch.no_grad():
        assert apart(solution, network(stencil, rhs)) < 1e-4


@pytest.mark.usefixtures("onnx_registry")
@pytest.mark.slow  # the exporter takes its time over the transfers
@pytest.mark.parametrize(
    ("shape", "boundary"), [((3, 7), Boundary()), ((3, 4), Boundary.all("periodic"))], ids=str
)
def test_onnx_of_the_learned_cycle_on_other_grids(shape, boundary, tmp_path: Path) -> None:
    """Coarsest levels of several unknowns, with and without constants in the kernel: ONNX has no inverse."""
    onnxruntime = pytest.importorskip("onnxruntime")
    torch.manual_seed(7)
    network = HierarchyNet(channels=2, hidden=2, cycles=1, boundary=boundary)
    stencil = diffusion_stencil(torch.rand(3, *shape) + 0.5, Grid(shape, "vertex", boundary))
    rhs = torch.randn(3, 1, *shape)
    rhs -= rhs.mean((-2, -1), keepdim=True)
    path = export_onnx(network, tmp_path / "net.onnx", [(2, 9, *shape), (2, 1, *shape)])
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (solution,) = session.run(["u"], {"x0": stencil.numpy(), "x1": rhs.numpy()})
    with torch.no_grad():
        assert apart(solution, network(stencil, rhs)) < 1e-4


@pytest.mark.parametrize("name", ["published", "fno"])
def test_programs(name: str, tmp_path: Path) -> None:
    network, shape, x = made(name)
    export_program(network, shape, tmp_path / "net.pt2")
    result = torch.export.load(tmp_path / "net.pt2").module()(x)
    with torch.no_grad():
        assert apart(result, network(x)) < 1e-5


@pytest.mark.parametrize("name", NETWORKS)
def test_fast_answers(name: str) -> None:
    network, _, x = made(name)
    before = copy.deepcopy(network.state_dict())
    with torch.no_grad():
        wanted = network(x)
    for piece in (1, 1 << 30):
        fast = inference(network, piece=piece)
        assert fast.pieces(5, x) == (5 if piece == 1 else 1)
        assert apart(fast(x), wanted) < 1e-5
    assert apart(fast(x.double()), wanted) < 1e-5
    assert fast(x.double()).dtype == torch.float64
    half = inference(network, "bfloat16")(x)
    assert half.dtype == torch.float32
    assert 0 < apart(half, wanted) < 3e-2
    assert all(torch.equal(network.state_dict()[key], value) for key, value in before.items())
    assert all(p.requires_grad for p in network.parameters())


def test_fast_answers_leave_the_fields_as_they_are() -> None:
    network, _, x = made("published")
    last = x.to(memory_format=torch.channels_last)
    before = last.clone()
    inference(network)(last)
    assert torch.equal(last, before)


def test_half_the_precision_at_full_size() -> None:
    torch.manual_seed(7)
    network = PublishedMgNO(PublishedArchitecture())
    x = torch.randn(1, 1, 64, 64)
    with torch.no_grad():
        assert apart(inference(network, "bfloat16")(x), network(x)) < 1e-2


def test_fast_systems() -> None:
    network = HierarchyNet(channels=3, hidden=3, cycles=1)
    rhs = torch.randn(2, 1, 7, 7, generator=torch.Generator().manual_seed(7))
    stencil = diffusion_stencil(torch.ones(1, 7, 7), Grid((7, 7)))
    with torch.no_grad():
        wanted = network(stencil, rhs)
    assert apart(inference(network, piece=1)(stencil, rhs), wanted) < 1e-5
    with pytest.raises(InputError, match="give dtype='float32'"):
        inference(network, "bfloat16")


def test_without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    network, _, _ = made("published")
    monkeypatch.setenv("PATH", "")
    with pytest.warns(RuntimeWarning, match=r"needs a C\+\+ compiler"):
        assert compiled(network) is network


@pytest.mark.slow
@pytest.mark.native
def test_compiled() -> None:
    network, _, x = made("published")
    with torch.no_grad():
        assert apart(compiled(network)(x), network(x)) < 1e-5


def test_refusals(tmp_path: Path) -> None:
    network, _, _ = made("published")
    with pytest.raises(InputError, match=r"float16.*float32, bfloat16"):
        inference(network, "float16")  # type: ignore[arg-type]
    pytest.importorskip("onnxscript", reason="pip install onnxscript")
    with pytest.raises(InputError, match="9 points do not come back"):
        export_onnx(network, tmp_path / "net.onnx", (1, 1, 9, 8))
    with pytest.raises(InputError, match=r"give \(sample, channel, y, x\)"):
        export_onnx(network, tmp_path / "net.onnx", (1, 8, 8))
    with pytest.raises(InputError, match="is a folder"):
        export_onnx(network, tmp_path, (1, 1, 8, 8))
    with pytest.raises(InputError, match="cannot take shape="):
        export_program(HierarchyNet(), (1, 9, 7, 7))
    assert not list(tmp_path.iterdir())
    assert issubclass(InputError, SciMLError)
    assert isinstance(inference(network), Inference)
