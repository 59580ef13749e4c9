"""The form of the weights in a training: real, hypercomplex or binary, as the table ``[network]`` sets it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar, get_args

from torch import Tensor, nn

from sciml.checks import check_int, is_number
from sciml.errors import InputError
from sciml.nn.conversion import (
    BinaryKind,
    binarize,
    harden,
    hypercomplexify,
    periodic_penalty,
    set_stage,
    weight_kinds,
)
from sciml.nn.parametrize import dense_copy
from sciml.train.batches import Batch

__all__ = ["WeightForm"]

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class WeightForm:
    """Form of the weights in a training.

    Parameters
    ----------
    hypercomplex
        Number of terms of hypercomplex weights (`sciml.nn.hypercomplexify`), or None.
    pad_inputs
        Whether weights with a number of inputs that is no multiple of the terms are hypercomplex too.
    binary
        ``periodic`` or ``sign`` for binary weights (`sciml.nn.binarize`), or None.
    frequency
        Angular frequency of periodic weights.
    real_fraction
        Fraction of the training in which binary weights are real (stage 1; with BiPer they are sines). None is 0.5 for
        periodic weights and 0 for plain signs. Validation always uses binary weights, since these are saved.
    penalty
        Factor of `sciml.nn.periodic_penalty` in the loss.

    Raises
    ------
    InputError
        A setting is out of range, or the form is both hypercomplex and binary.

    Notes
    -----
    BiPer trains each stage with a learning rate of its own; here both have one schedule (our form).

    Examples
    --------
    >>> WeightForm.take({"hidden": 16, "hypercomplex": 4})
    (WeightForm(hypercomplex=4, ...), {'hidden': 16})
    """

    hypercomplex: int | None = None
    pad_inputs: bool = False
    binary: BinaryKind | None = None
    frequency: float = 20.0
    real_fraction: float | None = None
    penalty: float = 0.0

    def __post_init__(self) -> None:
        if self.hypercomplex is not None:
            check_int("hypercomplex", self.hypercomplex, 2, owner="[network]")
        if self.binary is not None and self.binary not in get_args(BinaryKind):
            raise InputError(f"[network] binary={self.binary!r}: give {' or '.join(get_args(BinaryKind))}")
        if self.hypercomplex is not None and self.binary is not None:
            raise InputError(
                f"[network] hypercomplex={self.hypercomplex} and binary={self.binary!r}: choose one of them"
            )
        if self.pad_inputs not in (False, True) or (self.pad_inputs and self.hypercomplex is None):
            raise InputError(
                f"[network] pad_inputs={self.pad_inputs!r}: give true or false, and the terms of hypercomplex weights "
                "(hypercomplex = 4)"
            )
        for name, (what, fits) in _RULES.items():
            value = getattr(self, name)
            if value is not None and not (is_number(value) and fits(value)):
                raise InputError(f"[network] {name}={value!r}: give {what}")

    @classmethod
    def take(cls, settings: Mapping[str, Any] | None) -> tuple[WeightForm, dict[str, Any]]:
        """Split the settings of a network into the form of the weights and all others.

        Raises
        ------
        InputError
            A setting of the form is out of range, or one of periodic weights is given for other weights.
        """
        given = dict(settings or {})
        own = {field.name: given.pop(field.name) for field in fields(cls) if field.name in given}
        form = cls(**own)
        idle = [name for name in _RULES if name in own]
        if idle == ["real_fraction"] and form.binary is not None:
            return form, given
        if idle and form.binary != "periodic":
            raise InputError(
                f'[network] {", ".join(idle)}: these are settings of binary = "periodic"; give it too'
            )
        return form, given

    @property
    def real(self) -> bool:
        """Whether the weights are plain real ones."""
        return self.hypercomplex is None and self.binary is None

    @property
    def _real_fraction(self) -> float:
        default = 0.5 if self.binary == "periodic" else 0.0
        return default if self.real_fraction is None else self.real_fraction

    def applied(self, network: Network) -> Network:
        """Return a network for the training, with weights of this form; the same network if they are real.

        Raises
        ------
        InputError
            No weight can have this form.
        """
        if self.hypercomplex is not None:
            return hypercomplexify(network, self.hypercomplex, fresh=True, pad_inputs=self.pad_inputs)
        if self.binary is not None:
            return binarize(network, self.binary, frequency=self.frequency, fresh=True)
        return network

    def prepare(self, network: nn.Module, fraction: float) -> None:
        """Set the stage of binary weights for a fraction of the training; see `sciml.train.fit`.

        With 1 they are those of the hardened network.
        """
        if self.binary is not None:
            set_stage(network, 1 if fraction < self._real_fraction else 2, rounded=fraction >= 1)

    def objective(
        self, objective: Callable[[Any, Batch], Mapping[str, Tensor]]
    ) -> Callable[[Any, Batch], Mapping[str, Tensor]]:
        """Return an objective with the penalty added to the loss of the training."""
        if self.penalty == 0.0:
            return objective

        def with_penalty(network: Any, batch: Batch) -> Mapping[str, Tensor]:
            losses = objective(network, batch)
            if not network.training:
                return losses
            size = periodic_penalty(network)
            return {**losses, "loss": losses["loss"] + self.penalty * size, "penalty": size}

        return with_penalty

    def finished(self, network: Network) -> Network:
        """Return the trained network with dense weights; binary ones are hardened."""
        if self.binary is not None:
            return harden(network)
        return network if self.real else dense_copy(network)

    def describe(self, network: nn.Module) -> str:
        """Describe which weights of a network in training have this form."""
        kinds = weight_kinds(network)
        left = [
            f"{name} {kind.removeprefix('real ')}" for name, kind in kinds.items() if kind.startswith("real")
        ]
        done = [name for name, kind in kinds.items() if not kind.startswith("real")]
        what = f"hypercomplex {self.hypercomplex}" if self.binary is None else f"binary ({self.binary})"
        return f"{what}: {', '.join(done)}; real: {', '.join(left) or 'none'}"

    def identity(self, epochs: int) -> dict[str, str]:
        """Return the description that a resumed training of so many epochs must share; empty for real weights."""
        if self.real:
            return {}
        text = f"hypercomplex {self.hypercomplex}{', padded inputs' if self.pad_inputs else ''}"
        if self.binary is not None:
            text = f"binary {self.binary}, real fraction {self._real_fraction:g} of {epochs} epochs"
        if self.binary == "periodic":
            text += f", frequency {self.frequency:g}, penalty {self.penalty:g}"
        return {"the form of the weights": text}

    def about(self, network: nn.Module) -> dict[str, Any]:
        """Return the description of a network in training for its checkpoint; empty for real weights."""
        if self.real:
            return {}
        own: dict[str, Any] = {"hypercomplex": self.hypercomplex}
        if self.binary is not None:
            binary: dict[str, Any] = {"kind": self.binary}
            own = {"binary": binary | ({"frequency": self.frequency} if self.binary == "periodic" else {})}
        converted = [name for name, kind in weight_kinds(network).items() if not kind.startswith("real")]
        count = sum(p.numel() * (2 if p.is_complex() else 1) for p in network.parameters())
        return {**own, "converted_weights": converted, "free_parameters": count}

    @staticmethod
    def rows(about: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Return the lines of a table about a trained model; empty for real weights.

        Examples
        --------
        >>> WeightForm.rows({"binary": {"kind": "sign"}, "converted_weights": ["lstm.weight_hh_l0"]})
        [('weights', '1 binary (sign)')]
        """
        count = len(about.get("converted_weights", ()))
        if about.get("hypercomplex") is not None:
            free = f", {about['free_parameters']} free parameters" if "free_parameters" in about else ""
            return [("weights", f"{count} hypercomplex ({about['hypercomplex']} terms){free}")]
        if isinstance(binary := about.get("binary"), Mapping):
            return [("weights", f"{count} binary ({binary.get('kind')})")]
        return []


_RULES: Mapping[str, tuple[str, Callable[[float], bool]]] = {
    "frequency": ("a number above 0", lambda x: x > 0),
    "real_fraction": ("a number in [0, 1)", lambda x: 0 <= x < 1),
    "penalty": ("a number of 0 or more", lambda x: x >= 0),
}
"""For each setting of periodic weights: a description of its valid values, and a check of a value."""
