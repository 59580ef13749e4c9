"""Networks of small integers and bfloat16 in the library: the bits of torch on all instruction sets, and errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

import sciml
from sciml.compress import FORMATS
from sciml.compress.quantization import quantize
from sciml.convection.emulator import Emulator
from sciml.convection.problem import Convection
from sciml.coupling.export import emulator_weights
from sciml.coupling.fortran_emulator import FortranEmulator
from sciml.coupling.library import Library
from sciml.coupling.weights_file import Weights, read_weights, write_weights
from sciml.errors import InputError, SchemaError
from sciml.solve import solve
from sciml.verify.library.equality import Floats, reduced_outputs
from sciml.verify.library.parity import compare_outputs
from tests.coupling.published import Net, inputs
from tests.coupling.reduced import reduced_weights
from tests.paths import SAMPLE_WRFOUT

pytestmark = pytest.mark.native

ISAS = ("baseline", "avx2", "avx512", "amx")
MIXED = ("int8", "sign", "bf16", "int4", "int4", "int8", "sign", "bf16", "bf16")


@dataclass(frozen=True)
class Case:
    name: str
    make: Callable[[], Net]
    kinds: tuple[str, ...]
    levels: int = 12
    block: int = 64
    planes: int = 1


CASES = (
    *(Case(kind, lambda: Net(levels=6), (kind,) * 13, levels=6) for kind in ("int8", "int4", "sign", "bf16")),
    Case("mixed", lambda: Net(19, 33, 2, 17, 12, 3), MIXED, planes=2),
    Case("mixed, two blocks", lambda: Net(75, 70, 2, 3, 12, 1), MIXED[::-1], block=50, planes=2),
    Case("mixed, blocks of odd length", lambda: Net(23, 13, 2, 18, 12, 0), MIXED, block=5),
    Case(
        "one block of many tiles",
        lambda: Net(150, 6, 1, 2, 12, 1),
        ("int4", "int8") * 2 + ("sign",),
        block=1024,
    ),
    Case("one level, one unit", lambda: Net(1, 1, 2, 1, 1, 1), MIXED, levels=1, planes=2),
)


@pytest.fixture(params=ISAS)
def isa(
    request: pytest.FixtureRequest, library: Library, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> str:
    """Use each instruction set of the reduced kernels that this processor and this build have."""
    write_weights(tmp_path / "least.nc", reduced_weights(Net(1, 1, 1, 1, 1, 0).weights(), ("int8",) * 5))
    with library.open(tmp_path / "least.nc") as native:
        best = native.isa
    if best not in ISAS[ISAS.index(request.param) :]:
        pytest.skip(f"this processor or this build has {best} at most")
    monkeypatch.setenv("SCIML_ISA", request.param)
    return str(request.param)


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.name)
def answered(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The weights file of a case, inputs of all sizes, and the outputs of torch."""
    case: Case = request.param
    torch.manual_seed(31)
    net = case.make()
    path = tmp_path_factory.mktemp("reduced") / "w.nc"
    write_weights(path, reduced_weights(net.weights(), case.kinds, case.block, case.planes))
    x = inputs(net, 39, case.levels)
    sizes = np.random.default_rng(3).choice([1e-30, 1e-3, 1.0, 40.0, 1e20], (len(x), 1, 1))
    x = (x * np.where(np.arange(len(x)) < 20, 1.0, sizes[:, 0, 0])[:, None, None]).astype(np.float32)
    x[4, 0, 0], x[7, -1, -1], x[9, 0, 0] = np.nan, np.inf, -np.inf
    return path, x, reduced_outputs(read_weights(path), x)


def equal(mine: tuple[Any, ...], truth: tuple[Floats, Floats]) -> None:
    for part, expected in zip(mine, truth, strict=True):
        np.testing.assert_array_equal(part, expected)


