"""Convert a trained emulator into the weights file that the native library runs, and back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from sciml.coupling.bilstm_export import bilstm_weights
from sciml.coupling.weights_file import Attribute, Weights
from sciml.errors import InputError, SchemaError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Literal

    from sciml.convection.emulator import Emulator

__all__ = ["emulator_from", "emulator_weights"]

_DESCRIPTIONS = {
    "normalisation.mean": "Mean of each feature at each level, in the units of sciml.convection.features",
    "normalisation.scale": "Its scale: standardised = (feature - mean) / scale, clipped at the attribute clip",
    "normalisation.middle": "Middle of the training range, standardised",
    "normalisation.reach": "Half its width: novelty = |standardised - middle| / reach, of the worst feature",
    "normalisation.scalar_mean": "The same for the features of the column",
    "summary.weight": "From the mean state over the levels and the column's features to the summary units",
    "summary.bias": "Biases of the summary units, which are hyperbolic tangents",
    "column.weight": "From the summary units to log strength and the trigger's logit",
    "column.bias": "Biases of log strength and the trigger's logit",
    "level_pressure": "Mean pressure of each level over that of the lowest, in the training",
    "enthalpy": "Bounds of the enthalpy imbalance over the absolute heating",
    "head.weight": "From a level's state to the push of the circulation's pressure along the wind (m s-1)",
}


def emulator_weights(emulator: Emulator) -> Weights:
    """Return the arrays and attributes of a whole emulator, as the native library reads them.

    Parameters
    ----------
    emulator
        Trained or loaded emulator. Weights are stored in float32, whatever its precision.

    Returns
    -------
    Weights
        Argument of `sciml.coupling.weights_file.write_weights`. Attributes: the network's sizes, ``levels`` (of the
        columns), ``network_levels`` (the lowest ones, which the network takes), ``pooled_units``, the constants of the
        network (``push_bound``, ``log_strength_bound``, ``least_strength``, ``clip``), and the description of
        the training (``about_*``).

    Raises
    ------
    InputError
        When the weights are not finite.
    """
    from sciml.nn.state_dict import materialise

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
    if "level_pressure" in emulator.about:
        arrays["level_pressure"] = np.asarray(emulator.about["level_pressure"], np.float64)
    for name, array in arrays.items():
        if not np.isfinite(np.asarray(array, np.float64)).all():
            raise InputError(f"{name} of the emulator has values that are not finite: train it again")
    shape = emulator.network.shape
    about = {name: value for name, value in emulator.about.items() if isinstance(value, int | float | str)}
    attributes: dict[str, Attribute] = {f"about_{name}": value for name, value in about.items()}
    attributes |= dict(bare.attributes)
    attributes |= {
        "levels": int(emulator.about["levels"]),
        "network_levels": shape.levels,
        "pooled_units": shape.pooled,
        "channel_names": " ".join(shape.channels),
        "scalar_names": " ".join(shape.scalars),
    }
    attributes |= _network_constants()
    return replace(bare, arrays=arrays, attributes=attributes, descriptions=_DESCRIPTIONS)


def emulator_from(weights: Weights, precision: Literal["float32", "float64"] = "float64") -> Emulator:
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

    attributes = weights.attributes
    try:
        shape = Architecture(
            hidden=_whole(attributes["hidden"]),
            layers=_whole(attributes["layers"]),
            pooled=_whole(attributes["pooled_units"]),
            levels=_whole(attributes["network_levels"]),
            channels=tuple(str(attributes["channel_names"]).split()),
            scalars=tuple(str(attributes["scalar_names"]).split()),
        )
        tensors = {name: torch.from_numpy(np.array(array)) for name, array in weights.arrays.items()}
        state = {name: tensors[_PLACES.get(name, name)] for name in Closure(shape).state_dict()}
        normalisation = FeatureScaling.from_tensors(tensors)
        about: dict[str, object] = {"levels": _whole(attributes["levels"])}
        about["enthalpy"] = [float(bound) for bound in tensors["enthalpy"]]
    except KeyError as missing:
        raise SchemaError(
            f"the weights have no {missing} and so no whole emulator: export one with `sciml coupling export`"
        ) from missing
    _check_constants(attributes)
    if "level_pressure" in tensors:
        about["level_pressure"] = [float(share) for share in tensors["level_pressure"]]
    about |= {n.removeprefix("about_"): v for n, v in attributes.items() if n.startswith("about_")}
    network = Closure(shape)
    network.load_state_dict(state)
    return Emulator(network.eval(), normalisation, {"runs": "unknown", **about}, precision)


def _network_constants() -> dict[str, float]:
    """Return the constants of the network by their attribute names; the native library reads them from the file."""
    from sciml.convection.feature_scaling import CLIP
    from sciml.convection.network import LEAST_STRENGTH, LOG_STRENGTH_BOUND, PUSH_BOUND

    return {
        "push_bound": PUSH_BOUND,
        "log_strength_bound": LOG_STRENGTH_BOUND,
        "least_strength": LEAST_STRENGTH,
        "clip": CLIP,
    }


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


def _whole(value: Attribute) -> int:
    return int(np.asarray(value))
