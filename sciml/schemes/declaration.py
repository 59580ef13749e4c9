"""Column schemes declared in TOML, and as data that JSON can store.

A file has the name of the scheme, a table for each field, and a table for each closure::

    name = "cooling"

    [inputs.temperature]
    units = "K"

    [outputs.heating]
    units = "K s-1"
    tendency_of = "temperature"

Fields are in the order of the file, profiles before scalars.
"""

from __future__ import annotations

import math
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from sciml.checks import is_number
from sciml.errors import InputError
from sciml.schemes.closures import ColumnClosure, LevelClosure, Term
from sciml.schemes.field import Field
from sciml.schemes.scheme import ColumnScheme

__all__ = ["load_scheme", "scheme_from", "scheme_table"]

_TOP: Final = {
    "name": str,
    "step": str,
    "least_levels": int,
    "inputs": dict,
    "outputs": dict,
    "closures": dict,
}
_INPUT: Final = {"units": str, "shape": str, "bounds": list, "note": str}
_OUTPUT: Final = {**_INPUT, "tendency_of": str, "nonnegative": bool}
_COLUMN: Final = {"kind": str, "terms": list, "carried": str, "mass": str, "surface": str}
_LEVEL: Final = {"kind": str, "terms": dict, "balanced": str}
_TERM: Final = {"factor": float, "units": str, "by": str}
_WORDS: Final = {
    str: "text", bool: "true or false", list: "an array", dict: "a table", float: "a number",
    int: "a whole number",
}  # fmt: skip
_SHAPES: Final = ("profile", "scalar")


def load_scheme(path: str | os.PathLike[str]) -> ColumnScheme:
    """Read the declaration of a column scheme from a TOML file.

    Parameters
    ----------
    path
        The file. `name` is the name of the scheme, `step` that of the input with the time step, and `least_levels`
        the least number of levels of a column, 1 by default.
        ``[inputs.NAME]`` and ``[outputs.NAME]`` have `units`, `shape` ("profile" or "scalar"), `bounds` and `note`;
        outputs also have `tendency_of` and `nonnegative`. ``[closures.NAME]`` has the `kind` "column", with `terms`
        (an array), `carried`, `mass` and `surface`, or "level", with `terms` (a table of `factor`, `units` and `by`
        for each output) and `balanced`. See `ColumnClosure` and `LevelClosure`.

    Returns
    -------
    ColumnScheme
        The declared scheme.

    Raises
    ------
    InputError
        The file cannot be read or is not TOML, or it declares no scheme: an unknown or missing key, a value of
        another type, or what `ColumnScheme`, `Field` and `check_laws` reject.
    """
    path = Path(path)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read the scheme {path}: {error.strerror}; give a TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} is not a TOML file: {error}; each field and each closure may occur once"
        ) from error
    try:
        return scheme_from(content)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def scheme_from(content: Mapping[str, Any]) -> ColumnScheme:
    """Make a scheme from the tables of a declaration, as TOML and JSON have them.

    Raises
    ------
    InputError
        As `load_scheme`.
    """
    _check(content, _TOP, "the declaration", ("name", "inputs", "outputs"))
    inputs = [_field(name, table, _INPUT, "input") for name, table in content["inputs"].items()]
    outputs = [_field(name, table, _OUTPUT, "output") for name, table in content["outputs"].items()]
    if not outputs or not any(field.is_profile for field in inputs):
        raise InputError(
            f"the scheme {content['name']} has no input profile or no output: declare one of each at least"
        )
    return ColumnScheme(
        name=content["name"],
        inputs=tuple(sorted(inputs, key=lambda f: not f.is_profile)),
        outputs=tuple(sorted(outputs, key=lambda f: not f.is_profile)),
        laws=tuple(_law(name, table) for name, table in content.get("closures", {}).items()),
        step=content.get("step", ""),
        least_levels=content.get("least_levels", 1),
    )


def scheme_table(scheme: ColumnScheme) -> dict[str, Any]:
    """Return the declaration of a scheme as data that JSON can store; the inverse of `scheme_from`.

    Examples
    --------
    >>> table = {"name": "cooling", "inputs": {"t": {"units": "K"}}, "outputs": {"dt": {"units": "K s-1"}}}
    >>> scheme_from(scheme_table(scheme_from(table))) == scheme_from(table)
    True
    """
    content: dict[str, Any] = {
        "name": scheme.name,
        "inputs": {f.name: _plain(f) for f in scheme.inputs},
        "outputs": {f.name: _plain(f) for f in scheme.outputs},
        "closures": {law.name: _plain_law(law) for law in scheme.laws},
    }
    if scheme.least_levels > 1:
        content["least_levels"] = scheme.least_levels
    return {**content, "step": scheme.step} if scheme.step else content


