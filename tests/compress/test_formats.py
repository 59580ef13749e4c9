"""Formats of weights against torch's own casts, in checkpoints and in weights files."""

from __future__ import annotations

from pathlib import Path

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sciml.compress.formats import FORMATS, Format, pack, stored_bytes, unpack
from sciml.coupling.weights_file import Weights, read_weights, write_weights
from sciml.errors import InputError, SchemaError
from sciml.train import checkpoint

TENSORS = {
    "w": np.linspace(-3, 4, 21, dtype=np.float32).reshape(3, 7),
    "w:b": np.float32([0.1, 1e-30, 3e38]),
    "n": np.array(9, np.int32),
}


@given(
    hnp.arrays(np.float32, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0), elements=st.floats(width=32))
)
def test_bfloat16_equals_that_of_torch(array: np.ndarray) -> None:
    stored, described = pack({"x": array}, {"x": "bfloat16"})
    back = unpack(stored, described)["x"]
    wanted = torch.from_numpy(array).bfloat16()
    np.testing.assert_array_equal(back, wanted.float().numpy())
    assert back.shape == array.shape
    assert (
        stored["x"].nbytes
        == stored_bytes({"x": array}, {"x": "bfloat16"})
        == 2 * (array.size + array.size % 2)
    )


def test_ties_go_to_even_and_nan_stays() -> None:
    bits = np.array([0x3F808000, 0x3F818000, 0x7F7FFFFF, 0x7F800001, 0xFFFFFFFF], np.uint32)
    stored, described = pack({"x": bits.view(np.float32)}, {"x": "bfloat16"})
    assert stored["x"].view(np.uint16)[:3].tolist() == [0x3F80, 0x3F82, 0x7F80]
    assert np.isnan(unpack(stored, described)["x"][3:]).all()


def test_a_checkpoint(tmp_path: Path) -> None:
    plain = checkpoint.save(tmp_path / "plain.sciml", {"kind": "line"}, TENSORS)
    small = checkpoint.save(tmp_path / "small", {"kind": "line"}, TENSORS, formats={"w": "bfloat16"})
    assert "formats" not in checkpoint.load(plain).config
    back = checkpoint.load(small)
    np.testing.assert_array_equal(
        back.tensors["w"], torch.from_numpy(TENSORS["w"]).bfloat16().float().numpy()
    )
    np.testing.assert_array_equal(back.tensors["w:b"], TENSORS["w:b"])
    assert back.tensors["n"].dtype == np.int32
    assert "25 values, float32, int32 stored as bfloat16, 0.1 kB" in repr(back)
    # What was loaded is saved as it is
    again = checkpoint.load(checkpoint.save(tmp_path / "again.sciml", back.config, back.tensors))
    assert "formats" not in again.config
    np.testing.assert_array_equal(again.tensors["w"], back.tensors["w"])


def test_a_weights_file(tmp_path: Path) -> None:
    tensors = {**TENSORS, "large": np.arange(2001, dtype=np.float32)}
    chosen = {"w": "bfloat16", "large": "bfloat16"}
    write_weights(tmp_path / "w.nc", Weights(tensors, {"hidden": 3}, formats=chosen))
    back = read_weights(tmp_path / "w.nc")
    assert (back.formats, back.attributes) == (chosen, {"hidden": 3})
    np.testing.assert_array_equal(back.arrays["w"], torch.from_numpy(TENSORS["w"]).bfloat16().float().numpy())
    np.testing.assert_array_equal(back.arrays["w:b"], TENSORS["w:b"])
    write_weights(tmp_path / "again.nc", back)
    again = read_weights(tmp_path / "again.nc")
    assert again.formats == chosen
    assert all(np.array_equal(x, again.arrays[name]) for name, x in back.arrays.items())


def test_a_format_of_several_parts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A new format is one entry; checkpoints and weights files take it."""
    halves = Format(
        "sign and size apart",
        lambda x: {"sign": np.sign(x).astype(np.int16), "size": np.abs(x)},
        lambda parts, shape: (parts["sign"] * parts["size"]).reshape(shape),
        lambda shape: 6 * int(np.prod(shape)),
    )
    monkeypatch.setitem(FORMATS, "halves", halves)
    tensors = {"w": TENSORS["w"]}
    path = checkpoint.save(tmp_path / "m.sciml", {"kind": "line"}, tensors, formats={"w": "halves"})
    np.testing.assert_array_equal(checkpoint.load(path).tensors["w"], TENSORS["w"])
    assert checkpoint.load(path).tensors.keys() == {"w"}
    write_weights(tmp_path / "w.nc", Weights(tensors, formats={"w": "halves"}))
    np.testing.assert_array_equal(read_weights(tmp_path / "w.nc").arrays["w"], TENSORS["w"])
    monkeypatch.delitem(FORMATS, "halves")
    for read, file in ((checkpoint.load, path), (read_weights, tmp_path / "w.nc")):
        with pytest.raises(SchemaError, match=rf"{file.name}: 'w' is stored in the format 'halves'.*upgrade"):
            read(file)


def test_bad_requests() -> None:
    for formats, match in [
        ({"w": "int3"}, "format 'int3' of 'w': give one of float32, bfloat16"),
        ({"x": "bfloat16"}, "a format for 'x', which is no tensor here"),
        ({"n": "bfloat16"}, "holds int32, no floats"),
    ]:
        with pytest.raises(InputError, match=match):
            pack(TENSORS, formats)
    stored, described = pack(TENSORS, {"w": "bfloat16"})
    for broken in (
        {**described["w"], "shape": [5]},
        {"format": "bfloat16"},
        {**described["w"], "parts": ["x"]},
    ):
        with pytest.raises(SchemaError, match="'w' is not stored as the format 'bfloat16' needs it"):
            unpack(stored, {"w": broken})
