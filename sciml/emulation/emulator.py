"""A trained emulator of a declared scheme, and its checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import xarray as xr
from torch import Tensor

from sciml.compress.saved import saved_parts, with_compression
from sciml.emulation.heads import decode
from sciml.emulation.network import SchemeNetwork, Sizes
from sciml.emulation.pairs import check_pairs
from sciml.emulation.scaling import InputScaling
from sciml.errors import SchemaError
from sciml.nn.state_dict import load_weights, materialise
from sciml.schemes.declaration import scheme_from, scheme_table
from sciml.schemes.scheme import ColumnScheme
from sciml.train import checkpoint
from sciml.train.weight_form import WeightForm

__all__ = ["KIND", "SchemeEmulator"]

KIND = "scheme-emulator"
_SCALING = ("size", "mean", "inverse", "mix")
BLOCK = 4096  # columns


@dataclass(frozen=True)
class SchemeEmulator:
    """A network, the scaling of its inputs, and facts about its training.

    Attributes
    ----------
    network
        The network; its bounds and closures hold by construction.
    scaling
        Scaling of its inputs.
    about
        Facts that the checkpoint stores, such as the files of the training.
    """

    network: SchemeNetwork
    scaling: InputScaling
    about: Mapping[str, Any]

    @property
    def scheme(self) -> ColumnScheme:
        """The declaration of the scheme."""
        return self.network.scheme

    def __call__(self, columns: xr.Dataset) -> xr.Dataset:
        """Compute the outputs of columns, in double precision.

        Parameters
        ----------
        columns
            Inputs of the scheme, (column, level) and (column,); any number of levels.

        Returns
        -------
        xarray.Dataset
            Outputs of the scheme with their units.

        Raises
        ------
        InputError, MissingVariable
            As `sciml.emulation.pairs.open_pairs`.
        """
        checked = check_pairs(columns, self.scheme, targets=False)
        inputs = {name: torch.from_numpy(checked[name].values) for name in self.scheme.input_names}
        parts = [self.answer({name: value[first : first + BLOCK] for name, value in inputs.items()})
                 for first in range(0, checked.sizes["column"], BLOCK)]  # fmt: skip
        made = {name: torch.cat([part[name] for part in parts]).numpy() for name in parts[0]}
        units = {field.name: field.units for field in self.scheme.outputs}
        return xr.Dataset(
            {n: (("column", "level")[: v.ndim], v, {"units": units[n]}) for n, v in made.items()}
        )

    def answer(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Compute the outputs by name from inputs by name, all float64 and without a gradient."""
        network = deepcopy(self.network).double().eval()
        with torch.no_grad():
            heads = network(self.scaling.standardise(inputs))
            return decode(network.heads, heads, network.scale, inputs)[0]

    def save(self, path: str | Path, history: Any = None) -> Path:
        """Write a checkpoint; see `sciml.train.checkpoint.save`."""
        config = {
            "kind": KIND,
            "scheme": scheme_table(self.scheme),
            "network": self.network.to_json(),
            "about": dict(self.about),
        }
        tensors = {f"network.{name}": value for name, value in materialise(self.network).items()}
        tensors |= {f"scaling.{name}": getattr(self.scaling, name) for name in _SCALING}
        compression, formats = saved_parts(self.network)
        return checkpoint.save(path, {**config, **compression}, tensors, history=history, **formats)

    @classmethod
    def load(cls, path: str | Path) -> SchemeEmulator:
        """Read a checkpoint of `save`.

        Raises
        ------
        InputError, ChecksumError, SchemaError
            As `sciml.train.checkpoint.load`; a tensor is missing or has another shape.
        """
        stored = checkpoint.load(path, kind=KIND)
        scheme = scheme_from(stored.config["scheme"])
        tensors = stored.state_dict()
        absent = [f"scaling.{name}" for name in _SCALING if f"scaling.{name}" not in tensors]
        if absent:
            raise SchemaError(f"{path} has no {', '.join(absent)}: train it again")
        network = SchemeNetwork(scheme, Sizes(**stored.config["network"]))
        own = {n.removeprefix("network."): t for n, t in tensors.items() if n.startswith("network.")}
        load_weights(network, own, path)
        network = with_compression(network, stored.config, stored.packed, path)
        scaling = InputScaling(scheme, *(tensors[f"scaling.{name}"].double() for name in _SCALING))
        return cls(network.eval(), scaling, stored.config["about"])

    def __repr__(self) -> str:
        sizes = self.network.sizes
        count = sum(p.numel() for p in self.network.parameters())
        weights = "".join(f"; {text}" for _, text in WeightForm.rows(self.about))
        text = f"Bi-LSTM {sizes.layers} x {sizes.hidden}, {count} parameters{weights}"
        return f"SchemeEmulator of {self.scheme.name}: {text}"
