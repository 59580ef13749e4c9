"""The published network and two others, made in torch, for the tests of the native library."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from sciml.coupling.bilstm_export import bilstm_weights
from sciml.coupling.weights_file import Weights


class Net(torch.nn.Module):
    """A Bi-LSTM with a 1x1 head and a head pooled over the levels; the defaults are the published sizes."""

    def __init__(
        self,
        channels: int = 27,
        hidden: int = 32,
        layers: int = 3,
        outputs: int = 8,
        levels: int = 44,
        pooled: int = 1,
    ) -> None:
        super().__init__()
        self.lstm = torch.nn.LSTM(channels, hidden, layers, batch_first=True, bidirectional=True)
        self.regression = torch.nn.Conv1d(2 * hidden, outputs, 1)
        self.inner = torch.nn.Conv1d(2 * hidden, 1, 1) if pooled else None
        self.trigger = torch.nn.Linear(levels, pooled) if pooled else None

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        state = self.lstm(x)[0].transpose(1, 2)
        levels = self.regression(state).transpose(1, 2)
        if self.inner is None or self.trigger is None:
            return levels, levels.new_zeros(len(levels), 0)
        return levels, self.trigger(self.inner(state)[:, 0])

    def weights(self) -> Weights:
        def array(tensor: torch.Tensor) -> npt.NDArray[np.float32]:
            return np.asarray(tensor.detach().numpy().astype(np.float32))

        head = [self.regression] if self.inner is None else [self.regression, self.inner]
        weight = np.concatenate([array(part.weight)[..., 0] for part in head])
        bias = np.concatenate([array(part.bias) for part in head if part.bias is not None])
        pool = (
            None
            if self.trigger is None
            else (array(self.trigger.weight)[:, None, :], array(self.trigger.bias))
        )
        return bilstm_weights(
            {name: array(p) for name, p in self.lstm.named_parameters()}, (weight, bias), pool
        )

    def exact(self, x: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Compute the outputs in double precision."""
        with torch.inference_mode():
            self.double()
            levels, pooled = self(torch.from_numpy(x).double())
            self.float()
        return levels.numpy(), pooled.numpy()


@dataclass(frozen=True)
class Case:
    name: str
    make: Callable[[], Net]
    levels: int


CASES = (
    Case("published", Net, 44),
    Case("odd sizes, no pooled head", lambda: Net(5, 13, 1, 3, 9, 0), 9),
    Case("wide", lambda: Net(19, 64, 2, 17, 30, 3), 30),
    Case("one level, one unit", lambda: Net(1, 1, 2, 1, 1, 1), 1),
)


def make(case: Case) -> Net:
    torch.manual_seed(17)
    return case.make().eval()


def inputs(net: Net, columns: int, levels: int, seed: int = 23) -> npt.NDArray[np.float32]:
    draw = np.random.default_rng(seed)
    return draw.standard_normal((columns, levels, net.lstm.input_size)).astype(np.float32)
