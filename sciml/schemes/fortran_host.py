"""Fortran text of a program that calls the emulator of a column scheme with its fields in four arrays.

`sciml.coupling.generated_sources` writes the text into the hosts in ``workflows/``.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from sciml.schemes.fortran_module import argument_names, members, wrapped
from sciml.schemes.scheme import ColumnScheme

__all__ = ["FortranHost", "call", "imports", "indices", "stream"]

_SIZES = {"in3": "profiles_in", "in2": "surfaces_in", "out3": "profiles_out", "out2": "surfaces_out"}


@dataclass(frozen=True)
class FortranHost:
    """Expressions in the Fortran source of a host.

    Attributes
    ----------
    arrays
        Names of the arrays of input profiles, input values per column, output profiles, and output values per
        column; the field is their last index.
    settings
        DX (m), DT (s) and CUDT (min) in single precision.
    kind
        Array of the classes.
    bounds
        Arguments for the memory and the tile, from ims to kte.
    indent
        Number of spaces before the call.
    """

    arrays: tuple[str, str, str, str]
    settings: tuple[str, str, str]
    kind: str
    bounds: Sequence[str]
    indent: int


def indices(scheme: ColumnScheme, attributes: str = "") -> str:
    """Return the declarations of the numbers of fields and of the index of each field in its array.

    Parameters
    ----------
    scheme
        Declaration of the scheme.
    attributes
        More attributes of the constants, such as ``, public``.
    """
    begin = f"   integer, parameter{attributes} :: "
    fields = members(scheme)
    lines = [wrapped(begin, [f"{_SIZES[member]} = {len(names)}" for member, names in fields.items()], "")]
    for member, names in fields.items():
        words = [f"{member[:-1]}_{name} = {n}" for n, name in enumerate(names, 1)]
        lines += [wrapped(begin, words, "")] if words else []
    return "".join(lines)


def imports(scheme: ColumnScheme, module: str) -> str:
    """Return the statement that imports the index of each field from the module of the host that declares them."""
    names = [f"{member[:-1]}_{name}" for member, names in members(scheme).items() for name in names]
    return wrapped(f"   use {module}, only: ", names, "")


def call(scheme: ColumnScheme, host: FortranHost) -> str:
    """Return the statement that calls the emulator."""
    known = dict(zip(("dx", "dt", "cudt"), host.settings, strict=True)) | {"kind": host.kind}
    for array, (member, names) in zip(host.arrays, members(scheme).items(), strict=True):
        colons = ":, :, :, " if member.endswith("3") else ":, :, "
        known |= {name: f"{array}({colons}{member[:-1]}_{name})" for name in names}
    words = [known.get(name, name) for name in argument_names(scheme)]
    words += [*host.bounds, "status", "message"]
    return wrapped(f"{' ' * host.indent}call sciml_{scheme.name}_run(", words, ")")


def stream(scheme: ColumnScheme) -> str:
    """Return the description of the fields in the streams that the host reads and writes."""
    fields = {member: " ".join(names).upper() for member, names in members(scheme).items()}
    read = " ".join(field.symbol for field in scheme.outputs if field.is_read)
    texts = (
        f"INPUT: {fields['in3']}, {fields['in2']}{f', {read}' if read else ''}.",
        f"OUTPUT: {fields['out3']}, {fields['out2']}, KIND (4-byte integers).",
    )
    lines = (
        textwrap.fill(text, 105, initial_indent="!>   ", subsequent_indent="!>     ", break_on_hyphens=False)
        for text in texts
    )
    return "".join(f"{line}\n" for line in lines)
