"""Figures: colors that can be told apart, labels that do not overlap, bands that are right."""

import io
import itertools

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy import stats
from scipy.optimize import minimize
from skimage.color import rgb2lab

from utils import plot
from utils.history import History
from utils.plot import COLORS, confusion, images, interval, label_lines, show_history, spread


@pytest.fixture(autouse=True)
def style():
    with mpl.rc_context():
        plot.use_style()
        yield
    plt.close("all")


# Machado, Oliveira and Fernandes (2009), "A Physiologically-based Model for Simulation of Color
# Vision Deficiency", severity 1.0; on linear light.
DEFICIENCIES = {
    "none": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "tritanopia": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}
# The CSS filter hue-rotate(180deg) as its specification gives it: on the stored values.
HUE_ROTATE_180 = np.array([[-0.574, 1.430, 0.144], [0.426, 0.430, 0.144], [0.426, 1.430, -0.856]])


def linear_light(color):
    return np.where(color <= 0.04045, color / 12.92, ((color + 0.055) / 1.055) ** 2.4)


def stored(light):
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def contrast(first, second):
    """WCAG 2 contrast ratio."""
    bright = [linear_light(np.asarray(c)) @ [0.2126, 0.7152, 0.0722] for c in (first, second)]
    return (max(bright) + 0.05) / (min(bright) + 0.05)


def in_mode(color, mode):
    color = np.array(mpl.colors.to_rgb(color))
    return color if mode == "light" else np.clip(HUE_ROTATE_180 @ (1 - color), 0, 1)


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("name", COLORS._fields)
def test_colors_have_contrast(name, mode):
    # the book's own dark background is a little lighter than the inverted white
    background = in_mode("white", mode) if mode == "light" else np.full(3, 0x12 / 255)
    assert contrast(in_mode(getattr(COLORS, name), mode), background) >= 3


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_colors_can_be_told_apart(mode, deficiency):
    seen = [
        rgb2lab(stored(DEFICIENCIES[deficiency] @ linear_light(in_mode(color, mode))))
        for color in COLORS
    ]
    for first, second in itertools.combinations(range(len(seen)), 2):
        distance = np.linalg.norm(seen[first] - seen[second])  # 2.3 is just noticeable
        assert distance > 13, (COLORS._fields[first], COLORS._fields[second])


def test_style_font_ships_with_matplotlib_and_is_used():
    found = mpl.font_manager.findfont(mpl.font_manager.FontProperties())
    assert found.startswith(mpl.get_data_path())


def test_figure_is_twice_720_pixels_wide_on_white():
    figure, ax = plt.subplots()
    ax.plot([0, 1], [0, 1], label="a rather long label")
    label_lines(ax)
    buffer = io.BytesIO()
    figure.savefig(buffer)
    picture = np.asarray(Image.open(buffer).convert("RGB"))
    assert picture.shape == (800, 1440, 3)
    edge = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
    assert (edge == 255).all()  # nothing is cut off, the label neither


def test_sixth_line_is_dashed():
    ax = plt.subplots()[1]
    lines = [ax.plot([0, 1])[0] for _ in range(6)]
    assert [line.get_color() for line in lines] == [*COLORS, COLORS.blue]
    assert [line.get_linestyle() for line in lines] == ["-"] * 5 + ["--"]


def boxes(ax):
    ax.figure.draw_without_rendering()
    texts = [text for text in ax.texts if text.get_text()]
    return [mpl.text.Text.get_window_extent(text) for text in texts]


@pytest.mark.parametrize("scale", ["linear", "log"])
@pytest.mark.parametrize("ends", [(1, 1, 1, 1), (1, 1.01, 1.02, 50), (0.1, 0.1001, 50, 50.001)])
def test_labels_do_not_overlap(ends, scale):
    ax = plt.subplots()[1]
    for index, end in enumerate(ends):
        ax.plot([0, 1, 2], [1, 2, end], label=f"line {index}")
    ax.set_yscale(scale)
    labels = label_lines(ax)
    assert len(labels) == len(ends)
    for first, second in itertools.combinations(boxes(ax), 2):
        assert not first.overlaps(second)
    for line in ax.get_lines():
        (label,) = [text for text in labels if text.get_text() == line.get_label()]
        assert label.get_color() == line.get_color()


