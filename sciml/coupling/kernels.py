"""The parts of a weights file by the class of the network: what each kernel of the native library reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sciml.checks import is_number, is_whole
from sciml.coupling.bilstm_export import bilstm_weights
from sciml.coupling.weights_file import Attribute, Weights
from sciml.errors import SchemaError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    import numpy.typing as npt

    from sciml.convection.emulator import Emulator

    State = Mapping[str, npt.NDArray[np.float32]]

__all__ = ["DESCRIPTIONS", "KERNELS", "Kernel", "number"]

DESCRIPTIONS = {
    "normalisation.mean": "Mean of each feature in each layer, in the units of sciml.convection",
    "normalisation.scale": "Its scale: standardised = (feature - mean) / scale, clipped at the attribute clip",
    "normalisation.middle": "Middle of the training range, standardised",
    "normalisation.reach": "Half its width: distance = |standardised - middle| / reach, of the worst feature",
    "normalisation.scalar_mean": "The same for the features of the column",
    "summary.weight": "From the states pooled over the layers and the column's features to the summary units",
    "summary.bias": "Biases of the summary units, which are hyperbolic tangents",
    "column.weight": "From the summary units to the numbers of the column",
    "column.bias": "Biases of the numbers of the column",
    "enthalpy": "Bounds of the enthalpy imbalance over the absolute heating",
    "head.weight": "From a layer's state to its outputs, or to the units that precede them",
    "edges": "Pressure depths of the layers' edges from the ground, in units of the surface pressure",
    "shared.weight": "From the summary units to the units of every layer",
    "level.weight": "From the units of a layer to its heads, shallow convection first",
    "output_scale": "Scales of five tendencies (K s-1, kg kg-1 s-1) and the rain (mm s-1), shallow and deep",
    "normalisation.size": "Largest absolute value of each input",
    "output_size": "Largest absolute value of each output",
}

#: Names in the weights file of parts of the network that have another name there.
_CLOSURE = {
    "level.weight": "head.weight",
    "level.bias": "head.bias",
    "pool.weight": "summary.weight",
    "pool.bias": "summary.bias",
}
_PURE = {
    "mixed.weight": "head.weight",
    "mixed.bias": "head.bias",
    "pool.weight": "summary.weight",
    "pool.bias": "summary.bias",
    "scale": "output_scale",
}
_PUBLISHED = {
    **{f"{part}.{name}": f"head.{name}" for part in ("profiles", "channel") for name in ("weight", "bias")},
    **{f"trigger.{name}": f"pool.{name}" for name in ("weight", "bias")},
    "size": "output_size",
}


@dataclass(frozen=True)
class Kernel:
    """How an emulator of one class is stored.

    Parameters
    ----------
    bare
        Make the weights of the Bi-LSTM of a network from its state by name.
    arrays
        Return all other arrays of an emulator from it and its state.
    attributes
        Return the sizes and names of an emulator.
    shape
        Make the data of the network's shape from the attributes and arrays of a file; raise KeyError for a missing one.
    state
        Return the state of the network from the arrays of a file, or KeyError; names are those that the network has.
    names
        Name in the file of each tensor of the network that has another name there.
    constants
        Return the constants of the network by attribute name, which a file must have with the same value.
    """

    bare: Callable[[State], Weights]
    arrays: Callable[[Emulator[Any], State], dict[str, npt.NDArray[Any]]]
    attributes: Callable[[Emulator[Any]], dict[str, Attribute]]
    shape: Callable[[Weights], dict[str, Any]]
    state: Callable[[Weights, tuple[str, ...]], dict[str, npt.NDArray[Any]]]
    constants: Callable[[], dict[str, float]]
    names: Mapping[str, str]


def _lstm(state: State) -> dict[str, npt.NDArray[np.float32]]:
    return {name.removeprefix("lstm."): x for name, x in state.items() if name.startswith("lstm.")}


def _renamed(places: Mapping[str, str]) -> Callable[[Weights, tuple[str, ...]], dict[str, npt.NDArray[Any]]]:
    def of(weights: Weights, names: tuple[str, ...]) -> dict[str, npt.NDArray[Any]]:
        return {name: np.array(weights.arrays[places.get(name, name)]) for name in names}

    return of


def _names(emulator: Emulator[Any]) -> dict[str, Attribute]:
    shape = emulator.network.shape
    return {
        "pooled_units": shape.pooled,
        "log_error": float(emulator.about["log_error"]),
        "channel_names": " ".join(shape.channels),
        "scalar_names": " ".join(shape.scalars),
    }


def _names_in(attributes: Mapping[str, Attribute]) -> dict[str, Any]:
    return {
        "hidden": whole(attributes, "hidden"),
        "layers": whole(attributes, "layers"),
        "pooled": whole(attributes, "pooled_units"),
        "channels": str(attributes["channel_names"]).split(),
        "scalars": str(attributes["scalar_names"]).split(),
    }


def _closure_arrays(emulator: Emulator[Any], state: State) -> dict[str, npt.NDArray[Any]]:
    names = ("pool.weight", "pool.bias", "column.weight", "column.bias")
    arrays: dict[str, npt.NDArray[Any]] = {_CLOSURE.get(name, name): state[name] for name in names}
    return arrays | {"enthalpy": np.asarray(emulator.about["enthalpy"], np.float64)}


def _closure_attributes(emulator: Emulator[Any]) -> dict[str, Attribute]:
    shape = emulator.network.shape
    return {"layers_below": shape.below, "layers_cloud": shape.cloud, **_names(emulator)}


def _closure_shape(weights: Weights) -> dict[str, Any]:
    sizes = {name: whole(weights.attributes, f"layers_{name}") for name in ("below", "cloud")}
    return {**_names_in(weights.attributes), **sizes}


def _closure_constants() -> dict[str, float]:
    from sciml.convection.network import PUSH_BOUND

    return {"push_bound": PUSH_BOUND, **_pure_constants()}


def _pure_arrays(emulator: Emulator[Any], state: State) -> dict[str, npt.NDArray[Any]]:
    names = (
        *("pool.weight", "pool.bias", "column.weight", "column.bias", "shared.weight"),
        *("level.weight", "level.bias", "scale", "spread"),
    )
    arrays: dict[str, npt.NDArray[Any]] = {_PURE.get(name, name): state[name] for name in names}
    return arrays | {"edges": np.asarray(emulator.network.shape.edges, np.float64)}


def _pure_attributes(emulator: Emulator[Any]) -> dict[str, Attribute]:
    return {"layers_pressure": len(emulator.network.shape.edges) - 1, **_names(emulator)}


def _pure_shape(weights: Weights) -> dict[str, Any]:
    edges = [float(x) for x in np.asarray(weights.arrays["edges"], np.float64)]
    return {**_names_in(weights.attributes), "width": whole(weights.attributes, "outputs"), "edges": edges}


def _pure_constants() -> dict[str, float]:
    from sciml.convection.feature_scaling import CLIP, DISTANCE

    return {"clip": CLIP, "distance": DISTANCE}


def _published_bare(state: State) -> Weights:
    head = [
        np.concatenate([state[f"{part}.{name}"] for part in ("profiles", "channel")])
        for name in ("weight", "bias")
    ]
    pool = state["trigger.weight"][:, None, :], state["trigger.bias"]
    return bilstm_weights(_lstm(state), (head[0], head[1]), pool)


def _published_state(weights: Weights, names: tuple[str, ...]) -> dict[str, npt.NDArray[Any]]:
    arrays = weights.arrays
    cut = len(np.asarray(arrays["output_size"]))
    own = {"size": np.array(arrays["output_size"])}
    for name in ("weight", "bias"):
        head = np.array(arrays[f"head.{name}"])
        own |= {f"profiles.{name}": head[:cut], f"channel.{name}": head[cut:]}
    own |= {
        "trigger.weight": np.array(arrays["pool.weight"])[:, 0],
        "trigger.bias": np.array(arrays["pool.bias"]),
    }
    return {name: own[name] if name in own else np.array(arrays[name]) for name in names}


#: By the attribute `kernel` of a network's class.
KERNELS: dict[str, Kernel] = {
    "plume-closure": Kernel(
        bare=lambda state: bilstm_weights(_lstm(state), (state["level.weight"], state["level.bias"])),
        arrays=_closure_arrays,
        attributes=_closure_attributes,
        shape=_closure_shape,
        state=_renamed(_CLOSURE),
        constants=_closure_constants,
        names=_CLOSURE,
    ),
    "bilstm": Kernel(
        bare=lambda state: bilstm_weights(_lstm(state), (state["mixed.weight"], state["mixed.bias"])),
        arrays=_pure_arrays,
        attributes=_pure_attributes,
        shape=_pure_shape,
        state=_renamed(_PURE),
        constants=_pure_constants,
        names=_PURE,
    ),
    "published": Kernel(
        bare=_published_bare,
        arrays=lambda emulator, state: {"output_size": state["size"]},
        attributes=lambda emulator: {},
        shape=lambda weights: {"levels": whole(weights.attributes, "pool_levels")},
        state=_published_state,
        constants=dict,
        names=_PUBLISHED,
    ),
}


def whole(attributes: Mapping[str, Attribute], name: str) -> int:
    """Return an attribute, a whole number above 0."""
    value = attributes[name]
    if not is_whole(value, 1):
        raise SchemaError(_wrong(name, value, "a whole number above 0"))
    return int(value)


def number(attributes: Mapping[str, Attribute], name: str) -> float:
    """Return an attribute, a finite number."""
    value = attributes[name]
    if not is_number(value):
        raise SchemaError(_wrong(name, value, "a finite number"))
    return float(value)


def _wrong(name: str, value: Attribute, wanted: str) -> str:
    return f"`{name}` is {value!r} in the weights file, not {wanted}: write it again with `sciml coupling export`"
