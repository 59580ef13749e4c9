"""Style of all figures: thin lines, no frames, and colours that colour-blind readers can distinguish."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.figure import Figure

from sciml.storage.provenance import PROVENANCE, command_record

__all__ = ["COLOURS", "StyledFigure", "png", "set_title", "style"]

COLOURS: Final = {"truth": "#1a1a1a", "prediction": "#0072b2", "third": "#d55e00", "fourth": "#009e73"}
"""From the palette of Okabe and Ito (2008), https://jfly.uni-koeln.de/color/."""

INK: Final = "#333333"
PAPER: Final = "#ffffff"

_SETTINGS: Final[dict[str, Any]] = {
    "figure.facecolor": PAPER,
    "figure.constrained_layout.use": True,
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.titlepad": 6.0,
    "axes.labelsize": 9.0,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#8a8a8a",
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.limits": (-3, 4),
    "xtick.color": "#8a8a8a",
    "ytick.color": "#8a8a8a",
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "xtick.major.size": 3.0,
    "ytick.major.size": 3.0,
    "text.color": INK,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "image.interpolation": "nearest",
    "savefig.facecolor": PAPER,
}


@contextmanager
def style() -> Iterator[None]:
    """Use the style of the package in a context; the previous settings of matplotlib are restored afterwards.

    Yields
    ------
    None
        The settings apply within the ``with`` statement.
    """
    with matplotlib.style.context(_SETTINGS):
        yield


class StyledFigure(Figure):
    """A figure that is drawn in the style of the package, also after the context of `style` has ended.

    Matplotlib creates ticks when it draws, with the settings of that moment.
    """

    def draw(self, renderer: RendererBase) -> None:
        """Draw in the style."""
        with style():
            super().draw(renderer)

    def _repr_png_(self) -> bytes:
        return png(self)


def png(figure: Figure, dots: int = 150, *, record: bool = True) -> bytes:
    """Render a figure as a PNG, without metadata that differ between runs.

    The text ``sciml_provenance`` has the record of the command that is running, if there is one.

    Parameters
    ----------
    figure
        Figure to render.
    dots
        Resolution, dots per inch.
    record
        Whether to add the record; False for a figure within a page.

    Returns
    -------
    bytes
        Content of the PNG file.
    """
    buffer = io.BytesIO()
    command = command_record() if record else None
    made = {PROVENANCE: command.text()} if command is not None else {}
    with style():
        figure.savefig(buffer, format="png", dpi=dots, metadata={"Software": None, **made})
    return buffer.getvalue()


def set_title(axes: Axes, text: str) -> None:
    """Set the title of an axes, aligned to the left."""
    axes.set_title(text, color=INK)
