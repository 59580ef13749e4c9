"""The results page: the text of `results.md` with the recorded numbers and tables; the README's key numbers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import analogs_table
import cluster_table
import numpy as np
from accuracy import table as accuracy_table
from pure_networks import table as pure_table
from radiative_convective import pair_table
from radiative_convective import table as climate_table
from regimes_table import EARLIER, OURS, verdicts
from regimes_table import table as regimes_table

Record = Mapping[str, Any]

TEXT = Path(__file__).with_name("results.md")
WRF_RUNS = Path(__file__).with_name("wrf_runs.json")
"""Measured by the developers in a real WRF, outside this repository."""
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
    """Write the section without its marks; a benchmark without a record is left out."""
    parts = re.split(r"^<!-- part: (\w+) -->\n", TEXT.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    machines = [_machine(record) for name, record in records.items() if name != "paper"]
    most = max(set(machines), key=machines.count) if machines else "not recorded"
    texts = []
    for name, text in zip(parts[::2], parts[1::2], strict=True):
        if name in ("head", "weather", "package"):
            texts.append(text.format(machine=most))
        elif name == "paper":
            texts.append(text.format(table=_paper(records.get("paper", {}))))
        elif name == "wrf":
            texts.append(text.format(**_wrf(wrf_runs())))
        elif name in records:
            record = records[name]
            values = VALUES[name](record["numbers"]) if name in VALUES else {}
            texts.append(text.format(**{"n": record["numbers"], "printed": _printed(name, record), **values}))
            if _machine(record) != most:
                texts.append(f"*(On {_machine(record)}.)*\n")
    return "\n".join(texts)


def wrf_runs() -> Record:
    """Read the developers' measurements in a real WRF."""
    numbers: Record = json.loads(WRF_RUNS.read_text(encoding="utf-8"))
    return numbers


def key_numbers(records: Mapping[str, Record]) -> str:
    """Write the table of the README, without its marks."""
    n = {name: record["numbers"] for name, record in records.items() if name != "paper"}
    wrf = wrf_runs()
    shadow, us, rmsd = wrf["shadow"], wrf["us"], wrf["rmsd_theta"]
    sample = [row for name, row in n["accuracy"]["rows"].items() if re.fullmatch(r"sciml, .*: sample", name)]
    f1, r2 = (np.mean([row[score] for row in sample]) for score in ("f1_deep", "RTHCUTEN"))
    perturbed = rmsd["control with a perturbation of the size of rounding"]
    l2 = {name: np.mean([run["l2"] for run in n["operators"]["results"][name]["63"]]) for name in SHORT}
    cycles = {k: n["operators"]["multigrid"][k - 1]["l2"] for k in (2, 4)}
    bounds = [row["upper_greatest"] for rows in n["certified"].values() for row in rows.values()]
    slower = _certified(n["certified"])
    batches = [row["ratio"] for what, row in n["multigrid"].items() if "hierarchy at hand" in what]
    rows = [
        [
            "Emulator on a run not used in training: F1 of deep convection; R² of heating",
            f"{f1:.3f}; {r2:.3f}",
        ],
        [
            "Real WRF¹, `shadow`: F1; R² of heating; rain over the scheme's rain",
            f"{shadow['f1']}; {shadow['r2_heating']}; {shadow['rain_ratio']}",
        ],
        [
            "Real WRF¹, `emulate`: RMSD of θ after 6 h (rounding-size perturbation; no scheme)",
            f"{rmsd['emulate'][2]} K ({perturbed[2]} K; {rmsd['no convection scheme'][2]} K)",
        ],
        ["Real WRF¹: time of the emulator; of MSKF", f"{us['emulator']}; {us['mskf']} µs a column"],
        [
            "Darcy 63 x 63, relative L2 error: `MgNO`; `HierarchyNet`; multigrid, 2 and 4 cycles",
            f"{l2['MgNO']:.4f}; {l2['HierarchyNet, 2 cycles']:.4f}; {cycles[2]:.4f} and {cycles[4]:.4f}",
        ],
        ["Certified solutions: guaranteed bound over true error, at most", f"{max(bounds):.2f}"],
        [
            "Certified solutions: time over multigrid-CG, which guarantees nothing",
            f"{slower['least']:.1f} to {slower['most']:.1f}",
        ],
        ["64 solves in torch on one core: speed-up over pyamg", f"{min(batches):.1f} to {max(batches):.1f}"],
    ]
    return _table("what | measured", rows)


def _machine(record: Record) -> str:
    machine = record["machine"]
    return f"{machine['cores']} cores of {machine['processor']}, {machine['isa']}, torch {machine['torch']}"


def _printed(name: str, record: Record) -> str:
    lines = list(record.get("printed", ()))
    if name == "multigrid":  # only its summary
        lines = lines[next(i for i, line in enumerate(lines) if line.startswith("best of torch")) :]
    return "```text\n" + "\n".join(lines).strip("\n") + "\n```"


