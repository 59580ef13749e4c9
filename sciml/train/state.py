"""The resumable state of a training: everything its next step depends on, as tensors and JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sciml.errors import ChecksumError, InputError, SchemaError
from sciml.nn.parametrize import parametrizations
from sciml.nn.state_dict import misfit
from sciml.storage.provenance import resumed
from sciml.train import checkpoint
from sciml.train.history import History
from sciml.train.settings import RESTART, Fit
from sciml.train.weight_average import Average

__all__ = ["STATE_KIND", "Origin", "Position", "State", "discard", "resume_path"]

STATE_KIND = "training state"


@dataclass(frozen=True)
class Origin:
    """Settings, data and model of a training: a state is resumed only if all of them are equal.

    Parameters
    ----------
    settings
        Settings of the training.
    samples, validated
        Numbers of training samples and of validation samples.
    identity
        Further descriptions of model and data by name.
    """

    settings: Fit
    samples: int
    validated: int
    identity: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "settings": self.settings.trajectory(),
            "samples": self.samples,
            "validated": self.validated,
            "identity": dict(self.identity),
        }

    def check_same(self, earlier: Mapping[str, Any], path: Path) -> None:
        """Raise InputError, which names the difference, for a state of another training."""
        self.settings.check_same(earlier["settings"], str(path))
        if earlier["samples"] != self.samples:
            raise InputError(
                f"{path} is a training on {earlier['samples']} samples, now there are {self.samples}: "
                f"give the same data, {RESTART}"
            )
        if "identity" not in earlier or "validated" not in earlier:
            raise InputError(
                f"{path} was written by an earlier version and does not record what it was trained on: "
                f"finish it with that version, {RESTART}"
            )
        if earlier["validated"] != self.validated:
            raise InputError(
                f"{path} is a training validated with {earlier['validated']} samples, now there are "
                f"{self.validated}: give the same data, {RESTART}"
            )
        known = earlier["identity"]
        for name in [*self.identity, *(name for name in known if name not in self.identity)]:
            then, now = known.get(name, "not given"), self.identity.get(name, "not given")
            if then != now:
                raise InputError(
                    f"{path} was begun with {name} {then}, now it is {now}: give the same, {RESTART}"
                )


@dataclass
class Position:
    """Progress of a training.

    Parameters
    ----------
    epoch
        Number of complete epochs.
    step
        Number of steps in the current epoch.
    samples, sums
        Number of samples in the current epoch, and the sum of loss times samples by the name of the loss.
    gradient_norm
        Sum of the gradient norms of its steps.
    learning_rate
        Learning rate of the last step.
    seconds
        Time spent on the current epoch.
    """

    epoch: int = 0
    step: int = 0
    samples: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    gradient_norm: float = 0.0
    learning_rate: float = 0.0
    seconds: float = 0.0

    def means(self) -> dict[str, float]:
        """Return the losses averaged over the samples so far."""
        return {name: value / max(1, self.samples) for name, value in self.sums.items()}


@dataclass
class State:
    """A model in training, with its optimiser, average, position and history."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    average: Average | None
    device: torch.device
    position: Position = field(default_factory=Position)
    history: History = field(default_factory=History)
    best: dict[str, Tensor] = field(default_factory=dict)
    objective: dict[str, Tensor] = field(default_factory=dict)  # variables of an adaptive objective

    def random(self) -> dict[str, Tensor]:
        """Return the state of torch's generators."""
        states = {"cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            states["cuda"] = torch.cuda.get_rng_state(self.device)
        return states

    def set_random(self, states: Mapping[str, Tensor]) -> None:
        """Restore the state of torch's generators."""
        torch.set_rng_state(states["cpu"])
        if self.device.type == "cuda" and "cuda" in states:
            torch.cuda.set_rng_state(states["cuda"], self.device)

    def evaluated(self) -> dict[str, Tensor]:
        """Copy the weights that validation uses: averaged if there is an average."""
        with _averaged(self):
            return {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}

    def save(
        self,
        path: Path,
        origin: Origin,
        random: Mapping[str, Tensor] | None,
        communication: Mapping[str, Tensor],
    ) -> None:
        """Write the state; ``random`` replaces the present state of the generators if given.

        ``communication`` is the state of the exchange of gradients.

        A parametrised weight is saved by its original tensors and its parametrisation's buffers, so that the training
        continues with the same bits.
        """
        config = {
            "kind": STATE_KIND,
            **origin.to_json(),
            "position": asdict(self.position),
            "average_count": self.average.count if self.average else 0,
            "groups": [_group(group) for group in self.optimizer.state_dict()["param_groups"]],
        }
        if functions := parametrizations(self.model):
            config["parametrizations"] = functions
        tensors = {f"model/{name}": value for name, value in self.model.state_dict().items()}
        tensors |= {f"best/{name}": value for name, value in self.best.items()}
        tensors |= {f"objective/{name}": value for name, value in self.objective.items()}
        tensors |= {f"random/{name}": value for name, value in (random or self.random()).items()}
        tensors |= {f"communication/{name}": value for name, value in communication.items()}
        if self.average:
            tensors |= {f"average/{name}": value for name, value in self.average.tensors.items()}
        for index, moments in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{index}/{name}": value for name, value in moments.items()}
        checkpoint.save(path, config, tensors, history=self.history)

    def restore(self, path: Path, origin: Origin) -> dict[str, Tensor]:
        """Restore the state from a file, and return that of the exchange of gradients.

        After an error everything is as before.

        Raises
        ------
        InputError
            The file is of another model, other data or other settings, or is not a state.
        ChecksumError, SchemaError
            It is damaged, or was written by a newer version.
        """
        try:
            saved = checkpoint.load(path, kind=STATE_KIND)
        except (ChecksumError, InputError, SchemaError) as error:
            raise type(error)(f"{error}, {RESTART}") from error
        origin.check_same(saved.config, path)
        resumed(checkpoint.read_record(path), path)
        groups: dict[str, dict[str, Tensor]] = {}
        for name, tensor in saved.state_dict().items():
            group, _, rest = name.partition("/")
            groups.setdefault(group, {})[rest] = tensor
        _check_parametrizations(self.model, saved.config.get("parametrizations", {}), path)
        _load_model(self.model, groups["model"], path)
        if self.average:
            self.average.count = saved.config["average_count"]
            for name, tensor in groups.get("average", {}).items():
                self.average.tensors[name].copy_(tensor)
        self.optimizer.load_state_dict(
            {"state": _moments(groups.get("optimizer", {})), "param_groups": saved.config["groups"]}
        )
        self.best = {name: tensor.to(self.device) for name, tensor in groups.get("best", {}).items()}
        self.objective = groups.get("objective", {})
        self.set_random(groups["random"])
        self.position = Position(**saved.config["position"])
        self.history = saved.history or History()
        return groups.get("communication", {})


def resume_path(output: str | Path) -> Path:
    """Path of the resumable state of a training: ``<name>.resume.sciml`` beside its output.

    Examples
    --------
    >>> resume_path("runs/mskf.sciml").name
    'mskf.resume.sciml'
    """
    output = Path(output)
    return output.with_name(f"{output.name.removesuffix(checkpoint.SUFFIX)}.resume{checkpoint.SUFFIX}")


def discard(output: str | Path) -> None:
    """Delete the resumable state: call it when the trained model itself is saved."""
    resume_path(output).unlink(missing_ok=True)


def _averaged(state: State) -> Any:
    import contextlib

    return state.average.applied(state.model) if state.average else contextlib.nullcontext()


def _group(group: Mapping[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in group.items()}


def _moments(tensors: Mapping[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    moments: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, _, moment = name.partition("/")
        moments.setdefault(int(index), {})[moment] = tensor
    return moments


def _check_parametrizations(model: nn.Module, then: Mapping[str, list[str]], path: Path) -> None:
    """Compare the model's parametrisations with those of the state: original tensors mean nothing without them."""
    now = parametrizations(model)
    for name in [*then, *now]:
        if then.get(name) != now.get(name):
            before, after = (", ".join(each.get(name, ["nothing"])) for each in (then, now))
            raise InputError(
                f"{path} was begun with {name} parametrised by {before}, now by {after}: "
                f"register the same parametrisations before the training, {RESTART}"
            )


def _load_model(model: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    wrong = misfit(model, tensors)
    if wrong is not None:
        name, there, here = wrong
        raise InputError(
            f"{path} is a training of another model: {name} has shape {there} there, "
            f"{here} here: give the same model, {RESTART}"
        )
    model.load_state_dict(dict(tensors))
