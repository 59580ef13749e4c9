"""The options of the benchmarks that train emulators with several seeds on the WRF data."""

from __future__ import annotations

import argparse
from pathlib import Path

SEEDS = (7, 11, 23)


def training_options(description: str, name: str) -> argparse.ArgumentParser:
    """Return a parser with the folder of the data, the output `name`.json, the folder `name`, and the seeds."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?", help="folder of the WRF data")
    parser.add_argument(
        "--table", type=Path, help="file with the numbers of an earlier run, to print as a table"
    )
    parser.add_argument("--out", type=Path, default=Path(f"{name}.json"), help="file to write the numbers to")
    parser.add_argument("--work", type=Path, default=Path(name), help="folder for stores and checkpoints")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS), help="seeds of the trainings")
    return parser
