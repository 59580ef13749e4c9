"""Bundles of packed tensors: round trips, sizes, and damaged bytes."""

from __future__ import annotations

import contextlib
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sciml.compress.bundle import BUNDLE, bundle_tensors, read_bundle, unbundle_tensors, write_bundle
from sciml.compress.formats import pack, unpack
from sciml.errors import InputError, SchemaError
from sciml.train import checkpoint

ARRAYS = {
    "bytes": np.arange(7, dtype=np.uint8),
    "short": np.int16([[1, -2], [300, -32768]]),
    "int": np.array(-5, np.int32),
    "float": np.float32([1.5, -0.0, 1e-40]),
    "double": np.linspace(0, 1, 5).reshape(1, 5),
}
ATTRIBUTES = {"text": "a b", "empty": "", "count": -3, "size": 0.1, "range": [1.0, 2.5], "none": []}


def test_what_is_written_is_read() -> None:
    arrays, attributes = read_bundle(write_bundle(ARRAYS, ATTRIBUTES, {"bytes": "int16"}))
    assert attributes == ATTRIBUTES
    assert list(arrays) == ["bytes", "short", "int", "float", "double"]
    for name, array in ARRAYS.items():
        assert (arrays[name].dtype, arrays[name].shape) == (array.dtype, array.shape)
        assert arrays[name].tobytes() == array.tobytes()


def test_the_bytes_of_the_list() -> None:
    blob = write_bundle({"w": np.int16([[7, -1]])}, {"n": 3}, {})
    sizes = struct.unpack(">IIII", blob.tobytes()[2:18])
    assert blob[:2].tolist() == [1, 2]
    assert blob.size == 18 + sizes[1] + sizes[3]
    assert (sizes[0], sizes[2]) == (4 + 2 + 3 + 4 + 2 + 2 + 8, 4)


def test_packed_tensors_of_any_format() -> None:
    generator = np.random.default_rng(37)
    tensors = {f"t{n}": generator.normal(size=(8, 12)).astype(np.float32) for n in range(6)}
    tensors["kernel"] = generator.normal(size=(8, 4, 3)).astype(np.float32)
    tensors["row"] = generator.normal(size=30).astype(np.float32)
    tensors["one"] = np.array(0.3, np.float32)
    tensors["t6"] = generator.normal(size=(5, 7)).astype(np.float32)
    names = (
        "int8",
        "int4-5",
        "bfloat16",
        "sign",
        "hypercomplex4",
        "int8-3",
        "int16-1",
        "int16",
        "int16",
        "int16-3",
    )
    formats = dict(zip(tensors, names, strict=True))
    del formats["t5"]
    stored, described = pack(tensors, formats)
    again, back, attributes = unbundle_tensors(bundle_tensors(stored, described, {"a": 1}))
    assert (back, attributes) == (described, {"a": 1})
    for name, array in unpack(again, back).items():
        np.testing.assert_array_equal(array, unpack(stored, described)[name])


def test_a_bundle_is_as_small_as_the_information_of_its_codes() -> None:
    """Codes of normal weights in blocks of 64 have 6.9 bits for int8 and 3.0 for int4."""
    weights = np.random.default_rng(41).normal(size=(256, 128)).astype(np.float32)
    for chosen, bits in (("int8", 8), ("int4", 4)):
        stored, described = pack({"w": weights}, {"w": chosen})
        counts = np.unique(stored["w"], return_counts=True)[1] / stored["w"].size
        entropy = -(counts * np.log2(counts)).sum() / 8 * stored["w"].size
        assert 0.99 * entropy < bundle_tensors(stored, described).size < 1.02 * entropy + 150
        assert bundle_tensors(stored, described).size < 0.93 * weights.size * bits / 8


def test_smooth_columns_of_a_scaling_take_less_than_their_bytes() -> None:
    """Layers of one quantity are alike, those of other quantities are not."""
    layers, sizes = np.linspace(0, 1, 40)[:, None], np.geomspace(1e-6, 1e5, 20)
    scaling = (sizes * (1 + np.sin(layers * (1 + np.arange(20) / 7)))).astype(np.float32)
    stored, described = pack({"scale": scaling}, {"scale": "int16-1"})
    stream = zlib.compress(stored["scale"].tobytes(), 9)
    assert bundle_tensors(stored, described).size < 0.9 * len(stream)


def test_damaged_bundles() -> None:
    """Every cut is an error; a changed byte is an error or gives arrays."""
    stored, described = pack({"x": np.ones((3, 4), np.float32)}, {"x": "int16-1"})
    blob = bundle_tensors({**stored, **ARRAYS}, described, ATTRIBUTES)
    for size in range(blob.size):
        with pytest.raises(ValueError, match=r"."):
            read_bundle(blob[:size])
    for at in range(blob.size):
        for value in (0, 1, 129, 255):
            changed = blob.copy()
            changed[at] = value
            with contextlib.suppress(ValueError):
                assert isinstance(read_bundle(changed)[0], dict)
    with pytest.raises(ValueError, match="version 9"):
        read_bundle(np.concatenate([np.uint8([9]), blob[1:]]))


def test_names_and_types_that_a_bundle_does_not_have() -> None:
    for arrays, match in (
        ({"x" * 300: np.zeros(3, np.float32)}, "300 bytes"),
        ({"x": np.zeros(3, np.float16)}, "float16"),
    ):
        with pytest.raises(ValueError, match=match):
            write_bundle(arrays, {}, {})
    with pytest.raises(ValueError, match="70000 values"):
        write_bundle({}, {"x": "y" * 70000}, {})


def test_bundles_in_checkpoints(tmp_path: Path) -> None:
    tensors: dict[str, np.ndarray[Any, Any]] = {
        "w": np.float32([[1, 2], [3, 4]]),
        "half": np.float16([0.5]),
        "flag": np.array([True]),
        "few": np.int32([1]),
    }
    path = checkpoint.save(tmp_path / "m.sciml", {"kind": "line"}, tensors, formats={"w": "int8"})
    back = checkpoint.load(path)
    assert back.config["formats"] == {"w": {"format": "int8", "shape": [2, 2], "parts": [""]}}
    assert {name: array.dtype for name, array in back.tensors.items()} == {
        name: array.dtype for name, array in tensors.items()
    }
    again = checkpoint.save(
        tmp_path / "again.sciml", back.config, back.tensors, formats={"w": "int8"}, packed=back.packed
    )
    assert again.read_bytes() == path.read_bytes()
    with pytest.raises(InputError, match="belongs to the file"):
        checkpoint.save(
            tmp_path / "n.sciml",
            {"kind": "line"},
            {**tensors, BUNDLE: np.zeros(1, bool)},
            formats={"w": "int8"},
        )


def test_a_bundle_of_a_later_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sciml.compress.bundle.VERSION", 7)
    tensors = {"w": np.ones((2, 2), np.float32)}
    path = checkpoint.save(tmp_path / "m.sciml", {"kind": "line"}, tensors, formats={"w": "int8"})
    monkeypatch.undo()
    with pytest.raises(SchemaError, match=r"m\.sciml: its bundle .*version 7.*upgrade sciml"):
        checkpoint.load(path)