def test_label_sits_at_the_last_finite_point():
    ax = plt.subplots()[1]
    ax.plot([0, 1, 2], [1.0, 3.0, np.nan], label="a")
    ax.plot([0, 2], [0, 0])  # no label
    (label,) = label_lines(ax)
    assert label.xy == (1, 3)


def test_label_lines_refuses():
    ax = plt.subplots()[1]
    ax.plot([0, 1])
    with pytest.raises(ValueError, match="no line to label"):
        label_lines(ax)
    ax.plot([0, 1], [np.nan, np.nan], label="empty")
    with pytest.raises(ValueError, match="'empty' has no finite point"):
        label_lines(ax)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=7), st.floats(0.1, 30))
def test_spread_keeps_order_and_distance(positions, gap):
    positions = np.sort(positions)
    placed = spread(positions, gap)
    assert (np.diff(placed) >= gap - 1e-9).all()
    # what is far apart already stays where it is
    if (np.diff(positions) >= gap).all():
        np.testing.assert_allclose(placed, positions, atol=1e-9)
    assert placed.mean() == pytest.approx(positions.mean(), abs=1e-6)
    inside = spread(positions, gap, low=-10, high=500)
    assert (np.diff(inside) >= gap - 1e-9).all() and inside.min() >= -10 and inside.max() <= 500


def test_spread_moves_as_little_as_possible():
    positions, gap = np.array([0.0, 1.0, 1.5, 9.0, 9.0, 20.0]), 2.0
    constraints = {"type": "ineq", "fun": lambda y: np.diff(y) - gap}
    best = minimize(
        lambda y: ((y - positions) ** 2).sum(), 3.0 * np.arange(6), constraints=constraints
    )
    np.testing.assert_allclose(spread(positions, gap), best.x, atol=1e-4)


def test_interval_draws_the_t_interval():
    runs = np.random.default_rng(0).normal(size=(5, 9))
    ax = plt.subplots()[1]
    band = interval(ax, np.arange(9), torch.tensor(runs), label="loss")
    low, high = stats.ttest_1samp(runs, 0, axis=0).confidence_interval(0.95)
    np.testing.assert_allclose(band.low, low)
    np.testing.assert_allclose(band.high, high)
    np.testing.assert_allclose(band.line.get_ydata(), runs.mean(0))
    drawn = ax.collections[0].get_paths()[0].get_extents()
    assert (drawn.y0, drawn.y1) == pytest.approx((low.min(), high.max()))
    assert band.what == "mean of 5 runs, 95 % t interval"


def test_other_bands():
    runs = np.array([[1.0, 4.0], [3.0, 4.0]])
    ax = plt.subplots()[1]
    spread_band = interval(ax, [0, 1], runs, kind="std")
    np.testing.assert_allclose(spread_band.high - spread_band.mean, [np.sqrt(2), 0])
    whole = interval(ax, [0, 1], runs, kind="range", color=COLORS.green)
    np.testing.assert_array_equal([whole.low, whole.high], [[1, 4], [3, 4]])
    assert whole.what == "mean of 2 runs, from lowest to highest"
    assert whole.line.get_color() == COLORS.green


@pytest.mark.parametrize(
    ("arguments", "phrase"),
    [
        (dict(x=[0, 1], runs=[1.0, 2.0]), r"runs of shape \(2,\)"),
        (dict(x=[0], runs=[[1.0, 2.0], [1.0, 2.0]]), r"x of shape \(1,\)"),
        (dict(x=[0, 1], runs=[[1.0, 2.0]]), "at least two runs"),
        (dict(x=[0], runs=[[1.0], [np.nan]]), "finite"),
        (dict(x=[0], runs=[[1.0], [2.0]], kind="sem"), "got 'sem'"),
        (dict(x=[0], runs=[[1.0], [2.0]], level=95), "got 95"),
    ],
)
def test_interval_refuses(arguments, phrase):
    ax = plt.subplots()[1]
    with pytest.raises(ValueError, match=phrase):
        interval(ax, **arguments)
    assert not ax.lines


