"""Chapter 15, Draw a digit: its figures, then the checks of its exercises."""

from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np
from scipy import ndimage

import cnnlib
from cnnbook.checking import WrongAnswer, as_array, as_number, passed, require, require_array, require_number, run
from cnnbook.engine import describe, describe_digits
from cnnlib.digits.datasets import load_digits
from cnnlib.digits.mnist_frame import frame_of
from cnnlib.digits.pictures import Steps, find_digits, without_lines
from cnnlib.digits.sample_drawings import sample_drawings
from cnnlib.digits.strokes import draw_segments
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
    return {**describe_digits(), "network": describe(network, "mixed"), "samples": samples}


def draw_eastern_digits() -> None:
    """Show the drawings that the live figure offers, as the network sees them."""
    drawings = [drawing for kind in eastern_digits().values() for drawing in kind]
    show_images(np.stack([cnnlib.rasterize(drawing) for drawing in drawings]))


def photograph(seed: int = 0) -> np.ndarray:
    """Return a picture (H, W, 3) from 0 to 1: a 5 on squared paper under a lamp, with specks."""
    rng, side = np.random.default_rng(seed), 220
    drawings, _ = sample_drawings()
    start, end = (
        np.concatenate([np.asarray(stroke)[part] for stroke in drawings[20]]) / 280 * 120 + 50
        for part in (slice(None, -1), slice(1, None))
    )
    ink = draw_segments(start, end, 9, side)
    y, x = np.mgrid[:side, :side]
    lines = 0.7 * ((x % 22 == 7) | (y % 22 == 3))
    for row, column in rng.integers(15, side - 17, (40, 2)):
        lines[row : row + 2, column : column + 2] = 0.8
    amount = np.maximum(ink, lines)[..., np.newaxis]
    paper = (1 - amount) * np.array([0.96, 0.95, 0.9]) + amount * np.array([0.15, 0.2, 0.4])
    light = 0.45 + 0.55 * (x + y) / (2 * side)
    return (paper * light[..., np.newaxis] + rng.normal(0, 0.01, paper.shape)).clip(0, 1)


# What is shown of a photograph: each step, and for the kinds of pictures in which it was measured, what stays then.
STEPS = {
    "picture": {},
    "1. contrast": {},
    "2. ground": {"hard-edged shadow": "shadows stay"},
    "3. threshold": {},
    "4. lines": {"squared paper, dark lines": "lines stay"},
    "5. parts": {"thin frame inside": "frames stay", "100 specks": "specks stay"},
    "28 × 28 pixels": {"thin pen": "thin strokes stay"},
}


def draw_photograph(colours: np.ndarray, measured: dict) -> None:
    """Show a picture and the steps of `cnnlib.digits.pictures` on the way to the network, with what each is worth."""
    steps = Steps()
    ink = max(find_digits(colours, steps), key=lambda digit: digit.ink.size).ink
    cleared = without_lines(steps.pictures["ink"])
    shown = [colours, *steps.pictures.values(), cleared, ink, frame_of(ink)]
    figure, axes = plt.subplots(2, 4, figsize=(6, 4.6), layout="constrained")
    for axis in axes.ravel():
        axis.set_axis_off()
    for axis, picture, (name, worth) in zip(axes.ravel(), shown, STEPS.items(), strict=False):
        axis.imshow(picture, cmap="gray_r", interpolation="nearest" if len(picture) == 28 else "antialiased")
        axis.set(title=name, box_aspect=1, adjustable="datalim")
        lines = []
        for state, left_out in worth.items():
            column = measured["states"].index(state)
            before, after = (measured["shares"][kind][column] for kind in (left_out, "all steps"))
            lines += [*state.split(", "), f"{before} → {after} %"]
        axis.text(0.5, -0.04, "\n".join(lines), transform=axis.transAxes, ha="center", va="top", fontsize=11)


# The checks of the exercises


