"""The drawings of chapters 5 and 6 say what the library computes."""

import matplotlib.pyplot as plt
import numpy as np

import cnnlib
from cnnlib.figures import convolution_backward, convolution_forward


def texts(axis) -> list[str]:
    return [text.get_text() for text in axis.texts]


def test_output_sizes_are_those_of_the_layer():
    cases = [(7, 0), (8, 0), (8, 1)]
    convolution_forward.draw_output_sizes(cases, K=3, stride=2)
    for axis, (H, padding) in zip(plt.gcf().axes, cases, strict=True):
        _, h, _ = cnnlib.Convolutional(1, 1, 3, 2, padding).output_shape((1, H, H))
        assert f": h = {h}," in axis.get_title(loc="left") + axis.get_title()
        assert [text for text in texts(axis) if text.startswith("$y")] == [f"$y_{r}$" for r in range(h)]


def test_columns_are_those_of_im2col():
    image = np.arange(16).reshape(4, 4)
    convolution_forward.draw_patches(image)
    numbers = [int(text) for text in texts(plt.gcf().axes[1]) if text.isdigit()]  # column by column
    assert numbers == cnnlib.im2col(image[np.newaxis, np.newaxis], 3).T.ravel().tolist()


def test_left_over_rows_and_columns_are_hatched():
    convolution_forward.draw_feature_map(np.zeros((32, 32)), np.ones((10, 10)), (2, 2), left_over=2)
    hatched = [patch for patch in plt.gcf().axes[0].patches if patch.get_hatch()]
    boxes = sorted((*patch.get_xy(), patch.get_width(), patch.get_height()) for patch in hatched)
    assert boxes == [(0, 30, 32, 2), (30, 0, 2, 32)]


def test_dashed_frame_is_what_crop_leaves():
    dy = np.zeros((3, 3))
    dy[0, 2] = 1
    convolution_backward.draw_flow(dy, np.ones((3, 3)), np.ones((8, 8)), padding=1)
    (frame,) = [patch for patch in plt.gcf().axes[2].patches if patch.get_linestyle() == "--"]
    assert (*frame.get_xy(), frame.get_width(), frame.get_height()) == (1, 1, 6, 6)
