"""Short text representation of problems, for fields of any size."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

from sciml.tables import html_table

__all__ = ["represent", "problem_table"]

LONGEST = 160


def represent(problem: Any) -> str:
    """Return the repr of a dataclass with shape and range of arrays, and names of functions.

    Examples
    --------
    >>> from sciml.pde.elliptic import Poisson
    >>> print(represent(Poisson(64, source=np.linspace(0, 1, 4096).reshape(64, 64))).split(", b")[0])
    Poisson(resolution=64, source=array 64 x 64 in [0, 1]
    """
    return f"{type(problem).__name__}({', '.join(f'{name}={value}' for name, value in _settings(problem))})"


def problem_table(problem: Any) -> str:
    """Return the settings of a problem as an HTML table."""
    rows = [(name.replace("_", " "), value) for name, value in _settings(problem)]
    return html_table(type(problem).__name__, rows)


def _settings(problem: Any) -> list[tuple[str, str]]:
    return [(field.name, _short(getattr(problem, field.name))) for field in fields(problem) if field.repr]


def _short(value: Any) -> str:
    if isinstance(value, tuple):
        return "(" + ", ".join(_short(item) for item in value) + ("," if len(value) == 1 else "") + ")"
    if isinstance(value, list) and len(value) > 3:
        return f"list of {len(value)}"
    if callable(value) and hasattr(value, "__name__"):
        return str(value.__name__)
    if getattr(value, "ndim", 0) and hasattr(value, "shape"):
        shape = " x ".join(str(n) for n in value.shape)
        if hasattr(value, "dask") or getattr(value, "chunks", None):
            return f"lazy array {shape} of {value.dtype}"  # a repr does not compute lazy arrays
        values = np.asarray(value)
        if not (values.size and np.issubdtype(values.dtype, np.number)):
            return f"array {shape} of {values.dtype}"
        return f"array {shape} in [{values.min():.4g}, {values.max():.4g}]"
    shown = repr(value)
    return shown if len(shown) <= LONGEST else shown[: LONGEST - 3] + "..."
