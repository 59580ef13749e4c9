"""The bits of quantized networks in torch and on all kernels of the library, on random and on sample columns."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

import sciml
from sciml.compress import quantize
from sciml.convection.bilstm import ColumnBiLSTM
from sciml.convection.column_shape import ColumnShape
from sciml.convection.emulator import Emulator, sounding_of
from sciml.convection.published_bilstm import PublishedBiLSTM, PublishedShape
from sciml.coupling.build import build
from sciml.coupling.export import emulator_weights
from sciml.coupling.library import Library
from sciml.coupling.weights_file import Weights, read_weights, write_weights
from sciml.errors import InputError
from sciml.verify.library import equality
from sciml.verify.library.equality import compare_bits, network_inputs, random_inputs, usable_kernels
from tests.coupling.published import Net
from tests.coupling.reduced import reduced_weights
from tests.paths import SAMPLE_WRFOUT

pytestmark = pytest.mark.native

PRECISIONS: dict[str, tuple[int, int]] = {
    "bf16": (16, 1),
    "int8": (8, 2),
    "int8, 1 plane": (8, 1),
    "int4": (4, 2),
    "sign": (1, 2),
}
ABOUT: dict[str, Any] = {name: [1e4, 1e4] for name in ("dx", "dt", "cudt")} | {"log_error": 0.0}


@pytest.fixture(scope="module")
def library() -> Library:
    return Library(build())


@pytest.fixture(scope="module")
def columns() -> xr.Dataset:
    """A hundredth of the sample."""
    everything: xr.Dataset = sciml.convection_columns(sciml.open_wrfout(str(SAMPLE_WRFOUT)))
    return everything.isel(column=slice(None, None, 97)).load()


def randomized(network: Any, columns: xr.Dataset) -> Emulator[Any]:
    torch.manual_seed(53)
    with torch.no_grad():
        for weight in network.parameters():
            weight.normal_(0.0, 0.25)
    seen = network.observe(sounding_of(columns))
    return Emulator(network.eval(), network.scaling.of(seen.channels, seen.scalars), ABOUT)


MAKERS: dict[str, Callable[[xr.Dataset], Emulator[Any]]] = {
    "mskf-convrad": lambda columns: Emulator.load("mskf-convrad"),
    "bilstm": lambda columns: randomized(ColumnBiLSTM(ColumnBiLSTM.fitted(ColumnShape(), columns)), columns),
    "published": lambda columns: randomized(PublishedBiLSTM(PublishedShape(44)), columns),
}


@pytest.fixture(scope="module", params=MAKERS)
def emulator(request: pytest.FixtureRequest, columns: xr.Dataset) -> Emulator[Any]:
    return MAKERS[request.param](columns)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_emulators_have_the_bits_of_torch(
    library: Library, emulator: Emulator[Any], columns: xr.Dataset, precision: str, tmp_path: Path
) -> None:
    """On the features of the sample and on random ones, of the networks in their usual sizes."""
    bits, planes = PRECISIONS[precision]
    quantized = quantize(emulator, bits, planes=planes)
    write_weights(tmp_path / "w.nc", emulator_weights(quantized))
    x = network_inputs(quantized, columns)
    assert 8 <= len(x) <= columns.sizes["column"]
    drawn = random_inputs(16, x.shape[1] if quantized.network.command == "published" else 4, x.shape[2], 61)
    for given in (x, drawn):
        counts = compare_bits(library, tmp_path / "w.nc", given)
        assert tuple(counts) == usable_kernels(library, tmp_path / "w.nc")
        assert {kernel: count.unequal for kernel, count in counts.items()} == dict.fromkeys(counts, 0)
        assert all(count.values > count.columns == len(given) for count in counts.values())


@pytest.mark.slow
@pytest.mark.parametrize("precision", PRECISIONS)
def test_many_columns_have_the_bits_of_torch(library: Library, precision: str, tmp_path: Path) -> None:
    """100,000 random columns of 2 levels; bench/equality.py takes all levels, networks and the whole sample."""
    bits, planes = PRECISIONS[precision]
    kind = {16: "bf16", 8: "int8", 4: "int4", 1: "sign"}[bits]
    torch.manual_seed(71)
    write_weights(tmp_path / "w.nc", reduced_weights(Net(levels=2).weights(), (kind,) * 13, planes=planes))
    for seed in range(200, 210):
        counts = compare_bits(library, tmp_path / "w.nc", random_inputs(10_000, 2, 27, seed))
        assert {kernel: count.unequal for kernel, count in counts.items()} == dict.fromkeys(counts, 0)


@pytest.mark.parametrize("kind", ["int8", "int4", "sign", "bf16"])
@pytest.mark.parametrize("largest", [1e-38, 1e-20, 1e3, 1.6e7])
def test_magnitudes_of_weights_and_inputs(
    library: Library, kind: str, largest: float, tmp_path: Path
) -> None:
    """No sum overflows or depends on the order of roundings; inputs of 2^80 and more give NaN."""
    torch.manual_seed(43)
    net = Net(9, 6, 2, 2, 3, 1)
    weights = reduced_weights(net.weights(), (kind,) * 9, 4, 2)
    matrices = {name for name in weights.arrays if "weight" in name and not name.startswith("pool")}
    most = max(float(np.abs(weights.arrays[name]).max()) for name in matrices)
    scaled = {
        name: array * np.float32(largest / most) if name in matrices else array
        for name, array in weights.arrays.items()
    }
    write_weights(tmp_path / "w.nc", replace(weights, arrays=scaled))
    draw = np.random.default_rng(83)
    x = draw.uniform(-1, 1, (70, 3, 9)).astype(np.float32)
    x *= np.float32([1e-44, 1e-30, 1.0, 1e10, 1.2e24, 1e30, 3e38])[np.arange(70) % 7, None, None]
    x[4::7, 0, 0] = 1.2e24  # just below 2^80
    counts = compare_bits(library, tmp_path / "w.nc", x)
    assert {kernel: count.unequal for kernel, count in counts.items()} == dict.fromkeys(counts, 0)
    outputs, _ = equality.reduced_outputs(read_weights(tmp_path / "w.nc"), x)
    invalid = np.isnan(outputs).all(axis=(1, 2))
    assert invalid.tolist() == [number % 7 > 4 for number in range(70)]
    assert np.isfinite(outputs[~invalid]).all()


@pytest.mark.parametrize("kind", ["int8", "int4", "sign"])
@pytest.mark.parametrize("signs", [(1, 1), (1, -1), (-1, -1)])
def test_the_largest_sums_of_codes(
    library: Library, kind: str, signs: tuple[int, int], tmp_path: Path
) -> None:
    """All codes of a block of 1024 are the largest: 127 of the inputs, and 127 or 7 of the weights."""
    weights = reduced_weights(Net(1024, 2, 1, 2, 3, 0).weights(), (kind,) * 5, 1024, 1)
    largest = {"int8": 127 / 64, "int4": 7 / 4, "sign": 1.0}[kind] * signs[0]
    arrays = {
        name: np.full_like(array, largest) if "weight_ih" in name else array * np.float32(1e-3)
        for name, array in weights.arrays.items()
    }
    write_weights(tmp_path / "w.nc", replace(weights, arrays=arrays))
    x = np.full((3, 3, 1024), signs[1] * 127 / 64, np.float32)
    counts = compare_bits(library, tmp_path / "w.nc", x * np.float32(2.0**-9))  # gates that are not saturated
    counts |= {f"{name}, large": count for name, count in compare_bits(library, tmp_path / "w.nc", x).items()}
    assert {kernel: count.unequal for kernel, count in counts.items()} == dict.fromkeys(counts, 0)


def small(tmp_path: Path, kinds: str = "int8") -> tuple[Path, Weights]:
    torch.manual_seed(37)
    weights = Net(5, 3, 1, 2, 4, 1).weights()
    if kinds:
        weights = reduced_weights(weights, (kinds,) * 5)
    write_weights(tmp_path / "small.nc", weights)
    return tmp_path / "small.nc", weights


def test_unequal_bits_are_counted(library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One unit in the last place, another sign of zero, NaN in place of a number; two NaN are equal."""
    path, _ = small(tmp_path)
    right = equality.reduced_outputs

    def wrong(weights: Weights, x: Any) -> Any:
        levels, pooled = right(weights, x)
        levels, pooled = levels.copy(), pooled.copy()
        levels[2, 1, 0] = np.nextafter(levels[2, 1, 0], np.float32(9))
        pooled[5, 0] = np.nan
        return levels, pooled

    x = random_inputs(11, 4, 5, 29)
    x[8, 0, 0] = np.nan
    monkeypatch.setattr(equality, "reduced_outputs", wrong)
    counts = compare_bits(library, path, x, ["baseline"])
    assert counts == {"baseline": equality.BitCount("baseline", 11, 11 * 4 * 2 + 11, 2)}
    zeros = np.zeros(3, np.float32)
    assert equality._unequal(zeros, np.float32([0.0, -0.0, 0.0])) == 1


