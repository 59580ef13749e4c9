"""The packaged emulator in the native library, compared with torch and ONNX Runtime, and for all tiles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

import sciml
from sciml.columns.mixture import Mixture
from sciml.convection.emulator import Emulator
from sciml.convection.network import Architecture, Closure
from sciml.convection.problem import Convection
from sciml.coupling.bilstm_export import bilstm_weights
from sciml.coupling.export import emulator_from, emulator_weights
from sciml.coupling.fortran_emulator import FortranEmulator, NativeColumns
from sciml.coupling.library import Library
from sciml.coupling.onnx_oracle import onnx_session
from sciml.coupling.weights_file import Weights, read_weights, write_weights
from sciml.errors import InputError, SchemaError
from sciml.solve import solve
from sciml.verify.library.parity import compare_outputs
from tests.paths import SAMPLE_WRFOUT

pytestmark = [pytest.mark.native, pytest.mark.xdist_group("packaged")]

TILINGS = (1, 7, 32, 100, None)


@pytest.fixture(scope="module")
def problem() -> Convection:
    """All 4032 columns of the sample."""
    return Convection(sciml.convection_columns(sciml.open_wrfout(str(SAMPLE_WRFOUT))).load())


@pytest.fixture(scope="module")
def emulator() -> Emulator:
    return Emulator.load("mskf-convrad", precision="float64")


@pytest.fixture(scope="module")
def weights(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("packaged") / "mskf.nc"
    write_weights(path, emulator_weights(emulator))
    return path


@pytest.fixture(scope="module")
def exact(problem: Convection, emulator: Emulator) -> xr.Dataset:
    return solve(problem, emulator).outputs


def test_in_single_precision(library: Library, weights: Path, problem: Convection, exact: xr.Dataset) -> None:
    parity = compare_outputs(exact, solve(problem, FortranEmulator(library.path, weights)).outputs)
    assert parity.classes_differ == 0
    assert {x.name for x in parity.agreements} >= {"RTHCUTEN", "RUCUTEN", "PRATEC", "NCA", "CUTOP"}
    for agreement in parity.agreements:
        assert agreement.median <= 1e-6, agreement
        assert agreement.within >= 0.999, agreement
    assert parity.ok


def test_in_double_precision(library: Library, weights: Path, problem: Convection, exact: xr.Dataset) -> None:
    mine = solve(problem, FortranEmulator(library.path, weights, precision="float64")).outputs
    assert mine["RTHCUTEN"].dtype == np.float64
    parity = compare_outputs(exact, mine, median=1e-11, tolerance=1e-9, share=1.0)
    assert parity.ok, parity
    known = exact["KIND"].values > 0
    np.testing.assert_allclose(mine["NOVELTY"].values[known], exact["NOVELTY"].values[known], rtol=1e-8)


class _Runtime(Closure):
    """The network in ONNX Runtime instead of the torch network."""

    def __init__(self, weights: Weights, shape: Architecture) -> None:
        super().__init__(shape)
        self.session = onnx_session(weights, emulator=True)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        whole = torch.cat([x, y.unsqueeze(1).expand(-1, x.shape[1], -1)], -1)
        given = {"x": whole.transpose(0, 1).float().numpy(), "y": y.float().numpy()}
        push, column = (torch.from_numpy(part) for part in self.session.run(None, given))
        return push.squeeze(-1).T, column[:, 0], column[:, 1]


def test_against_onnx_runtime(
    library: Library, weights: Path, problem: Convection, emulator: Emulator
) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    runtime = _Runtime(read_weights(weights), emulator.network.shape)
    theirs = emulator.run(problem, runtime).outputs
    mine = solve(problem, FortranEmulator(library.path, weights)).outputs
    parity = compare_outputs(theirs, mine, names=("onnxruntime", "native"))
    assert parity.classes_differ == 0
    assert parity.ok, parity


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_the_same_bits(library: Library, weights: Path, problem: Convection, precision: str) -> None:
    columns = NativeColumns(problem, "float64" if precision == "float64" else "float32")
    with library.open(weights) as state:
        whole = columns.run(state)
        assert set(np.unique(whole["KIND"])) == {0, 1, 2}
        for tile in TILINGS if precision == "float32" else (7, 100):
            for threads in (1, 2):
                cut = columns.run(state, threads, tile=tile)
                for name, values in whole.items():
                    assert values.tobytes() == cut[name].tobytes(), (name, tile, threads)


def test_the_weights_are_the_whole_emulator(weights: Path, problem: Convection, emulator: Emulator) -> None:
    some = Convection(problem.columns.isel(column=slice(0, None, 40)))
    again = emulator_from(read_weights(weights))
    assert repr(again).splitlines()[1] == repr(emulator).splitlines()[1]
    expected, outputs = solve(some, emulator).outputs, solve(some, again).outputs
    # The history names the emulator, which the weights do not.
    xr.testing.assert_identical(outputs.assign_attrs(history=expected.history), expected)


def test_a_bare_network_is_not_an_emulator() -> None:
    rng = np.random.default_rng(3)
    shapes = {"weight_ih_l0": (8, 5), "weight_hh_l0": (8, 2), "bias_ih_l0": (8,), "bias_hh_l0": (8,)}
    lstm = {
        f"{name}{way}": rng.normal(size=shape) for name, shape in shapes.items() for way in ("", "_reverse")
    }
    bare = bilstm_weights(lstm, (rng.normal(size=(1, 4)), rng.normal(size=1)))
    with pytest.raises(SchemaError, match="no whole emulator"):
        emulator_from(bare)


def test_too_few_levels(library: Library, weights: Path, problem: Convection) -> None:
    short = Convection(problem.columns.isel(column=slice(0, 5), level=slice(0, 19)))
    with pytest.raises(InputError, match=r"19 levels, and the network needs 20 or more"):
        solve(short, FortranEmulator(library.path, weights))


def test_columns_of_different_runs(library: Library, weights: Path, problem: Convection) -> None:
    """The library is called for each grid spacing, time step and number of levels, and gives the same bits."""
    short = problem.columns.isel(column=slice(0, None, 40), level=slice(0, 40))
    parts = [problem.columns.isel(column=slice(7, None, 40)), short.assign_attrs(DX=3000.0, DT=15.0)]
    mixture = Mixture.of_datasets(parts)
    joined = xr.concat([mixture.arrange(part) for part in parts], "column", combine_attrs="override")
    order = np.random.default_rng(5).permutation(joined.sizes["column"])
    algorithm = FortranEmulator(library.path, weights)
    outputs = solve(Convection(joined.isel(column=order)), algorithm).outputs.isel(column=np.argsort(order))
    first = 0
    for part in parts:
        alone, rows = (
            solve(Convection(part), algorithm).outputs,
            slice(first, first := first + part.sizes["column"]),
        )
        for name in alone.data_vars:
            values, levels = outputs[name].isel(column=rows).values, part.sizes["level"]
            mine = values[:, :levels] if values.ndim > 1 else values
            np.testing.assert_array_equal(mine, alone[name].values, err_msg=str(name))
            assert values.ndim == 1 or np.isnan(values[:, levels:]).all()
    assert set(np.unique(outputs["KIND"])) == {0, 1, 2}
    with pytest.raises(InputError, match=r"different runs \(DX 3000 to 10000 m"):
        NativeColumns(Convection(joined))
    exact = solve(Convection(joined), emulator_from(read_weights(weights))).outputs
    assert compare_outputs(exact, solve(Convection(joined), algorithm).outputs).ok
