"""Hopfield layers against the program of their authors, and against correct outputs where that program is wrong."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sciml.errors import InputError
from sciml.nn import Hopfield, HopfieldLayer, HopfieldPooling
from tests.nn.vectors import assert_near, case

LAYERS: Mapping[
    str, dict[str, Any]
] = {  # beta and steps that a name does not give were fitted to `association`
    "self_h1_default": {},
    "self_h2_beta0.7_steps0": {"heads": 2, "beta": 0.7},
    "tri_h2_beta0.5_steps0": {"heads": 2, "beta": 0.5},
    "tri_h2_beta1.5_steps3": {"heads": 2, "beta": 1.5, "steps": 3},
    "tri_h2_beta0.5_stepsNone_eps1e-6": {"heads": 2, "beta": 0.5, "steps": None, "eps": 1e-6},
    "tri_h2_stepsperhead_0_2": {"heads": 2, "beta": 0.8, "steps": (0, 2)},
    "tri_h2_nonorm_steps2": {"heads": 2, "normalise": False, "steps": 2},
    "tri_h4_sizes": {
        "heads": 4,
        "beta": 0.9,
        "steps": 1,
        "stored_size": 6,
        "projection_size": 9,
        "hidden": 3,
        "values": 5,
        "output": 7,
    },
    "tri_h2_hopfieldspace_norm": {"heads": 2, "beta": 0.9, "steps": 1, "normalise_association": True},
    "tri_h2_connected": {"heads": 2, "beta": 0.9, "steps": 1, "connected": True},
    "tri_h2_masks": {"heads": 2, "beta": 0.9, "steps": 1},
    "tri_h2_addzero": {"heads": 2, "beta": 0.9, "steps": 1, "zero_pattern": True},
    "tri_h1_tanhact_nobias_seqfirst": {"bias": False},
    "pool_q3_h2": {"heads": 2, "beta": 0.8},
    "pool_q1_h1_mask_steps2": {"steps": 2},
    "pool_pair": {"heads": 2, "projection_size": 5},
    "layer_q5_h2": {"heads": 2, "beta": 0.8},
    "layer_q7_sep_out3": {"heads": 2, "steps": 1, "output": 3, "projection_size": 4},
}
NAMES = {"state": "state_pattern", "stored": "stored_pattern", "projection": "pattern_projection"}


def ours(official: Mapping[str, Tensor], layer: Hopfield) -> dict[str, Tensor]:
    """Return the state dict of our layer from the parameters of the authors, or from their gradients."""
    core = "association_core."
    sizes = [layer.heads * size for size in (layer.hidden, layer.hidden, layer.values)]
    state: dict[str, Tensor] = {}
    if f"{core}in_proj_weight" in official:
        weights = official[f"{core}in_proj_weight"].split(sizes)
    else:
        weights = tuple(official[f"{core}{x}_proj_weight"] for x in "qkv")
    biases = official[f"{core}in_proj_bias"].split(sizes) if f"{core}in_proj_bias" in official else None
    for i, (name, theirs) in enumerate(NAMES.items()):
        state[f"maps.{name}.weight"] = weights[i]
        if biases is not None:
            state[f"maps.{name}.bias"] = biases[i]
        for kind in ("weight", "bias"):
            if f"norm_{theirs}.{kind}" in official:
                state[f"norms.{name}.{kind}"] = official[f"norm_{theirs}.{kind}"]
    for kind in ("weight", "bias"):
        for name, theirs in (("out", "out_proj."), ("shared_norm", "p_norm_")):
            if f"{core}{theirs}{kind}" in official:
                state[f"{name}.{kind}"] = official[f"{core}{theirs}{kind}"]
    wanted = layer.state_dict()
    assert set(wanted) <= set(state)
    return {name: x for name, x in state.items() if name in wanted}


@pytest.mark.parametrize("name", LAYERS)
def test_layer_of_the_authors(name: str) -> None:
    v = case("hopfield", name)
    first, *_ = name.split("_")
    layer = Hopfield(8, **LAYERS[name])
    inner = {key.removeprefix("hopfield."): x for key, x in parameters(v, "param/").items()}
    layer.load_state_dict(ours(inner, layer))
    inputs = {key.removeprefix("in/"): x for key, x in v.items() if key.startswith("in/")}
    masks = [inputs.pop(key, None) for key in ("stored_pattern_padding_mask", "association_mask")]
    leaves = {key: x.requires_grad_() for key, x in inputs.items()}
    swapped = {key: x.transpose(0, 1) if "seqfirst" in name else x for key, x in leaves.items()}
    extra = {}
    if first == "pool":
        pooling = HopfieldPooling(layer, v["param/pooling_weights"].shape[1])
        extra["pooling_weights"] = pooling.states
        with torch.no_grad():
            pooling.states.copy_(v["param/pooling_weights"][0])
        stored = swapped["x"] if "x" in swapped else swapped["stored"]
        out = pooling(stored, swapped.get("projection"), padding=masks[0])
        states = pooling.states.expand(3, -1, -1)
        retrieval, projected = layer.association(stored, states, swapped.get("projection"), padding=masks[0])
    elif first == "layer":
        memory = HopfieldLayer(layer, v["param/lookup_weights"].shape[1], separate="sep" in name)
        extra["lookup_weights"] = memory.stored
        with torch.no_grad():
            memory.stored.copy_(v["param/lookup_weights"][0])
            if memory.projection is not None:
                extra["target_weights"] = memory.projection
                memory.projection.copy_(v["param/target_weights"][0])
        out = memory(swapped["x"])
        learned = [None if x is None else x.expand(3, -1, -1) for x in (memory.stored, memory.projection)]
        assert learned[0] is not None
        retrieval, projected = layer.association(learned[0], swapped["x"], learned[1])
    else:
        stored = swapped["x"] if "x" in swapped else swapped["stored"]
        given = (stored, swapped.get("state"), swapped.get("projection"))
        out = layer(*given, padding=masks[0], mask=masks[1])
        retrieval, projected = layer.association(*given, padding=masks[0], mask=masks[1])
    if "tanhact" in name:
        out = torch.tanh(out).transpose(0, 1)
    assert_near(out, v["out"], 3e-6)
    assert_near(retrieval.weights, v["association"], 3e-6)
    assert_near(projected, v["projected"], 3e-6)

    out.backward(v["cotangent"])
    for key, x in leaves.items():
        if x.grad is not None:
            near_gradient(x.grad, v[f"grad/in/{key}"], v)
    for key, x in extra.items():
        near_gradient(x.grad, v[f"grad/param/{key}"][0], v)
    exact = parameters(v, "grad/param/")
    exact = ours({key.removeprefix("hopfield."): x for key, x in exact.items()}, layer)
    for key, parameter in layer.named_parameters():
        near_gradient(parameter.grad, exact[key], v)


def parameters(v: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): x for key, x in v.items() if key.startswith(prefix)}


def near_gradient(mine: Tensor | None, exact: Tensor, v: Mapping[str, Tensor]) -> None:
    """Compare gradients: some are sums that cancel, so the error is relative to the largest gradient of the case.

    Those of the authors are in float32 too: in the case of zero patterns they differ from float64 by 3.1e-6.
    """
    assert mine is not None
    size = max(float(x.abs().max()) for key, x in v.items() if key.startswith("grad/"))
    assert float((mine - exact).abs().max()) <= 5e-6 * size


@pytest.mark.parametrize("beta", [0.05, 0.5, 2.0])
@pytest.mark.parametrize("steps", [0, 1, 5, None])
def test_static_patterns_of_the_authors(beta: float, steps: int | None) -> None:
    inputs, v = case("hopfield", "static"), case("hopfield", f"static/beta{beta}_steps{steps}")
    stored, state, projection = (inputs[f"in/{key}"] for key in ("stored", "state", "projection"))
    settings: dict[str, Any] = {"beta": beta, "steps": steps, "eps": 1e-7, "output": 0}
    settings["static"] = ("state", "stored", "projection")
    same = Hopfield(10, **settings)
    assert not list(same.parameters())
    assert_near(same(stored, state), v["retrieved"], 3e-6)
    assert_near(same.association(stored, state)[0].weights, v["association"], 3e-6)
    other = Hopfield(10, projection_size=3, **settings)
    assert_near(other(stored, state, projection), v["projected"], 3e-6)


@pytest.mark.parametrize("steps", [0, 2])
def test_beta_of_each_head(steps: int) -> None:
    v = case("hopfield_defects", "perhead_beta")
    layer = Hopfield(8, heads=2, beta=v["in/beta"], steps=steps)
    layer.load_state_dict(ours(parameters(v, "param/"), layer))
    out = layer(v["in/x"])
    assert_near(out, v[f"steps{steps}/out_correct"], 3e-6)
    assert float((out - v[f"steps{steps}/out_official_wrong"]).abs().max()) > 0.1


def test_static_patterns_of_two_heads() -> None:
    v = case("hopfield_defects", "static_2heads")
    layer = Hopfield(4, heads=2, beta=2.0, static=("state", "stored", "projection"), output=0)
    out = layer(v["in/stored"], v["in/state"])
    assert_near(out, v["out_correct"], 3e-6)
    assert float((out - v["out_official_wrong"]).abs().max()) > 0.1


STOPPING: dict[str, Any] = {"beta": 0.6, "steps": None, "eps": 1e-2}


def test_a_sample_stops_by_itself() -> None:
    v = case("hopfield_defects", "stopping")
    layer = Hopfield(6, static=("state", "stored", "projection"), output=0, **STOPPING)
    out = layer(v["in/stored"], v["in/state"])
    assert_near(out, v["one_by_one"], 3e-6)
    assert float((out - v["batched"]).abs().max()) > 1e-3


@pytest.mark.parametrize("seed", [23, 29])
def test_a_sample_does_not_depend_on_its_batch(seed: int) -> None:
    torch.manual_seed(seed)
    layer = Hopfield(6, heads=2, beta=(0.5, 3.0), steps=None, eps=1e-3, normalise=False).double()
    for linear in layer.maps.values():
        linear.weight.data.mul_(40.0)
    stored, state = torch.randn(5, 9, 6).double(), torch.randn(5, 3, 6).double()
    together = layer.association(stored, state)[0]
    assert len(together.updates.unique()) > 3
    for i in range(5):
        alone = layer.association(stored[i : i + 1], state[i : i + 1])[0]
        assert torch.equal(alone.updates, together.updates[i : i + 1])
        torch.testing.assert_close(alone.weights, together.weights[i : i + 1], rtol=1e-12, atol=1e-13)


def test_bias_pattern_has_an_effect() -> None:
    """The official program ignores it (`concat_bias_pattern`)."""
    torch.manual_seed(31)
    layer, x = Hopfield(8, heads=2, bias_pattern=True, zero_pattern=True, beta=1.0), torch.randn(3, 5, 8)
    padding = torch.zeros(3, 5, dtype=torch.bool)
    padding[0] = True  # the two appended patterns remain
    weights = layer.association(x, padding=padding)[0].weights
    assert weights.shape == (3, 2, 5, 7)
    assert not weights[0, ..., :5].any()
    before = layer(x)
    layer.bias_stored.data.mul_(100.0)
    assert float((layer(x) - before).detach().abs().max()) > 1e-6
    layer(x).sum().backward()
    assert layer.bias_projection.grad is not None
    assert bool(layer.bias_projection.grad.any())


def test_pooling_does_not_depend_on_order_and_padding() -> None:
    torch.manual_seed(37)
    pooling, x = (
        HopfieldPooling(Hopfield(8, heads=4, steps=2), quantity=2).double(),
        torch.randn(3, 6, 8).double(),
    )
    wanted = pooling(x)
    torch.testing.assert_close(pooling(x.flip(1)), wanted)
    longer = torch.cat([x, torch.full((3, 2, 8), 7.0, dtype=torch.float64)], 1)
    padding = torch.arange(8).expand(3, 8) >= 6
    torch.testing.assert_close(pooling(longer, padding=padding), wanted)


class Memory(nn.Module):
    """A pooling of bags with padding, and a learned memory that is asked for the result."""

    def __init__(self, steps: int | None = 2) -> None:
        super().__init__()
        self.pool = HopfieldPooling(Hopfield(8, heads=2, beta=torch.tensor([0.5, 2.0]), steps=steps))
        self.memory = HopfieldLayer(Hopfield(8, heads=2, beta=3.0, bias_pattern=True, zero_pattern=True), 5)

    def forward(self, x: Tensor, padding: Tensor) -> Tensor:
        """Return (bag, 1, feature)."""
        answer: Tensor = self.memory(self.pool(x, padding=padding).unsqueeze(1))
        return answer


def sizeable(steps: int | None = 2) -> Memory:
    """A memory in which all parts matter, in evaluation."""
    with torch.random.fork_rng([]):
        torch.manual_seed(43)
        memory = Memory(steps)
        for parameter in memory.parameters():
            nn.init.normal_(parameter, std=0.7)
    return memory.eval()


def bags(count: int, seed: int) -> tuple[Tensor, Tensor]:
    x = torch.randn(count, 6, 8, generator=torch.Generator().manual_seed(seed))
    return x, torch.arange(6).expand(count, 6) >= torch.tensor([4, 6, 2])[:count, None]


@pytest.mark.slow
def test_an_onnx_file_of_any_number_of_bags(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    memory, count = sizeable(), torch.export.Dim("count", min=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns about its own code
        torch.onnx.export(
            *(memory, bags(2, 47), str(tmp_path / "m.onnx")),
            dynamo=True,
            verbose=False,
            dynamic_shapes=({0: count}, {0: count}),
        )
    session, given = runtime.InferenceSession(str(tmp_path / "m.onnx")), bags(3, 53)
    names = [each.name for each in session.get_inputs()]
    (answer,) = session.run(None, {name: x.numpy() for name, x in zip(names, given, strict=True)})
    torch.testing.assert_close(torch.from_numpy(answer), memory(*given).detach(), rtol=1e-4, atol=1e-5)


def test_an_exported_network_has_a_fixed_number_of_updates() -> None:
    """It computes them all; those after the last change do nothing."""
    memory, given = sizeable(40), bags(2, 47)
    program = torch.export.export(memory, given, strict=False).module()
    torch.testing.assert_close(program(*given), memory(*given))
    with pytest.raises(InputError, match="steps=None in a compiled or exported network"):
        torch.export.export(sizeable(None), given, strict=False)


def test_settings_survive_a_state_dict_and_dropout_is_of_the_training() -> None:
    torch.manual_seed(41)
    memory, x = HopfieldLayer(Hopfield(8, dropout=0.5, output=3), 5, separate=True), torch.randn(2, 4, 8)
    memory.hopfield.maps["projection"].weight.data.mul_(50.0)
    assert not torch.equal(memory(x), memory(x))
    memory.eval()
    other = HopfieldLayer(Hopfield(8, output=3), 5, separate=True)
    other.load_state_dict(memory.state_dict())
    assert torch.equal(other(x), memory(x))
    assert other(x).shape == (2, 4, 3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"heads": 3}, r"size=8, heads=3.*that heads divides"),
        ({"beta": 0.0}, "beta=0.0: give a number above 0"),
        ({"beta": -1.0}, "beta=-1.0: give a number above 0"),
        ({"beta": float("nan")}, "beta=nan"),
        ({"heads": 2, "beta": (1.0, 0.0)}, r"beta=\(1.0, 0.0\)"),
        ({"heads": 4, "beta": (1.0, 2.0)}, "give one beta, or one for each head"),
        ({"heads": 0}, "heads=0"),
        ({"hidden": 0}, "hidden=0"),
        ({"static": ("query",)}, "static=.*give some of state, stored, projection"),
        ({"static": ("state",), "stored_size": 5, "hidden": 5}, "static state patterns of 8 features"),
        ({"connected": True, "static": ("stored",)}, "not static"),
    ],
)
def test_invalid_settings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Hopfield(8, **settings)


def test_invalid_inputs() -> None:
    layer, x = Hopfield(8, heads=2), torch.ones(3, 5, 8)
    with pytest.raises(InputError, match=r"stored of shape \(3, 5, 7\): give \(sample, pattern, 8\)"):
        layer(x[..., :7], x)
    with pytest.raises(InputError, match="True for patterns to ignore"):
        layer(x, padding=torch.zeros(3, 4, dtype=torch.bool))
    with pytest.raises(InputError, match="a mask ignores all patterns of 1 states"):
        layer(x, padding=torch.tensor([[False], [True], [False]]).expand(3, 5))
    with pytest.raises(InputError, match="steps=-1"):
        Hopfield(8, steps=-1)(x)
    with pytest.raises(InputError, match="eps=nan"):
        Hopfield(8, eps=float("nan"))(x)
    with pytest.raises(InputError, match=r"steps=\[1, 2, 3\].*one per head"):
        Hopfield(8, heads=2, steps=(1, 2, 3))(x)
    with pytest.raises(InputError, match="quantity=0"):
        HopfieldPooling(layer, 0)
