"""Write random columns for `host.f90`: sizes, and the inputs of the scheme in double precision.

python -m workflows.kessler.columns columns.bin --columns 500 --levels 40 --steps 20 --seed 9
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import xarray as xr

from sciml.schemes import ColumnScheme, load_scheme
from workflows.kessler.soundings import SCHEME, pairs
from workflows.kessler.warm_rain import Array

__all__ = ["arrays", "write_columns"]


def arrays(scheme: ColumnScheme, columns: xr.Dataset) -> tuple[Array, Array]:
    """Return the input profiles (field, level, column) and scalars (field, column) of `sciml_column_run`."""
    profiles = np.stack([columns[name].transpose("level", "column").values for name in scheme.input_profiles])
    scalars = [columns[name].values for name in scheme.input_scalars]
    return profiles, np.stack(scalars) if scalars else np.empty((0, profiles.shape[2]))


def write_columns(path: Path, columns: xr.Dataset, steps: int) -> None:
    """Write the file."""
    in3, in2 = arrays(load_scheme(SCHEME), columns)
    sizes = np.array([columns.sizes["column"], columns.sizes["level"], steps], np.int32)
    path.write_bytes(sizes.tobytes() + in3.tobytes() + in2.tobytes())


def main() -> None:
    """Read the options and write the file."""
    parser = argparse.ArgumentParser(description="Write columns for the Fortran host.")
    parser.add_argument("output", type=Path)
    for name, default in (("columns", 500), ("levels", 40), ("steps", 20), ("seed", 9)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    write_columns(options.output, pairs(options.columns, options.levels, options.seed), options.steps)


if __name__ == "__main__":
    main()
