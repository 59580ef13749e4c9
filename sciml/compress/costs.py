"""Time of a matrix in the native kernels by its size and its kind of arithmetic, as a cost for the choice of widths."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from sciml.checks import is_number, is_whole
from sciml.compress.plan import WIDTH_KINDS
from sciml.errors import InputError, SchemaError

if TYPE_CHECKING:
    from torch import nn

__all__ = ["CostTable", "kernel_matrices"]

_KEYS = ("isa", "levels", "block", "costs")

Key: TypeAlias = tuple[str, int, int]


@dataclass(frozen=True)
class CostTable:
    """Measured time of a matrix in the native kernels.

    Attributes
    ----------
    isa
        Instruction set of the kernels: baseline, avx2, avx512 or amx.
    levels
        Levels of a column.
    block
        Features that share a shift.
    microseconds
        Microseconds of a column of so many levels, by kind, rows and columns of the matrix.

    Examples
    --------
    >>> table = CostTable("avx2", 44, 64, {("int8", 128, 32): 1.5, ("bf16", 128, 32): 4.0})
    >>> table.time("bf16", 128, 32)
    4.0
    >>> CostTable.from_json(table.to_json()) == table
    True
    """

    isa: str
    levels: int
    block: int
    microseconds: Mapping[Key, float]

    def time(self, kind: str, rows: int, columns: int) -> float:
        """Return the microseconds of a matrix.

        Raises
        ------
        InputError
            The table does not have the kind or the size.
        """
        try:
            return self.microseconds[kind, rows, columns]
        except KeyError:
            sizes = sorted({key[1:] for key in self.microseconds})
            raise InputError(
                f"no time of {kind} with {rows} rows and {columns} columns in the table, which has "
                f"{', '.join(sorted({key[0] for key in self.microseconds}))} and "
                f"{', '.join(f'{r} x {c}' for r, c in sizes)}: measure it with "
                "sciml.coupling.matrix_costs.measure_costs"
            ) from None

    def cost(self, model: nn.Module) -> Callable[[str, tuple[int, ...], int], float]:
        """Return the cost function of a network for `sciml.compress.allocate_bits`, in microseconds of a column.

        Parameters
        ----------
        model
            Network. Tensors that the kernels use in float32 at all widths have no cost.

        Raises
        ------
        InputError
            The table does not have a size; the function raises it for a kind.
        """
        matrices = kernel_matrices(model)
        for rows, columns in matrices.values():
            self.time(next(iter(self.microseconds))[0], rows, columns)

        def cost(name: str, shape: tuple[int, ...], width: int) -> float:
            if name not in matrices:
                return 0.0
            if width not in WIDTH_KINDS:
                raise InputError(f"width {width!r}: the kernels have {', '.join(map(str, WIDTH_KINDS))} bit")
            return self.time(WIDTH_KINDS[width], *matrices[name])

        return cost

    def to_json(self) -> dict[str, Any]:
        """Return the table as values that JSON can store."""
        costs = [
            {"kind": kind, "rows": rows, "columns": columns, "us": us}
            for (kind, rows, columns), us in self.microseconds.items()
        ]
        return {"isa": self.isa, "levels": self.levels, "block": self.block, "costs": costs}

    @classmethod
    def from_json(cls, plain: object, source: object = "the table") -> CostTable:
        """Make a table from the data of `to_json`.

        Parameters
        ----------
        plain
            Data.
        source
            File, for messages.

        Raises
        ------
        SchemaError
            The data are no table.
        """
        if not isinstance(plain, Mapping) or set(plain) != set(_KEYS):
            given = ", ".join(map(str, plain)) if isinstance(plain, Mapping) else repr(plain)
            raise SchemaError(
                f"{source}: a table of costs has {', '.join(_KEYS)}, not {given}: measure it again"
            )
        try:
            entries = {(str(e["kind"]), int(e["rows"]), int(e["columns"])): e["us"] for e in plain["costs"]}
            if not all(is_number(us) and us > 0 for us in entries.values()):
                raise ValueError("a time is no positive number")
            if not (is_whole(plain["levels"], 1) and is_whole(plain["block"], 1)):
                raise ValueError("levels and block are no whole numbers above 0")
            return cls(str(plain["isa"]), plain["levels"], plain["block"], entries)
        except (KeyError, TypeError, ValueError) as error:
            raise SchemaError(
                f"{source}: the table of costs is damaged ({error}): measure it again"
            ) from error


def kernel_matrices(model: nn.Module) -> dict[str, tuple[int, int]]:
    """Return rows and columns of each matrix that the kernels multiply in the arithmetic of its width, by name."""
    from sciml.compress.layers import lstm_matrices, reducible_linears
    from sciml.nn.state_dict import materialise

    tensors = materialise(model)
    return {
        name: (int(tensors[name].shape[0]), math.prod(tensors[name].shape[1:]))
        for name in (*lstm_matrices(model), *reducible_linears(model))
    }


def check_sizes(shapes: Iterable[tuple[int, int]], most: int) -> list[tuple[int, int]]:
    """Return distinct pairs of rows and columns.

    Raises
    ------
    InputError
        There is none, or one is not two whole numbers from 1 to ``most``.
    """
    given = list(dict.fromkeys(tuple(shape) for shape in shapes))
    wrong = [
        shape
        for shape in given
        if len(shape) != 2
        or not all(is_whole(n, 1) and n <= size for n, size in zip(shape, (4 * most, most), strict=True))
    ]
    if wrong or not given:
        raise InputError(
            f"size {wrong[0] if wrong else 'none'}: give rows and columns of matrices, such as (128, 64), with at most "
            f"{4 * most} rows and {most} columns"
        )
    return [(int(rows), int(columns)) for rows, columns in given]
