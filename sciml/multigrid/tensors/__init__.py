"""Multigrid hierarchies as torch tensors: cycles and solves for batches, on CPU and GPU, with gradients."""

from __future__ import annotations

from sciml.multigrid.tensors.adjoint import solve_csr, solve_diffusion, solve_stencil
from sciml.multigrid.tensors.hierarchy import TorchHierarchy
from sciml.multigrid.tensors.iteration import BatchSolution
from sciml.multigrid.tensors.stencils import StencilHierarchy

__all__ = [
    "BatchSolution",
    "StencilHierarchy",
    "TorchHierarchy",
    "solve_csr",
    "solve_diffusion",
    "solve_stencil",
]
