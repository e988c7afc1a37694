"""The look of all figures: colors, sizes, fonts. Pages use it through `utils.plot`.

Design choices:

- Five colors, a subset of the Okabe-Ito palette (Okabe and Ito, 2002, "Color Universal
  Design") with black softened. The palette's light orange, sky blue and yellow are left out:
  on white their contrast is below 3:1, too faint for a line. The book shows figures in dark
  mode through the filter ``invert(1) hue-rotate(180deg)``; the five keep 3:1 there as well, and
  stay apart under simulated protanopia, deuteranopia and tritanopia, in both modes. The tests
  compute all of it. From the sixth line on, the colors come back dashed.
- A figure is 7.2 inches wide, 720 px of a page's column at 100 dots an inch, and is stored
  at 200, so that it is sharp on screens with two pixels a point.
"""

from __future__ import annotations

from typing import NamedTuple

import matplotlib as mpl
from cycler import cycler


class Colors(NamedTuple):
    """The palette by name or by place: ``COLORS.blue`` is ``COLORS[0]``."""

    blue: str = "#0072B2"
    orange: str = "#D55E00"
    green: str = "#009E73"
    pink: str = "#CC79A7"
    black: str = "#333333"


COLORS = Colors()
GRID = "#DDDDDD"
WIDTH = 7.2  # inches: 720 px at 100 dots an inch

STYLE = {
    "figure.figsize": (WIDTH, 4.0),
    "figure.dpi": 100,
    "figure.facecolor": "white",
    "figure.constrained_layout.use": True,
    "savefig.dpi": 200,
    "savefig.facecolor": "white",
    "axes.facecolor": "white",
    "axes.edgecolor": "#777777",
    "axes.labelcolor": COLORS.black,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": cycler(linestyle=["-", "--"]) * cycler(color=COLORS),
    "axes.labelsize": 11,
    "axes.titlesize": 11,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": "#777777",
    "ytick.color": "#777777",
    "xtick.labelcolor": COLORS.black,
    "ytick.labelcolor": COLORS.black,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "text.color": COLORS.black,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # ships with matplotlib: the same on every machine
    "font.size": 10,
    "mathtext.fontset": "dejavusans",
    "legend.frameon": False,
    "lines.linewidth": 2.0,
    "lines.markersize": 5,
    "scatter.edgecolors": "none",
    "image.cmap": "viridis",
    "image.interpolation": "nearest",
}


def use_style() -> None:
    """Set the style of the book for all figures made from now on.

    In a notebook it also stores figures at twice the resolution and at their full size
    (Jupyter otherwise cuts the margins, which makes every figure another width).
    """
    mpl.rcParams.update(STYLE)
    try:
        from IPython import get_ipython
        from matplotlib_inline.backend_inline import set_matplotlib_formats
    except ImportError:  # not in a notebook
        return
    if get_ipython() is not None:
        set_matplotlib_formats("retina", bbox_inches=None)
