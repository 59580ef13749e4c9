"""Files of torch.save have the values that torch reads, and their pickles run no code."""

from __future__ import annotations

import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sciml.errors import InputError
from sciml.pde import open_dataset
from sciml.pde.tensors import tensors_in

KINDS = (
    torch.float32,
    torch.float64,
    torch.float16,
    torch.bfloat16,
    torch.int64,
    torch.int32,
    torch.int16,
    torch.int8,
    torch.uint8,
    torch.bool,
)


def drawn(*shape: int, kind: torch.dtype = torch.float32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(29)
    return (3 * torch.rand(shape, generator=generator)).to(kind)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_all_dtypes_have_the_values_of_torch(tmp_path: Path, kind: torch.dtype) -> None:
    value = drawn(4, 5, 6, kind=kind)
    views = {"whole": value, "part": value[1:3, ::2], "turned": value.transpose(0, 2), "empty": value[:0]}
    torch.save(views, tmp_path / "d.pt")
    result = tensors_in(tmp_path / "d.pt")
    known = torch.load(tmp_path / "d.pt", weights_only=True)
    assert set(result) == set(views)
    for name, values in result.items():
        np.testing.assert_array_equal(values, known[name].to(torch.float64).numpy())


def test_containers_give_names(tmp_path: Path) -> None:
    a, b = drawn(2, 3), drawn(3, 2)
    for content, names in (
        ((a, b), {"0", "1"}),
        ([a, b], {"0", "1"}),
        (OrderedDict(x=a, n=3, title="t", y=b), {"x", "y"}),
        ({"train": {"x": a, "y": b}}, {"train/x", "train/y"}),
        (a, {"d"}),
        ({"w": torch.nn.Parameter(a)}, {"w"}),
    ):
        torch.save(content, tmp_path / "d.pt")
        assert set(tensors_in(tmp_path / "d.pt")) == names


def test_a_dataset_of_neuraloperator(tmp_path: Path) -> None:
    x, y = drawn(6, 9, 9) > 1.5, drawn(6, 9, 9)
    torch.save({"x": x, "y": y}, tmp_path / "darcy_train_9.pt")
    ds = open_dataset(tmp_path / "darcy_train_9.pt", inputs="x", target="y")
    np.testing.assert_array_equal(ds.x_values, x.numpy())
    np.testing.assert_array_equal(ds.y_values, y.numpy())
    torch.save((x[:, None].float(), y[:, None]), tmp_path / "pair.pt")
    ds = open_dataset(tmp_path / "pair.pt", inputs={"k": "0"}, target={"p": "1"})
    np.testing.assert_array_equal(ds.p, y.numpy())
    torch.save(x.float(), tmp_path / "k.pt")
    torch.save(y, tmp_path / "u.pt")
    pair = open_dataset({"coefficient": tmp_path / "k.pt", "u": tmp_path / "u.pt"})
    np.testing.assert_array_equal(pair.u, y.numpy())


class Harmful:
    """An object whose pickle makes a folder when it is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return (Path.mkdir, (self.mark,))


def test_no_code_of_a_pickle_is_run(tmp_path: Path) -> None:
    mark = tmp_path / "made"
    torch.save({"x": drawn(3, 3), "hook": Harmful(mark)}, tmp_path / "d.pt")
    with pytest.raises(InputError, match=r"d\.pt holds .*only tensors.*torch\.save"):
        open_dataset(tmp_path / "d.pt")
    assert not mark.exists()
    torch.save(torch.nn.Linear(2, 2), tmp_path / "model.pt")
    with pytest.raises(InputError, match=r"holds torch\.nn\.modules\.linear\.Linear"):
        open_dataset(tmp_path / "model.pt")
    torch.save(torch.nn.Linear(2, 2), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    with pytest.raises(InputError, match=r"torch before 1\.6"):
        open_dataset(tmp_path / "old.pt")


@pytest.mark.parametrize(
    ("size", "stride", "offset"),
    [((3, 9), (9, 1), 0), ((2,), (1,), 11), ((2,), (-1,), 5), ((10**9, 10**9), (0, 0), 0), ((2, 2), (1,), 0)],
)
def test_tensors_outside_their_storage(
    tmp_path: Path, size: tuple[int, ...], stride: tuple[int, ...], offset: int
) -> None:
    class Crafted:
        def __reduce__(self) -> Any:
            return (torch._utils._rebuild_tensor_v2, (Stored(), offset, size, stride, False, OrderedDict()))

    class Stored:
        pass

    class Pickler(pickle.Pickler):
        def persistent_id(self, value: Any) -> Any:
            return ("storage", torch.FloatStorage, "0", "cpu", 12) if isinstance(value, Stored) else None

    with zipfile.ZipFile(tmp_path / "d.pt", "w") as archive:
        with archive.open("d/data.pkl", "w") as stream:
            Pickler(stream, 2).dump({"x": Crafted()})
        archive.writestr("d/data/0", np.arange(12, dtype="f4").tobytes())
    with pytest.raises(InputError, match="cannot be read"):
        open_dataset(tmp_path / "d.pt")
