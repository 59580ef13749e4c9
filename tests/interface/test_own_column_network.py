"""A column network defined outside of the package: registered, trained by its command, loaded, evaluated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
import xarray as xr
from torch import Tensor
from typer.testing import CliRunner

import sciml as sm
from sciml.cli.application import app
from sciml.convection import registry
from sciml.convection.emulator import Emulator
from sciml.convection.feature_scaling import FeatureScaling
from sciml.convection.physics import sounding_of
from sciml.convection.sounding import Sounding
from sciml.coupling.export import emulator_weights
from sciml.errors import InputError, SchemaError
from sciml.verify.emulator.evaluate import assess
from tests.paths import SAMPLE_OFFLINE, SAMPLE_WRFOUT

pytestmark = pytest.mark.skipif(not SAMPLE_OFFLINE.exists(), reason="no sample in data/")


@dataclass(frozen=True)
class Size:
    """The settings of the network."""

    units: int = 5

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Lowest:
    """Inputs: humidity and temperature of the lowest ten levels."""

    index: Tensor
    channels: Tensor
    scalars: Tensor
    levels: int


def seen(s: Sounding) -> Lowest:
    channels = torch.stack([s.rh[:10], s.t[:10]], 1)
    return Lowest(torch.arange(len(s)), channels, s.p[:1] / 100.0, s.levels)


class Humid(torch.nn.Module):
    """Heats the lowest ten levels of a column by the humidity there, and nothing else."""

    command: ClassVar[str] = "humid"
    settings: ClassVar[tuple[str, ...]] = ("units",)
    targets: ClassVar[tuple[str, ...]] = ("RTHCUTEN",)
    fit: ClassVar[Mapping[str, Any]] = {"epochs": 2, "learning_rate": 0.01}
    facts: ClassVar[Mapping[str, int]] = {"greatest": 1}
    selects: ClassVar[str] = "air"
    least_levels: ClassVar[int] = 10
    absent: ClassVar[tuple[str, ...]] = ("RQVCUTEN", "PRATEC")
    kernel: ClassVar[str | None] = None
    scaling: ClassVar[type[FeatureScaling]] = FeatureScaling
    size: Tensor

    def __init__(self, shape: Size | None = None) -> None:
        super().__init__()
        self.shape = shape or Size()
        self.inner = torch.nn.Linear(21, self.shape.units)
        self.outer = torch.nn.Linear(self.shape.units, 11)
        self.register_buffer("size", torch.ones(()))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        result: Tensor = self.outer(torch.tanh(self.inner(torch.cat([x.flatten(1), y], 1))))
        return result

    @classmethod
    def shape_of(cls, settings: Mapping[str, Any]) -> Size:
        return Size(**settings)

    @classmethod
    def fitted(cls, shape: Size, columns: xr.Dataset) -> Size:
        return shape

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Humid:
        return cls(Size(**plain))

    @staticmethod
    def prepare(columns: xr.Dataset, shape: Size, levels: int) -> dict[str, Tensor] | None:
        inputs = seen(sounding_of(columns))
        heating = columns["RTHCUTEN"].transpose("column", "level").values[:, :10]
        return {
            "channels": inputs.channels.permute(2, 0, 1).float(),
            "scalars": inputs.scalars.T.float(),
            "heating": torch.from_numpy(np.ascontiguousarray(heating, np.float32)),
            "kind": torch.from_numpy(columns["KIND"].values.astype(np.float32)),
            "row": inputs.index,
        }

    def calibrate(self, source: Any) -> None:
        largest = max(float(batch["heating"].abs().max()) for batch in source.batches(512))
        self.size.fill_(largest)

    def losses(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        out = self(batch["x"], batch["y"])
        error = (out[:, :10] - batch["heating"] / self.size).square().mean()
        logit = torch.nn.functional.binary_cross_entropy_with_logits(out[:, 10], (batch["kind"] > 0).float())
        return {"loss": error + logit, "heating": error}

    def measured(self, source: Any) -> dict[str, Any]:
        return {"greatest": float(self.size)}

    def observe(self, s: Sounding) -> Lowest:
        return seen(s)

    def answer(
        self, seen: Lowest, scaling: FeatureScaling, about: Mapping[str, Any]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        x, y = scaling.standardise(seen.channels, seen.scalars)
        out = self(x.to(self.size.dtype), y.to(self.size.dtype)).double()
        kind = (out[:, 10] > 0).to(torch.int64)
        heating = torch.zeros(seen.levels, len(kind), dtype=torch.float64)
        heating[:10] = out[:, :10].T * float(about["greatest"]) * kind
        return kind, {"RTHCUTEN": heating, "P_TRIGGER": torch.sigmoid(out[:, 10])}

    def describe(self) -> str:
        return f"humid, {self.shape.units} units"


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[torch.nn.Module]]:
    monkeypatch.setattr(registry, "REGISTERED", {})
    return registry.register(Humid)


@pytest.mark.usefixtures("network")
def test_the_network_is_trained_by_its_command_loaded_and_evaluated(tmp_path: Path) -> None:
    output, config = tmp_path / "humid.sciml", tmp_path / "c.toml"
    config.write_text('[network]\nkind = "humid"\nunits = 7\n[fit]\nthreads = 1\nseed = 13\n')
    arguments = ["convection", "train", str(SAMPLE_WRFOUT), "--reference", str(SAMPLE_OFFLINE)]
    done = CliRunner().invoke(app, [*arguments, "-o", str(output), "--config", str(config), "--quiet"])
    assert done.exit_code == 0, done.output
    emulator = Emulator.load(output)
    assert isinstance(emulator.network, Humid) and emulator.network.shape == Size(7)
    assert emulator.about["epochs"] == 2 and "humid, 7 units" in repr(emulator)
    columns = sm.convection_columns(sm.open_wrfout(SAMPLE_WRFOUT), SAMPLE_OFFLINE).isel(column=slice(0, 300))
    with pytest.warns(UserWarning, match="humid does not predict RQVCUTEN, PRATEC: they are zero"):
        out = sm.solve(sm.Convection(columns.load()), emulator).outputs
    assert not out["RQVCUTEN"].values.any() and (out["CUTOP"].values == 1).all()
    with pytest.warns(UserWarning, match="zero"):
        assert assess(columns, emulator).to_json()["trigger"]["f1"] is not None
    with pytest.raises(InputError, match="network of class humid has no kernel in the native library"):
        emulator_weights(emulator)


def test_a_checkpoint_of_an_unknown_class(
    network: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Emulator(
        Humid(),
        FeatureScaling.of(torch.rand(10, 2, 5).double(), torch.rand(1, 5).double()),
        {"dx": [1e4, 1e4], "dt": [50.0, 50.0], "cudt": [5.0, 5.0], "greatest": 1e-4},
    )
    path = made.save(tmp_path / "h.sciml")
    assert Emulator.load(path).network.command == "humid"
    monkeypatch.setattr(registry, "REGISTERED", {})
    with pytest.raises(
        SchemaError, match=r"h\.sciml: network 'humid': give plume-closure, .*register the class"
    ):
        Emulator.load(path)


@pytest.mark.usefixtures("network")
def test_a_name_is_registered_once() -> None:
    assert registry.register(Humid) is Humid and registry.commands()[-1] == "humid"
    with pytest.raises(InputError, match="another network humid"):
        registry.register(type("Other", (Humid,), {}))
    with pytest.raises(InputError, match="another network bilstm"):
        registry.register(type("Other", (Humid,), {"command": "bilstm"}))
    with pytest.raises(InputError, match="all names of ColumnNetwork"):
        registry.register(torch.nn.Linear)


def test_the_command_with_an_unknown_network(tmp_path: Path) -> None:
    arguments = [
        "convection",
        "train",
        str(SAMPLE_WRFOUT),
        "-o",
        str(tmp_path / "m.sciml"),
        "--network",
        "gru",
    ]
    done = CliRunner().invoke(app, arguments)
    assert isinstance(done.exception, InputError) or done.exit_code == 2
    assert "network 'gru': give plume-closure, bilstm, published" in f"{done.output}{done.exception}"
    assert not list(tmp_path.iterdir())


def test_the_networks_of_the_package_have_all_names() -> None:
    for command in ("plume-closure", "bilstm", "published"):
        kind = registry.class_of(command)
        assert kind.command == command
        assert [name for name in registry.NEEDED if not hasattr(kind, name)] == []
