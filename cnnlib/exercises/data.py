"""Checks for chapter 12, The data."""

from collections.abc import Callable

import numpy as np

from cnnlib.exercises import NotYet, require, require_array, require_number, right


def lazy(function: Callable) -> None:
    """The accuracy of always answering with the class that is most frequent in training."""
    train, test = np.array([2, 2, 2, 0, 1, 1]), np.array([1, 1, 1, 1, 1, 2, 2, 0])
    share = function(train, test)
    require(share != 2, "this is the number of right answers; divide by the number of test images.")
    require(share != 5 / 8, "this class is the most frequent of the test part, which may not choose the answer.")
    require(share != 3 / 6, "this is the accuracy on the training part.")
    require_number(share, 2 / 8, "Find the class on the training labels, and count it among the test labels.")
    right("Anything worth training does better.")


def size(count: float) -> None:
    """How many test images make two standard deviations 0.1 percentage points, at an accuracy of 99 %."""
    require(not np.isclose(count, 9_900, rtol=1e-3), "this makes one standard deviation 0.1 points, not two.")
    require(not np.isclose(count, 3.96, rtol=1e-3), "0.1 percentage points are 0.001, not 0.1.")
    require(not np.isclose(count, 0.0099 / 0.0005, rtol=1e-3), "the root is missing: square both sides to solve for N.")
    require_number(count, 39_600, "The standard deviation is the root of p (1 - p) / N, with p = 0.99.", 1e-3)
    right(f"{count:,.0f} images, four times as many as MNIST has.")


def _idx(*shape: int) -> tuple[bytes, np.ndarray]:
    """Return a file of that shape, and what it holds."""
    values = (np.arange(np.prod(shape)) * 7 % 256).astype(np.uint8)
    lengths = b"".join(size.to_bytes(4, "big") for size in shape)
    return bytes([0, 0, 8, len(shape)]) + lengths + values.tobytes(), values.reshape(shape)


def read_idx(function: Callable) -> None:
    """Reading an IDX file of bytes."""
    for shape in ((5,), (3, 2, 4), (300, 2)):
        content, expected = _idx(*shape)
        answer = function(content)
        require(isinstance(answer, np.ndarray), f"expected an ndarray, got {type(answer).__name__}.")
        require(answer.dtype == np.uint8, f"the values are bytes, uint8; yours are {answer.dtype}.")
        require(
            answer.size != expected.size + 4 * len(shape) and answer.size != expected.size + 4 + 4 * len(shape),
            "the header came out as values; skip its 4 + 4 * axes bytes.",
        )
        require(answer.shape == expected.shape, f"the shape is {answer.shape}, expected {expected.shape}.")
        require(np.array_equal(answer, expected), f"the values of a file of shape {shape} are wrong.")
    content = _idx(3, 2, 4)[0]
    for what, wrong in (
        ("ends early", content[:-1]),
        ("has a byte too many", content + b"\0"),
        ("holds integers of four bytes (type 12)", content[:2] + b"\x0c" + content[3:]),
        ("begins with other bytes", b"PK" + content[2:]),
    ):
        try:
            function(wrong)
        except ValueError:
            continue
        except Exception as error:
            raise NotYet(f"a file that {what} raised {type(error).__name__}; a ValueError was asked for.") from error
        raise NotYet(f"a file that {what} was accepted.")
    right("And what does not fit is refused.")


def split(function: Callable) -> None:
    """A random split that takes the same share of every class."""
    labels = np.repeat([0, 1, 2], [200, 50, 10])  # in order, as such files often are
    train, validation = function(labels, 0.2, np.random.default_rng(0))
    train, validation = np.asarray(train), np.asarray(validation)
    everything = np.sort(np.concatenate([train, validation]))
    if not np.array_equal(everything, np.arange(len(labels))):
        require(len(np.unique(everything)) == len(everything), "some positions occur twice, or in both parts.")
        raise NotYet(f"{len(everything)} positions came back, from 0 to 259 each one was expected.")
    counts = np.bincount(labels[validation], minlength=3)
    require(counts.sum() != 208, "training and validation are exchanged: training comes first.")
    require(
        counts.tolist() == [40, 10, 2],
        f"validation has {counts.tolist()} examples of the three classes, expected [40, 10, 2].",
    )
    again = np.asarray(function(labels, 0.2, np.random.default_rng(1))[1])
    require(set(again) != set(validation), "another seed gave the same split: the choice is not random.")
    same = np.asarray(function(labels, 0.2, np.random.default_rng(0))[1])
    require(set(same) == set(validation), "the same seed gave another split: use the rng that you are given.")
    right("Every class gives its share.")


