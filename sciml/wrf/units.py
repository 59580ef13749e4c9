"""Detection of units that a tool changed: hPa for Pa, degrees Celsius for kelvin, metres of rain for millimetres.

WRF writes the units of the table. If a variable has other units of the same quantity, its values were converted, and a
formula for WRF's units would be wrong by that factor or offset.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from sciml.constants import DAY, ZERO_CELSIUS
from sciml.errors import InputError
from sciml.wrf.variables import TABLE

__all__ = ["Scale", "check_units", "contradicts", "parsed"]


class Scale(NamedTuple):
    """A unit as powers of m, kg, s and K, with its factor and offset to the SI unit of these powers.

    Attributes
    ----------
    powers
        Powers of m, kg, s and K.
    factor, offset
        The value in SI units is `factor` times the value, plus `offset`.
    """

    powers: tuple[int, int, int, int]
    factor: float
    offset: float = 0.0


_M, _KG, _S, _K = (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)
_PA, _NONE = (-1, 1, -2, 0), (0, 0, 0, 0)
_W, _J = (2, 1, -3, 0), (2, 1, -2, 0)
_NAMES: Final[dict[Scale, str]] = {
    Scale(_NONE, 1.0): "1 dimensionless -",
    Scale(_NONE, 0.01): "% percent",
    Scale(_NONE, math.pi / 180): "degree degrees deg degree_north degrees_north degree_east degrees_east",
    Scale(_M, 1.0): "m meter meters metre metres gpm",
    Scale(_M, 1e3): "km",
    Scale(_M, 10.0): "dam gpdm",
    Scale(_M, 0.01): "cm",
    Scale(_M, 1e-3): "mm millimeter millimeters",
    Scale(_M, 0.3048): "ft feet foot",
    Scale(_M, 0.0254): "in inch inches",
    Scale(_KG, 1.0): "kg",
    Scale(_KG, 1e-3): "g",
    Scale(_KG, 1e-6): "mg",
    Scale(_S, 1.0): "s sec second seconds",
    Scale(_S, 60.0): "min minute minutes",
    Scale(_S, 3600.0): "h hr hour hours",
    Scale(_S, DAY): "d day days",
    Scale(_K, 1.0): "k kelvin degk",
    Scale(_K, 1.0, ZERO_CELSIUS): "c degc deg_c °c celsius degree_celsius degrees_celsius degreesc",
    Scale(_K, 5 / 9, 459.67 * 5 / 9): "f degf deg_f °f fahrenheit degree_fahrenheit degrees_fahrenheit",
    Scale(_PA, 1.0): "pa pascal pascals",
    Scale(_PA, 100.0): "hpa mb mbar millibar millibars hectopascal",
    Scale(_PA, 1e3): "kpa",
    Scale(_PA, 1e5): "bar",
    Scale(_PA, 101325.0): "atm",
    Scale(_W, 1.0): "w watt",
    Scale(_J, 1.0): "j joule",
    Scale((1, 0, -1, 0), 1852 / 3600): "kt kts knot knots",
    Scale((1, 0, -1, 0), 0.44704): "mph",
}
_KNOWN: Final[dict[str, Scale]] = {word: scale for scale, words in _NAMES.items() for word in words.split()}
_WORD: Final = re.compile(r"([a-z%°_]+)\(?(-?\d+)?\)?|(?<![\w.])1(?![\w.])|-")
_WATER: Final = 1e-3
"""Depth in metres of water with a mass of 1 kg m-2."""


def parsed(text: str) -> Scale | None:
    """Parse a unit as written by WRF, CF or a tool; None if it is not recognised.

    Examples
    --------
    >>> parsed("J kg-1").powers, parsed("hPa").factor, parsed("furlong")
    ((2, 0, -2, 0), 100.0, None)
    """
    plain = re.sub(r"\*\*|[\^{}]", "", text.strip().lower())
    powers, factor, offset = list(_NONE), 1.0, 0.0
    for part, piece in enumerate(plain.split("/")):
        words = piece.replace("*", " ").replace("·", " ").split()
        for place, word in enumerate(words):
            match = _WORD.fullmatch(word)
            if not match:
                return None
            if not match[1]:
                continue
            known = _KNOWN.get(match[1])
            if known is None:
                return None
            # Only the first word after a slash is in the denominator.
            power = int(match[2] or 1) * (-1 if part and place == 0 else 1)
            powers = [a + power * b for a, b in zip(powers, known.powers, strict=True)]
            factor *= known.factor**power
            offset = known.offset if plain == word else 0.0
    return Scale((powers[0], powers[1], powers[2], powers[3]), factor, offset)


def contradicts(name: str, units: object) -> bool:
    """Whether the units of a variable differ from WRF's, so that its values were converted.

    Units that are missing or not recognised do not differ, and no units differ if WRF writes none for the variable.

    Examples
    --------
    >>> contradicts("PSFC", "hPa"), contradicts("PSFC", "Pa"), contradicts("RAINC", "kg m-2")
    (True, False, False)
    """
    row = TABLE.get(name)
    if row is None or not isinstance(units, str) or not units.strip() or " since " in units:
        return False
    own, other = parsed(row.units), parsed(units)
    if own is None or other is None:
        return False
    if (other.powers[0], other.powers[1]) == (own.powers[0] - 3, 1) and own.powers[0] == 1:
        # Water as mass per area: 1 kg m-2 is 1 mm.
        other = Scale((own.powers[0], 0, *other.powers[2:]), other.factor * _WATER, 0.0)
    if other.powers != own.powers:
        return own.powers != _NONE and other.powers != _NONE and row.role != "target"
    same = math.isclose(other.factor, own.factor, rel_tol=1e-6)
    return not same or abs(other.offset - own.offset) > 1e-6


def check_units(name: str, attrs: Mapping[Any, Any], source: str) -> None:
    """Check that a variable has WRF's units.

    Raises
    ------
    InputError
        The units differ. The message has both units and the expression that converts the variable back.
    """
    units = attrs.get("units")
    if contradicts(name, units):
        right = TABLE[name].units
        raise InputError(
            f"{name} of {source} is in {units}, but WRF writes it in {right}: convert it back, as in "
            f"ds['{name}'] = ({_back(name, str(units))}).assign_attrs(units='{right}'), or use the file as WRF "
            "wrote it"
        )


def _back(name: str, units: str) -> str:
    """Expression that converts a variable to the units of the table."""
    own, other = parsed(TABLE[name].units), parsed(units)
    array = f"ds['{name}']"
    if own is None or other is None:
        return array
    if other.powers != own.powers and other.powers[1] == 1:
        other = Scale(own.powers, other.factor * _WATER)
    if other.powers != own.powers:
        return f"{array} * ..."
    by = other.factor / own.factor
    shift = (other.offset - own.offset) / own.factor
    return f"{array}{'' if math.isclose(by, 1) else f' * {by:.10g}'}{f' + {shift:.10g}' if shift else ''}"
