"""Convert a trained emulator into the weights file that the native library runs, and back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from sciml.checks import is_number, is_whole
from sciml.coupling.bilstm_export import bilstm_weights
from sciml.coupling.weights_file import Attribute, Weights
from sciml.errors import InputError, SchemaError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Literal

    from sciml.convection.emulator import Emulator
    from sciml.convection.network import Closure

__all__ = ["KERNELS", "check_kernel", "emulator_from", "emulator_weights"]

KERNELS = ("plume-closure",)  # of the native library

_DESCRIPTIONS = {
    "normalisation.mean": "Mean of each feature in each layer of the plume, in the units of sciml.convection.features",
    "normalisation.scale": "Its scale: standardised = (feature - mean) / scale, clipped at the attribute clip",
    "normalisation.middle": "Middle of the training range, standardised",
    "normalisation.reach": "Half its width: distance = |standardised - middle| / reach, of the worst feature",
    "normalisation.scalar_mean": "The same for the features of the column",
    "summary.weight": "From the mean state over the layers and the column's features to the summary units",
    "summary.bias": "Biases of the summary units, which are hyperbolic tangents",
    "column.weight": "From the summary units to the trigger's logit and the logarithm of the expected error",
    "column.bias": "Biases of the trigger's logit and the logarithm of the expected error",
    "enthalpy": "Bounds of the enthalpy imbalance over the absolute heating",
    "head.weight": "From a layer's state to the push of the circulation's pressure along the wind (m s-1)",
}


def check_kernel(emulator: Emulator[Any]) -> None:
    """Check that the native library has a kernel for the network of an emulator.

    Raises
    ------
    InputError
        It has none.
    """
    network = emulator.network
    if network.kernel not in KERNELS:
        raise InputError(
            f"a network of class {network.command} has no kernel in the native library, which has one for "
            f"{', '.join(KERNELS)}: run it in Python, or export an emulator of such a class"
        )


def emulator_weights(emulator: Emulator[Any]) -> Weights:
    """Return the arrays and attributes of a whole emulator, as the native library reads them.

    Parameters
    ----------
    emulator
        Trained or loaded emulator. Weights are stored in float32, whatever its precision.

    Returns
    -------
    Weights
        Argument of `sciml.coupling.weights_file.write_weights`. Attributes: the network's sizes, ``layers_below``
        and ``layers_cloud`` (of the plume's coordinate), ``pooled_units``, the constants (``push_bound``, ``clip``,
        ``distance``, ``log_error``), the ranges of the settings of the training (``trained_dx_low``, ...), and its
        description (``about_*``).

    Raises
    ------
    InputError
        The native library has no kernel for the network, or the weights are not finite.
    """
    from sciml.convection.problem import SETTINGS
    from sciml.nn.state_dict import materialise

    check_kernel(emulator)
    state = {
        name: np.asarray(x.detach().cpu(), np.float32) for name, x in materialise(emulator.network).items()
    }
    lstm = {name.removeprefix("lstm."): x for name, x in state.items() if name.startswith("lstm.")}
    bare = bilstm_weights(lstm, (state["level.weight"], state["level.bias"]))
    arrays = dict(bare.arrays)
    arrays |= {"summary.weight": state["pool.weight"], "summary.bias": state["pool.bias"]}
    arrays |= {"column.weight": state["column.weight"], "column.bias": state["column.bias"]}
    for name, tensor in emulator.normalisation.tensors().items():
        arrays[name] = np.asarray(tensor.detach().cpu(), np.float32)
    arrays["enthalpy"] = np.asarray(emulator.about["enthalpy"], np.float64)
    for name, array in arrays.items():
        if not np.isfinite(np.asarray(array, np.float64)).all():
            raise InputError(f"{name} of the emulator has values that are not finite: train it again")
    shape = emulator.network.shape
    about = {name: value for name, value in emulator.about.items() if isinstance(value, int | float | str)}
    attributes: dict[str, Attribute] = {f"about_{name}": value for name, value in about.items()}
    attributes |= dict(bare.attributes)
    attributes |= {
        "layers_below": shape.below,
        "layers_cloud": shape.cloud,
        "pooled_units": shape.pooled,
        "log_error": float(emulator.about["log_error"]),
        "channel_names": " ".join(shape.channels),
        "scalar_names": " ".join(shape.scalars),
    }
    for name in SETTINGS:
        low, high = emulator.about[name.lower()]
        attributes |= {f"trained_{name.lower()}_low": float(low), f"trained_{name.lower()}_high": float(high)}
    attributes |= _network_constants()
    return replace(bare, arrays=arrays, attributes=attributes, descriptions=_DESCRIPTIONS)


def emulator_from(
    weights: Weights, precision: Literal["float32", "float64"] = "float64"
) -> Emulator[Closure]:
    """Return the torch emulator of a weights file, the reference of the native library.

    Parameters
    ----------
    weights
        Weights from `sciml.coupling.weights_file.read_weights`.
    precision
        Precision of the network.

    Raises
    ------
    SchemaError
        When the weights are those of a bare network, a part of the emulator is missing, or the constants of the
        network are missing or differ from those of this version.
    """
    import torch

    from sciml.convection.emulator import Emulator
    from sciml.convection.feature_scaling import FeatureScaling
    from sciml.convection.network import Architecture, Closure
    from sciml.convection.problem import SETTINGS

    attributes = weights.attributes
    try:
        shape = Architecture(
            hidden=_whole(attributes, "hidden"),
            layers=_whole(attributes, "layers"),
            pooled=_whole(attributes, "pooled_units"),
            below=_whole(attributes, "layers_below"),
            cloud=_whole(attributes, "layers_cloud"),
            channels=tuple(str(attributes["channel_names"]).split()),
            scalars=tuple(str(attributes["scalar_names"]).split()),
        )
        tensors = {name: torch.from_numpy(np.array(array)) for name, array in weights.arrays.items()}
        state = {name: tensors[_PLACES.get(name, name)] for name in Closure(shape).state_dict()}
        normalisation = FeatureScaling.from_tensors(tensors)
        about: dict[str, object] = {"log_error": _number(attributes, "log_error")}
        for name in (setting.lower() for setting in SETTINGS):
            about[name] = [_number(attributes, f"trained_{name}_{end}") for end in ("low", "high")]
        about["enthalpy"] = [float(bound) for bound in tensors["enthalpy"]]
    except KeyError as missing:
        raise SchemaError(
            f"the weights have no {missing} and so no whole emulator: export one with `sciml coupling export`"
        ) from missing
    _check_constants(attributes)
    if normalisation.mean.shape != (shape.below + shape.cloud, len(shape.channels)):
        raise SchemaError(
            f"`layers_below` and `layers_cloud` are {shape.below} and {shape.cloud} in the weights file, which is "
            f"normalised for {len(normalisation.mean)} layers: write it again with `sciml coupling export`"
        )
    about |= {n.removeprefix("about_"): v for n, v in attributes.items() if n.startswith("about_")}
    network = Closure(shape)
    network.load_state_dict(state)
    return Emulator(network.eval(), normalisation, {"runs": "unknown", **about}, precision)


def _network_constants() -> dict[str, float]:
    """Return the constants of the network by their attribute names; the native library reads them from the file."""
    from sciml.convection.feature_scaling import CLIP, DISTANCE
    from sciml.convection.network import PUSH_BOUND

    return {"push_bound": PUSH_BOUND, "clip": CLIP, "distance": DISTANCE}


def _check_constants(attributes: Mapping[str, Attribute]) -> None:
    for name, expected in _network_constants().items():
        if name not in attributes:
            raise SchemaError(
                f"the weights file has no number `{name}`: write it again with `sciml coupling export`"
            )
        if attributes[name] != expected:
            raise SchemaError(
                f"`{name}` is {attributes[name]} in the weights file, and {expected} in this version of sciml: "
                "write the file again with `sciml coupling export`"
            )


#: Names in the weights file of the parts of the network that have another name there.
_PLACES = {
    "level.weight": "head.weight",
    "level.bias": "head.bias",
    "pool.weight": "summary.weight",
    "pool.bias": "summary.bias",
}


def _whole(attributes: Mapping[str, Attribute], name: str) -> int:
    value = attributes[name]
    if not is_whole(value, 1):
        raise SchemaError(_wrong(name, value, "a whole number above 0"))
    return int(value)


def _number(attributes: Mapping[str, Attribute], name: str) -> float:
    value = attributes[name]
    if not is_number(value):
        raise SchemaError(_wrong(name, value, "a finite number"))
    return float(value)


def _wrong(name: str, value: Attribute, wanted: str) -> str:
    return f"`{name}` is {value!r} in the weights file, not {wanted}: write it again with `sciml coupling export`"