@pytest.mark.parametrize("shape", [(12, 8, 8), (12, 8, 8, 3), (12, 3, 8, 8), (12, 1, 8, 8)])
def test_images_shows_all_in_rows(shape):
    grid = np.random.default_rng(0).random(shape)
    figure = images(torch.tensor(grid), titles=[str(i) for i in range(12)])
    shown = [ax for ax in figure.axes if ax.images]
    assert len(figure.axes) == 20 and len(shown) == 12
    expected = np.moveaxis(grid, 1, 3) if shape[1] == 3 else grid.reshape(12, 8, 8, -1)
    for index, ax in enumerate(shown):
        np.testing.assert_allclose(
            np.atleast_3d(ax.images[0].get_array()), expected[index], atol=1e-6
        )
        assert ax.get_title() == str(index)
    if expected.shape[-1] == 1:
        assert len({ax.images[0].get_clim() for ax in shown}) == 1  # one scale for all


@pytest.mark.parametrize(
    ("grid", "more", "phrase"),
    [
        (np.zeros((0, 2, 2)), {}, r"shape \(0, 2, 2\)"),
        (np.zeros((2, 2)), {}, r"shape \(2, 2\)"),
        (np.zeros((2, 5, 5, 2)), {}, "1 or 3 channels"),
        (np.full((1, 2, 2), np.nan), {}, "NaN"),
        (np.zeros((2, 3, 3)), {"titles": ["a"]}, "2 images and 1 titles"),
        (np.zeros((2, 3, 3)), {"columns": 0}, "at least 1"),
    ],
)
def test_images_refuses(grid, more, phrase):
    with pytest.raises(ValueError, match=phrase):
        images(grid, **more)


def test_confusion_shades_by_row_and_counts():
    ax = confusion(torch.tensor([[90, 10], [0, 2]]), ["cat", "dog"])
    np.testing.assert_allclose(ax.images[0].get_array(), [[0.9, 0.1], [0, 1]])
    assert [text.get_text() for text in ax.texts] == ["90", "10", "2"]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["cat", "dog"]
    for wrong in ([[1, 2]], [[1, -1], [0, 1]]):
        with pytest.raises(ValueError, match=r"expected \(C, C\) counts"):
            confusion(wrong, ["cat", "dog"])


def test_show_history_of_rows_and_of_columns():
    rows = [{"step": i, "loss": 1 / (i + 1)} for i in range(4)]
    rows[3]["val_loss"] = 0.5
    ax = show_history(rows)
    assert [text.get_text() for text in ax.texts] == ["loss", "val loss"]
    np.testing.assert_array_equal(ax.lines[1].get_xydata(), [[3, 0.5]])
    columns = {"step": [0, 1], "loss": [2, 1], "accuracy": [0.1, 0.2]}
    np.testing.assert_array_equal(show_history(columns).lines[0].get_ydata(), [2, 1])
    assert len(show_history(columns).lines) == 1
    assert show_history(columns, "accuracy", ylabel="accuracy").get_ylabel() == "accuracy"


def test_show_history_of_a_trainer():
    history = History(loss=[3.0, 2.0, 1.0], evaluations=[{"step": 2, "epoch": 1, "loss": 2.5}])
    ax = show_history(history)
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), [[1, 3], [2, 2], [3, 1]])
    np.testing.assert_array_equal(ax.lines[1].get_xydata(), [[2, 2.5]])
    assert [text.get_text() for text in ax.texts] == ["loss", "evaluation loss"]


@pytest.mark.parametrize("history", [[], {}, {"step": [], "loss": []}, {"loss": [1.0]}])
def test_show_history_refuses(history):
    with pytest.raises(ValueError, match="the history holds"):
        show_history(history)


def test_show_history_names_what_is_missing():
    with pytest.raises(ValueError, match=r"missing or empty: \['accuracy'\]"):
        show_history({"step": [0], "loss": [1.0]}, "accuracy")
