"""Figures of the book: plumbing that would only distract on its pages.

Colours are those of Okabe and Ito, which colour-blind readers can tell apart; where a colour means something, a sign
or a line style says the same.
"""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np

RIGHT, WRONG = "#009E73", "#D55E00"  # green and red, both seen by colour-blind readers


def show_images(
    images: np.ndarray, titles: Sequence[str] | None = None, columns: int = 10, colors: Sequence[str] | None = None
) -> None:
    """Show grey images (N, H, W) in rows, dark ink on light paper, each with a title if there are titles."""
    if not len(images):
        print("There is no image to show.")  # such as the mistakes of a network that made none
        return
    rows = -(-len(images) // columns)
    lines = 0 if titles is None else 1 + max(title.count("\n") for title in titles)
    height = 0.72 + 0.2 * lines
    figure, axes = plt.subplots(rows, columns, figsize=(0.72 * columns, height * rows), squeeze=False)
    for index, axis in enumerate(axes.flat):
        axis.axis("off")
        if index < len(images):
            axis.imshow(images[index], cmap="gray_r", vmin=0, vmax=np.max(images) or 1)
            if titles is not None:
                color = "black" if colors is None else colors[index]
                axis.set_title(titles[index], fontsize=9, fontweight="normal", loc="center", color=color, pad=2)


def show_predictions(images: np.ndarray, p: np.ndarray, labels: np.ndarray, columns: int = 10) -> None:
    """Show images (N, H, W) with what a network reads and how sure it is: green and ✓ if right, red and ✗ if wrong.

    Parameters
    ----------
    p : ndarray of shape (N, M)
        The predicted probabilities.
    labels : ndarray of shape (N,)
        The true classes; named beside a wrong prediction.
    """
    guesses = p.argmax(axis=1)
    titles = [
        f"✓ {guess}\n{share:.0%}" if guess == label else f"✗ {guess}, not {label}\n{share:.0%}"
        for guess, share, label in zip(guesses, p.max(axis=1), labels, strict=True)
    ]
    show_images(images, titles, columns, [RIGHT if right else WRONG for right in guesses == labels])


def draw_steps(pictures: dict[str, np.ndarray]) -> None:
    """Draw pictures (H, W) or (H, W, 3) side by side, each with its name above."""
    _, axes = plt.subplots(1, len(pictures), figsize=(2.2 * len(pictures), 2.5), squeeze=False)
    for axis, (name, picture) in zip(axes[0], pictures.items(), strict=True):
        axis.imshow(picture)
        axis.set_title(name, loc="center")
        axis.set_axis_off()


def draw_reading(colours: np.ndarray, reading, classes: Sequence[str] = "0123456789") -> None:
    """Draw a picture (H, W, 3) with a box around each digit of a `Reading`, and the digit's class above it."""
    _, axis = plt.subplots()
    axis.imshow(colours)
    axis.set_axis_off()
    for (top, left, bottom, right), digit in zip(reading.boxes, reading.digits, strict=True):
        frame = plt.Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor="#0072b2", linewidth=2)
        axis.add_patch(frame)
        axis.text(left, top, classes[digit], va="bottom", color="white", bbox={"facecolor": "#0072b2", "pad": 1})


def plot_history(history: dict[str, list[float]]) -> None:
    """Draw loss and accuracy by epoch, on the training examples and, if there are any, on the validation examples."""
    figure, axes = plt.subplots(1, 2, figsize=(8, 3.2))
    epochs = np.arange(1, len(history["loss"]) + 1)
    for axis, name, scale in ((axes[0], "loss", 1), (axes[1], "accuracy", 100)):
        axis.plot(epochs, scale * np.array(history[name]), marker="o", label="training")
        if history[f"validation_{name}"]:
            values = scale * np.array(history[f"validation_{name}"])
            axis.plot(epochs, values, marker="s", linestyle="--", label="validation")
        axis.set(xlabel="epoch", title=name.capitalize() + (" (%)" if scale == 100 else ""))
        axis.xaxis.get_major_locator().set_params(integer=True)
    axes[0].set_ylim(bottom=0)
    axes[1].legend(loc="lower right")


