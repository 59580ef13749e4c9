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
# # The emulator in Fortran
#
# WRF links a library, not a network. It is built here by this machine's compilers (`$CC` and `$FC`, else gcc and
# gfortran), and is another algorithm for the same problem: to check it is to solve twice.

# %%
# %matplotlib inline
import tempfile
from pathlib import Path

import numpy as np

import sciml as sm
from sciml import plot
from sciml.coupling.build import install
from sciml.coupling.export import emulator_weights
from sciml.coupling.weights_file import write_weights
from sciml.storage.packaged import packaged
from sciml.verify.library.parity import compare

emulator = sm.Emulator.load("mskf-convrad")
emulator

# %% [markdown]
# ## Build
# The same as `sciml coupling build -o DIR mskf-convrad`: the library, its headers and Fortran modules, and the weights
# as a netCDF file.

# %%
folder = Path(tempfile.mkdtemp())
library = install(folder)
write_weights(folder / "mskf.nc", emulator_weights(emulator))
{path.name: f"{path.stat().st_size:,} bytes" for path in sorted(folder.iterdir())}

# %% [markdown]
# ## Solve twice

# %%
wrfout = sm.open_wrfout(packaged("wrfout_d01_convrad_24x24_5min.nc"))
problem = sm.Convection(sm.convection_columns(wrfout).load())
torch = sm.solve(problem, emulator)
native = sm.solve(problem, sm.FortranEmulator(library, folder / "mskf.nc"))
native

# %%
columns = len(problem)
for name, solution in (("torch", torch), ("library", native)):
    print(f"{name:8} {1e6 * solution.stats['seconds'] / columns:8.1f} us a column")

# %% [markdown]
# ## Compare
# The library computes in single precision, and in another order: it agrees to round-off, output by output.

# %%
compare(torch.outputs, native.outputs, names=("torch", "library"))

# %%
maps = [sm.columns_to_map(one.outputs, like=wrfout).isel(Time=-1) for one in (torch, native)]
rain = [one["PRATEC"].values * 3600 for one in maps]
spacing = wrfout.attrs["DX"] / 1000
x = (np.arange(wrfout.sizes["west_east"]) + 0.5) * spacing
y = (np.arange(wrfout.sizes["south_north"]) + 0.5) * spacing
plot.panels(
    [
        plot.Panel("rain, torch", rain[0], label="mm h⁻¹", shared="rain"),
        plot.Panel("rain, library", rain[1], label="mm h⁻¹", shared="rain"),
        plot.Panel("library − torch", rain[1] - rain[0], scale="signed", label="mm h⁻¹"),
    ],
    x,
    y,
    lengths=(y[-1] + spacing / 2, x[-1] + spacing / 2),
    unit="km",
)

# %% [markdown]
# What to type for WRF comes next: `sciml coupling flags DIR`, and the guide *Coupling in WRF*
# (`docs/guides/coupling.md`).
