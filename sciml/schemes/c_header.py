"""C text of a column scheme: the enumerations of its fields, and the tables of their names, units and arguments.

`sciml.coupling.generated_sources` writes the text into the native sources.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from sciml.schemes.field import Field
from sciml.schemes.scheme import EMULATOR_OUTPUTS, ColumnScheme

__all__ = ["enumerations", "field_tables"]


def enumerations(scheme: ColumnScheme) -> str:
    """Return the enumerations of the public header, one for each group of fields.

    Parameters
    ----------
    scheme
        Declaration of the scheme. The names begin with its prefix, such as ``SCIML_U`` and ``sciml_input_profile``.

    Returns
    -------
    str
        Each enumerator has a comment with the units and the remark of its field. The last enumerator of each
        enumeration is the number of fields.
    """
    extra = [(output.symbol, output.comment) for output in EMULATOR_OUTPUTS]
    blocks = []
    for (group, fields), tail in zip(groups(scheme).items(), ([], [], [], extra), strict=True):
        rows = [(field.symbol, field.comment) for field in fields] + tail
        blocks.append(_enumeration(scheme.prefix, group, rows))
    return "".join(blocks)


def field_tables(scheme: ColumnScheme) -> str:
    """Return a header with everything else that C sources need of the fields.

    Parameters
    ----------
    scheme
        Declaration of the scheme.

    Returns
    -------
    str
        For each group of fields a macro that applies ``X(symbol, name, units, argument)`` to each, in the order
        of the enumerations; the rates; the least and greatest values that the library accepts; the number of
        the scheme in WRF's namelist; and the classes of a column.
    """
    upper = scheme.prefix.upper()
    guard = f"{upper}_FIELDS_H"
    parts = [f"#ifndef {guard}\n#define {guard}\n"]
    parts.append(
        "/* X(symbol, name, units, argument of the scheme in WRF) for each field. */\n"
        + "\n".join(
            _macro(
                f"{upper}_{group.upper()}_FIELDS",
                [_entry(f.symbol, f.name, f.unit_label, f.argument) for f in fields],
            )
            for group, fields in groups(scheme).items()
        )
    )
    if scheme.rates:
        entries = [_entry(rate.symbol, rate.name, rate.units, rate.argument) for rate in scheme.rates]
        symbols = "".join(f"{upper}_{rate.symbol}, " for rate in scheme.rates)
        parts.append(
            f"/* Profiles that the scheme returns if the host asks for them. */\n"
            f"enum {scheme.prefix}_rate {{ {symbols}{upper}_RATES }};\n"
            + _macro(f"{upper}_RATE_FIELDS", entries)
        )
    parts.append(
        "/* Least and greatest values for which the library computes the scheme. */\n"
        + "".join(_limits(upper, field) for field in scheme.inputs)
    )
    surfaces = len(groups(scheme)["output_surface"])
    parts.append(
        f"/* Number of values per column that the scheme returns, without those of the emulator alone. */\n"
        f"#define {upper}_SCHEME_SURFACES {surfaces}\n"
    )
    classes = ", ".join(name.upper() for name in scheme.classes)
    parts.append(f"/* Classes of a column. */\nenum {{ {classes}, {upper}_CLASSES }};\n")
    parts.append(f"#define {upper}_CU_PHYSICS {scheme.cu_physics}\n")
    return "\n".join([*parts, "#endif\n"])


def groups(scheme: ColumnScheme) -> dict[str, tuple[Field, ...]]:
    """Return the fields by group, in the order of the C interface."""
    return {
        "input_profile": tuple(f for f in scheme.inputs if f.is_profile),
        "input_surface": tuple(f for f in scheme.inputs if not f.is_profile),
        "output_profile": tuple(f for f in scheme.outputs if f.is_profile),
        "output_surface": tuple(f for f in scheme.outputs if not f.is_profile),
    }


def _enumeration(prefix: str, group: str, rows: list[tuple[str, str]]) -> str:
    upper = prefix.upper()
    names = [f"{upper}_{symbol}," for symbol, _ in rows]
    width = max(map(len, names), default=0)
    lines = [f"    {name:<{width}} /* {comment} */" for name, (_, comment) in zip(names, rows, strict=True)]
    return "\n".join([f"enum {prefix}_{group} {{", *lines, f"    {upper}_{group.upper()}S", "};\n"])


def _entry(symbol: str, name: str, units: str, argument: str) -> str:
    return f'X({symbol}, "{name}", "{units}", {argument})'


def _macro(name: str, entries: Iterable[str]) -> str:
    """Return the definition of a macro of the argument X, with one entry in each line."""
    return " \\\n    ".join([f"#define {name}(X)", ", \\\n    ".join(entries)]) + "\n"


def _limits(upper: str, field: Field) -> str:
    text = {
        word: f"({x!r})" if x < 0 else f"{x!r}"
        for word, x in zip(("LEAST", "MOST"), field.limits, strict=True)
    }
    finite = [word for word, x in zip(text, field.limits, strict=True) if math.isfinite(x)]
    return "".join(f"#define {upper}_{word}_{field.symbol} {text[word]}\n" for word in finite)