def test_the_bits_of_torch(library: Library, isa: str, answered: tuple[Path, Floats, Any]) -> None:
    path, x, truth = answered
    with library.open(path) as native:
        assert native.isa == isa
        mine = native.network(x)
        wide = native.network(x.astype(np.float64))
    assert np.isnan(mine[0]).any(axis=(1, 2)).nonzero()[0].tolist() == [4, 7, 9]
    equal(mine, truth)
    assert wide[0].dtype == np.float64
    equal(wide, truth)


def test_same_bits_for_every_tiling_and_thread(library: Library, isa: str, tmp_path: Path) -> None:
    torch.manual_seed(13)
    net = Net(9, 18, 2, 3, 5, 2)
    write_weights(tmp_path / "w.nc", reduced_weights(net.weights(), MIXED, 16, 2))
    x = inputs(net, 101, 5)
    native = library.open(tmp_path / "w.nc")
    whole = native.network(x)
    for tile in (1, 15, 16, 31, 32, 33, 64, 100):
        parts = [native.network(x[k : k + tile]) for k in range(0, len(x), tile)]
        equal(tuple(map(np.concatenate, zip(*parts, strict=True))), whole)
    equal(native.network(x, threads=3), whole)
    equal(native.network(np.asfortranarray(x)), whole)


@pytest.mark.parametrize("stored", sorted(set(FORMATS) - {"float32"}))
@pytest.mark.parametrize("format", ["float", "reduced"])
def test_packed_tensors_are_read_as_python_reads_them(
    library: Library, stored: str, format: str, tmp_path: Path
) -> None:
    """The outputs are those of the decoded tensors, for networks of floats and reduced ones."""
    torch.manual_seed(17)
    net = Net(21 if stored.endswith("-padded") else 24, 24, 1, 24, 5, 0)
    weights = net.weights()
    if format == "reduced":
        weights = reduced_weights(weights, ("int8", "int4", "bf16", "int8", "sign"), 16)
    matrices = [name for name in weights.arrays if not stored.startswith("hyper") or "weight" in name]
    write_weights(tmp_path / "p.nc", replace(weights, formats=dict.fromkeys(matrices, stored)))
    decoded = read_weights(tmp_path / "p.nc")
    write_weights(tmp_path / "d.nc", replace(decoded, formats={}, dims={}))
    x = inputs(net, 20, 5)
    with library.open(tmp_path / "p.nc") as packed, library.open(tmp_path / "d.nc") as plain:
        equal(packed.network(x), plain.network(x))
    assert (tmp_path / "p.nc").stat().st_size < (tmp_path / "d.nc").stat().st_size
    write_weights(tmp_path / "v.nc", replace(weights, formats=dict.fromkeys(matrices, stored)), deflate=False)
    with library.open(tmp_path / "v.nc") as variables, library.open(tmp_path / "d.nc") as plain:
        equal(variables.network(x), plain.network(x))


@pytest.fixture(scope="module")
def quantized(tmp_path_factory: pytest.TempPathFactory) -> tuple[Convection, Path, xr.Dataset]:
    """Columns of the sample, the weights of the packaged emulator in 8 bits, and its outputs in torch."""
    columns = sciml.convection_columns(sciml.open_wrfout(str(SAMPLE_WRFOUT)))
    problem = Convection(columns.isel(column=slice(None, None, 12)).load())
    emulator = quantize(Emulator.load("mskf-convrad", precision="float64"), 8)
    path = tmp_path_factory.mktemp("quantized") / "mskf.nc"
    write_weights(path, emulator_weights(emulator))
    return problem, path, solve(problem, emulator).outputs


