"""Numbers that the published programs computed, by case."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor

from tests.paths import REPO


@cache
def _file(name: str) -> dict[str, Tensor]:
    with np.load(REPO / "tests" / "oracles" / f"{name}.npz") as stored:
        return {key: torch.from_numpy(stored[key]) for key in stored.files}


def cases(name: str, ending: str = "/out") -> list[str]:
    """Return the cases of a file, which have an array of this ending."""
    return [key.removesuffix(ending) for key in _file(name) if key.endswith(ending)]


def case(name: str, of: str) -> dict[str, Tensor]:
    """Return copies of the arrays of a case."""
    return {
        key.removeprefix(f"{of}/"): value.clone()
        for key, value in _file(name).items()
        if key.startswith(f"{of}/")
    }


def assert_near(mine: Tensor | None, official: Tensor, tolerance: float) -> None:
    """Compare with an error relative to the largest number of the official tensor."""
    assert mine is not None
    assert mine.shape == official.shape
    error = float((mine.detach() - official).abs().max() / official.abs().max().clamp_min(1e-30))
    assert error <= tolerance, error
