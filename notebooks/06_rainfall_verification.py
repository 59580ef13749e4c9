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
# Rain is verified on amounts in windows of time: their errors, events above thresholds, and the skill by spatial scale.
# The scores come from the package `scores`, each with the interval of a block bootstrap.

# %%
import numpy as np
import xarray as xr

import sciml as sm

sample = sm.packaged("wrfout_d01_convrad_24x24_5min.nc")
wrfout = sm.open_wrfout(sample)

# %% [markdown]
# ## Rain of the emulator and of the scheme
# The package has the outputs of the scheme for every column of the sample; the emulator takes the same columns. The
# amount is the rate times the five minutes of a frame.

# %%
columns = sm.open_columns(
    sample, truth=sm.packaged("mskf_offline_convrad_24x24_5min.nc")
).load()
solution = sm.solve(sm.Convection(columns), sm.Emulator.load("mskf-convrad"))
amounts = [
    300
    * sm.columns_to_map(outputs, like=wrfout)["PRATEC"].rename(
        south_north="y", west_east="x"
    )
    for outputs in (columns, solution.outputs)
]
scheme, emulator = (
    sm.verify.accumulations(rain.fillna(0).assign_attrs(units="mm")) for rain in amounts
)

# %%
comparison = sm.verify.compare_rain(
    scheme, emulator, thresholds=[0.02, 0.05, 0.1], names=("MSKF", "emulator")
)
comparison

# %%
means = comparison.fields["reference"].values, comparison.fields["candidate"].values
sm.plot.rain_maps(*means, comparison.names, unit="mm in 5 min", spacing=10)

# %% [markdown]
# ## Displaced rain
# The same rain two cells further east has correct amounts in wrong places. Its scores by point are low; the fractions
# skill score shows from which scale the forecast is useful.

# %%
moved = scheme.roll(x=2, roll_coords=False)
displaced = sm.verify.compare_rain(
    scheme, moved, thresholds=[0.02, 0.05, 0.1], names=("MSKF", "displaced")
)
print(displaced)

# %%
pod, success = (
    {
        source: result.scores[name].values
        for source, result in (("emulator", comparison), ("displaced", displaced))
    }
    for name in ("pod", "far")
)
success = {name: 1 - values[:, [0, 2, 1]] for name, values in success.items()}
sm.plot.performance(pod, success, displaced.scores["threshold"].values)

# %%
skill = displaced.scores["fss"]
sm.plot.fraction_skill(
    skill.sel(estimate="value").values,
    skill["threshold"].values,
    skill["scale"].values,
    spacing=10,
)

# %% [markdown]
# ## An ensemble
# The rain of eight members is displaced and scaled at random. The fair CRPS is smaller than the error of the mean, and
# the ratio of spread and error shows whether the spread is adequate.

# %%
rng = np.random.default_rng(7)
members = [
    rng.lognormal(0, 0.3)
    * scheme.roll(
        x=int(rng.integers(-2, 3)), y=int(rng.integers(-2, 3)), roll_coords=False
    )
    for _ in range(8)
]
ensemble = xr.concat(members, "member").assign_attrs(scheme.attrs)
forecast = sm.verify.compare_rain(
    scheme, ensemble, thresholds=[0.02, 0.1], names=("MSKF", "ensemble")
)
forecast.scores[["crps", "mae", "spread_skill"]].to_dataframe()

# %% [markdown]
# One command compares two runs, with profiles and budgets, and writes a report:
#
#     sciml wrf compare 'control/wrfout_d01_*' 'emulated/wrfout_d01_*' --window 3h --html compare.html
