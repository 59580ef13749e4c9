"""The emulator as an algorithm: the parcel test, the plume, the network, the response."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from sciml.convection.adjustment import Timing, greatest_strength, shallow_strength, timing
from sciml.convection.downdraft import Downdraft, descend
from sciml.convection.feature_scaling import Normalisation
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
from sciml.tables import html_table
from sciml.train import Checkpoint, checkpoint
from sciml.train.environment import chosen_device
from sciml.train.state import misfit

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["KIND", "Emulator", "Physics", "load_weights", "physics", "sounding_of"]

KIND = "convection-emulator"  # of the checkpoint
LEVELS_APART = 0.05  # of the surface pressure: terrain alone makes 0.03 of it


@dataclass(frozen=True)
class Physics:
    """What is computed of the columns whose plume rises, before anything learned is asked."""

    index: Tensor  # of those columns among all
    sounding: Sounding
    plume: Plume
    down: Downdraft
    times: Timing
    channels: Tensor
    scalars: Tensor


def sounding_of(columns: xr.Dataset, device: str | torch.device = "cpu") -> Sounding:
    """The columns as tensors, float64, level first.

    Raises
    ------
    InputError
        NaN or infinity among the inputs, profiles in other units or upside down, naming the variable.
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
    """Parcel test, plume, downdraft, adjustment time and features; None where no plume rises at all."""
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

    The scheme's own parcel test says which columns can convect (recall 1), its plume whether deep or shallow
    and from where to where; the network says how strongly, and what the pressure does to the cloud's wind; the
    response closes water and momentum exactly. See `sciml.convection.response`.

    Parameters
    ----------
    network, normalisation, about
        As trained; `load` reads them from a checkpoint.
    precision
        Of the network; everything else is float64.
    block
        Columns at a time.
    device
        ``cpu``, ``cuda``, ...; ``auto`` takes a GPU if there is one.

    Raises
    ------
    InputError
        A precision or block of another kind, or a device that is not there.

    Examples
    --------
    >>> emulator = Emulator.load("mskf-convrad")  # doctest: +SKIP
    >>> solution = solve(Convection(columns), emulator)  # doctest: +SKIP
    """

    network: Closure
    normalisation: Normalisation
    about: Mapping[str, Any]
    precision: Literal["float32", "float64"] = "float32"
    block: int = 4096
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.precision not in ("float32", "float64"):
            raise InputError(f"precision={self.precision!r}: give 'float32' or 'float64'")
        if not isinstance(self.block, int) or isinstance(self.block, bool) or self.block < 1:
            raise InputError(f"block={self.block!r}: give a whole number of 1 or more")
        chosen_device(self.device)

    @classmethod
    def load(
        cls, path: str | Path, *, precision: Literal["float32", "float64"] = "float32", device: str = "cpu"
    ) -> Emulator:
        """From a checkpoint, or the name of one that comes with the package (``mskf-convrad``).

        Raises
        ------
        InputError
            No such file, or a checkpoint of something else.
        SchemaError, ChecksumError
            A checkpoint of another schema or without what an emulator needs, or a damaged one.
        """
        found = checkpoint.load(checkpoint.resolve(path), kind=KIND)
        config = found.config
        about = _about(found)
        network = Closure(Architecture.from_json(config["network"]))
        tensors = found.state_dict(torch.float32)
        weights = {k.removeprefix("network."): v for k, v in tensors.items() if k.startswith("network.")}
        load_weights(network, weights, found)
        normalisation = Normalisation.from_tensors(tensors)
        made = (min(network.shape.levels, int(about["levels"])), len(network.shape.channels))
        if tuple(normalisation.mean.shape) != made:
            raise SchemaError(
                f"{found.path} is normalised for {tuple(normalisation.mean.shape)} levels and channels, its "
                f"network takes {made}: train it again"
            )
        return cls(network.eval(), normalisation, about, precision, device=device)

    def save(self, path: str | Path, history: Any = None) -> Path:
        """Write a checkpoint; see `sciml.train.checkpoint`."""
        tensors = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        config = {"kind": KIND, "network": self.network.shape.to_json(), "about": dict(self.about)}
        return checkpoint.save(path, config, {**tensors, **self.normalisation.tensors()}, history=history)

    def init(self, problem: Convection) -> Closure:
        """The network, on its device and in its precision; checks that it fits the columns.

        Raises
        ------
        InputError
            Columns of another number of levels than those trained on.
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
                    f"{name} is {value:g}, the emulator was trained with {known:g}: expect less of it",
                    stacklevel=2,
                )
        self._compare_levels(problem)
        dtype = torch.float64 if self.precision == "float64" else torch.float32
        network = Closure(self.network.shape)
        network.load_state_dict(self.network.state_dict())
        return network.to(chosen_device(self.device), dtype).eval()

    def _compare_levels(self, problem: Convection) -> None:
        """Warn of other eta levels than those of the training."""
        known = np.asarray(self.about.get("level_pressure", ()), np.float64)
        if known.size != problem.levels or not len(problem):
            return
        p = problem.columns["P_HYD"].isel(column=0).values.astype(np.float64)
        off = np.abs(p / p[0] - known)
        worst = int(np.argmax(off))
        if off[worst] > LEVELS_APART:
            warnings.warn(
                f"level {worst + 1} lies at {p[worst] / p[0]:.3f} of the lowest level's pressure, in the training at "
                f"{known[worst]:.3f}: other eta levels than it was trained on; expect less of it",
                stacklevel=3,
            )

    def run(self, problem: Convection, state: Closure) -> ConvectionSolution:
        """All outputs for all columns; see `ConvectionSolution`.

        Raises
        ------
        InputError
            NaN among the inputs.
        """
        begun = time.perf_counter()
        device = chosen_device(self.device)
        parts: list[dict[str, np.ndarray[Any, Any]]] = []
        for start in range(0, len(problem), self.block):
            columns = problem.columns.isel(column=slice(start, start + self.block))
            parts.append(self._columns(sounding_of(columns, device), state))
        arrays = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        return solution_of(problem, arrays, time.perf_counter() - begun)

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
            found, values = self.answer(known, network)
            where = known.index.cpu()
            for name, value in values.items():
                fields[name][..., where] = value.cpu()
            kind[where] = found.to(torch.int8).cpu()
        told = torch.float64 if self.precision == "float64" else torch.float32
        arrays = {
            name: (value.T if value.ndim == 2 else value).to(told).numpy() for name, value in fields.items()
        }
        return {**arrays, "KIND": kind.numpy()}

    def answer(self, known: Physics, network: Closure) -> tuple[Tensor, dict[str, Tensor]]:
        """Class, and outputs by name, of columns whose plume rises; differentiable where torch records."""
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
        return "\n".join(["Emulator of MSKF", *(f"  {name:<10}{value}" for name, value in self._rows())])

    def _rows(self) -> list[tuple[str, str]]:
        shape = self.network.shape
        count = sum(p.numel() for p in self.network.parameters())
        told = f"Bi-LSTM {shape.layers} x {shape.hidden}, {shape.levels} levels, {count} parameters"
        names = ("levels", "dx", "dt", "cudt", "runs", "columns", "seed")
        return [("network", told), *((name, str(self.about.get(name, "not told"))) for name in names)]

    def _repr_html_(self) -> str:
        return html_table("Emulator of MSKF", self._rows())


