"""Train the emulator of workflow 13 (saturation adjustment and Kessler's warm rain) with several seeds, and score it.

    python bench/declared_scheme.py [--work DIR] [--json FILE] [--smoke]

Prints R2 of each output on soundings that no training has, by number of levels: the mean of the seeds, and the least.
An interrupted run resumes.
"""

from __future__ import annotations

import argparse
import json
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from sciml.emulation import evaluate, train  # noqa: E402
from sciml.schemes import load_scheme  # noqa: E402
from sciml.tables import aligned  # noqa: E402
from sciml.train.state import resume_path  # noqa: E402
from workflows.kessler.soundings import SCHEME, pairs  # noqa: E402

SEEDS = (7, 11, 13)
DATA_SEED, TEST_SEED = 7, 1009
SETTINGS = ROOT / "workflows" / "13_kessler.training.toml"


def scores_of_seeds(work: Path, seeds: tuple[int, ...], smoke: bool) -> dict[str, Any]:
    """Train an emulator with each seed and return its scores by number of levels."""
    variables = tomllib.loads((ROOT / "workflows" / "13_kessler.toml").read_text(encoding="utf-8"))
    numbers = variables["variables"] | (variables["smoke"] if smoke else {})
    fit = tomllib.loads(SETTINGS.read_text(encoding="utf-8"))["fit"]
    fit |= {"epochs": 1, "batch_size": 20} if smoke else {}
    scheme = load_scheme(SCHEME)
    training = [pairs(numbers["columns"], levels, DATA_SEED) for levels in numbers["levels"]]
    work.mkdir(parents=True, exist_ok=True)
    made: dict[str, Any] = {}
    for seed in seeds:
        path = work / f"kessler-{seed}.sciml"
        emulator = train(scheme, training, path, fit=fit | {"seed": seed})
        if resume_path(path).exists():
            raise SystemExit("not finished yet: run the same command again to resume")
        made[str(seed)] = {
            str(levels): asdict(evaluate(emulator, pairs(numbers["held_out"], levels, TEST_SEED)))
            for levels in numbers["other_levels"]
        }
    return made


def table(scores: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the lines of a table: mean of the seeds, and the least in brackets."""
    first = next(iter(scores.values()))
    rows = [("R2 by levels", *first)]
    for name in next(iter(first.values()))["r2"]:
        row = [name]
        for levels in first:
            values = [seed[levels]["r2"][name] for seed in scores.values()]
            row.append(f"{sum(values) / len(values):.4f} ({min(values):.4f})")
        rows.append(tuple(row))
    whole = [part for seed in scores.values() for part in seed.values()]
    closure = max(max(part["closure"].values()) for part in whole)
    least = min(min(part["least"].values()) for part in whole)
    return [
        f"seeds {', '.join(scores)}: mean (least)",
        *aligned(rows),
        f"largest residual of a closure: {closure:.1e}; least mixing ratio after the step: {least:.1e}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("bench-output/declared_scheme"))
    parser.add_argument("--json", type=Path, help="file to write the scores to")
    parser.add_argument("--smoke", action="store_true", help="few columns and two seeds, about ten seconds")
    given = parser.parse_args()
    scores = scores_of_seeds(given.work, SEEDS[:2] if given.smoke else SEEDS, given.smoke)
    print("\n".join(table(scores)))
    if given.json:
        given.json.write_text(json.dumps(scores, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
