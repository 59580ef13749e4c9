"""Attributes of a dataset: its grid and the parameters of its family."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sciml.errors import InputError, MissingVariable, SchemaError, SciMLError
from sciml.pde.grid import Grid
from sciml.storage.schema import check_schema

if TYPE_CHECKING:
    import xarray as xr

__all__ = [
    "DATASET_SCHEMA",
    "check_written",
    "grid_in_attributes",
    "named_in_errors",
    "parameters_of",
    "readable",
]

DATASET_SCHEMA: Final = 1
"""Schema of the datasets that `sciml.pde.generate` makes, their attribute ``sciml_dataset``."""


def check_written(dataset: xr.Dataset, name: str) -> None:
    """Check the schema of a dataset that sciml generated; one of another origin has none.

    Raises
    ------
    SchemaError
        The dataset has another schema.
    InputError
        It is another kind of file that sciml writes.
    """
    if "sciml_schema" in dataset.attrs:
        kind = "a weights file" if "checksum" in dataset.attrs else "a store of columns"
        raise InputError(f"{name} is {kind}, not a dataset of PDE problems: give one")
    if "sciml_dataset" in dataset.attrs:
        check_schema(
            dataset.attrs["sciml_dataset"],
            DATASET_SCHEMA,
            name,
            "generate it again with 'sciml pde generate'",
        )


def grid_in_attributes(dataset: xr.Dataset) -> Grid:
    """Return the grid in the attributes of a dataset; the shape of the fields is not checked.

    Raises
    ------
    InputError
        There is no attribute ``grid``.
    SchemaError
        The attribute ``grid`` does not describe a grid.
    """
    text = dataset.attrs.get("grid")
    if text is None:
        raise InputError(
            "the dataset does not describe its grid (no attribute 'grid'): give grid=, such as "
            "Grid((63, 63), 'vertex', Boundary.all('dirichlet'))"
        )
    try:
        return Grid.from_json(text if isinstance(text, Mapping) else json.loads(text))
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise SchemaError(f"the attribute 'grid' is {text!r}: it should be Grid.to_json() as text") from error


def parameters_of(dataset: xr.Dataset) -> dict[str, Any]:
    """Return the parameters of the family in the attribute ``family_parameters``; empty without it.

    Raises
    ------
    SchemaError
        The attribute is not a JSON object.
    """
    text = dataset.attrs.get("family_parameters")
    if not text:
        return {}
    try:
        return dict(json.loads(text))
    except (TypeError, ValueError) as error:
        raise SchemaError(
            f"the attribute 'family_parameters' is {str(text)[:60]!r}: it should be Family.parameters() as JSON"
        ) from error


@contextlib.contextmanager
def named_in_errors(path: object) -> Iterator[None]:
    """Put the path of a file, if it is one, before the text of a `MissingVariable`."""
    try:
        yield
    except MissingVariable as error:
        if not isinstance(path, str | Path):
            raise
        raise MissingVariable(f"{path}: {error}") from error


@contextlib.contextmanager
def readable(what: str) -> Iterator[None]:
    """Convert the errors of the file libraries to one `InputError` if the values of a file cannot be read.

    Raises
    ------
    InputError
        A value cannot be read; the message names the file.
    """
    try:
        yield
    except (RuntimeError, OSError, ValueError, EOFError) as error:
        if isinstance(error, SciMLError):
            raise
        raise InputError(f"the values of {what} cannot be read ({error}): is the file whole?") from error
