"""Problems that commands take by the name of a family or as a sample of a dataset, such as d.zarr[3]."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sciml.checks import check_choice
from sciml.errors import InputError

__all__ = ["draw_problem", "parse_sample"]


def parse_sample(text: str) -> tuple[str, int | None]:
    """Split ``d.zarr[3]`` into the path and the number of the sample; None without a number.

    Raises
    ------
    InputError
        The text is the path of a dataset, or the number is none.
    """
    name, bracket, rest = text.partition("[")
    if not bracket:
        if Path(text).exists():
            raise InputError(f"{text} contains many problems: choose one, such as '{text}[0]'")
        return name, None
    try:
        return name, int(rest.removesuffix("]"))
    except ValueError:
        raise InputError(f"{text!r}: give a sample of a dataset as 'd.zarr[3]'") from None


def draw_problem(name: str, resolution: int, seed: int, centring: str) -> Any:
    """Draw a problem of a family.

    Raises
    ------
    InputError
        There is no such family, or the centring is unknown.
    """
    from sciml.pde.families import FAMILIES

    if name not in FAMILIES:
        raise InputError(
            f"{name!r} is neither a family ({', '.join(FAMILIES)}) nor a sample of a dataset, such as 'd.zarr[3]'"
        )
    check_choice("--centring", centring, ("vertex", "cell"))
    return FAMILIES[name].problem(resolution, seed, "cell" if centring == "cell" else "vertex")
