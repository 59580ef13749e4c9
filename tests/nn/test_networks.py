"""Any weight of an emulator and of an MgNO may be parametrised: files, exports and trainings give the same numbers."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from torch import Tensor, nn

import sciml
from sciml.convection.emulator import Emulator
from sciml.convection.network import Architecture, BiLSTM, Closure
from sciml.convection.problem import Convection
from sciml.coupling.export import emulator_from, emulator_weights
from sciml.coupling.fortran_emulator import FortranEmulator
from sciml.coupling.library import Library
from sciml.coupling.onnx_oracle import onnx_session
from sciml.coupling.weights_file import write_weights
from sciml.errors import InputError
from sciml.nn import LSTM, load_weights, materialise
from sciml.operators.export import export_onnx, export_program, inference
from sciml.operators.fno import FNO
from sciml.operators.hierarchy_net import HierarchyNet
from sciml.operators.mgno import MgNO
from sciml.operators.published.benchmarks import PublishedArchitecture
from sciml.operators.published.network import PublishedMgNO
from sciml.operators.trained_operator import TrainedOperator
from sciml.solve import solve
from sciml.train import Fit, Quiet, TensorSource, fit
from sciml.train.batches import Batch
from tests.nn.functions import KINDS, originals, register
from tests.paths import SAMPLE_WRFOUT

CLOSURE = tuple(Closure().state_dict())
PUBLISHED = PublishedArchitecture(layers=1, channels=3, smoothing=((1, 0), (1, 1)), prolongations=(4,))
OPERATORS: dict[str, Any] = {
    "mgno": lambda: MgNO(channels=4, layers=2, levels=2, post=1, transfers="learned"),
    "mgno-tied": lambda: MgNO(channels=4, layers=1, levels=2, shared=True, transfers="tied"),
    "published": lambda: PublishedMgNO(PUBLISHED),
    "fno": lambda: FNO(modes=4, width=4, layers=2),
}


def emulator(*names: str, kind: str = "factors") -> Emulator:
    """The packaged emulator, with weights parametrised."""
    made = Emulator.load("mskf-convrad")
    for name in names:
        register(made.network, name, kind)
    return made


def features(columns: int = 3) -> tuple[Tensor, Tensor]:
    shape, drawn = Architecture(), torch.Generator().manual_seed(37)
    x = torch.randn(columns, shape.below + shape.cloud, len(shape.channels), generator=drawn)
    return x, torch.randn(columns, len(shape.scalars), generator=drawn)


@pytest.fixture(scope="module")
def columns() -> xr.Dataset:
    everything: xr.Dataset = sciml.convection_columns(sciml.open_wrfout(str(SAMPLE_WRFOUT)))
    return everything.isel(column=slice(0, None, 60)).load()


@torch.no_grad()
@pytest.mark.parametrize("number", range(len(CLOSURE)), ids=lambda number: CLOSURE[number])
def test_each_weight_of_the_emulator(number: int, tmp_path: Path) -> None:
    name, kind = CLOSURE[number], KINDS[number % len(KINDS)]
    parametrised = emulator(name, kind=kind)
    answer = parametrised.network(*features())
    if kind in ("cubic", "chained", "masked", "packed"):  # or this test would see nothing
        assert any(
            not torch.equal(*pair) for pair in zip(answer, emulator().network(*features()), strict=True)
        )
    loaded = Emulator.load(parametrised.save(tmp_path / "m.sciml"))
    assert tuple(loaded.network.state_dict()) == CLOSURE
    # Not its bits: they depend on where in memory a computed weight lies.
    torch.testing.assert_close(loaded.network(*features()), answer, rtol=1e-6, atol=1e-6)
    state = loaded.network.state_dict()
    assert all(torch.equal(x, state[key]) for key, x in materialise(parametrised.network).items())
    mine, theirs = emulator_weights(parametrised), emulator_weights(loaded)
    assert mine.arrays.keys() == theirs.arrays.keys()
    assert all(np.array_equal(x, theirs.arrays[key]) for key, x in mine.arrays.items())
    again = emulator_from(mine, "float32").network(*features())
    assert all(torch.equal(*pair) for pair in zip(again, loaded.network(*features()), strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_the_whole_emulator(kind: str, columns: xr.Dataset, tmp_path: Path) -> None:
    parametrised = emulator(*CLOSURE, kind=kind)
    answer = solve(Convection(columns), parametrised).outputs
    loaded = Emulator.load(parametrised.save(tmp_path / "m.sciml"))
    again = solve(Convection(columns), loaded).outputs
    xr.testing.assert_identical(
        again.assign_attrs(history=answer.history), answer
    )  # it names the file of the emulator
    for precision in ("float32", "float64"):
        network = replace(parametrised, precision=precision).init(Convection(columns))
        assert tuple(network.state_dict()) == CLOSURE
    assert len(list(originals(parametrised.network))) >= len(CLOSURE)  # unchanged by all this


def test_the_emulator_in_onnx_runtime() -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    parametrised, (x, y) = emulator(*CLOSURE, kind="cubic"), features()
    whole = torch.cat([x, y.unsqueeze(1).expand(-1, x.shape[1], -1)], -1)
    given = {"x": whole.transpose(0, 1).numpy(), "y": y.numpy()}
    push, column = onnx_session(emulator_weights(parametrised), emulator=True).run(None, given)
    with torch.no_grad():
        wanted = parametrised.network(x, y)
    np.testing.assert_allclose(push[..., 0].T, wanted[0], atol=1e-4)
    np.testing.assert_allclose(column, torch.stack(wanted[1:], 1), atol=1e-4)


@pytest.mark.native
def test_the_emulator_in_the_native_library(columns: xr.Dataset, tmp_path: Path) -> None:
    from sciml.coupling.build import build
    from sciml.verify.library.parity import compare_outputs

    parametrised = replace(emulator(*CLOSURE, kind="doubled"), precision="float64")
    write_weights(tmp_path / "w.nc", emulator_weights(parametrised))
    native = FortranEmulator(Library(build()).path, tmp_path / "w.nc", precision="float64")
    exact, mine = (solve(Convection(columns), a).outputs for a in (parametrised, native))
    assert compare_outputs(exact, mine, median=1e-11, tolerance=1e-9, share=1.0).ok


def test_the_published_network() -> None:
    torch.manual_seed(41)
    network = BiLSTM.published(levels=9)
    names = list(network.state_dict())
    for number, name in enumerate(names):
        register(network, name, KINDS[number % len(KINDS)])
    plain = BiLSTM.published(levels=9)
    load_weights(plain, materialise(network), "here")
    x = torch.randn(2, 9, 27)
    torch.testing.assert_close(network(x), plain(x), rtol=1e-6, atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("name", OPERATORS)
def test_each_weight_of_an_operator(name: str, tmp_path: Path) -> None:
    torch.manual_seed(43)
    plain, x = OPERATORS[name]().eval(), torch.randn(2, 1, 8, 8)
    known = TrainedOperator.load("darcy-any")
    for number, weight in enumerate(plain.state_dict()):
        network = copy.deepcopy(plain)
        register(network, weight, KINDS[number % len(KINDS)])
        operator = replace(known, network=network)
        loaded = TrainedOperator.load(operator.save(tmp_path / f"{number}.sciml"))
        assert list(loaded.network.state_dict()) == list(plain.state_dict())
        torch.testing.assert_close(loaded.network(x), network(x))
        moved = operator.to("cpu", torch.float64)
        assert torch.equal(moved.network(x.double()), loaded.to("cpu", torch.float64).network(x.double()))
        assert len(list(originals(network))) >= 1


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["mgno", "published"])
def test_exports_of_a_parametrised_operator(name: str, kind: str) -> None:
    torch.manual_seed(47)
    network = OPERATORS[name]().eval()
    for weight in list(network.state_dict()):
        register(network, weight, kind)
    x = torch.randn(3, 1, 8, 8)
    wanted = network(x)
    torch.testing.assert_close(inference(network)(x), wanted)
    assert len(list(originals(network))) >= 10
    if kind == "chained":
        program = export_program(network, (2, 1, 8, 8))
        torch.testing.assert_close(program.module()(x), wanted)


@pytest.mark.usefixtures("onnx_registry")
@pytest.mark.parametrize("name", ["mgno", "published"])
def test_a_parametrised_operator_in_onnx_runtime(name: str, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    torch.manual_seed(53)
    network = OPERATORS[name]().eval()
    for weight in list(network.state_dict())[:-1]:
        register(network, weight, "factors")
    nn.utils.parametrizations.orthogonal(network.head)  # a matrix exponential, which ONNX does not have
    x = torch.randn(3, 1, 8, 8)
    with torch.no_grad():
        wanted = network(x)
    path = export_onnx(network, tmp_path / "net.onnx", (2, 1, 8, 8))
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (answer,) = session.run(["u"], {"x0": x.numpy()})
    np.testing.assert_allclose(answer, wanted, rtol=1e-3, atol=1e-5)


def test_gradients_of_every_operator_reach_the_original_tensors() -> None:
    for make in (*OPERATORS.values(), lambda: HierarchyNet(channels=3, hidden=3, cycles=1)):
        torch.manual_seed(59)
        network = make()
        for weight in list(network.state_dict()):
            register(network, weight, "factors")
        x = torch.rand(2, 1, 7, 7) + 0.5
        if isinstance(network, HierarchyNet):
            answer = network(torch.cat([-x, -x, -x, -x, 9 * x, -x, -x, -x, -x], 1), x)
        else:
            answer = network(x if not isinstance(network, PublishedMgNO) else torch.rand(2, 1, 8, 8))
        answer.square().sum().backward()
        without = {name for name, tensor in originals(network) if tensor.grad is None}
        assert all("after.1" in name for name in without)  # no coarser level, so nothing to smooth after it


SETTINGS = Fit(epochs=3, batch_size=16, learning_rate=1e-2, ema_decay=0.9, seed=11, device="cpu", threads=1)


class Sequence(nn.Module):
    """An LSTM and a linear map of its last state."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = LSTM(1, 4, bidirectional=True, batch_first=True)
        self.head = nn.Linear(8, 1)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.head(self.lstm(x)[0].mean(1))
        return result


