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
# An operator is trained on pairs of fields; the equation need not be known. A file with dims `(sample, y, x)` in
# netCDF, zarr, HDF5, `.mat` or `.npz` is enough. This notebook writes such a file and trains an operator on it.

# %%
import tempfile
from pathlib import Path

import numpy as np
import xarray as xr

import sciml as sm

scratch = Path(tempfile.mkdtemp())
generator = np.random.default_rng(7)
points = 32
k = np.fft.fftfreq(points, 1 / points)
wave = np.hypot(k[:, None], k[None, :])
spectrum = np.fft.fft2(generator.standard_normal((160, points, points))) / (1 + wave**2)
spectrum[:, 0, 0] = 0
largest = np.abs(np.fft.ifft2(spectrum).real).max(axis=(1, 2), keepdims=True)
spectrum /= largest  # anomalies of 1 K at most
heat = np.fft.ifft2(spectrum).real
warmth = np.fft.ifft2(spectrum * np.exp(-0.02 * wave**2)).real
xr.Dataset(
    {"before": (("sample", "y", "x"), heat), "after": (("sample", "y", "x"), warmth)},
    {"y": np.arange(points) / points, "x": np.arange(points) / points},
).to_netcdf(scratch / "warmth.nc")

# %% [markdown]
# ## Open the file
# The error message names the options that cannot be inferred from the file:

# %%
try:
    sm.open_dataset(scratch / "warmth.nc")
except sm.SciMLError as error:
    print(error)

# %%
data = sm.open_dataset(scratch / "warmth.nc", inputs="before", target="after")
data

# %% [markdown]
# ## Train
# The file has no information on the boundary, so the options state that the fields are periodic. The last 32 samples
# are for the evaluation.

# %%
training, test = data.isel(sample=slice(0, 128)), data.isel(sample=slice(128, None))
operator = sm.operators.train(
    training,
    scratch / "warmth.sciml",
    boundary="periodic",
    centring="vertex",
    network={"class": "FNO", "modes": 16, "width": 10, "layers": 2},
    validation=16,
    fit={"epochs": 20, "batch_size": 8, "seed": 3},
)
operator

# %% [markdown]
# ## Predict
# `predict` takes a dataset or its file and returns labelled fields.

# %%
predicted = sm.Neural(operator).predict(test)
error = predicted.values - test["after"].values
size = np.linalg.norm(test["after"].values, axis=(1, 2))
relative = np.linalg.norm(error, axis=(1, 2)) / size
print(f"relative L2 error of {relative.size} test samples:")
print(f"mean {relative.mean():.3f}, worst {relative.max():.3f}")

# %%
median = int(np.argsort(relative)[relative.size // 2])
sm.plot.panels(
    [
        sm.plot.Panel(
            "before",
            test["before"].values[median],
            scale="signed",
            label="temperature (K)",
        ),
        sm.plot.Panel(
            "after",
            test["after"].values[median],
            scale="signed",
            label="temperature (K)",
            shared="after",
        ),
        sm.plot.Panel(
            "after, predicted",
            predicted.values[median],
            scale="signed",
            label="temperature (K)",
            shared="after",
        ),
        sm.plot.Panel(
            "predicted − true", error[median], scale="signed", label="difference (K)"
        ),
    ],
    data.x.values,
    data.y.values,
    columns=2,
)
