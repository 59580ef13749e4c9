"""The networks of all emulators as ONNX graphs, in ONNX Runtime, compared with torch in single precision."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from typer.testing import CliRunner

import sciml
from sciml.cli import app
from sciml.compress import quantize
from sciml.convection.emulator import Emulator
from sciml.convection.problem import Convection
from sciml.coupling.export import emulator_weights
from sciml.coupling.onnx_oracle import emulator_onnx, onnx_session
from sciml.errors import InputError
from sciml.verify.library.parity import compare_outputs
from tests.coupling.test_levels import on_levels
from tests.coupling.test_pure_networks import published, pure
from tests.paths import SAMPLE_WRFOUT

pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

Arrays = tuple[torch.Tensor, ...]
RTOL, ATOL = 1e-4, 1e-5
LAYERS = {"plume-closure": (3, 26), "bilstm": (3, 40), "published": (44,)}


@pytest.fixture(scope="module")
def columns() -> xr.Dataset:
    """A fifth of the sample: 807 columns."""
    sample: xr.Dataset = sciml.convection_columns(sciml.open_wrfout(str(SAMPLE_WRFOUT)))
    return sample.isel(column=slice(None, None, 5)).load()


@pytest.fixture(scope="module")
def emulators(columns: xr.Dataset) -> dict[str, Emulator[Any]]:
    made = (Emulator.load("mskf-convrad", precision="float64"), pure(columns), published(columns))
    return {emulator.network.command: emulator for emulator in made}


@pytest.fixture(params=LAYERS)
def emulator(request: pytest.FixtureRequest, emulators: dict[str, Emulator[Any]]) -> Emulator[Any]:
    return emulators[request.param]


def run_graph(session: Any, x: torch.Tensor, y: torch.Tensor | None = None) -> Arrays:
    """Run a graph on inputs (column, layer, channel) and (column, scalar); return what the network's forward does."""
    given = x if y is None else torch.cat([x, y.unsqueeze(1).expand(-1, x.shape[1], -1)], -1)
    fed = {"x": given.transpose(0, 1).float().contiguous().numpy()} | (
        {} if y is None else {"y": y.float().numpy()}
    )
    names = [entry.name for entry in session.get_outputs()]
    out = dict(zip(names, map(torch.from_numpy, session.run(None, fed)), strict=True))
    if "push" in out:
        return out["push"].squeeze(-1).T, out["column"][:, 0], out["column"][:, 1]
    if "pooled" in out:
        return out["levels"].transpose(0, 1), out["pooled"].squeeze(-1)
    return out["level"].transpose(0, 1), out["heads"], out["column"]


def test_the_graph_and_torch_agree(emulator: Emulator[Any]) -> None:
    """For any number of layers and columns."""
    session, network = onnx_session(emulator_weights(emulator), emulator=True), emulator.network
    torch.manual_seed(23)
    scalars = len(getattr(network.shape, "scalars", ()))
    channels = network.lstm.weight_ih_l0.shape[1] - scalars
    for layers in LAYERS[network.command]:
        for count in (1, 57):
            x, y = torch.randn(count, layers, channels), torch.randn(count, scalars) if scalars else None
            with torch.no_grad():
                wanted = network(x) if y is None else network(x, y)
            mine = run_graph(session, x, y)
            assert len(mine) == len(wanted)
            for graph, exact in zip(mine, wanted, strict=True):
                torch.testing.assert_close(graph, exact, rtol=RTOL, atol=ATOL)


@pytest.mark.filterwarnings("ignore:.* does not predict")
def test_whole_emulators_with_the_graph(emulator: Emulator[Any], columns: xr.Dataset) -> None:
    """On all numbers of levels that the emulator takes."""
    session, fixed = (
        onnx_session(emulator_weights(emulator), emulator=True),
        emulator.network.command == "published",
    )
    given = columns.isel(column=slice(0, None, 3))
    for levels in (44,) if fixed else (20, 90):
        problem = Convection(given if fixed else on_levels(given, levels))
        network = replace(emulator, precision="float32").init(problem)
        exact = emulator.run(problem, emulator.init(problem)).outputs
        network.forward = lambda *inputs, session=session: run_graph(session, *inputs)
        outputs = emulator.run(problem, network).outputs
        assert set(np.unique(exact["KIND"])) == {0, 1, 2}
        parity = compare_outputs(exact, outputs, names=("torch", "onnxruntime"), median=1e-5)
        assert parity.classes_differ <= 2, (levels, parity)
        for agreement in parity.agreements:
            assert agreement.within >= 0.99, (levels, agreement)


