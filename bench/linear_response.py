"""Compare the linear response of an emulator with that of the true scheme on the same soundings.

    sciml coupling build -o build mskf-convrad
    sciml coupling response build --columns 5000 --json native.json
    sciml coupling response mskf-convrad --smooth --json torch.json
    python bench/linear_response.py DIR native.json [torch.json] --library build [--json FILE]

DIR is the folder `train2` that data/README.md describes.

Mean response: `mskf_response_matrices.nc` there has the matrices of WRF's own compiled scheme, computed in the same
way; the one of the same number of soundings is compared, in the Frobenius norm, as a whole and by blocks (dT/dq is the
response of dT/dt to q). Beside it stands the sampling noise, the standard error of the emulator's own matrix from
soundings that are drawn again with replacement. Both matrices are of the same soundings, so that the noise is not a
part of the difference: it is what either matrix says about the climate of the soundings.

Single soundings: `mskf_response_true.nc` has 30 soundings with temperature and vapour of 40 levels perturbed, both
signs (0.2 K, 0.2 g/kg), through the scheme itself. The same columns are given to the emulator in torch and to the
native library, and the derivatives are compared: central differences of each, and the tangent of the emulator
(automatic differentiation). Beside them stands the change of the scheme's own derivative between the two signs, which
says how well it is defined; medians have intervals of 90 % from soundings drawn again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from sciml.analysis import jacobians
from sciml.cli.model_arguments import load_algorithm
from sciml.columns.open import open_columns
from sciml.constants import DAY
from sciml.convection.emulator import Emulator
from sciml.convection.linear_response import blocks
from sciml.convection.perturbation import Perturbed
from sciml.convection.problem import Convection
from sciml.solve import solve
from sciml.tables import aligned

MATRICES, SINGLE = "mskf_response_matrices.nc", "mskf_response_true.nc"
NAMES = ("dT/dT", "dT/dq", "dq/dT", "dq/dq")
KINDS = ("torch", "native", "tangent", "one side")
CLASSES = {"deep": range(1, 13), "shallow": range(13, 25), "near the threshold": range(25, 30)}
SMALLEST = (
    1.9e-4  # kg/kg, of the perturbations of vapour that are used; smaller ones are dominated by rounding
)
RESAMPLES, SEED = 500, 7
Array = NDArray[Any]


def compare(matrices: xr.Dataset, response: Mapping[str, Any]) -> dict[str, Any]:
    """Compare a response matrix with that of the scheme.

    Returns
    -------
    dict
        ``columns``; ``difference``, the Frobenius norm of the difference over that of the scheme's matrix;
        ``correlation`` of the entries; ``blocks``, the difference of each; ``noise``, that of the emulator's matrix by
        blocks; ``smooth``, the difference of its smooth part, if it was computed; the greatest ``growth`` of a mode of
        both (per day), and the mean ``rain`` of both (mm/day).
    """
    counts = matrices["COLUMNS"].values
    if response["columns"] not in counts:
        raise SystemExit(
            f"error: the response is of {response['columns']} soundings, the scheme's matrices of "
            f"{', '.join(map(str, counts))}: give --columns 5000 to sciml coupling response for all"
        )
    true = matrices.isel(ensemble=int(np.flatnonzero(counts == response["columns"])[0]))
    scheme, emulator = true["MATRIX_TRUE"].values.astype(np.float64), np.asarray(response["matrix"])
    smooth = response.get("smooth")
    return {
        "columns": int(response["columns"]),
        "difference": distance(emulator, scheme),
        "correlation": float(np.corrcoef(emulator.ravel(), scheme.ravel())[0, 1]),
        "blocks": by_block(emulator, scheme),
        "noise": response.get("noise", {}),
        "smooth": None if smooth is None else distance(np.asarray(smooth), scheme),
        "growth of the scheme": float(np.linalg.eigvals(scheme).real.max()),
        "growth of the emulator": float(np.linalg.eigvals(emulator).real.max()),
        "rain of the scheme": float(true["MEAN_RAIN_TRUE"]),
        "rain of the emulator": float(response["mean_rain"]),
    }


def distance(a: Array, b: Array) -> float:
    """Return the norm of a difference over that of the second matrix."""
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def by_block(a: Array, b: Array) -> dict[str, float]:
    """Return the distance of each block; NaN where a block of the second matrix is 0."""
    theirs = blocks(b)
    return {
        name: distance(x, theirs[name]) if theirs[name].any() else float("nan")
        for name, x in blocks(a).items()
    }


class Soundings:
    """The perturbed soundings of the file, and the derivatives of anything that computes their tendencies.

    Parameters
    ----------
    path
        The file `mskf_response_true.nc`.
    """

    def __init__(self, path: Path) -> None:
        with xr.open_dataset(path) as opened:
            names = ("SOUNDING", "LEVEL", "FIELD", "SIGN", "STEP")
            self.sounding, self.level, self.field, self.sign, self.step = (
                opened[name].values for name in names
            )
        self.columns = open_columns([path], keep="all").load()
        self.levels = int(self.level.max())

    def tendencies(self, outputs: xr.Dataset) -> Array:
        """Return dT/dt (K/day), then dq/dt (g/kg/day), (column, 2 level)."""
        heating = outputs["RTHCUTEN"].values.astype(np.float64) * self.columns["PI_PHY"].values
        moistening = 1000.0 * outputs["RQVCUTEN"].values.astype(np.float64)
        return DAY * np.concatenate([heating[:, : self.levels], moistening[:, : self.levels]], 1)

    def derivatives(self, tendencies: Array, number: int, sign: int = 0) -> Array:
        """Return the derivative of a sounding, (2 level, 2 level); NaN in columns whose perturbation is too small.

        Parameters
        ----------
        tendencies
            Of all columns, as `tendencies` returns them.
        number
            Number of the sounding.
        sign
            0 for central differences, 1 or -1 for those of one side.
        """
        own = np.flatnonzero(self.sounding == number)
        base = own[self.level[own] == 0][0]
        made = np.full((2 * self.levels, 2 * self.levels), np.nan)
        for field, unit in ((1, 1.0), (2, 1000.0)):
            for level in range(1, self.levels + 1):
                pair = own[(self.level[own] == level) & (self.field[own] == field)]
                up, down = (int(pair[self.sign[pair] == s][0]) for s in (1, -1))
                if field == 2 and min(abs(self.step[[up, down]])) < SMALLEST:
                    continue
                ends = {0: (up, down), 1: (up, base), -1: (base, down)}[sign]
                width = unit * float(self.step[ends[0]] - self.step[ends[1]])
                column = (field - 1) * self.levels + level - 1
                made[:, column] = (tendencies[ends[0]] - tendencies[ends[1]]) / width
        return made

    def base(self) -> xr.Dataset:
        """Return the unperturbed columns, in the order of their numbers."""
        return self.columns.isel(column=np.flatnonzero(self.level == 0))


def single(soundings: Soundings, model: str, library: Path) -> dict[str, Any]:
    """Compare the derivatives of single soundings, by classes, as medians over soundings with intervals."""
    emulator = Emulator.load(model)
    problem = Convection(soundings.columns)
    true = soundings.tendencies(soundings.columns)
    answers = {
        "torch": soundings.tendencies(solve(problem, emulator).outputs),
        "native": soundings.tendencies(solve(problem, load_algorithm(str(library), None)).outputs),
    }
    exact = tangents(Perturbed.of(emulator, soundings.base())).numpy()
    whole, n = exact.shape[-1] // 2, soundings.levels
    chosen = np.r_[:n, whole : whole + n]
    result = {}
    for name, numbers in CLASSES.items():
        rows: dict[str, list[Array]] = {}
        for number in numbers:
            scheme = soundings.derivatives(true, number)
            if not np.nan_to_num(scheme).any():
                continue  # neither it nor its perturbations convect
            others = {kind: soundings.derivatives(answer, number) for kind, answer in answers.items()}
            others["tangent"] = np.where(np.isnan(scheme), np.nan, exact[number - 1][np.ix_(chosen, chosen)])
            others["one side"] = (
                scheme
                + (soundings.derivatives(true, number, 1) - soundings.derivatives(true, number, -1)) / 2
            )
            known = np.nan_to_num(scheme)
            for kind, other in others.items():
                both = np.nan_to_num(other)
                values = np.array([distance(both, known), *by_block(both, known).values()])
                rows.setdefault(kind, []).append(values)
        result[name] = {"soundings": len(rows["torch"])} | {
            kind: medians(np.array(x)) for kind, x in rows.items()
        }
    return result


def tangents(function: Perturbed) -> Tensor:
    """Return the Jacobian of each column, (column, output, input); 0 where the emulator has no convection."""
    points = function.points
    with torch.no_grad():
        active = function(points.unsqueeze(0))[0].abs().sum(1) > 0
    some = function.take(torch.nonzero(active).squeeze(1))
    made = points.new_zeros(len(points), points.shape[1] + 2, points.shape[1])
    made[active] = jacobians(some, some.points)
    return made


def medians(values: Array) -> dict[str, list[float]]:
    """Return medians with intervals of 90 %, of a matrix and its blocks, (sounding, 1 + block)."""
    rng = np.random.default_rng(SEED)
    drawn = rng.integers(len(values), size=(RESAMPLES, len(values)))
    low, high = np.nanquantile(np.nanmedian(values[drawn], 1), [0.05, 0.95], axis=0)
    middle = np.nanmedian(values, 0)
    return {
        name: [float(x) for x in row]
        for name, row in zip(("all", *NAMES), np.stack([middle, low, high], 1), strict=True)
    }


def report(numbers: Mapping[str, Any]) -> str:
    """Return the tables."""
    lines = []
    for name, part in numbers["mean"].items():
        rows: list[tuple[str, ...]] = [(f"{name}, mean of {part['columns']} soundings", "all", *NAMES)]
        cells = (f"{part['blocks'][key]:.1%}" for key in NAMES)
        rows.append(("difference", f"{part['difference']:.1%}", *cells))
        if part["noise"]:
            rows.append(("sampling noise", "", *(f"{part['noise'][key]:.1%}" for key in NAMES)))
        lines += [*aligned(rows, align="<" + ">" * 5)]
        if part["smooth"] is not None:
            lines.append(f"the smooth part alone differs by {part['smooth']:.1%}")
    for name, part in numbers.get("single", {}).items():
        rows = [(f"{part['soundings']} soundings, {name}", "all", *NAMES)]
        for kind in KINDS:
            rows.append((kind, *(f"{a:.1%} ({b:.1%}-{c:.1%})" for a, b, c in part[kind].values())))
        lines += ["", *aligned(rows, align="<" + ">" * 5)]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder train2 of the WRF data")
    parser.add_argument("responses", type=Path, nargs="+", help="files of sciml coupling response --json")
    parser.add_argument("--model", default="mskf-convrad", help="emulator of the single soundings")
    parser.add_argument("--library", type=Path, help="folder of sciml coupling build, for single soundings")
    parser.add_argument("--json", type=Path, help="file to write the numbers to")
    given = parser.parse_args()
    numbers: dict[str, Any] = {"mean": {}}
    with xr.open_dataset(given.data / MATRICES) as matrices:
        for path in given.responses:
            numbers["mean"][path.stem] = compare(matrices, json.loads(path.read_text(encoding="utf-8")))
    if given.library:
        numbers["single"] = single(Soundings(given.data / SINGLE), given.model, given.library)
    print(report(numbers))
    if given.json:
        given.json.write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
