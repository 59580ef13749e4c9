"""Values of a config as JSON: checks, conversion of NumPy values, and a checksum."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from sciml.errors import InputError

__all__ = ["check_keys", "config_digest", "plain_value", "reject_constant"]


def check_keys(value: object, where: str) -> None:
    """Check that all keys of nested mappings are str.

    Raises
    ------
    InputError
        A key is not; the message says where.
    """
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise InputError(f"{where} has the key {key!r}: JSON keys are str, write {str(key)!r}")
            check_keys(item, f"{where}[{key!r}]")
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            check_keys(item, f"{where}[{number}]")


def plain_value(value: object) -> object:
    """Convert NumPy scalars and arrays for `json.dumps`; anything else raises a TypeError that shows it."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} {value!r}")


def reject_constant(name: str) -> float:
    """Raise a ValueError for NaN and infinities, which Python reads from JSON though it is not valid."""
    raise ValueError(f"{name} in it is not JSON")


def config_digest(config: Mapping[str, Any]) -> str:
    """Checksum of a config without its own checksums, independent of whitespace."""
    content = {name: value for name, value in config.items() if name != "sha256"}
    text = json.dumps(content, sort_keys=True, allow_nan=False, default=plain_value, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
