"""The part of a weights file that describes a bidirectional LSTM with its heads."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from sciml.coupling.weights_file import Attribute, Weights
from sciml.errors import InputError

__all__ = ["bilstm_weights"]


def bilstm_weights(
    lstm: Mapping[str, npt.ArrayLike],
    head: tuple[npt.ArrayLike, npt.ArrayLike],
    pool: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
) -> Weights:
    """Return the arrays and attributes of a bare Bi-LSTM, as the native library reads them.

    Parameters
    ----------
    lstm
        State of a bidirectional ``torch.nn.LSTM`` (batch_first, with biases): ``weight_ih_l0`` (4H, C),
        ``weight_hh_l0`` (4H, H), ``bias_ih_l0``, ``bias_hh_l0`` (4H), the same ``_reverse``, and so on by
        layer; gates in torch's order i, f, g, o.
    head
        Weight (outputs + pool_inputs, 2H) and bias of the 1x1 map on every level.
    pool
        Weight (pooled, pool_inputs, levels) and bias (pooled) of the linear map over the levels of the last
        pool_inputs channels of the head; those channels are not outputs of their own.

    Raises
    ------
    InputError
        When the shapes do not match.
    """
    state = {name: np.asarray(value) for name, value in lstm.items()}
    layers = sum(1 for name in state if re.fullmatch(r"weight_ih_l\d+", name))
    if "weight_ih_l0_reverse" not in state or "bias_ih_l0" not in state or len(state) != 8 * layers:
        raise InputError(
            "these are not the parameters of a bidirectional LSTM with biases: "
            f"{', '.join(sorted(state)) or 'none'}"
        )
    hidden, channels = state["weight_hh_l0"].shape[1], state["weight_ih_l0"].shape[1]
    weight, bias = (np.asarray(part) for part in head)
    if weight.ndim != 2 or weight.shape[1] != 2 * hidden or bias.shape != weight.shape[:1]:
        raise InputError(
            f"the head has shapes {weight.shape} and {bias.shape}; it needs (n, {2 * hidden}) and (n,)"
        )
    arrays = {f"lstm.{name}": value for name, value in state.items()}
    arrays |= {"head.weight": weight, "head.bias": bias}
    pool_inputs = pooled = levels = 0
    if pool is not None:
        kernel, offset = (np.asarray(part) for part in pool)
        if kernel.ndim != 3 or offset.shape != kernel.shape[:1] or kernel.shape[1] > weight.shape[0]:
            raise InputError(
                f"the pooled head has shapes {kernel.shape} and {offset.shape}; it needs "
                f"(pooled, pool_inputs <= {weight.shape[0]}, levels) and (pooled,)"
            )
        pooled, pool_inputs, levels = kernel.shape
        arrays |= {"pool.weight": kernel, "pool.bias": offset}
    attributes: dict[str, Attribute] = {
        "network": "bilstm",
        "weight_format": "float",
        "channels": channels,
        "layers": layers,
        "hidden": hidden,
        "outputs": weight.shape[0] - pool_inputs,
        "pool_inputs": pool_inputs,
        "pooled": pooled,
        "pool_levels": levels,
    }
    return Weights(arrays, attributes)
