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
# # Train an emulator and analyse it
#
# This notebook opens columns with the outputs of the true scheme, trains an emulator, computes its scores, and analyses
# its linear response. The training is short, on one small file; `workflows/02_mskf_convrad.toml` and
# `workflows/12_mskf_regimes.toml` train the pretrained emulators.
#
# The emulator computes the scheme's parcel test, plume, energy closure and pressure forces. It learns a correction of
# the wind of the cloud, and the error to expect.

# %%
import tempfile
from pathlib import Path

import sciml as sm
from sciml.convection.linear_response import linear_response

scratch = Path(tempfile.mkdtemp())
wrfout = sm.packaged("wrfout_d01_convrad_24x24_5min.nc")
reference = sm.packaged("mskf_offline_convrad_24x24_5min.nc")
columns = sm.open_columns(wrfout, truth=reference).load()
sm.Convection(columns)

# %% [markdown]
# ## Train
# An interrupted training resumes when the same line is run again. The checkpoint is JSON and safetensors; it
# contains no code.

# %%
trained = sm.convection.train(
    columns, scratch / "trained.sciml", fit={"epochs": 20, "seed": 7}
)
trained

# %%
checkpoint = sm.train.checkpoint.load(scratch / "trained.sciml")
checkpoint

# %%
checkpoint.history

# %% [markdown]
# ## Score
# The pretrained emulator was not trained on this run, so its scores measure generalisation. The scores of our emulator,
# on its training data, do not.

# %%
sm.verify.assess(columns, trained, model="trained here", data="its training data")

# %%
pretrained = sm.Emulator.load("mskf-convrad")
evaluation = sm.verify.assess(
    columns,
    pretrained,
    model="mskf-convrad",
    data="a run outside its training data",
    by=[["class"]],
)
evaluation

# %%
sm.verify.portrait(evaluation)

# %% [markdown]
# ## Novelty
# NOVELTY ranks columns by the error to expect: it is the expected error of a column's heating relative to a limit,
# which 2 % of the training columns exceed, or larger where a feature lies far outside the range of the training. Above
# 1 a column is called novel. The table above shows the share of novel columns and the rank correlation of novelty and
# error. NOVELTY is zero where no plume rises; there the emulator computes only the parcel test.

# %%
rows = evaluation.columns
rising = rows.where(rows["NOVELTY"] > 0, drop=True)
points = rising.plot.scatter(x="NOVELTY", y="HEATING_ERROR")
points.axes.set(xscale="log", yscale="log")

# %% [markdown]
# On a map, the novel columns are those with the largest expected error.

# %%
solution = sm.solve(sm.Convection(columns), pretrained)
maps = sm.columns_to_map(solution.outputs, like=sm.open_wrfout(wrfout))
maps["NOVELTY"].isel(Time=-1).plot(robust=True)

# %% [markdown]
# ## Linear response
# The linear response is the matrix of the tendencies that a small change of temperature or vapour causes. Its
# eigenvalues are growth rates; convection should damp perturbations.

# %%
response = linear_response(pretrained, columns.isel(column=slice(None, None, 40)))
response

# %%
sm.plot.linear_response(
    response.matrix,
    response.rain,
    response.spectrum.rates,
    response.pressure,
    response.mass,
    threshold=1.0,
)
