"""Checkpoints of the pretraining: the transformer that a training starts from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from sciml.convection.feature_scaling import FeatureScaling
from sciml.convection.transformer import ColumnTransformer
from sciml.convection.transformer_shape import TransformerShape
from sciml.errors import InputError, SchemaError
from sciml.nn.state_dict import load_weights
from sciml.train import BatchSource, checkpoint

__all__ = ["PRETRAINED_KIND", "Pretrained"]

PRETRAINED_KIND = "convection-pretrained"  # of the checkpoint
TRUNK = ("embed.", "place", "blocks.", "last_norm.")
TRUNK_SETTINGS = ("hidden", "layers", "heads", "attention", "rank", "estimators", "position")
BINARY_SETTINGS = ("attention", "rank", "estimators")


@dataclass(frozen=True, eq=False)
class Pretrained:
    """A pretrained column transformer, which `sciml.convection.training.train` starts from.

    Parameters
    ----------
    network, normalisation, about
        Network, scaling of its inputs, and description of the pretraining; `load` reads them from a checkpoint.
    """

    network: ColumnTransformer
    normalisation: FeatureScaling
    about: Mapping[str, Any]

    @classmethod
    def load(cls, path: str | Path) -> Pretrained:
        """Load a checkpoint of `pretrain`.

        Raises
        ------
        InputError
            The file does not exist, or is a checkpoint of another kind.
        SchemaError
            The checkpoint is incomplete.
        """
        stored = checkpoint.load(path, kind=PRETRAINED_KIND)
        plain = stored.config.get("network")
        if not isinstance(plain, dict):
            raise SchemaError(f"{stored.path} has network {plain!r} in its config: pretrain it again")
        network = ColumnTransformer(TransformerShape.from_json(plain))
        tensors = stored.state_dict(torch.float32)
        weights = {k.removeprefix("network."): v for k, v in tensors.items() if k.startswith("network.")}
        load_weights(network, weights, stored.path)
        about = dict(stored.config.get("about") or {})
        return cls(network.eval(), FeatureScaling.from_tensors(tensors, path), about)

    def save(self, path: str | Path, history: Any = None) -> Path:
        """Write a checkpoint; see `sciml.train.checkpoint`."""
        tensors = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        config = {
            "kind": PRETRAINED_KIND,
            "network": self.network.shape.to_json(),
            "about": dict(self.about),
        }
        return checkpoint.save(path, config, tensors | self.normalisation.tensors(), history=history)

    def settings(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings of a network that starts from this one: its own, and those given for the heads.

        A network with real attention can start one with binary attention.

        Raises
        ------
        InputError
            Another given setting of the modules before the heads differs.
        """
        own = {name: getattr(self.network.shape, name) for name in TRUNK_SETTINGS}
        if own["attention"] == "real" and given.get("attention") == "binary":
            own = {name: value for name, value in own.items() if name not in BINARY_SETTINGS}
        for name, value in given.items():
            if own.get(name, value) != value:
                raise InputError(
                    f"[network] {name}={value!r}, and the pretrained network has {own[name]!r}: leave it out, or "
                    "pretrain with it"
                )
        return {**given, **own}

    @property
    def summary(self) -> dict[str, Any]:
        """Number of columns of the pretraining, and digest of the weights."""
        return {"columns": self.about.get("columns"), "digest": self.digest}

    @property
    def digest(self) -> str:
        """Digest of the weights, as hexadecimal digits."""
        digest = hashlib.blake2b(digest_size=6)
        for value in self.network.state_dict().values():
            digest.update(value.contiguous().numpy().data)
        return digest.hexdigest()

    def initialise(self, network: Any) -> None:
        """Copy the weights of the modules before the heads to a network of the same layers."""
        mine = {k: v for k, v in self.network.state_dict().items() if k.startswith(TRUNK)}
        network.load_state_dict({k: mine.get(k, v) for k, v in network.state_dict().items()})

    def fit_estimators(self, network: Any, source: BatchSource) -> None:
        """Fit the estimators of a network with binary attention to the real scores that it starts from."""
        if network.shape.attention != self.network.shape.attention:
            network.fit_estimators(source)

    def __repr__(self) -> str:
        runs = ", ".join(map(str, self.about.get("runs", ())))
        return f"Pretrained {self.network.describe()}, {self.about.get('columns', 'unknown')} columns of RUN {runs}"
