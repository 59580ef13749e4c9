"""Options that several commands share, written once as the fields of a dataclass."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

__all__ = ["expand_options"]


def expand_options(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command that takes the fields of dataclasses in place of its dataclass parameters.

    typer reads the options of a command from its signature, one parameter an option. In the signature of the command
    returned, each parameter whose type is a dataclass is replaced by the fields of that dataclass, which are annotated
    with `typer.Option`. The values are collected into the dataclass when the command is called.

    Parameters
    ----------
    command
        A function whose parameters after the arguments are keyword-only.
    """
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if dataclasses.is_dataclass(hint)}
    annotations: dict[str, Any] = {}
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command).parameters.values():
        group = groups.get(parameter.name)
        if group is None:
            annotations[parameter.name] = hints[parameter.name]
            parameters.append(parameter.replace(annotation=hints[parameter.name]))
            continue
        fields = get_type_hints(group, include_extras=True)
        for field in dataclasses.fields(group):
            annotations[field.name] = fields[field.name]
            parameters.append(
                inspect.Parameter(
                    field.name,
                    inspect.Parameter.KEYWORD_ONLY,
                    default=field.default,
                    annotation=fields[field.name],
                )
            )

    @functools.wraps(command)
    def expanded(**values: Any) -> None:
        for name, group in groups.items():
            values[name] = group(
                **{field.name: values.pop(field.name, field.default) for field in dataclasses.fields(group)}
            )
        command(**values)

    expanded.__annotations__ = {**annotations, "return": None}
    expanded.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return expanded
