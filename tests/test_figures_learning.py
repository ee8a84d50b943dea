"""The drawings of chapters 10 and 11: what they say is right, and they draw whatever a slider asks for."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from cnnlib.figures import gradient_descent, network


def labels() -> list[str]:
    return [text.get_text() for text in plt.gca().get_legend().get_texts()]


def test_valley_names_the_distance_from_the_minimum():
    gradient_descent.draw_valley({0: np.array([[-3, 0.5], [0.03, 0.04]]), 0.8: np.array([[-3, 0.5], [3e4, 4e4]])})
    assert labels() == ["momentum 0: ends 0.050 away", "momentum 0.8: ends 5e+04 away"]
    plt.gcf().canvas.draw()


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_signal_is_drawn_for_every_factor(factor):
    sizes = factor ** np.arange(1.0, 20)
    gradient_descent.draw_signal({factor: sizes})
    low, high = plt.gca().get_ylim()
    assert low < sizes.min() <= sizes.max() < high
    assert labels() == [f"{factor:g} × He:\nends at {sizes[-1]:.2g}"]
    plt.gcf().canvas.draw()


def test_chain_has_an_arrow_there_and_one_back_at_each_gap():
    network.draw_chain(["Dense", "ReLU", "loss"])
    arrows = [text for text in plt.gca().texts if getattr(text, "arrow_patch", None) is not None]
    assert len(arrows) == 2 * 3  # before the first box, too
    plt.gcf().canvas.draw()


@pytest.mark.parametrize("losses", [[0.8, 0.1], [5.0, 2.0]])
def test_loss_shows_what_knowing_nothing_costs(losses):
    network.draw_loss(losses, classes=2)
    line = plt.gca().get_lines()[1].get_ydata()
    assert np.allclose(line, np.log(2))
    assert plt.gca().get_ylim()[1] > max(losses)
