"""Weights on the grid of a plan, chosen so that the outputs of each layer change least on given data.

Nearest rounding makes errors whose sum over correlated inputs is large. Here the columns of a weight are rounded one
after the other, and those that remain, with the bias as the last, take the values that compensate the errors best in
the least-squares sense, as in OBQ and GPTQ (Frantar et al., arXiv 2210.17323). The shifts and the joint treatment of
the two matrices and the bias of an LSTM's direction are our form. Nothing is trained.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from sciml.compress.formats import BLOCK
from sciml.compress.matrices import block_codes, power_of_two
from sciml.compress.plan import Plan
from sciml.errors import InputError
from sciml.nn.lstm import LSTM

__all__ = ["Run", "calibrate", "calibrated"]

Run = Callable[[nn.Module], object]

DAMPING = 1e-3  # of the mean square of an input, added to each
LARGER_SHIFTS = 1  # tried beyond the one that represents the largest weight of a block
SAMPLES = 200_000  # rows of inputs of a layer that are used


def calibrated(model: nn.Module, plan: Plan, run: Run) -> nn.Module:
    """Copy a network with weights on the grid of a plan.

    Parameters
    ----------
    model
        Network with dense weights; it is not changed.
    plan
        Plan of the network. Weights of LSTMs and linear layers that it stores as ``int8`` or ``int4`` are computed
        here, with any block; all other tensors stay as they are.
    run
        Function that applies the network to data of the kind that it was trained on.

    Returns
    -------
    Module
        A copy whose weights the formats of the plan represent exactly.

    Raises
    ------
    InputError
        The inputs of a layer are not finite, or none are given to the network.
    """
    made = copy.deepcopy(model)
    calibrate(made, plan, run)
    return made


def calibrate(model: nn.Module, plan: Plan, run: Run) -> None:
    """Give a network weights on the grid of a plan, in place; see `calibrated`."""
    layers = [(name, part) for name, part in model.named_modules() if isinstance(part, LSTM | nn.Linear)]
    for name, layer in layers:
        grids = {
            own: grid
            for own, _ in layer.named_parameters(recurse=False)
            if (grid := _grid(plan.storage.get(f"{name}.{own}" if name else own, ""))) is not None
        }
        if not grids:
            continue
        inputs = _inputs(model, layer, run, name)
        if isinstance(layer, LSTM):
            if layer.batch_first and not layer.proj_size and layer.bias:
                _calibrate_lstm(layer, inputs, grids)
        else:
            _calibrate_linear(layer, inputs, grids["weight"])


def _grid(chosen: str) -> tuple[int, int] | None:
    """Return bits and block of a format, None for those without a grid of integers."""
    name, _, block = chosen.partition("-")
    bits = {"int8": 8, "int4": 4}.get(name)
    return None if bits is None else (bits, int(block) if block else BLOCK)


@torch.no_grad()
def _inputs(model: nn.Module, layer: nn.Module, run: Run, name: str) -> Tensor:
    """Return the inputs of a layer in a run, (sample, ..., feature)."""
    seen: list[Tensor] = []

    def keep(module: nn.Module, given: tuple[Tensor, ...]) -> None:
        seen.append(given[0].detach().float())

    hook = layer.register_forward_pre_hook(keep)
    try:
        run(model)
    finally:
        hook.remove()
    if not seen:
        raise InputError(
            f"the data for the calibration do not reach the layer {name!r}: give a function that applies the network"
        )
    joined = torch.cat(seen)
    if not bool(torch.isfinite(joined).all()):
        raise InputError(f"inputs of the layer {name!r} are not finite: give other data for the calibration")
    return joined


@torch.no_grad()
def _calibrate_linear(layer: nn.Linear, x: Tensor, grid: tuple[int, int]) -> None:
    rows = _thinned(x.reshape(-1, x.shape[-1]))
    bias = layer.bias
    free = torch.ones(len(rows), 0 if bias is None else 1, dtype=rows.dtype, device=rows.device)
    parts = [layer.weight.double(), *([] if bias is None else [bias.double()[:, None]])]
    weight = _compensated(torch.cat(parts, 1), torch.cat([rows, free], 1), [(layer.in_features, *grid)])
    layer.weight.copy_(weight[:, : layer.in_features])
    if bias is not None:
        bias.copy_(weight[:, -1])


@torch.no_grad()
def _calibrate_lstm(lstm: LSTM, x: Tensor, grids: dict[str, tuple[int, int]]) -> None:
    """Compute the weights of the layers one after the other, each from the outputs of the rounded one below."""
    for layer in range(lstm.num_layers):
        outputs = []
        for suffix in ("", "_reverse") if lstm.bidirectional else ("",):
            own = LSTM(x.shape[-1], lstm.hidden_size, batch_first=True).to(x.device)
            names = [f"{part}_l{layer}{suffix}" for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
            own.load_state_dict(
                {f"{name.partition('_l')[0]}_l0": getattr(lstm, name).float() for name in names}
            )
            given = x.flip(1) if suffix else x
            if all(name in grids for name in names[:2]):
                _calibrate_direction(own, given, grids[names[0]], grids[names[1]])
                for name in names:
                    getattr(lstm, name).copy_(getattr(own, f"{name.partition('_l')[0]}_l0"))
            state, _ = own(given)
            outputs.append(state.flip(1) if suffix else state)
        x = torch.cat(outputs, -1)


def _calibrate_direction(lstm: LSTM, x: Tensor, ih: tuple[int, int], hh: tuple[int, int]) -> None:
    """Compute both matrices and the bias of an LSTM with one layer and direction; its second bias becomes zero."""
    weights = {name.removesuffix("_l0"): tensor for name, tensor in lstm.named_parameters()}
    state, _ = lstm(x)
    before = torch.cat([torch.zeros_like(state[:, :1]), state[:, :-1]], 1)
    rows = torch.cat([x, before, torch.ones_like(x[..., :1])], -1)
    bias = (weights["bias_ih"] + weights["bias_hh"])[:, None]
    weight = torch.cat([weights["weight_ih"], weights["weight_hh"], bias], 1).double()
    cuts = [(x.shape[-1], *ih), (lstm.hidden_size, *hh)]
    made = _compensated(weight, _thinned(rows.reshape(-1, rows.shape[-1])), cuts)
    weights["weight_ih"].copy_(made[:, : x.shape[-1]])
    weights["weight_hh"].copy_(made[:, x.shape[-1] : -1])
    weights["bias_ih"].copy_(made[:, -1])
    weights["bias_hh"].zero_()


def _thinned(rows: Tensor) -> Tensor:
    return rows[:: -(-len(rows) // SAMPLES)].double()


def _compensated(weight: Tensor, rows: Tensor, cuts: list[tuple[int, int, int]]) -> Tensor:
    """Round the columns of a weight, those with the largest inputs first.

    Parameters
    ----------
    weight
        Weight (output, column), float64; columns behind those of the cuts are not rounded.
    rows
        Inputs (sample, column).
    cuts
        Number of columns, bits and block of each matrix in the weight.
    """
    hessian = rows.T @ rows / len(rows)
    diagonal = hessian.diagonal().clone()
    hessian.diagonal().add_(DAMPING * diagonal.mean().clamp_min(1e-30))
    steps, limits, at = [], [], 0
    for count, bits, block in cuts:
        steps.append(_steps(weight[:, at : at + count], diagonal[at : at + count], bits, block))
        limits += [2 ** (bits - 1) - 1] * count
        at += count
    step = torch.cat(steps, 1)
    order = torch.cat([torch.argsort(diagonal[:at], descending=True), torch.arange(at, weight.shape[1])])
    upper = torch.linalg.cholesky(torch.linalg.inv(hessian[order][:, order]), upper=True)
    made = weight[:, order].clone()
    for number, column in enumerate(order[:at].tolist()):
        exact = made[:, number].clone()
        size, limit = step[:, column], limits[column]
        rounded = torch.round(exact / size).clamp(-limit, limit) * size
        made[:, number:] -= ((exact - rounded) / upper[number, number])[:, None] * upper[number, number:]
        made[:, number] = rounded
    result = torch.empty_like(made)
    result[:, order] = made
    return result


def _steps(weight: Tensor, squares: Tensor, bits: int, block: int) -> Tensor:
    """Return the step of each weight: the power of two with the least error of its block, large codes clipped."""
    limit = 2 ** (bits - 1) - 1
    result = torch.empty_like(weight)
    for at in range(0, weight.shape[1], block):
        part = weight[:, at : at + block]
        _, shift = block_codes(part.float(), bits)
        choices = torch.stack([power_of_two(-(shift + more)).double() for more in range(LARGER_SHIFTS + 1)])
        errors = torch.round(part / choices).clamp(-limit, limit) * choices - part
        best = (errors.square() * squares[at : at + block]).sum(-1).argmin(0)
        result[:, at : at + block] = choices[best, torch.arange(len(part), device=part.device)]
    return result
