"""Quantized networks: values, layers, plans, checkpoints and weights files."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

from sciml.compress import Plan, ReducedLinear, ReducedLSTM, compression_of, quantize
from sciml.compress.arithmetic import check_sums, quantize_blocks
from sciml.compress.kronecker import kronecker_sum
from sciml.convection.column_shape import ColumnShape
from sciml.convection.emulator import Emulator
from sciml.convection.linear_response import linear_response
from sciml.convection.network import BiLSTM
from sciml.convection.registry import class_of
from sciml.coupling.export import emulator_from, emulator_weights
from sciml.coupling.weights_file import read_weights, write_weights
from sciml.errors import InputError, SchemaError
from sciml.nn import binarize, harden, materialise
from sciml.train import checkpoint
from tests.paths import DATA

CONVRAD = DATA / "mskf-convrad.sciml"
WIDTHS = (16, 8, 4, 1, "hypercomplex4", "mxint8", "int4-32")


def hypercomplex(emulator: Emulator[Any]) -> Emulator[Any]:
    """The emulator with matrices of its LSTM that are sums of four Kronecker products."""
    generator = np.random.default_rng(41)
    for name in ("weight_hh_l0", "weight_ih_l0_reverse"):
        weight = emulator.network.lstm.get_parameter(name)
        a, f = generator.normal(size=(4, 4, 4)), generator.normal(size=(4, 24, weight.shape[1] // 4))
        weight.data = 0.1 * torch.from_numpy(kronecker_sum(a, f))
    return emulator


def published(seed: int = 61) -> BiLSTM:
    torch.manual_seed(seed)
    return BiLSTM.published(6)


def convrad() -> Emulator[Any]:
    return Emulator.load(CONVRAD)


def same(network: nn.Module, other: nn.Module) -> None:
    theirs = materialise(other)
    assert list(theirs) == list(materialise(network))
    for name, tensor in materialise(network).items():
        torch.testing.assert_close(tensor, theirs[name], rtol=0, atol=0)


def test_a_network_of_integers() -> None:
    net = published()
    before = copy.deepcopy(net)
    small = quantize(net, 8)
    same(net, before)
    assert isinstance(small, BiLSTM)
    assert isinstance(small.lstm, ReducedLSTM)
    assert [type(getattr(small, name)) for name in ("profiles", "channel", "trigger")] == [ReducedLinear] * 3
    assert set(small.lstm.kinds.values()) == {"int8"}
    assert small.channel is not None
    assert small.channel.kind == "int8"  # type: ignore[comparison-overlap]
    for bits, kind in ((16, "bf16"), (4, "int8"), (1, "int8")):
        assert Plan.of(net, bits).kinds["profiles.weight"] == kind
    assert small.trigger is not None
    assert small.trigger.kind == "float32"  # type: ignore[comparison-overlap]
    for name, tensor in net.named_parameters():
        bits = 8 if "weight" in name and name != "trigger.weight" else 16
        rows = tensor.detach().numpy().reshape(-1, tensor.shape[-1])
        wanted = quantize_blocks(rows, bits, 64).values().reshape(tensor.shape)
        np.testing.assert_array_equal(small.get_parameter(name).numpy(), wanted)
    x = torch.randn(30, 6, 27)
    with torch.no_grad():
        wide, narrow = net(x), small(x)
    for exact, made in zip(wide, narrow, strict=True):
        assert float((made - exact).abs().max()) < 0.02
    for parameter in small.parameters():
        assert not parameter.requires_grad


def test_weights_of_a_binary_network_keep_their_signs_and_the_others_have_integers() -> None:
    net = harden(binarize(published(), "sign"))
    plan = Plan.of(net, 1)
    first = {"lstm.weight_ih_l0", "lstm.weight_ih_l0_reverse"}  # real, and not to be made signs
    others = {name for name in plan.shapes if name.startswith("lstm.weight")} - first
    assert {plan.storage[name] for name in first} == {plan.kinds[name] for name in first} == {"int8"}
    assert {plan.storage[name] for name in others} == {plan.kinds[name] for name in others} == {"sign"}
    small = quantize(net, 1)
    for name in others:
        assert torch.equal(small.get_parameter(name), net.get_parameter(name))
    x = torch.randn(30, 6, 27)
    with torch.no_grad():
        for exact, made in zip(net(x), small(x), strict=True):
            assert float((made - exact).abs().max()) < 0.05 * float(exact.abs().max())


def test_a_second_quantization_changes_nothing() -> None:
    small = quantize(published(), 4)
    dense = published(5)
    dense.load_state_dict(small.state_dict())
    same(quantize(dense, 4), small)
    with pytest.raises(InputError, match="quantized already: quantize the one that was trained"):
        quantize(small, 8)


@pytest.mark.parametrize("bits", WIDTHS)
def test_an_emulator_in_files(bits: int | str, tmp_path: Path) -> None:
    """Checkpoint and weights file give the network back, with the same bytes when they are written again."""
    small = quantize(hypercomplex(convrad()) if bits == "hypercomplex4" else convrad(), bits)
    first = small.save(tmp_path / "a.sciml")
    again = Emulator.load(first)
    assert again.save(tmp_path / "b.sciml").read_bytes() == first.read_bytes()
    assert first.stat().st_size < CONVRAD.stat().st_size / 2
    write_weights(tmp_path / "w.nc", emulator_weights(again))
    exported = read_weights(tmp_path / "w.nc")
    back = emulator_from(exported, "float32")
    compression = compression_of(small)
    assert compression is not None
    kinds = [
        compression.plan.kinds[f"lstm.weight_{part}_l0{side}"]
        for side in ("", "_reverse")
        for part in ("ih", "hh")
    ]
    assert exported.attributes["arithmetic"] == " ".join([*kinds, compression.plan.kinds["level.weight"]])
    assert (exported.attributes["weight_format"], exported.attributes["arithmetic_block"]) == ("reduced", 64)
    assert exported.attributes["input_planes"] == compression.plan.planes
    assert exported.formats["lstm.weight_hh_l0"] == compression.plan.storage["lstm.weight_hh_l0"]
    for name, tensor in small.normalisation.tensors().items():
        torch.testing.assert_close(again.normalisation.tensors()[name], tensor, rtol=0, atol=0)
        torch.testing.assert_close(back.normalisation.tensors()[name], tensor, rtol=0, atol=0)
        exact = convrad().normalisation.tensors()[name]
        assert float((tensor - exact).abs().max() / exact.abs().max()) < 4e-5
        assert exported.formats[name] == small.normalisation.formats[name]
    x, y = torch.randn(7, 24, 14), torch.randn(7, 14)
    for emulator in (again, back):
        same(emulator.network, small.network)
        assert compression_of(emulator).plan.kinds == compression.plan.kinds  # type: ignore[union-attr]
        for made, other in zip(small.network(x, y), emulator.network(x, y), strict=True):
            torch.testing.assert_close(made, other, rtol=0, atol=0)


def test_an_emulator_computes_with_its_reduced_network(pairs_of_sample: xr.Dataset) -> None:
    from sciml.convection.problem import Convection
    from sciml.solve import solve

    small = quantize(convrad(), 4)
    problem = Convection(pairs_of_sample)
    state = small.init(problem)
    assert isinstance(state.lstm, ReducedLSTM)
    wide = solve(problem, convrad()).outputs
    for emulator in (small, replace(small, precision="float64")):
        outputs = solve(problem, emulator).outputs
        np.testing.assert_array_equal(outputs["KIND"], wide["KIND"])
        for name, most in (("RTHCUTEN", 0.02), ("NOVELTY", 0.8)):
            error = np.abs(outputs[name] - wide[name]).max() / np.abs(wide[name]).max()
            assert float(error) < most
        assert float(error) > 0
    with pytest.raises(InputError, match=r"has no derivative: .*before it was quantized"):
        linear_response(small, pairs_of_sample)


@pytest.fixture(scope="module")
def pairs_of_sample() -> xr.Dataset:
    from sciml.columns import convection_columns
    from sciml.wrf import open_wrfout
    from tests.paths import SAMPLE_WRFOUT

    return convection_columns(open_wrfout(SAMPLE_WRFOUT)).isel(column=slice(0, 4000, 40)).load()


def test_a_bilstm_emulator_in_a_weights_file(tmp_path: Path) -> None:
    """A network whose tensors have other names in the file."""
    torch.manual_seed(23)
    kind = class_of("bilstm")
    shape = ColumnShape(hidden=8, layers=2, width=8, pooled=8, edges=tuple(np.linspace(0, 0.9, 9)))
    base = convrad()
    channels, scalars = (
        torch.randn(8, len(shape.channels), 5).double(),
        torch.randn(len(shape.scalars), 5).double(),
    )
    about = {**base.about, "log_error": 0.5}
    emulator = Emulator(kind(shape).eval(), kind.scaling.of(channels, scalars), about)
    small = quantize(emulator, 8, block=16, planes=1)
    write_weights(tmp_path / "w.nc", emulator_weights(small))
    exported = read_weights(tmp_path / "w.nc")
    assert {exported.formats[name] for name in ("head.weight", "summary.weight", "shared.weight")} == {
        "int8-16"
    }
    back = emulator_from(exported, "float32")
    same(back.network, small.network)
    x, y = torch.randn(3, 8, len(shape.channels)), torch.randn(3, len(shape.scalars))
    for made, other in zip(small.network(x, y), back.network(x, y), strict=True):
        torch.testing.assert_close(made, other, rtol=0, atol=0)


def test_kinds_without_a_kernel() -> None:
    base = convrad()
    plan = Plan.of(base.network, 8)
    for change, match in [
        ({"level.weight": "float32"}, "no kernel for LSTM matrices of int8 with heads of float32"),
        (
            {name: "float32" for name in plan.kinds if name.startswith("lstm")},
            "LSTM matrices of float32 with heads",
        ),
    ]:
        with pytest.raises(InputError, match=match):
            emulator_weights(quantize(base, replace(plan, kinds={**plan.kinds, **change})))
    # Storage alone is no matter of the kernel.
    stored = emulator_weights(quantize(base, replace(plan, kinds={})))
    assert stored.attributes["weight_format"] == "float"
    assert stored.formats["lstm.weight_hh_l0"] == "int8"


def test_sums_are_bounded_at_export() -> None:
    """Sums of codes of a block stay below 2^24, and so below int32; sums of products do not overflow float32."""
    assert check_sums(8, 8, 1024) < 2**24 < 2**31
    assert check_sums(8, 8, 1041) >= 2**24
    made = quantize(convrad(), 8)
    plan = compression_of(made).plan  # type: ignore[union-attr]
    object.__setattr__(plan, "block", 1041)  # which a plan does not take
    with pytest.raises(
        InputError, match=r"blocks of 1041 have sums .* beyond 2\^24: quantize .* at most 1024"
    ):
        emulator_weights(made)
    made = quantize(convrad(), 8)
    with torch.no_grad():
        made.network.lstm.weight_hh_l0[3, 1] = -(2.0**24)
    with pytest.raises(InputError, match=r"`lstm.weight_hh_l0` .* 1.67772e\+07, .* less than 2\^24: train"):
        emulator_weights(made)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"arithmetic": "int8 int8 int8"}, "`arithmetic` is `int8 int8 int8`.* reads 5 of bf16, int8"),
        ({"arithmetic": "int8 int8 int8 int8 int3"}, "upgrade sciml"),
        ({"arithmetic_block": 5000}, "block 5000"),
        ({"input_planes": 3}, "planes 3: give 1 or 2"),
        ({"input_planes": None}, "no `input_planes`"),
    ],
)
def test_weights_files_of_another_version(change: dict[str, Any], match: str) -> None:
    weights = emulator_weights(quantize(convrad(), 8))
    attributes = {name: x for name, x in {**weights.attributes, **change}.items() if x is not None}
    with pytest.raises(SchemaError, match=match):
        emulator_from(replace(weights, attributes=attributes))


def test_an_operator_in_a_checkpoint(tmp_path: Path) -> None:
    """Convolutions have packed weights and compute in floats."""
    from sciml.operators import Neural
    from sciml.operators.trained_operator import TrainedOperator

    operator = TrainedOperator.load(DATA / "darcy-any.sciml")
    neural = quantize(Neural(operator), 8)
    first = neural.operator.save(tmp_path / "a.sciml")
    again = TrainedOperator.load(first)
    same(again.network, neural.operator.network)
    assert again.save(tmp_path / "b.sciml").read_bytes() == first.read_bytes()
    # 3.9 and more in large operators; this one has 4.6 kB of weights and 2 kB of description.
    assert first.stat().st_size < (DATA / "darcy-any.sciml").stat().st_size / 2
    field = torch.rand(1, 63, 63) + 0.5
    with torch.no_grad():
        exact, made = (each.predict({operator.inputs[0]: field}) for each in (operator, again))
    assert 0 < float((exact - made).norm() / exact.norm()) < 0.05


def test_plans_in_json() -> None:
    plan = Plan.of(published(), 4, 32, 1)
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan
    for change, match in [
        (
            {"sparsity": 0.5},
            "x.sciml: the plan has 'sparsity', which this version does not know: upgrade sciml",
        ),
        ({"kinds": {"lstm.weight_hh_l0": "int3"}}, "'int3' of 'lstm.weight_hh_l0'.*upgrade"),
        ({"storage": {"w": "int5"}}, "storage of 'w': format 'int5'"),
        ({"block": None}, "the plan is incomplete"),
    ]:
        with pytest.raises(SchemaError, match=match):
            Plan.from_json({**plan.to_json(), **change}, "x.sciml")
    with pytest.raises(SchemaError, match="no plan: compress the network again"):
        Plan.from_json("small")


def test_a_plan_of_another_network(tmp_path: Path) -> None:
    net = published()
    plan = Plan.of(net, 8)
    torch.manual_seed(4)
    for other, match in [
        (BiLSTM.published(7), r"'trigger.weight' has the shape \(1, 6\) there, and \(1, 7\) in BiLSTM"),
        (BiLSTM(27, 32, 2, 8, levels=6), "names 'lstm.weight_ih_l2', which BiLSTM does not have"),
    ]:
        with pytest.raises(InputError, match=f"the plan is of another network: .*{match}"):
            quantize(other, plan)
    half = {name: kind for name, kind in plan.kinds.items() if "l1" not in name}
    for kinds, match in [
        (half, "'lstm.weight_ih_l1' computes in float32 and 'lstm.weight_ih_l0' does not"),
        ({**plan.kinds, "profiles.bias": "int8"}, "'int8' of 'profiles.bias': only matrices"),
    ]:
        with pytest.raises(InputError, match=match):
            quantize(net, replace(plan, kinds=kinds))
    for bits, match in [(3, "bits=3: give 1, 4, 8, 16"), ("int3", "format 'int3'")]:
        with pytest.raises(InputError, match=match):
            quantize(net, bits)  # type: ignore[type-var]
    with pytest.raises(InputError, match="block 5000"):
        quantize(net, 8, block=5000)
    with pytest.raises(InputError, match=r"quantize\(dict\): give a network"):
        quantize({}, 8)
    # The file of an emulator whose config describes another network than its plan
    stored = checkpoint.load(quantize(convrad(), 8).save(tmp_path / "a.sciml"))
    config = {name: value for name, value in stored.config.items() if name not in checkpoint.RESERVED}
    config["compression"] = plan.to_json()
    path = checkpoint.save(tmp_path / "b.sciml", {**config, "kind": stored.kind}, stored.tensors)
    with pytest.raises(SchemaError, match=r"b.sciml: the plan is of another network"):
        Emulator.load(path)


def test_parametrised_weights_become_dense() -> None:
    net = published()
    nn.utils.parametrizations.orthogonal(net.lstm, "weight_hh_l0")
    small = quantize(net, 8)
    assert isinstance(small.lstm, ReducedLSTM)
    dense = net.lstm.weight_hh_l0.detach().numpy()
    np.testing.assert_array_equal(small.lstm.weight_hh_l0.numpy(), quantize_blocks(dense, 8, 64).values())


def test_a_weight_that_is_not_finite() -> None:
    net = published()
    with torch.no_grad():
        net.lstm.weight_hh_l1[3, 3] = torch.nan
    with pytest.raises(InputError, match=r"format 'int8' of 'lstm.weight_hh_l1': .*not finite"):
        quantize(net, 8)
