"""Run the benchmarks, record their numbers in data/results.json, and write docs/results.md and the README's table.

    python .ci/results.py                    # every benchmark: several hours; an interrupted one continues
    python .ci/results.py native modes       # only these; the records of the others stay
    python .ci/results.py --render           # run nothing: write the texts from the records
    python .ci/results.py --check            # exit code 1 if a text differs from the records

Each record has machine, day and commit. Nothing between the marks of a text is written by hand.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / ".ci"), str(ROOT / "bench")]

from results_page import key_numbers, render  # noqa: E402

RECORDS = ROOT / "data" / "results.json"
BEGIN = "<!-- results: written by make results from data/results.json; do not edit by hand -->"
END = "<!-- end of results -->"
TEXTS = {ROOT / "docs" / "results.md": render, ROOT / "README.md": key_numbers}
"""Each text and what is written between its marks."""
SCIML = ["-m", "sciml"]
OPERATORS = "bench-output/operators"
WHOLE_RUNS = ("mskf_pairs_convrad_train123.nc", "mskf_io_convrad_train3.nc", "wrfout_d01_convrad_train1.nc")
SHORT = {
    "parametrized": "--take 12 --epochs 18 --terms 4 --rates 1e-2 2e-2".split(),
    "transformer": "--take 12 --epochs 18 --most 6 --rates 1e-3 3e-3 1e-2 --pretraining-epochs 60".split(),
}
"""Columns and budgets of the networks that are trained many times."""
TERRAIN = ("sample/wrfout_d01_terrain3km_full.nc", "sample/mskf_offline_terrain3km.nc")


class Bench(NamedTuple):
    """Commands for the interpreter, in order; the file of their numbers; whether the printed lines are recorded."""

    commands: tuple[list[str], ...]
    numbers: str
    printed: bool = True


def benches(shared: Path) -> dict[str, Bench]:
    """List every benchmark by name; `shared` has the WRF data that are too large for the repository."""
    wrf = shared / "wrf"
    wrfout, reference = (str(wrf / name) for name in TERRAIN)
    test_data = f"{OPERATORS}/darcy_63_128_test.zarr"
    figure = [*SCIML, "pde", "verify", "darcy-any", test_data, "--figure", "data/operators.png"]
    table, regimes, terrain, climate, response, findings = (
        f"bench-output/{name}.json"
        for name in ("accuracy", "regimes", "terrain", "climate", "response", "findings")
    )
    accuracy = ["bench/accuracy.py", str(wrf / "train"), "--out", table, "--work", "bench-output/accuracy"]
    many = ["bench/regimes.py", str(wrf), "--out", regimes, "--work", "bench-output/regimes"]
    pure = ["bench/pure_networks.py", str(wrf), "--seeds", "7", "--out", "bench-output/pure_networks.json"]
    pure += ["--work", "bench-output/pure_networks"]
    small = ["bench/compress.py", "--json", "bench-output/compress.json", "--figure", "data/compress.png"]
    whole = [str(wrf / "train" / name) for name in WHOLE_RUNS]
    store = "bench-output/whole_runs.zarr"
    gather = [*SCIML, "wrf", "columns", *whole, "-o", store, "--overwrite"]
    forms, levels = (
        [f"bench/{name}.py", store, *SHORT[name], "--json", f"bench-output/{name}.json"] for name in SHORT
    )
    norms = ["bench/normalization.py", str(wrf / "train" / WHOLE_RUNS[0]), "--take", "150"]
    norms += ["--json", "bench-output/normalization.json", "--work", "bench-output/normalization"]
    memories = ["bench/hopfield.py", "--json", "bench-output/hopfield.json", "--figure", "data/hopfield.png"]
    memories += ["--work", "bench-output/hopfield"]
    far = [
        *SCIML,
        "convection",
        "evaluate",
        "mskf-convrad",
        wrfout,
        "--reference",
        reference,
        "--json",
        terrain,
    ]
    linear = [*SCIML, "coupling", "response", "mskf-convrad", "--json", response]
    library, native = "bench-output/response_library", "bench-output/native.json"
    built = [*SCIML, "coupling", "build", "-o", library, "--no-fortran", "mskf-convrad"]
    whole_sample = [*SCIML, "coupling", "response", library, "--columns", "5000", "--json", native]
    same = ["bench/linear_response.py", str(wrf / "train2"), native, "--library", library]
    same += ["--json", "bench-output/response_true.json"]
    greens = ["bench/greens.py", "--json", "bench-output/greens.json"]
    workflow = ["workflows/run.py", "workflows/11_radiative_convective.toml"]
    equilibrium = "runs/11_radiative_convective"
    true = ["bench/radiative_convective.py", str(wrf / "train2"), "--history", f"{equilibrium}/columns.nc"]
    true += ["--model", "mskf-regimes", "--json", climate]
    others = [str(wrf / "train2" / f"mskf_capture_regimes_r{run}.nc") for run in range(11, 18)]
    analogs = ["bench/analogs.py", *others, "--training", str(wrf / "train" / WHOLE_RUNS[0]), "--take", "2"]
    analogs += ["--json", "bench-output/analogs.json"]
    worst, budgets = (
        [
            f"bench/{name}.py",
            str(wrf),
            "--json",
            f"bench-output/{name}.json",
            "--work",
            f"bench-output/{name}",
        ]
        for name in ("robust", "multipliers")
    )
    torture = "-m tests.torture --seconds 600 --seed 7 --json bench-output/torture.json".split()
    copy = ["-c", f"import shutil; shutil.copy('{equilibrium}/rce.png', 'data/rce.png')"]
    return {
        "operators": Bench((["bench/operators.py"], figure), f"{OPERATORS}/results.json", False),
        "resolution": _bench("resolution"),
        "certified": _bench("certified"),
        "multigrid": _bench("multigrid"),
        "operators_speed": _bench("operators_speed"),
        "normalization": Bench((norms,), "bench-output/normalization.json"),
        "hopfield": Bench((memories,), "bench-output/hopfield.json"),
        "rollout_stability": _bench("rollout_stability"),
        "minmax": _bench("minmax"),
        "processes": _bench("processes"),
        "greens": Bench((greens,), "bench-output/greens.json"),
        "own_data": _bench("own_data"),
        "three_dimensions": _bench("three_dimensions"),
        "helmholtz_preconditioners": _bench("helmholtz_preconditioners"),
        "findings": Bench(([*SCIML, "pde", "findings", "--json", findings],), findings, False),
        "accuracy": Bench((accuracy,), table, False),
        "regimes": Bench((many,), regimes, False),
        "terrain": Bench((far,), terrain, False),
        "pure_networks": Bench((pure,), "bench-output/pure_networks.json", False),
        "native": _bench("native"),
        "compress": Bench((small,), "bench-output/compress.json"),
        "parametrized": Bench((gather, forms), "bench-output/parametrized.json"),
        "transformer": Bench((gather, levels), "bench-output/transformer.json"),
        "robust": Bench((worst,), "bench-output/robust.json"),
        "multipliers": Bench((budgets,), "bench-output/multipliers.json"),
        "modes": _bench("modes"),
        "equilibrium": Bench((workflow, copy), f"{equilibrium}/rce.json", False),
        "climate": Bench((true,), climate, False),
        "response": Bench((linear,), response, False),
        "analogs": Bench((analogs,), "bench-output/analogs.json", False),
        "response_true": Bench((built, whole_sample, same), "bench-output/response_true.json", False),
        "ingest": _bench("ingest"),
        "cluster": Bench(
            (["bench/cluster.py", "--json", "bench-output/cluster.json"],), "bench-output/cluster.json", False
        ),
        "start": _bench("start"),
        "faults": _bench("faults"),
        "torture": Bench((torture,), "bench-output/torture.json", False),
    }


def _bench(name: str) -> Bench:
    where = f"bench-output/{name}.json"
    return Bench(([f"bench/{name}.py", "--json", where],), where)


def machine() -> dict[str, Any]:
    """Describe the machine that the numbers depend on."""
    import torch

    text = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").exists() else ""
    fields = dict(
        line.split(":", 1) for line in text.partition("\n\n")[0].replace("\t", "").splitlines() if ":" in line
    )
    name = fields.get("model name", platform.processor() or platform.machine()).strip()
    family = ", ".join(f"{key} {fields[key].strip()}" for key in ("cpu family", "model") if key in fields)
    flags = fields.get("flags", "").split()
    wide = next((isa for isa in ("avx512f", "avx2") if isa in flags), "")
    return {
        "processor": name + (f" ({family})" if family else ""),
        "isa": {"avx512f": "AVX-512", "avx2": "AVX2"}.get(wide, platform.machine()),
        "cores": os.cpu_count(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def commit() -> str:
    """Return the commit of the checkout."""
    done = subprocess.run(["git", "rev-parse", "--short=7", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def run(name: str, bench: Bench) -> dict[str, Any]:
    """Run a benchmark and gather its record."""
    (ROOT / bench.numbers).parent.mkdir(parents=True, exist_ok=True)
    printed = []
    begin = time.perf_counter()
    for words in bench.commands:
        print("==", name, " ".join(words), flush=True)
        child = subprocess.Popen([sys.executable, *words], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        for line in child.stdout:
            print(line, end="", flush=True)
            printed.append(line.rstrip())
        if child.wait() != 0:
            raise SystemExit(f"error: {' '.join(words)} ended with {child.returncode}; it is not recorded")
    record: dict[str, Any] = {
        "seconds": round(time.perf_counter() - begin),
        "machine": machine(),
        "day": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commit": commit(),
        "numbers": rounded(json.loads((ROOT / bench.numbers).read_text(encoding="utf-8"))),
    }
    if bench.printed:
        record["printed"] = printed
    return record


def paper_scale() -> dict[str, float]:
    """Read the relative L2 errors of the paper-scale workflows in this checkout."""
    files = (ROOT / "runs").glob("0[5-9]_*/scores.json")
    return {
        path.parent.name: json.loads(path.read_text(encoding="utf-8"))["relative_l2"]
        for path in files
        if not path.parent.name.endswith("_smoke")
    }


def rounded(value: Any, most: int = 400) -> Any:
    """Round to six digits; long lists (matrices, profiles) stay in the file of the benchmark."""
    if isinstance(value, Mapping):
        return {str(key): rounded(item, most) for key, item in value.items()}
    if isinstance(value, list):
        flat = json.dumps(value)
        return [rounded(item, most) for item in value] if len(flat) < most * 20 else f"{len(value)} values"
    return float(f"{value:.6g}") if isinstance(value, float) else value


def recorded() -> dict[str, Any]:
    """Read the records."""
    return json.loads(RECORDS.read_text(encoding="utf-8")) if RECORDS.exists() else {}


def with_results(path: Path, records: Mapping[str, Any]) -> str:
    """Return the text of a file with the results of the records between its marks."""
    text = path.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"error: {path.name} needs both marks: {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{TEXTS[path](records)}\n{END}{after}"


def main() -> None:
    """Run the benchmarks, record their numbers, and write the texts."""
    shared = Path(os.environ.get("SCIML_SHARED", ROOT.parent / "shared"))
    known = benches(shared)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "names", nargs="*", help=f"benchmarks: {', '.join(known)} (default: all)", metavar="BENCHMARK"
    )
    parser.add_argument("--render", action="store_true", help="write the texts without running a benchmark")
    parser.add_argument(
        "--check", action="store_true", help="compare the texts with the records, without writing"
    )
    given = parser.parse_args()
    unknown = [name for name in given.names if name not in known]
    if unknown:
        parser.error(f"unknown benchmark {', '.join(unknown)}; the benchmarks are {', '.join(known)}")
    records = recorded()
    if given.check:
        for path in TEXTS:
            if with_results(path, records) != path.read_text(encoding="utf-8"):
                raise SystemExit(f"error: {path.name} differs from data/results.json: run make results")
        return
    if not given.render:
        for name in given.names or known:
            record = run(name, known[name])
            records = {**recorded(), name: record}  # another process may have added a record
            records["paper"] = {**records.get("paper", {}), **paper_scale()}
            ordered = {key: records[key] for key in [*known, "paper"] if records.get(key)}
            RECORDS.write_text(json.dumps(ordered, indent=1) + "\n", encoding="utf-8")
    for path in TEXTS:
        path.write_text(with_results(path, records), encoding="utf-8")
        print(f"results: {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
