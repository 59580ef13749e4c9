"""Convert a trained emulator into the weights file that the native library runs, and back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from sciml.coupling.kernels import DESCRIPTIONS, KERNELS, number
from sciml.coupling.reduced_export import compression_in, with_reduction
from sciml.coupling.weights_file import Attribute, Weights
from sciml.errors import InputError, SchemaError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Literal

    from sciml.convection.emulator import Emulator

__all__ = ["check_kernel", "emulator_from", "emulator_weights"]

SCHEME = "mskf"
_LAYERS = ("layers_below", "layers_cloud", "layers_pressure")


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
        Trained or loaded emulator. Weights are stored in float32, whatever its precision; those of a quantized network
        in their formats.

    Returns
    -------
    Weights
        Argument of `sciml.coupling.weights_file.write_weights`. Attributes: ``scheme`` and ``emulator`` (the kernel of
        the network), the sizes and constants of the network (`sciml.coupling.kernels`), the ranges of the settings of
        the training (``trained_dx_low``, ...), and its description (``about_*``).

    Raises
    ------
    InputError
        The native library has no kernel for the network or its arithmetic, or the weights are not finite.
    """
    from sciml.convection.problem import SETTINGS
    from sciml.nn.state_dict import materialise

    check_kernel(emulator)
    kernel = KERNELS[emulator.network.kernel]
    state = {
        name: np.asarray(x.detach().cpu(), np.float32) for name, x in materialise(emulator.network).items()
    }
    bare = kernel.bare(state)
    arrays = {**bare.arrays, **kernel.arrays(emulator, state)}
    for name, tensor in emulator.normalisation.tensors().items():
        arrays[name] = np.asarray(tensor.detach().cpu(), np.float32)
    for name, array in arrays.items():
        if not np.isfinite(np.asarray(array, np.float64)).all():
            raise InputError(f"{name} of the emulator has values that are not finite: train it again")
    about = {name: value for name, value in emulator.about.items() if isinstance(value, int | float | str)}
    attributes: dict[str, Attribute] = {f"about_{name}": value for name, value in about.items()}
    attributes |= {"scheme": SCHEME, "emulator": emulator.network.kernel}
    attributes |= {**bare.attributes, **kernel.attributes(emulator), **kernel.constants()}
    if emulator.network.absent:
        attributes["absent_outputs"] = " ".join(emulator.network.absent)
    for name in SETTINGS:
        low, high = emulator.about[name.lower()]
        attributes |= {f"trained_{name.lower()}_low": float(low), f"trained_{name.lower()}_high": float(high)}
    whole = replace(bare, arrays=arrays, attributes=attributes, descriptions=DESCRIPTIONS)
    formats = getattr(emulator.normalisation, "formats", {})
    return with_reduction(whole, emulator.network, kernel.names, formats)


def emulator_from(weights: Weights, precision: Literal["float32", "float64"] = "float64") -> Emulator[Any]:
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
        When the weights are those of a bare network or of another scheme, a part of the emulator is missing, or the
        constants of the network are missing or differ from those of this version.
    """
    import torch

    from sciml.compress.saved import rebuilt
    from sciml.convection.emulator import Emulator
    from sciml.convection.problem import SETTINGS
    from sciml.convection.registry import class_of

    attributes = weights.attributes
    kernel = KERNELS[_kind(attributes)]
    kind = class_of(_kind(attributes))
    try:
        network: Any = kind.from_json(kernel.shape(weights))
        state = kernel.state(weights, tuple(network.state_dict()))
        tensors = {name: torch.from_numpy(np.array(array)) for name, array in weights.arrays.items()}
        normalisation = kind.scaling.from_tensors(tensors, "the weights file")
        about: dict[str, object] = {}
        for name, size in kind.facts.items():
            about[name] = [float(x) for x in tensors[name]] if size > 1 else number(attributes, name)
        for name in (setting.lower() for setting in SETTINGS):
            about[name] = [number(attributes, f"trained_{name}_{end}") for end in ("low", "high")]
    except KeyError as missing:
        raise SchemaError(
            f"the weights have no {missing} and so no whole emulator: export one with `sciml coupling export`"
        ) from missing
    _check_constants(attributes, kernel.constants())
    _check_layers(attributes, normalisation)
    about |= {n.removeprefix("about_"): v for n, v in attributes.items() if n.startswith("about_")}
    network.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
    network = rebuilt(network, compression_in(weights, network, kernel.names))
    return Emulator(network.eval(), normalisation, {"runs": "unknown", **about}, precision)


def _kind(attributes: Mapping[str, Attribute]) -> str:
    """Return the kernel of the emulator in a file; raise `SchemaError` if it has none that this version knows."""
    if "emulator" not in attributes and "pooled_units" not in attributes:
        raise SchemaError(
            "the weights have no 'emulator' and so no whole emulator: export one with `sciml coupling export`"
        )
    for name, known in (("scheme", (SCHEME,)), ("emulator", tuple(KERNELS))):
        if attributes.get(name, "") not in known:
            raise SchemaError(
                f"the attribute `{name}` of the weights file is `{attributes.get(name, '')}`; this version runs "
                f"{', '.join(known)}: export an emulator of that with `sciml coupling export`"
            )
    return str(attributes["emulator"])


def _check_layers(attributes: Mapping[str, Attribute], normalisation: Any) -> None:
    sizes = {name: attributes[name] for name in _LAYERS if name in attributes}
    if sizes and len(normalisation.mean) != sum(int(np.asarray(size)) for size in sizes.values()):
        raise SchemaError(
            f"`{'` and `'.join(sizes)}` are {' and '.join(map(str, sizes.values()))} in the weights file, which is "
            f"normalised for {len(normalisation.mean)} layers: write it again with `sciml coupling export`"
        )


def _check_constants(attributes: Mapping[str, Attribute], constants: Mapping[str, float]) -> None:
    for name, expected in constants.items():
        if name not in attributes:
            raise SchemaError(
                f"the weights file has no number `{name}`: write it again with `sciml coupling export`"
            )
        if attributes[name] != expected:
            raise SchemaError(
                f"`{name}` is {attributes[name]} in the weights file, and {expected} in this version of sciml: "
                "write the file again with `sciml coupling export`"
            )
