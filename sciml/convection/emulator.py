"""Emulators of the MSKF scheme as algorithms: a column network of any kind, and the scheme's outputs of it."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

import numpy as np
import torch
from torch import Tensor

from sciml.checks import check_choice, check_whole, is_number
from sciml.compress.quantization import compression_of
from sciml.compress.saved import rebuilt, saved_parts, with_compression
from sciml.convection.budgets import Balances
from sciml.convection.column_network import ColumnNetwork
from sciml.convection.physics import Physics, physics, sounding_of
from sciml.convection.problem import Convection, ConvectionSolution, between, solution_of
from sciml.convection.registry import DEFAULT, class_of
from sciml.convection.response import NCA_NONE, PROFILES, SCALARS
from sciml.convection.robust_groups import WorstGroup
from sciml.convection.sounding import Sounding
from sciml.errors import InputError, SchemaError
from sciml.nn.state_dict import load_weights, materialise
from sciml.tables import aligned, html_table
from sciml.train import Checkpoint, checkpoint
from sciml.train.environment import chosen_device
from sciml.train.weight_form import WeightForm

__all__ = ["EMULATOR_KIND", "Emulator", "Physics", "physics", "sounding_of"]

EMULATOR_KIND = "convection-emulator"  # of the checkpoint
Network = TypeVar("Network", bound=ColumnNetwork)


@dataclass(frozen=True, eq=False)
class Emulator(Generic[Network]):
    """An emulator of the MSKF convection scheme.

    The class of the network determines what is computed and what is learned. ``plume-closure``
    (`sciml.convection.network.Closure`) computes the plume and the strength of the scheme, and learns what is left.
    ``bilstm`` (`sciml.convection.bilstm.ColumnBiLSTM`) learns everything but the parcel test and the conservation
    laws. ``published`` (`sciml.convection.published_bilstm.PublishedBiLSTM`) is the network of Zhong, Yu and Li (2024).
    Other classes may be registered; see `sciml.convection.registry`.

    Parameters
    ----------
    network, normalisation, about
        Trained network, scaling of its inputs, and description of the training; `load` reads them from a checkpoint.
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

    network: Network
    normalisation: Any
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
    ) -> Emulator[Any]:
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
        plain = stored.config.get("network")
        if not isinstance(plain, dict):
            raise SchemaError(f"{stored.path} has network {plain!r} in its config: train it again")
        try:
            kind = class_of(plain.get("class", DEFAULT))
        except InputError as error:
            raise SchemaError(
                f"{stored.path}: {error}; register the class (sciml.convection.registry) first"
            ) from error
        about = _about(stored, kind.facts)
        try:
            network = kind.from_json({name: value for name, value in plain.items() if name != "class"})
        except InputError as error:
            raise SchemaError(f"{stored.path}: {error}; train it again") from error
        tensors = stored.state_dict(torch.float32)
        weights = {k.removeprefix("network."): v for k, v in tensors.items() if k.startswith("network.")}
        load_weights(network, weights, stored.path)
        network = with_compression(network, stored.config, stored.packed, stored.path)
        normalisation = kind.scaling.from_tensors(tensors, stored.path or path)
        check = getattr(network, "check_scaling", None)
        if check is not None:
            check(normalisation, stored.path)
        return cls(network.eval(), normalisation, about, precision, device=device, name=Path(path).stem)

    def save(self, path: str | Path, history: Any = None) -> Path:
        """Write a checkpoint; see `sciml.train.checkpoint`. A quantized network is stored in its formats."""
        trained: Any = self.network
        tensors = {f"network.{name}": value for name, value in materialise(trained).items()}
        plain = {"class": self.network.command, **self.network.shape.to_json()}
        compression, formats = saved_parts(trained, formats=getattr(self.normalisation, "formats", {}))
        config = {"kind": EMULATOR_KIND, "network": plain, "about": dict(self.about), **compression}
        tensors |= self.normalisation.tensors()
        return checkpoint.save(path, config, tensors, history=history, **formats)

    def init(self, problem: Convection) -> Network:
        """Return the network on its device and in its precision, after a check that it fits the columns.

        Raises
        ------
        InputError
            The columns have fewer levels than the network needs.
        """
        problem.check_levels(self.network.least_levels)
        if self.network.absent:
            warnings.warn(
                f"{self.name} does not predict {', '.join(self.network.absent)}: they are zero", stacklevel=2
            )
        for name, (low, high) in problem.settings.items():
            known_low, known_high = (float(x) for x in self.about[name.lower()])
            if low < 0.999 * known_low or high > 1.001 * known_high:
                warnings.warn(
                    f"{name} is {between((low, high))}, the emulator was trained with "
                    f"{between((known_low, known_high))}: expect larger errors",
                    stacklevel=2,
                )
        dtype = torch.float64 if self.precision == "float64" else torch.float32
        trained: Any = self.network
        network: Any = type(trained).from_json(trained.shape.to_json())
        network.load_state_dict(materialise(trained))
        network = rebuilt(network, compression_of(trained))
        copy: Network = network.to(chosen_device(self.device), dtype).eval()
        return copy

    def run(self, problem: Convection, state: Network) -> ConvectionSolution:
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
    def _columns(self, s: Sounding, network: Network) -> dict[str, np.ndarray[Any, Any]]:
        n, levels = len(s), s.levels
        fields = {name: torch.zeros(levels, n, dtype=torch.float64) for name in PROFILES}
        fields |= {name: torch.zeros(n, dtype=torch.float64) for name in (*SCALARS, "NOVELTY", "P_TRIGGER")}
        fields["NCA"] += NCA_NONE
        fields["CUTOP"] += 1.0
        fields["CUBOT"] += levels + 1.0
        kind = torch.zeros(n, dtype=torch.int8)
        seen = network.observe(s)
        if seen is not None:
            kinds, values = self.answer(seen, network)
            where = seen.index.cpu()
            for name, value in values.items():
                fields[name][..., where] = value.cpu()
            kind[where] = kinds.to(torch.int8).cpu()
        dtype = torch.float64 if self.precision == "float64" else torch.float32
        arrays = {
            name: (value.T if value.ndim == 2 else value).to(dtype).numpy() for name, value in fields.items()
        }
        return {**arrays, "KIND": kind.numpy()}

    def answer(self, known: Any, network: Network) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute class and outputs by name of the columns that the network looks at; differentiable.

        Parameters
        ----------
        known
            Result of the network's ``observe``.
        network
            Network in the precision and on the device of the computation.
        """
        return network.answer(known, self.normalisation.to(known.index.device), self.about)

    def __repr__(self) -> str:
        rows = aligned(self._rows(), align="<", widths=(10,), gap="", indent="  ")
        return "\n".join(["Emulator of MSKF", *rows])

    def _rows(self) -> list[tuple[str, str]]:
        text = self.network.describe()
        names = [
            name
            for name in ("runs", "columns", "synthetic", "seed")
            if name in self.about or name != "synthetic"
        ]
        ranges = [
            (name, " to ".join(f"{x:g}" for x in sorted(set(self.about[name]))))
            for name in ("dx", "dt", "cudt")
        ]
        ranges = [*WeightForm.rows(self.about), *ranges]
        known = [(name, str(self.about.get(name, "unknown"))) for name in names]
        return [("network", text), *ranges, *known, *WorstGroup.rows(self.about), *Balances.rows(self.about)]

    def _repr_html_(self) -> str:
        return html_table("Emulator of MSKF", self._rows())


def _about(stored: Checkpoint, facts: Mapping[str, int]) -> Mapping[str, Any]:
    """Return the checked description of an emulator from its checkpoint: settings of the run, and facts."""
    about = stored.config.get("about")
    if not isinstance(about, dict):
        raise SchemaError(f"{stored.path} has about {about!r} in its config: train it again")
    for name, size in ({"dx": 2, "dt": 2, "cudt": 2} | dict(facts)).items():
        value = about.get(name)
        if size == 1 and not is_number(value):
            raise SchemaError(f"{stored.path} has about.{name} {value!r}, no number: train it again")
        if size > 1 and not (isinstance(value, list) and len(value) == size and all(map(is_number, value))):
            count = {2: "two"}.get(size, str(size))
            raise SchemaError(
                f"{stored.path} has about.{name} {value!r}, not {count} numbers: train it again"
            )
    return about
