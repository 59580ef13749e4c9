"""The results section of the README: the text of `results.md`, with the numbers and tables of the records in it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from accuracy import table as accuracy_table

Record = Mapping[str, Any]

TEXT = Path(__file__).with_name("results.md")
SHORT = {
    "HierarchyNet, 2 cycles": "`HierarchyNet`, 2 cycles",
    "MgNO": "`MgNO`",
    "MgNO shared": "`MgNO`, shared kernels",
}
GOALS = {
    "L2 at 63": ("l2", 0.015),
    "H1": ("h1", 0.06),
    "the ratio": ("transfer", 1.5),
    "L2 at 127": ("l2_127", 0.08),
}
PAPER = {
    "05_darcy_smooth": ("211 x 211", 0.00176),
    "06_darcy_rough": ("256 x 256", 0.00339),
    "07_darcy_multiscale": ("256 x 256", 0.00715),
    "08_navier_stokes": ("NS2", 0.0163),
    "09_helmholtz": ("101 x 101", 0.0071),
}


def render(records: Mapping[str, Record]) -> str:
    """The section without its marks; a benchmark without a record is said to be not run."""
    parts = re.split(r"^<!-- part: (\w+) -->\n", TEXT.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    machines = [_machine(record) for name, record in records.items() if name != "paper"]
    most = max(set(machines), key=machines.count) if machines else "no machine yet"
    made = []
    for name, text in zip(parts[::2], parts[1::2], strict=True):
        if name in ("head", "weather", "package"):
            made.append(text.format(machine=most))
        elif name == "paper":
            made.append(text.format(table=_paper(records.get("paper", {}))))
        elif name not in records:
            made.append(f'*{name}: not run; `make results ONLY="{name}"`.*\n')
        else:
            record = records[name]
            values = VALUES[name](record["numbers"]) if name in VALUES else {}
            made.append(text.format(**{"n": record["numbers"], "printed": _printed(name, record), **values}))
            if _machine(record) != most:
                made.append(f"*(On {_machine(record)}.)*\n")
    return "\n".join(made)


def _machine(record: Record) -> str:
    found = record["machine"]
    return f"{found['cores']} cores of {found['processor']}, {found['isa']}, torch {found['torch']}"


def _printed(name: str, record: Record) -> str:
    lines = list(record.get("printed", ()))
    if name == "multigrid":  # what it says at the end
        lines = lines[next(i for i, line in enumerate(lines) if line.startswith("best of torch")) :]
    return "```\n" + "\n".join(lines).strip("\n") + "\n```"


def _means(values: list[float]) -> str:
    """Mean and worst, to three digits or four places."""
    digits = max(0, min(4, 2 - int(np.floor(np.log10(max(float(np.mean(values)), 1e-9))))))
    return f"{np.mean(values):.{digits}f} ({np.max(values):.{digits}f})"


def _table(head: str, rows: list[list[str]]) -> str:
    lines = [f"| {head} |", "|---" * (head.count("|") + 1) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def _operators(n: Record) -> dict[str, str]:
    goals = [f"{goal:g}" for _, goal in GOALS.values()]
    rows, verdicts = [["goal", goals[0], goals[1], "", goals[2], goals[3], "0.6"]], []
    for name, by_size in n["results"].items():
        coarse, fine = by_size.values()
        found = {key: [run[key] for run in coarse] for key in ("l2", "h1", "l2_finer", "transfer")}
        found["l2_127"] = [run["l2"] for run in fine]
        step = (
            n["times"][name][0] / n["times"]["official MgNO"][0] if "official MgNO" in n["times"] else np.nan
        )
        cells = [_means(found[key]) for key in ("l2", "h1", "l2_finer", "transfer", "l2_127")]
        rows.append([SHORT.get(name, name), *cells, f"{step:.2f}"])
        if name in SHORT:
            met = {what: max(found[key]) <= goal for what, (key, goal) in GOALS.items()} | {
                "the step": step <= 0.6
            }
            sides = [
                ", ".join(what for what, good in met.items() if good is kind) or "nothing"
                for kind in (True, False)
            ]
            verdicts.append(f"{SHORT[name]} reaches, with every seed: {sides[0]}; misses: {sides[1]}.")
    for k in (2, 4):
        row = n["multigrid"][k - 1]
        rows.append([f"*multigrid, {k} cycles*", f"{row['l2']:.4f}", f"{row['h1']:.4f}", "", "", "", ""])
    head = " | relative L2 | true H1 | L2 at 127, trained at 63 | ratio | L2 at 127, trained there | step, of official"
    return {
        "table": _table(head, rows),
        "verdict": "\n".join(verdicts),
        "seeds": ", ".join(map(str, n["seeds"])),
    }


def _certified(n: Record) -> dict[str, float]:
    ratios = [row["ms"] / row["ms_amg"] for found in n.values() for row in found.values()]
    return {"least": min(ratios), "most": max(ratios)}


def _paper(n: Record) -> str:
    rows = [
        [f"`{name}` ({size})", f"{published}", f"{n[name]:.5f}" if name in n else "not run"]
        for name, (size, published) in PAPER.items()
    ]
    return _table("workflow | published, relative L2 | here", rows)


def _findings(n: Record) -> dict[str, Any]:
    blind = next(found for what, found in n["blind"].items() if "contrast 6" in what)
    zero, (name, near) = (
        n["guesses"]["zero"],
        next(pair for pair in n["guesses"].items() if pair[0] != "zero"),
    )
    layers = n["learned"]["layers"]
    return {
        "blind": blind["a Poisson cycle"]["residual"],
        "built": blind["RS"]["residual"],
        "off": name.split(", ")[1],
        "near": near["iterations"]["RS"]["residual"],
        "zero": zero["iterations"]["RS"]["residual"],
        "before": layers["geometric"]["contraction"],
        "after": layers["learned"]["contraction"],
        "defect": layers["learned"]["asymmetry"],
    }


def _terrain(n: Record) -> dict[str, str]:
    names = ("RTHCUTEN", "RQVCUTEN", "RQCCUTEN", "RUCUTEN", "CLDFRA_DP", "PRATEC")
    return {"r2": ", ".join(f"{name} {n['outputs'][name]['r2']:.2f}" for name in names)}


def _equilibrium(n: Record) -> dict[str, Any]:
    stripped = {key.strip(): value for key, value in n.items()}  # a row may be told under another
    return {
        "n": stripped,
        "finite": "Everything stays finite" if n["finite"] else "NOT everything stays finite",
    }


def _response(n: Record) -> dict[str, str]:
    modes = [f"{mode['growth']:.3f} a day (standard error {mode['error']:.3f})" for mode in n["growing"]]
    if not modes:
        return {"growing": "no mode of a column grows"}
    return {
        "growing": f"{len(modes)} mode{'s' * (len(modes) > 1)} of a column may grow, by {', '.join(modes)}"
    }


def _start(n: Record) -> dict[str, str]:
    rows = [[name, f"{value / 1e3:,.0f} kB"] for name, value in n["bytes"].items()]
    rows += [[name, f"{value:,} parameters"] for name, value in n["parameters"].items()]
    return {"table": _table("what | size", rows)}


def _faults(n: Record) -> dict[str, str]:
    kinds = ("passed", "failed", "skipped")
    rows = [
        [row["fault"], row["promise"], ", ".join(f"{row[kind]} {kind}" for kind in kinds if row[kind])]
        for row in n["faults"]
    ]
    return {"table": _table("fault | what then | cases", rows)}


VALUES: Mapping[str, Callable[[Record], Mapping[str, Any]]] = {
    "operators": _operators,
    "certified": _certified,
    "findings": _findings,
    "accuracy": lambda n: {"table": accuracy_table(n["rows"])},
    "terrain": _terrain,
    "equilibrium": _equilibrium,
    "response": _response,
    "start": _start,
    "faults": _faults,
}