def _plain(field: Field) -> dict[str, Any]:
    # JSON has no infinite numbers: a bound that is not finite is the name of its sign
    bounds = [x if math.isfinite(x) else ("-inf" if x < 0 else "inf") for x in field.bounds]
    plain: dict[str, Any] = {"units": field.units, "shape": _SHAPES[not field.is_profile], "bounds": bounds}
    if field.note:
        plain["note"] = field.note
    if field.tendency_of:
        plain |= {"tendency_of": field.tendency_of, "nonnegative": field.nonnegative}
    return plain


def _plain_law(law: ColumnClosure | LevelClosure) -> dict[str, Any]:
    if isinstance(law, ColumnClosure):
        plain = {"kind": "column", "terms": list(law.terms), "carried": law.carried, "mass": law.mass}
        return {**plain, "surface": law.surface} if law.surface else plain
    terms = {t.output: {"factor": t.factor, "units": t.units, "by": t.by} for t in law.terms}
    return {"kind": "level", "terms": terms, "balanced": law.balanced}


def _check(table: object, known: Mapping[str, type], where: str, required: tuple[str, ...]) -> None:
    """Check keys and types of a table."""
    if not isinstance(table, Mapping):
        raise InputError(f"{where} is {table!r}: give a table with {', '.join(known)}")
    for key, value in table.items():
        if key not in known:
            raise InputError(f"{where} has {key!r}: it may have {', '.join(known)}")
        kind = known[key]
        fits = is_number(value) if kind is float else isinstance(value, kind)
        if not fits or (kind in (float, int) and isinstance(value, bool)):
            raise InputError(f"{where} has {key} = {value!r}: give {_WORDS[kind]}")
    absent = [key for key in required if key not in table]
    if absent:
        raise InputError(f"{where} has no {', '.join(absent)}: add it")


def _field(name: str, table: object, known: Mapping[str, type], group: str) -> Field:
    where = f"the {group} {name}"
    _check(table, known, where, ("units",))
    assert isinstance(table, Mapping)
    shape = table.get("shape", "profile")
    if shape not in _SHAPES:
        raise InputError(f"{where} has the shape {shape!r}: give profile or scalar")
    return Field.declare(
        name,
        table["units"],
        is_profile=shape == "profile",
        bounds=_bounds(table.get("bounds", [-math.inf, math.inf]), where),
        tendency_of=table.get("tendency_of", ""),
        nonnegative=table.get("nonnegative", False),
        note=table.get("note", ""),
    )


def _bounds(values: list[Any], where: str) -> tuple[float, float]:
    numbers = [float(x) if x in ("inf", "-inf") else x for x in values]
    if len(numbers) != 2 or any(isinstance(x, bool | str) or not isinstance(x, int | float) for x in numbers):
        raise InputError(f"{where} has the bounds {values}: give two numbers, such as [0.0, inf]")
    return float(numbers[0]), float(numbers[1])


def _law(name: str, table: object) -> ColumnClosure | LevelClosure:
    where = f"the closure {name}"
    kind = table.get("kind") if isinstance(table, Mapping) else None
    if kind not in ("column", "level"):
        raise InputError(f"{where} has the kind {kind!r}: give column or level")
    assert isinstance(table, Mapping)
    if kind == "column":
        _check(table, _COLUMN, where, ("terms", "carried", "mass"))
        if not table["terms"] or not all(isinstance(term, str) for term in table["terms"]):
            raise InputError(f"{where} has the terms {table['terms']}: give names of outputs")
        return ColumnClosure(
            name, tuple(table["terms"]), table["carried"], table["mass"], table.get("surface", "")
        )
    _check(table, _LEVEL, where, ("terms", "balanced"))
    terms = []
    for output, term in table["terms"].items():
        _check(term, _TERM, f"the term {output} of {where}", ())
        terms.append(Term(output, float(term.get("factor", 1.0)), term.get("units", "1"), term.get("by", "")))
    return LevelClosure(name, tuple(terms), table["balanced"])