@pytest.mark.parametrize("name", ["bilstm", "published"])
def test_the_command_writes_the_graph(emulators: dict[str, Emulator[Any]], tmp_path: Path, name: str) -> None:
    emulators[name].save(tmp_path / "mine.sciml")
    target = tmp_path / "mine.onnx"
    words = ["coupling", "export", str(tmp_path / "mine.sciml"), "-o", str(target), "--no-response"]
    shown = CliRunner().invoke(app, words)
    assert shown.exit_code == 0, shown.output
    assert shown.output.startswith(f"wrote {target}: ")
    session = onnxruntime.InferenceSession(str(target), providers=["CPUExecutionProvider"])
    assert session.get_modelmeta().custom_metadata_map["emulator"] == name
    direct = onnx_session(emulator_weights(emulators[name]), emulator=True)
    x = np.random.default_rng(7).normal(size=(44, 5, session.get_inputs()[0].shape[2])).astype(np.float32)
    fed = {"x": x} | {
        entry.name: np.zeros((5, entry.shape[1]), np.float32) for entry in session.get_inputs()[1:]
    }
    for first, second in zip(session.run(None, fed), direct.run(None, fed), strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-6, atol=1e-6)


def test_a_quantized_network_needs_floats(emulators: dict[str, Emulator[Any]], tmp_path: Path) -> None:
    """The LSTM of ONNX has no integers: a graph of floats on request, close to the reduced network."""
    small = quantize(emulators["bilstm"], 8)
    small.save(tmp_path / "small.sciml")
    target = tmp_path / "small.onnx"
    words = ["coupling", "export", str(tmp_path / "small.sciml"), "-o", str(target), "--no-response"]
    shown = CliRunner().invoke(app, words)
    assert shown.exit_code == 2
    assert "computes in int8, which the LSTM of ONNX cannot: add --float" in " ".join(shown.output.split())
    assert not target.exists()
    shown = CliRunner().invoke(app, [*words, "--float"])
    assert shown.exit_code == 0, shown.output
    session = onnxruntime.InferenceSession(str(target), providers=["CPUExecutionProvider"])
    described = session.get_modelmeta().custom_metadata_map
    assert described["weight_format"] == "float"
    assert "arithmetic" not in described
    generator = torch.Generator().manual_seed(7)
    x = torch.randn(5, 24, session.get_inputs()[0].shape[2], generator=generator)
    y = torch.zeros(5, session.get_inputs()[1].shape[1])
    exact = small.network.float()(x[..., : x.shape[-1] - y.shape[-1]], y)
    for first, second in zip(run_graph(session, x[..., : x.shape[-1] - y.shape[-1]], y), exact, strict=False):
        assert 0 < float((first - second).abs().max()) < 0.05 * float(second.abs().max())
    wrong = ["-o", str(tmp_path / "w.nc"), "--float"]
    shown = CliRunner().invoke(app, ["coupling", "export", str(tmp_path / "small.sciml"), *wrong])
    assert shown.exit_code == 2
    assert "it applies to graphs (*.onnx) alone" in " ".join(shown.output.split())


@pytest.mark.parametrize("kind", ["kessler", None])
def test_another_emulator_is_one_error(emulators: dict[str, Emulator[Any]], kind: str | None) -> None:
    weights = emulator_weights(emulators["bilstm"])
    attributes = {name: value for name, value in weights.attributes.items() if name != "emulator"}
    if kind:
        attributes["emulator"] = kind
    with pytest.raises(
        InputError, match=f"`emulator` of the weights is `{kind or ''}`; there is an ONNX graph for"
    ):
        emulator_onnx(replace(weights, attributes=attributes))