def test_the_instruction_set_of_the_user_is_restored(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = small(tmp_path)
    for chosen in ("baseline", None):
        if chosen is None:
            monkeypatch.delenv("SCIML_ISA")
        else:
            monkeypatch.setenv("SCIML_ISA", chosen)
        assert set(compare_bits(library, path, random_inputs(3, 4, 5, 7))) == set(
            usable_kernels(library, path)
        )
        assert os.environ.get("SCIML_ISA") == chosen


def test_errors(library: Library, tmp_path: Path, columns: xr.Dataset) -> None:
    plain, _ = small(tmp_path, "")
    with pytest.raises(InputError, match=r"weights of floats, .*: quantize it first"):
        compare_bits(library, plain, random_inputs(3, 4, 5, 7))
    path, _ = small(tmp_path)
    with pytest.raises(InputError, match="no columns to compare: give one or more"):
        compare_bits(library, path, random_inputs(0, 4, 5, 7))
    with pytest.raises(InputError, match="`avx9`; this processor and this build have baseline"):
        compare_bits(library, path, random_inputs(3, 4, 5, 7), ["avx9"])
    calm = columns.isel(column=slice(0, 3)).copy(deep=True)
    calm["QVAPOR"][:] = 1e-6
    with pytest.raises(InputError, match="the network sees none of 3 columns"):
        network_inputs(Emulator.load("mskf-convrad"), calm)
