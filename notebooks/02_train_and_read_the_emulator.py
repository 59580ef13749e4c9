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
# # Train the emulator, and read it
#
# Columns with the true scheme's answers, a short training, the scores, and what the network has learned as a linear
# operator. The training here is a taste on one small file; `workflows/02_mskf_convrad.toml` is how the pretrained
# emulator was made.

# %%
# %matplotlib inline
import tempfile
from pathlib import Path

import sciml as sm
from sciml import plot
from sciml.convection.linear_response import linear_response
from sciml.convection.training import train
from sciml.storage.packaged import packaged
from sciml.train import checkpoint
from sciml.verify.emulator.evaluate import assess
from sciml.verify.emulator.figures import portrait

scratch = Path(tempfile.mkdtemp())
wrfout = packaged("wrfout_d01_convrad_24x24_5min.nc")
truth = packaged("mskf_offline_convrad_24x24_5min.nc")
columns = sm.open_columns(wrfout, truth=truth).load()
sm.Convection(columns)

# %% [markdown]
# ## Train
# A training that is cut off goes on where it stopped when the same line is run again. The checkpoint is JSON and
# safetensors; nothing in it is code.

# %%
mine = train(columns, scratch / "mine.sciml", fit={"epochs": 40, "seed": 7})
mine

# %%
kept = checkpoint.load(scratch / "mine.sciml")
kept

# %%
kept.history

# %% [markdown]
# ## Score
# Beside the pretrained emulator, which has never seen this run. Ours has: its scores say that the road works, not how
# well it generalises.

# %%
assess(columns, mine, model="mine", data="the columns it was trained on")

# %%
pretrained = sm.Emulator.load("mskf-convrad")
found = assess(columns, pretrained, model="mskf-convrad", data="a run it has not seen")
found

# %%
portrait(found)

# %% [markdown]
# ## Read
# How does convection alone answer a small change of temperature or vapour? The answer is a matrix; its eigenvalues are
# growth rates, and convection should damp.

# %%
response = linear_response(pretrained, columns.isel(column=slice(None, None, 20)))
response

# %%
plot.linear_response(
    response.matrix, response.rain, response.spectrum.rates, response.pressure, response.mass, threshold=1.0
)