def plot_batch_loss(history: dict[str, list[float]], window: int = 50) -> None:
    """Draw the loss of every step, and its running mean over `window` steps; a logarithmic scale shows all sizes."""
    losses = np.array(history["batch_loss"])
    steps = np.arange(1, len(losses) + 1)
    figure, axis = plt.subplots()
    axis.plot(steps, losses, color="#9ECAE9", linewidth=0.7, label="each batch")
    if len(losses) >= window:
        mean = np.convolve(losses, np.full(window, 1 / window), mode="valid")
        axis.plot(steps[window - 1 :], mean, color="#0072B2", label=f"mean of {window} batches")
    axis.set(xlabel="step", yscale="log", title="Loss")
    axis.legend()


def plot_regions(network, x: np.ndarray, labels: np.ndarray, resolution: int = 121) -> None:
    """Colour the plane by what a network of two inputs says there; on top the examples (N, 2), with a sign a class."""
    low, high = x.min(axis=0) - 0.5, x.max(axis=0) + 0.5
    across, up = np.linspace(low[0], high[0], resolution), np.linspace(low[1], high[1], resolution)
    points = np.stack(np.meshgrid(across, up), axis=-1).reshape(-1, 2)
    y = network.predict(points.astype(network.dtype))
    share = (y[:, 0] if y.shape[1] == 1 else y[:, 1]).reshape(resolution, resolution)
    figure, axis = plt.subplots(figsize=(4.6, 3.6))
    mesh = axis.contourf(across, up, share, levels=np.linspace(0, 1, 11), cmap="PuOr", alpha=0.8)
    figure.colorbar(mesh, ax=axis, label="probability of class 1", ticks=[0, 0.5, 1])
    axis.contour(across, up, share, levels=[0.5], colors="black", linestyles="--", linewidths=1)
    for label, marker in ((0, "o"), (1, "s")):
        x1, x2 = x[np.asarray(labels) == label].T
        axis.scatter(x1, x2, s=70, marker=marker, color="white", edgecolor="black", zorder=3, label=f"class {label}")
    axis.set(xlabel="$x_1$", ylabel="$x_2$")
    axis.grid(False)
    axis.legend(loc="upper center", ncols=2, bbox_to_anchor=(0.5, 1.16))


def show_array(
    axis, values: np.ndarray, title: str = "", highlight: Sequence[tuple[int, int]] = (), form: str = "g"
) -> None:
    """Draw a matrix as a grid of cells with the number in each; cells in `highlight` get a thick frame.

    Parameters
    ----------
    axis : matplotlib Axes
    values : ndarray of shape (H, W)
    highlight : sequence of (row, column)
    form : str
        How to format a number.
    """
    height, width = values.shape
    limit = np.abs(values).max() or 1
    axis.imshow(values, cmap="PuOr", vmin=-1.6 * limit, vmax=1.6 * limit, extent=(0, width, height, 0))
    for (row, column), value in np.ndenumerate(values):
        axis.text(column + 0.5, row + 0.5, format(value, form), ha="center", va="center", fontsize=10)
    axis.set_xticks(range(width + 1), [])
    axis.set_yticks(range(height + 1), [])
    axis.tick_params(length=0)
    axis.grid(True, color="white")
    for row, column in highlight:
        axis.add_patch(plt.Rectangle((column, row), 1, 1, fill=False, linewidth=2.5, edgecolor="black", zorder=3))
    axis.set_title(title, loc="center")
    for spine in axis.spines.values():
        spine.set_visible(False)


