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
# # Networks as linear operators
#
# At one input `x0` a network is a linear operator plus a constant,
# `net(x0) = A x0 + r`. `sciml.analysis.linearize` gives this operator without its
# matrix: products with vectors, columns, rows, singular values. This notebook reads a
# small network, the Green's functions of a pretrained operator, and a column network.

# %%
import numpy as np
import torch
from torch import nn

from sciml.analysis import linearize
from sciml.columns.open import open_columns
from sciml.convection.attribution import attribution, looked_at
from sciml.convection.emulator import Emulator
from sciml.operators import TrainedOperator
from sciml.operators.greens import greens_functions
from sciml.pde.families import FAMILIES
from sciml.storage.packaged import packaged
from sciml.verify.emulator.attribution_report import summarize
from sciml.verify.operator.greens_report import portrait

torch.manual_seed(7)

# %% [markdown]
# ## Frozen is not tangent
# The *frozen* action has the nonlinear functions fixed at `x0`. It replays the output
# exactly, and says where the value comes from. The *tangent* is the derivative, and
# says how the output changes. They are equal for ReLU, and differ for a smooth function.

# %%
x0 = torch.randn(40, dtype=torch.float64)
for function in (nn.ReLU(), nn.GELU(), nn.Tanh()):
    net = nn.Sequential(nn.Linear(40, 60), function, nn.Linear(60, 30)).double()
    frozen, tangent = linearize(net, x0), linearize(net, x0, "tangent")
    a, j = frozen.dense(), tangent.dense()
    print(
        f"{type(function).__name__:5} replay {frozen.replay():.0e}, difference of frozen "
        f"and tangent {np.linalg.norm(a - j) / np.linalg.norm(j):.2f}"
    )

# %% [markdown]
# ## An unsupported function is named
# Where a function has no frozen action, the error names it and its place.


# %%
try:
    linearize(
        nn.Sequential(nn.Linear(3, 4), nn.GLU()).double(), torch.ones(4, 3).double()
    )
except ValueError as error:
    print(error)

# %% [markdown]
# ## Green's functions of an operator
# The columns of the operator from source to solution are its Green's functions. For
# the pretrained `darcy-any` they stand beside the columns of the exact inverse.

# %%
operator = TrainedOperator.load("darcy-any")
problem = FAMILIES["darcy-rough"].problem(31, seed=7)
result = greens_functions(operator, problem, modes=4)
print(result)

# %%
portrait(result)

# %% [markdown]
# ## Where a tendency comes from
# The same for a column network: contributions of the inputs of each layer, which add
# up to the head with the effect of the biases.

# %%
emulator = Emulator.load("mskf-convrad")
columns = open_columns([packaged("wrfout_d01_convrad_24x24_5min.nc")], keep="all")
some = looked_at(emulator, columns.isel(column=slice(None, None, 20)).load(), 2)
made = attribution(emulator, some)
total = made["CONTRIBUTION"].sum(("layer", "channel")) + made[
    "SCALAR_CONTRIBUTION"
].sum("scalar")
print(
    f"largest error of the sum: {float(abs(total + made['RESIDUAL'] - made['HEAD']).max()):.0e}"
)
print(summarize(made))
