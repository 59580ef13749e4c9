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
# # Smaller networks
#
# `sciml.compress.quantize` copies a trained emulator with weights of few bits. The copies are stored in fewer bytes,
# and the native library computes their LSTM in bfloat16 or in integers. This notebook compares sizes and scores on the
# sample.

# %%
import tempfile
from pathlib import Path

import sciml as sm
from sciml.columns.open import open_columns
from sciml.compress import quantize
from sciml.storage.packaged import packaged

scratch = Path(tempfile.mkdtemp())
columns = open_columns(
    packaged("wrfout_d01_convrad_24x24_5min.nc"),
    truth=packaged("mskf_offline_convrad_24x24_5min.nc"),
)
columns = columns.isel(column=slice(None, None, 4)).load()
emulator = sm.Emulator.load("mskf-convrad")
emulator

# %% [markdown]
# ## Quantize
# The number is the width of the weights in bits: 16 is bfloat16, 8 and 4 are integers with a shift for every block of
# them. No training is needed. Weights of 1 bit are for networks that were trained with `--binary`.

# %%
forms = {"float32": emulator}
forms |= {f"{bits} bits": quantize(emulator, bits) for bits in (16, 8, 4)}
sizes = {
    name: form.save(scratch / "small.sciml").stat().st_size
    for name, form in forms.items()
}
for name, size in sizes.items():
    print(f"{name:8} {size:7,} bytes, ratio {sizes['float32'] / size:.1f}")

# %% [markdown]
# ## Score
# The plume of this emulator is computed; its network decides on the closure and the tendencies of wind. The network
# therefore changes the R² of the wind most.

# %%
scores = {
    name: sm.verify.assess(columns, form, model=name, data="sample").to_json()
    for name, form in forms.items()
}
outputs = ("RTHCUTEN", "RQVCUTEN", "RUCUTEN", "RVCUTEN")
r2 = {
    name: [score["outputs"][output]["r2"] for output in outputs]
    for name, score in scores.items()
}
print(" " * 8, *(f"{output:>9}" for output in outputs))
for name, values in r2.items():
    print(f"{name:8}", *(f"{value:9.5f}" for value in values))

# %%
from sciml.plot.style import COLOURS, StyledFigure, style

with style():
    figure = StyledFigure(figsize=(5.0, 3.2))
    axes = figure.subplots()
    for name, values in r2.items():
        error = 1 - values[outputs.index("RUCUTEN")]
        axes.plot(sizes[name], error, "o", color=COLOURS["prediction"])
        axes.annotate(name, (sizes[name], error), (4, 4), textcoords="offset points")
    axes.set(xscale="log", xlabel="checkpoint (bytes)", ylabel="1 − R² of RUCUTEN")
figure

# %% [markdown]
# A network without a plume is larger and needs more care: see
# [Training](../guides/training.md#smaller-networks). `python bench/compress.py` measures time, memory and R² of all
# classes.
