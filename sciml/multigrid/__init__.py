"""Multigrid hierarchies of the discretised problems: pyamg's, and the same levels as tensors."""
