"""Trainings of hypercomplex and binary weights: stages, resumption, averages, penalty, and what is saved."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from sciml.errors import InputError
from sciml.nn import weight_kinds
from sciml.nn.parametrize import is_parametrized
from sciml.train import Fit, fit
from sciml.train.progress import Quiet
from sciml.train.weight_form import WeightForm
from tests.train.curve import TRAINING, VALIDATION, objective

SETTINGS = Fit(epochs=4, batch_size=24, learning_rate=1e-2, ema_decay=0.9, seed=11, device="cpu", threads=1)
FORMS = {
    "hypercomplex": WeightForm(hypercomplex=4),
    "periodic": WeightForm(binary="periodic", frequency=15.0, penalty=1e-2),
    "sign": WeightForm(binary="sign"),
}


def network(form: WeightForm, seed: int = 5) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return form.applied(
            nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 2))
        )


def train(model: nn.Module, form: WeightForm, settings: Fit = SETTINGS, **options: Any) -> Any:
    common = {"progress": Quiet(), "prepare": form.prepare, "identity": form.identity(settings.epochs)}
    return fit(model, form.objective(objective), TRAINING, VALIDATION, settings, **common, **options)


@pytest.mark.parametrize("name", FORMS)
def test_an_interrupted_training_gives_the_same_bits(name: str, tmp_path: Path) -> None:
    form = FORMS[name]
    whole = network(form)
    history = train(whole, form)
    pieces = 0
    while True:
        model = network(form, seed=5 if not pieces else 6)
        limited = replace(SETTINGS, time_limit_s=1e-6)
        pieces += 1
        if train(model, form, limited, output=tmp_path / "m.sciml").stopped == "finished":
            break
    assert pieces == 4 * 5
    final = form.finished(model)
    for (key, mine), wanted in zip(model.state_dict().items(), whole.state_dict().values(), strict=True):
        assert torch.equal(mine, wanted), key
    assert not is_parametrized(final)
    # The recorded error of the best epoch is that of the network that is saved
    with torch.no_grad():
        data = VALIDATION.tensors
        error = float(objective(final, data)["loss"])
    best = next(epoch for epoch in history.epochs if epoch.number == history.best)
    assert error == pytest.approx(best.validation["loss"], rel=1e-5)
    train(network(form), form, replace(SETTINGS, time_limit_s=1e-6), output=tmp_path / "n.sciml")
    other = WeightForm(binary="periodic", frequency=16.0, penalty=1e-2)
    with pytest.raises(InputError, match="the form of the weights"):
        train(network(other), other, output=tmp_path / "n.sciml")


def test_the_stages_of_a_training() -> None:
    form = WeightForm(binary="periodic", real_fraction=0.4)
    model, seen = network(form), []

    def watched(module: nn.Module, batch: Any) -> Any:
        part = module[2].parametrizations.weight[0]
        seen.append((module.training, part.stage, part.rounded))
        return objective(module, batch)

    settings = replace(SETTINGS, epochs=3)
    fit(model, watched, TRAINING, VALIDATION, settings, progress=Quiet(), prepare=form.prepare)
    steps = [(stage, rounded) for training, stage, rounded in seen if training]
    assert steps[-15:] == [(1, False)] * 6 + [(2, False)] * 9
    assert {(stage, rounded) for training, stage, rounded in seen if not training} == {(2, True)}
    assert weight_kinds(model)["2.weight"] == "periodic 20, stage 2"


def test_the_penalty_is_in_the_loss_of_the_training_only() -> None:
    form = FORMS["periodic"]
    model, batch = network(form), TRAINING.tensors
    with torch.no_grad():
        plain, trained = objective(model, batch), form.objective(objective)(model.train(), batch)
        assert float(trained["loss"] - plain["loss"]) == pytest.approx(
            1e-2 * float(trained["penalty"]), rel=1e-3
        )
        assert float(trained["penalty"]) > 0
        assert form.objective(objective)(model.eval(), batch).keys() == plain.keys()


def test_padded_inputs_are_a_form_of_their_own() -> None:
    form = WeightForm(hypercomplex=4, pad_inputs=True)
    kinds = form.describe(form.applied(network(WeightForm())))
    assert "hypercomplex 4: 0.weight, 2.weight" in kinds
    assert form.identity(3) != WeightForm(hypercomplex=4).identity(3)
    for wrong in ({"pad_inputs": True}, {"hypercomplex": 4, "pad_inputs": "yes"}):
        with pytest.raises(InputError, match=r"\[network\] pad_inputs="):
            WeightForm.take(wrong)


def test_what_a_checkpoint_records() -> None:
    form = FORMS["hypercomplex"]
    about = form.about(network(form))
    # 4^3 + 16 16 / 4 of the middle layer; 4 divides no other
    assert about == {
        "hypercomplex": 4,
        "converted_weights": ["2.weight"],
        "free_parameters": 2 * 16 + 16 + 64 + 64 + 16 + 32 + 2,
    }
    assert form.rows(about) == [("weights", "1 hypercomplex (4 terms), 226 free parameters")]
    about = FORMS["periodic"].about(network(FORMS["periodic"]))
    assert about["binary"] == {"kind": "periodic", "frequency": 15.0}
    assert "real: 0.weight (16, 2), 4.weight (2, 16)" in FORMS["sign"].describe(network(FORMS["sign"]))
    plain = WeightForm()
    model = nn.Linear(2, 2)
    assert plain.applied(model) is plain.finished(model) is model
    assert plain.about(model) == plain.identity(3) == {}


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"hypercomplex": 1}, "hypercomplex=1"),
        ({"hypercomplex": 2.0}, "whole number"),
        ({"binary": "ternary"}, r"binary='ternary': give periodic or sign"),
        ({"binary": "sign", "hypercomplex": 4}, "choose one of them"),
        ({"binary": "sign", "frequency": 10}, r"frequency: .*binary = \"periodic\"; give it too"),
        ({"binary": "periodic", "frequency": 0}, "above 0"),
        ({"binary": "sign", "real_fraction": 1.0}, r"\[0, 1\)"),
        ({"binary": "periodic", "penalty": float("nan")}, "penalty=nan"),
    ],
)
def test_bad_settings(settings: dict[str, Any], match: str) -> None:
    with pytest.raises(InputError, match=match):
        WeightForm.take(settings)
