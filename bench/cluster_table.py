"""Tables of the record of bench/cluster.py for the results page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["memory", "model", "speed", "stages", "verdict"]

COMMANDS = {"columns": "wrf columns", "evaluate": "convection evaluate", "compare": "wrf compare"}


def _table(head: str, rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {head} |", "|---" * (head.count("|") + 1) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def speed(n: Mapping[str, Any]) -> str:
    """Seconds with one and two workers, beside those of the model with the measured stages."""
    if "speed" not in n:
        return "The seconds with one and two workers are not recorded."
    rows = []
    for key, name in COMMANDS.items():
        row, simulated = n["speed"][key], n["stages"][key]["measured"]
        model_ratio = simulated[0]["seconds"] / simulated[1]["seconds"]
        cells = [row["seconds_1"], row["seconds_2"]]
        rows.append([f"`{name}`", *(f"{x:.1f}" for x in cells), f"{row['ratio']:.2f}", f"{model_ratio:.2f}"])
    return _table("command | 1 worker, s | 2 workers, s | ratio | ratio of the model", rows)


def memory(n: Mapping[str, Any]) -> str:
    """Peaks of the memory of the workers and of the process that waits."""
    rows = [
        [
            f"`{COMMANDS[row['command']]}`",
            f"{row['input_mb'] / 1e3:.1f} GB",
            f"{row['times']:.0f} x {row['limit_mb']:.0f} MB",
            f"{row['start_mb']:.0f} MB",
            f"{row['peak_mb']:.0f} MB",
            f"{row['waiting_mb']:.0f} MB",
            str(row["lost"]),
        ]
        for row in n["memory"]
    ]
    return _table(
        "command | input | in limits | worker at its start | peak | waiting process | workers lost", rows
    )


def stages(n: Mapping[str, Any]) -> str:
    """Megabytes a second of each stage."""
    rows = []
    for key, name in COMMANDS.items():
        for stage in n["stages"][key]["stages"]:
            if not stage["tasks"]:
                rows.append([f"`{name}`", stage["name"], "serial", f"{stage['central_s']:.2f} s", "", "", ""])
                continue
            rows.append(
                [
                    f"`{name}`",
                    stage["name"],
                    f"{stage['tasks']} tasks",
                    _rate(stage["read"], stage["read_s"]),
                    f"{stage['compute_s']:.3f} s",
                    _rate(stage["write"], stage["write_s"]),
                    f"{1e3 * stage['central_s']:.1f} ms",
                ]
            )
    return _table("command | stage | number | read | compute | write | scheduler", rows)


def _rate(size: float, seconds: float) -> str:
    if not size:
        return f"{seconds:.3f} s"
    return f"{size / 1e6:.1f} MB, {size / 1e6 / max(seconds, 1e-9):.0f} MB/s"


def model(n: Mapping[str, Any]) -> str:
    """Hours for a month of output by number of workers."""
    rows = []
    for key, name in COMMANDS.items():
        month = n["stages"][key]["month"]
        for bandwidth in sorted({row["bandwidth"] for row in month}):
            some = [row for row in month if row["bandwidth"] == bandwidth]
            rows.append([f"`{name}`", f"{bandwidth / 1e9:g} GB/s", *(f"{row['hours']:.2f}" for row in some)])
    numbers = [str(row["workers"]) for row in n["stages"]["columns"]["month"]]
    return _table(" | ".join(("command | file system", *dict.fromkeys(numbers))), rows)


def verdict(n: Mapping[str, Any]) -> str:
    """Say what limits 64 workers."""
    sentences = []
    for key, name in COMMANDS.items():
        month = n["stages"][key]["month"]
        last = max((row for row in month if row["bandwidth"] == 1e9), key=lambda row: row["workers"])
        first = min((row for row in month if row["bandwidth"] == 1e9), key=lambda row: row["workers"])
        gain = first["hours"] / last["hours"]
        busy = f"{last['workers']} workers at 1 GB/s take {gain:.0f} times less time than one"
        sentences.append(
            f"`{name}`: {busy}; busy are the workers for {last['busy']:.0%} of the time, the file system for "
            f"{last['file_system']:.0%}, scheduler and serial work for {last['scheduler']:.0%}."
        )
    return "\n".join(f"- {sentence}" for sentence in sentences)
