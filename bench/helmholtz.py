"""Measure the errors of the Helmholtz datasets as solutions of the differential equation.

    python bench/helmholtz.py [--samples 8] [--seed 7] [--resolution 101] [--json OUT]

The samples are those of ``sciml pde generate helmholtz --seed 7``. The reference is the solution on a grid that is 8
times finer, with the blended mass matrix, at the nodes of the dataset; the change from 6 to 8 times finer estimates its
own error. Errors are relative, in L2 over the nodes; time is CPU time.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sciml.pde import FAMILIES, generate

REFERENCE = 8
OTHERS = (1, 2, 4, 6)


def solutions(refined: int, samples: int, resolution: int, seed: int) -> tuple[np.ndarray, float]:
    """Return the solutions (sample, y, x), and the CPU seconds per sample."""
    family = replace(FAMILIES["helmholtz"], refined=refined)
    begin = time.process_time()
    dataset = generate(family, samples, resolution, seed, dtype="float64", chunk=1)
    u = dataset.u.compute(scheduler="synchronous").values
    return u, (time.process_time() - begin) / samples


def measure(samples: int, resolution: int, seed: int) -> dict[str, Any]:
    """Return the errors of each dataset."""
    reference, seconds = solutions(REFERENCE, samples, resolution, seed)
    results: dict[str, Any] = {
        "samples": samples,
        "resolution": resolution,
        "seed": seed,
        "reference_s": seconds,
    }
    for refined in OTHERS:
        u, seconds = solutions(refined, samples, resolution, seed)
        errors = np.sqrt(((u - reference) ** 2).sum((1, 2)) / (reference**2).sum((1, 2)))
        results[str(refined)] = {
            "least": float(errors.min()),
            "median": float(np.median(errors)),
            "worst": float(errors.max()),
            "seconds": seconds,
        }
    return results


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", type=int, default=8, help="number of samples")
    parser.add_argument("--resolution", type=int, default=101, help="nodes along each axis")
    parser.add_argument("--seed", type=int, default=7, help="seed of the samples")
    parser.add_argument("--json", type=Path, help="file to write the numbers to")
    given = parser.parse_args()
    results = measure(given.samples, given.resolution, given.seed)
    print(f"{'refined':28}{'least':>10}{'median':>10}{'worst':>10}{'s/sample':>12}")
    for refined in OTHERS:
        row = results[str(refined)]
        name = f"{refined}{' (as published)' if refined == 1 else ''}"
        errors = "".join(f"{row[key]:10.2%}" for key in ("least", "median", "worst"))
        print(f"{name:28}{errors}{row['seconds']:12.2f}")
    if given.json:
        given.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
