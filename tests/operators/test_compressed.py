"""Quantized operators: files, predictions, certified solutions, and ONNX graphs with weights in integers."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse.linalg as sla
import torch
import xarray as xr
from torch import nn
from torch.nn.utils import parametrize

from sciml.compress import Plan, quantize, quantize_blocks
from sciml.compress.quantization import compression_of
from sciml.errors import InputError, SchemaError, SciMLError
from sciml.multigrid.torch.stencils import diffusion_stencil
from sciml.nn.hypercomplex import Hypercomplex
from sciml.operators.corrected import Corrected
from sciml.operators.export import export_onnx, inference
from sciml.operators.field_scaling import FieldScaling
from sciml.operators.fno import FNO
from sciml.operators.hierarchy_net import HierarchyNet
from sciml.operators.mgno import MgNO
from sciml.operators.neural import Neural
from sciml.operators.published.benchmarks import PublishedArchitecture
from sciml.operators.published.network import PublishedMgNO
from sciml.operators.trained_operator import TrainedOperator
from sciml.pde import generate
from sciml.pde.elliptic import Darcy, discretize
from sciml.pde.grid import Grid
from sciml.solve import Result, solve
from sciml.train import checkpoint

GRID = Grid((15, 15))
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "MgNO": lambda: MgNO(channels=8, layers=2, levels=2, transfers="learned"),
    "FNO": lambda: FNO(1, 1, modes=5, width=8, layers=2, projection=16),
    "HierarchyNet": lambda: HierarchyNet(channels=4, hidden=6),
    "PublishedMgNO": lambda: PublishedMgNO(
        PublishedArchitecture(layers=2, channels=4, smoothing=((1, 0), (1, 1)), prolongations=(3,))
    ),
}


def operator(name: str, seed: int = 7) -> TrainedOperator:
    torch.manual_seed(seed)
    network = NETWORKS[name]().eval()
    return TrainedOperator(network, FieldScaling.raw(("coefficient",)), ("coefficient",), "u", GRID, {})


def apart(result: Any, wanted: Any) -> float:
    result, wanted = np.asarray(result, np.float64), np.asarray(wanted, np.float64)
    assert result.shape == wanted.shape
    return float(np.linalg.norm(result - wanted) / np.linalg.norm(wanted))


def is_matrix(tensor: torch.Tensor) -> bool:
    """Vectors, also in the form of a matrix, have 16 bits."""
    return tensor.numel() > max(tensor.shape, default=0)


def fields(seed: int = 13) -> torch.Tensor:
    return torch.rand(3, 15, 15, generator=torch.Generator().manual_seed(seed)) + 0.5


@pytest.mark.parametrize("name", NETWORKS)
def test_files_and_predictions(name: str, tmp_path: Path) -> None:
    trained, given = operator(name), {"coefficient": fields()}
    wanted = trained.predict(given)
    plain = trained.save(tmp_path / "plain.sciml").stat().st_size
    previous = 0.0
    for bits, largest in ((8, 0.06), (4, 0.9)):
        small = quantize(trained, bits)
        path = small.save(tmp_path / f"{bits}.sciml")
        back = TrainedOperator.load(path)
        assert (
            back.save(tmp_path / "again.sciml").read_bytes()
            == path.read_bytes()
            == quantize(trained, Plan.of(trained.network, bits)).save(tmp_path / "plan.sciml").read_bytes()
        )
        prediction = back.predict(given)
        assert torch.equal(prediction, small.predict(given))
        assert previous < apart(prediction, wanted) < largest
        previous = apart(prediction, wanted)
        assert path.stat().st_size < plain
        assert f"int{bits}, " in str(back) or f", int{bits}" in str(back)
        # matrices have blocks behind their first axis
        for key, tensor in trained.network.state_dict().items():
            if is_matrix(tensor):
                codes = quantize_blocks(tensor.reshape(len(tensor), -1).numpy(), bits, 64)
                stored = back.network.state_dict()[key].reshape(len(tensor), -1).numpy()
                np.testing.assert_array_equal(stored, codes.values(), key)
    assert torch.equal(trained.predict(given), wanted)
    assert compression_of(trained) is None
    assert "weights" not in str(trained).split("maps")[0]


def test_the_packaged_operator() -> None:
    """The errors of the quantized operator on held-out problems, and guaranteed solutions."""
    trained = Neural.load("darcy-any")
    data = generate("darcy-any", 6, 31, seed=90_001)
    truth, size = data["u"].values, np.linalg.norm(data["u"].values, axis=(1, 2))
    errors = {}
    for bits in (32, 8, 4):
        neural = trained if bits == 32 else quantize(trained, bits)
        prediction = neural.predict(data).values
        errors[bits] = float((np.linalg.norm(prediction - truth, axis=(1, 2)) / size).mean())
    assert abs(errors[8] - errors[32]) < 1e-3 * errors[32]
    assert abs(errors[4] - errors[32]) < 0.2 * errors[32]
    problem = Darcy(31, seed=23)
    system = discretize(problem)
    exact = sla.spsolve(system.matrix.tocsc(), system.rhs)
    neural = quantize(trained, 4)
    assert isinstance(neural, Neural)
    solution = solve(problem, Corrected(neural, rtol=1e-6))
    error = system.energy(solution.u.values.ravel() - exact)
    assert solution.result == Result.SUCCESS
    assert error <= solution.error_bound <= 1.3 * error + 1e-12
    assert not solution.stats["started_from_zero"]
    plain = solve(problem, Corrected(trained, rtol=1e-6))
    assert abs(plain.stats["prediction_error"] - solution.stats["prediction_error"]) < 0.05
    # other precisions and fast inference have the same weights
    double = replace(neural, precision="float64")
    assert apart(solve(problem, double).u, solve(problem, neural).u) < 1e-4
    stencil, rhs = diffusion_stencil(fields(), GRID), torch.ones(3, 1, 15, 15)
    with torch.no_grad():
        assert (
            apart(inference(neural.operator.network)(stencil, rhs), neural.operator.network(stencil, rhs))
            < 1e-5
        )


def hypercomplex(n: int) -> TrainedOperator:
    """An MgNO whose kernels between hidden channels are hypercomplex."""
    trained = operator("MgNO")
    for part in trained.network.modules():
        weight = getattr(part, "weight", None)
        if isinstance(weight, torch.Tensor) and not (weight.shape[0] % n or weight.shape[1] % n):
            parametrize.register_parametrization(part, "weight", Hypercomplex(n))
    return trained


@pytest.mark.parametrize("dense", [False, True])
def test_hypercomplex_weights_are_stored_as_factors(dense: bool, tmp_path: Path) -> None:
    """Of the network in training, and of a checkpoint, which has its dense weights."""
    trained = hypercomplex(4)
    given = {"coefficient": fields()}
    if dense:
        trained = TrainedOperator.load(trained.save(tmp_path / "dense.sciml"))
    wanted = trained.predict(given)
    small = quantize(trained, "hypercomplex4")
    compression = compression_of(small)
    assert compression is not None
    kernels = [name for name, chosen in compression.plan.storage.items() if chosen == "hypercomplex4"]
    assert len(kernels) == 5
    assert "cycles.0.smoother.0.weight" not in kernels  # of 2 channels
    for name in kernels:
        shape = compression.plan.shapes[name]
        assert compression.packed[name].nbytes < np.prod(shape) / 4 + 64 + 60
    back = TrainedOperator.load(small.save(tmp_path / "small.sciml"))
    assert torch.equal(back.predict(given), small.predict(given))
    assert 0 < apart(back.predict(given), wanted) < 0.03
    whole = sum(x.nbytes for x in quantize(trained, 8).network.compression.packed.values())
    assert sum(x.nbytes for x in compression.packed.values()) < 0.6 * whole
    with pytest.raises(
        InputError, match=r"no weight of the MgNO is hypercomplex3: train it with hypercomplex"
    ):
        quantize(trained, "hypercomplex3")
    with pytest.raises(InputError, match=r"no weight of the MgNO is hypercomplex4"):
        quantize(operator("MgNO"), "hypercomplex4")


def test_plans_of_other_networks(tmp_path: Path) -> None:
    trained = operator("MgNO")
    plan = Plan.of(trained.network, 8)
    with pytest.raises(InputError, match=r"of another network: it names 'cycles\.0\..*FNO does not have"):
        quantize(operator("FNO"), plan)
    with pytest.raises(InputError, match="quantized already"):
        quantize(quantize(trained, plan), 4)
    saved = checkpoint.load(quantize(trained, plan).save(tmp_path / "m.sciml"))
    name = next(iter(plan.shapes))
    changed = copy.deepcopy(dict(saved.config))
    changed["compression"]["shapes"][name] = [1, 2, 3]
    path = checkpoint.save(tmp_path / "changed.sciml", changed, saved.tensors)
    with pytest.raises(SchemaError, match=rf"changed\.sciml: .*'{name}' has the shape \(1, 2, 3\)"):
        TrainedOperator.load(path)
    changed["compression"] = {**plan.to_json(), "later": 1}
    path = checkpoint.save(tmp_path / "newer.sciml", changed, saved.tensors)
    with pytest.raises(SchemaError, match=r"newer\.sciml: the plan has 'later'.*upgrade"):
        TrainedOperator.load(path)


FAST, SLOW = (
    [("PublishedMgNO", 8)],
    [("MgNO", 4), ("FNO", 8), ("FNO", 4), ("MgNO", "hypercomplex4"), ("HierarchyNet", 4)],
)


@pytest.mark.parametrize(
    ("name", "bits"), [*FAST, *(pytest.param(*case, marks=pytest.mark.slow) for case in SLOW)]
)
def test_onnx_has_integers(name: str, bits: int | str, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from sciml.compress.onnx_integers import open_onnx

    small = quantize(hypercomplex(4) if isinstance(bits, str) else operator(name), bits)
    given = [fields()[:, None]]
    if name == "HierarchyNet":
        given = [diffusion_stencil(fields(), GRID), torch.ones(3, 1, 15, 15)]
    path = export_onnx(small, tmp_path / "small.onnx", [(2, *x.shape[1:]) for x in given])
    model = onnx.load(path)
    onnx.checker.check_model(model)
    kinds = onnx.TensorProto
    values = {
        kind: sum(int(np.prod(x.dims)) for x in model.graph.initializer if x.data_type == kind)
        for kind in (kinds.INT4, kinds.INT8, kinds.FLOAT)
    }
    weights = [x for x in small.network.parameters() if is_matrix(x)]
    assert "DequantizeLinear" in {node.op_type for node in model.graph.node}
    count = sum(x.numel() for x in weights)
    if isinstance(bits, int):
        unused = {"PublishedMgNO": 360}.get(name, 0)  # steps that need no residual
        assert values[kinds.INT4 if bits == 4 else kinds.INT8] == count - unused
    else:
        assert 0 < values[kinds.INT8] < 0.6 * count
    with torch.no_grad():
        wanted = small.network(*given)
    feed = {f"x{number}": x.numpy() for number, x in enumerate(given)}
    (result,) = open_onnx(path).run(["u"], feed)
    assert apart(result, wanted) < 1e-5


@pytest.mark.slow
def test_size_of_onnx(tmp_path: Path) -> None:
    """The weights of a network of some size outweigh its graph; floats on request."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from sciml.compress.onnx_integers import open_onnx

    torch.manual_seed(7)
    network = PublishedMgNO(
        PublishedArchitecture(layers=1, channels=48, smoothing=((1, 0), (1, 0)), prolongations=(4,))
    ).eval()
    x = torch.randn(2, 1, 8, 8)
    sizes = {}
    for bits, formats in ((32, None), (8, None), (4, None), (4, {})):
        made = network if bits == 32 else quantize(network, bits)
        path = export_onnx(made, tmp_path / "net.onnx", (2, 1, 8, 8), formats=formats)
        sizes[bits, formats is None] = path.stat().st_size
        with torch.no_grad():
            assert apart(open_onnx(path).run(["u"], {"x0": x.numpy()})[0], made(x)) < 1e-5
    weights = sum(p.numel() for p in network.parameters())
    graph = sizes[32, True] - 4 * weights
    assert sizes[8, True] - graph < 4 * weights / 3.5
    assert sizes[4, True] - graph < 4 * weights / 6.5
    assert abs(sizes[4, False] - sizes[32, True]) < 100
    # formats of one export only: rounded in the file, not in the network
    path = export_onnx(network, tmp_path / "one.onnx", (2, 1, 8, 8), formats={"head.weight": "int8"})
    kinds = [x.data_type for x in onnx.load(path).graph.initializer]
    assert kinds.count(onnx.TensorProto.INT8) == 1
    assert apart(open_onnx(path).run(["u"], {"x0": x.numpy()})[0], network(x).detach()) > 1e-6
    with pytest.raises(InputError, match="a format for 'other', which is no tensor here"):
        export_onnx(network, tmp_path / "two.onnx", (2, 1, 8, 8), formats={"other": "int8"})


def test_an_onnx_without_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    onnx = pytest.importorskip("onnx")
    monkeypatch.setattr(onnx.defs, "onnx_opset_version", lambda: 20)
    with pytest.raises(
        SciMLError, match=r"opset 20, and weights in integers need 21: pip install .*in floats"
    ):
        export_onnx(quantize(operator("FNO"), 8), tmp_path / "net.onnx", (2, 1, 15, 15))
    assert not list(tmp_path.iterdir())


def test_a_quantized_operator_is_assessed_as_any_other(tmp_path: Path, darcy: xr.Dataset) -> None:
    from sciml.verify.operator import assess

    path = quantize(operator("HierarchyNet"), 8).save(tmp_path / "small.sciml")
    page = assess(Neural.load(path), darcy.isel(sample=slice(0, 3)), multigrid_samples=1)
    assert 0 < page.samples["relative_l2"].mean() < 1
