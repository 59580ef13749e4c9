"""Compare the linear response of an emulator with that of the true scheme on the same soundings.

    sciml coupling response mskf-convrad --json response.json
    python bench/linear_response.py DIR response.json [--json FILE]

DIR is the folder `train2` that data/README.md describes. `mskf_response_matrices.nc` there has the response matrices of
WRF's own compiled scheme, computed in the same way; the one of the same number of soundings is compared.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

MATRICES = "mskf_response_matrices.nc"


def compare(matrices: xr.Dataset, response: Mapping[str, Any]) -> dict[str, float]:
    """Compare a response matrix with that of the scheme.

    Returns
    -------
    dict
        ``columns``; ``difference``, the Frobenius norm of the difference over that of the scheme's matrix;
        ``correlation`` of the entries; the greatest ``growth`` of a mode of both (per day), and the mean ``rain`` of
        both (mm/day).
    """
    counts = matrices["COLUMNS"].values
    if response["columns"] not in counts:
        raise SystemExit(
            f"error: the response is of {response['columns']} soundings, the scheme's matrices of "
            f"{', '.join(map(str, counts))}: compute that of sciml coupling response without options"
        )
    true = matrices.isel(ensemble=int(np.flatnonzero(counts == response["columns"])[0]))
    scheme, emulator = true["MATRIX_TRUE"].values.astype(np.float64), np.asarray(response["matrix"])
    return {
        "columns": int(response["columns"]),
        "difference": float(np.linalg.norm(emulator - scheme) / np.linalg.norm(scheme)),
        "correlation": float(np.corrcoef(emulator.ravel(), scheme.ravel())[0, 1]),
        "growth of the scheme": float(np.linalg.eigvals(scheme).real.max()),
        "growth of the emulator": float(np.linalg.eigvals(emulator).real.max()),
        "rain of the scheme": float(true["MEAN_RAIN_TRUE"]),
        "rain of the emulator": float(response["mean_rain"]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder train2 of the WRF data")
    parser.add_argument("response", type=Path, help="file of sciml coupling response --json")
    parser.add_argument("--json", type=Path, help="file to write the numbers to")
    given = parser.parse_args()
    response = json.loads(given.response.read_text(encoding="utf-8"))
    with xr.open_dataset(given.data / MATRICES) as matrices:
        numbers = compare(matrices, response)
    for name, value in numbers.items():
        print(f"{name:24}{value:10.4g}")
    if given.json:
        given.json.write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
