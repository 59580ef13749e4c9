"""The network of a weights file as an ONNX graph: for other programs, and as an oracle for the native library.

Needs the extra ``onnx``. The coupling with WRF does not use it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sciml.coupling.reduced_export import REDUCED, REDUCED_ATTRIBUTES
from sciml.coupling.weights_file import Weights
from sciml.errors import InputError, SciMLError
from sciml.storage.atomic import replaced
from sciml.storage.provenance import attribute

__all__ = ["bilstm_onnx", "closure_onnx", "column_bilstm_onnx", "emulator_onnx", "onnx_session", "write_onnx"]


def _gates(array: npt.NDArray[np.generic], hidden: int) -> npt.NDArray[np.float32]:
    """Convert torch's order of gates i, f, g, o to ONNX's i, o, f, g."""
    i, f, g, o = (array[part * hidden : (part + 1) * hidden] for part in range(4))
    return np.concatenate([i, o, f, g]).astype(np.float32)


class _Graph:
    """Nodes and constants of a graph."""

    def __init__(self, weights: Weights) -> None:
        try:
            import onnx
        except ImportError as error:
            raise SciMLError("this needs onnx: pip install onnx onnxscript onnxruntime") from error
        if weights.attributes.get("network") != "bilstm":
            raise InputError(
                f"the weights are those of {weights.attributes.get('network')!r}, not a bilstm: export the network"
            )
        self.onnx, self.weights = onnx, weights
        self.constants: list[Any] = []
        self.nodes: list[Any] = []

    def size(self, name: str) -> int:
        return int(np.asarray(self.weights.attributes[name]))

    def constant(self, name: str, array: npt.NDArray[np.generic] | None = None) -> str:
        """Add a constant, or an array of the weights as float32."""
        value = self.weights.arrays[name].astype(np.float32) if array is None else array
        self.constants.append(self.onnx.numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def add(self, kind: str, inputs: list[str], outputs: str | list[str], **attributes: Any) -> str:
        made = [outputs] if isinstance(outputs, str) else outputs
        self.nodes.append(self.onnx.helper.make_node(kind, inputs, made, **attributes))
        return made[0]

    def states(self) -> str:
        """The states (level, column, 2 hidden) after the last layer, from ``x`` (level, column, channel)."""
        hidden, state = self.size("hidden"), "x"
        arrays = self.weights.arrays
        flat = self.constant("flat", np.array([0, 0, 2 * hidden], np.int64))
        for layer in range(self.size("layers")):

            def both(kind: str, layer: int = layer) -> list[npt.NDArray[np.float32]]:
                return [_gates(arrays[f"lstm.{kind}_l{layer}{way}"], hidden) for way in ("", "_reverse")]

            bias = [np.concatenate(pair) for pair in zip(both("bias_ih"), both("bias_hh"), strict=True)]
            inputs = [
                state,
                self.constant(f"w{layer}", np.stack(both("weight_ih"))),
                self.constant(f"r{layer}", np.stack(both("weight_hh"))),
                self.constant(f"b{layer}", np.stack(bias)),
            ]
            self.add("LSTM", inputs, f"y{layer}", hidden_size=hidden, direction="bidirectional")
            turned = self.add("Transpose", [f"y{layer}"], f"t{layer}", perm=[0, 2, 1, 3])
            state = self.add("Reshape", [turned, flat], f"h{layer}")
        return state

    def head(self, state: str, name: str) -> str:
        """The 1x1 map of every level's state."""
        weight = self.constant("head.weight", self.weights.arrays["head.weight"].T.astype(np.float32))
        return self.add(
            "Add", [self.add("MatMul", [state, weight], "projected"), self.constant("head.bias")], name
        )

    def units(self, pooled: list[str]) -> str:
        """The units of the column, from the pooled states and the scalars ``y``."""
        both = self.add("Concat", [*pooled, "y"], "both", axis=1)
        weights = [self.constant("summary.weight"), self.constant("summary.bias")]
        return self.add("Tanh", [self.add("Gemm", [both, *weights], "summary", transB=1)], "units")

    def column(self, units: str, name: str) -> str:
        """The numbers of the column, from its units."""
        weights = [self.constant("column.weight"), self.constant("column.bias")]
        return self.add("Gemm", [units, *weights], name, transB=1)

    def check(self, names: tuple[str, ...]) -> None:
        """Check that the weights have these attributes of a whole emulator.

        Raises
        ------
        InputError
            One is missing.
        """
        missing = [name for name in names if name not in self.weights.attributes]
        if missing:
            raise InputError(
                f"the weights have no {', '.join(missing)} and so no whole emulator: "
                "export one with `sciml coupling export`"
            )

    def inputs(self) -> dict[str, list[int | None]]:
        """The standardised inputs ``x`` and ``y`` of an emulator."""
        scalars = len(str(self.weights.attributes["scalar_names"]).split())
        return {"x": [None, None, self.size("channels")], "y": [None, scalars]}

    def model(self, inputs: dict[str, list[int | None]], outputs: dict[str, list[int | None]]) -> Any:
        helper, kind = self.onnx.helper, self.onnx.TensorProto.FLOAT
        entry, results = (
            [helper.make_tensor_value_info(name, kind, shape) for name, shape in infos.items()]
            for infos in (inputs, outputs)
        )
        graph = helper.make_graph(self.nodes, "bilstm", entry, results, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        self.onnx.checker.check_model(model)
        return model


def bilstm_onnx(weights: Weights) -> Any:
    """Make an ``onnx.ModelProto`` of the bare network of a weights file.

    Its input is ``x`` (level, column, channel), ONNX's own order for sequences; its outputs are ``levels``
    (level, column, output) and, where there is a pooled head, ``pooled`` (column, pooled).

    Raises
    ------
    InputError
        When the weights are not those of a Bi-LSTM.
    SciMLError
        Without the extra ``onnx``.
    """
    g = _Graph(weights)
    outputs, pooled = g.size("outputs"), g.size("pooled")
    results: dict[str, list[int | None]] = {"levels": [None, None, outputs]}
    state = g.states()
    if pooled:
        inner = weights.arrays["head.weight"].shape[0] - outputs
        split = g.constant("split", np.array([outputs, inner], np.int64))
        g.add("Split", [g.head(state, "head"), split], ["levels", "inner"], axis=2)
        # (pooled, input, level) against (level, column, input): both flattened to (input, level).
        g.add("Flatten", [g.add("Transpose", ["inner"], "turned", perm=[1, 2, 0])], "rows", axis=1)
        kernel = g.constant(
            "pool.weight", weights.arrays["pool.weight"].reshape(pooled, -1).astype(np.float32)
        )
        g.add("Gemm", ["rows", kernel, g.constant("pool.bias")], "pooled", transB=1)
        results["pooled"] = [None, pooled]
    else:
        g.head(state, "levels")
    return g.model({"x": [None, None, g.size("channels")]}, results)


def closure_onnx(weights: Weights) -> Any:
    """Make an ``onnx.ModelProto`` of the network of a whole emulator, as `sciml.convection.network.Closure` defines it.

    Its inputs, standardised, are ``x`` (layer, column, channel), of which the last channels repeat the column's
    scalars, and ``y`` (column, scalar); its outputs ``push`` (layer, column, 1) in m/s and ``column``
    (column, 2): the trigger's logit and the logarithm of the expected error.

    Raises
    ------
    InputError
        When the weights are not those of an emulator.
    SciMLError
        Without the extra ``onnx``.
    """
    g = _Graph(weights)
    g.check(("pooled_units", "push_bound"))
    bound = g.constant("push bound", np.array([weights.attributes["push_bound"]], np.float32))
    state = g.states()
    small = g.add("Div", [g.head(state, "level"), bound], "push small")
    g.add("Mul", [g.add("Tanh", [small], "push tanh"), bound], "push")
    g.column(g.units([g.add("ReduceMean", [state], "mean", axes=[0], keepdims=0)]), "column")
    return g.model(g.inputs(), {"push": [None, None, 1], "column": [None, 2]})


def column_bilstm_onnx(weights: Weights) -> Any:
    """Make an ``onnx.ModelProto`` of the network of a pure emulator, `sciml.convection.bilstm.ColumnBiLSTM`.

    Its inputs, standardised, are ``x`` (layer, column, channel), of which the last channels repeat the column's
    scalars, and ``y`` (column, scalar); its outputs ``level`` (layer, column, class, head), ``heads`` (column, class,
    head) and ``column`` (column, 4), as ``ColumnBiLSTM.forward`` defines them.

    Raises
    ------
    InputError
        When the weights are not those of such an emulator.
    SciMLError
        Without the extra ``onnx``.
    """
    from sciml.convection.layer_network import CLASSES
    from sciml.convection.layer_outputs import COLUMN_HEADS, HEADS

    g = _Graph(weights)
    g.check(("pooled_units", "layers_pressure"))
    state, arrays = g.states(), weights.arrays
    pooled = [g.add(f"Reduce{kind}", [state], kind, axes=[0], keepdims=0) for kind in ("Mean", "Max")]
    units = g.units(pooled)
    shared = g.constant("shared.weight", arrays["shared.weight"].T.astype(np.float32))
    everywhere = g.add("MatMul", [units, shared], "shared")  # (column, unit), the same in all layers
    mixed = g.add("Relu", [g.add("Add", [g.head(state, "own"), everywhere], "sum")], "mixed")
    weight = g.constant("level.weight", arrays["level.weight"].T.astype(np.float32))
    flat = g.add(
        "Add", [g.add("MatMul", [mixed, weight], "unbiased"), g.constant("level.bias")], "flat level"
    )
    shape = np.array([0, 0, len(CLASSES), len(HEADS)], np.int64)
    g.add("Reshape", [flat, g.constant("level shape", shape)], "level")
    own = np.array([4, len(CLASSES) * len(COLUMN_HEADS)], np.int64)
    split = [g.column(units, "all"), g.constant("column split", own)]
    g.add("Split", split, ["column", "flat heads"], axis=1)
    shape = np.array([0, len(CLASSES), len(COLUMN_HEADS)], np.int64)
    g.add("Reshape", ["flat heads", g.constant("heads shape", shape)], "heads")
    results: dict[str, list[int | None]] = {
        "level": [None, None, len(CLASSES), len(HEADS)],
        "heads": [None, len(CLASSES), len(COLUMN_HEADS)],
        "column": [None, 4],
    }
    return g.model(g.inputs(), results)


#: By the attribute `emulator` of a weights file.
_GRAPHS: dict[str, Callable[[Weights], Any]] = {
    "plume-closure": closure_onnx,
    "bilstm": column_bilstm_onnx,
    "published": bilstm_onnx,
}


def emulator_onnx(weights: Weights) -> Any:
    """Make an ``onnx.ModelProto`` of the network of an emulator, of the class that its weights name.

    The features before the network and the physics after it are not in the graph. Numbers of columns and layers are
    free; that of the published network's levels is fixed.

    Raises
    ------
    InputError
        When the weights are those of a bare network, or of an emulator without a graph here.
    SciMLError
        Without the extra ``onnx``.
    """
    kind = str(weights.attributes.get("emulator", ""))
    if kind not in _GRAPHS:
        raise InputError(
            f"the attribute `emulator` of the weights is `{kind}`; there is an ONNX graph for {', '.join(_GRAPHS)}: "
            "export an emulator of such a class with `sciml coupling export`"
        )
    return _GRAPHS[kind](weights)


def write_onnx(path: Path, weights: Weights, *, floats: bool = False) -> None:
    """Write the graph of `emulator_onnx` to a file; its metadata has the attributes of the weights.

    Parameters
    ----------
    path
        File to write.
    weights
        Weights of an emulator. Weights that are only stored in integers are written as floats.
    floats
        Whether to write a network that computes in integers or bfloat16 as one of floats, with its decoded weights.
        The LSTM of ONNX has no such arithmetic, so that the results differ by the rounding of activations and gates.

    Raises
    ------
    InputError
        See `emulator_onnx`; or the network computes in integers or bfloat16, without ``floats``.
    SciMLError
        Without the extra ``onnx``, or when the file cannot be written.
    """
    attributes = dict(weights.attributes)
    if attributes.get("weight_format") == REDUCED:
        if not floats:
            kinds = ", ".join(sorted(set(str(attributes["arithmetic"]).split())))
            raise InputError(
                f"{path}: the network computes in {kinds}, which the LSTM of ONNX cannot: add --float for a graph of "
                "its decoded weights in float32"
            )
        attributes |= {"weight_format": "float"}
        for name in REDUCED_ATTRIBUTES:
            attributes.pop(name)
    model = emulator_onnx(weights)
    for name, value in sorted({**attributes, **attribute()}.items()):
        entry = model.metadata_props.add()
        entry.key, entry.value = name, str(value)
    with replaced(path) as part:
        part.write_bytes(model.SerializeToString())


def onnx_session(weights: Weights, threads: int = 1, *, emulator: bool = False) -> Any:
    """Open the graph of the bare network, or that of `emulator_onnx`, in ONNX Runtime on the CPU.

    Raises
    ------
    SciMLError
        Without the extra ``onnx``.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise SciMLError("this needs onnxruntime: pip install onnx onnxscript onnxruntime") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    model = (emulator_onnx if emulator else bilstm_onnx)(weights).SerializeToString()
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
