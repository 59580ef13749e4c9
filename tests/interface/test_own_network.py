"""A network defined outside of the package, registered, trained by its command, loaded and verified."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
import typer
from typer.testing import CliRunner

import sciml as sm
from sciml.cli import pde_train
from sciml.errors import InputError
from sciml.operators import registry
from sciml.pde import generate
from sciml.verify.operator.evaluate import assess


class Separable(torch.nn.Module):
    """Averages along y and along x, mixed by two convolutions of one point."""

    command: ClassVar[str] = "separable"
    learning_rate: ClassVar[float] = 0.02
    channels_last: ClassVar[bool] = False

    def __init__(self, in_channels: int = 1, width: int = 4) -> None:
        super().__init__()
        self.settings = {"in_channels": in_channels, "width": width}
        self.mix = torch.nn.Sequential(
            torch.nn.Conv2d(3 * in_channels, width, 1), torch.nn.GELU(), torch.nn.Conv2d(width, 1, 1)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        means = [x.mean(axis, keepdim=True).expand_as(x) for axis in (2, 3)]
        mixed: torch.Tensor = self.mix(torch.cat([x, *means], 1))
        return mixed

    def config(self) -> dict[str, Any]:
        return {"class": "Separable", **self.settings}


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[torch.nn.Module]]:
    monkeypatch.setattr(registry, "REGISTERED", {})
    yield registry.register(Separable)
    monkeypatch.undo()
    importlib.reload(pde_train)


@pytest.mark.usefixtures("network")
def test_the_network_is_trained_by_its_command_loaded_and_verified(tmp_path: Path) -> None:
    data, output, config = tmp_path / "d.nc", tmp_path / "s.sciml", tmp_path / "c.toml"
    sm.write_dataset(generate("darcy-smooth", 12, 15, seed=11), data, workers=1)
    config.write_text("[network]\nwidth = 3\n[fit]\nthreads = 1\nbatch_size = 4\n")
    app = typer.Typer()
    app.command()(importlib.reload(pde_train).train)
    arguments = [
        "separable",
        str(data),
        "-o",
        str(output),
        "--epochs",
        "1",
        "--config",
        str(config),
        "--quiet",
    ]
    done = CliRunner().invoke(app, [*arguments, "--device", "cpu"])
    assert done.exit_code == 0, done.output
    neural = sm.Neural.load(output)
    assert isinstance(neural.operator.network, Separable)
    assert neural.operator.network.settings == {"in_channels": 1, "width": 3}
    assert neural.operator.about["learning_rate"] == 0.02
    assert sm.solve(sm.Darcy(15, seed=23), sm.Corrected(neural, rtol=1e-6)).result is sm.Result.SUCCESS
    assert "certified" in assess(neural, data, samples=3, preconditioned=0).scores


@pytest.mark.usefixtures("network")
def test_a_name_is_registered_once() -> None:
    assert registry.register(Separable) is Separable
    with pytest.raises(InputError, match="another network of this name or command"):
        registry.register(type("Other", (Separable,), {}))
    with pytest.raises(InputError, match="another network of this name or command"):
        registry.register(type("MgNO", (Separable,), {"command": "other"}))
    with pytest.raises(InputError, match="give a network class"):
        registry.register(torch.nn.Linear)


def test_the_networks_of_the_package_state_their_commands() -> None:
    assert list(registry.commands()) == ["mgno", "hierarchy", "fno", "nonexpansive"]
    for command, name in registry.commands().items():
        kind = registry.class_of(name)
        assert (kind.__name__, kind.command) == (name, command)
        assert 0 < kind.learning_rate < 1
