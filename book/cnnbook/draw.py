"""Chapter 15, Draw a digit: its figures, then the checks of its exercises."""

from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np

import cnnlib
from cnnbook.checking import WrongAnswer, passed, require, require_array, require_number
from cnnbook.engine import describe, describe_digits
from cnnlib.digits.datasets import load_digits
from cnnlib.digits.sample_drawings import sample_drawings
from cnnlib.plots import show_images


def draw_steps(strokes: list[np.ndarray], boxed: np.ndarray, placed: np.ndarray) -> None:
    """Show strokes on the canvas, in a box of 20 pixels, and moved to their centre of mass, which a cross marks."""
    figure, axes = plt.subplots(1, 3, figsize=(8, 2.8))
    for stroke in strokes:
        axes[0].plot(*stroke.T, color="black", linewidth=4)
    axes[0].set(xlim=(0, 280), ylim=(280, 0), aspect="equal", title="on the canvas")
    for axis, image, title in ((axes[1], boxed, "steps 1 and 2"), (axes[2], placed, "step 3")):
        pixels, mass = np.arange(28), image.sum()
        column, row = image.sum(axis=0) @ pixels / mass, image.sum(axis=1) @ pixels / mass
        axis.imshow(image, cmap="gray_r")
        axis.plot(column, row, "+", color="C1", markersize=14)
        axis.set(title=f"{title}: + at row {row:.1f}")
        axis.grid(False)


def eastern_digits(seed: int = 1, each: int = 5) -> dict[str, list[list[np.ndarray]]]:
    """Return drawings of an Eastern Arabic 7, an angle, and of a 5, a ring; each a little different."""
    rng = np.random.default_rng(seed)
    angle = np.array([[80, 60], [140, 230], [200, 60]])
    sevens = [[angle + rng.normal(0, 12, angle.shape)] for _ in range(each)]
    around = np.linspace(0, 2 * np.pi, 25)[:, np.newaxis]
    ring = np.hstack([140 + 65 * np.sin(around), 150 - 80 * np.cos(around)])
    fives = [[140 + (ring - 140) * rng.uniform(0.8, 1.1, 2) + rng.normal(0, 2, ring.shape)] for _ in range(each)]
    return {"٧": sevens, "٥": fives}


def figure_data(network: cnnlib.Network) -> dict:
    """Return what the live figure starts with: a network, the small digits, and drawings to choose from."""
    samples = [
        {"name": name, "drawings": [[np.round(stroke, 1) for stroke in drawing] for drawing in drawings]}
        for name, drawings in eastern_digits().items()
    ]
    return {**describe_digits(), "network": describe(network, "float16"), "samples": samples}


def draw_eastern_digits() -> None:
    """Show the drawings that the live figure offers, as the network sees them."""
    drawings = [drawing for kind in eastern_digits().values() for drawing in kind]
    show_images(np.stack([cnnlib.rasterize(drawing) for drawing in drawings]))


# The checks of the exercises


def check_centre(x: float, y: float) -> None:
    """The centre of mass of the image of the first exercise, [[0, 1, 1], [0, 0, 2]]."""
    require((x, y) != (0.5, 1.75), "x and y are exchanged: x counts columns, y counts rows.")
    require_number(x, 1.75, "x: add up column number times ink, and divide by all the ink.")
    require_number(y, 0.5, "y: add up row number times ink, and divide by all the ink.")
    passed("(1.75, 0.5): to the right, where most of the ink is")


def check_distance(d: float) -> None:
    """The distance of the pixel (5, 4) from the segment from (0, 0) to (3, 0)."""
    require(d != 4, "that is the distance from the line; but the segment ends at x = 3, before it gets there.")
    require(d != 20, "this is the squared distance; take its root.")
    require(abs(d - 41**0.5) > 1e-3, "that is the distance from the start; the end is nearer.")
    require_number(d, 20**0.5, "t = 5/3 is limited to 1, so that the nearest point is the end, (3, 0).", 1e-3)
    passed("with t limited to 1, the nearest point is the segment's end")


def check_scaled(width: float) -> None:
    """The width in the frame of a drawing 105 wide and 210 tall, with a pen of 2.5."""
    require(abs(width - 8.75) > 1e-6, "that is the path of the pen's centre; the ink is a pen's diameter wider.")
    require(
        abs(width - 10) > 1e-6, "the pen's width is not scaled with the points: 210 becomes 20 - 2.5, then it is added."
    )
    require_number(width, 11.25, "The scale is (20 - 2.5) / 210; the ink is 2.5 wider than the points.")
    passed("8.75 for the points, and 2.5 for the pen")


def check_bright_on_dark(function: Callable[[np.ndarray], np.ndarray]) -> None:
    """Turns dark ink on light paper round, and leaves bright ink on dark ground as it is."""
    drawings, _ = sample_drawings(seed=3)
    for number in (0, 9, 17, 33):
        image = cnnlib.rasterize(drawings[number])
        for given, name in ((image, "bright on dark"), (1 - image, "dark on bright")):
            before = given.copy()
            result = function(given)
            require(np.array_equal(given, before), "the function changed its argument; work on a new array.")
            require(
                not np.array_equal(result, 1 - image) or name != "bright on dark",
                "an image that is bright on dark already was turned round.",
            )
            require(
                not np.array_equal(result, before) or name != "dark on bright", "dark ink on bright paper stayed so."
            )
            require_array(result, image, "Return 1 - image where the border is bright, else the image.")
    bold = np.pad(np.ones((22, 22), np.float32), 3)
    require_array(function(bold), bold, "Most pixels may be ink; only the border tells what the ground is.")
    passed("8 images of both kinds, and one with more ink than paper")


