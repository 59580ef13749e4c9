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
# This notebook solves one problem with three algorithms: multigrid, a neural operator that is trained here for some
# seconds, and its prediction corrected until a guaranteed bound of the error is small.

# %%
import tempfile
from pathlib import Path

import numpy as np

import sciml as sm

problem = sm.Darcy(resolution=31, coefficient=sm.TwoPhase(3, 12), seed=1009)
problem

# %% [markdown]
# ## Multigrid
# `init` builds the hierarchy once; `solve` can reuse it.

# %%
amg = sm.AMG(rtol=1e-10)
hierarchy = sm.init(problem, amg)
hierarchy

# %%
exact = sm.solve(problem, amg, state=hierarchy)
exact

# %% [markdown]
# ## A multigrid neural operator
# The operator is trained on other coefficients of the same family. With this size and so few samples its error is
# several percent, mostly at the interfaces of the coefficient.

# %%
scratch = Path(tempfile.mkdtemp())
data = sm.generate("darcy-rough", 192, 31, seed=7)
network = {"class": "MgNO", "channels": 8, "layers": 3, "levels": 4}
operator = sm.operators.train(
    data,
    scratch / "mgno.sciml",
    network=network,
    validation=32,
    fit={"epochs": 12, "batch_size": 8},
)
operator

# %%
operator.network

# %%
learned = sm.solve(problem, sm.Neural(operator))
learned

# %% [markdown]
# ## Certified
# `Corrected` starts from the prediction and applies multigrid cycles until the guaranteed bound of the error in the
# energy norm is small enough. The bound holds for any prediction. It bounds the algebraic error, not the discretisation
# error.

# %%
certified = sm.solve(problem, sm.Corrected(sm.Neural(operator), sm.AMG(), rtol=1e-6))
certified

# %%
system = sm.discretize(problem)
error_norm = system.energy(certified.u.values - exact.u.values)
print(f"guaranteed bound {certified.error_bound:.3e}, true error {error_norm:.3e}")

# %%
error = learned.u.values - exact.u.values
sm.plot.panels(
    [
        sm.plot.Panel(
            "coefficient", problem.coefficient_field(), scale="phases", label="a"
        ),
        sm.plot.Panel("u, multigrid", exact.u.values, label="u", shared="u"),
        sm.plot.Panel("u, MgNO", learned.u.values, label="u", shared="u"),
        sm.plot.Panel(
            "MgNO − multigrid", error, scale="signed", label="difference of u"
        ),
        sm.plot.Panel("u, certified", certified.u.values, label="u", shared="u"),
        sm.plot.Panel(
            "certified − multigrid",
            certified.u.values - exact.u.values,
            scale="signed",
            label="difference of u",
        ),
    ],
    exact.u.x.values,
    exact.u.y.values,
)

# %% [markdown]
# ## Convergence
# Residuals by cycle with the same hierarchy, with and without conjugate gradients.

# %%
plain = sm.solve(problem, sm.AMG(rtol=1e-10, accelerate=None))
cycles = max(len(plain.residuals), len(exact.residuals))
lines = {
    name: np.pad(
        -np.log10(solution.residuals),
        (0, cycles - len(solution.residuals)),
        constant_values=np.nan,
    )
    for name, solution in (("with conjugate gradients", exact), ("cycles only", plain))
}
sm.plot.curves(
    np.arange(cycles), lines, xlabel="cycles", ylabel="−log₁₀ of the relative residual"
)
