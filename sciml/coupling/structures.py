"""The C structures of the native library for ctypes, with as many pointers as the scheme has fields."""

from __future__ import annotations

import ctypes
from typing import Any

from sciml.schemes.scheme import EMULATOR_OUTPUTS, ColumnScheme

__all__ = ["Domain", "columns_structure"]


class Domain(ctypes.Structure):
    """``sciml_mskf_domain`` of sciml_mskf.h."""

    _fields_ = (
        ("ni", ctypes.c_int64),
        ("nj", ctypes.c_int64),
        ("levels", ctypes.c_int32),
        ("threads", ctypes.c_int32),
        ("held", ctypes.c_int32),
        ("unused", ctypes.c_int32),
        ("s3", ctypes.c_ssize_t * 3),
        ("s2", ctypes.c_ssize_t * 2),
        ("dx", ctypes.c_double),
        ("dt", ctypes.c_double),
        ("cudt", ctypes.c_double),
    )


def columns_structure(scheme: ColumnScheme) -> type[ctypes.Structure]:
    """Return the structure ``sciml_columns`` of mskf/column_arrays.h for a scheme.

    Parameters
    ----------
    scheme
        Its declaration determines the lengths of the arrays of pointers: ``in3`` and ``out3`` for profiles,
        ``in2`` and ``out2`` for values per column, ``rate`` for the rates that a host may ask for.
    """
    pointers = {
        "in3": len(scheme.input_profiles),
        "in2": len(scheme.input_scalars),
        "out3": len(scheme.output_profiles),
        "out2": len(scheme.output_scalars) + len(EMULATOR_OUTPUTS),
        "kind": None,
        "rate": len(scheme.rates),
        "timec": None,
    }
    fields: list[tuple[str, Any]] = [("bits", ctypes.c_int), ("domain", Domain)]
    for name, length in pointers.items():
        fields.append((name, ctypes.c_void_p if length is None else ctypes.c_void_p * length))
    return type(f"{scheme.prefix}_columns", (ctypes.Structure,), {"_fields_": fields})
