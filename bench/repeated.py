"""Command of the benchmarks that repeat short trainings with several seeds."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

__all__ = ["print_measured", "run_command", "spread"]

Measure = Callable[[argparse.Namespace, Path], Mapping[str, Any]]


def spread(values: Sequence[float]) -> str:
    """Return the mean of the seeds, with the least and the greatest value."""
    return f"{np.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def print_measured(
    options: argparse.Namespace, measure: Measure, table: Callable[[Mapping[str, Any]], str]
) -> None:
    """Measure with one thread of torch in the folder ``options.work``, else in a temporary one; print the table."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        work = options.work or Path(folder)
        work.mkdir(parents=True, exist_ok=True)
        print(table(measure(options, work)))


def run_command(
    description: str | None,
    fit: Mapping[str, Any],
    measure: Measure,
    table: Callable[[Mapping[str, Any]], str],
) -> None:
    """Read the options, measure, and print the table of the record.

    Parameters
    ----------
    description
        Docstring of the benchmark.
    fit
        Settings of the trainings; ``--smoke`` does one epoch with one seed on the sample.
    measure
        Function of the options and the folder of the trainings that returns the record.
    table
        Function of the record.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("dir", nargs="?", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[7, 11, 23])
    parser.add_argument("--smoke", action="store_true")
    options = parser.parse_args()
    options.fit = dict(fit)
    if options.smoke:
        options.dir, options.seeds, options.fit["epochs"] = None, [7], 1
    elif options.dir is None:
        parser.error("give DIR, the folder of the WRF data, or --smoke")
    print_measured(options, measure, table)
