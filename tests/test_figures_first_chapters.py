"""The drawings of chapters 1 to 3: what they say is right, and they draw whatever a slider asks for."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from cnnlib.figures import chain_rule, dense, fundamentals

X, LABELS = np.array([[0.1, 0.5], [0.9, 0.3], [0.8, 0.4]]), np.array([0, 1, 1])


def test_neuron_names_its_loss():
    fundamentals.draw_neuron(X, LABELS, np.zeros(2), -0.5)
    y = 1 / (1 + np.exp(0.5))
    assert plt.gca().get_title() == f"loss {(y**2 + 2 * (1 - y) ** 2) / 3:.3f}, right 33%"


@pytest.mark.parametrize("w", [(-15.0, -15.0), (0.0, 0.0), (1e6, -1e6)])
@pytest.mark.parametrize("b", [-15.0, 0.0, 15.0])
def test_neuron_is_drawn_everywhere(w, b):
    fundamentals.draw_neuron(X, LABELS, np.array(w), b)
    plt.gcf().canvas.draw()


def test_secant_names_its_error():
    chain_rule.draw_secant(lambda x: x**3, x=1.0, slope=3.0, h=0.1)  # the central difference is 3 + h²
    assert plt.gca().get_title() == "$h$ = 1e-01, relative error 3e-03"


@pytest.mark.parametrize("exponent", [-15.5, -8.0, -0.5])
def test_secant_is_drawn_for_every_step(exponent):
    chain_rule.draw_secant(np.exp, x=1.0, slope=np.e, h=10.0**exponent)
    plt.gcf().canvas.draw()


def test_ruler_names_the_distance():
    dense.draw_ruler(np.array([3.0, 4.0]), -5.0, np.array([3.0, 4.0]))
    axis = plt.gca()
    assert "4" in [text.get_text() for text in axis.texts]  # (9 + 16 - 5) / 5
    assert axis.get_title() == "|w| = 5, y of the point 20"


@pytest.mark.parametrize("angle", [0, 90, 180, 225, 355])
@pytest.mark.parametrize("length", [0.5, 5.0])
@pytest.mark.parametrize("b", [-5.0, 0.0, 5.0])
def test_ruler_is_drawn_everywhere(angle, length, b):
    w = length * np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
    dense.draw_ruler(w, b, np.array([2.2, 2.1]))
    plt.gcf().canvas.draw()


def test_votes_add_up_to_the_score():
    rng = np.random.default_rng(0)
    image, W, b = rng.random((28, 28)), rng.standard_normal((784, 10)), rng.standard_normal(10)
    dense.draw_votes(image, W, b, digit=3)
    scores = image.reshape(-1) @ W + b
    axes = plt.gcf().axes
    votes = f"votes: {scores[3] - b[3]:.1f} in all".replace("-", "−")
    assert axes[2].get_title() == votes
    assert axes[3].get_title() == f"scores: read as {scores.argmax()}"
    assert np.allclose([bar.get_height() for bar in axes[3].patches], scores)
