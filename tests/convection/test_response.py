"""The response: conservation for any network, the scheme's tendencies for its own strength, symmetry."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import xarray as xr

from sciml.convection import thermodynamics as td
from sciml.convection.adjustment import adjust, shallow_strength
from sciml.convection.emulator import Physics, physics, sounding_of
from sciml.convection.network import Architecture
from sciml.convection.plume import DEEP, SHALLOW
from sciml.convection.response import PROFILES, enthalpy_imbalance, respond

BOUNDS = (-0.025, 0.055)
WATER = ("RQVCUTEN", "RQCCUTEN", "RQRCUTEN", "RQICUTEN", "RQSCUTEN")


def answer(known: Physics, strength: torch.Tensor, push: torch.Tensor | None = None, active=None):
    n = len(known.sounding)
    push = torch.zeros(44, n, dtype=torch.float64) if push is None else push
    active = torch.ones(n, dtype=torch.bool) if active is None else active
    return respond(known.sounding, known.plume, known.down, known.times, strength, push, active, BOUNDS)


def measured(known: Physics, pairs: xr.Dataset) -> torch.Tensor:
    """The strength that the scheme outputs, from the condensate it left."""
    truth = pairs.isel(column=known.index.numpy())
    mass = (known.sounding.dp / td.GRAVITY).numpy().T
    left = (mass * (truth["RQCCUTEN"].values + truth["RQICUTEN"].values)).sum(1)
    plume = known.plume
    unit = ((plume.detrained_liquid + plume.detrained_ice).sum(0) * plume.flux_lcl).numpy()
    return torch.from_numpy(left / unit)


@pytest.mark.parametrize(
    ("seed", "spread", "kick"), [(3, 0.0, 0.0), (5, 0.3, 1.0), (8, 1.0, 4.0), (13, 1.5, 8.0)]
)
def test_conservation_for_any_prediction_of_the_network(
    known: Physics, seed: int, spread: float, kick: float
) -> None:
    draw = torch.Generator().manual_seed(seed)
    n = len(known.sounding)
    strength = torch.exp(spread * torch.randn(n, generator=draw, dtype=torch.float64)).clamp(0.05, 8.0)
    push = kick * (2 * torch.rand(44, n, generator=draw, dtype=torch.float64) - 1)
    outputs = answer(known, strength, push).fields
    s, kind = known.sounding, known.plume.kind
    mass = s.dp / td.GRAVITY
    water = (mass * sum(outputs[name] for name in WATER)).sum(0)
    size = (mass * sum(outputs[name].abs() for name in WATER)).sum(0)
    assert ((water + outputs["PRATEC"]).abs() <= 1e-12 * size).all()
    assert (outputs["PRATEC"] >= 0).all() and (outputs["PRATEC"][kind == SHALLOW] == 0).all()
    for name in ("RUCUTEN", "RVCUTEN"):
        assert (
            (mass * outputs[name]).sum(0).abs() <= 1e-12 * (mass * outputs[name].abs()).sum(0) + 1e-25
        ).all()
    assert (s.qv + s.dt * outputs["RQVCUTEN"] >= s.qv.clamp_max(0.0) - 1e-18).all()
    for name in ("RQCCUTEN", "RQRCUTEN", "RQICUTEN"):
        assert (outputs[name] >= -1e-18).all(), name
    imbalance = enthalpy_imbalance(s, outputs["RTHCUTEN"], outputs["RQVCUTEN"])
    assert (imbalance >= BOUNDS[0] - 2e-3).all() and (imbalance <= BOUNDS[1] + 2e-3).all()
    assert (outputs["CLDFRA_DP"] <= 0.6).all() and (outputs["CLDFRA_SH"] <= 0.2).all()


def test_outputs_are_zero_without_convection(known: Physics) -> None:
    n = len(known.sounding)
    active = torch.arange(n) % 2 == 0
    outputs = answer(known, torch.ones(n, dtype=torch.float64), active=active)
    assert (outputs.kind[~active] == 0).all() and (outputs.kind[active] > 0).all()
    for name in PROFILES:
        assert (outputs.fields[name][:, ~active] == 0).all(), name
    assert (outputs.fields["NCA"][~active] == -100).all()
    assert (outputs.fields["CUTOP"][~active] == 1).all() and (outputs.fields["CUBOT"][~active] == 45).all()


def test_the_schemes_strength_gives_the_schemes_tendencies(known: Physics, pairs: xr.Dataset) -> None:
    truth = pairs.isel(column=known.index.numpy())
    agrees = known.plume.kind.numpy() == truth["KIND"].values
    strength = measured(known, pairs).clamp(0.05, 20.0)
    outputs = answer(known, strength).fields
    for name in ("RTHCUTEN", "RQVCUTEN", "RQCCUTEN", "RQICUTEN", "RQRCUTEN", "CLDFRA_DP", "CLDFRA_SH"):
        true, mine = truth[name].values[agrees], outputs[name].numpy().T[agrees]
        assert 1 - ((true - mine) ** 2).sum() / ((true - true.mean()) ** 2).sum() > 0.995, name
    deep = agrees & (truth["KIND"].values == 2)
    rain, mine = truth["PRATEC"].values[deep], outputs["PRATEC"].numpy()[deep]
    assert np.corrcoef(rain, mine)[0, 1] > 0.999


def test_shallow_strength_equals_that_of_the_scheme(known: Physics, pairs: xr.Dataset) -> None:
    truth = pairs.isel(column=known.index.numpy())
    shallow = (known.plume.kind == SHALLOW).numpy() & (truth["KIND"].values == 1)
    ratio = (shallow_strength(known.sounding, known.plume, known.times) / measured(known, pairs)).numpy()
    assert np.median(np.abs(ratio[shallow] - 1)) < 1e-3


@pytest.mark.parametrize("angle", [37.0, 180.0])
def test_the_response_rotates_with_the_wind(pairs: xr.Dataset, known: Physics, angle: float) -> None:
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    u, v = pairs["U_PHY"].astype(float), pairs["V_PHY"].astype(float)
    turned = pairs.assign(U_PHY=cos * u - sin * v, V_PHY=sin * u + cos * v)
    other = physics(sounding_of(turned), Architecture())
    assert other is not None
    torch.testing.assert_close(other.channels, known.channels, rtol=1e-9, atol=1e-9)
    strength = torch.full((len(known.sounding),), 1.7, dtype=torch.float64)
    push = torch.linspace(-2, 3, 44, dtype=torch.float64)[:, None].expand(-1, len(strength))
    plain, rotated = answer(known, strength, push).fields, answer(other, strength, push).fields
    expected = {
        "RUCUTEN": cos * plain["RUCUTEN"] - sin * plain["RVCUTEN"],
        "RVCUTEN": sin * plain["RUCUTEN"] + cos * plain["RVCUTEN"],
    }
    for name in PROFILES:
        torch.testing.assert_close(rotated[name], expected.get(name, plain[name]), rtol=1e-7, atol=1e-14)


def test_calm_air_gives_no_momentum_and_no_nan(pairs: xr.Dataset) -> None:
    calm = pairs.assign(U_PHY=0 * pairs["U_PHY"], V_PHY=0 * pairs["V_PHY"])
    known = physics(sounding_of(calm), Architecture())
    assert known is not None
    n = len(known.sounding)
    push = torch.full((44, n), 2.0, dtype=torch.float64)
    outputs = answer(known, torch.ones(n, dtype=torch.float64), push).fields
    for name, value in outputs.items():
        assert bool(torch.isfinite(value).all()), name
    assert float(outputs["RUCUTEN"].abs().max()) == 0.0


def test_the_response_is_differentiable(known: Physics) -> None:
    some = torch.nonzero(known.plume.kind == DEEP).squeeze(1)[:4]
    s, plume, down = known.sounding.take(some), known.plume.take(some), known.down
    down = type(down)(**{name: value[..., some] for name, value in vars(down).items()})
    times = type(known.times)(*(value[some] for value in vars(known.times).values()))
    strength = torch.tensor([0.9, 1.3, 2.1, 1.7], dtype=torch.float64, requires_grad=True)

    def heating(x: torch.Tensor) -> torch.Tensor:
        return adjust(s, plume, down, times, x)["RTHCUTEN"].sum(0) * 1e4

    assert torch.autograd.gradcheck(heating, (strength,), eps=1e-6, atol=1e-6, rtol=1e-4)


def test_features_are_differentiable_in_the_temperature(pairs: xr.Dataset) -> None:
    """Along the gradient of one feature, the finite difference of that feature is the gradient's square."""
    deep = pairs.isel(column=np.flatnonzero(pairs["KIND"].values == 2)[:3])
    base = sounding_of(deep)

    def scalars(shift: torch.Tensor) -> torch.Tensor:
        from sciml.convection.sounding import Sounding

        names = dict(U_PHY="u", V_PHY="v", T_PHY="t", QVAPOR="qv", P_HYD="p", DZ8W="dz", RHO="rho",
                     PI_PHY="pi", W0AVG="w")  # fmt: skip
        profiles = {wrf: getattr(base, mine).T for wrf, mine in names.items()}
        profiles["T_PHY"] = profiles["T_PHY"] + shift
        surface = {n.upper(): getattr(base, n) for n in ("zol", "hfx", "ust", "pblh")}
        s = Sounding.of(profiles, surface, dx=base.dx, dt=base.dt, cudt=base.cudt)
        return physics(s, Architecture()).scalars[1]  # log CAPE

    shift = torch.zeros(len(base), base.levels, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(scalars(shift).sum(), shift)
    assert float(gradient.abs().max()) > 1e-4
    step = 1e-5 * gradient / gradient.norm()
    change = (scalars(shift + step) - scalars(shift - step)).sum() / 2e-5
    assert change.item() == pytest.approx(float(gradient.norm()), rel=2e-3)
