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
# # Rollouts that cannot diverge
#
# A network that is trained on single time steps is often rolled out for many more steps than its data have. Small
# differences of two states may then grow without limit. The steps of `NonExpansive` make no difference larger, whatever
# its weights; this is proved from the weights, not measured. This notebook trains such a network on decaying
# turbulence, reads its certificate and rolls out two noisy states.

# %%
import copy
import itertools
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

import sciml as sm
from sciml.errors import InputError
from sciml.nn.sobolev import sobolev_norm
from sciml.operators import training
from sciml.pde import generate
from sciml.pde.families import FAMILIES
from sciml.train.progress import Quiet

scratch = Path(tempfile.mkdtemp())
turbulence = FAMILIES["decaying-turbulence"]
series = generate(replace(turbulence, refined=1), 4, 16, seed=7).compute()
series

# %% [markdown]
# ## Train
# `order` is the order of the norm. 0 is the Euclidean norm. Advection expands some differences in the Euclidean norm,
# and no step that does not expand can follow them; in the norm of H⁻¹ it expands them less, so the network is more
# accurate. A short kernel and few epochs keep this notebook fast.


# %%
steps = training.train(
    series,
    scratch / "steps.sciml",
    network={"class": "NonExpansive", "order": 1.0, "hidden": 8, "layers": 2},
    loss="l2",
    fit={"epochs": 2, "batch_size": 8, "seed": 3, "device": "cpu"},
    progress=Quiet(),
)
steps

# %% [markdown]
# ## The certificate
# Each factor is the exact norm of a layer on this grid, from all waves. Their product bounds how much a step expands
# the difference of two states. `Stepper(lipschitz=1)` computes it from the weights and raises an error if it exceeds 1.

# %%
stepper = sm.Stepper(steps, lipschitz=1)
print(stepper.certificate)

# %% [markdown]
# Weights that may expand are refused:

# %%
changed = copy.deepcopy(steps)
with torch.no_grad():
    changed.network.lift.weight.mul_(1.2)
try:
    sm.Stepper(changed, lipschitz=1)
except InputError as error:
    print(error)

# %% [markdown]
# ## Two noisy states
# Both receive the same noise in every step. The norm of H⁻¹ of their difference never grows. The Euclidean norm may
# grow for a while, and the certificate bounds by how much in all steps together.

# %%
problem = replace(turbulence.template, resolution=16, seed=31)
noise = torch.Generator().manual_seed(5)
first = torch.from_numpy(problem.start())[None]
rough = 0.05 * torch.randn(first.shape, generator=noise, dtype=torch.float64)
pair, state = torch.cat([first, first + rough]), stepper.init(problem)
sizes = {1.0: [], 0.0: []}
for _ in range(100):
    for order, values in sizes.items():
        values.append(float(sobolev_norm(pair[0] - pair[1], order)))
    drawn = torch.randn(first.shape, generator=noise, dtype=torch.float64)
    pair = stepper.rollout(pair + 0.05 * drawn, 1, state)[:, 0]
for order, values in sizes.items():
    growth = max(b / a for a, b in itertools.pairwise(values))
    name = "norm of H^-1" if order else "Euclidean norm"
    print(f"{name}: largest growth in a step {growth:.6f}")
print(f"bound of the Euclidean norm: {stepper.certificate.euclidean((16, 16)):.1f}")

# %%
from sciml.plot.style import StyledFigure, style

with style():
    figure = StyledFigure(figsize=(5.0, 3.2))
    axes = figure.subplots()
    for order, values in sizes.items():
        name = "norm of H⁻¹" if order else "Euclidean norm"
        axes.plot([value / values[0] for value in values], label=name)
    axes.set(yscale="log", xlabel="step", ylabel="difference over the first one")
    axes.legend()
figure

# %% [markdown]
# What the bound costs in accuracy, and how other networks behave: see
# [Steps that do not expand](../guides/operators.md#steps-that-do-not-expand).
