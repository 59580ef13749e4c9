"""Weights on the grid of a plan, chosen so that the outputs of each layer change least on given data.

Nearest rounding makes errors whose sum over correlated inputs is large. Here the columns of a weight are rounded one
after the other, and those that remain, with the bias as the last, take the values that compensate the errors best in
the least-squares sense, as in OBQ and GPTQ (Frantar et al., arXiv 2210.17323). A layer sees the inputs that the rounded
layers below give it. Before its own rounding it takes the weights that give the outputs of the exact network on these
inputs best, by linear regression, as in GPTAQ (Li et al., arXiv 2504.02692). The shifts, the partial correction and the
joint treatment of the two matrices and the bias of an LSTM's direction are our form. Nothing is trained.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor, nn

from sciml.compress.formats import BLOCK
from sciml.compress.matrices import block_codes, power_of_two
from sciml.compress.plan import Plan
from sciml.errors import InputError
from sciml.nn.lstm import LSTM

__all__ = ["Run", "calibrate"]

Run = Callable[[nn.Module], object]
Grid = tuple[int, int]
"""Bits and block."""

DAMPINGS = (1e-5, 1e-6)
"""Shares of the mean square of an input that are added to each, of which each row gets the better.

Larger ones hide channels that hardly vary. Those of the vertical velocity in the published network have variances of
3e-4 and the largest weights: with 1e-3, 8 bits lowered one of its R2 by 0.024.
"""
RIDGE = 1e-2  # of the regression, in the same unit
CORRECTION = 0.5
"""Share of the regression's change that the matrices of an LSTM get.

