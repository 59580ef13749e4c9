"""An LSTM that computes with small integers or bfloat16, bit for bit as the native library does."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from sciml.compress.arithmetic import LARGEST_INPUT, check_block
from sciml.compress.matrices import Activations, Matrix, check_kind, refuse_gradients
from sciml.compress.tables import table_sigmoid, table_tanh
from sciml.errors import InputError
from sciml.nn.lstm import LSTM

__all__ = ["ReducedLSTM"]

COLUMNS = 512  # computed at a time
ONE = 2.0**-15  # unit of the hidden state, of gates and of tanh
LARGEST = 32767


class ReducedLSTM(LSTM):
    """An LSTM for inference whose matrices are block-shift integers, signs or bfloat16.

    Weights are dense float32 parameters with the names of `torch.nn.LSTM`, converted at each call. Activations are
    8-bit codes with a shift for each block (bfloat16 for bfloat16 matrices), sums are added in float32, gates and tanh
    come from integer tables of 16 bits (`sciml.compress.tables`), the hidden state has 16 bits, and the cell state is
    float32. If any input of a column is not finite, or 2^80 or larger, all its outputs are NaN. Layers and their order
    are those of `torch.nn.LSTM`; the arithmetic is our form.

    Parameters
    ----------
    lstm
        LSTM with trained weights, with ``batch_first`` and without projections; it is not changed.
    kinds
        Kind of arithmetic of each ``weight_*``, none of them ``float32``.
    block
        Values in a block.
    planes
        1, or 2 for codes of 16 bits of the input of the first layer.

    Raises
    ------
    InputError
        A kind, the block or the planes are not available, or the LSTM has another form; in a call: as
        `sciml.nn.LSTM`, an initial state, or a gradient.

    Examples
    --------
    >>> lstm = LSTM(3, 4, bidirectional=True, batch_first=True)
    >>> reduced = ReducedLSTM(lstm, {name: "int8" for name in lstm.state_dict() if name.startswith("weight")})
    >>> with torch.no_grad():
    ...     error = (reduced(torch.ones(1, 5, 3))[0] - lstm(torch.ones(1, 5, 3))[0]).abs().max()
    >>> bool(error < 0.02)
    True
    """

    def __init__(self, lstm: LSTM, kinds: Mapping[str, str], block: int = 64, planes: int = 1) -> None:
        if lstm.proj_size or not lstm.batch_first:
            raise InputError(
                "an LSTM with projections or without batch_first has no reduced form: use batch_first=True, proj_size=0"
            )
        super().__init__(
            lstm.input_size,
            lstm.hidden_size,
            lstm.num_layers,
            bias=lstm.bias,
            batch_first=True,
            bidirectional=lstm.bidirectional,
        )
        matrices = [name for name, _ in self.named_parameters() if name.startswith("weight")]
        if set(kinds) != set(matrices):
            wrong = sorted(set(kinds) ^ set(matrices))[0]
            raise InputError(
                f"kinds of an LSTM: {wrong!r} is missing or no matrix; give {', '.join(matrices)}"
            )
        for name, kind in kinds.items():
            if check_kind(kind, name) == "float32":
                raise InputError(
                    f"arithmetic 'float32' of {name!r}: a reduced LSTM needs another kind for each matrix"
                )
        if planes not in (1, 2):
            raise InputError(f"{planes!r} planes of the input: give 1 or 2")
        self.kinds, self.block, self.planes = dict(kinds), check_block(block), planes
        state = {name: tensor.detach().float() for name, tensor in lstm.state_dict().items()}
        self.load_state_dict(state)
        self.requires_grad_(False)
        self.eval()

    def forward(  # type: ignore[override]
        self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return the output and the last hidden and cell state, in the dtype of the input."""
        if hx is not None:
            raise InputError(
                "a reduced LSTM with an initial state: it begins with zeros, leave the state out"
            )
        refuse_gradients(input, "a reduced LSTM")
        self._check(input, input)
        x = input if input.dim() == 3 else input.unsqueeze(0)
        with torch.no_grad(), torch.autocast(input.device.type, enabled=False):
            prepared = [
                self._prepared(layer, suffix)
                for layer in range(self.num_layers)
                for suffix in self._suffixes()
            ]
            parts = [self._run(part.float(), prepared) for part in torch.split(x, COLUMNS)]
        output, hidden, cell = (
            torch.cat(values, at).to(input.dtype)
            for values, at in zip(zip(*parts, strict=True), (0, 1, 1), strict=True)
        )
        if input.dim() == 3:
            return output, (hidden, cell)
        return output.squeeze(0), (hidden.squeeze(1), cell.squeeze(1))

    def _suffixes(self) -> tuple[str, ...]:
        return ("", "_reverse") if self.bidirectional else ("",)

    def _prepared(self, layer: int, suffix: str) -> tuple[Matrix, Matrix, Tensor]:
        """Return the two matrices and the bias of a direction of a layer."""
        names = [f"weight_{part}_l{layer}{suffix}" for part in ("ih", "hh")]
        planes = self.planes if layer == 0 else 1
        ih, hh = (
            Matrix.of(getattr(self, name), self.kinds[name], self.block, count)
            for name, count in zip(names, (planes, 1), strict=True)
        )
        if not self.bias:
            return ih, hh, torch.zeros(4 * self.hidden_size, device=getattr(self, names[0]).device)
        biases = [getattr(self, f"bias_{part}_l{layer}{suffix}").float() for part in ("ih", "hh")]
        return ih, hh, biases[0] + biases[1]

    def _run(self, x: Tensor, prepared: list[tuple[Matrix, Matrix, Tensor]]) -> tuple[Tensor, Tensor, Tensor]:
        """Compute finite float32 columns (column, level, feature)."""
        finite = (x.abs() < LARGEST_INPUT).all(-1).all(-1)
        x = torch.where(finite[:, None, None], x, 0.0)
        directions = len(self._suffixes())
        hidden, cells = [], []
        for layer in range(self.num_layers):
            outputs = []
            for direction in range(directions):
                ih, hh, bias = prepared[layer * directions + direction]
                codes = Activations.of(x, ih.kind, self.block, ih.planes)
                sums = ih.add(bias.expand(*x.shape[:2], -1), codes)
                states, cell = self._steps(sums, hh, direction == 1)
                outputs.append(states)
                hidden.append(states[:, 0 if direction else -1])
                cells.append(cell)
            x = torch.cat(outputs, -1)
        nan = torch.where(finite, 0.0, torch.nan)
        return x + nan[:, None, None], torch.stack(hidden) + nan[:, None], torch.stack(cells) + nan[:, None]

    def _steps(self, sums: Tensor, hh: Matrix, backward: bool) -> tuple[Tensor, Tensor]:
        """Return the hidden state at all levels and the last cell state of a direction."""
        levels = sums.shape[1]
        states: list[Tensor] = [sums] * levels
        h: Tensor | None = None
        cell = sums.new_zeros(sums.shape[0], self.hidden_size)
        for level in reversed(range(levels)) if backward else range(levels):
            total = sums[:, level]
            if h is not None:
                total = hh.add(total, Activations.of(h, hh.kind, self.block))
            i, f, g, o = total.chunk(4, -1)
            enters = (_sigmoid(i).float() * ONE) * (_tanh(g).float() * ONE)
            cell = enters if h is None else (_sigmoid(f).float() * ONE) * cell + enters
            h = ((_sigmoid(o) * _tanh(cell) + (1 << 14)) >> 15).float() * ONE
            states[level] = h
        return torch.stack(states, 1), cell


@lru_cache
def _gate_tables(device: torch.device) -> tuple[Tensor, Tensor]:
    """Return tanh and the logistic function of the codes -32767 to 32767, int32 in units of 2^-15."""
    codes = np.arange(-LARGEST, LARGEST + 1, dtype=np.int32)
    tanh, sigmoid = (torch.from_numpy(table(codes)).to(device) for table in (table_tanh, table_sigmoid))
    return tanh, sigmoid


def _looked_up(x: Tensor, scale: float, table: Tensor) -> Tensor:
    """Return the entries of a table for values in units of 1 / scale."""
    codes = (x * scale).round_().nan_to_num_(0.0).clamp_(-LARGEST, LARGEST)
    return table[codes.to(torch.int32) + LARGEST]


def _tanh(x: Tensor) -> Tensor:
    """Return tanh as whole numbers in units of 2^-15, int32."""
    return _looked_up(x, 4096.0, _gate_tables(x.device)[0])


def _sigmoid(x: Tensor) -> Tensor:
    """Return the logistic function as whole numbers in units of 2^-15, int32."""
    return _looked_up(x, 2048.0, _gate_tables(x.device)[1])
