"""Figures: one look for all (`use_style`), and the few helpers that most figures need.

Legend: ``R`` runs (one a seed), ``T`` points along x, ``n`` images, ``H`` height, ``W`` width,
``C`` channels or classes.

Lines are named at their ends (`label_lines`) rather than in a legend. For the style: `utils.style`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Annotation

from utils.arrays import as_array
from utils.intervals import t_interval
from utils.style import COLORS, WIDTH
from utils.style import use_style as use_style


def label_lines(ax: Axes, *, fontsize: float = 10, pad: float = 6) -> list[Annotation]:
    """Write each line's label at its right end, in its color, without overlap.

    Call it last: after the data, the limits and the scales. Lines without a label (or with one
    that begins with ``_``) are left alone. Labels that would overlap are moved up and down as
    little as possible in the sum of squares, and a thin line leads to each that was moved.

    Parameters
    ----------
    fontsize, pad : size of the text and distance from the line's end, in points.

    Returns
    -------
    list of the annotations, from the lowest to the highest.

    Raises
    ------
    ValueError
        Where no line has a label, or a labeled line has no finite point.
    """
    lines = [line for line in ax.get_lines() if not str(line.get_label()).startswith("_")]
    if not lines:
        raise ValueError("no line to label; give lines a name, as in ax.plot(x, y, label='mean')")
    ax.figure.draw_without_rendering()  # settles the layout, on which the spacing depends
    points_per_pixel = 72 / ax.figure.dpi
    ends = [_last_point(line) for line in lines]
    heights = np.array([ax.transData.transform(end)[1] * points_per_pixel for end in ends])
    order = np.argsort(heights, kind="stable")
    low, high = (ax.bbox.ymin * points_per_pixel, ax.bbox.ymax * points_per_pixel)
    placed = spread(heights[order], gap=1.25 * fontsize, low=low, high=high)
    labels = []
    for index, y in zip(order, placed, strict=True):
        color, shift = lines[index].get_color(), y - heights[index]
        arrow = {"arrowstyle": "-", "color": color, "lw": 0.7, "shrinkA": 0, "shrinkB": 2}
        moved = abs(shift) > 0.3 * fontsize
        labels.append(
            ax.annotate(
                lines[index].get_label(),
                xy=ends[index],
                xytext=(pad + (8 if moved else 0), shift),
                textcoords="offset points",
                color=color,
                fontsize=fontsize,
                va="center",
                annotation_clip=False,
                arrowprops=arrow if moved else None,
            )
        )
    return labels


def spread(positions, gap: float, low: float = -np.inf, high: float = np.inf) -> np.ndarray:
    """Move sorted positions as little as possible so that neighbors are ``gap`` apart.

    Least squares under order constraints: ``y_i - i * gap`` must not fall, so the answer is an
    isotonic regression, by pooling adjacent violators. The whole is then kept between ``low``
    and ``high`` where it fits.
    """
    positions = np.asarray(positions, dtype=float)
    steps = gap * np.arange(len(positions))
    blocks: list[list[float]] = []  # [mean, count]
    for value in positions - steps:
        blocks.append([value, 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            mean, count = blocks.pop()
            blocks[-1][0] = (blocks[-1][0] * blocks[-1][1] + mean * count) / (blocks[-1][1] + count)
            blocks[-1][1] += count
    level = np.concatenate([np.full(int(count), mean) for mean, count in blocks])
    if len(steps) and high - low >= steps[-1]:
        level = np.clip(level, low, high - steps[-1])
    return level + steps


def _last_point(line: Line2D) -> tuple[float, float]:
    x, y = (np.asarray(v, dtype=float) for v in (line.get_xdata(False), line.get_ydata(False)))
    finite = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    if len(finite) == 0:
        raise ValueError(f"the line {line.get_label()!r} has no finite point to put a label at")
    return x[finite[-1]], y[finite[-1]]


class Band(NamedTuple):
    """What `interval` drew: the arrays (T,), and ``what`` says in words what the band is."""

    line: Line2D
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    what: str


def interval(ax: Axes, x, runs, *, kind: str = "t", level: float = 0.95, **line) -> Band:
    """Draw the mean over runs with a band around it.

    Parameters
    ----------
    x : (T,)
    runs : (R, T), one row a seed.
    kind : ``"t"``, the t interval of the mean at ``level`` (how sure we are of the mean);
        ``"std"``, mean plus and minus one standard deviation (how much runs differ);
        ``"range"``, from the lowest to the highest run.
    line : passed on to ``ax.plot``, for example ``label`` and ``color``.

    Returns
    -------
    Band, with ``what`` for the caption, for example ``"mean of 5 runs, 95 % t interval"``.

    Raises
    ------
    ValueError
        For shapes that do not fit, fewer than two runs, values that are not finite, an
        unknown kind, a level outside (0, 1).
    """
    x, runs = as_array(x), as_array(runs)
    if runs.ndim != 2 or x.shape != runs.shape[1:]:
        raise ValueError(
            f"interval() got x of shape {x.shape} and runs of shape {runs.shape}; "
            "expected (T,) and (R, T), one row a run"
        )
    band = t_interval(runs, level)  # refuses a single run and values that are not finite
    mean, std = band.estimate, runs.std(0, ddof=1)
    if kind == "t":
        (low, high), name = band[1:], f"{100 * level:g} % t interval"
    elif kind == "std":
        low, high, name = mean - std, mean + std, "± one standard deviation"
    elif kind == "range":
        low, high, name = runs.min(0), runs.max(0), "from lowest to highest"
    else:
        raise ValueError(f"kind is 't', 'std' or 'range', got {kind!r}")
    (drawn,) = ax.plot(x, mean, **line)
    ax.fill_between(x, low, high, color=drawn.get_color(), alpha=0.2, linewidth=0)
    return Band(drawn, mean, low, high, f"mean of {len(runs)} runs, {name}")


def images(grid, *, titles: Sequence[str] | None = None, columns: int | None = None) -> Figure:
    """Show images in rows, all on one gray scale.

    Parameters
    ----------
    grid : (n, H, W) gray, (n, H, W, C) or (n, C, H, W) with C of 1 or 3; an array or a tensor.
        Gray images share the range from the lowest to the highest value of all of them; colors
        are 0 to 255 (integers) or 0 to 1 (floats, cut off beyond).
    titles : n short texts, one above each image.
    columns : images in a row; by default at most 10.

    Raises
    ------
    ValueError
        For no image, another shape, values that are not finite, titles of another number.
    """
    pictures = _pictures(as_array(grid))
    count = len(pictures)
    if titles is not None and len(titles) != count:
        raise ValueError(f"images() got {count} images and {len(titles)} titles; give one for each")
    columns = min(count, 10) if columns is None else columns
    if columns < 1:
        raise ValueError(f"columns must be at least 1, got {columns}")
    rows = -(-count // columns)
    cell = WIDTH / max(columns, 5)  # few images do not grow to the whole width
    height = cell * pictures.shape[1] / pictures.shape[2] + (0.25 if titles is not None else 0)
    figure, axes = plt.subplots(
        rows, columns, figsize=(cell * columns, height * rows), squeeze=False
    )
    scale = {"cmap": "gray", "vmin": pictures.min(), "vmax": pictures.max()}
    for ax in axes.flat:
        ax.axis("off")
    for index, (ax, picture) in enumerate(zip(axes.flat, pictures, strict=False)):
        ax.imshow(picture, **(scale if picture.ndim == 2 else {}))
        if titles is not None:
            ax.set_title(titles[index], fontsize=9, pad=3)
    return figure


def _pictures(grid: np.ndarray) -> np.ndarray:
    """(n, H, W) or (n, H, W, 3), checked."""
    if grid.size == 0 or grid.ndim not in (3, 4):
        raise ValueError(
            f"images() got shape {grid.shape}; expected (n, H, W), (n, H, W, C) or (n, C, H, W)"
        )
    if not np.isfinite(grid).all():
        raise ValueError("images() got values that are NaN or infinite")
    if grid.ndim == 4:
        if grid.shape[3] not in (1, 3) and grid.shape[1] in (1, 3):
            grid = np.moveaxis(grid, 1, 3)
        if grid.shape[3] not in (1, 3):
            raise ValueError(f"images() needs 1 or 3 channels, got shape {grid.shape}")
        if grid.shape[3] == 1:
            return grid[..., 0]
        return grid.clip(0, 255 if grid.dtype.kind in "iu" else 1)
    return grid


def confusion(counts, names: Sequence[str], *, ax: Axes | None = None) -> Axes:
    """Draw a confusion matrix: counts (C, C) with a row for each true class.

    A cell's shade is its share of the row, so that rare classes show as well; its text is the
    count (none where it is zero).

    Raises
    ------
    ValueError
        For a matrix that is not square, has negative counts, or does not fit the names.
    """
    counts = as_array(counts)
    if counts.shape != (len(names), len(names)) or len(names) == 0 or (counts < 0).any():
        raise ValueError(
            f"confusion() got counts of shape {counts.shape} and {len(names)} names; "
            "expected (C, C) counts from 0 up, and C names"
        )
    ax = plt.subplots(figsize=(0.7 * WIDTH, 0.7 * WIDTH))[1] if ax is None else ax
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    ax.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.argwhere(counts):
        color = "white" if share[row, column] > 0.5 else COLORS.black
        text = f"{counts[row, column]:g}"
        ax.text(column, row, text, ha="center", va="center", fontsize=9, color=color)
    places = range(len(names))
    ax.set_xticks(places, names)
    ax.set_yticks(places, names)
    ax.set(xlabel="predicted class", ylabel="true class")
    ax.grid(False)
    return ax


def show_history(
    history,
    *names: str,
    x: str = "step",
    ax: Axes | None = None,
    ylabel: str = "loss",
) -> Axes:
    """Draw training curves, with a label at each line.

    Parameters
    ----------
    history : a trainer's `History`; or columns ``{"step": [...], "loss": [...]}``; or rows
        ``[{"step": 0, "loss": 2.3}, ...]``, which may lack a name, as evaluations are rare.
    names : what to draw; by default every name but ``x`` that contains ``ylabel``.
    x : the name of the horizontal axis.

    Raises
    ------
    ValueError
        For an empty history, or a name that it does not hold.
    """
    if hasattr(history, "evaluations"):  # utils.history.History, without importing torch for it
        history = _rows(history)
    if not isinstance(history, Mapping):
        found = dict.fromkeys(name for row in history for name in row)
        history = {name: [row.get(name, np.nan) for row in history] for name in found}
    names = names or tuple(name for name in history if name != x and ylabel in name)
    missing = [name for name in (x, *names) if name not in history]
    if missing or not names or len(history[x]) == 0:
        raise ValueError(
            f"the history holds {list(history) or 'nothing'}; asked for {[x, *names]}, "
            f"missing or empty: {missing or [x]}"
        )
    ax = plt.subplots()[1] if ax is None else ax
    for name in names:
        steps, values = (np.array(history[key], dtype=float) for key in (x, name))
        there = np.isfinite(values)
        ax.plot(steps[there], values[there], label=name.replace("_", " "))
    ax.set(xlabel=x, ylabel=ylabel)
    label_lines(ax)
    return ax


def _rows(history) -> list[dict]:
    """A row a step, and one an evaluation, with names such as ``evaluation_loss``."""
    rows = [{"step": step, "loss": loss} for step, loss in enumerate(history.loss, start=1)]
    for found in history.evaluations:
        names = [name for name in found if name not in ("step", "epoch")]
        rows.append({"step": found["step"]} | {f"evaluation_{n}": found[n] for n in names})
    return rows
