"""Binary attention against the program of its authors, and attention with real scores against PyTorch."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from sciml.errors import InputError
from sciml.nn.binary_attention import BinaryAttention, SelfAttention
from tests.nn.vectors import assert_near, case

CASES = {
    "attention_pretrain_rank1": (1, 0),
    "attention_finetune_A_no_estimator": (0, 0),
    "attention_finetune_rank1": (1, 0),
    "attention_finetune_rank3": (3, 0),
    "attention_finetune_rank2_lora_linear": (2, 2),
}
OURS = {
    **{f"clip_{name}": f"sign_{name[0]}.step" for name in ("query", "key", "value")},
    "clip_attn": "step.step",
    **{f"lora_{x}.lora.{i}.weight": f"adapter_{x}.{i}.weight" for x in "qkv" for i in (0, 1)},
}


def ours(name: str) -> str:
    """Return our name of a parameter of the authors."""
    name = name.replace("input_clip_val", "sign.step").replace("move.bias", "sign.shift")
    return OURS.get(name, name)


@pytest.mark.parametrize("name", CASES)
def test_attention_of_bipft(name: str) -> None:
    v = case("bipft", name)
    rank, adapter = CASES[name]
    layer = BinaryAttention(48, 12, rank=rank, adapter=adapter)
    official = {key.removeprefix("param/"): x for key, x in v.items() if key.startswith("param/")}
    state = layer.state_dict()
    state |= {key: torch.ones_like(x) for key, x in state.items() if key.endswith("started")}
    given = {ours(key): x for key, x in official.items()}
    assert set(given) <= set(state)
    assert set(state) - set(given) == {key for key in state if key.endswith("started")}
    layer.load_state_dict(state | given)
    hidden, mask = v["in/hidden"].requires_grad_(), v["in/attention_mask"]

    assert_near(layer.scores(hidden), v["mid/score_total_scaled_unmasked"], 1e-5)
    if rank:
        assert_near(layer.estimate(hidden), v["mid/score_lowrank"], 1e-5)
    assert_near(layer.probabilities(layer.scores(hidden) + mask), v["probs_binarised"], 1e-5)
    out = layer(hidden, mask)
    assert_near(out, v["out"], 1e-5)
    out.backward(v["cotangent"])
    assert_near(hidden.grad, v["grad/in/hidden"], 1e-5)
    parameters = dict(layer.named_parameters())
    size = max(float(v[f"grad/param/{key}"].abs().max()) for key in official)
    for key in official:
        mine, exact = parameters[ours(key)].grad, v[f"grad/param/{key}"]
        assert mine is not None
        if key in ("k_p.bias", "k_m.bias", "clip_query", "clip_key"):
            # Sums that cancel: exactly zero for the biases; their rounding is that of the numbers summed.
            assert float((mine - exact).abs().max()) < 1e-6 * size, key
        else:
            assert_near(mine, exact, 1e-5)


def test_real_scores_are_those_of_pytorch() -> None:
    torch.manual_seed(23)
    layer, official = SelfAttention(12, 3), nn.MultiheadAttention(12, 3, batch_first=True)
    parts = (layer.query, layer.key, layer.value)
    with torch.no_grad():
        official.in_proj_weight.copy_(torch.cat([part.weight for part in parts]))
        official.in_proj_bias.copy_(torch.cat([part.bias for part in parts]))
        official.out_proj.weight.copy_(torch.eye(12))
        official.out_proj.bias.zero_()
    x = torch.randn(4, 7, 12)
    expected: Tensor = official(x, x, x, need_weights=False)[0]
    torch.testing.assert_close(layer(x), expected)


def test_signs_of_real_projections_need_no_binary_weight() -> None:
    torch.manual_seed(29)
    layer, x = BinaryAttention(8, 2, rank=0, binary_projections=False), torch.randn(3, 5, 8)
    scores = layer.scores(x)
    q, k = layer.real_parts(x)
    whole = torch.sign(q) @ torch.sign(k).mT * layer.sign_q.step * layer.sign_k.step / math.sqrt(4)
    torch.testing.assert_close(scores, whole)
    assert len(set(layer.probabilities(scores).flatten().tolist())) <= 2


def test_heads_that_do_not_divide_the_width() -> None:
    with pytest.raises(InputError, match=r"width=10, heads=4.*that heads divides"):
        BinaryAttention(10, 4)
    with pytest.raises(InputError, match="rank"):
        BinaryAttention(8, 4, rank=-1)