def check_centre(x: float, y: float) -> None:
    """The centre of mass of the image of the first exercise, [[0, 1, 1], [0, 0, 2]]."""
    x, y = as_number(x, "x"), as_number(y, "y")
    require((x, y) != (0.5, 1.75), "x and y are exchanged: x counts columns, y counts rows.")
    require((x, y) != (2.75, 1.5), "rows and columns are counted from 0.")
    require((x, y) != (7, 2), "divide by all the ink.")
    require((x, y) != (5 / 3, 1 / 3), "a place with 2 units of ink counts twice.")
    require((x, y) != (1, 0.5), "this is the middle of the image; where it has ink matters.")
    require_number(x, 1.75, "x: add up column number times ink, and divide by all the ink.")
    require_number(y, 0.5, "y: add up row number times ink, and divide by all the ink.")
    passed("(1.75, 0.5): to the right, where most of the ink is")


def check_distance(d: float) -> None:
    """The distance of the pixel (5, 4) from the segment from (0, 0) to (3, 0)."""
    d = as_number(d)
    mistakes = (
        (4, "that is the distance from the line; but the segment ends at x = 3, before it gets there."),
        (20, "this is the squared distance; take its root."),
        (41**0.5, "that is the distance from the start; the end is nearer."),
        (6, "add the *squares* of the two differences, and take the root."),
        (2, "this is the difference across alone; the pixel is also 4 lower."),
        (15 / 9, "this is t*; limit it to 1, and compute the distance from that point."),
    )
    for wrong, message in mistakes:
        require(abs(d - wrong) > 1e-3, message)
    require_number(d, 20**0.5, "Limit t* to [0, 1]: from which point of the segment is the distance?", 1e-3)
    passed("With t limited to 1, the nearest point is the segment's end.")


def check_scaled(width: float) -> None:
    """The width in the frame of a drawing 105 wide and 210 tall, with a pen of 2.5."""
    width = as_number(width)
    mistakes = (
        (8.75, "that is the path of the pen's centre; the ink is a pen's diameter wider."),
        (10, "the pen's width is not scaled with the points: 210 becomes 20 - 2.5, then it is added."),
        (12.5, "the 210 do not become 20: the pen needs room, too."),
        (20, "that is the height: the longer side fills 20 pixels."),
        (17.5, "that is the height of the points: the longer side fills 20 - 2.5."),
        (10.0 * 17.5 / 20 + 1.25, "the pen adds half its diameter on *each* side."),
        (13.75, "the pen adds half its diameter on each side, not all of it."),
        (105 / 10 + 2.5, "the canvas is not just made small: the longer side fills 20 - 2.5."),
    )
    for wrong, message in mistakes:
        require(abs(width - wrong) > 1e-6, message)
    require_number(width, 11.25, "One factor serves both directions; the ink is wider than the points.")
    passed("8.75 for the points, and 2.5 for the pen")


