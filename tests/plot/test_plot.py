"""Figures: axes with labels, reproducible bytes, unchanged global settings, even colour maps."""

import io

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from sciml import plot
from sciml.plot.colour import diverging, oklab_to_srgb, sequential


def _oklab_lightness(colours):
    """Compute the lightness of OKLab from sRGB, by an independent implementation of the inverse."""
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    cone = linear @ np.array(
        [
            [0.4122214708, 0.2119034982, 0.0883024619],
            [0.5363325363, 0.6806995451, 0.2817188376],
            [0.0514459929, 0.1073969566, 0.6299787005],
        ]
    )
    return np.cbrt(cone) @ np.array([0.2104542553, 0.793617785, -0.0040720468])


def test_lightness_decreases_evenly():
    light = _oklab_lightness(sequential()(np.linspace(0, 1, 256))[:, :3])
    steps = np.diff(light)
    assert (steps < 0).all()
    assert np.abs(steps - steps.mean()).max() < 0.05 * np.abs(steps.mean())


def test_both_signs_have_equal_lightness():
    colours = diverging()(np.linspace(0, 1, 256))[:, :3]
    light = _oklab_lightness(colours)
    np.testing.assert_allclose(light, light[::-1], atol=0.01)
    assert (colours[0][2] - colours[0][0]) > 0.2 > -0.2 > (colours[-1][2] - colours[-1][0])


def test_white_and_black():
    np.testing.assert_allclose(
        oklab_to_srgb(np.array([[1.0, 0, 0], [0.0, 0, 0]])), [[1] * 3, [0] * 3], atol=1e-6
    )


def _profile(rng):
    values = {name: rng.normal(size=9) for name in ("truth", "prediction", "bias")}
    spread = {name: rng.random(9) for name in ("truth_std", "prediction_std", "rmse")}
    return plot.Profile("heating", "K day⁻¹", **values, **spread)


@pytest.fixture
def figures():
    rng = np.random.default_rng(61)
    height = np.linspace(0.1, 16, 9)
    field = plot.Field("Rain", "mm h⁻¹", np.full((6, 5), np.nan), rng.random((6, 5)))
    field.truth[:3] = 0.5
    stated = {"probability": [0.1, None], "frequency": [0.2, None], "count": [9, 0], "brier": 0.1}
    return {
        "profiles": plot.profiles(height, [_profile(rng)] * 5),
        "errors": plot.errors(height, [_profile(rng)]),
        "levels": plot.score_by_level(height, {"A": rng.random(9), "B": np.full(9, np.nan)}),
        "maps": plot.triptych([field, field]),
        "scatter": plot.density([plot.Pair("Rain", "mm h⁻¹", rng.random(50), rng.random(50))]),
        "confusion": plot.confusion([[3, 1], [0, 0]], ["no", "yes"]),
        "reliability": plot.reliability({"triggered": stated}),
    }


def test_axes_have_labels(figures):
    for name, figure in figures.items():
        panels = [axes for axes in figure.axes if axes.axison]
        assert panels, name
        assert name == "levels" or any(axes.get_xlabel() for axes in panels), name  # those are names
        assert any(axes.get_ylabel() for axes in panels), name
        if name in ("profiles", "errors", "scatter"):
            shown = [axes for axes in panels if axes.get_xlabel()]
            assert all("⁻¹" in axes.get_xlabel() for axes in shown), name


def test_figures_render_to_the_same_png_every_time(figures):
    for name, figure in figures.items():
        data = plot.png(figure, 40)
        image = Image.open(io.BytesIO(data))
        assert image.width > 80, name
        assert len(image.convert("L").getcolors(256) or [0] * 257) > 5, name
    assert plot.png(figures["scatter"], 40) == plot.png(figures["scatter"], 40)


def test_global_settings_do_not_change(figures):
    before = dict(mpl.rcParams)
    with plot.style():
        assert mpl.rcParams["axes.spines.top"] is False
    plot.png(figures["confusion"], 40)
    assert dict(mpl.rcParams) == before


def test_an_empty_field_or_pair_is_drawn():
    plot.png(plot.triptych([plot.Field("R", "mm", np.zeros((4, 4)), np.zeros((4, 4)))]), 40)
    plot.png(plot.density([plot.Pair("R", "mm", np.zeros(3), np.zeros(3))]), 40)


def test_classes_have_a_legend_and_no_colour_bar():
    classes = plot.Panel("class", np.array([[0, 1], [2, np.nan]]), classes=("none", "shallow", "deep"))
    rain = plot.Panel("rain", np.ones((2, 2)), label="mm")
    figure = plot.panels([classes, rain], np.arange(2.0), np.arange(2.0), columns=2, lengths=(2, 2))
    left, right = figure.axes[:2]
    legend = left.get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["none", "shallow", "deep"]
    shades = [patch.get_facecolor() for patch in legend.get_patches()]
    mesh = left.collections[0]
    assert [tuple(mesh.to_rgba(value)) for value in (0, 1, 2)] == shades
    assert not left.child_axes
    assert right.child_axes[0].get_ylabel() == "mm"


def test_a_figure_is_drawn_in_the_style_after_its_context():
    """Matplotlib makes ticks when it draws, so ticks in a notebook need the style too."""
    figure = plot.curves(np.arange(3), {"a": [1.0, 2.0, 3.0]}, xlabel="x", ylabel="y")
    figure.set_size_inches(12, 9)  # more ticks than before
    figure.draw_without_rendering()
    sizes = {
        label.get_fontsize()
        for axis in (figure.axes[0].xaxis, figure.axes[0].yaxis)
        for label in axis.get_ticklabels()
    }
    assert sizes == {8.0}
    assert figure._repr_png_() == plot.png(figure)


def test_colour_bars_of_a_linear_response_have_units():
    rng = np.random.default_rng(67)
    pressure = np.linspace(1000.0, 100.0, 12)
    figure = plot.linear_response(
        rng.normal(size=(24, 24)),
        rng.normal(size=24),
        np.array([-1.0 + 0.5j, 2.0]),
        pressure,
        np.full(12, 800.0),
        threshold=1.0,
    )
    bars = [axes for axes in figure.axes if axes.get_label() == "<colorbar>"]
    assert [axes.get_ylabel() for axes in bars] == [
        "day⁻¹",
        "K day⁻¹ / (g kg⁻¹)",
        "g kg⁻¹ day⁻¹ / K",
        "day⁻¹",
    ]