@pytest.mark.parametrize(("precision", "median"), [("float32", 1e-6), ("float64", 1e-11)])
def test_a_quantized_emulator(
    library: Library,
    isa: str,
    precision: Any,
    median: float,
    quantized: tuple[Convection, Path, xr.Dataset],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its network reads the channels that are equal on all levels once, and runs in 32 bits for all hosts."""
    problem, path, truth = quantized
    mine = solve(problem, FortranEmulator(library.path, path, precision=precision)).outputs
    parity = compare_outputs(truth, mine, median=median)
    assert parity.ok, parity
    assert parity.classes_differ == 0
    if isa == "amx":  # the same physics, so that all bits are those of the other kernel
        monkeypatch.setenv("SCIML_ISA", "avx512")
        xr.testing.assert_identical(
            mine, solve(problem, FortranEmulator(library.path, path, precision=precision)).outputs
        )


def small() -> Weights:
    return reduced_weights(Net(6, 4, 1, 2, 5, 0).weights(), ("int8",) * 5)


def with_attribute(name: str, value: Any) -> Weights:
    weights = small()
    return replace(weights, attributes={**weights.attributes, name: value})


def with_blob(blob: list[int]) -> Weights:
    """A first matrix, of 16 x 6 numbers, of these bytes."""
    weights = small()
    return replace(weights, arrays={**weights.arrays, "lstm.weight_ih_l0": np.array(blob, np.uint8)})


@pytest.mark.parametrize(
    ("weights", "error", "match"),
    [
        (
            with_attribute("arithmetic", "int8 int8 int3 int8 int8"),
            SchemaError,
            "kind `int3`.*bf16, int8, int4 and",
        ),
        (with_attribute("arithmetic", "int8 int8"), InputError, "`arithmetic`.* 5 kinds.*1 layers"),
        (with_attribute("arithmetic", "int8 " * 5 + "int8"), InputError, "5 kinds"),
        (with_attribute("arithmetic", 3), SchemaError, "no text `arithmetic`"),
        (with_attribute("arithmetic_block", 1025), InputError, "`arithmetic_block` is 1025.*1 to 1024"),
        (with_attribute("arithmetic_block", 0), InputError, "`arithmetic_block` is 0"),
        (with_attribute("input_planes", 3), InputError, "`input_planes` is 3.*1 to 2"),
        (
            with_attribute("weight_format", "ternary"),
            SchemaError,
            "weight format `ternary`.*build the library",
        ),
        (with_blob([9, 0, 0, 0]), SchemaError, "`lstm.weight_ih_l0`.*layout 9.*reads 1 to 4"),
        (
            with_blob([1, 8, 64, 0, 0, 8, *[0] * 16, *[1] * 96, 7]),
            InputError,
            "119 bytes; 16 x 6 numbers need 118",
        ),
        (with_blob([1, 8, 64, 0, 0, 8, *[0] * 16, *[1] * 95]), InputError, "117 bytes.* at least 118"),
        (with_blob([1, 7, 64, 0, 0, 8, *[0] * 112]), SchemaError, "begins with the bytes 1, 7"),
        (with_blob([1, 8, 0, 0, 0, 8, *[0] * 112]), SchemaError, "begins with the bytes 1, 8"),
        (with_blob([3, 5, *[0] * 112]), SchemaError, "begins with the bytes 3, 5.*16 x 6"),
        (with_blob([2, 0, *[0xC0, 0x7F] * 16, *[0] * 12]), InputError, "`lstm.weight_ih_l0`.*not finite"),
        (with_blob([2]), InputError, "too few for 96 numbers|at least"),
    ],
)
def test_errors_of_files(
    library: Library, weights: Weights, error: type[Exception], match: str, tmp_path: Path
) -> None:
    write_weights(tmp_path / "w.nc", weights)
    with pytest.raises(error, match=match) as caught:
        library.open(tmp_path / "w.nc")
    assert "\n" not in str(caught.value)


def test_an_instruction_set_that_is_not_there(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_weights(tmp_path / "w.nc", small())
    monkeypatch.setenv("SCIML_ISA", "amx2")
    with pytest.raises(InputError, match="`amx2`; this processor and this build have baseline"):
        library.open(tmp_path / "w.nc")
