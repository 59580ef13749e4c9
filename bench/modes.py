"""Measure the time of each mode of the library in a host, and compare it with the scheme and with the emulator.

    python bench/modes.py [--rounds 30] [--json OUT]

The host's own scheme is the stand-in of the tests. It is several times as fast as MSKF, so the fractions of its time
are larger than in WRF; those of MSKF's time are printed too (16 us per column on a core on which the published
network's multiplications take 23.3 us: `bench/native.py` measures this core). Each call computes all columns of the
sample, from the same state. The modes take turns on one thread, and the least time of the rounds counts.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import sciml  # noqa: E402
from sciml.convection.emulator import Emulator  # noqa: E402
from sciml.coupling.build import build, fortran_compiler  # noqa: E402
from sciml.coupling.export import emulator_weights  # noqa: E402
from sciml.coupling.weights_file import write_weights  # noqa: E402
from sciml.storage.packaged import packaged  # noqa: E402
from tests.coupling.caller import NAMES, OUTPUTS, PROFILES, Model  # noqa: E402
from tests.coupling.standin import ORDER, SCHEME, SOURCES  # noqa: E402

SAMPLE = "wrfout_d01_convrad_24x24_5min.nc"
MSKF_US = 16.0
GOALS = {"shadow": 0.10, "capture": 0.05}
MODES = ("alone", "original", "emulate", "shadow", "capture", "guard")
NI, NK = 24, 44
STATE = {
    "u": "U_PHY",
    "v": "V_PHY",
    "t": "T_PHY",
    "qv": "QVAPOR",
    "pcps": "P_HYD",
    "dz8w": "DZ8W",
    "rho": "RHO",
}
STATE |= {"pi": "PI_PHY", "w0avg": "W0AVG"}
CONSTANTS = {"xlv0": 3.15e6, "xlv1": 2370.0, "xls0": 2.905e6, "xls1": 259.532, "ep1": 0.608, "ep2": 0.622}
CONSTANTS |= {"svp1": 0.6112, "svp2": 17.67, "svp3": 29.65, "aercu_fct": 1.0}


def model() -> Model:
    """Return all columns of the sample as one domain in which every column is due."""
    columns = sciml.convection_columns(sciml.open_wrfout(str(packaged(SAMPLE)))).load()
    nj = columns.sizes["column"] // NI
    fields = {}
    for name, theirs in STATE.items():
        fields[name] = np.zeros((nj, NK + 1, NI), np.float32)
        fields[name][:, :NK] = columns[theirs].values.reshape(nj, NI, NK).transpose(0, 2, 1)
    fields["w"] = np.zeros_like(fields["t"])
    for name in ("zol", "hfx", "ust", "pblh"):
        fields[name] = columns[name.upper()].values.astype(np.float32).reshape(nj, NI)
    for name in PROFILES:
        fields[name] = np.zeros_like(fields["t"])
    for name in OUTPUTS:
        fields[name] = np.zeros((nj, NI), np.float32)
    fields["cu_act_flag"] = np.ones((nj, NI), np.int32)
    spare = {
        "th",
        "rqvften",
        "qr_cu",
        "qs_cu",
        "nc_cu",
        "ni_cu",
        "nr_cu",
        "ns_cu",
        "ccn_cu",
        "ainc_frac",
        "aerocu",
    }
    for name in (*spare, "efcs", "efis", "efss", "xland"):
        fields[name] = np.zeros_like(fields["t"])
    whole = {"kf_edrates": 0, "adapt_step_flag": 0, "no_src_types_cu": 1}
    return Model(fields, {**CONSTANTS, **whole})


def own_scheme(folder: Path) -> Path:
    """Build the scheme of the stand-in as a separate library."""
    library = folder / "libown.so"
    if not library.exists():
        needed = [
            SOURCES / name for name in ORDER if name in ("standin_adjustment.f90", "module_cu_mskf.f90")
        ]
        words = [*fortran_compiler().command, "-O2", "-shared", "-fPIC", "-J", str(folder), *map(str, needed)]
        subprocess.run([*words, "-o", str(library)], check=True)
    return library


def child(mode: str, folder: Path) -> None:
    """Time a call for each line of standard input, in microseconds per column."""
    here = model()
    own = ctypes.CDLL(str(own_scheme(folder)))
    scheme = getattr(own, SCHEME)
    dll = ctypes.CDLL(str(build()))
    dll.sciml_mskf_original(scheme)
    count = here.ni * here.nj
    before = {name: here.fields[name].copy() for name in ("w0avg", "nca", *PROFILES)}
    message = ctypes.create_string_buffer(512)
    step = 0
    for _ in sys.stdin:
        step += 6
        for name, values in before.items():
            here.fields[name][...] = values
        here.fields["nca"][...] = -100.0
        # After the update by the scheme, W0AVG equals that of the sample.
        here.fields["w0avg"][...] = before["w0avg"] * np.float32(12 / 11)
        pointers, _arrays = here.arguments(step, (0, here.ni, 0, here.nj))
        begin = time.perf_counter()
        if mode == "alone":
            scheme(*(ctypes.c_void_p(pointers[n]) for n in range(100)))
            status = 0
        else:
            status = dll.sciml_mskf_scheme(pointers, message, ctypes.c_size_t(512))
        seconds = time.perf_counter() - begin
        assert status == 0, message.value
        print(1e6 * seconds / count, flush=True)
    convecting = float((here.fields["cutop"] > 1).mean())
    print(json.dumps(convecting), flush=True)


def measure(rounds: int, folder: Path) -> tuple[dict[str, float], dict[str, float]]:
    """Return the least microseconds per column of each mode, and the share of columns that convect."""
    weights = folder / "mskf.nc"
    write_weights(weights, emulator_weights(Emulator.load("mskf-convrad")))
    own_scheme(folder)
    children = {}
    for mode in MODES:
        where = folder / mode
        where.mkdir()
        setting = "original" if mode == "alone" else mode
        (where / "sciml_mskf.nml").write_text(
            f"&sciml_mskf mode = '{setting}', weights = '{weights}', interval = 10 /\n"
        )
        words = [sys.executable, str(Path(__file__).resolve()), "--child", mode, str(folder)]
        children[mode] = subprocess.Popen(
            words,
            cwd=where,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
    times: dict[str, list[float]] = {mode: [] for mode in MODES}
    for _ in range(rounds):
        for mode, process in children.items():
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write("\n")
            process.stdin.flush()
            times[mode].append(float(process.stdout.readline()))
    shares = {}
    for mode, process in children.items():
        shares[mode] = float(json.loads(process.communicate()[0]))
    return {mode: min(values[1:]) for mode, values in times.items()}, shares


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30, help="number of rounds")
    parser.add_argument("--json", type=Path, help="file to write the numbers to")
    parser.add_argument("--child", nargs=2, metavar=("MODE", "FOLDER"))
    given = parser.parse_args()
    if given.child:
        child(given.child[0], Path(given.child[1]))
        return
    assert len(NAMES) == 100
    with tempfile.TemporaryDirectory(prefix="sciml-modes-") as temporary:
        us, shares = measure(given.rounds, Path(temporary))
    print(f"{'':12}{'us/column':>12}{'convecting':>12}")
    for mode in MODES:
        name = {"alone": "scheme alone"}.get(mode, mode)
        print(f"{name:12}{us[mode]:12.2f}{shares[mode]:12.1%}")
    alone, emulator = us["alone"], us["emulate"]
    both = us["shadow"] - alone - emulator
    costs: dict[str, dict[str, float]] = {}
    taken = us["capture"] - alone
    for mode, cost, base, other in (
        ("shadow", both, alone + emulator, MSKF_US + emulator),
        ("capture", taken, alone, MSKF_US),
    ):
        goal = GOALS[mode]
        verdict = (
            "reached"
            if cost <= goal * base
            else "reached for MSKF"
            if cost <= goal * other
            else "not reached"
        )
        costs[mode] = {"us": cost, "share": cost / base, "share_of_mskf": cost / other, "goal": goal}
        what = "scheme and emulator" if mode == "shadow" else "scheme"
        print(
            f"extra time of {mode} {cost:+.2f} us per column: {cost / base:.1%} of {what} here, {cost / other:.1%} "
            f"with MSKF's {MSKF_US:g} us; goal {goal:.0%}: {verdict}"
        )
    if given.json:
        given.json.write_text(json.dumps({"us": us, "convecting": shares, "costs": costs}, indent=1) + "\n")


if __name__ == "__main__":
    main()
