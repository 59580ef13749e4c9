"""What a network shows of itself in a notebook."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sciml.tables import html_table

__all__ = ["told_html"]


def told_html(network: Any) -> str:
    """The class, the number of parameters, and the settings of a network as a table; torch's repr has its layers."""
    settings = dict(network.config())
    name = str(settings.pop("class"))
    count = sum(p.numel() for p in network.parameters())
    rows = ((key.replace("_", " "), _plain(value)) for key, value in settings.items())
    return html_table(name, [("parameters", f"{count:,}"), *rows])


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_plain(one)}" for name, one in value.items())
    return ", ".join(map(_plain, value)) if isinstance(value, list | tuple) else str(value)
