"""What all pictures have in common: one style, words that stay legible on lines, files that are whole or not there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minidisc_plugin.foundation.atomic import atomic_path
from minidisc_plugin.foundation.litter import plotting_beside

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#222222"
_STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 11.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
    "axes.edgecolor": "#777777",
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


@contextmanager
def drawn(path: Path, size: tuple[float, float], title: str) -> Iterator[Figure]:
    """Yield an empty figure; at the end of the block it is written, whole or not at all.

    Args:
        path: Of the file, whose suffix says of which kind it is.
        size: Width and height, in inches of 150 dots.
        title: In the file's metadata.
    """
    with plotting_beside(path):
        from matplotlib import rc_context
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        with rc_context(_STYLE):
            figure = Figure(figsize=size, dpi=150, layout="constrained")
            FigureCanvasAgg(figure)
            yield figure
            with atomic_path(path) as temporary:
                figure.savefig(temporary, metadata={"Title": title})


def write(
    axis: Axes,
    words: str,
    spot: tuple[float, float],
    shift: tuple[float, float],
    xycoords: Any = "data",
    **style: Any,
) -> None:
    """Text at `shift` points from a spot, with a white rim that keeps it legible on lines."""
    from matplotlib.patheffects import withStroke

    style = {"ha": "center", "va": "bottom", **style}
    rim = [withStroke(linewidth=3.5, foreground="white")]
    axis.annotate(words, spot, shift, xycoords, "offset points", path_effects=rim, **style)
