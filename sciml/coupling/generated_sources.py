"""Write the parts of the C and Fortran sources that list the fields of the scheme.

    python -m sciml.coupling.generated_sources            # write them
    python -m sciml.coupling.generated_sources --check    # exit code 1 if a file is not as generated

`sciml.schemes.mskf` declares the fields. Files that users copy stay complete in themselves, so that only a part
of them is generated, between two comments; ``mskf/fields.h`` is generated as a whole, and so is
``engine/gate_table.h``, the table of `sciml.compress.tables` that the gates of reduced networks use.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from sciml.compress.tables import tanh_header
from sciml.coupling.build import sources
from sciml.coupling.fortran_programs import program_sources
from sciml.errors import BuildError
from sciml.schemes.c_header import enumerations, field_tables
from sciml.schemes.fortran_host import FortranHost, call, imports, indices, stream
from sciml.schemes.fortran_module import module_parts
from sciml.schemes.mskf import MSKF
from sciml.schemes.scheme import ColumnScheme

__all__ = ["COMMAND", "generated", "replace_parts", "source_files"]

COMMAND = "python -m sciml.coupling.generated_sources"
FIELDS, HEADER, MODULE = "mskf/fields.h", "sciml_mskf.h", "sciml_mskf.f90"
GATES = "engine/gate_table.h"

_REPLAY = FortranHost(
    arrays=("in3", "in2", "out3", "out2"),
    settings=("settings(1)", "settings(2)", "settings(3)"),
    kind="kind_of",
    bounds="ims ime jms jme kms kme its ite jts jte kds kde".split(),
    indent=9,
)
_COLUMN_HOST = FortranHost(
    arrays=("d%in3", "d%in2", "d%out3", "d%out2"),
    settings=("real(d%dx, real32)", "real(d%dt, real32)", "real(d%cudt, real32)"),
    kind="d%answered",
    bounds="1 d%members 1 1 1 d%levels first last 1 1 1 d%levels".split(),
    indent=6,
)

_PART = re.compile(
    r"(?P<begin>^[^\n]*generated from \S+: do not edit \((?P<name>\w+)\)[^\n]*\n)"
    r"(?P<text>.*?)"
    r"(?P<end>^[^\n]*end of the generated part[^\n]*\n)",
    re.MULTILINE | re.DOTALL,
)


def replace_parts(source: str, parts: Mapping[str, str]) -> str:
    """Replace the generated parts of a source file.

    Parameters
    ----------
    source
        Text of the file. A part lies between the comments ``generated from PATH: do not edit (NAME)`` and
        ``end of the generated part``.
    parts
        Text of each part by name.

    Raises
    ------
    BuildError
        The parts of the file are others than those given.
    """
    names = [match["name"] for match in _PART.finditer(source)]
    if sorted(names) != sorted(parts):
        raise BuildError(
            f"the source has the generated parts {', '.join(names) or '(none)'}, not {', '.join(parts)}: restore "
            "the comments around them"
        )
    return _PART.sub(lambda match: match["begin"] + parts[match["name"]] + match["end"], source)


def source_files() -> dict[str, Path]:
    """Return the path of each file with generated parts, by its name."""
    native = {name: sources() / name for name in (FIELDS, GATES, HEADER, MODULE)}
    replay = program_sources("fortran_host", ["replay.f90"])
    columns = program_sources("column_host", ["column_domain.f90", "column_steps.f90"])
    return native | {path.name: path for path in (*replay, *columns)}


def generated(
    scheme: ColumnScheme = MSKF, files: Mapping[str, Path] | None = None
) -> Iterator[tuple[Path, str]]:
    """Yield the path and the complete text of each source file with generated parts.

    Parameters
    ----------
    scheme
        Declaration of the scheme.
    files
        Paths by name; by default those of `source_files`.

    Raises
    ------
    BuildError
        A file does not have the comments around its generated parts.
    """
    files = source_files() if files is None else files
    yield (
        files[FIELDS],
        (
            f"/* The fields of the scheme {scheme.name}, generated from sciml/schemes/{scheme.name}.py by\n"
            f" * `{COMMAND}`: do not edit. */\n/* clang-format off */\n{field_tables(scheme)}"
        ),
    )
    yield (
        files[GATES],
        (
            "/* tanh in 64 intervals of [0, 8), generated from sciml/compress/tables.py by\n"
            f" * `{COMMAND}`: do not edit. */\n#ifndef SCIML_GATE_TABLE_H\n"
            "#define SCIML_GATE_TABLE_H\n\n#include <stdint.h>\n\n"
            f"/* clang-format off */\n{tanh_header()}/* clang-format on */\n\n#endif\n"
        ),
    )
    parts = {
        HEADER: {"enumerations": enumerations(scheme)},
        MODULE: module_parts(scheme),
        "replay.f90": {"stream": stream(scheme), "indices": indices(scheme), "call": call(scheme, _REPLAY)},
        "column_domain.f90": {"indices": indices(scheme, ", public")},
        "column_steps.f90": {"imports": imports(scheme, "column_domain"), "call": call(scheme, _COLUMN_HOST)},
    }
    for name, texts in parts.items():
        yield files[name], replace_parts(files[name].read_text(encoding="utf-8"), texts)


def main() -> None:
    """Write the files, or check them."""
    parser = argparse.ArgumentParser(
        prog=COMMAND, description="Write the generated parts of the C and Fortran sources."
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if a file differs")
    check = parser.parse_args().check
    changed = [
        (path, text)
        for path, text in generated()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    for path, text in changed:
        if check:
            where = "compress" if path.name == Path(GATES).name else "schemes"
            print(
                f"{path.name} differs from the declaration in sciml/{where}: run `{COMMAND}`", file=sys.stderr
            )
        else:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path}")
    sys.exit(1 if check and changed else 0)


if __name__ == "__main__":
    main()
