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
# # Solve: AMG, MgNO, certified
#
# One problem, three algorithms: multigrid, a neural operator trained here for half a minute, and the prediction made
# safe, with a guaranteed bound of its error.

# %%
# %matplotlib inline
import tempfile
from pathlib import Path

import numpy as np

import sciml as sm
from sciml import plot
from sciml.operators.training import train

problem = sm.Darcy(resolution=31, coefficient=sm.TwoPhase(3, 12), seed=1009)
problem

# %% [markdown]
# ## Multigrid
# What is worth reusing, the hierarchy, is made once by `init`.

# %%
amg = sm.AMG(rtol=1e-10)
hierarchy = sm.init(problem, amg)
hierarchy

# %%
exact = sm.solve(problem, amg, state=hierarchy)
exact

# %% [markdown]
# ## A multigrid neural operator
# Trained on other media of the same family. A network of this size, with so few examples, errs by several
# percent, mostly where the medium changes.

# %%
scratch = Path(tempfile.mkdtemp())
data = sm.generate("darcy-rough", 192, 31, seed=7)
network = {"class": "MgNO", "channels": 8, "layers": 3, "levels": 4}
operator = train(
    data, scratch / "mgno.sciml", network=network, validation=32, fit={"epochs": 20, "batch_size": 8}
)
operator

# %%
operator.network

# %%
learned = sm.solve(problem, sm.Neural(operator))
learned

# %% [markdown]
# ## Certified
# `Corrected` starts from the prediction and cycles until the guaranteed bound of the error, in the energy norm, is
# small enough. Whatever was predicted, the bound holds. It bounds the algebraic error, not the discretisation's.

# %%
certified = sm.solve(problem, sm.Corrected(sm.Neural(operator), sm.AMG(), rtol=1e-6))
certified

# %%
system = sm.discretize(problem)
truly = system.energy(certified.u.values - exact.u.values)
print(f"guaranteed {certified.error_bound:.3e}, truly {truly:.3e}")

# %%
error = learned.u.values - exact.u.values
plot.panels(
    [
        plot.Panel("coefficient", problem.coefficient_field(), scale="phases"),
        plot.Panel("u, multigrid", exact.u.values, shared="u"),
        plot.Panel("u, MgNO", learned.u.values, shared="u"),
        plot.Panel("MgNO − multigrid", error, scale="signed"),
        plot.Panel("certified − multigrid", certified.u.values - exact.u.values, scale="signed"),
    ],
    exact.u.x.values,
    exact.u.y.values,
)

# %% [markdown]
# ## What does a cycle cost?
# Residuals by cycle, of the same hierarchy with and without conjugate gradients around it.

# %%
plain = sm.solve(problem, sm.AMG(rtol=1e-10, accelerate=None))
cycles = max(len(plain.residuals), len(exact.residuals))
lines = {
    name: np.pad(-np.log10(one.residuals), (0, cycles - len(one.residuals)), constant_values=np.nan)
    for name, one in (("with conjugate gradients", exact), ("cycles alone", plain))
}
plot.curves(np.arange(cycles), lines, xlabel="cycles", ylabel="digits gained of the residual")
