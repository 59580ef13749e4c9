"""The constants and the weight format of a network are attributes of its weights file, which the library reads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import sciml
from sciml.convection.emulator import Emulator
from sciml.convection.feature_scaling import CLIP, DISTANCE
from sciml.convection.network import PUSH_BOUND
from sciml.coupling.export import emulator_from, emulator_weights
from sciml.coupling.fortran_emulator import FortranEmulator
from sciml.coupling.library import Library
from sciml.coupling.onnx_oracle import closure_onnx
from sciml.coupling.weights_file import Attribute, Weights, read_weights, write_weights
from sciml.errors import InputError, SchemaError
from tests.coupling.published import Net
from tests.paths import SAMPLE_WRFOUT

CONSTANTS = {
    "push_bound": PUSH_BOUND,
    "clip": CLIP,
    "distance": DISTANCE,
}
REMEDY = "write it again with `sciml coupling export`"


@pytest.fixture(scope="module")
def packaged() -> Weights:
    return emulator_weights(Emulator.load("mskf-convrad"))


def changed(weights: Weights, **attributes: Attribute | None) -> Weights:
    """Return the weights with other attributes; None removes one."""
    merged = dict(weights.attributes) | attributes
    return replace(weights, attributes={name: value for name, value in merged.items() if value is not None})


def test_the_file_has_the_constants_of_the_network(packaged: Weights, tmp_path: Path) -> None:
    write_weights(tmp_path / "w.nc", packaged)
    attributes = read_weights(tmp_path / "w.nc").attributes
    assert {name: attributes[name] for name in CONSTANTS} == CONSTANTS


@pytest.mark.native
@pytest.mark.parametrize("name", CONSTANTS)
def test_a_file_without_a_constant_is_an_error(
    library: Library, packaged: Weights, tmp_path: Path, name: str
) -> None:
    old = changed(packaged, **{name: None})
    write_weights(tmp_path / "old.nc", old)
    with pytest.raises(SchemaError, match=f"`{name}`: {REMEDY}"):
        library.open(tmp_path / "old.nc")
    with pytest.raises(SchemaError, match=f"`{name}`: {REMEDY}"):
        emulator_from(old)


@pytest.mark.native
@pytest.mark.parametrize("value", [0.0, -8.0, np.inf, np.nan, "eight", [8.0, 8.0]])
def test_a_constant_that_is_not_positive_is_an_error(
    library: Library, packaged: Weights, tmp_path: Path, value: Attribute
) -> None:
    write_weights(tmp_path / "bad.nc", changed(packaged, push_bound=value))
    with pytest.raises((InputError, SchemaError), match=r"`push_bound`.*again with `sciml coupling export`"):
        library.open(tmp_path / "bad.nc")


@pytest.mark.native
@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("layers_below", None, "no integer attribute `layers_below`: export it again"),
        ("layers_below", 0, "`layers_below` is 0 in the weights file; this library takes 1 to 64"),
        ("layers_cloud", 65, "`layers_cloud` is 65 in the weights file; this library takes 1 to 64"),
        ("layers_cloud", "twenty", "no integer attribute `layers_cloud`: export it again"),
        ("layers_cloud", 21, r"`normalisation\.mean` .* does not have the shape that its emulator needs"),
        ("log_error", None, f"no finite number `log_error`: {REMEDY}"),
        ("log_error", np.nan, f"no finite number `log_error`: {REMEDY}"),
    ],
)
def test_invalid_sizes_and_limits_are_one_error(
    library: Library, packaged: Weights, tmp_path: Path, name: str, value: Attribute | None, message: str
) -> None:
    """The library and torch reject the same files."""
    bad = changed(packaged, **{name: value})
    write_weights(tmp_path / "bad.nc", bad)
    with pytest.raises((InputError, SchemaError), match=message) as caught:
        library.open(tmp_path / "bad.nc")
    assert len(str(caught.value).splitlines()) == 1
    with pytest.raises(SchemaError, match=f"{name}.*sciml coupling export"):
        emulator_from(bad)


@pytest.mark.native
def test_a_file_without_the_settings_of_the_training_gives_no_warning(
    library: Library, packaged: Weights, tmp_path: Path
) -> None:
    """The library runs; torch needs them."""
    bare = changed(packaged, trained_dx_low=None)
    write_weights(tmp_path / "bare.nc", bare)
    assert library.open(tmp_path / "bare.nc").description.emulator
    with pytest.raises(SchemaError, match="have no 'trained_dx_low' and so no whole emulator"):
        emulator_from(bare)


def test_torch_rejects_other_constants(packaged: Weights) -> None:
    with pytest.raises(SchemaError, match=r"`clip` is 9\.0 in the weights file, and 10\.0 in this version"):
        emulator_from(changed(packaged, clip=9.0))


def test_the_onnx_graph_needs_the_constants(packaged: Weights) -> None:
    pytest.importorskip("onnx")
    with pytest.raises(InputError, match="have no push_bound and so"):
        closure_onnx(changed(packaged, push_bound=None))


@pytest.mark.native
def test_the_library_uses_the_constants_of_the_file(
    library: Library, packaged: Weights, tmp_path: Path
) -> None:
    columns = sciml.convection_columns(sciml.open_wrfout(str(SAMPLE_WRFOUT))).isel(column=slice(-192, None))
    problem = sciml.Convection(columns.load())
    outputs = {}
    limit = float(packaged.attributes["log_error"])
    for name, weights in {
        "same": packaged,
        "push": changed(packaged, push_bound=1e-9),
        "error": changed(packaged, log_error=limit - 9.0),
        "larger error": changed(packaged, log_error=limit - 10.0),
        "distance": changed(packaged, distance=1e-3 * DISTANCE),
        "larger distance": changed(packaged, distance=5e-4 * DISTANCE),
    }.items():
        write_weights(tmp_path / f"{name}.nc", weights)
        outputs[name] = sciml.solve(problem, FortranEmulator(library.path, tmp_path / f"{name}.nc")).outputs
    deep = (outputs["same"]["KIND"] == 2).values
    assert deep.sum() > 5
    assert not outputs["push"]["RUCUTEN"].equals(outputs["same"]["RUCUTEN"])
    assert outputs["push"]["RTHCUTEN"].equals(outputs["same"]["RTHCUTEN"])
    for name, factor in (("error", np.e), ("distance", 2.0)):
        novelty, larger = (outputs[key]["NOVELTY"].values[deep] for key in (name, f"larger {name}"))
        assert (novelty > outputs["same"]["NOVELTY"].values[deep]).all()
        np.testing.assert_allclose(larger, factor * novelty, rtol=1e-5)


@pytest.mark.native
def test_a_weight_format_without_a_kernel_is_an_error(library: Library, tmp_path: Path) -> None:
    weights = Net(3, 2, 1, 2, 4, 1).weights()
    assert weights.attributes["weight_format"] == "float"
    write_weights(tmp_path / "other.nc", changed(weights, weight_format="int4"))
    with pytest.raises(SchemaError, match="no kernel for the weight format `int4`"):
        library.open(tmp_path / "other.nc")
    write_weights(tmp_path / "none.nc", changed(weights, weight_format=None))
    assert library.open(tmp_path / "none.nc").description.hidden == 2