def standardise(function: Callable) -> None:
    """Mean 0 and standard deviation 1 on the training part, and the same map on the test part."""
    rng = np.random.default_rng(2)
    train = rng.integers(0, 200, (40, 6, 5), dtype=np.uint8)
    test = rng.integers(100, 256, (20, 6, 5), dtype=np.uint8)
    before = train.copy(), test.copy()
    first, second = map(np.asarray, function(train, test))
    unchanged = np.array_equal(train, before[0]) and np.array_equal(test, before[1])
    require(unchanged, "the given arrays were changed; work on copies.")
    for name, answer in (("training", first), ("test", second)):
        require(answer.dtype == np.float32, f"the {name} part is {answer.dtype}; float32 was asked for.")
    require(
        abs(first.mean()) < 1e-3 or abs(first.std() - 1) > 1e-3,
        f"the mean of the training part is {first.mean():.3f}, expected 0.",
    )
    joint = np.concatenate([train, test]).astype(float)
    require(
        not np.allclose(first, (train - joint.mean()) / joint.std(), atol=1e-3),
        "mean and deviation come from both parts together: the test part has leaked in.",
    )
    require(
        not np.allclose(first, (train - train.mean(axis=0)) / train.std(axis=0), atol=1e-3),
        "each pixel has a mean of its own here; all training pixels together were asked for.",
    )
    require_array(first, (train - train.mean()) / train.std(), "Subtract the mean, then divide.", 1e-4)
    require(
        not np.allclose(second, (test - test.mean()) / test.std(), atol=1e-3),
        "the test part was standardised by its own numbers; use those of the training part.",
    )
    require_array(second, (test - train.mean()) / train.std(), "Use the numbers of the training part.", 1e-4)
    right("The test part had no say.")


def centre(function: Callable) -> None:
    """Moving the ink so that its centre of mass is in the middle."""
    rng = np.random.default_rng(4)
    require(not np.asarray(function(np.zeros((28, 28), np.uint8))).any(), "an empty image must stay empty.")
    for case in range(40):
        image = np.zeros((28, 28), np.uint8)
        height, width = rng.integers(3, 24, 2)
        top, left = rng.integers(0, 29 - height), rng.integers(0, 29 - width)
        image[top : top + height, left : left + width] = rng.integers(1, 256, (height, width))
        if case >= 20:  # most of the mass at one end: it cannot always come into the middle without a loss
            image[top + 1 : top + height, left : left + width] = 1
        before = image.copy()
        moved = np.asarray(function(image))
        require(np.array_equal(image, before), "the given image was changed; work on a copy.")
        require(moved.shape == (28, 28), f"the shape became {moved.shape}.")
        require(
            np.array_equal(np.sort(moved[moved > 0]), np.sort(image[image > 0])),
            "ink got lost or was changed on the way: limit the shift, so that nothing leaves the field.",
        )
        expected = _centred(image)
        if not np.array_equal(moved, expected):
            (r, s), (a, b) = _centre_of_mass(moved), _centre_of_mass(expected)
            require((r, s) != _centre_of_mass(image), "nothing has moved.")
            require(
                not np.array_equal(moved, _centred(image, middle=13.5)),
                "this is the middle of the field, 13.5; MNIST's is the pixel (14, 14).",
            )
            require(
                not np.array_equal(moved, _centred(image, limit=False)),
                "what leaves at one side comes in again at the other: limit the shift.",
            )
            raise NotYet(f"a centre of mass came to ({r:.2f}, {s:.2f}), where ({a:.2f}, {b:.2f}) is possible.")
    right("The ink is where MNIST would have put it.")


def _centre_of_mass(image: np.ndarray) -> tuple[float, float]:
    mass = image.sum(dtype=float)
    positions = np.arange(28)
    return positions @ image.sum(axis=1, dtype=float) / mass, positions @ image.sum(axis=0, dtype=float) / mass


def _centred(image: np.ndarray, middle: float = 14, limit: bool = True) -> np.ndarray:
    shifts = []
    for axis, centre in enumerate(_centre_of_mass(image)):
        inked = np.flatnonzero(image.any(axis=1 - axis))
        shift = np.floor(middle - centre + 0.5)
        shifts.append(int(np.clip(shift, -inked[0], 27 - inked[-1]) if limit else shift))
    return np.roll(image, shifts, axis=(0, 1))  # nothing comes round if the shifts are limited
