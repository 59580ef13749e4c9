"""Hydrostatic pressure on hybrid levels, compared with columns from the definition of the coordinate (Klemp 2011)."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import xarray as xr
from scipy.integrate import solve_bvp

from sciml.columns.fields import needed
from sciml.wrf.vertical import AssumedInput, b_of_eta

TOP = 5000.0
ETAC = 0.2


def _hybrid(seed: int = 11) -> tuple[xr.Dataset, xr.DataArray]:
    """A dry base state over mountains, and its hydrostatic pressure by layer from p = B m + (eta - B) m0 + p_t."""
    rng = np.random.default_rng(seed)
    faces = np.linspace(1, 0, 31) ** 1.3
    surface = rng.uniform(6e4, 1.02e5, (1, 3, 4))
    b = b_of_eta(faces, ETAC)
    mass = surface - TOP
    shape = (1, -1, 1, 1)
    at_faces = b.reshape(shape) * mass[:, None] + (faces - b).reshape(shape) * (1e5 - TOP) + TOP
    right = 0.5 * (at_faces[:, 1:] + at_faces[:, :-1])
    half, eta = 0.5 * (b[1:] + b[:-1]), 0.5 * (faces[1:] + faces[:-1])
    share = np.diff(b) / np.diff(faces)
    level, plane = ("Time", "bottom_top"), ("Time", "south_north", "west_east")
    block = ("Time", "bottom_top", "south_north", "west_east")
    ds = xr.Dataset(
        {
            "P": (block, np.zeros(right.shape)),
            "PB": (block, right),
            "QVAPOR": (block, np.zeros(right.shape)),
            "MU": (plane, 0.1 * mass),
            "MUB": (plane, 0.9 * mass),
            "ZNW": (("Time", "bottom_top_stag"), faces[None]),
            "P_TOP": ("Time", [TOP]),
            "C1H": (level, share[None]),
            "C2H": (level, (1 - share)[None] * (1e5 - TOP)),
            "C3F": (("Time", "bottom_top_stag"), b[None]),
            "C3H": (level, half[None]),
            "ZNU": (level, eta[None]),
        },
        attrs={"HYBRID_OPT": np.int32(2), "ETAC": np.float32(ETAC), "TITLE": " OUTPUT FROM WRF V4.3.3 MODEL"},
    )
    ds["PB"] = ds["PB"] * 1.0
    return ds, xr.DataArray(right, dims=block)


def test_b_is_the_cubic_of_its_four_conditions() -> None:
    def right(eta: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.stack([y[1], y[2], y[3], np.zeros_like(eta)])

    def ends(low: np.ndarray, high: np.ndarray) -> np.ndarray:
        return np.array([low[0], low[1], high[0] - 1, high[1] - 1])

    eta = np.linspace(ETAC, 1, 40)
    cubic = solve_bvp(right, ends, eta, np.zeros((4, eta.size)), tol=1e-8)
    np.testing.assert_allclose(b_of_eta(eta, ETAC), cubic.sol(eta)[0], atol=1e-6)


_ALL = ["C1H", "C2H", "C3F", "C3H"]


@pytest.mark.parametrize(
    ("lost", "comment"),
    [
        ([], ""),
        (["C1H"], "from the other"),
        (["C2H"], "from the other"),
        (["C1H", "C2H"], "C3F"),
        (["C1H", "C2H", "C3F"], "C3H"),
        (_ALL, "ETAC.*Klemp"),
        ([*_ALL, "ZNU"], "ETAC"),
    ],
)
def test_missing_coefficients_are_derived_exactly(lost: list[str], comment: str) -> None:
    ds, right = _hybrid()
    result = ds.drop_vars(lost).sciml.p_hyd
    np.testing.assert_allclose(result.values, right.values, rtol=2e-7)
    assert result.attrs["comment"].startswith("rebuilt from")
    assert not comment or xr.DataArray([result.attrs["comment"]]).str.contains(comment).all()


@pytest.mark.parametrize("lost", [["P_TOP"], ["P_TOP", "C3H"], ["P_TOP", *_ALL]])
def test_the_top_is_derived_from_the_base_state(lost: list[str]) -> None:
    ds, right = _hybrid()
    base = ds.assign(MU=0 * ds["MU"], MUB=ds["MU"] + ds["MUB"])
    result = base.drop_vars(lost).sciml.p_hyd
    np.testing.assert_allclose(result.values, right.values, rtol=2e-7)
    assert "P_TOP from PB" in result.attrs["comment"]


@pytest.mark.parametrize(
    ("attrs", "named"),
    [
        (["HYBRID_OPT"], "HYBRID_OPT"),
        (["ETAC"], "ETAC"),
        (["HYBRID_OPT", "ETAC", "TITLE"], "HYBRID_OPT"),
    ],
)
def test_an_approximation_causes_one_warning(attrs: list[str], named: str) -> None:
    ds, right = _hybrid()
    bare = ds.drop_vars(_ALL)
    bare.attrs = {key: value for key, value in bare.attrs.items() if key not in attrs}
    with pytest.warns(AssumedInput, match=rf"C1H, C2H.*{named}.*P \+ PB") as caught:
        result = bare.sciml.p_hyd
    assert len(caught) == 1
    np.testing.assert_allclose(result.values, right.values, rtol=2e-7)
    assert "P + PB" in result.attrs["comment"]


@pytest.mark.parametrize("attrs", [{"HYBRID_OPT": 0}, {"TITLE": " OUTPUT FROM WRF V3.8.1 MODEL"}])
def test_levels_that_follow_the_terrain(attrs: dict[str, object]) -> None:
    ds, _ = _hybrid()
    bare = ds.drop_vars(_ALL)
    bare.attrs = attrs
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = bare.sciml.p_hyd
    eta = 0.5 * (ds["ZNW"].values[:, 1:] + ds["ZNW"].values[:, :-1])
    right = TOP + eta[:, :, None, None] * (ds["MU"] + ds["MUB"]).values[:, None]
    np.testing.assert_allclose(result.values, right, rtol=2e-7)


def test_a_task_reads_only_the_variables_of_the_derivation() -> None:
    ds, _ = _hybrid()
    assert {"C3F", "C3H", "C1H", "P_TOP"} <= set(needed("wrfout", set(map(str, ds.variables))))
