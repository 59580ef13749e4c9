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
# # Norms and memories
#
# Two kinds of layers from `sciml.nn`, in pictures: EvoNorm, which is a normalisation
# and an activation in one, and modern Hopfield networks, which store patterns and
# retrieve them.

# %%
import numpy as np
import torch

from sciml.nn import EvoNorm
from sciml.nn.association import associate, effective_patterns, energy
from sciml.operators.mgno import MgNO
from sciml.plot.style import COLOURS, StyledFigure, style

torch.manual_seed(7)

# %% [markdown]
# ## EvoNorm does not depend on the batch
# S0 divides by the standard deviation of a group of channels of one sample. The result
# for a sample is the same in any batch, while batch norm changes it in the training.

# %%
x = torch.randn(32, 8, 16, 16) * torch.linspace(0.2, 3.0, 32).reshape(-1, 1, 1, 1)
layers = {
    "EvoNorm-S0": EvoNorm(8, "S0"),
    "EvoNorm-B0": EvoNorm(8, "B0"),
    "batch norm, ReLU": torch.nn.Sequential(torch.nn.BatchNorm2d(8), torch.nn.ReLU()),
}
for name, layer in layers.items():
    with torch.no_grad():
        change = (layer(x)[:1] - layer(x[:1])).abs().max()
    print(f"{name:17} largest change of a sample by its batch: {change:.2f}")

# %% [markdown]
# ## The amplitude of a field
# S0 removes the amplitude of its input. In `MgNO` it therefore stands beside a path
# that preserves it, `z + norm(z)`. For large fields the answer grows with the field;
# for fields of the size of a normalised one, the answer of an untrained network is
# mostly that to its constant channel and its biases.

# %%
networks = {
    "MgNO, evonorm-s0": MgNO(channels=6, layers=3, levels=3, norm="evonorm-s0"),
    "EvoNorm alone": EvoNorm(1, "S0"),
}
field = torch.randn(1, 1, 15, 15)
scales = np.geomspace(1e-2, 1e5, 15)
with style():
    figure = StyledFigure(figsize=(5.0, 3.2))
    axes = figure.subplots()
    for (name, network), colour in zip(
        networks.items(), ("prediction", "third"), strict=True
    ):
        with torch.no_grad():
            sizes = [float(network.eval()(float(s) * field).norm()) for s in scales]
        axes.plot(scales, sizes, "o-", color=COLOURS[colour], label=name, markersize=3)
    axes.plot(scales, 10 * scales, ":", color=COLOURS["truth"], label="linear")
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="size of the field",
        ylabel="size of the answer",
    )
    axes.legend()
figure

# %% [markdown]
# ## Three kinds of fixed points
# A Hopfield network updates a state to a mean of the stored patterns, with weights
# `softmax(beta q k)`. Six patterns in three pairs lie on a circle. With a small beta
# every start ends in the mean of all patterns, with a medium one in the mean of a
# pair, and with a large one in a single pattern.

# %%
angles = torch.deg2rad(torch.tensor([80.0, 100.0, 200.0, 220.0, 320.0, 340.0]))
stored = 2.0 * torch.stack([angles.cos(), angles.sin()], 1)
line = torch.linspace(-2.4, 2.4, 10)
starts = torch.cartesian_prod(line, line)
fine = torch.linspace(-2.6, 2.6, 61)
plane = torch.cartesian_prod(fine, fine)
with style():
    figure = StyledFigure(figsize=(9.6, 3.3))
    for axes, beta in zip(figure.subplots(1, 3), (0.3, 2.0, 20.0), strict=True):
        height = energy(plane, stored, beta=beta).reshape(61, 61).T
        axes.contour(fine, fine, height, 14, colors="#c8c8c8", linewidths=0.6)
        end = associate(starts, stored, beta=beta, steps=None, eps=1e-7)
        points = end.weights @ stored
        axes.plot(*stored.T, "o", color=COLOURS["truth"], markersize=4)
        axes.plot(*points.T, "x", color=COLOURS["third"], markersize=8)
        count = effective_patterns(end.weights).median()
        axes.set_title(f"beta = {beta:g}: {count:.1f} effective patterns")
        axes.set(aspect="equal", xticks=[], yticks=[])
figure

# %% [markdown]
# Grey lines are levels of the energy, which no update increases; dots are the stored
# patterns, crosses the fixed points.
#
# ## Retrieval
# One update retrieves a pattern from a state with noise. The error falls exponentially
# with the dimension.

# %%
dimensions = (8, 12, 16, 24, 32, 48)
with style():
    figure = StyledFigure(figsize=(5.0, 3.2))
    axes = figure.subplots()
    for count, colour in ((64, "prediction"), (4096, "third")):
        errors = []
        for d in dimensions:
            patterns = torch.randn(count, d, dtype=torch.float64)
            patterns *= d**0.5 / patterns.norm(dim=1, keepdim=True)
            states = patterns[:64] + 0.05 * torch.randn(64, d)
            answer = associate(states, patterns, beta=1.0).weights @ patterns
            error = (answer - patterns[:64]).norm(dim=1) / d**0.5
            errors.append(float(error.median()))
        axes.plot(
            dimensions, errors, "o-", color=COLOURS[colour], label=f"{count:,} patterns"
        )
    axes.set(yscale="log", xlabel="dimension", ylabel="error / radius")
    axes.legend()
figure

# %% [markdown]
# `python bench/hopfield.py` measures up to 65,536 patterns with the bound of the
# paper, and `python bench/normalization.py` compares the normalisations in training:
# see [Results](../results.md).
