"""Pretraining without labels, and training from it on a fraction of the columns."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

from sciml.convection import training
from sciml.convection.emulator import Emulator
from sciml.convection.label_share import drawn
from sciml.convection.pretrained import Pretrained
from sciml.convection.pretraining import MaskedReconstruction, pretrain
from sciml.convection.problem import INPUT_PROFILES, INPUT_SURFACE
from sciml.convection.transformer import ColumnTransformer
from sciml.convection.transformer_shape import TransformerShape
from sciml.errors import InputError
from sciml.train.progress import Quiet

FAST = {"epochs": 2, "batch_size": 64, "seed": 17, "threads": 1, "device": "cpu"}
SMALL = {"hidden": 8, "layers": 1, "heads": 2}


@pytest.fixture(scope="module")
def start(pairs: xr.Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pretraining") / "p.sciml"
    inputs = pairs[[*INPUT_PROFILES, *INPUT_SURFACE]].drop_vars("KIND")
    pretrain(inputs, path, fit=FAST, network=SMALL, progress=Quiet())
    return path


@pytest.mark.parametrize(("attention", "stop"), [("real", 2), ("real", 5), ("binary", 4)])
def test_a_resumed_pretraining_has_the_bits_of_an_uninterrupted_one(
    pairs: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attention: str, stop: int
) -> None:
    """Stopped in the first and in the second epoch, in the middle of the random masks and the order of the batches."""
    inputs = pairs[[*INPUT_PROFILES, *INPUT_SURFACE]].drop_vars("KIND")
    given: dict[str, Any] = {"fit": {**FAST, "epochs": 3}, "network": {**SMALL, "attention": attention}}
    given |= {"share": 0.4, "progress": Quiet()}
    whole = pretrain(inputs, tmp_path / "whole.sciml", **given)
    calls, losses = [0], MaskedReconstruction.losses

    def stopping(self: MaskedReconstruction, batch: Any) -> Any:
        calls[0] += 1
        if calls[0] == stop:
            os.kill(os.getpid(), signal.SIGINT)
        return losses(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(MaskedReconstruction, "losses", stopping)
        with pytest.raises(KeyboardInterrupt):
            pretrain(inputs, tmp_path / "parts.sciml", **given)
    assert not (tmp_path / "parts.sciml").exists()
    torch.rand(7)  # of the process, whose random numbers must not matter
    resumed = pretrain(inputs, tmp_path / "parts.sciml", **given)
    mine, theirs = resumed.network.state_dict(), whole.network.state_dict()
    assert [name for name in theirs if not torch.equal(mine[name], theirs[name])] == []
    assert resumed.digest == whole.digest
    assert {n: x for n, x in resumed.about.items() if n != "seconds"} == whole.about


def test_the_share_of_an_interrupted_pretraining_must_be_the_same(
    pairs: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = pairs[[*INPUT_PROFILES, *INPUT_SURFACE]].drop_vars("KIND")
    given: dict[str, Any] = {"fit": FAST, "network": SMALL, "progress": Quiet()}
    losses = MaskedReconstruction.losses

    def stopping(self: MaskedReconstruction, batch: Any) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        return losses(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(MaskedReconstruction, "losses", stopping)
        with pytest.raises(KeyboardInterrupt):
            pretrain(inputs, tmp_path / "p.sciml", **given)
    with pytest.raises(InputError, match=r"masked share.*0\.3.*0\.4|masked share.*0\.4.*0\.3") as caught:
        pretrain(inputs, tmp_path / "p.sciml", share=0.4, **given)
    assert "\n" not in str(caught.value)


def test_training_starts_from_the_pretrained_weights(pairs: xr.Dataset, start: Path, tmp_path: Path) -> None:
    before, path = Pretrained.load(start), tmp_path / "t.sciml"
    network = {"kind": "transformer", "width": 8, "pooled": 8}
    fit = {**FAST, "epochs": 1, "learning_rate": 1e-9, "weight_decay": 0.0}
    training.train(pairs, path, fit=fit, network=network, pretrained=start, fraction=0.1, progress=Quiet())
    after = Emulator.load(path)
    mine, theirs = before.network.state_dict(), after.network.state_dict()
    for name in ("embed.weight", "blocks.0.attention.query.weight", "last_norm.bias"):
        torch.testing.assert_close(theirs[name], mine[name], atol=1e-6, rtol=0)
    assert after.about["fraction"] == 0.1
    assert after.about["pretrained"]["digest"] == before.digest
    assert after.about["columns"] == pytest.approx(0.1 * before.about["columns"], abs=1)
    torch.testing.assert_close(after.normalisation.mean, before.normalisation.mean)


def test_what_cannot_start_from_it(pairs: xr.Dataset, start: Path, tmp_path: Path) -> None:
    for network, message in (
        ({"kind": "bilstm"}, "for the network transformer, not bilstm"),
        ({"kind": "transformer", "hidden": 16}, "hidden=16, and the pretrained network has 8"),
        ({"kind": "transformer", "binary": "sign"}, "leave out hypercomplex and binary"),
    ):
        with pytest.raises(InputError, match=message):
            training.train(pairs, tmp_path / "m.sciml", network=network, pretrained=start, progress=Quiet())


def test_masked_layers_are_not_seen() -> None:
    torch.manual_seed(37)
    shape = TransformerShape(hidden=8, heads=2, layers=1, edges=tuple(np.linspace(0, 0.9, 8)))
    module = MaskedReconstruction(ColumnTransformer(shape))
    x, y = torch.randn(3, 7, len(shape.channels)), torch.randn(3, len(shape.scalars))
    masked = torch.zeros(3, 7, dtype=torch.bool)
    masked[:, 2] = True
    other = x.clone()
    other[:, 2] += 5.0
    assert torch.equal(module(x, y, masked), module(other, y, masked))
    other[:, 4] += 5.0
    assert not torch.allclose(module(x, y, masked)[:, 2], module(other, y, masked)[:, 2])


def test_the_fraction_is_drawn_by_the_seed() -> None:
    rows = np.arange(400) % 4 > 0
    first, again, other = (drawn(rows, 0.1, seed) for seed in (5, 5, 6))
    assert (first == again).all() and (first != other).any()
    assert first.sum() == 30 and not (first & ~rows).any()
    for fraction in (0.0, 1.5, float("nan")):
        with pytest.raises(InputError, match=r"at most 1, such as 0\.01"):
            training.train("x.nc", "y.sciml", fraction=fraction)
    with pytest.raises(InputError, match="300 columns leaves 0"):
        drawn(rows, 1e-4, 5)


def test_real_weights_start_binary_attention(pairs: xr.Dataset, start: Path, tmp_path: Path) -> None:
    network = {"kind": "transformer", "width": 8, "pooled": 8, "attention": "binary", "estimators": "heads"}
    fit = {**FAST, "epochs": 1, "learning_rate": 1e-9, "weight_decay": 0.0}
    made = training.train(
        pairs, tmp_path / "t.sciml", fit=fit, network=network, pretrained=start, progress=Quiet()
    )
    attention, real = made.network.blocks[0].attention, Pretrained.load(start).network.blocks[0].attention
    torch.testing.assert_close(attention.query.weight, real.query.weight, atol=1e-6, rtol=0)
    assert attention.groups == 2
    torch.manual_seed(43)
    x = made.network.blocks[0].norm(torch.randn(30, 7, 8))
    with torch.no_grad():
        exact, fitted = real.scores(x), attention.scores(x)
    assert float((fitted - exact).square().mean()) < 0.5 * float(exact.square().mean())
    settings = {"kind": "transformer", "attention": "binary", "layers": 3}
    with pytest.raises(InputError, match="layers=3, and the pretrained network has 1"):
        training.train(pairs, tmp_path / "o.sciml", network=settings, pretrained=start, progress=Quiet())
