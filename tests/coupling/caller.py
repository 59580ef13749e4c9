"""A host in Python that calls the scheme's entry with WRF's 100 arguments, in one process and one session.

    python -m tests.coupling.caller SPECIFICATION

The specification is JSON: the library, an npz file of fields (j, k, i) and (j, i), and a list of calls, each with a
step and tiles (i0, i1, j0, j1), first counted from 0, last not included. The host's own scheme, which stands in for
WRF's, doubles nothing and triggers where the first wind is above a threshold: known answers, written in numpy. What
the fields are afterwards goes to an npz file, the library's messages to standard output.
"""

from __future__ import annotations

import ctypes
import json
import re
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np

from sciml.coupling.build import sources

NAMES = re.findall(
    r"\bX\((\w+)\)",
    (sources() / "wrf" / "sciml_mskf_arguments.h").read_text().split("SCIML_ARGUMENT_NUMBER")[0],
)
INPUTS = ("u", "v", "t", "qv", "pcps", "dz8w", "rho", "pi", "w0avg", "w")
PROFILES = (
    *("rthcuten", "rqvcuten", "rqccuten", "rqrcuten", "rqicuten", "rqscuten", "rucuten", "rvcuten"),
    *("cldfra_dp", "cldfra_sh", "qc_cu", "qi_cu", "udr", "ddr", "uer", "der"),
)
SURFACES = ("zol", "hfx", "ust", "pblh")
OUTPUTS = ("pratec", "raincv", "nca", "cutop", "cubot", "timec")
CONSTANTS = {"r": 287.0, "g": 9.81, "svpt0": 273.15, "cp": 1004.5}
Scheme = ctypes.CFUNCTYPE(None, *([ctypes.c_void_p] * 100))
assert len(NAMES) == 100


class Model:
    """Fields in WRF's memory order, and the scheme of the model."""

    def __init__(self, fields: dict[str, np.ndarray[Any, Any]], numbers: dict[str, float]) -> None:
        self.fields, self.numbers = fields, numbers
        self.calls: list[tuple[int, int, int, int]] = []
        self.nj, self.nk, self.ni = fields["t"].shape
        self.own = Scheme(self.scheme)

    def arguments(self, step: int, tile: tuple[int, int, int, int]) -> tuple[Any, list[Any]]:
        """Pointers to everything; the numbers must outlive the call."""
        i0, i1, j0, j1 = tile
        whole = {"ids": 1, "ide": self.ni + 1, "jds": 1, "jde": self.nj + 1, "kds": 1, "kde": self.nk}
        whole |= {"ims": 1, "ime": self.ni, "jms": 1, "jme": self.nj, "kms": 1, "kme": self.nk}
        whole |= {"its": i0 + 1, "ite": i1, "jts": j0 + 1, "jte": j1, "kts": 1, "kte": self.nk - 1}
        whole |= {"ktau": step, "stepcu": 6, "trigger": 1, "kf_edrates": 1, "aercu_opt": 0, "warm_rain": 0}
        whole |= {"f_qv": 1, "f_qc": 1, "f_qr": 1, "f_qi": 1, "f_qs": 1}
        real = {**CONSTANTS, "dt": 50.0, "dx": 10000.0, "cudt": 5.0}
        for name, value in self.numbers.items():
            (whole if name in whole else real)[name] = value
        values: list[Any] = []
        pointers = (ctypes.c_void_p * 100)()
        for n, name in enumerate(NAMES):
            if name in self.fields:
                pointers[n] = self.fields[name].ctypes.data
            elif name in whole and whole[name] is not None:
                values.append(ctypes.c_int(int(whole[name])))
                pointers[n] = ctypes.addressof(values[-1])
            elif name in real:
                wide = self.numbers.get("wide") == 1
                values.append((ctypes.c_double if wide else ctypes.c_float)(real[name]))
                pointers[n] = ctypes.addressof(values[-1])
        return pointers, values

    def scheme(self, *a: int) -> None:
        """Run the scheme of the model on a tile; its outputs depend only on the position of the column."""
        at = dict(zip(NAMES, a, strict=True))
        i0, i1, j0, j1 = (ctypes.c_int.from_address(at[n]).value for n in ("its", "ite", "jts", "jte"))
        self.calls.append((i0 - 1, i1, j0 - 1, j1))
        own_scheme(self.fields, slice(j0 - 1, j1), slice(i0 - 1, i1))


def own_scheme(f: dict[str, np.ndarray[Any, Any]], j: slice, i: slice) -> None:
    """Set W0AVG as in WRF, a shallow cloud where the lowest wind blows east, and a deep cloud where it is strong."""
    nk = f["t"].shape[1] - 1
    f["w0avg"][j, :nk, i] = (
        f["w0avg"][j, :nk, i] * np.float32(11) + np.float32(0.5) * (f["w"][j, :nk, i] + f["w"][j, 1:, i])
    ) / np.float32(12)
    held = f["nca"][j, i] >= 25.0
    f["cu_act_flag"][j, i] = ~held
    wind = f["u"][j, 0, i]
    deep, some = wind > 2.0, wind > 0.0
    for n, name in enumerate(PROFILES):
        old = f[name][j, :nk, i]
        new = np.where(some[:, None], np.float32(1e-6 * (n + 1)) * np.abs(f["qv"][j, :nk, i]), np.float32(0))
        f[name][j, :nk, i] = np.where(held[:, None], old, new)
    rain = np.where(deep, wind * np.float32(1e-4), np.float32(0))
    for name, new in (
        ("pratec", rain),
        ("raincv", np.float32(50) * rain),
        ("cutop", np.where(some, 20.0, 1.0)),
        ("cubot", np.where(some, 5.0, nk + 1.0)),
        ("nca", np.where(deep, 1800.0, np.where(some, 300.0, f["nca"][j, i]))),
        ("timec", np.where(some, 1800.0, 0.0)),
    ):
        f[name][j, i] = np.where(held, f[name][j, i], new.astype(np.float32))


def main() -> None:
    """Run the calls of the specification."""
    given = json.loads(Path(sys.argv[1]).read_text())
    with np.load(given["fields"]) as file:
        fields = {name: np.ascontiguousarray(file[name]) for name in file.files}
    model = Model(fields, given.get("numbers", {}))
    dll = ctypes.CDLL(given["library"])
    if given.get("own", True):
        dll.sciml_mskf_original(model.own)
    statuses = []

    def call(step: int, tile: tuple[int, int, int, int]) -> None:
        message = ctypes.create_string_buffer(512)
        pointers, _arrays = model.arguments(step, tile)
        status = dll.sciml_mskf_scheme(pointers, message, ctypes.c_size_t(512))
        statuses.append((status, message.value.decode()))

    for entry in given["calls"]:
        tiles = [tuple(tile) for tile in entry["tiles"]]
        if entry.get("threads"):
            crew = [threading.Thread(target=call, args=(entry["step"], tile)) for tile in tiles]
            for each in crew:
                each.start()
            for each in crew:
                each.join()
        else:
            for tile in tiles:
                call(entry["step"], tile)
    dll.sciml_mskf_flush()
    np.savez(given["output"], **fields)
    print(json.dumps({"statuses": statuses, "calls": model.calls}))


if __name__ == "__main__":
    main()