def sequence(seed: int, kind: str = "factors") -> nn.Module:
    torch.manual_seed(seed)
    model = Sequence()
    register(model, "lstm.weight_hh_l0", kind)
    register(model, "lstm.bias_ih_l0_reverse", "masked")
    nn.utils.parametrizations.spectral_norm(model.head)  # its buffers change at every step
    return model


def train(model: nn.Module, settings: Fit = SETTINGS, **options: Any) -> str:
    x = torch.rand(50, 6, 1, generator=torch.Generator().manual_seed(61))

    def squares(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        return {"loss": (model(batch["x"]) - batch["x"].prod(1)).square().mean()}

    data = TensorSource({"x": x})
    return fit(model, squares, data, data, settings, progress=Quiet(), **options).stopped


def test_a_training_resumes_with_the_original_tensors(tmp_path: Path) -> None:
    whole = sequence(5)
    assert train(whole) == "finished"
    before = sequence(5).state_dict()
    assert all(not torch.equal(x, before[name]) for name, x in originals(whole))
    for piece in range(30):
        model = sequence(6 if piece else 5)
        if train(model, replace(SETTINGS, time_limit_s=1e-6), output=tmp_path / "m.sciml") == "finished":
            break
    assert model.state_dict().keys() == whole.state_dict().keys()
    assert all(torch.equal(x, model.state_dict()[name]) for name, x in whole.state_dict().items())


def test_a_training_with_other_parametrisations_does_not_resume(tmp_path: Path) -> None:
    limited = replace(SETTINGS, time_limit_s=1e-6)
    train(sequence(5, "doubled"), limited, output=tmp_path / "m.sciml")
    match = r"begun with lstm.weight_hh_l0 parametrised by Doubled, now by Cubic: register the same"
    with pytest.raises(InputError, match=match):  # the same shapes, but another meaning
        train(sequence(5, "cubic"), limited, output=tmp_path / "m.sciml")
    with pytest.raises(InputError, match="parametrised by Doubled, now by nothing"):
        train(Sequence(), limited, output=tmp_path / "m.sciml")
    train(sequence(5, "doubled"), limited, output=tmp_path / "m.sciml")
