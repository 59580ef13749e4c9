"""The schema number of a file: the version of its structure."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sciml.checks import is_whole
from sciml.errors import SchemaError

__all__ = ["check_schema"]


def check_schema(
    schema: object, expected: int, file: str | Path, remedy: str, *, oldest: int | None = None
) -> int:
    """Check the schema number of a file, and return it.

    Parameters
    ----------
    schema
        The number in the file; None where there is none.
    expected
        The number that this version writes.
    file
        Path of the file, for the message.
    remedy
        How the file is made again, for the message.
    oldest
        The oldest schema that this version migrates; by default it reads ``expected`` only.

    Raises
    ------
    SchemaError
        There is no number, or the file has another schema.

    Examples
    --------
    >>> check_schema(2, 2, "store.zarr", "write it again")
    2
    >>> check_schema(1, 2, "store.zarr", "write it again")
    Traceback (most recent call last):
    sciml.errors.SchemaError: store.zarr has schema 1, this version reads schema 2: write it again
    """
    if isinstance(schema, np.ndarray) and schema.size == 1:  # as h5netcdf reads an attribute
        schema = schema.item()
    reads = f"this version reads schema {expected}"
    if oldest is not None and oldest < expected:
        reads = f"this version reads schemas {oldest} to {expected}"
    if schema is None:
        raise SchemaError(f"{file} has no schema number, {reads}: {remedy}")
    if not is_whole(schema):
        raise SchemaError(f"{file} has schema {schema!r}, {reads}: {remedy}")
    if schema > expected:
        raise SchemaError(f"{file} has schema {schema}, {reads}: upgrade sciml, or {remedy}")
    if schema < (expected if oldest is None else oldest):
        raise SchemaError(f"{file} has schema {schema}, {reads}: {remedy}")
    return int(schema)
