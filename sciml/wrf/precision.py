"""Detection of lossy compression from the values of a file.

Rounded values make poor training pairs, because the scheme amplifies rounding: a relative error of 1e-4 in its inputs
limits R2 to 0.99, and 1e-3 to 0.87.
"""

from __future__ import annotations

import warnings
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import xarray as xr

from sciml.wrf.requirements import where

__all__ = ["PACKING", "LossyInput", "lossy_lines", "lossy_reason", "message", "warn_if_lossy"]

# W0AVG, U, PH and QVAPOR use all bits of a float, T (less 300 K) only where it is large. P is a difference of large
# numbers, so its last bits may be zero (five of them in files of WRF 3).
_WATCHED: Final = ("T", "T_PHY", "QVAPOR", "W0AVG", "U", "U_PHY", "P", "PH")
_BITS: Final = {"P": 9}
_SAMPLE: Final = 2048

# `open_wrfout` copies these to the attribute read_with, because xarray removes them from the attributes.
PACKING: Final = ("scale_factor", "least_significant_digit", "quantize_mode", "significant_digits")


class LossyInput(UserWarning):
    """The values of a file were rounded before they were written."""


def lossy_reason(values: npt.NDArray[Any], bits: int = 5) -> str:
    """Describe why values look rounded; empty if they do not.

    Parameters
    ----------
    values
        Floats of a single variable, in any shape. Fewer than 64 different values are not examined.
    bits
        Number of last bits of the mantissa that are not all zero in values without rounding.

    Returns
    -------
    str
        The sign of rounding: the last `bits` or more bits of the mantissa are zero in all values (bit rounding, bit
        shaving), they are all equal within each value (bit grooming), or all values are multiples of a power of ten
        far above the precision of a float.

    Examples
    --------
    >>> noise = np.random.default_rng(3).normal(size=5000).astype("float32")
    >>> lossy_reason(noise), lossy_reason(noise.round(2))
    ('', 'all values are multiples of 0.01')
    """
    flat = np.asarray(values, dtype=np.float32).ravel()
    flat = flat[np.isfinite(flat) & (np.abs(flat) > np.finfo(np.float32).tiny)]
    # All values must show the rounding, so a few values without it end the search.
    few = flat[:: max(1, flat.size // _SAMPLE)]
    if not _zeros(few) >= bits and not _groomed(few, bits) and not _steps(few, flat):
        return ""
    flat = np.unique(flat)
    if flat.size < 64:
        return ""
    zeros = _zeros(flat)
    if zeros >= bits:
        return f"the last {zeros} bits of every mantissa are zero"
    if _groomed(flat, bits):
        return "the last bits of every mantissa are all zero or all one"
    steps = _steps(flat, flat)
    return f"all values are multiples of {steps[0]:.10g}" if steps else ""


def _zeros(flat: npt.NDArray[np.float32]) -> int:
    """Number of last bits of the mantissa that are zero in all values."""
    used = int(np.bitwise_or.reduce(flat.view(np.uint32) & np.uint32(0x7FFFFF)))
    return 23 if used == 0 else (used & -used).bit_length() - 1


def _groomed(flat: npt.NDArray[np.float32], bits: int) -> bool:
    last = (1 << bits) - 1
    return bool(np.isin(flat.view(np.uint32) & np.uint32(last), (0, last)).all())


def _steps(some: npt.NDArray[np.float32], flat: npt.NDArray[np.float32]) -> list[float]:
    """Powers of ten that divide all of `some`, within their precision."""
    size, ulp = np.sort(np.abs(flat)), np.spacing(np.abs(some)).astype(np.float64)
    out = []
    for digits in range(1, 8):
        step = 10.0**-digits
        # Where the precision of a float is far below the step.
        if size.size < 64 or step <= 32 * float(np.spacing(size[63])):
            break
        large = step > 32 * ulp
        rest = np.abs(some[large] / step - np.round(some[large].astype(np.float64) / step)) * step
        if (rest <= 2 * ulp[large]).all():
            out.append(step)
    return out


def _stated_rounding(array: xr.DataArray) -> str:
    """Rounding that the attributes state: packing, or a quantisation of netCDF."""
    marks = [str(k) for k in array.attrs if "Quantize" in str(k)]
    marks += [k for k in PACKING if array.encoding.get(k) is not None or k in array.attrs]
    return ", ".join([*marks, *str(array.attrs.get("read_with", "")).split(", ")]).strip(", ")


def lossy_lines(ds: xr.Dataset, most: int = 1 << 20) -> list[str]:
    """A line for each examined variable that looks rounded, from at most `most` values of its first and last frame."""
    lines = []
    for name in _WATCHED:
        if name not in ds.variables:
            continue
        array = ds[name]
        reason = _stated_rounding(array)
        reason = f"the attributes of the file state {reason}" if reason else _judged(array, name, most)
        if reason:
            lines.append(f"{name}: {reason}")
    return lines


def _judged(array: xr.DataArray, name: str, most: int) -> str:
    """Describe why the first or the last frame (in drawn pairs, the first columns) looks rounded."""
    first = array.dims[0]
    # Both ends with a single slice, so that dask computes once.
    ends = slice(None, None, max(1, array.sizes[first] - 1))
    read = array[{first: ends if array.ndim > 2 else slice(0, 2048)}].values
    for values in read[::-1] if array.ndim > 2 else [read]:
        values = values.ravel()
        values = values[:: max(1, values.size // most)]
        # Near 300 K, T is a small difference of large numbers, so its last bits are zero without rounding.
        reason = lossy_reason(values[np.abs(values) > 64] if name == "T" else values, _BITS.get(name, 5))
        if reason:
            return reason
    return ""


def warn_if_lossy(ds: xr.Dataset) -> list[str]:
    """Examine the first and last frame of a few inputs, and warn (`LossyInput`) if they were rounded.

    Returns
    -------
    list[str]
        A line for each rounded variable; empty if none was rounded.
    """
    lines = lossy_lines(ds)
    if lines:
        warnings.warn(message(where(ds), lines), LossyInput, stacklevel=3)
    return lines


def message(path: str, lines: list[str]) -> str:
    """Warning for a file whose variables were rounded; `lines` describes them."""
    return (
        f"{path} was compressed with loss ({'; '.join(lines)}): the scheme amplifies rounding, and an emulator "
        "trained on such columns learns noise; use the files as WRF wrote them"
    )
