"""Lossy compression, recognised in the values: it spoils training pairs, so it must be seen and said.

The scheme amplifies rounding: a relative error of 1e-4 in its inputs caps R2 at 0.99, 1e-3 at 0.87.
"""

from __future__ import annotations

import warnings
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import xarray as xr

from sciml.wrf.state import where

__all__ = ["PACKING", "LossyInput", "lossy_lines", "lossy_reason", "message", "warn_if_lossy"]

# W0AVG, U and QVAPOR use all bits of a float; T (less 300 K) does where it is large.
_WATCHED: Final = ("T", "T_PHY", "QVAPOR", "W0AVG", "U", "U_PHY")


# Kept by `open_wrfout` in the attribute read_with, as the reader takes them out of the attributes.
PACKING: Final = ("scale_factor", "least_significant_digit", "quantize_mode", "significant_digits")


class LossyInput(UserWarning):
    """The values of a file were rounded before they were written."""


def lossy_reason(values: npt.NDArray[Any]) -> str:
    """Why these values look rounded; empty if they do not.

    Parameters
    ----------
    values
        Floats of one variable, any shape. Fewer than 64 different ones are not judged.

    Returns
    -------
    str
        Which of the three marks was found: the last five or more bits of the mantissa zero in all (bit
        rounding, bit shaving), all equal within each value (bit grooming), or all values multiples of a power
        of ten far above the precision of a float.

    Examples
    --------
    >>> noise = np.random.default_rng(3).normal(size=5000).astype("float32")
    >>> lossy_reason(noise), lossy_reason(noise.round(2))
    ('', 'all values are multiples of 0.01')
    """
    flat = np.unique(np.asarray(values, dtype=np.float32).ravel())
    flat = flat[np.isfinite(flat) & (np.abs(flat) > np.finfo(np.float32).tiny)]
    if flat.size < 64:
        return ""
    bits = flat.view(np.uint32) & np.uint32(0x7FFFFF)
    used = int(np.bitwise_or.reduce(bits))
    zeros = 23 if used == 0 else (used & -used).bit_length() - 1
    if zeros >= 5:
        return f"the last {zeros} bits of every mantissa are zero"
    low = bits & np.uint32(0x1F)
    if np.isin(low, (0, 0x1F)).all():
        return "the last bits of every mantissa are all zero or all one"
    ulp = np.spacing(np.abs(flat)).astype(np.float64)
    for digits in range(1, 8):
        step = 10.0**-digits
        large = step > 32 * ulp
        if np.count_nonzero(large) < 64:
            break
        rest = np.abs(flat[large] / step - np.round(flat[large].astype(np.float64) / step)) * step
        if (rest <= 2 * ulp[large]).all():
            return f"all values are multiples of {step:.10g}"
    return ""


def _told(array: xr.DataArray) -> str:
    """What the attributes say of rounding: packing, or one of netCDF's own quantisations."""
    marks = [str(k) for k in array.attrs if "Quantize" in str(k)]
    marks += [k for k in PACKING if array.encoding.get(k) is not None or k in array.attrs]
    return ", ".join([*marks, *str(array.attrs.get("read_with", "")).split(", ")]).strip(", ")


def lossy_lines(ds: xr.Dataset, most: int = 1 << 20) -> list[str]:
    """One line for each watched variable of a dataset that looks rounded, judged by `most` of its values."""
    found = []
    for name in _WATCHED:
        if name not in ds.variables:
            continue
        array = ds[name]
        reason = _told(array)
        if reason:
            reason = f"the file says {reason}"
        else:
            values = array[{array.dims[0]: -1} if array.ndim > 2 else {array.dims[0]: slice(0, 2048)}].values
            values = values.ravel()[:: max(1, values.size // most)]
            # Near 300 K, T is a small difference of large numbers: its last bits are zero by nature.
            reason = lossy_reason(values[np.abs(values) > 64] if name == "T" else values)
        if reason:
            found.append(f"{name}: {reason}")
    return found


def warn_if_lossy(ds: xr.Dataset) -> list[str]:
    """Look at one frame of a few inputs and warn (`LossyInput`) if they were rounded.

    Returns
    -------
    list[str]
        One line for each variable that shows it; empty for a faithful file.
    """
    found = lossy_lines(ds)
    if found:
        warnings.warn(message(where(ds), found), LossyInput, stacklevel=3)
    return found


def message(path: str, found: list[str]) -> str:
    """What to tell of a file in which these lines were found."""
    return (
        f"{path} was compressed with loss ({'; '.join(found)}): the scheme amplifies rounding, an emulator trained "
        "on such columns learns noise; use the files as WRF wrote them"
    )