def _means(values: list[float]) -> str:
    """Format the mean and the worst, to three digits or four places."""
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
        scores = {key: [run[key] for run in coarse] for key in ("l2", "h1", "l2_finer", "transfer")}
        scores["l2_127"] = [run["l2"] for run in fine]
        step = (
            n["times"][name][0] / n["times"]["official MgNO"][0] if "official MgNO" in n["times"] else np.nan
        )
        cells = [_means(scores[key]) for key in ("l2", "h1", "l2_finer", "transfer", "l2_127")]
        rows.append([SHORT.get(name, name), *cells, f"{step:.2f}"])
        if name in SHORT:
            met = {what: max(scores[key]) <= goal for what, (key, goal) in GOALS.items()} | {
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
    ratios = [row["ms"] / row["ms_amg"] for rows in n.values() for row in rows.values()]
    return {"least": min(ratios), "most": max(ratios)}


def _paper(n: Record) -> str:
    rows = [
        [f"`{name}` ({size})", f"{published}", f"{n[name]:.5f}"]
        for name, (size, published) in PAPER.items()
        if name in n
    ]
    if not rows:
        return "No result is recorded yet."
    return "\n\n" + _table("workflow | published, relative L2 | here", rows)


def _wrf(n: Record) -> dict[str, Any]:
    """Write the tables of the runs of a real WRF."""
    day, short = n["shadow_24h"], n["shadow"]
    scores = {"F1": "f1", "F1, deep": "f1_deep", "F1, shallow": "f1_shallow"}
    shadow = [[what, f"{short[key]}", f"{day[key]}"] for what, key in scores.items()]
    shadow += [
        ["R² of RTHCUTEN", f"{short['r2_heating']}", ""],
        ["R² of RQVCUTEN", f"{short['r2_moistening']}", ""],
    ]
    shadow += [["rain, emulator over scheme", f"{short['rain_ratio']:.3f}", ""]]
    shadow += [["columns outside the training range", f"{short['novel_percent']} %", ""]]
    hours = n["rmsd_theta"]["hours"]
    rmsd = [
        [what, *(f"{value:.3f} K" for value in values)]
        for what, values in n["rmsd_theta"].items()
        if what != "hours"
    ]
    return {
        "n": n,
        "shadow": _table(f"score | {short['hours']} h | 24 h", shadow),
        "rmsd": _table("run | " + " | ".join(f"{hour} h" for hour in hours), rmsd),
    }


def _findings(n: Record) -> dict[str, Any]:
    blind = next(row for what, row in n["blind"].items() if "contrast 6" in what)
    zero, (name, near) = (
        n["guesses"]["zero"],
        next(pair for pair in n["guesses"].items() if pair[0] != "zero"),
    )
    layers = n["learned"]["layers"]
    return {
        "blind": blind["a Poisson cycle"]["residual"],
        "built": blind["RS"]["residual"],
        "off": name.split(", ")[1].removesuffix(" off"),
        "near": near["iterations"]["RS"]["residual"],
        "zero": zero["iterations"]["RS"]["residual"],
        "before": layers["geometric"]["contraction"],
        "after": layers["learned"]["contraction"],
        "defect": layers["learned"]["asymmetry"],
    }


def _regimes(n: Record) -> dict[str, str]:
    rows = n["rows"]
    return {
        "table": regimes_table(rows, OURS),
        "earlier": regimes_table(rows, EARLIER),
        "goals": verdicts(rows, n["held_out"]),
        "runs": ", ".join(map(str, n["held_out"])),
    }


def _terrain(n: Record) -> dict[str, str]:
    names = ("RTHCUTEN", "RQVCUTEN", "RQCCUTEN", "CLDFRA_DP", "PRATEC", "RUCUTEN", "RVCUTEN")
    return {"r2": ", ".join(f"{name} {n['outputs'][name]['r2']:.3f}" for name in names)}


def _climate(n: Record) -> dict[str, str]:
    return {"table": climate_table(n["climate"]), "pairs": pair_table(n["pairs"])}


def _equilibrium(n: Record) -> dict[str, Any]:
    stripped = {key.strip(): value for key, value in n.items()}  # rows may be indented under another
    return {
        "n": stripped,
        "finite": "All values stay finite" if n["finite"] else "Some values are not finite",
    }


def _response(n: Record) -> dict[str, str]:
    modes = [f"{mode['growth']:.3f} a day (standard error {mode['error']:.3f})" for mode in n["growing"]]
    if not modes:
        return {"growing": "no mode of a column grows"}
    return {
        "growing": f"{len(modes)} mode{'s' * (len(modes) > 1)} of a column may grow, by {', '.join(modes)}"
    }


def _response_true(n: Record) -> dict[str, str]:
    names = ("dT/dT", "dT/dq", "dq/dT", "dq/dq")
    mean = n["mean"]["native"]
    rows = [
        ["difference", f"{mean['difference']:.1%}", *(f"{mean['blocks'][name]:.1%}" for name in names)],
        ["sampling noise", "", *(f"{mean['noise'][name]:.1%}" for name in names)],
    ]
    kinds = {
        "torch": "emulator in torch",
        "native": "native library",
        "tangent": "tangent of the emulator",
        "one side": "the scheme itself, one sign against both",
    }
    single = [
        [f"{part['soundings']} {kind}", text, *(_interval(part[key][name]) for name in ("all", *names))]
        for kind, part in n["single"].items()
        for key, text in kinds.items()
    ]
    return {
        "columns": f"{mean['columns']:,}",
        "table": _table(" | ".join(("", "all", *names)), rows),
        "single": _table(" | ".join(("soundings", "derivatives of", "all", *names)), single),
        "growth": f"{mean['growth of the scheme']:.3f} a day with the scheme and {mean['growth of the emulator']:.3f}",
    }


def _interval(values: list[float]) -> str:
    middle, low, high = values
    return f"{middle:.1%} ({low:.1%} to {high:.1%})"


def _start(n: Record) -> dict[str, str]:
    rows = [[name, f"{value / 1e3:,.0f} kB"] for name, value in n["bytes"].items()]
    rows += [[name, f"{value:,} parameters"] for name, value in n["parameters"].items()]
    return {"table": _table("what | size", rows)}


def _processes(n: Record) -> dict[str, str]:
    rows = [
        [
            name,
            f"{row['parameters']:,}",
            f"{row['one']:,.0f}",
            f"{row['two']:,.0f}",
            f"{row['ratio']:.2f}",
            f"{row['cpu_ratio']:.2f}",
            f"{row['bytes'] / 1e3:,.0f} kB",
            f"{row['exchange'] * 1e3:.2f} ms",
        ]
        for name, row in n["trainings"].items()
    ]
    head = (
        "training | parameters | samples/s in 1 process | in 2 | ratio | of CPU | sent in a step | exchange"
    )
    sizes = [row["parameters"] * 8 * 63 / 64 / 1e3 for row in n["trainings"].values()]
    read = ", ".join(f"{count / 1e6:.1f}" for count in n["reading"].values())
    return {
        "table": _table(head, rows),
        "small": f"{sizes[0]:.0f}",
        "large": f"{sizes[-1]:.0f}",
        "read": read,
    }


def _faults(n: Record) -> dict[str, str]:
    kinds = ("passed", "failed", "skipped")
    rows = [
        [row["fault"], row["promise"], ", ".join(f"{row[kind]} {kind}" for kind in kinds if row[kind])]
        for row in n["faults"]
    ]
    return {"table": _table("fault | result | test cases", rows)}


def _torture(n: Record) -> dict[str, Any]:
    kills, files = n["kills"], n["files"]
    bad = {kind: kills[kind] + files[kind] for kind in ("lost", "wrong", "tracebacks")}
    rows = [[f"`sciml {name}`", f"{count}"] for name, count in sorted(kills["commands"].items())]
    return {
        **bad,
        "kills": kills["kills"],
        "files": f"{files['files']:,}",
        "refused": f"{files['refused']:,}",
        "read": f"{files['read']:,}",
        "table": _table("command | kills", rows),
    }


def _rollouts(n: Record) -> dict[str, str]:
    """Compare the errors of a step in both norms with those of the residual network."""

    def error(kind: str, name: str) -> float:
        return float(np.mean([row["error of a step"] for row in n[kind][name]]))

    sentences = []
    for kind, equation in (("turbulence", "turbulence"), ("burgers", "the Burgers equation")):
        euclidean, weak, base = (
            error(kind, name) for name in ("NonExpansive", "NonExpansive in H^-1", "residual")
        )
        sentences.append(
            f"For {equation} the price is {euclidean / base:.1f} in the Euclidean norm and {weak / base:.1f} in that "
            "of H^-1."
        )
    return {"summary": " ".join(sentences)}


VALUES: Mapping[str, Callable[[Record], Mapping[str, Any]]] = {
    "operators": _operators,
    "certified": _certified,
    "rollout_stability": _rollouts,
    "findings": _findings,
    "accuracy": lambda n: {"table": accuracy_table(n["rows"])},
    "regimes": _regimes,
    "terrain": _terrain,
    "pure_networks": lambda n: {"table": pure_table(n)},
    "equilibrium": _equilibrium,
    "climate": _climate,
    "response": _response,
    "analogs": lambda n: {
        name: getattr(analogs_table, name)(n) for name in ("ensembles", "novelty", "guard")
    },
    "response_true": _response_true,
    "cluster": lambda n: {
        name: getattr(cluster_table, name)(n) for name in ("speed", "memory", "stages", "model", "verdict")
    },
    "processes": _processes,
    "start": _start,
    "faults": _faults,
    "torture": _torture,
}
