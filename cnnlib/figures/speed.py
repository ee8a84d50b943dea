"""Drawings of chapter 22, Where the time goes."""

import matplotlib.pyplot as plt
import numpy as np

ROW_COLORS = ("#56B4E9", "#E69F00", "#7CCFB6", "#DFA6C4")


def _cell(axis, row: float, column: float, text, color: str) -> None:
    """Draw one cell of a grid, with a text in it."""
    axis.add_patch(plt.Rectangle((column, row), 1, 1, facecolor=color, edgecolor="black", linewidth=0.8))
    axis.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=9)


def _frame(axis, title: str, width: float, height: float, left: float = 0) -> None:
    """Leave nothing but the cells of a grid, with a title above."""
    axis.set(xlim=(left - 0.1, width + 0.1), ylim=(height + 0.1, -0.1), aspect="equal")
    axis.set_title(title, loc="center", fontsize=10)
    axis.axis("off")


def draw_wide_kernels(K: int) -> None:
    """Draw the pixels that two neighbouring outputs look at, and the kernel at their left and at their right end."""
    figure, axes = plt.subplots(1, 3, figsize=(7.6, 2.6))
    titles = ("two patches, one piece", "kernel of the left output", "kernel of the right output")
    for index, (axis, title) in enumerate(zip(axes, titles, strict=True)):
        for i, j in np.ndindex(K, K + 1):
            inside = index - 1 <= j < index - 1 + K
            if index == 0:
                _cell(axis, i, j, "$x$", "#D6E6F2")
            else:
                _cell(axis, i, j, "$W$" if inside else "0", "#F0E0B0" if inside else "white")
        _frame(axis, title, K + 1, K)
    for start, color, style, inset in ((0, "C0", "-", 0.08), (1, "C1", "--", 0.15)):
        look = {"fill": False, "linewidth": 3, "edgecolor": color, "linestyle": style}
        axes[0].add_patch(plt.Rectangle((start + inset, inset), K - 2 * inset, K - 2 * inset, **look))


def draw_strips(image: np.ndarray, K: int) -> None:
    """Draw an image, its strips one below the other, and which of them are the matrix of each row of outputs.

    Parameters
    ----------
    image : ndarray of shape (H, W)
    K : int
        The height of the kernel. The pieces are K + 1 wide and start at every second column.
    """
    H, width = image.shape
    starts = range(0, width - K, 2)
    w, wide, gap = len(starts), K + 1, 2
    ratios = [width, w + gap + 4 * (H - K + 1)]
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 0.27 * H * wide + 0.4), width_ratios=ratios)
    for row, column in np.ndindex(image.shape):
        _cell(left, row, column, image[row, column], ROW_COLORS[row % 4])
    for number, start in enumerate(starts):
        inset = 0.08 + 0.07 * number
        look = {"fill": False, "linewidth": 2.5, "edgecolor": "black", "linestyle": ("-", "--", ":")[number % 3]}
        left.add_patch(plt.Rectangle((start + inset, inset), wide - 2 * inset, K - 2 * inset, **look))
    _frame(left, "image", width, H)
    for row, j, number in np.ndindex(H, wide, w):
        _cell(right, row * wide + j, number, image[row, starts[number] + j], ROW_COLORS[row % 4])
    for r in range(H - K + 1):
        across, ends = w + 0.6 + 4 * r, np.array([r * wide + 0.15, (r + K) * wide - 0.15])
        right.plot([across, across + 0.5, across + 0.5, across], ends[[0, 0, 1, 1]], color="black", linewidth=1.5)
        right.text(across + 0.9, ends.mean(), f"matrix of\noutput row {r}", va="center", fontsize=9)
    _frame(right, "strips", w + gap + 4 * (H - K + 1), H * wide)
    right.set_title("strips", loc="left", fontsize=10)
    right.set_title("", loc="center")


def draw_roofline(points: dict[str, tuple[float, float]], peak: float, bandwidth: float) -> None:
    """Draw the roofline of a processor, and pieces of code under it.

    Parameters
    ----------
    points : dict of str to (operations for each byte, operations a second)
    peak : float
        The most operations a second.
    bandwidth : float
        The most bytes a second.
    """
    figure, axis = plt.subplots()
    intensity = np.geomspace(0.03, 300, 200)
    axis.loglog(intensity, np.minimum(peak, intensity * bandwidth) / 1e9, color="black", label="roofline")
    for (name, (i, speed)), marker in zip(points.items(), "os^", strict=True):
        axis.plot(i, speed / 1e9, marker, markersize=8, label=name)
    axis.set(xlabel="operations for each byte", ylabel="GFLOP a second")
    axis.legend(loc="lower right")


def draw_ladder(times: dict[str, float], line: float) -> None:
    """Draw the time of each rung, and a dashed line for PyTorch, all in units of the bound, on a logarithmic scale."""
    figure, axis = plt.subplots(figsize=(6.4, 2.8))
    axis.barh(list(times), times.values(), color=["#D55E00", "#E69F00", "#56B4E9", "#0072B2"])
    look = {"facecolor": "white", "edgecolor": "none", "pad": 1}
    for row, value in enumerate(times.values()):
        axis.text(
            value * 1.15,
            row,
            f"{value:,.1f}" if value < 100 else f"{value:,.0f}",
            va="center",
            fontsize=10,
            bbox=look,
            zorder=5,
        )
    axis.axvline(line, color="black", linestyle="--", label=f"PyTorch, stored: {line:.1f}")
    axis.axvline(1, color="grey", label="the bound")
    axis.set(xscale="log", xlim=(0.8, max(times.values()) * 5), xlabel="time, in units of the bound")
    axis.invert_yaxis()
    axis.legend(loc="lower right")
