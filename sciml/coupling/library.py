"""Run the native library from Python."""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from sciml.errors import BuildError, ChecksumError, InputError, SchemaError, SciMLError

__all__ = ["STATUS_ERRORS", "Handle", "Description", "Library", "NativeNetwork"]

#: Error class by the status of `sciml_mskf.h`.
STATUS_ERRORS: dict[int, type[SciMLError]] = {
    1: InputError,
    2: InputError,
    3: ChecksumError,
    4: SchemaError,
    5: InputError,
    6: SciMLError,
}
_MESSAGE_SIZE = 512


@dataclass(frozen=True)
class Description:
    """Content of a weights file, as the library read it.

    Attributes
    ----------
    schema
        Schema number of the file.
    channels, layers, hidden
        Input channels per level, stacked layers, hidden units per direction.
    outputs, pooled
        Outputs per level and per column.
    pool_levels
        Number of levels for the pooled outputs; 0 for any.
    emulator
        Whether the file has a whole emulator and not a bare network.
    """

    schema: int
    channels: int
    layers: int
    hidden: int
    outputs: int
    pooled: int
    pool_levels: int
    emulator: bool


class _Description(ctypes.Structure):
    """``sciml_mskf_description`` of sciml_mskf.h: the members of `Description`, each an int32."""

    _fields_ = tuple((member.name, ctypes.c_int32) for member in fields(Description))


class Library:
    """An open ``libsciml_mskf.so``.

    Parameters
    ----------
    path
        Library from `sciml.coupling.build.build` or ``sciml coupling build``.

    Raises
    ------
    BuildError
        When it cannot be loaded, or is another library.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).resolve()
        try:
            self._dll = ctypes.CDLL(str(self.path))
            self._init = self._dll.sciml_mskf_init
            self._finalise = self._dll.sciml_mskf_finalise
            self._describe = self._dll.sciml_mskf_describe
            self._isa = self._dll.sciml_mskf_isa
            self._emulate = self._dll.sciml_mskf_run_any
            self._run = {np.float32: self._dll.sciml_network_run, np.float64: self._dll.sciml_network_run_f64}
        except (OSError, AttributeError) as error:
            raise BuildError(
                f"cannot load {path} as the native library: {error}; build it with `sciml coupling build`"
            ) from error
        message = (ctypes.c_char_p, ctypes.c_size_t)
        pointer, strides = ctypes.c_void_p, ctypes.POINTER(ctypes.c_ssize_t)
        self._init.argtypes = (ctypes.c_char_p, ctypes.POINTER(ctypes.c_void_p), *message)
        self._finalise.argtypes = (ctypes.POINTER(ctypes.c_void_p),)
        self._finalise.restype = None
        self._describe.argtypes = (pointer, ctypes.POINTER(_Description), *message)
        self._isa.argtypes = (pointer,)
        self._isa.restype = ctypes.c_char_p
        self._emulate.argtypes = (pointer, pointer, *message)
        for run in self._run.values():
            run.argtypes = (
                *(pointer, ctypes.c_int64, ctypes.c_int32),
                *(pointer, strides, pointer, strides, pointer, strides, ctypes.c_int32),
                *message,
            )

    @property
    def isa(self) -> str:
        """Best instruction set that both this processor and this library have."""
        return str(self._isa(None).decode())

    @property
    def fortran_module(self) -> bool:
        """Whether the library contains the Fortran module, under the name of gfortran, ifx or flang."""
        names = (
            "__sciml_mskf_MOD_sciml_mskf_run",
            "sciml_mskf_mp_sciml_mskf_run_",
            "_QMsciml_mskfPsciml_mskf_run",
        )
        return any(self.shows(name) for name in names)

    def shows(self, name: str) -> bool:
        """Whether the library exports a symbol of that name."""
        return hasattr(self._dll, name)

    def open(self, weights: str | os.PathLike[str]) -> NativeNetwork:
        """Open a weights file.

        Raises
        ------
        InputError, ChecksumError, SchemaError
            With the message of the library.
        """
        return NativeNetwork(self, weights)


def _strides(array: npt.NDArray[np.generic]) -> ctypes.Array[ctypes.c_ssize_t]:
    return (ctypes.c_ssize_t * array.ndim)(*(step // array.itemsize for step in array.strides))


class Handle:
    """Weights that the library holds in memory, freed by `close` or at the end of a ``with`` block."""

    def close(self) -> None:
        """Free the weights; closing twice is harmless."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_handle", None):
            self.close()


