"""Weights of convolutions in packed formats, and their integers in ONNX graphs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from sciml.compress.arithmetic import quantize_blocks
from sciml.compress.blobs import decode, integer_parts
from sciml.compress.formats import FORMATS, format_named, pack, stored_bytes, unpack
from sciml.compress.kronecker import kronecker_sum
from sciml.errors import InputError, SchemaError, SciMLError
from sciml.train import checkpoint

SHAPES = {
    "a": (6, 5, 3, 3),
    "b": (4, 5, 3, 3),
    "c": (7,),
    "d": (7,),
    "e": (3, 11),
    "g": (2, 3, 130),
    "h": (8, 64),
}


def tensors(seed: int = 7) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        name: (rng.standard_normal(shape) * 10.0 ** rng.integers(-6, 6)).astype(np.float32)
        for name, shape in SHAPES.items()
    }


def test_blocks_run_over_the_kernel_behind_the_first_axis(tmp_path: Path) -> None:
    weight = tensors()["a"]
    stored, described = pack({"w": weight}, {"w": "int8-32"})
    assert described["w"] == {"format": "int8-32", "shape": [6, 5, 3, 3], "parts": [""], "rows": 6}
    wanted = quantize_blocks(weight.reshape(6, 45), 8, 32).values().reshape(weight.shape)
    np.testing.assert_array_equal(unpack(stored, described)["w"], wanted)
    # 6 rows of 2 blocks: a shift of half a byte for each block
    assert stored["w"].size == 6 + 6 + weight.size == stored_bytes({"w": weight}, {"w": "int8-32"})
    path = checkpoint.save(tmp_path / "m.sciml", {"kind": "line"}, {"w": weight}, formats={"w": "int8-32"})
    np.testing.assert_array_equal(checkpoint.load(path).tensors["w"], wanted)
    # a file without the entry has blocks along the last axis
    last = format_named("int8-32").encode(weight)
    entry = {"format": "int8-32", "shape": [6, 5, 3, 3], "parts": [""]}
    np.testing.assert_array_equal(
        unpack({"w": last[""]}, {"w": entry})["w"], quantize_blocks(weight, 8, 32).values()
    )
    for rows in (5, 0, "six"):
        with pytest.raises(SchemaError, match=rf"'w' is not stored .*{rows} rows for the shape"):
            unpack(stored, {"w": {**described["w"], "rows": rows}})


@pytest.mark.parametrize("transposed", [False, True])
def test_a_hypercomplex_kernel_is_stored_as_its_factors(transposed: bool) -> None:
    """The flattened kernel is the Kronecker sum of the flattened factors."""
    rng = np.random.default_rng(11)
    n, shape = 4, (12, 8, 3, 3) if transposed else (8, 12, 3, 3)
    a = quantize_blocks(rng.standard_normal((n * n, n)), 8, 64).values().reshape(n, n, n)
    f = quantize_blocks(rng.standard_normal((n, shape[0] * shape[1] * 9 // n**2)), 8, 64).values()
    kernels = torch.from_numpy(f).reshape(n, shape[0] // n, shape[1] // n, 3, 3)
    weight = sum(
        torch.einsum("pq,mckl->pmqckl", torch.from_numpy(left), right).reshape(shape)
        for left, right in zip(a, kernels, strict=True)
    )
    assert isinstance(weight, torch.Tensor)
    stored, described = pack({"w": weight.numpy()}, {"w": "hypercomplex4"})
    assert stored["w"].nbytes < weight.numel() * 4 / 11
    back = unpack(stored, described)["w"]
    # A pair of factors is unique up to a common change of basis, whose coefficients are rounded again.
    assert np.linalg.norm(back - weight.numpy()) < 0.02 * float(weight.norm())
    a_codes, f_codes = integer_parts(stored["w"], (shape[0], shape[1] * 9))
    again = kronecker_sum(a_codes.values().reshape(n, n, n), f_codes.values().reshape(n, shape[0] // n, -1))
    np.testing.assert_array_equal(again.reshape(shape), back)
    # the stored factors are stored again as they are
    once_more, _ = pack({"w": back}, {"w": "hypercomplex4"}, {"w": stored["w"]})
    np.testing.assert_array_equal(once_more["w"], stored["w"])


@pytest.mark.parametrize(
    "chosen", ["int4", "int8", "int16", "int4-7", "mxint8", "mxint4-16", "hypercomplex2"]
)
def test_integers_in_a_graph_are_the_same_floats(chosen: str, tmp_path: Path) -> None:
    onnx, onnxruntime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    from sciml.compress.onnx_integers import open_onnx, store_integers

    given = {"a": tensors()["a"], "h": tensors()["h"]} if "hyper" in chosen else tensors()
    if "hyper" in chosen:
        given["a"] = np.repeat(given["a"], 2, axis=1)
    known = format_named(chosen)
    integers, decoded = {}, {}
    for name, value in given.items():
        matrix = value.reshape(known.matrix(value.shape))
        blob = known.encode(matrix)[""]
        decoded[name] = decode(blob, matrix.shape).reshape(value.shape)
        integers[name] = integer_parts(blob, matrix.shape)
    integers["absent"] = integers["a"]
    helper, proto = onnx.helper, onnx.TensorProto
    graph = helper.make_graph(
        [helper.make_node("Identity", [name], [f"{name}_out"]) for name in decoded],
        "weights",
        [],
        [helper.make_tensor_value_info(f"{name}_out", proto.FLOAT, x.shape) for name, x in decoded.items()],
        [onnx.numpy_helper.from_array(x, name) for name, x in decoded.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    store_integers(model, integers)
    onnx.checker.check_model(model, full_check=True)
    floats = [x for x in model.graph.initializer if x.data_type == proto.FLOAT]
    assert [x.name for x in floats] == ["scale.table"]
    path = tmp_path / "weights.onnx"
    path.write_bytes(model.SerializeToString())
    plain = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for session in (open_onnx(path), plain):
        results = dict(zip(decoded, session.run([f"{name}_out" for name in decoded], {}), strict=True))
        for name, wanted in decoded.items():
            if "hyper" in chosen:
                np.testing.assert_allclose(results[name], wanted, rtol=0, atol=1e-6 * np.abs(wanted).max())
            else:
                np.testing.assert_array_equal(results[name], wanted)


def test_graphs_without_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from sciml.compress.onnx_integers import check_onnx, open_onnx, store_integers

    value = tensors()["h"]
    integers = {"h": integer_parts(FORMATS["int8"].encode(value)[""], value.shape)}
    model = onnx.helper.make_model(
        onnx.helper.make_graph([], "weights", [], [], [onnx.numpy_helper.from_array(value, "h")]),
        opset_imports=[onnx.helper.make_opsetid("", 18)],
    )
    with pytest.raises(InputError, match=r"a graph of opset 18, and weights in integers need 21"):
        store_integers(model, integers)
    (tmp_path / "new.onnx").write_bytes(b"no graph")
    with pytest.raises(SciMLError, match=r"onnxruntime .* cannot run .*new\.onnx .*pip install --upgrade"):
        open_onnx(tmp_path / "new.onnx")
    monkeypatch.setattr(onnx.defs, "onnx_opset_version", lambda: 20)
    with pytest.raises(SciMLError, match=r"has opset 20, and weights in integers need 21: pip install"):
        check_onnx()
