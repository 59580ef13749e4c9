"""Measure the time of importing the package and of the help of its command, and the sizes of its parts.

    python bench/start.py [--rounds 15] [--json OUT]

The times are those of whole processes, run in turn, the least of the rounds: `import sciml` compared with
`import numpy, xarray`, and `sciml --help` compared with an interpreter that runs no code. The sizes are those of the
wheel, of the native library built by the compilers of this machine, of the weights file, and of the networks.
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
    "sciml, with a problem and solve": ["-c", "import sciml; sciml.solve, sciml.Darcy, sciml.AMG"],
    "sciml --help": ["-m", "sciml", "--help"],
}


def starts(rounds: int) -> dict[str, float]:
    """Run the processes in turn, and return the least seconds of each."""
    taken: dict[str, list[float]] = {name: [] for name in PROCESSES}
    for _ in range(rounds):
        for name, words in PROCESSES.items():
            begin = time.perf_counter()
            subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
            taken[name].append(time.perf_counter() - begin)
    return {name: min(times) for name, times in taken.items()}


def sizes() -> dict[str, int]:
    """Return the bytes of the wheel, the library, the weights file and the checkpoints."""
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
    """Return the numbers of real parameters of the networks; a complex parameter counts twice."""
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
    parser.add_argument("--rounds", type=int, default=15, help="number of rounds")
    parser.add_argument("--json", type=Path, help="file to write the numbers to")
    given = parser.parse_args()
    seconds = starts(given.rounds)
    ratio = seconds["sciml"] / seconds["numpy and xarray"]
    more = seconds["sciml --help"] - seconds["python"]
    results = {"seconds": seconds, "import": ratio, "help_s": more}
    for name, value in seconds.items():
        print(f"{name:36}{value:8.3f} s")
    for key, what in (
        ("import", "import sciml / import numpy, xarray"),
        ("help_s", "sciml --help, additional seconds"),
    ):
        verdict = "reached" if results[key] <= GOALS[key] else "MISSED"
        print(f"{what:44}{results[key]:8.2f}   goal {GOALS[key]}: {verdict}")
    results |= {"bytes": sizes(), "parameters": parameters()}
    for name, value in results["bytes"].items():
        print(f"{name:36}{value / 1e3:10.0f} kB")
    for name, value in results["parameters"].items():
        print(f"{name:36}{value:10} parameters")
    if given.json:
        given.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
