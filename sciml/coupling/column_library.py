"""Run an emulator of a declared scheme in the native library, from Python."""

from __future__ import annotations

import ctypes
import os

import numpy as np
import numpy.typing as npt

from sciml.coupling.library import STATUS_ERRORS, Handle
from sciml.errors import BuildError, InputError, SciMLError

__all__ = ["NativeScheme"]

_MESSAGE_SIZE = 512
Array = npt.NDArray[np.float64]


class NativeScheme(Handle):
    """An open weights file of a declared scheme; also a context manager that closes it.

    Parameters
    ----------
    library
        Path of the library, from `sciml.coupling.build.build`.
    weights
        Weights file of `sciml.coupling.scheme_export.scheme_weights`.
    scheme
        Name of the scheme that is expected; empty for any.

    Attributes
    ----------
    fields
        Numbers of input profiles, input scalars, output profiles and output scalars.
    message
        Message of the last call, such as the number of invalid columns.

    Raises
    ------
    InputError, ChecksumError, SchemaError
        With the message of the library.
    """

    def __init__(
        self, library: str | os.PathLike[str], weights: str | os.PathLike[str], scheme: str = ""
    ) -> None:
        self._handle = ctypes.c_void_p()
        try:
            self._dll = ctypes.CDLL(str(library))
            self._run = self._dll.sciml_column_run
        except (OSError, AttributeError) as error:
            raise BuildError(
                f"cannot load {library} as the native library: {error}; build it with `sciml coupling build`"
            ) from error
        pointer, self.message = ctypes.c_void_p, ""
        self._run.argtypes = (
            *(pointer, ctypes.c_int64, ctypes.c_int32, pointer, pointer, pointer, pointer, ctypes.c_int32),
            *(ctypes.c_char_p, ctypes.c_size_t),
        )
        text = ctypes.create_string_buffer(_MESSAGE_SIZE)
        size = ctypes.c_size_t(_MESSAGE_SIZE)
        status = self._dll.sciml_column_init(
            os.fsencode(weights), scheme.encode(), ctypes.byref(self._handle), text, size
        )
        self._check(status, text)
        numbers = (ctypes.c_int32 * 4)()
        self._check(self._dll.sciml_column_describe(self._handle, numbers, text, size), text)
        self.fields = tuple(numbers)

    def _check(self, status: int, text: ctypes.Array[ctypes.c_char]) -> None:
        self.message = text.value.decode(errors="replace")
        if status:
            raise STATUS_ERRORS.get(status, SciMLError)(self.message)

    def run(self, in3: Array, in2: Array, threads: int = 1) -> tuple[Array, Array]:
        """Run the emulator.

        Parameters
        ----------
        in3, in2
            Input profiles (field, level, column) and scalars (field, column), float64, in the order of the declaration.
        threads
            Maximum number of threads; the bits of the outputs do not depend on it.

        Returns
        -------
        tuple of numpy.ndarray
            Output profiles (field, level, column) and scalars (field, column).

        Raises
        ------
        InputError
            Wrong shapes.
        """
        profiles, scalars, out_profiles, out_scalars = self.fields
        in3, in2 = np.ascontiguousarray(in3, np.float64), np.ascontiguousarray(in2, np.float64)
        if in3.ndim != 3 or in3.shape[0] != profiles or in2.shape != (scalars, in3.shape[2]):
            raise InputError(
                f"the inputs have the shapes {in3.shape} and {in2.shape}: give ({profiles}, level, column) and "
                f"({scalars}, column)"
            )
        _, levels, columns = in3.shape
        out3, out2 = np.empty((out_profiles, levels, columns)), np.empty((out_scalars, columns))
        text = ctypes.create_string_buffer(_MESSAGE_SIZE)
        pointers = [array.ctypes.data for array in (in3, in2, out3, out2)]
        self._check(self._run(self._handle, columns, levels, *pointers, threads, text, _MESSAGE_SIZE), text)
        return out3, out2

    def close(self) -> None:
        """Free the weights; closing twice is harmless."""
        self._dll.sciml_column_finalise(ctypes.byref(self._handle))
