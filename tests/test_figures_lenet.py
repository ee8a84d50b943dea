"""The drawings of chapters 12 to 14: what they say is right, and they draw whatever a slider asks for."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from cnnlib.figures import data, looking_inside, training
from cnnlib.plots import RIGHT, WRONG


def test_box_is_around_the_ink():
    image = np.zeros((28, 28), np.uint8)
    image[3:23, 6:20] = 255
    data.draw_centres(image, np.array([12.5, 14.0]), np.array([12.5, 14.0]))
    left = plt.gcf().axes[0]
    assert left.patches[0].get_xy() == (5.5, 2.5)
    assert left.get_lines()[0].get_xydata().tolist() == [[12.5, 12.5]]


def test_order_is_drawn_in_percent_of_the_set():
    data.draw_order({"training": [0.1, 0.2], "test": [0.3, 0.1, 0.1, 0.4]})
    bars = plt.gcf().axes[1].patches
    assert [bar.get_height() for bar in bars] == pytest.approx([30, 10, 10, 40])
    assert [bar.get_x() + bar.get_width() / 2 for bar in bars] == pytest.approx([12.5, 37.5, 62.5, 87.5])


@pytest.mark.parametrize("losses", [[3.0, 2.0], [454.0, np.inf, np.nan], [np.nan, np.nan]])
def test_losses_are_drawn_even_if_they_are_no_numbers(losses):
    data.draw_losses({"a run": losses})
    assert np.allclose(plt.gca().get_lines()[1].get_ydata(), np.log(10))
    plt.gcf().canvas.draw()


@pytest.mark.parametrize("count", [1, 4])
def test_each_short_run_has_its_chart(count):
    training.draw_short_runs({f"run {index}": [2.3, 1.0 + index] for index in range(count)})
    axes = plt.gcf().axes
    assert [axis.get_title() for axis in axes] == [f"run {index}" for index in range(count)]
    assert [axis.get_lines()[0].get_ydata()[1] for axis in axes] == [1.0 + index for index in range(count)]


@pytest.mark.parametrize(("label", "sign", "color"), [(7, "✓", RIGHT), (3, "✗", WRONG)])
def test_an_answer_is_marked_right_or_wrong(label, sign, color):
    p = np.full(10, 0.01)
    p[7] = 0.91
    looking_inside.draw_answer(np.eye(28), p, label)
    left, right = plt.gcf().axes
    assert left.get_title() == f"a {label}"
    assert right.get_title() == f"{sign} read as 7"
    assert plt.matplotlib.colors.to_hex(right.patches[7].get_facecolor(), keep_alpha=False).upper() == color
    assert [text.get_text() for text in right.texts] == ["1%"] * 7 + ["91%"] + ["1%"] * 2


def test_maps_have_their_numbers_and_one_scale():
    looking_inside.draw_maps(np.eye(28), np.arange(6.0)[:, None, None] * np.eye(28), np.ones((16, 10, 10)))
    axes = plt.gcf().axes
    assert [axis.get_title() for axis in axes] == ["input", "", *map(str, range(6)), *map(str, range(16))]
    assert {axis.get_images()[0].get_clim() for axis in axes[2:8]} == {(0.0, 5.0)}


def test_looks_name_the_worst_that_a_square_does():
    paper, ink = np.full((24, 24), 0.9), np.full((24, 24), 0.8)
    paper[3, 4], ink[5, 6] = 0.25, 0.0
    looking_inside.draw_looks([(np.eye(28), "a 1, then 7", np.eye(28), paper, ink)])
    assert [axis.get_title() for axis in plt.gcf().axes[:4]] == [
        "a 1, then 7",
        "gradient",
        "with paper: 25%",
        "with ink: 0%",
    ]
    plt.gcf().canvas.draw()


def test_curves_are_drawn_in_percent():
    amounts, share = np.array([0, 1]), np.array([1.0, 0.5])
    looking_inside.draw_curves(dict.fromkeys("abcd", (amounts, share, share)))
    assert [axis.get_xlabel() for axis in plt.gcf().axes] == list("abcd")
    assert plt.gcf().axes[0].get_lines()[0].get_ydata().tolist() == [100, 50]
