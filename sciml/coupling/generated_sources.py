"""Write the parts of the native sources that list the fields of the scheme.

    python -m sciml.coupling.generated_sources            # write them
    python -m sciml.coupling.generated_sources --check    # exit code 1 if a file is not as generated

`sciml.schemes.mskf` declares the fields. Files that users copy stay complete in themselves, so that only a part
of them is generated, between two comments; ``mskf/fields.h`` is generated as a whole.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from sciml.coupling.build import sources
from sciml.errors import BuildError
from sciml.schemes.c_header import enumerations, field_tables
from sciml.schemes.fortran_module import module_parts
from sciml.schemes.mskf import MSKF
from sciml.schemes.scheme import ColumnScheme

__all__ = ["COMMAND", "generated", "replace_parts"]

COMMAND = "python -m sciml.coupling.generated_sources"
FIELDS, HEADER, MODULE = "mskf/fields.h", "sciml_mskf.h", "sciml_mskf.f90"

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


def generated(scheme: ColumnScheme = MSKF, directory: Path | None = None) -> Iterator[tuple[Path, str]]:
    """Yield the path and the complete text of each source file with generated parts.

    Parameters
    ----------
    scheme
        Declaration of the scheme.
    directory
        Directory of the native sources; by default that of the package.

    Raises
    ------
    BuildError
        A file does not have the comments around its generated parts.
    """
    native = sources() if directory is None else directory
    declared = f"sciml/schemes/{scheme.name}.py"
    yield (
        native / FIELDS,
        (
            f"/* The fields of the scheme {scheme.name}, generated from {declared} by\n"
            f" * `{COMMAND}`: do not edit. */\n/* clang-format off */\n{field_tables(scheme)}"
        ),
    )
    for name, parts in ((HEADER, {"enumerations": enumerations(scheme)}), (MODULE, module_parts(scheme))):
        yield native / name, replace_parts((native / name).read_text(encoding="utf-8"), parts)


def main() -> None:
    """Write the files, or check them."""
    parser = argparse.ArgumentParser(
        prog=COMMAND, description="Write the generated parts of the native sources."
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if a file differs")
    check = parser.parse_args().check
    changed = [
        (path, text)
        for path, text in generated()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    for path, text in changed:
        name = path.relative_to(sources())
        if check:
            print(f"{name} differs from the declaration in sciml/schemes: run `{COMMAND}`", file=sys.stderr)
        else:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {name}")
    sys.exit(1 if check and changed else 0)


if __name__ == "__main__":
    main()
