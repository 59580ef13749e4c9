"""The weights file of an emulator of a declared scheme, for `sciml_column_run` of the native library."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sciml.coupling.bilstm_export import bilstm_weights
from sciml.coupling.reduced_export import with_reduction
from sciml.coupling.weights_file import Attribute, Weights
from sciml.errors import InputError
from sciml.schemes.closures import ColumnClosure, LevelClosure
from sciml.schemes.declaration import scheme_table

if TYPE_CHECKING:
    from sciml.emulation.emulator import SchemeEmulator
    from sciml.schemes.scheme import ColumnScheme

__all__ = ["MOST_FIELDS", "scheme_weights"]

#: `SCIML_MOST_FIELDS` of the native sources.
MOST_FIELDS = 64
_LARGEST = np.finfo(np.float64).max


def scheme_weights(emulator: SchemeEmulator) -> Weights:
    """Return the weights of an emulator of a declared scheme, for `sciml.coupling.weights_file.write_weights`.

    Parameters
    ----------
    emulator
        Emulator from `sciml.emulation.train`.

    Raises
    ------
    InputError
        The scheme has more fields or terms than the library takes, or a weight is not finite.
    """
    from sciml.emulation.scaling import CLIP, LEAST, channels_of
    from sciml.nn.state_dict import materialise

    scheme, scaling = emulator.scheme, emulator.scaling
    state = {n: np.asarray(x.detach().cpu(), np.float32) for n, x in materialise(emulator.network).items()}
    lstm = {name.removeprefix("lstm."): x for name, x in state.items() if name.startswith("lstm.")}
    bare = bilstm_weights(lstm, (state["level.weight"], state["level.bias"]))
    inputs, outputs = _places(scheme.input_names), _places(scheme.output_names)
    channels = channels_of(scheme)
    arrays: dict[str, npt.NDArray[np.generic]] = {
        **bare.arrays,
        "channel_source": np.array([inputs[name] for name, _ in channels], np.int32),
        "channel_is_log": np.array([is_log for _, is_log in channels], np.int32),
        "channel_mean": scaling.mean.numpy(),
        "channel_inverse": scaling.inverse.numpy(),
        "channel_mix": scaling.mix.numpy().ravel(),
        "input_size": scaling.size.numpy(),
        "channel_limits": np.array([CLIP, LEAST]),
        "head_output": np.array([outputs[name] for name in emulator.network.heads.names], np.int32),
        "head_scale": emulator.network.scale.double().numpy(),
        **_output_arrays(scheme),
    }
    laws = [law for law in scheme.laws if isinstance(law, ColumnClosure)]
    balances = [law for law in scheme.laws if isinstance(law, LevelClosure)]
    terms = sum(len(law.terms) for law in scheme.laws)
    if scheme.laws:
        arrays |= _law_arrays(laws, balances, inputs, outputs)
    if max(len(inputs), len(outputs), terms) > MOST_FIELDS:
        raise InputError(
            f"the scheme {scheme.name} has {len(inputs)} inputs, {len(outputs)} outputs and {terms} terms of closures: "
            f"the library takes {MOST_FIELDS} of each"
        )
    for name, array in arrays.items():
        if not np.isfinite(np.asarray(array, np.float64)).all():
            raise InputError(f"{name} of the emulator has values that are not finite: train it again")
    attributes: dict[str, Attribute] = {
        **bare.attributes,
        "scheme": scheme.name,
        "declaration": json.dumps(scheme_table(scheme)),
        "input_profiles": len(scheme.input_profiles),
        "input_scalars": len(scheme.input_scalars),
        "output_profiles": len(scheme.output_profiles),
        "output_scalars": len(scheme.output_scalars),
        "step": inputs[scheme.step] if scheme.step else -1,
        "closures": len(scheme.laws),
        "terms": terms,
        "least_levels": scheme.least_levels,
    }
    whole = replace(bare, arrays=arrays, attributes=attributes)
    return with_reduction(
        whole, emulator.network, {f"level.{name}": f"head.{name}" for name in ("weight", "bias")}
    )


def _places(names: tuple[str, ...]) -> dict[str, int]:
    return {name: n for n, name in enumerate(names)}


def _output_arrays(scheme: ColumnScheme) -> dict[str, npt.NDArray[np.generic]]:
    inputs = _places(scheme.input_names)
    bounds = np.clip(np.array([f.bounds for f in scheme.outputs], np.float64), -_LARGEST, _LARGEST)
    return {
        "output_low": bounds[:, 0],
        "output_high": bounds[:, 1],
        "output_changes": np.array([inputs.get(f.tendency_of, -1) for f in scheme.outputs], np.int32),
        "output_nonnegative": np.array([f.nonnegative for f in scheme.outputs], np.int32),
    }


def _law_arrays(
    laws: list[ColumnClosure], balances: list[LevelClosure], inputs: dict[str, int], outputs: dict[str, int]
) -> dict[str, npt.NDArray[np.generic]]:
    """Return the closures, those of the column first, with the terms of all in one list."""
    terms = [(outputs[name], -1, 1.0) for law in laws for name in law.terms]
    terms += [(outputs[t.output], inputs.get(t.by, -1), t.factor) for law in balances for t in law.terms]
    sizes = [len(law.terms) for law in laws] + [len(law.terms) for law in balances]
    none = [-1] * len(balances)
    integers = {
        "closure_is_level": [0] * len(laws) + [1] * len(balances),
        "closure_begin": np.cumsum([0, *sizes]),
        "closure_solved": [outputs[law.carried] for law in laws]
        + [outputs[law.balanced] for law in balances],
        "closure_mass": [inputs[law.mass] for law in laws] + none,
        "closure_surface": [outputs.get(law.surface, -1) for law in laws] + none,
        "term_output": [term[0] for term in terms],
        "term_by": [term[1] for term in terms],
    }
    arrays: dict[str, npt.NDArray[np.generic]] = {n: np.array(x, np.int32) for n, x in integers.items()}
    arrays["term_factor"] = np.array([term[2] for term in terms], np.float64)
    return arrays
