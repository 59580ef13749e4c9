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
from sciml.convection.adjustment import Timing, greatest_strength, shallow_strength, timing
from sciml.convection.downdraft import Downdraft, descend
from sciml.convection.feature_scaling import FeatureScaling
from sciml.convection.features import features
from sciml.convection.network import LEAST_STRENGTH, Architecture, Closure
from sciml.convection.plume import DEEP, NONE, Plume
from sciml.convection.problem import (
    INPUT_PROFILES,
    INPUT_SURFACE,
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
LEVELS_APART = 0.05  # of the surface pressure: terrain alone makes 0.03 of it


@dataclass(frozen=True)
class Physics:
    """Physics of the columns whose plume rises, computed before the network runs."""

    index: Tensor  # of those columns in the batch
    sounding: Sounding
    plume: Plume
    down: Downdraft
    times: Timing
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
        dx=float(columns.attrs["DX"]),
        dt=float(columns.attrs["DT"]),
        cudt=float(columns.attrs["CUDT"]),
    )


def physics(everything: Sounding, levels: int) -> Physics | None:
    """Compute parcel test, plume, downdraft, adjustment time and features; None if no plume rises in any column."""
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
    channels, scalars = features(s, plume, down, times, levels)
    return Physics(index, s, plume, down, times, channels, scalars)


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
        made = (min(network.shape.levels, int(about["levels"])), len(network.shape.channels))
        if tuple(normalisation.mean.shape) != made:
            raise SchemaError(
                f"{stored.path} is normalised for {tuple(normalisation.mean.shape)} levels and channels, its "
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
            The columns have another number of levels than those of the training.
        """
        trained = int(self.about["levels"])
        if problem.levels != trained:
            raise InputError(
                f"the emulator was trained on columns of {trained} levels, these have {problem.levels}: "
                "train one on a run with these levels"
            )
        for name, value in problem.settings.items():
            known = float(self.about[name.lower()])
            if abs(value - known) > 1e-3 * abs(known):
                warnings.warn(
                    f"{name} is {value:g}, the emulator was trained with {known:g}: expect larger errors",
                    stacklevel=2,
                )
        self._compare_levels(problem)
        dtype = torch.float64 if self.precision == "float64" else torch.float32
        network = Closure(self.network.shape)
        network.load_state_dict(materialise(self.network))
        return network.to(chosen_device(self.device), dtype).eval()

    def _compare_levels(self, problem: Convection) -> None:
        """Warn if the eta levels differ from those of the training."""
        known = np.asarray(self.about.get("level_pressure", ()), np.float64)
        if known.size != problem.levels or not len(problem):
            return
        p = problem.columns["P_HYD"].isel(column=0).values.astype(np.float64)
        off = np.abs(p / p[0] - known)
        worst = int(np.argmax(off))
        if off[worst] > LEVELS_APART:
            warnings.warn(
                f"level {worst + 1} lies at {p[worst] / p[0]:.3f} of the lowest level's pressure, in the training at "
                f"{known[worst]:.3f}: other eta levels than it was trained on; expect larger errors",
                stacklevel=3,
            )

    def run(self, problem: Convection, state: Closure) -> ConvectionSolution:
        """Compute all outputs of all columns; see `ConvectionSolution`.

        Raises
        ------
        InputError
            NaN in the inputs.
        """
        begun = time.perf_counter()
        device = chosen_device(self.device)
        parts: list[dict[str, np.ndarray[Any, Any]]] = []
        for start in range(0, len(problem), self.block):
            columns = problem.columns.isel(column=slice(start, start + self.block))
            parts.append(self._columns(sounding_of(columns, device), state))
        arrays = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
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
        known = physics(s, network.shape.levels)
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
        push, log_strength, logit = network(x.to(dtype), y.to(dtype))
        most = greatest_strength(s, plume, down, times)
        strength = torch.minimum(torch.exp(log_strength.double()).clamp_min(LEAST_STRENGTH), most)
        strength = torch.where(plume.kind == DEEP, strength, shallow_strength(s, plume, times))
        low, high = self.about["enthalpy"]
        bounds = (float(low), float(high))
        answer = respond(s, plume, down, times, strength, push.double().T, logit > 0.0, bounds)
        beside = {
            "NOVELTY": normalisation.novelty(known.channels, known.scalars),
            "P_TRIGGER": torch.sigmoid(logit.double()),
        }
        return answer.kind, {**answer.fields, **beside}

    def __repr__(self) -> str:
        rows = aligned(self._rows(), align="<", widths=(10,), gap="", indent="  ")
        return "\n".join(["Emulator of MSKF", *rows])

    def _rows(self) -> list[tuple[str, str]]:
        shape = self.network.shape
        count = sum(p.numel() for p in self.network.parameters())
        text = f"Bi-LSTM {shape.layers} x {shape.hidden}, {shape.levels} levels, {count} parameters"
        names = ("levels", "dx", "dt", "cudt", "runs", "columns", "seed")
        return [("network", text), *((name, str(self.about.get(name, "unknown"))) for name in names)]

    def _repr_html_(self) -> str:
        return html_table("Emulator of MSKF", self._rows())


def _about(stored: Checkpoint) -> Mapping[str, Any]:
    """Return the checked description of an emulator from its checkpoint."""
    about, network = stored.config.get("about"), stored.config.get("network")
    for name, value in (("network", network), ("about", about)):
        if not isinstance(value, dict):
            raise SchemaError(f"{stored.path} has {name} {value!r} in its config: train it again")
    assert isinstance(about, dict)
    for name in ("levels", "dx", "dt", "cudt"):
        value = about.get(name)
        if not is_number(value):
            raise SchemaError(f"{stored.path} has about.{name} {value!r}, no number: train it again")
    edges = about.get("enthalpy")
    pair = isinstance(edges, list) and len(edges) == 2 and all(map(is_number, edges))
    if not pair:
        raise SchemaError(f"{stored.path} has about.enthalpy {edges!r}, not two numbers: train it again")
    return about
