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
# # Analog ensembles
#
# `AnalogMemory` stores columns with the tendencies that the scheme computed, and answers with
# those of the most similar columns. Nothing is trained. This notebook stores the western part
# of the sample and predicts the eastern part.

# %%
import numpy as np

import sciml as sm
from sciml.columns.open import open_columns
from sciml.convection import AnalogMemory, PlumeFeatures
from sciml.storage.packaged import packaged
from sciml.verify.emulator.analog_page import analog_figure, column_to_show
from sciml.verify.emulator.analog_scores import score_analogs

sample = open_columns(
    packaged("wrfout_d01_convrad_24x24_5min.nc"),
    truth=packaged("mskf_offline_convrad_24x24_5min.nc"),
)
sample = sample.isel(column=slice(None, None, 7)).load()
east = sample["west_east"].values >= 16
stored, asked = (sample.isel(column=np.flatnonzero(rows)) for rows in (~east, east))

# %% [markdown]
# ## Two ways to be similar
# By the profiles of temperature, vapour and ascent, or by the features of the plume that an
# emulator sees. The second ones predict better. They are also the default of
# `sciml convection analogs`.

# %%
emulator = sm.Emulator.load("mskf-convrad")
memories = {
    "profiles": AnalogMemory(stored, members=8),
    "plume": AnalogMemory(stored, members=8, features=PlumeFeatures(emulator)),
}
for name, memory in memories.items():
    answer = memory.predict(asked)
    print(f"-- {name}")
    print(
        score_analogs(
            answer, asked, memory.tendencies, memory=str(memory), coverage=0.9
        ),
        "\n",
    )

# %% [markdown]
# ## A column
# The grey lines are the members, the shaded area is the interval. It was calibrated on
# columns whose whole strip of the map was left out. It covers less than the 90 % that were
# asked: the sample is half an hour of one map, and an interval is at most as wide as its few
# members.

# %%
column = column_to_show(answer, "RTHCUTEN")
members = memory.ensemble(asked.isel(column=[column]))
print(f"left out as a whole: {memory.held_out}")
analog_figure(members, answer, asked, memory.tendencies, coverage=0.9)

# %% [markdown]
# ## How new is a column?
# Warmer columns were not stored. Their novelty grows with the warming. A column without a
# rising plume has the novelty 0 by its plume, but not by its profiles.

# %%
warming = np.array([0.0, 0.5, 1.0, 2.0, 4.0])
some = asked.isel(column=slice(None, None, 3))
share = [
    float(
        (memories["profiles"].novelty(some.assign(T_PHY=some["T_PHY"] + x)) > 1).mean()
    )
    for x in warming
]
for degrees, novel in zip(warming, share, strict=True):
    print(f"{degrees:3.1f} K warmer: {novel:4.0%} of the columns are novel")
