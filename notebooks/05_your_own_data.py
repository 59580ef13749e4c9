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
# # Your own data
#
# An operator needs pairs of fields, not a known equation: a file with dims `(sample, y, x)`, netCDF, zarr, HDF5,
# `.mat` or `.npz`, is enough. Here such a file is made, as if it came from elsewhere, and learned from.

# %%
# %matplotlib inline
import tempfile
from pathlib import Path

import numpy as np
import xarray as xr

import sciml as sm
from sciml import plot
from sciml.operators.training import train

scratch = Path(tempfile.mkdtemp())
generator = np.random.default_rng(7)
points = 32
k = np.fft.fftfreq(points, 1 / points)
wave = np.hypot(k[:, None], k[None, :])
spectrum = np.fft.fft2(generator.standard_normal((160, points, points))) / (1 + wave**2)
spectrum[:, 0, 0] = 0
heat = np.fft.ifft2(spectrum).real
warmth = np.fft.ifft2(spectrum * np.exp(-0.02 * wave**2)).real
xr.Dataset(
    {"before": (("sample", "y", "x"), heat), "after": (("sample", "y", "x"), warmth)},
    {"y": np.arange(points) / points, "x": np.arange(points) / points},
).to_netcdf(scratch / "warmth.nc")

# %% [markdown]
# ## How it is understood
# What cannot be guessed is asked for, in one line:

# %%
try:
    sm.open_dataset(scratch / "warmth.nc")
except sm.SciMLError as error:
    print(error)

# %%
data = sm.open_dataset(scratch / "warmth.nc", inputs="before", target="after")
data

# %% [markdown]
# ## Train and hold out
# The fields are periodic, which the file does not say, so we do.

# %%
seen, unseen = data.isel(sample=slice(0, 128)), data.isel(sample=slice(128, None))
operator = train(
    seen,
    scratch / "warmth.sciml",
    boundary="periodic",
    centring="vertex",
    network={"class": "FNO", "modes": 16, "width": 10, "layers": 2},
    validation=16,
    fit={"epochs": 20, "batch_size": 8, "seed": 3},
)
operator

# %% [markdown]
# ## Ask it
# `predict` takes a dataset, or its file, and gives labelled fields.

# %%
predicted = sm.Neural(operator).predict(unseen)
error = predicted.values - unseen["after"].values
relative = np.linalg.norm(error, axis=(1, 2)) / np.linalg.norm(unseen["after"].values, axis=(1, 2))
print(
    f"relative L2 error of {relative.size} unseen samples: mean {relative.mean():.3f}, worst {relative.max():.3f}"
)

# %%
middling = int(np.argsort(relative)[relative.size // 2])
plot.panels(
    [
        plot.Panel("before", unseen["before"].values[middling], scale="signed", label="K"),
        plot.Panel("after", unseen["after"].values[middling], scale="signed", label="K", shared="after"),
        plot.Panel("after, predicted", predicted.values[middling], scale="signed", label="K", shared="after"),
        plot.Panel("predicted − true", error[middling], scale="signed", label="K"),
    ],
    data.x.values,
    data.y.values,
    columns=2,
)
