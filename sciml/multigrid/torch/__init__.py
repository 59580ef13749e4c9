"""Multigrid hierarchies as torch tensors: cycles and solves for batches, on CPU and GPU, with gradients."""

from __future__ import annotations

from sciml.multigrid.torch.adjoint import solve_csr, solve_diffusion, solve_stencil
from sciml.multigrid.torch.hierarchy import TorchHierarchy
from sciml.multigrid.torch.krylov import BatchSolution
from sciml.multigrid.torch.stencil_hierarchy import StencilHierarchy

__all__ = [
    "BatchSolution",
    "StencilHierarchy",
    "TorchHierarchy",
    "solve_csr",
    "solve_diffusion",
    "solve_stencil",
]
