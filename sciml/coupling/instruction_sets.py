"""The instruction sets of x86-64 for which the kernels are compiled, as far as the compiler knows them."""

from __future__ import annotations

import os
import subprocess
from functools import lru_cache
from typing import Final

__all__ = ["DEFINITIONS", "FLAGS", "known_sets"]

_VNNI: Final = ("-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx512vnni", "-mavx2", "-mfma")

FLAGS: Final[dict[str, tuple[str, ...]]] = {
    "avx2": ("-mavx2", "-mfma"),
    "avx512": ("-mavx512f", "-mavx2", "-mfma"),
    "vnni": _VNNI,
    "amx": (*_VNNI, "-mavx512bf16", "-mamx-tile", "-mamx-int8", "-mamx-bf16"),
}
"""Flags of the compiler by instruction set; each set contains those before it."""

DEFINITIONS: Final = {name: f"-DSCIML_{name.upper()}" for name in FLAGS}
"""Definition by which the sources know that the kernels of a set are compiled."""

_PROGRAMS: Final = {
    "avx2": "__m256 f(__m256 a) { return _mm256_fmadd_ps(a, a, a); }",
    "avx512": "__m512 f(__m512 a) { return _mm512_fmadd_ps(a, a, a); }",
    "vnni": "__m512i f(__m512i a) { return _mm512_dpbusd_epi32(a, a, a); }",
    "amx": "void f(void) { _tile_dpbssd(0, 1, 2); _tile_dpbf16ps(0, 1, 2); }",
}


@lru_cache
def known_sets(command: tuple[str, ...]) -> tuple[str, ...]:
    """Return the instruction sets that a compiler for x86-64 and its assembler know.

    Parameters
    ----------
    command
        Words of the compiler's command.

    Returns
    -------
    tuple
        Names in `FLAGS`, up to the first that it does not know.
    """
    known: list[str] = []
    for name, flags in FLAGS.items():
        words = [*command, *flags, "-x", "c", "-c", "-", "-o", os.devnull]
        program = f"#include <immintrin.h>\n{_PROGRAMS[name]}\n".encode()
        if subprocess.run(words, input=program, capture_output=True, check=False).returncode:
            break
        known.append(name)
    return tuple(known)