class NativeNetwork(Handle):
    """An open weights file in the native library; also a context manager that closes it.

    Attributes
    ----------
    handle
        Address of the C handle, for other users of the same library (the f2py module).
    description
        Content of the file.
    """

    def __init__(self, library: Library, weights: str | os.PathLike[str]) -> None:
        self._library = library
        self._handle = ctypes.c_void_p()
        message = ctypes.create_string_buffer(_MESSAGE_SIZE)
        status = library._init(os.fsencode(weights), ctypes.byref(self._handle), message, _MESSAGE_SIZE)
        self._check(status, message)
        content = _Description()
        self._check(library._describe(self._handle, ctypes.byref(content), message, _MESSAGE_SIZE), message)
        numbers = {member.name: getattr(content, member.name) for member in fields(Description)}
        self.description = Description(**{**numbers, "emulator": bool(content.emulator)})

    @staticmethod
    def _check(status: int, message: ctypes.Array[ctypes.c_char]) -> None:
        if status:
            raise STATUS_ERRORS.get(status, SciMLError)(message.value.decode(errors="replace"))

    @property
    def handle(self) -> int:
        return int(self._handle.value or 0)

    @property
    def isa(self) -> str:
        """Instruction set in use."""
        return str(self._library._isa(self._handle).decode())

    def network(
        self, x: npt.NDArray[np.floating], threads: int = 1
    ) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]]:
        """Run the bare network.

        Parameters
        ----------
        x
            (column, level, channel), float32, or float64 for the same network in double precision; any
            strides, not copied.
        threads
            Maximum number of threads, limited by the number of processors and by ``OMP_THREAD_LIMIT``. The
            bits of the outputs do not depend on it.

        Returns
        -------
        levels
            (column, level, output).
        pooled
            (column, pooled).

        Raises
        ------
        InputError
            For wrong shapes or types.
        """
        if x.ndim != 3 or x.dtype.type not in self._library._run or x.shape[2] != self.description.channels:
            raise InputError(
                f"the input is {x.dtype} {x.shape}; this network takes float32 or float64 "
                f"(column, level, {self.description.channels})"
            )
        if not x.flags.aligned or any(step % x.itemsize for step in x.strides):
            x = np.ascontiguousarray(
                x
            )  # strides that are not whole elements, such as those of a record's field
        columns, levels, _ = x.shape
        y = np.empty((columns, levels, self.description.outputs), x.dtype)
        pooled = np.empty((columns, self.description.pooled), x.dtype)
        message = ctypes.create_string_buffer(_MESSAGE_SIZE)
        pairs = [part for array in (x, y, pooled) for part in (array.ctypes.data, _strides(array))]
        run = self._library._run[x.dtype.type]
        self._check(run(self._handle, columns, levels, *pairs, threads, message, _MESSAGE_SIZE), message)
        return y, pooled

    def emulate(self, columns: object) -> str:
        """Run the whole emulator on a ``sciml_columns``, given by reference.

        Returns
        -------
        str
            Message of the library; empty if there is none.

        Raises
        ------
        InputError, SchemaError
            With the message of the library.
        """
        message = ctypes.create_string_buffer(_MESSAGE_SIZE)
        self._check(self._library._emulate(self._handle, columns, message, _MESSAGE_SIZE), message)
        return message.value.decode(errors="replace")

    def close(self) -> None:
        """Free the weights; closing twice is harmless."""
        self._library._finalise(ctypes.byref(self._handle))
