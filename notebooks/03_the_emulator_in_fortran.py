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
# WRF links a native library. This notebook builds it with the compilers of this machine (`$CC` and `$FC`, else gcc and
# gfortran). The library is another algorithm for the same problem, so it is checked by solving the problem twice.

# %%
import tempfile
from pathlib import Path

import numpy as np

import sciml as sm
from sciml.coupling.build import install
from sciml.coupling.export import emulator_weights
from sciml.coupling.weights_file import write_weights

emulator = sm.Emulator.load("mskf-convrad")
emulator

# %% [markdown]
# ## Build
# These lines do the same as `sciml coupling build -o DIR mskf-convrad`: they write the library, its headers and Fortran
# modules, and the weights as a netCDF file.

# %%
folder = Path(tempfile.mkdtemp())
library = install(folder)
write_weights(folder / "mskf.nc", emulator_weights(emulator))
{path.name: f"{path.stat().st_size:,} bytes" for path in sorted(folder.iterdir())}

# %% [markdown]
# ## Solve twice

# %%
wrfout = sm.open_wrfout(sm.packaged("wrfout_d01_convrad_24x24_5min.nc"))
problem = sm.Convection(sm.convection_columns(wrfout).load())
torch = sm.solve(problem, emulator)
native = sm.solve(problem, sm.FortranEmulator(library, folder / "mskf.nc"))
native

# %%
columns = len(problem)
for name, solution in (("torch", torch), ("library", native)):
    print(f"{name:8} {1e6 * solution.stats['seconds'] / columns:8.1f} µs per column")

# %% [markdown]
# ## Compare
# The library computes in single precision and in another order of operations, so the outputs agree to rounding errors.

# %%
sm.verify.compare_outputs(torch.outputs, native.outputs, names=("torch", "library"))

# %%
maps = [
    sm.columns_to_map(solution.outputs, like=wrfout).isel(Time=-1)
    for solution in (torch, native)
]
rain = [fields["PRATEC"].values * 3600 for fields in maps]
spacing = wrfout.attrs["DX"] / 1000
x = (np.arange(wrfout.sizes["west_east"]) + 0.5) * spacing
y = (np.arange(wrfout.sizes["south_north"]) + 0.5) * spacing
sm.plot.panels(
    [
        sm.plot.Panel(
            "rain, torch", rain[0], label="rain rate (mm h⁻¹)", shared="rain"
        ),
        sm.plot.Panel(
            "rain, library", rain[1], label="rain rate (mm h⁻¹)", shared="rain"
        ),
        sm.plot.Panel(
            "library − torch",
            rain[1] - rain[0],
            scale="signed",
            label="difference (mm h⁻¹)",
        ),
    ],
    x,
    y,
    lengths=(y[-1] + spacing / 2, x[-1] + spacing / 2),
    unit="km",
)

# %% [markdown]
# Next, `sciml coupling flags DIR` prints the link flags for WRF; see the guide *Coupling in WRF*
# (`docs/guides/coupling.md`).