def check_to_middle(function: Callable[[np.ndarray], np.ndarray]) -> None:
    """Moves an image (28, 28) by whole pixels, so that its centre of mass is as near as possible to (14, 14)."""
    rng = np.random.default_rng(5)
    for _ in range(8):
        height, width = rng.integers(4, 10, 2)
        top, left = (int(rng.integers(0, 28 - size)) for size in (height, width))
        image = np.zeros((28, 28))
        image[top : top + height, left : left + width] = rng.random((height, width)) + 0.1
        mass, pixels = image.sum(), np.arange(28)
        y, x = image.sum(axis=1) @ pixels / mass, image.sum(axis=0) @ pixels / mass
        down, along = (int(np.floor(14 - centre + 0.5)) for centre in (y, x))
        expected = np.roll(image, (down, along), axis=(0, 1))
        result = function(image.copy())
        require(isinstance(result, np.ndarray) and result.shape == (28, 28), "expected an image of shape (28, 28).")
        require(
            not np.allclose(result, np.roll(image, (along, down), axis=(0, 1))) or down == along,
            "rows and columns are exchanged: x moves columns, y moves rows.",
        )
        require(not np.allclose(result, np.roll(image, (-down, -along), axis=(0, 1))), "it moves the wrong way.")
        require(abs(result.sum() - mass) < 1e-9, "some ink is lost, or doubled.")
        require_array(result, expected, "Move it by the rounded distance from the centre of mass to (14, 14).")
    passed("8 blots, each in the middle afterwards")


def check_thin(function: Callable[[np.ndarray, float], np.ndarray]) -> None:
    """Leaves out points of a stroke (n, 2) that are closer than `gap` to the last one kept; keeps the ends."""
    drawings, _ = sample_drawings(seed=4)
    for strokes in drawings[::7]:
        for stroke in strokes:
            kept = function(stroke.copy(), 6.0)
            require(isinstance(kept, np.ndarray) and kept.ndim == 2 and kept.shape[1] == 2, "expected an array (n, 2).")
            require(np.array_equal(kept[0], stroke[0]), "the first point must stay.")
            require(np.array_equal(kept[-1], stroke[-1]), "the last point must stay, or strokes become shorter.")
            gaps = np.linalg.norm(np.diff(kept[:-1], axis=0), axis=1)
            require(
                (gaps >= 6).all(), f"two points are {gaps.min() if len(gaps) else 0:.1f} apart, expected at least 6."
            )
            require(
                len(kept) >= 0.5 * np.linalg.norm(np.diff(stroke, axis=0), axis=1).sum() / 12,
                "too many points are gone: measure the distance to the last point that was kept.",
            )
    dot = function(np.array([[3.0, 4.0]]), 6.0)
    require(np.array_equal(dot, [[3.0, 4.0]]), "a stroke of one point is one point afterwards.")
    few = [[function(stroke, 6.0) for stroke in drawing] for drawing in drawings]
    before, after = (sum(len(stroke) for drawing in many for stroke in drawing) for many in (drawings, few))
    change = max(np.abs(cnnlib.rasterize(a) - cnnlib.rasterize(b)).mean() for a, b in zip(drawings, few, strict=True))
    require(change < 0.02, f"the images change by {change:.3f} a pixel on average; keep more of the path.")
    passed(f"{before} points become {after}, and no image changes by more than {change:.3f} a pixel")


def check_teach(function: Callable) -> None:
    """Trains a network in place on drawings mixed with replayed images whose targets are its own answers."""
    drawings, labels = sample_drawings(2, seed=6)
    images = np.stack([cnnlib.rasterize(drawing) for drawing in drawings])
    digits = load_digits()
    lesson, wish = images[[2, 43]], np.array([8, 8])
    network = cnnlib.load_pretrained()
    before = network.evaluate(digits.test_images, digits.test_labels)[1]
    parameters = {name: array.copy() for name, array in network.parameters().items()}
    replay = digits.train_images / np.float32(255)
    arguments = lesson.copy(), wish.copy(), replay.copy()
    function(network, *arguments)
    if all(np.array_equal(array, parameters[name]) for name, array in network.parameters().items()):
        raise WrongAnswer("the network is as it was: train the network that is passed, and not a copy.")
    require(np.array_equal(arguments[0], lesson) and np.array_equal(arguments[2], replay), "the images were changed.")
    read = network.predict(lesson).argmax(axis=1)
    require((read == wish).all(), f"the two drawings are read as {read.tolist()}, expected {wish.tolist()}.")
    after = network.evaluate(digits.test_images, digits.test_labels)[1]
    require(
        after >= before - 0.03,
        f"of the other digits it reads {after:.1%}, before {before:.1%}: mix in replayed images, with the network's "
        "own answers from before the first step as targets.",
    )
    passed(f"both drawings learned; of other digits {after:.1%} (before: {before:.1%})")
