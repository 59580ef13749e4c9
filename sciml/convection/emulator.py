"""The emulator of the MSKF scheme as an algorithm: parcel test, plume, network, response."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor

from sciml.checks import check_choice, check_whole, is_number
from sciml.convection.adjustment import Timing, shallow_strength, timing
from sciml.convection.downdraft import Downdraft, descend
from sciml.convection.energy_closure import Closed, close
from sciml.convection.feature_scaling import DISTANCE, FeatureScaling
from sciml.convection.features import features
from sciml.convection.network import Architecture, Closure
from sciml.convection.plume import DEEP, NONE, Plume
from sciml.convection.plume_coordinate import PlumeCoordinate, spread
from sciml.convection.problem import (
    INPUT_PROFILES,
    INPUT_SURFACE,
    SETTINGS,
    Convection,
    ConvectionSolution,
    check_inputs,
    solution_of,
)
from sciml.convection.response import NCA_NONE, PROFILES, SCALARS, respond
from sciml.convection.sounding import Sounding
from sciml.convection.source_layer import parcel_test
from sciml.convection.updraft import ascend
from sciml.errors import InputError, SchemaError
from sciml.nn.state_dict import load_weights, materialise
from sciml.tables import aligned, html_table
from sciml.train import Checkpoint, checkpoint
from sciml.train.environment import chosen_device

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["EMULATOR_KIND", "Emulator", "Physics", "physics", "sounding_of"]

EMULATOR_KIND = "convection-emulator"  # of the checkpoint
LEAST_LEVELS = 20


@dataclass(frozen=True)
class Physics:
    """Physics of the columns whose plume rises, computed before the network runs."""

    index: Tensor  # of those columns in the batch
    sounding: Sounding
    plume: Plume
    down: Downdraft
    times: Timing
    closed: Closed
    coordinate: PlumeCoordinate
    channels: Tensor
    scalars: Tensor


def sounding_of(columns: xr.Dataset, device: str | torch.device = "cpu") -> Sounding:
    """Convert columns to tensors, float64, level first.

    Raises
    ------
    InputError
        NaN or infinity in the inputs, or profiles in other units or upside down; the message names the variable.
    """
    arrays = {}
    for name in (*INPUT_PROFILES, *INPUT_SURFACE):
        array = columns[name]
        if array.ndim == 2:
            array = array.transpose("column", "level")
        arrays[name] = np.ascontiguousarray(array.values)
    check_inputs(arrays)

    return Sounding.of(
        {name: torch.from_numpy(arrays[name]).to(device) for name in INPUT_PROFILES},
        {name: torch.from_numpy(arrays[name]).to(device) for name in INPUT_SURFACE},
        **{name.lower(): _setting(columns, name, device) for name in SETTINGS},
    )


def _setting(columns: xr.Dataset, name: str, device: str | torch.device) -> float | Tensor:
    """Return a setting of the run: a variable (column,) where runs with different ones are mixed, else an attribute."""
    if name in columns:
        return torch.from_numpy(columns[name].values.astype(np.float64)).to(device)
    return float(columns.attrs[name])


def physics(everything: Sounding, shape: Architecture) -> Physics | None:
    """Compute parcel test, plume, downdraft, strength and features; None if no plume rises in any column."""
    index = torch.nonzero(parcel_test(everything)).squeeze(1)
    if not len(index):
        return None
    s = everything.take(index)
    plume = ascend(s)
    rises = torch.nonzero(plume.kind != NONE).squeeze(1)
    if not len(rises):
        return None
    index, s, plume = index[rises], s.take(rises), plume.take(rises)
    down = descend(s, plume)
    times = timing(s, plume)
    closed = close(s, plume, down, times)
    coordinate = PlumeCoordinate.of(s, plume, shape.below, shape.cloud)
    channels, scalars = features(s, plume, down, times, closed, coordinate)
    return Physics(index, s, plume, down, times, closed, coordinate, channels, scalars)


@dataclass(frozen=True, eq=False)
class Emulator:
    """An emulator of the MSKF convection scheme.

    The parcel test of the scheme selects the columns that can convect (recall 1), and its plume determines the class
    (deep or shallow) and the levels of the cloud. The network predicts the strength of convection and the effect of
    pressure on the wind of the cloud. The response conserves water and momentum exactly; see
    `sciml.convection.response`.

    Parameters
    ----------
    network, normalisation, about
        Trained network, scaling of its features, and description of the training; `load` reads them from a checkpoint.
    precision
        Precision of the network; everything else is computed in float64.
    block
        Number of columns computed at a time.
    device
        ``cpu``, ``cuda``, ...; ``auto`` uses a GPU if there is one.
    name
        Name in the attribute ``history`` of the outputs; `load` uses the name of the file.

    Raises
    ------
    InputError
        An invalid precision or block, or a device that is not available.

    Examples
    --------
    >>> emulator = Emulator.load("mskf-convrad")  # doctest: +SKIP
    >>> solution = solve(Convection(columns), emulator)  # doctest: +SKIP
    """

    network: Closure
    normalisation: FeatureScaling
    about: Mapping[str, Any]
    precision: Literal["float32", "float64"] = "float32"
    block: int = 4096
    device: str = "cpu"
    name: str = "emulator"

    def __post_init__(self) -> None:
        check_choice("precision", self.precision, ("float32", "float64"))
        check_whole("block", self.block, 1)
        chosen_device(self.device)

    @classmethod
    def load(
        cls, path: str | Path, *, precision: Literal["float32", "float64"] = "float32", device: str = "cpu"
    ) -> Emulator:
        """Load a checkpoint.

        Parameters
        ----------
        path
            Path of the checkpoint, or name of a packaged one (``mskf-convrad``).
        precision, device
            Parameters of `Emulator`.

        Raises
        ------
        InputError
            The file does not exist, or is a checkpoint of another kind of model.
        SchemaError, ChecksumError
            The checkpoint has another schema, is incomplete, or is damaged.
        """
        stored = checkpoint.load(checkpoint.resolve(path), kind=EMULATOR_KIND)
        config = stored.config
        about = _about(stored)
        try:
            network = Closure(Architecture.from_json(config["network"]))
        except InputError as error:
            raise SchemaError(f"{stored.path}: {error}; train it again") from error
        tensors = stored.state_dict(torch.float32)
        weights = {k.removeprefix("network."): v for k, v in tensors.items() if k.startswith("network.")}
        load_weights(network, weights, stored.path)
        normalisation = FeatureScaling.from_tensors(tensors, stored.path or path)
        made = (network.shape.below + network.shape.cloud, len(network.shape.channels))
        if tuple(normalisation.mean.shape) != made:
            raise SchemaError(
                f"{stored.path} is normalised for {tuple(normalisation.mean.shape)} layers and channels, its "
                f"network takes {made}: train it again"
            )
        return cls(network.eval(), normalisation, about, precision, device=device, name=Path(path).stem)

    def save(self, path: str | Path, history: Any = None) -> Path:
        """Write a checkpoint; see `sciml.train.checkpoint`."""
        tensors = {f"network.{name}": value for name, value in materialise(self.network).items()}
        config = {"kind": EMULATOR_KIND, "network": self.network.shape.to_json(), "about": dict(self.about)}
        return checkpoint.save(path, config, {**tensors, **self.normalisation.tensors()}, history=history)

    def init(self, problem: Convection) -> Closure:
        """Return the network on its device and in its precision, after a check that it fits the columns.

        Raises
        ------
        InputError
            The columns have fewer than 20 levels.
        """
        if problem.levels < LEAST_LEVELS:
            raise InputError(
                f"the columns have {problem.levels} levels, and the plume needs {LEAST_LEVELS} or more: "
                "give a run with more levels"
            )
        for name, (low, high) in problem.settings.items():
            known_low, known_high = (float(x) for x in self.about[name.lower()])
            if low < 0.999 * known_low or high > 1.001 * known_high:
                here = f"{low:g}" if low == high else f"{low:g} to {high:g}"
                warnings.warn(
                    f"{name} is {here}, the emulator was trained with {known_low:g} to {known_high:g}: expect larger "
                    "errors",
                    stacklevel=2,
                )
        dtype = torch.float64 if self.precision == "float64" else torch.float32
        network = Closure(self.network.shape)
        network.load_state_dict(materialise(self.network))
        return network.to(chosen_device(self.device), dtype).eval()

    def run(self, problem: Convection, state: Closure) -> ConvectionSolution:
        """Compute all outputs of all columns; see `ConvectionSolution`.

        Raises
        ------
        InputError
            NaN in the inputs.
        """
        begun = time.perf_counter()
        device = chosen_device(self.device)
        arrays: dict[str, np.ndarray[Any, Any]] = {}
        for rows, columns in problem.blocks(self.block):
            for name, values in self._columns(sounding_of(columns, device), state).items():
                problem.put(arrays, name, rows, values)
        return solution_of(problem, arrays, time.perf_counter() - begun, source=f"the emulator {self.name}")

    @torch.no_grad()
    def _columns(self, s: Sounding, network: Closure) -> dict[str, np.ndarray[Any, Any]]:
        n, levels = len(s), s.levels
        fields = {name: torch.zeros(levels, n, dtype=torch.float64) for name in PROFILES}
        fields |= {name: torch.zeros(n, dtype=torch.float64) for name in (*SCALARS, "NOVELTY", "P_TRIGGER")}
        fields["NCA"] += NCA_NONE
        fields["CUTOP"] += 1.0
        fields["CUBOT"] += levels + 1.0
        kind = torch.zeros(n, dtype=torch.int8)
        known = physics(s, network.shape)
        if known is not None:
            kinds, values = self.answer(known, network)
            where = known.index.cpu()
            for name, value in values.items():
                fields[name][..., where] = value.cpu()
            kind[where] = kinds.to(torch.int8).cpu()
        dtype = torch.float64 if self.precision == "float64" else torch.float32
        arrays = {
            name: (value.T if value.ndim == 2 else value).to(dtype).numpy() for name, value in fields.items()
        }
        return {**arrays, "KIND": kind.numpy()}

    def answer(self, known: Physics, network: Closure) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute class and outputs by name of columns whose plume rises; differentiable."""
        s, plume, down, times = known.sounding, known.plume, known.down, known.times
        normalisation = self.normalisation.to(s.t.device)
        x, y = normalisation.standardise(known.channels, known.scalars)
        dtype = torch.float64 if self.precision == "float64" else torch.float32
        push, logit, log_error = network(x.to(dtype), y.to(dtype))
        strength = torch.where(plume.kind == DEEP, known.closed.strength, shallow_strength(s, plume, times))
        low, high = self.about["enthalpy"]
        bounds = (float(low), float(high))
        pushed = spread(push.double(), known.coordinate.positions).T
        active = known.closed.convects & (logit > 0.0)
        answer = respond(s, plume, down, times, strength, pushed, active, bounds)
        distance = normalisation.novelty(known.channels, known.scalars)
        expected = torch.exp(log_error.double() - float(self.about["log_error"]))
        far = torch.where(distance > DISTANCE, distance / DISTANCE, torch.zeros_like(distance))
        beside = {
            "NOVELTY": torch.maximum(expected, far),
            "P_TRIGGER": torch.sigmoid(logit.double()),
        }
        return answer.kind, {**answer.fields, **beside}

    def __repr__(self) -> str:
        rows = aligned(self._rows(), align="<", widths=(10,), gap="", indent="  ")
        return "\n".join(["Emulator of MSKF", *rows])

    def _rows(self) -> list[tuple[str, str]]:
        shape = self.network.shape
        count = sum(p.numel() for p in self.network.parameters())
        text = f"Bi-LSTM {shape.layers} x {shape.hidden}, {shape.below} + {shape.cloud} layers, {count} parameters"
        names = ("runs", "columns", "seed")
        ranges = [
            (name, " to ".join(f"{x:g}" for x in sorted(set(self.about[name]))))
            for name in ("dx", "dt", "cudt")
        ]
        return [("network", text), *ranges, *((name, str(self.about.get(name, "unknown"))) for name in names)]

    def _repr_html_(self) -> str:
        return html_table("Emulator of MSKF", self._rows())


def _about(stored: Checkpoint) -> Mapping[str, Any]:
    """Return the checked description of an emulator from its checkpoint."""
    about, network = stored.config.get("about"), stored.config.get("network")
    for name, value in (("network", network), ("about", about)):
        if not isinstance(value, dict):
            raise SchemaError(f"{stored.path} has {name} {value!r} in its config: train it again")
    assert isinstance(about, dict)
    for name in ("dx", "dt", "cudt", "enthalpy"):
        pair = about.get(name)
        if not (isinstance(pair, list) and len(pair) == 2 and all(map(is_number, pair))):
            raise SchemaError(f"{stored.path} has about.{name} {pair!r}, not two numbers: train it again")
    if not is_number(about.get("log_error")):
        raise SchemaError(
            f"{stored.path} has about.log_error {about.get('log_error')!r}, no number: train it again"
        )
    return about
