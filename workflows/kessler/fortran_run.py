"""Compile `host.f90` with the library of `sciml coupling build`, run the emulator in it, and check its closures.

python -m workflows.kessler.fortran_run library kessler.nc --columns 100 --levels 40 --steps 20
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from sciml.coupling.build import fortran_compiler, rpath
from workflows.kessler.columns import write_columns
from workflows.kessler.soundings import pairs

__all__ = ["LIMITS", "compile_host", "run_host"]

LIMITS = {"water": 1e-13, "heat": 1e-15}
"""Largest residuals: of the column's water over its water, and of heating over the latent heat, in kg kg-1 s-1."""


def compile_host(library: Path, module: Path, folder: Path) -> Path:
    """Compile the host with the file sciml_column.f90 and the library, and return the program."""
    library = library.resolve()
    words = [*fortran_compiler().command, "-O1", str(module.resolve())]
    words += [str(Path(__file__).with_name("host.f90")), str(library), *rpath(library.parent)]
    subprocess.run([*words, "-o", "host"], cwd=folder, check=True)
    return folder / "host"


def run_host(program: Path, weights: Path, columns: Path) -> dict[str, float]:
    """Run the host and return the numbers that it prints.

    Raises
    ------
    SystemExit
        With the message of the host, when it fails.
    """
    done = subprocess.run(
        [str(program), str(weights), str(columns)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"error: {done.stdout.strip() or done.stderr.strip()}")
    print(done.stdout, end="")
    lines = [line.split(":") for line in done.stdout.splitlines()[1:]]
    return {name.split(",")[0]: float(value) for name, value in lines}


def main() -> None:
    """Read the options, run the host, and write its numbers."""
    parser = argparse.ArgumentParser(description="Run the warm-rain emulator in a Fortran program.")
    parser.add_argument("library", type=Path, help="folder of sciml coupling build")
    parser.add_argument("weights", type=Path, help="file of sciml scheme export")
    parser.add_argument("--json", type=Path, help="file to write the numbers to")
    for name, default in (("columns", 500), ("levels", 40), ("steps", 20), ("seed", 9)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_columns(folder / "columns.bin", pairs(given.columns, given.levels, given.seed), given.steps)
        program = compile_host(given.library / "libsciml_mskf.so", given.library / "sciml_column.f90", folder)
        numbers = run_host(program, given.weights, folder / "columns.bin")
    if given.json:
        given.json.write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
    wrong = [name for name, limit in LIMITS.items() if not numbers[name] < limit]
    if wrong:
        sys.exit(f"error: the residual of {', '.join(wrong)} exceeds its limit: {LIMITS}")


if __name__ == "__main__":
    main()
