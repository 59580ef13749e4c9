"""A host of the native library: columns in its memory, in any order, in float or double."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import xarray as xr

from sciml.convection.problem import INPUT_PROFILES, INPUT_SURFACE

PROFILES = (
    *("RTHCUTEN", "RQVCUTEN", "RQCCUTEN", "RQRCUTEN", "RQICUTEN", "RQSCUTEN"),
    *("RUCUTEN", "RVCUTEN", "CLDFRA_DP", "CLDFRA_SH", "QC_CU", "QI_CU"),
)
RATES = ("UDR_KF", "DDR_KF", "UER_KF", "DER_KF")
SURFACE = ("PRATEC", "NCA", "CUTOP", "CUBOT", "NOVELTY")
MESSAGE_SIZE = 512
Array = npt.NDArray[np.generic]


class _Domain(ctypes.Structure):
    _fields_ = (
        *(("ni", ctypes.c_int64), ("nj", ctypes.c_int64), ("levels", ctypes.c_int32)),
        *(("threads", ctypes.c_int32), ("held", ctypes.c_int32), ("unused", ctypes.c_int32)),
        *(("s3", ctypes.c_ssize_t * 3), ("s2", ctypes.c_ssize_t * 2)),
        *(("dx", ctypes.c_double), ("dt", ctypes.c_double), ("cudt", ctypes.c_double)),
    )


class _Columns(ctypes.Structure):
    _fields_ = (
        *(("bits", ctypes.c_int), ("domain", _Domain)),
        *(("in3", ctypes.c_void_p * 9), ("in2", ctypes.c_void_p * 4)),
        *(("out3", ctypes.c_void_p * 12), ("out2", ctypes.c_void_p * 5), ("kind", ctypes.c_void_p)),
        *(("rate", ctypes.c_void_p * 4), ("timec", ctypes.c_void_p)),
    )


@dataclass
class Answer:
    """Outputs by name, (column, level) and (column,), with KIND, and the library's message."""

    fields: dict[str, Array]
    message: str

    def same(self, other: Answer, index: npt.NDArray[np.intp] | slice = slice(None)) -> bool:
        """Return whether the columns at `index` have the same bits."""
        return all(
            np.ascontiguousarray(x[index]).tobytes()
            == np.ascontiguousarray(other.fields[name][index]).tobytes()
            for name, x in self.fields.items()
        )


class Host:
    """The library, opened with the weights of a whole emulator."""

    def __init__(self, library: Path, weights: Path) -> None:
        self.dll = ctypes.CDLL(str(library))
        self.handle = ctypes.c_void_p()
        message = ctypes.create_string_buffer(MESSAGE_SIZE)
        path = str(weights).encode()
        status = self.dll.sciml_mskf_init(
            path, ctypes.byref(self.handle), message, ctypes.c_size_t(MESSAGE_SIZE)
        )
        assert status == 0, message.value

    def close(self) -> None:
        """Free the emulator."""
        self.dll.sciml_mskf_finalise(ctypes.byref(self.handle))

    def run(
        self,
        columns: xr.Dataset,
        kind: type[np.floating] = np.float32,
        *,
        tile: int | None = None,
        threads: int = 1,
        wrf_order: bool = False,
        nca: float | None = None,
        rates: bool = False,
    ) -> Answer:
        """All outputs; `tile` columns a call; `wrf_order`: i fastest, then k; `nca`: columns may be held.

        `rates`: what kf_edrates = 1 asks for too.
        """
        n, levels = columns.sizes["column"], columns.sizes["level"]
        order = "F" if wrf_order else "C"
        s3 = (1, n, n * levels) if wrf_order else (levels, 1, n * levels)
        in3 = [np.array(columns[name].values, kind, order=order) for name in INPUT_PROFILES]
        in2 = [np.array(columns[name].values, kind) for name in INPUT_SURFACE]
        out3 = [np.full((n, levels), 7e7, kind, order=order) for _ in PROFILES]
        out2 = [np.full(n, 7e7 if nca is None else nca, kind) for _ in SURFACE]
        rate3 = [np.full((n, levels), 7e7, kind, order=order) for _ in RATES] if rates else []
        timec = np.full(n, 7e7, kind)
        classes = np.full(n, 77, np.int32)
        message = ctypes.create_string_buffer(MESSAGE_SIZE)
        for start in range(0, max(n, 1), tile or max(n, 1)):
            count = min(tile or n, n - start)
            dx, dt, cudt = (float(columns.attrs[name]) for name in ("DX", "DT", "CUDT"))
            domain = _Domain(count, 1, levels, threads, int(nca is not None), 0, s3, (1, n), dx, dt, cudt)
            places = [tuple(x[start:].ctypes.data for x in part) for part in (in3, in2, out3, out2)]
            wanted = (tuple(x[start:].ctypes.data for x in rate3), timec[start:].ctypes.data) if rates else ()
            bits = np.dtype(kind).itemsize * 8
            call = _Columns(bits, domain, *places, classes[start:].ctypes.data, *wanted)
            status = self.dll.sciml_mskf_run_any(
                self.handle, ctypes.byref(call), message, ctypes.c_size_t(MESSAGE_SIZE)
            )
            assert status == 0, message.value
        fields: dict[str, Array] = dict(zip((*PROFILES, *SURFACE), (*out3, *out2), strict=True))
        if rates:
            fields |= dict(zip((*RATES, "TIMEC_KF"), (*rate3, timec), strict=True))
        return Answer({**fields, "KIND": classes}, message.value.decode())


def probe(
    library: Path,
    columns: xr.Dataset,
    enthalpy: tuple[float, float],
    strength: npt.NDArray[np.float64],
    push: npt.NDArray[np.float64],
    isa: str,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Profiles and scalars of the physics alone, in the order of probe.h."""
    n, levels = columns.sizes["column"], columns.sizes["level"]
    in3 = [np.array(columns[name].values, np.float32) for name in INPUT_PROFILES]
    in2 = [np.array(columns[name].values, np.float32) for name in INPUT_SURFACE]
    dx, dt, cudt = (float(columns.attrs[name]) for name in ("DX", "DT", "CUDT"))
    domain = _Domain(n, 1, levels, 1, 0, 0, (levels, 1, n * levels), (1, n), dx, dt, cudt)
    places = [tuple(x.ctypes.data for x in part) for part in (in3, in2)]
    call = _Columns(32, domain, *places)
    profiles, scalars = np.empty((n, 46, levels)), np.empty((n, 48))
    message = ctypes.create_string_buffer(MESSAGE_SIZE)
    given = [np.ascontiguousarray(x, np.float64) for x in (enthalpy, strength, push)]
    arrays = [ctypes.c_void_p(x.ctypes.data) for x in (*given, profiles, scalars)]
    status = ctypes.CDLL(str(library)).sciml_mskf_probe(
        ctypes.byref(call), *arrays, isa.encode(), message, ctypes.c_size_t(MESSAGE_SIZE)
    )
    assert status == 0, message.value
    return profiles, scalars
