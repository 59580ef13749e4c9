# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Rainfall verification
#
# Rain is scored on amounts by window: how much, how often above a threshold, and how far away. Every score comes from
# the package `scores`, and every one with the interval of a block bootstrap.

# %%
# %matplotlib inline
import numpy as np
import xarray as xr

import sciml as sm
from sciml.columns.open import open_columns
from sciml.plot import rainfall as draw
from sciml.storage.packaged import packaged
from sciml.verify.forecast.rainfall import accumulations, compare

sample = packaged("wrfout_d01_convrad_24x24_5min.nc")
wrfout = sm.open_wrfout(sample)

# %% [markdown]
# ## The emulator's rain against the scheme's
# What the scheme itself says for every column lies beside the sample; the emulator answers the same columns. A rate
# held for the five minutes of a frame is an amount.

# %%
columns = open_columns(sample, truth=packaged("mskf_offline_convrad_24x24_5min.nc")).load()
answer = sm.solve(sm.Convection(columns), sm.Emulator.load("mskf-convrad"))
amounts = [
    300 * sm.columns_to_map(one, like=wrfout)["PRATEC"].rename(south_north="y", west_east="x")
    for one in (columns, answer.outputs)
]
scheme, emulator = (accumulations(one.fillna(0).assign_attrs(units="mm")) for one in amounts)

# %%
found = compare(scheme, emulator, thresholds=[0.02, 0.05, 0.1], names=("MSKF", "emulator"))
found

# %%
means = found.fields["reference"].values, found.fields["candidate"].values
draw.rain_maps(*means, found.names, unit="mm in 5 min", spacing=10)

# %% [markdown]
# ## What is a good score worth?
# The same rain two cells further east: right amounts, wrong places. Point by point it is bad, and the fractions skill
# score says from which scale on it is useful.

# %%
moved = scheme.roll(x=2, roll_coords=False)
elsewhere = compare(scheme, moved, thresholds=[0.02, 0.05, 0.1], names=("MSKF", "moved"))
print(elsewhere)

# %%
pod, success = (
    {n: x.scores[name].values for n, x in (("emulator", found), ("moved", elsewhere))}
    for name in ("pod", "far")
)
success = {name: 1 - values[:, [0, 2, 1]] for name, values in success.items()}
draw.performance(pod, success, elsewhere.scores["threshold"].values)

# %%
skill = elsewhere.scores["fss"]
draw.fraction_skill(
    skill.sel(estimate="value").values, skill["threshold"].values, skill["scale"].values, spacing=10
)

# %% [markdown]
# ## An ensemble
# Eight members whose rain is displaced and scaled at random: the fair CRPS is below the error of the mean, and the
# rank histogram tells whether the spread is right.

# %%
rng = np.random.default_rng(7)
members = [
    rng.lognormal(0, 0.3)
    * scheme.roll(x=int(rng.integers(-2, 3)), y=int(rng.integers(-2, 3)), roll_coords=False)
    for _ in range(8)
]
ensemble = xr.concat(members, "member").assign_attrs(scheme.attrs)
cast = compare(scheme, ensemble, thresholds=[0.02, 0.1], names=("MSKF", "ensemble"))
cast.scores[["crps", "mae", "spread_skill"]].to_dataframe()

# %% [markdown]
# Two whole runs, with profiles and budgets, become a page by one command:
#
#     sciml wrf compare 'control/wrfout_d01_*' 'emulated/wrfout_d01_*' --window 3h --html compare.html