def check_bright_on_dark(function: Callable[[np.ndarray], np.ndarray]) -> None:
    """Turns dark ink on light paper round, and leaves bright ink on dark ground as it is."""
    drawings, _ = sample_drawings(seed=3)
    for number in (0, 9, 17, 33):
        image = cnnlib.rasterize(drawings[number])
        for given, name in ((image, "bright on dark"), (1 - image, "dark on bright")):
            before = given.copy()
            result = as_array(run(function, given))
            require(np.array_equal(given, before), "the function changed its argument; work on a new array.")
            require(result.shape == image.shape, f"the shape became {result.shape}, expected {image.shape}.")
            require(
                not np.array_equal(result, 1 - image) or name != "bright on dark",
                "an image that is bright on dark already was turned round.",
            )
            require(
                not np.array_equal(result, before) or name != "dark on bright", "dark ink on bright paper stayed so."
            )
            require(not np.allclose(result, -image), "the values became negative: return `1 - image`.")
            require(not np.allclose(result, 255 - before), "the values go from 0 to 1, not to 255.")
            require_array(result, image, "Return 1 - image where the border is bright, else the image.")
    bold = np.pad(np.ones((22, 22), np.float32), 3)
    wide = np.pad(np.ones((10, 24), np.float32), ((2, 2), (2, 2)))
    for image in (bold, wide, 1 - wide):
        ground = np.where(image[0, 0] > 0.5, 1 - image, image)
        result = as_array(run(function, image.copy()))
        require(result.shape == image.shape, f"the shape became {result.shape}, expected {image.shape}.")
        require(bool(np.allclose(result, ground)), "most pixels may be ink; only the border tells what the ground is.")
    side, sides, corners = np.zeros((3, 28, 28), np.float32)  # ink that runs over less than half of the border
    side[:9] = sides[:3] = sides[-1, :17] = 1
    corners[:6, :6] = corners[:6, -6:] = corners[-6:, :6] = 1
    for touching in (np.rot90(image, turns) for image in (side, sides, corners) for turns in range(4)):
        result = as_array(run(function, touching.copy()))
        require(
            bool(np.allclose(result, touching)), "ink may touch the border, even a corner: look at all of the border."
        )
    passed("8 images of both kinds, and some with more ink than paper")


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
        given = image.copy()
        result = as_array(run(function, given))
        require(np.array_equal(given, image), "the function changed its argument; work on a new array.")
        require(result.shape == (28, 28), f"expected an image of shape (28, 28), got {result.shape}.")
        mistakes = (
            ((along, down), "rows and columns are exchanged: x moves columns, y moves rows."),
            ((-down, -along), "it moves the wrong way."),
            ((down - 1, along - 1), "the target is the pixel (14, 14): perhaps you used 13, or rounded down."),
            ((int(np.floor(13.5 - y + 0.5)), int(np.floor(13.5 - x + 0.5))), "MNIST's middle is 14, not 13.5."),
            ((int(14 - y), int(14 - x)), "round to the *nearest* whole number; int() alone cuts off."),
            ((down, 0), "move the columns, too."),
            ((0, along), "move the rows, too."),
            ((14 - top - height // 2, 14 - left - width // 2), "this centres the box, not the mass."),
        )
        for steps, message in mistakes:
            wrong = np.roll(image, steps, axis=(0, 1))
            require(np.array_equal(wrong, expected) or not np.allclose(result, wrong), message)
        require(abs(result.sum() - mass) < 1e-6, "some ink is lost, or doubled.")
        require_array(result, expected, "Move it by the rounded distance from the centre of mass to (14, 14).")
    passed("8 blots, each in the middle afterwards")


def check_thin(function: Callable[[np.ndarray, float], np.ndarray]) -> None:
    """Leaves out points of a stroke (n, 2) that are closer than `gap` to the last one kept; keeps the ends."""
    drawings, _ = sample_drawings(seed=4)
    for stroke in [stroke for strokes in drawings[::7] for stroke in strokes]:
        given = stroke.copy()
        kept = as_array(run(function, given, 6.0))
        require(np.array_equal(given, stroke), "the function changed its argument; work on a new array.")
        require(kept.ndim == 2 and kept.shape[1] == 2, f"expected an array (n, 2), got the shape {kept.shape}.")
        require(len(kept) > 0 and np.array_equal(kept[0], stroke[0]), "the first point must stay.")
        require(np.array_equal(kept[-1], stroke[-1]), "the last point must stay, or strokes become shorter.")
        gaps = np.linalg.norm(np.diff(kept[:-1], axis=0), axis=1)
        require((gaps >= 6).all(), f"two points are {gaps.min() if len(gaps) else 0:.1f} apart, expected at least 6.")
        require(
            len(kept) >= len(_thinned(stroke, 6.0)),
            "too many points are gone: measure the distance to the last point that was kept, once the gap.",
        )
        require(bool(np.allclose(kept, _thinned(stroke, 6.0))), "other points are kept than those that were asked for.")
    dot = as_array(run(function, np.array([[3.0, 4.0]]), 6.0))
    require(np.array_equal(dot, [[3.0, 4.0]]), "a stroke of one point is one point afterwards.")
    even = np.array([[3.0 * k, 0.0] for k in range(5)])
    require(
        np.array_equal(as_array(run(function, even, 6.0)), even[::2]),
        "a point at exactly the gap is not closer: it stays.",
    )
    require(len(as_array(run(function, even, 10.0))) == 2, "the gap is always 6: use the argument.")
    few = [[_thinned(stroke, 6.0) for stroke in drawing] for drawing in drawings]
    before, after = (sum(len(stroke) for drawing in many for stroke in drawing) for many in (drawings, few))
    change = max(np.abs(cnnlib.rasterize(a) - cnnlib.rasterize(b)).mean() for a, b in zip(drawings, few, strict=True))
    passed(f"{before} points become {after}, and no image changes by more than {change:.3f} a pixel")


def _thinned(stroke: np.ndarray, gap: float) -> np.ndarray:
    kept = [stroke[0]]
    for point in stroke[1:-1]:
        if np.linalg.norm(point - kept[-1]) >= gap:
            kept.append(point)
    return np.array(kept + [stroke[-1]] * (len(stroke) > 1))


def check_teach(function: Callable) -> None:
    """Trains a network in place on drawings mixed with replayed images whose targets are its own answers."""
    drawings, labels = sample_drawings(2, seed=6)
    images = np.stack([cnnlib.rasterize(drawing) for drawing in drawings])
    digits = load_digits()
    lesson, wish = images[[2, 43]], np.array([8, 8])
    network = cnnlib.load_pretrained()
    before = network.evaluate(digits.test_images, digits.test_labels)[1]
    parameters = {name: array.copy() for name, array in network.parameters().items()}
    # A third of what is replayed are two digits, one over the other, of which the network cannot be sure.
    x = digits.train_images / np.float32(255)
    unsure = (x[:500] + x[np.random.default_rng(0).permutation(len(x))[:500]]) / 2
    replay = np.concatenate([x[500:], unsure])
    said = network.predict(unsure)
    arguments = lesson.copy(), wish.copy(), replay.copy()
    run(function, network, *arguments)
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
    says = network.predict(unsure)
    surer = says.max(axis=1).mean() - said.max(axis=1).mean()
    require(surer < 0.04, "where the network was unsure, it is surer now: replay its probabilities, not hard labels.")
    moved = np.abs(says - said).sum(axis=1).mean()
    require(moved < 0.3, f"its probabilities for replayed images moved by {moved:.2f} on average: hold them closer.")
    passed(f"Both drawings learned; of other digits {after:.1%} (before: {before:.1%}).")


def _between(values: np.ndarray) -> np.ndarray:
    """Return for every threshold k from 0 to 254 the variance between the values up to k and those above."""
    counts, levels = np.bincount(values.ravel(), minlength=256), np.arange(256)
    low = counts.cumsum()[:-1]
    high, total = values.size - low, (counts * levels).cumsum()
    with np.errstate(divide="ignore", invalid="ignore"):
        between = low * high * (total[:-1] / low - (total[-1] - total[:-1]) / high) ** 2
    return np.nan_to_num(between)


def check_otsu(function: Callable[[np.ndarray], int]) -> None:
    """Returns the threshold k, 0 to 254, with the largest variance between the values up to k and those above."""
    rng = np.random.default_rng(8)
    for share, low, high in ((0.5, 60, 200), (0.08, 40, 190), (0.3, 90, 130), (0.02, 20, 250), (0.15, 120, 240)):
        dark = rng.random((30, 40)) < share
        values = np.where(dark, rng.normal(high, 14, dark.shape), rng.normal(low, 22, dark.shape))
        values = values.clip(0, 255).astype(np.uint8)
        given = values.copy()
        k = as_number(run(function, given), "the threshold")
        require(np.array_equal(given, values), "the function changed its argument; work on a new array.")
        between = _between(values)
        best = int(between.argmax())
        require(0 <= k <= 255, f"the threshold is {k:g}; return the k, from 0 to 254, not the variance itself.")
        low_part, high_part = values[values <= best], values[values > best]
        difference = np.array([_means(values, level) for level in range(255)])
        mistakes = (
            (values.mean(), "that is the mean of all values, which lies near those that are most."),
            (np.median(values), "that is the median: half of the pixels need not be ink."),
            ((int(values.min()) + int(values.max())) / 2, "that is the middle between the smallest and the largest."),
            ((low_part.mean() + high_part.mean()) / 2, "that is the middle between the two means; return k itself."),
            (int(difference.argmax()), "weigh the squared difference by the sizes of both sides, w0 * w1."),
            (int(np.where(between > 0, between, np.inf).argmin()), "that is the smallest variance; find the largest."),
        )
        same = np.array_equal(values <= k, values <= best)
        for wrong, message in mistakes:
            require(same or abs(k - wrong) > 1e-6, message)
        require(
            same or not np.array_equal(values < k, values <= best),
            "k itself belongs to the lower side: it is one too many.",
        )
        require(same, f"{k:g} divides the values otherwise than {best}, which has the largest variance between sides.")
    # The first k, the last, and one for which the middle between both means comes to rest too early, at 49.5.
    for levels, counts, best in (
        ((0, 1, 2), (20, 18, 2), 0),
        ((253, 254, 255), (2, 18, 20), 254),
        ((20, 60, 250), (20, 18, 2), 60),
    ):
        values = np.repeat(np.array(levels, np.uint8), counts).reshape(5, 8)
        k = as_number(run(function, values.copy()), "the threshold")
        require(
            np.array_equal(values <= k, values <= best),
            f"for a picture of {levels} alone, {k:g} is not it: try each k from 0 to 254, and keep the best of all.",
        )
    passed("5 pictures, with 2 % to 50 % of ink")


def _means(values: np.ndarray, level: int) -> float:
    """Return the squared difference of the means of both sides; 0 if one is empty."""
    low = values <= level
    return 0.0 if low.all() or not low.any() else float((values[low].mean() - values[~low].mean()) ** 2)


def check_without_specks(function: Callable[[np.ndarray, float], np.ndarray]) -> None:
    """Leaves out the connected parts of a mask (H, W) that have fewer pixels than a share of the largest one."""
    rng = np.random.default_rng(9)
    square = np.ones((3, 3), int)
    for share in (0.1, 0.25, 0.5):
        for turns in range(3):
            mask = np.eye(40, 48, dtype=bool) & (np.arange(48) < 32)  # a diagonal stroke of 32 pixels
            mask[2:4, 30:38] = True  # the dot or bar that belongs to it: 16 pixels
            mask[32:34, 4:8] = True  # exactly a quarter: 8 pixels
            for row, column in rng.integers(12, 28, (6, 2)):
                mask[row, 31 + column % 8] = True
            mask = np.rot90(mask, turns).copy()  # so that strokes slope both ways, and the largest is not always first
            labels, count = ndimage.label(mask, square)
            sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
            largest = labels == 1 + sizes.argmax()
            expected = np.isin(labels, 1 + np.flatnonzero(sizes >= share * sizes.max()))
            given = mask.copy()
            result = as_array(run(function, given, share))
            require(np.array_equal(given, mask), "the function changed its argument; work on a new array.")
            require(result.shape == mask.shape, f"the shape became {result.shape}, expected {mask.shape}.")
            require(
                bool(np.isin(result, (0, 1)).all()),
                "return a mask of True and False, not the numbers of the parts, or shares.",
            )
            result = result.astype(bool)
            require(not (result & ~mask).any(), "there is ink where there was none.")
            require(result.any(), "nothing is left: label 0 is the ground, and must not count as the largest part.")
            require(
                result[largest].any(),
                "the diagonal stroke is gone: pixels that touch at a corner belong together (np.ones((3, 3))).",
            )
            require(
                np.array_equal(expected, largest) or not np.array_equal(result, largest),
                "only the largest part is left: a stroke of its own, such as the bar of a 5, is no speck.",
            )
            require(not np.array_equal(result, mask) or np.array_equal(expected, mask), "the specks are still there.")
            exact = np.isin(labels, 1 + np.flatnonzero(sizes > share * sizes.max()))
            require(
                np.array_equal(expected, exact) or not np.array_equal(result, exact),
                "a part of exactly that share has not fewer pixels: it stays.",
            )
            require(np.array_equal(result, expected), f"with share {share}, other parts are left than expected.")
    passed("9 masks, with specks, a bar, and a stroke whose pixels touch at corners only")