def _about(found: Checkpoint) -> Mapping[str, Any]:
    """What a checkpoint says of its emulator, looked over."""
    about, network = found.config.get("about"), found.config.get("network")
    for name, value in (("network", network), ("about", about)):
        if not isinstance(value, dict):
            raise SchemaError(f"{found.path} has {name} {value!r} in its config: train it again")
    assert isinstance(about, dict)
    for name in ("levels", "dx", "dt", "cudt"):
        value = about.get(name)
        if not isinstance(value, int | float):
            raise SchemaError(f"{found.path} has about.{name} {value!r}, no number: train it again")
    edges = about.get("enthalpy")
    pair = isinstance(edges, list) and len(edges) == 2 and all(isinstance(x, int | float) for x in edges)
    if not pair:
        raise SchemaError(f"{found.path} has about.enthalpy {edges!r}, not two numbers: train it again")
    return about


def load_weights(network: nn.Module, weights: Mapping[str, Tensor], found: Checkpoint) -> None:
    """Put weights into a network.

    Raises
    ------
    SchemaError
        They are not of its shape.
    """
    wrong = misfit(network, weights)
    if wrong is not None:
        name, theirs, mine = wrong
        raise SchemaError(
            f"{found.path} has weights {name} of shape {theirs}, the network it describes has "
            f"{mine}: train it again"
        )
    network.load_state_dict(dict(weights))
