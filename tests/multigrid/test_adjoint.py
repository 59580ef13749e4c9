"""Gradients through solves against finite differences."""

import torch

TIGHT = {"rtol": 1e-13, "max_cycles": 60}


def drawn(*shape: int, seed: int = 7) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def wind(n: int):
    """A matrix that is far from symmetric: ADVECTION"""
