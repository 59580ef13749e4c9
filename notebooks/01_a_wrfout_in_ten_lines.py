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
# `open_wrfout` opens the history of a WRF run lazily. `.sciml` then derives what WRF does not write: pressure,
# temperature, height, wind at mass points, rain since the last frame. Every field has its unit and its place.

# %%
# %matplotlib inline
import numpy as np

import sciml as sm
from sciml import plot
from sciml.storage.packaged import packaged

wrfout = sm.open_wrfout(packaged("wrfout_d01_convrad_24x24_5min.nc"))
fields = wrfout.sciml
dict(wrfout.sizes)

# %% [markdown]
# Nothing is read before it is asked for. A field says what it is:

# %%
fields.t

# %% [markdown]
# ## Maps
# The last frame: rain of the five minutes before it, the strongest updraft of each column, and the wind near the
# ground.

# %%
rain = fields.rain.isel(Time=-1)
updraft = fields.w.isel(Time=-1).max("bottom_top")
wind = np.hypot(fields.u, fields.v).isel(Time=-1, bottom_top=0)

spacing = wrfout.attrs["DX"] / 1000
x = (np.arange(wrfout.sizes["west_east"]) + 0.5) * spacing
y = (np.arange(wrfout.sizes["south_north"]) + 0.5) * spacing
plot.panels(
    [
        plot.Panel("rain of five minutes", rain.values, label="mm"),
        plot.Panel("strongest updraft", updraft.values, label="m s⁻¹"),
        plot.Panel("wind at the lowest level", wind.values, label="m s⁻¹"),
    ],
    x,
    y,
    lengths=(y[-1] + spacing / 2, x[-1] + spacing / 2),
    unit="km",
)

# %% [markdown]
# ## Columns
# An emulator of convection sees columns, not maps. `convection_columns` takes them out, with the names that the
# scheme itself has for its arguments, and `Convection` is the problem they pose.

# %%
columns = sm.convection_columns(wrfout)
problem = sm.Convection(columns)
problem

# %% [markdown]
# `solve` answers it: here by the pretrained emulator of the multi-scale Kain-Fritsch scheme.

# %%
answer = sm.solve(problem, sm.Emulator.load("mskf-convrad"))
answer

# %% [markdown]
# And back to the map.

# %%
told = sm.columns_to_map(answer.outputs, like=wrfout).isel(Time=-1)
plot.panels(
    [
        plot.Panel("convective rain, emulator", told["PRATEC"].values * 3600, label="mm h⁻¹"),
        plot.Panel("class", told["KIND"].values, scale="phases", label="0 none, 1 shallow, 2 deep"),
        plot.Panel(
            "heating, the largest", told["RTHCUTEN"].max("bottom_top").values * 86400, label="K day⁻¹"
        ),
    ],
    x,
    y,
    lengths=(y[-1] + spacing / 2, x[-1] + spacing / 2),
    unit="km",
)
