"""Weights of an ONNX graph as integers: DequantizeLinear with blocks (opset 21, int8, int16 and int4 tensors).

Needs the extra ``onnx``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sciml.compress.arithmetic import BlockIntegers
from sciml.errors import InputError, SciMLError

__all__ = ["OPSET", "check_onnx", "open_onnx", "store_integers"]

Array = npt.NDArray[Any]
Group = tuple[int, int, tuple[int, ...]]

OPSET = 21
"""First opset with blocks in DequantizeLinear, and with tensors of 4 bits."""

_INSTALL = "pip install --upgrade onnx onnxscript onnxruntime"


def check_onnx() -> Any:
    """Return the package onnx, after a check that it has opset 21.

    Raises
    ------
    SciMLError
        It is not installed, or older.
    """
    try:
        import onnx
    except ImportError as error:
        raise SciMLError(f"this needs onnx and onnxscript: {_INSTALL}") from error
    newest = int(onnx.defs.onnx_opset_version())
    if newest < OPSET:
        raise SciMLError(
            f"onnx {onnx.__version__} has opset {newest}, and weights in integers need {OPSET}: {_INSTALL}, or "
            "write the graph in floats"
        )
    return onnx


def store_integers(model: Any, integers: Mapping[str, Sequence[BlockIntegers]]) -> None:
    """Replace float initializers of a graph by integers, which nodes at its beginning convert to the same floats.

    Initializers of equal shape, apart from the first axis, are stored in one tensor of codes with one
    DequantizeLinear node; Split separates them. Each shift is a byte, the index of a power of two in a table that all
    tensors share, so that the scales are exact.

    Parameters
    ----------
    model
        An ``onnx.ModelProto`` of opset 21 or later; it is changed.
    integers
        By the name of the initializer: its codes as a matrix of (rows, values), or the codes of the factors A (n^2, n)
        and F (n, values) of a hypercomplex weight. Initializers that are not in the graph are ignored.

    Raises
    ------
    InputError
        The graph has an older opset.
    """
    onnx = check_onnx()
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)
    if opset < OPSET:
        raise InputError(f"a graph of opset {opset}, and weights in integers need {OPSET}: export it again")
    graph = model.graph
    shapes = {value.name: tuple(value.dims) for value in graph.initializer if value.name in integers}
    if not shapes:
        return
    writer = _Writer(onnx)
    for name, shape in shapes.items():
        parts = integers[name]
        if len(parts) == 1:
            writer.add(name, shape, parts[0])
        else:
            writer.add_factors(name, shape, *parts)
    nodes = writer.nodes()
    unchanged = [value for value in graph.initializer if value.name not in shapes]
    graph.ClearField("initializer")
    graph.initializer.extend([*unchanged, *writer.constants])
    later = list(graph.node)
    graph.ClearField("node")
    graph.node.extend([*nodes, *later])


class _Writer:
    """The nodes and constants that make floats of integers."""

    def __init__(self, onnx: Any) -> None:
        self.onnx = onnx
        self.constants: list[Any] = []
        self.groups: dict[Group, dict[str, tuple[tuple[int, ...], BlockIntegers]]] = {}
        self.products: list[Any] = []

    def add(self, name: str, shape: tuple[int, ...], coded: BlockIntegers) -> None:
        """Add a tensor; one of a single axis is a row."""
        key = (coded.bits, coded.block, shape[1:] if len(shape) > 1 else (coded.codes.shape[-1], -1))
        self.groups.setdefault(key, {})[name] = (shape, coded)

    def add_factors(self, name: str, shape: tuple[int, ...], a: BlockIntegers, f: BlockIntegers) -> None:
        """Add a tensor that is the sum of the Kronecker products of A_i and F_i."""
        n = len(f.codes)
        rows = shape[0] if len(shape) > 1 else 1
        columns = math.prod(shape) // rows
        block_rows, block_columns = rows // n, -(-columns // n)
        self.add(f"{name}.A", a.codes.shape, a)
        self.add(f"{name}.F", f.codes.shape, f)
        terms = self.constant(f"{name}.terms", np.array([n, n * n], np.int64))
        split = self.constant(f"{name}.blocks", np.array([n, n, block_rows, block_columns], np.int64))
        whole = self.constant(f"{name}.shape", np.array(shape, np.int64))
        self.node("Reshape", [f"{name}.A", terms], f"{name}.AT")
        self.node("Transpose", [f"{name}.AT"], f"{name}.AN", perm=[1, 0])
        self.node("MatMul", [f"{name}.AN", f"{name}.F"], f"{name}.sum")
        self.node("Reshape", [f"{name}.sum", split], f"{name}.parts")
        last = self.node("Transpose", [f"{name}.parts"], f"{name}.order", perm=[0, 2, 1, 3])
        if columns % n:
            padded = self.constant(f"{name}.padded", np.array([rows, n * block_columns], np.int64))
            ends = [
                self.constant(f"{name}.{end}", np.array([at])) for end, at in (("from", 0), ("to", columns))
            ]
            self.node("Reshape", [last, padded], f"{name}.wide")
            axis = self.constant(f"{name}.axis", np.array([1], np.int64))
            last = self.node("Slice", [f"{name}.wide", *ends, axis], f"{name}.cut")
        self.node("Reshape", [last, whole], name)

    def constant(self, name: str, array: Array) -> str:
        self.constants.append(self.onnx.numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def node(self, kind: str, inputs: list[str], outputs: str | list[str], **attributes: Any) -> str:
        made = [outputs] if isinstance(outputs, str) else outputs
        self.products.append(self.onnx.helper.make_node(kind, inputs, made, **attributes))
        return made[0]

    def nodes(self) -> list[Any]:
        """Return the nodes, and add their constants."""
        after, self.products = self.products, []
        members = [coded for group in self.groups.values() for _, coded in group.values()]
        least = min(int(coded.shifts.min()) for coded in members)
        most = max(int(coded.shifts.max()) for coded in members)
        table = np.ldexp(np.float32(1), -np.arange(least, most + 1))
        self.constant("scale.table", table.astype(np.float32))
        for number, (key, group) in enumerate(self.groups.items()):
            self._group(f"weights.{number}", key, group, least)
        return [*self.products, *after]

    def _group(
        self, prefix: str, key: Group, group: Mapping[str, tuple[tuple[int, ...], BlockIntegers]], least: int
    ) -> None:
        bits, block, trailing = key
        codes = np.concatenate([coded.codes for _, coded in group.values()])
        shifts = np.concatenate([coded.shifts for _, coded in group.values()]).astype(np.int64)
        self.constants.append(self._codes(f"{prefix}.codes", codes, bits))
        index = self.constant(f"{prefix}.shifts", (shifts - least).astype(np.uint8))
        kind = self.onnx.TensorProto.INT32
        self.node("Cast", [index], f"{prefix}.index", to=kind)
        self.node("Gather", ["scale.table", f"{prefix}.index"], f"{prefix}.scales")
        names = list(group)
        flat = trailing[-1:] == (-1,)
        shape = (codes.size,) if flat else (codes.shape[0], *trailing)
        matrix = shape == codes.shape
        floats = names[0] if matrix and len(names) == 1 else f"{prefix}.matrix"
        self.node(
            "DequantizeLinear", [f"{prefix}.codes", f"{prefix}.scales"], floats, axis=1, block_size=block
        )
        if not matrix:
            whole = self.constant(f"{prefix}.shape", np.array(shape, np.int64))
            floats = self.node(
                "Reshape", [floats, whole], names[0] if len(names) == 1 else f"{prefix}.tensor"
            )
        if len(names) > 1:
            sizes = np.array([shape[0] for shape, _ in group.values()], np.int64)
            self.node("Split", [floats, self.constant(f"{prefix}.sizes", sizes)], names, axis=0)

    def _codes(self, name: str, codes: Array, bits: int) -> Any:
        proto = self.onnx.TensorProto
        if bits != 4:
            return self.onnx.numpy_helper.from_array(np.ascontiguousarray(codes), name)
        flat = np.append(codes.reshape(-1), np.zeros(codes.size % 2, codes.dtype)).astype(np.uint8) & 15
        pairs = flat[::2] | (flat[1::2] << np.uint8(4))
        return self.onnx.helper.make_tensor(name, proto.INT4, codes.shape, pairs.tobytes(), raw=True)


def open_onnx(path: str | Path, threads: int = 1) -> Any:
    """Open a graph in ONNX Runtime, with weights in integers converted to floats once instead of at every call.

    Parameters
    ----------
    path
        ONNX file.
    threads
        Number of threads.

    Raises
    ------
    SciMLError
        ONNX Runtime is not installed, or does not run the operators of the file.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise SciMLError(f"this needs onnxruntime: {_INSTALL}") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions have no common base class
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SciMLError(
            f"onnxruntime {onnxruntime.__version__} cannot run {path} ({reason[:160]}): {_INSTALL}, or write the graph "
            "in floats"
        ) from error
