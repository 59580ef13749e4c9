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
# # A wrfout in ten lines
#
# `open_wrfout` opens the history of a WRF run lazily. The accessor `.sciml` computes variables that WRF does not write:
# pressure, temperature, height, wind at mass points, rain since the last frame. Every field has units and coordinates.

# %%
import numpy as np

import sciml as sm

wrfout = sm.open_wrfout(sm.packaged("wrfout_d01_convrad_24x24_5min.nc"))
fields = wrfout.sciml
dict(wrfout.sizes)

# %% [markdown]
# Data are read when they are needed. A field has its name, units and coordinates:

# %%
fields.t

# %% [markdown]
# ## Maps
# The last frame: rain of the last five minutes, the strongest updraft of each column, and the wind at the lowest
# level.

# %%
rain = fields.rain.isel(Time=-1)
updraft = fields.w.isel(Time=-1).max("bottom_top")
wind = np.hypot(fields.u, fields.v).isel(Time=-1, bottom_top=0)

spacing = wrfout.attrs["DX"] / 1000
x = (np.arange(wrfout.sizes["west_east"]) + 0.5) * spacing
y = (np.arange(wrfout.sizes["south_north"]) + 0.5) * spacing
sm.plot.panels(
    [
        sm.plot.Panel("rain of five minutes", rain.values, label="rain (mm)"),
        sm.plot.Panel("strongest updraft", updraft.values, label="w (m s⁻¹)"),
        sm.plot.Panel(
            "wind at the lowest level", wind.values, label="wind speed (m s⁻¹)"
        ),
    ],
    x,
    y,
    lengths=(y[-1] + spacing / 2, x[-1] + spacing / 2),
    unit="km",
)

# %% [markdown]
# ## Columns
# An emulator of convection takes columns. `convection_columns` extracts them, with the names of the arguments of the
# scheme, and `Convection` is the problem.

# %%
columns = sm.convection_columns(wrfout)
problem = sm.Convection(columns)
problem

# %% [markdown]
# `solve` applies an algorithm: here the pretrained emulator of the multi-scale Kain-Fritsch scheme.

# %%
solution = sm.solve(problem, sm.Emulator.load("mskf-convrad"))
solution

# %% [markdown]
# `columns_to_map` puts the outputs back on the map.

# %%
maps = sm.columns_to_map(solution.outputs, like=wrfout).isel(Time=-1)
sm.plot.panels(
    [
        sm.plot.Panel(
            "convective rain, emulator",
            maps["PRATEC"].values * 3600,
            label="rain rate (mm h⁻¹)",
        ),
        sm.plot.Panel(
            "class of convection",
            maps["KIND"].values,
            classes=("none", "shallow", "deep"),
        ),
        sm.plot.Panel(
            "largest heating of the column",
            maps["RTHCUTEN"].max("bottom_top").values * 86400,
            label="heating (K day⁻¹)",
        ),
    ],
    x,
    y,
    lengths=(y[-1] + spacing / 2, x[-1] + spacing / 2),
    unit="km",
)
