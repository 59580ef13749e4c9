"""What the package costs before it does anything: importing it, its command's help; and how large its parts are.

    python bench/start.py [--rounds 15] [--json OUT]

Whole processes, taking turns, the least time of the rounds: `import sciml` beside `import numpy, xarray`, and
`sciml --help` beside an interpreter that does nothing. Sizes are of the wheel, of the native library as the compilers
here make it, of the weights file, and of the networks.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from sciml.convection.emulator import Emulator
from sciml.coupling.build import build
from sciml.coupling.export import emulator_weights
from sciml.coupling.weights_file import write_weights
from sciml.operators import FNO, MgNO, Neural
from sciml.operators.published.network import published
from sciml.storage.packaged import packaged

ROOT = Path(__file__).resolve().parents[1]
GOALS = {"import": 1.2, "help_s": 0.5}
PROCESSES = {
    "python": ["-c", "pass"],
    "numpy and xarray": ["-c", "import numpy, xarray"],
    "sciml": ["-c", "import sciml"],
    "sciml, with a problem and the verb": ["-c", "import sciml; sciml.solve, sciml.Darcy, sciml.AMG"],
    "sciml --help": ["-m", "sciml", "--help"],
}


def starts(rounds: int) -> dict[str, float]:
    """The least seconds of each process."""
    taken: dict[str, list[float]] = {name: [] for name in PROCESSES}
    for _ in range(rounds):
        for name, words in PROCESSES.items():
            begin = time.perf_counter()
            subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
            taken[name].append(time.perf_counter() - begin)
    return {name: min(times) for name, times in taken.items()}


def sizes() -> dict[str, int]:
    """Bytes of what is shipped, built and linked."""
    emulator = Emulator.load("mskf-convrad")
    with tempfile.TemporaryDirectory(prefix="sciml-sizes-") as folder:
        pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
        subprocess.run([*pip, "--wheel-dir", folder, str(ROOT)], check=True)
        (wheel,) = Path(folder).glob("*.whl")
        weights = Path(folder) / "mskf.nc"
        write_weights(weights, emulator_weights(emulator))
        return {
            "wheel, with the WRF sample": wheel.stat().st_size,
            "libsciml_mskf.so": build().stat().st_size,
            "weights file of mskf-convrad": weights.stat().st_size,
            "mskf-convrad.sciml": packaged("mskf-convrad.sciml").stat().st_size,
            "darcy-any.sciml": packaged("darcy-any.sciml").stat().st_size,
        }


def parameters() -> dict[str, int]:
    """Real parameters of the networks, complex ones counted twice."""
    networks: dict[str, Any] = {
        "mskf-convrad": Emulator.load("mskf-convrad").network,
        "darcy-any (HierarchyNet)": Neural.load("darcy-any").operator.network,
        "MgNO": MgNO(),
        "MgNO, shared kernels": MgNO(shared=True, levels=2, layers=6),
        "FNO": FNO(),
        "official MgNO, darcy-rough": published("darcy-rough"),
    }
    return {
        name: sum(p.numel() * (2 if p.is_complex() else 1) for p in network.parameters())
        for name, network in networks.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path, help="write every number here")
    given = parser.parse_args()
    seconds = starts(given.rounds)
    ratio = seconds["sciml"] / seconds["numpy and xarray"]
    more = seconds["sciml --help"] - seconds["python"]
    found = {"seconds": seconds, "import": ratio, "help_s": more}
    for name, value in seconds.items():
        print(f"{name:36}{value:8.3f} s")
    for key, what in (
        ("import", "import sciml over import numpy, xarray"),
        ("help_s", "sciml --help, seconds more"),
    ):
        verdict = "reached" if found[key] <= GOALS[key] else "MISSED"
        print(f"{what:44}{found[key]:8.2f}   goal {GOALS[key]}: {verdict}")
    found |= {"bytes": sizes(), "parameters": parameters()}
    for name, value in found["bytes"].items():
        print(f"{name:36}{value / 1e3:10.0f} kB")
    for name, value in found["parameters"].items():
        print(f"{name:36}{value:10} parameters")
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
