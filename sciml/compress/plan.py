"""What is done with each tensor of a network: how it is stored, and in which arithmetic it is used."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sciml.compress.arithmetic import KINDS, check_block, check_sums
from sciml.compress.formats import BLOCK, PADDED, format_named
from sciml.compress.kronecker import kronecker_distance
from sciml.errors import InputError, SchemaError

if TYPE_CHECKING:
    from torch import nn

__all__ = ["WIDTH_KINDS", "Plan"]

BIAS = "int16"
"""Format of tensors of one dimension: 8 bits lower R2 of the Bi-LSTM emulators by up to 0.005."""

HYPERCOMPLEX_DISTANCE = 1e-3
"""Largest relative distance of a hypercomplex weight, in float32, from a sum of n Kronecker products."""

SMALL = 1 / 32
"""Linear layers beside an LSTM with a smaller share of the weights have 8 bits where 4 are asked for."""

WIDTH_KINDS: dict[int, str] = {1: "sign", 4: "int4", 8: "int8", 16: "bf16"}
"""Kind of arithmetic by width in bits."""

_KEYS = ("storage", "kinds", "shapes", "block", "planes")


@dataclass(frozen=True)
class Plan:
    """Storage and arithmetic of the tensors of a network; JSON stores it.

    Parameters
    ----------
    storage
        Name of a format (`sciml.compress.format_named`) by the name of the tensor. Tensors without one stay as they
        are.
    kinds
        Kind of arithmetic (`sciml.compress.KINDS`) by the name of a matrix of an LSTM or of a linear layer. An LSTM has
        a kind for each of its matrices, none ``float32``, or for none of them. A linear layer of kind ``float32`` adds
        its products in the order of the features.
    shapes
        Shape of each tensor that is named above, by which a plan of another network is noticed.
    block
        Values in a block of the arithmetic.
    planes
        2 for 16-bit codes of the input of the first layer of LSTMs, 1 for 8 bits.

    Raises
    ------
    InputError
        A format, a kind, the block or the planes are not available.

    Examples
    --------
    >>> from torch import nn
    >>> plan = Plan.of(nn.Linear(64, 4), 8)
    >>> plan.storage
    {'weight': 'int8', 'bias': 'int16'}
    """

    storage: Mapping[str, str]
    kinds: Mapping[str, str] = field(default_factory=dict)
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    block: int = BLOCK
    planes: int = 2

    def __post_init__(self) -> None:
        for name, chosen in self.storage.items():
            try:
                format_named(chosen)
            except InputError as error:
                raise InputError(f"storage of {name!r}: {error}") from None
        for name, kind in self.kinds.items():
            if kind not in KINDS:
                raise InputError(f"arithmetic {kind!r} of {name!r}: give one of {', '.join(KINDS)}")
        check_block(self.block)
        check_sums(8, 8, self.block)
        if self.planes not in (1, 2):
            raise InputError(f"planes {self.planes!r}: give 1 or 2")

    @classmethod
    def of(cls, model: nn.Module, bits: int | str, block: int = BLOCK, planes: int = 2) -> Plan:
        """Make the plan of one width for a whole network.

        Parameters
        ----------
        model
            Network. Matrices of its LSTMs and of the linear layers named by a module's attribute ``lstm_heads`` get the
            arithmetic of the width; all tensors of two or more dimensions are stored in it.
        bits
            16 (bfloat16), 8, 4, or 1 (signs, for LSTMs; other tensors have 8 bits. If some weights of the LSTMs are
            binary, as those of `sciml.nn.harden`, the others have 8 bits too); or a name of a format for all
            matrices that it can represent, with int8 arithmetic and storage of the others. ``hypercomplex4`` represents
            the weights of a network that was trained with them.
        block
            Values in a block.
        planes
            See `Plan`.

        Returns
        -------
        Plan
            The plan. Tensors of one dimension are stored in 16 bits. Of 4 bits, small linear layers beside an LSTM,
            such as the last one, have 8.

        Raises
        ------
        InputError
            The width or the block are not available, or no weight is hypercomplex.
        """
        from sciml.compress.layers import linear_layers, lstm_matrices, ordered_sums, reducible_linears

        kind, storage, rest = _choices(bits, check_block(block))
        lstm, linear = lstm_matrices(model), reducible_linears(model)
        tensors = _dense_parameters(model)
        parameters = {name: tuple(p.shape) for name, p in tensors.items()}
        least = sum(tensor.numel() for tensor in tensors.values()) * SMALL
        small = {name for name in linear_layers(model) if lstm and tensors[name].numel() < least}
        small = small if small.issuperset(linear) else small.difference(linear)
        binary = {name for name, tensor in tensors.items() if kind == "sign" and _is_binary(tensor)}
        signs = binary if binary.intersection(lstm) else set(lstm)
        stored = {}
        for name, shape in parameters.items():
            single = math.prod(shape) == max(shape, default=1) and name not in (*lstm, *linear)
            if len(shape) < 2 or single:
                stored[name] = "bfloat16" if bits == 16 else BIAS
            elif storage == "sign":
                stored[name] = storage if name in signs else rest
            elif name not in lstm and bits == 4 and name in small:
                stored[name] = rest
            else:
                stored[name] = next(
                    (chosen for chosen in (storage, storage + PADDED) if _represents(chosen, tensors[name])),
                    rest,
                )
        if storage.startswith("hypercomplex") and not {storage, storage + PADDED}.intersection(
            stored.values()
        ):
            raise InputError(
                f"no weight of the {type(model).__name__} is {storage}: train it with hypercomplex weights, or give 8"
            )
        kinds = {
            name: "int8" if kind == "sign" and name not in signs else kind
            for name in parameters
            if name in lstm
        }
        kinds |= {
            name: "int8" if kind == "sign" or (bits == 4 and name in small) else kind
            for name in parameters
            if name in linear
        }
        kinds |= dict.fromkeys(ordered_sums(model), "float32") if kinds else {}
        return cls(stored, kinds, parameters, block, planes)

    def check(self, model: nn.Module) -> None:
        """Check that a plan is one of a network.

        Raises
        ------
        InputError
            A tensor does not exist in the network or has another shape, an LSTM has kinds for some of its matrices
            only, or a tensor with a kind is no matrix of an LSTM or of a linear layer. The message names the first.
        """
        from sciml.compress.layers import linear_layers, lstm_matrices

        shapes = {name: tuple(t.shape) for name, t in _dense_parameters(model, buffers=True).items()}
        known = {**dict.fromkeys(self.storage), **dict.fromkeys(self.kinds), **dict.fromkeys(self.shapes)}
        for name in known:
            if name not in shapes:
                raise InputError(
                    f"the plan is of another network: it names {name!r}, which {type(model).__name__} does not have; "
                    "make one with sciml.compress.Plan.of"
                )
            if name in self.shapes and tuple(self.shapes[name]) != shapes[name]:
                raise InputError(
                    f"the plan is of another network: {name!r} has the shape {tuple(self.shapes[name])} there, and "
                    f"{shapes[name]} in {type(model).__name__}; make one with sciml.compress.Plan.of"
                )
        matrices, linear = lstm_matrices(model), linear_layers(model)
        for name in self.kinds:
            if name not in matrices and name not in linear:
                raise InputError(
                    f"arithmetic {self.kinds[name]!r} of {name!r}: only matrices of LSTMs and of linear layers have a "
                    "kind; leave it out, the tensor is stored in its format alone"
                )
        for name, owner in matrices.items():
            own = {other: self.kinds.get(other, "float32") for other, o in matrices.items() if o == owner}
            if "float32" in own.values() and set(own.values()) != {"float32"}:
                wrong = next(other for other, kind in own.items() if kind == "float32")
                raise InputError(
                    f"{wrong!r} computes in float32 and {name!r} does not: give all matrices of an LSTM a kind, or none"
                )

    def to_json(self) -> dict[str, Any]:
        """Return the plan as values that JSON can store."""
        shapes = {name: list(shape) for name, shape in self.shapes.items()}
        return {
            "storage": dict(self.storage),
            "kinds": dict(self.kinds),
            "shapes": shapes,
            "block": self.block,
            "planes": self.planes,
        }

    @classmethod
    def from_json(cls, plain: object, source: object = "the plan") -> Plan:
        """Make a plan from the data of `to_json`.

        Parameters
        ----------
        plain
            Data.
        source
            File, for messages.

        Raises
        ------
        SchemaError
            The data are no plan, or of a newer version.
        """
        if not isinstance(plain, Mapping):
            raise SchemaError(f"{source}: the compression is {plain!r}, no plan: compress the network again")
        unknown = [str(name) for name in plain if name not in _KEYS]
        if unknown:
            raise SchemaError(
                f"{source}: the plan has {unknown[0]!r}, which this version does not know: upgrade sciml"
            )
        try:
            shapes = {str(name): tuple(map(int, shape)) for name, shape in plain["shapes"].items()}
            return cls(
                dict(plain["storage"]),
                dict(plain["kinds"]),
                shapes,
                int(plain["block"]),
                int(plain["planes"]),
            )
        except InputError as error:
            raise SchemaError(f"{source}: {error}, or upgrade sciml") from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise SchemaError(
                f"{source}: the plan is incomplete ({error!r}): compress the network again"
            ) from error


def _choices(bits: int | str, block: int) -> tuple[str, str, str]:
    """Return kind, storage, and storage of the matrices that it cannot represent."""

    def with_block(name: str) -> str:
        return name if block == BLOCK else f"{name}-{block}"

    if isinstance(bits, str):
        format_named(bits)
        kind = "int4" if bits.startswith("int4") else "sign" if bits == "sign" else "int8"
        return kind, bits, with_block("int8")
    if bits not in WIDTH_KINDS:
        raise InputError(
            f"bits={bits!r}: give {', '.join(map(str, sorted(WIDTH_KINDS)))}, "
            "or the name of a format such as hypercomplex4"
        )
    kind = WIDTH_KINDS[bits]
    if kind == "bf16":
        return kind, "bfloat16", "bfloat16"
    return kind, kind if kind == "sign" else with_block(kind), with_block("int8")


def _represents(chosen: str, tensor: Any) -> bool:
    if not chosen.startswith("hypercomplex"):
        return True
    n = int(chosen.removeprefix("hypercomplex").removesuffix(PADDED))
    columns = tensor[0].numel()
    if (
        tensor.shape[0] % n
        or (columns % n and not chosen.endswith(PADDED))
        or n**3 + tensor.numel() // n >= tensor.numel()
    ):
        return False
    matrix = tensor.detach().cpu().numpy().reshape(tensor.shape[0], -1)
    return kronecker_distance(matrix, n) < HYPERCOMPLEX_DISTANCE


def _is_binary(tensor: Any) -> bool:
    """Return whether each row of a tensor is plus or minus a scale."""
    if tensor.ndim < 2 or not tensor[0].numel() > 1:
        return False
    rows = tensor.detach().abs().flatten(1)
    return bool((rows == rows[:, :1]).all())


def _dense_parameters(model: nn.Module, *, buffers: bool = False) -> dict[str, Any]:
    """Return the parameters of floats by their plain name; those of parametrised weights are computed."""
    from sciml.nn.state_dict import materialise

    fixed = {name for name, _ in model.named_buffers()}
    return {
        name: tensor
        for name, tensor in materialise(model).items()
        if tensor.is_floating_point() and (buffers or name not in fixed)
    }