def confusion_matrix(labels: np.ndarray, guesses: np.ndarray, classes: int = 10) -> np.ndarray:
    """Return how often class i (row) was read as class j (column): an ndarray (classes, classes) of int64.

    Raises
    ------
    ValueError
        If labels and guesses are not class numbers of the same shape (N,).
    """
    labels, guesses = np.asarray(labels), np.asarray(guesses)
    if labels.ndim != 1 or labels.shape != guesses.shape:
        raise ValueError(f"expected labels and guesses of one shape (N,), got {labels.shape} and {guesses.shape}")
    for name, values in (("labels", labels), ("guesses", guesses)):
        if not np.issubdtype(values.dtype, np.integer):
            raise ValueError(f"expected {name} of whole numbers, got {values.dtype}")
        if values.size and not 0 <= values.min() <= values.max() < classes:
            raise ValueError(f"expected {name} from 0 to {classes - 1}, got {values.min()} to {values.max()}")
    return np.bincount(classes * labels + guesses, minlength=classes**2).reshape(classes, classes)


def plot_confusion(matrix: np.ndarray, names: Sequence[str] | None = None) -> None:
    """Draw a confusion matrix: every count as a number; mistakes the darker, the more; right answers framed."""
    classes = len(matrix)
    names = [str(label) for label in range(classes)] if names is None else names
    mistakes = np.where(np.eye(classes, dtype=bool), 0, matrix)
    limit = max(mistakes.max(), 1)
    figure, axis = plt.subplots(figsize=(0.52 * classes + 1, 0.46 * classes + 0.8))
    axis.imshow(mistakes, cmap="Oranges", vmin=0, vmax=1.5 * limit, aspect="auto")  # never so dark that black fades
    for (row, column), count in np.ndenumerate(matrix):
        right = row == column
        if right:
            axis.add_patch(plt.Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor="#EEEEEE", edgecolor="#333333"))
        text = f"{count:,}" if count else "·"
        axis.text(column, row, text, ha="center", va="center", fontsize=10, fontweight="normal" if right else "bold")
    axis.set_xticks(range(classes), names, rotation=45 if max(map(len, names)) > 5 else 0)  # long ones would touch
    axis.set_yticks(range(classes), names)
    axis.set(xlabel="read as", ylabel="is")
    axis.tick_params(length=0)
    axis.grid(False)


def plot_reliability(confidence: np.ndarray, right: np.ndarray, bins: int = 10, axis=None) -> None:
    """Draw the share of right answers (N,) against their mean confidence (N,), for answers grouped by confidence.

    The grey whisker is where that share lies in 95 of 100 cases if the confidence can be trusted: two standard
    deviations around the diagonal. The number beside a point is how many answers it stands for; a point outside of its
    whisker is an open square.
    """
    axis = plt.subplots(figsize=(4.4, 4))[1] if axis is None else axis
    confidence, right = np.asarray(confidence, float), np.asarray(right, float)
    group = np.minimum((confidence * bins).astype(int), bins - 1)
    axis.plot([0, 1], [0, 1], color="black", linestyle="--", linewidth=1, zorder=1)
    for index in np.unique(group):
        some = group == index
        count, mean, share = some.sum(), confidence[some].mean(), right[some].mean()
        whisker = 2 * np.sqrt(mean * (1 - mean) / count)
        inside = abs(share - mean) <= whisker
        limits = [[min(whisker, mean)], [min(whisker, 1 - mean)]]
        axis.errorbar(mean, mean, limits, color="#999999", linewidth=5, alpha=0.6, zorder=2)
        face = "#0072B2" if inside else "white"
        axis.plot(mean, share, "o" if inside else "s", color="#0072B2", markerfacecolor=face, markersize=7, zorder=3)
        left = mean > 0.5
        axis.annotate(
            f"{count:,}",
            (mean, share),
            xytext=(-7 if left else 7, 0),
            textcoords="offset points",
            ha="right" if left else "left",
            va="center",
            fontsize=8,
        )
    axis.set(xlabel="mean confidence", ylabel="share that is right", xlim=(0, 1.03), ylim=(0, 1.03))
