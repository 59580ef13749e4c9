"""Steps that do not expand: any weights, training, checkpoints, rollouts, exports and refusals."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from torch import Tensor
from typer.testing import CliRunner

from sciml.cli.application import app
from sciml.errors import InputError
from sciml.nn import load_weights, materialise
from sciml.nn.parametrize import dense_copy, is_parametrized
from sciml.nn.sobolev import sobolev_norm
from sciml.operators import training
from sciml.operators.lipschitz_bound import Certificate
from sciml.operators.nonexpansive import Form, NonExpansive
from sciml.operators.registry import build, commands
from sciml.operators.rollout import Stepper
from sciml.operators.step_certificate import certificate
from sciml.operators.trained_operator import TrainedOperator
from sciml.pde import generate
from sciml.pde.families import FAMILIES
from sciml.pde.grid import Boundary
from sciml.pde.navier_stokes import NavierStokes
from sciml.solve import solve
from sciml.train.progress import Quiet
from sciml.verify.operator.evaluate import assess

FORMS: tuple[Form, ...] = ("generator", "averaged", "plain")
FIT = {"epochs": 2, "batch_size": 8, "seed": 17, "threads": 1, "device": "cpu"}
DECAYING = NavierStokes(16, viscosity=1e-3, forcing=0.0, final_time=1.0, frames=4)


def shaken(network: NonExpansive, seed: int, size: float = 0.7) -> NonExpansive:
    """Return a constrained copy with random original tensors, made dense."""
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        copied = network.constrained()
        with torch.no_grad():
            for p in copied.parameters():
                p.add_(size * torch.randn_like(p))
    return dense_copy(copied)


def fields(shape: tuple[int, ...], seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(scope="module")
def decaying() -> xr.Dataset:
    return generate(replace(FAMILIES["navier-stokes"], template=DECAYING), 6, 16, seed=7).compute()


@pytest.fixture(scope="module")
def saved(decaying: xr.Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("steps") / "n.sciml"
    network = {"class": "NonExpansive", "channels": 2, "hidden": 4, "layers": 2, "kernel": 3}
    training.train(decaying, path, network=network, validation=2, fit=FIT, progress=Quiet())
    return path


@pytest.mark.parametrize(("form", "order"), [*((form, 0.0) for form in FORMS), ("generator", 1.0)])
@settings(max_examples=4, deadline=None)
@given(seed=st.integers(3, 10**6))
def test_no_weights_expand(form: Form, order: float, seed: int) -> None:
    start = NonExpansive(form=form, channels=4, layers=3, kernel=3, points=[8, 6], order=order)
    network = shaken(start, seed)
    assert math.prod(network.lipschitz_factors((8, 6)).values()) <= 1.0  # of weights in float32
    u, v = fields((2, 1, 8, 6), seed + 1), fields((2, 1, 8, 6), seed + 2)
    network = network.double()
    with torch.no_grad():
        before = sobolev_norm(u - v, order)[:, 0]
        rounding = 1e-13 * u.flatten(1).norm(dim=1)
        for _ in range(30):
            u, v = network(u), network(v)
            after = sobolev_norm(u - v, order)[:, 0]
            assert (after <= before * (1 + 1e-12) + rounding).all()
            before = after


@pytest.mark.parametrize("form", FORMS)
def test_a_bound_for_all_grids(form: Form) -> None:
    network = shaken(NonExpansive(form=form, channels=4, layers=3, kernel=3), 21)
    assert network.any_resolution
    assert math.prod(network.lipschitz_factors().values()) <= 1.0
    for shape in ((5, 9), (16, 12)):
        assert math.prod(network.lipschitz_factors(shape).values()) <= 1.0
        assert network(torch.ones(1, 1, *shape)).shape == (1, 1, *shape)


def test_the_generator_starts_close_to_the_identity() -> None:
    u = fields((2, 1, 12, 12), 22).float()
    with torch.no_grad():
        made = NonExpansive(channels=4, layers=4)(u)
    assert float((made - u).norm() / u.norm()) < 0.05


@pytest.mark.parametrize("form", FORMS)
def test_every_original_tensor_has_a_gradient(form: Form) -> None:
    network = NonExpansive(form=form, channels=4, layers=2, kernel=3, in_channels=2, forcing=True, points=8)
    copied = network.constrained()
    copied(fields((2, 2, 8, 8), 23).float()).square().sum().backward()
    for name, p in copied.named_parameters():
        assert p.grad is not None and p.grad.isfinite().all(), name


def test_what_drives_the_state_does_not_change_differences() -> None:
    network = shaken(NonExpansive(channels=2, layers=2, in_channels=2, forcing=True, points=8), 24).double()
    state, other, drive = (fields((1, 1, 8, 8), seed) for seed in (25, 26, 27))
    with torch.no_grad():
        first = network(torch.cat([state, 100 * drive], 1)) - network(torch.cat([other, 100 * drive], 1))
        second = network(torch.cat([state, drive], 1)) - network(torch.cat([other, drive], 1))
        assert float((network(torch.cat([state, drive], 1)) - network.step(state)).norm()) > 1
    torch.testing.assert_close(first, second, rtol=1e-9, atol=1e-9)


def test_configuration_and_weights() -> None:
    network = shaken(NonExpansive(channels=2, layers=2, points=(8, 6)), 28)
    again = build(json.loads(json.dumps(network.config())))
    load_weights(again, materialise(network), "a test")
    u = fields((1, 1, 8, 6), 29).float()
    assert torch.equal(again(u), network(u))
    assert commands()["nonexpansive"] == "NonExpansive"


def test_a_checkpoint_has_its_certificate(saved: Path) -> None:
    operator = TrainedOperator.load(saved)
    assert not is_parametrized(operator.network)
    proven = certificate(operator)
    assert proven.points == (16, 16)
    assert proven.lipschitz <= 1.0
    assert proven.factors["scaling"] == 1.0
    assert operator.about["lipschitz_bound"] == proven.lipschitz
    assert operator.about["certificate"]["factors"] == pytest.approx(dict(proven.factors), rel=1e-12)
    assert proven.headline() in str(operator)
    assert str(proven).startswith("Lipschitz constant at most ")


def test_a_rollout_with_a_certificate(saved: Path) -> None:
    stepper = Stepper.load(saved, steps=40, lipschitz=1)
    solution = solve(replace(DECAYING, seed=31), stepper)
    assert solution.stats["lipschitz_bound"] <= 1.0
    first = torch.from_numpy(np.asarray(DECAYING.start()))[None]
    pair = torch.cat([first, first + 0.1 * fields((1, 16, 16), 30)])
    frames = stepper.rollout(pair, 40, stepper.init(DECAYING))
    sizes = (frames[0] - frames[1]).flatten(1).norm(dim=1)
    assert frames.dtype == torch.float64
    assert (sizes[1:] <= sizes[:-1] * (1 + 1e-12)).all()


def test_a_certificate_in_another_norm(decaying: xr.Dataset, tmp_path: Path) -> None:
    network = {"class": "NonExpansive", "channels": 2, "hidden": 3, "layers": 1, "kernel": 3, "order": 1.0}
    usual = dict(network=network, fit={**FIT, "epochs": 1}, progress=Quiet())
    training.train(decaying, tmp_path / "n.sciml", **usual)  # type: ignore[arg-type]
    operator = TrainedOperator.load(tmp_path / "n.sciml")
    stepper = Stepper(operator, lipschitz=1)
    assert operator.about["certificate"]["order"] == 1.0
    assert str(stepper.certificate).splitlines()[0].endswith("on 16 x 16 points in the norm of H^-1")
    most = stepper.certificate.euclidean((16, 16))
    assert most == pytest.approx(math.sqrt(2) * 8)
    first = torch.from_numpy(np.asarray(DECAYING.start()))[None]
    rough = torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(8)  # the shortest wave
    pair = torch.cat([first, first + 0.1 * rough * rough[:, None]])
    frames = stepper.rollout(pair, 30, stepper.init(DECAYING))
    differences = torch.cat([(pair[0] - pair[1])[None], frames[0] - frames[1]])
    sizes = sobolev_norm(differences, 1.0)
    assert (sizes[1:] <= sizes[:-1] * (1 + 1e-12)).all()
    assert float(sobolev_norm(differences).max() / sobolev_norm(differences[0])) <= most
    with pytest.raises(InputError, match=r"order=1\) with scaling='pointwise'"):
        training.train(decaying, tmp_path / "p.sciml", scaling=("pointwise", "pointwise"), **usual)  # type: ignore[arg-type]


def test_scores_have_the_certificate(decaying: xr.Dataset, saved: Path) -> None:
    operator = TrainedOperator.load(saved)
    evaluation, proven = assess(operator, decaying.isel(sample=[0])), certificate(operator)
    assert proven.headline() in str(evaluation)
    assert evaluation.to_json()["lipschitz_bound"] == proven.lipschitz
    assert Certificate.from_json(json.loads(json.dumps(evaluation.to_json()["certificate"]))) == proven


def test_other_operators_have_no_certificate(decaying: xr.Dataset, saved: Path, tmp_path: Path) -> None:
    fno = {"class": "FNO", "modes": 4, "width": 4, "layers": 1}
    training.train(decaying, tmp_path / "f.sciml", network=fno, fit={**FIT, "epochs": 1}, progress=Quiet())
    operator = TrainedOperator.load(tmp_path / "f.sciml")
    with pytest.raises(InputError, match=r"no certificate: FNO .* 'sciml pde train nonexpansive'"):
        Stepper(operator, lipschitz=1)
    proven = TrainedOperator.load(saved)
    with torch.no_grad():
        proven.network.lift.weight.mul_(1.1)  # type: ignore[union-attr, operator]
    with pytest.raises(InputError, match=r"certificate of the operator is 1\.2\d+, above lipschitz=1"):
        Stepper(proven, lipschitz=1)
    assert Stepper(proven, lipschitz=1.3).certificate.lipschitz > 1.2


def test_the_command(decaying: xr.Dataset, tmp_path: Path) -> None:
    decaying.to_netcdf(tmp_path / "d.nc")
    (tmp_path / "t.toml").write_text(
        "[network]\nchannels = 2\nhidden = 3\nlayers = 1\nkernel = 3\nforcing = true\n"
    )
    words = ["pde", "train", "nonexpansive", str(tmp_path / "d.nc"), "-o", str(tmp_path / "n.sciml")]
    words += ["--config", str(tmp_path / "t.toml"), "--epochs", "1", "--seed", "17"]
    made = CliRunner().invoke(app, words)
    assert made.exit_code == 0, made.output
    assert "Lipschitz constant at most" in made.output
    assert Stepper.load(tmp_path / "n.sciml", lipschitz=1).certificate.lipschitz <= 1.0


@pytest.mark.parametrize(
    ("settings_given", "message"),
    [
        ({"form": "residual"}, "form='residual'"),
        ({"kernel": 4}, "odd kernel"),
        ({"out_channels": 2}, "one output"),
        ({"form": "plain", "channels": 3}, "even number of channels"),
        ({"forcing": True}, "give its points"),
        ({"points": -1}, "points=-1"),
        ({"order": -0.5}, "order=-0.5"),
        ({"order": math.inf}, "order=inf"),
        ({"boundary": Boundary()}, "periodic"),
    ],
)
def test_refusals(settings_given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        NonExpansive(**settings_given)


def test_refusals_of_training_and_of_other_grids(tmp_path: Path) -> None:
    darcy = generate("darcy-smooth", 4, 15, seed=7).compute()
    with pytest.raises(InputError, match="learns steps in time"):
        training.train(darcy, tmp_path / "d.sciml", network={"class": "NonExpansive"}, progress=Quiet())
    with pytest.raises(InputError, match="train it with real weights"):
        NonExpansive(channels=2, layers=1).constrained().constrained()
    with pytest.raises(InputError, match="for 8 x 8 points"):
        NonExpansive(points=8)(torch.ones(1, 1, 8, 9))