The regression does not know that a changed state returns at the next level: the whole change makes errors of the next
layer larger, and half of it the least, on training columns of the published network.
"""
LARGER_SHIFTS = 1  # tried beyond the one that represents the largest weight of a block
PARTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
SAMPLES = 200_000  # rows of inputs of a layer that are used


def calibrate(model: nn.Module, plan: Plan, run: Run) -> None:
    """Give a network weights that the formats of a plan represent exactly, in place.

    Parameters
    ----------
    model
        Network with dense weights.
    plan
        Plan of the network. Weights of LSTMs and linear layers that it stores as ``int8`` or ``int4`` are computed
        here, with any block; all other tensors stay as they are.
    run
        Function that applies the network to data of the kind that it was trained on.

    Raises
    ------
    InputError
        The inputs of a layer are not finite, or none are given to the network.
    """
    layers, grids = {}, {}
    for name, part in model.named_modules():
        if isinstance(part, LSTM | nn.Linear) and (own := _grids(name, part, plan)):
            layers[name], grids[name] = part, own
    exact = _inputs(model, layers, run)
    for name, layer in layers.items():
        inputs = _inputs(model, {name: layer}, run)[name]
        if isinstance(layer, LSTM):
            if layer.batch_first and not layer.proj_size and layer.bias:
                _calibrate_lstm(layer, inputs, exact.pop(name), grids[name])
        else:
            _calibrate_linear(layer, inputs, exact.pop(name), grids[name]["weight"])


def _grids(name: str, layer: nn.Module, plan: Plan) -> dict[str, Grid]:
    """Return the grid of each weight of a layer that has one."""
    own = [key for key, _ in layer.named_parameters(recurse=False)]
    grids = {key: _grid(plan.storage.get(f"{name}.{key}" if name else key, "")) for key in own}
    return {key: grid for key, grid in grids.items() if grid is not None}


def _grid(chosen: str) -> Grid | None:
    """Return bits and block of a format, None for those without a grid of integers."""
    name, _, block = chosen.partition("-")
    bits = {"int8": 8, "int4": 4}.get(name)
    return None if bits is None else (bits, int(block) if block else BLOCK)


@torch.no_grad()
def _inputs(model: nn.Module, layers: Mapping[str, nn.Module], run: Run) -> dict[str, Tensor]:
    """Return the inputs of layers in a run, (sample, ..., feature)."""
    seen: dict[str, list[Tensor]] = {name: [] for name in layers}

    def keep(name: str, module: nn.Module, given: tuple[Tensor, ...]) -> None:
        seen[name].append(given[0].detach().float())

    hooks = [layer.register_forward_pre_hook(partial(keep, name)) for name, layer in layers.items()]
    try:
        run(model)
    finally:
        for hook in hooks:
            hook.remove()
    for name, parts in seen.items():
        if not parts:
            raise InputError(
                f"the data for the calibration do not reach the layer {name!r}: give a function that applies the "
                "network"
            )
    joined = {name: torch.cat(parts) for name, parts in seen.items()}
    for name, inputs in joined.items():
        if not bool(torch.isfinite(inputs).all()):
            raise InputError(
                f"inputs of the layer {name!r} are not finite: give other data for the calibration"
            )
    return joined


@torch.no_grad()
def _calibrate_linear(layer: nn.Linear, x: Tensor, exact: Tensor, grid: Grid) -> None:
    rows, before = (_thinned(part.reshape(-1, part.shape[-1])) for part in (x, exact))
    weight = layer.weight.double()
    if layer.bias is not None:
        weight = torch.cat([weight, layer.bias.double()[:, None]], 1)
        rows, before = (torch.cat([part, torch.ones_like(part[:, :1])], 1) for part in (rows, before))
    made = _rounded(_corrected(weight, rows, before, 1.0), rows, [(layer.in_features, *grid)])
    layer.weight.copy_(made[:, : layer.in_features])
    if layer.bias is not None:
        layer.bias.copy_(made[:, -1])


@torch.no_grad()
def _calibrate_lstm(lstm: LSTM, x: Tensor, exact: Tensor, grids: Mapping[str, Grid]) -> None:
    """Compute the weights of the layers one after the other, each from the outputs of the rounded one below."""
    for layer in range(lstm.num_layers):
        outputs, wanted = [], []
        for suffix in ("", "_reverse") if lstm.bidirectional else ("",):
            names = [f"{part}_l{layer}{suffix}" for part in PARTS]
            own = _direction(lstm, names, x)
            given, before = (x.flip(1), exact.flip(1)) if suffix else (x, exact)
            states = own(before)[0]
            if all(name in grids for name in names[:2]):
                _calibrate_direction(own, given, before, grids[names[0]], grids[names[1]])
                for name, part in zip(names, PARTS, strict=True):
                    getattr(lstm, name).copy_(getattr(own, f"{part}_l0"))
            both = own(given)[0], states
            made, right = (part.flip(1) for part in both) if suffix else both
            outputs.append(made)
            wanted.append(right)
        x, exact = torch.cat(outputs, -1), torch.cat(wanted, -1)


def _direction(lstm: LSTM, names: list[str], x: Tensor) -> LSTM:
    """Copy a direction of a layer with inputs like x; the copy reads the levels in their order."""
    own = LSTM(x.shape[-1], lstm.hidden_size, batch_first=True).to(x.device)
    own.load_state_dict(
        {f"{part}_l0": getattr(lstm, name).float() for part, name in zip(PARTS, names, strict=True)}
    )
    return own


def _calibrate_direction(lstm: LSTM, x: Tensor, exact: Tensor, ih: Grid, hh: Grid) -> None:
    """Compute both matrices and the bias of an LSTM with one layer and direction; its second bias becomes zero."""
    weights = {name.removesuffix("_l0"): tensor for name, tensor in lstm.named_parameters()}
    rows, before = _with_states(lstm, x), _with_states(lstm, exact)
    bias = (weights["bias_ih"] + weights["bias_hh"])[:, None]
    weight = torch.cat([weights["weight_ih"], weights["weight_hh"], bias], 1).double()
    cuts = [(x.shape[-1], *ih), (lstm.hidden_size, *hh)]
    made = _rounded(_corrected(weight, rows, before, CORRECTION), rows, cuts)
    weights["weight_ih"].copy_(made[:, : x.shape[-1]])
    weights["weight_hh"].copy_(made[:, x.shape[-1] : -1])
    weights["bias_ih"].copy_(made[:, -1])
    weights["bias_hh"].zero_()


def _with_states(lstm: LSTM, x: Tensor) -> Tensor:
    """Return what the weights of an LSTM with one layer multiply: inputs, states of the level before, and ones."""
    state, _ = lstm(x)
    before = torch.cat([torch.zeros_like(state[:, :1]), state[:, :-1]], 1)
    rows = torch.cat([x, before, torch.ones_like(x[..., :1])], -1)
    return _thinned(rows.reshape(-1, rows.shape[-1]))


def _thinned(rows: Tensor) -> Tensor:
    return rows[:: -(-len(rows) // SAMPLES)].double()


def _damped(squares: Tensor, share: float) -> Tensor:
    """Return mean products of inputs (column, column) with a share of the mean square on the diagonal."""
    size = squares.diagonal().mean().clamp_min(1e-30)
    return squares + share * size * torch.eye(len(squares), dtype=squares.dtype, device=squares.device)


def _corrected(weight: Tensor, rows: Tensor, exact: Tensor, share: float) -> Tensor:
    """Change a weight (output, column) towards the regression of its outputs for `exact` on `rows` (sample, column)."""
    if torch.equal(rows, exact):
        return weight
    differences = weight @ ((exact - rows).T @ rows / len(rows))
    squares = _damped(rows.T @ rows / len(rows), RIDGE)
    change: Tensor = torch.linalg.solve(squares, differences.T).T
    return weight + share * change


def _rounded(weight: Tensor, rows: Tensor, cuts: list[tuple[int, int, int]]) -> Tensor:
    """Round the columns of a weight with the shifts and the damping that are best for each of its rows.

    Parameters
    ----------
    weight
        Weight (output, column), float64; columns behind those of the cuts are not rounded.
    rows
        Inputs (sample, column).
    cuts
        Number of columns, bits and block of each matrix in the weight.
    """
    squares = rows.T @ rows / len(rows)
    limits = [2 ** (bits - 1) - 1 for count, bits, _ in cuts for _ in range(count)]
    best, least = weight, torch.full_like(weight[:, 0], torch.inf)
    for shifts in itertools.product((*range(LARGER_SHIFTS + 1), None), repeat=len(cuts)):
        steps, at = [], 0
        for (count, bits, block), more in zip(cuts, shifts, strict=True):
            own = slice(at, at + count)
            steps.append(_steps(weight[:, own], squares.diagonal()[own], bits, block, more))
            at += count
        for damping in DAMPINGS:
            made = _compensated(weight, _damped(squares, damping), torch.cat(steps, 1), limits)
            error = (((made - weight) @ squares) * (made - weight)).sum(1)
            best = torch.where((error < least)[:, None], made, best)
            least = torch.minimum(error, least)
    return best


def _compensated(weight: Tensor, squares: Tensor, step: Tensor, limits: list[int]) -> Tensor:
    """Round the first columns of a weight to steps (output, column), those with the largest inputs first."""
    count = len(limits)
    largest = torch.argsort(squares.diagonal()[:count], descending=True)
    order = torch.cat([largest, torch.arange(count, weight.shape[1], device=weight.device)])
    upper = torch.linalg.cholesky(torch.linalg.inv(squares[order][:, order]), upper=True)
    made = weight[:, order].clone()
    for number, column in enumerate(largest.tolist()):
        exact = made[:, number].clone()
        size, limit = step[:, column], limits[column]
        rounded = torch.round(exact / size).clamp(-limit, limit) * size
        made[:, number:] -= ((exact - rounded) / upper[number, number])[:, None] * upper[number, number:]
        made[:, number] = rounded
    result = torch.empty_like(made)
    result[:, order] = made
    return result


def _steps(weight: Tensor, squares: Tensor, bits: int, block: int, more: int | None) -> Tensor:
    """Return the step of each weight: that of its block's largest one, halved `more` times.

    None halves those of the blocks whose rounding then changes the outputs less, with mean squares of the inputs.
    """
    limit = 2 ** (bits - 1) - 1
    result = torch.empty_like(weight)
    for at in range(0, weight.shape[1], block):
        part = weight[:, at : at + block]
        _, shift = block_codes(part.float(), bits)
        halvings = range(LARGER_SHIFTS + 1) if more is None else (more,)
        choices = torch.stack([power_of_two(-(shift + halved)).double() for halved in halvings])
        errors = torch.round(part / choices).clamp(-limit, limit) * choices - part
        best = (errors.square() * squares[at : at + block]).sum(-1).argmin(0)
        result[:, at : at + block] = choices[best, torch.arange(len(part), device=part.device)]
    return result
