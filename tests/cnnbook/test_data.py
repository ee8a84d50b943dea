"""Chapter 12: its figures say what is true; the checks accept right answers, and name what is wrong with others."""

import struct

import matplotlib.pyplot as plt
import numpy as np
import pytest

from cnnbook import data as chapter
from cnnbook.checking import WrongAnswer


def test_box_is_around_the_ink():
    image = np.zeros((28, 28), np.uint8)
    image[3:23, 6:20] = 255
    chapter.draw_centres(image, np.array([12.5, 14.0]), np.array([12.5, 14.0]))
    left = plt.gcf().axes[0]
    assert left.patches[0].get_xy() == (5.5, 2.5)
    assert left.get_lines()[0].get_xydata().tolist() == [[12.5, 12.5]]


def test_order_is_drawn_in_percent_of_the_set():
    chapter.draw_order({"training": [0.1, 0.2], "test": [0.3, 0.1, 0.1, 0.4]})
    bars = plt.gcf().axes[1].patches
    assert [bar.get_height() for bar in bars] == pytest.approx([30, 10, 10, 40])
    assert [bar.get_x() + bar.get_width() / 2 for bar in bars] == pytest.approx([12.5, 37.5, 62.5, 87.5])


@pytest.mark.parametrize("losses", [[3.0, 2.0], [454.0, np.inf, np.nan], [np.nan, np.nan]])
def test_losses_are_drawn_even_if_they_are_no_numbers(losses):
    chapter.draw_losses({"a run": losses})
    assert np.allclose(plt.gca().get_lines()[1].get_ydata(), np.log(10))
    plt.gcf().canvas.draw()


# The checks of the exercises


def lazy(train_labels, test_labels):
    return np.mean(test_labels == np.bincount(train_labels).argmax())


def read_idx(content, length=slice(None)):
    if len(content) < 4 or len(content) < 4 + 4 * content[3]:
        raise ValueError("cut off")
    start = 4 + 4 * content[3]
    shape = struct.unpack(f">{content[3]}I", content[4:start])
    shape = tuple(int.from_bytes(size.to_bytes(4, "big")[length], "big") for size in shape)
    if content[:3] != b"\0\0\x08" or len(content) - start != np.prod(shape):
        raise ValueError("not such a file")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def read_idx_without_first_bytes(content):
    if content[2:3] != b"\x08":
        raise ValueError("not such a file")
    return read_idx(b"\0\0" + content[2:])


def read_idx_of_a_whole_header(content):
    shape = struct.unpack(f">{content[3]}I", content[4 : 4 + 4 * content[3]])
    return read_idx(content).reshape(shape)


def read_idx_little(content):
    return np.frombuffer(content, np.uint8, offset=4 + 4 * content[3]).reshape(
        struct.unpack(f"<{content[3]}I", content[4 : 4 + 4 * content[3]])
    )


def read_idx_trusting(content):
    start = 4 + 4 * content[3]
    shape = struct.unpack(f">{content[3]}I", content[4:start])
    return np.frombuffer(content, np.uint8, offset=start)[: np.prod(shape)].reshape(shape)


def read_idx_any_type(content):
    start = 4 + 4 * content[3]
    return np.frombuffer(content, np.uint8, offset=start).reshape(struct.unpack(f">{content[3]}I", content[4:start]))


def split(labels, share, rng, shuffle=True, classes=None, rounded=round):
    train, validation = [], []
    for c in np.unique(labels) if classes is None else classes:
        places = np.flatnonzero(labels == c)
        places = rng.permutation(places) if shuffle else places
        count = int(rounded(share * len(places)))
        validation.append(places[:count])
        train.append(places[count:])
    return np.concatenate(train), np.concatenate(validation)


def split_blocks(labels, share, rng):
    train, validation = split(labels, share, rng, shuffle=False)
    everything = np.arange(len(labels))
    for c in np.unique(labels):
        block = validation[labels[validation] == c]
        validation[labels[validation] == c] = block + rng.integers(0, np.sum(labels == c) - len(block) + 1)
    return np.setdiff1d(everything, validation), validation


def split_evenly(labels, share, rng):
    """Every fifth place of each class, from a random start."""
    first, validation = rng.integers(3), []
    for c in np.unique(labels):
        places, count = np.flatnonzero(labels == c), round(share * np.sum(labels == c))
        validation.append(places[first % (len(places) - 5 * count + 5) :: 5][:count])
    validation = np.concatenate(validation)
    return np.setdiff1d(np.arange(len(labels)), validation), validation


def read_idx_by_its_length(content):
    """It trusts the number of values, and not the first length of the header."""
    if len(content) < 4 or content[:3] != b"\0\0\x08" or len(content) < 4 + 4 * content[3]:
        raise ValueError("not such a file")
    start = 4 + 4 * content[3]
    lengths = [int.from_bytes(content[k : k + 4], "big") for k in range(8, start, 4)]
    return np.frombuffer(content, np.uint8, offset=start).reshape(-1, *lengths)


def split_anywhere(labels, share, rng):
    places = rng.permutation(len(labels))
    return places[round(share * len(labels)) :], places[: round(share * len(labels))]


def standardise(train, test, source=None, axis=None, dtype=np.float32, power=1):
    source = train if source is None else source
    return tuple(((images - source.mean(axis)) / source.std(axis) ** power).astype(dtype) for images in (train, test))


def standardise_each(train, test):
    return standardise(train, test)[0], standardise(test, test)[1]


def standardise_in_place(train, test):
    answer = standardise(train, test)
    train[:] = 0
    return answer


def centre(image, middle=14.0, limit=True):
    if not image.any():
        return image.copy()
    shifts = []
    for axis in (0, 1):
        profile = image.sum(axis=1 - axis, dtype=float)
        inked = np.flatnonzero(profile)
        shift = int(np.floor(middle - profile @ np.arange(28) / profile.sum() + 0.5))
        shifts.append(min(max(shift, -inked[0]), 27 - inked[-1]) if limit else shift)
    return np.roll(image, shifts, axis=(0, 1))


def centre_losing_ink(image):
    moved = np.zeros_like(image)
    if not image.any():
        return moved
    r, s = (round(14 - np.average(np.arange(28), weights=image.sum(axis=axis))) for axis in (1, 0))
    for row, column in np.argwhere(image):
        if 0 <= row + r < 28 and 0 <= column + s < 28:
            moved[row + r, column + s] = image[row, column]
    return moved


@pytest.mark.parametrize(
    ("function", "answer"),
    [
        (chapter.check_lazy, lazy),
        (chapter.check_size, 39_600.0),
        (chapter.check_read_idx, read_idx),
        (chapter.check_split, split),
        (chapter.check_standardise, standardise),
        (chapter.check_centre, centre),
    ],
)
def test_right(function, answer, capsys):
    function(answer)
    assert capsys.readouterr().out.startswith("Right.")


@pytest.mark.parametrize(
    ("function", "answer", "message"),
    [
        (
            chapter.check_lazy,
            lambda train, test: np.mean(test == np.bincount(test).argmax()),
            "test part, which may not",
        ),
        (chapter.check_lazy, lambda train, test: np.sum(test == np.bincount(train).argmax()), "divide by"),
        (chapter.check_lazy, lambda train, test: np.mean(train == np.bincount(train).argmax()), "training part"),
        (chapter.check_lazy, lambda train, test: np.mean(test == 0), "not the most frequent"),
        (chapter.check_lazy, lambda train, test: np.mean(test == train.max()), "right for one pair"),
        (chapter.check_lazy, lambda train, test: np.mean(test == train[0]), "right for one pair"),
        (chapter.check_lazy, lambda train, test: 0.25, "right for one pair"),
        (chapter.check_size, 9_900, "one standard deviation 0.1"),
        (chapter.check_size, 3.96, "0.001"),
        (chapter.check_size, 19.8, "square both sides"),
        (chapter.check_size, 40_000, "both factors"),
        (chapter.check_size, 158_400, "four standard deviations"),
        (chapter.check_size, 0.99, "is not it"),
        (chapter.check_size, "39600", "expected numbers"),
        (chapter.check_lazy, lambda train, test: 1 - lazy(train, test), "wrong answers"),
        (chapter.check_lazy, lambda train, test: 100 * lazy(train, test), "percentage"),
        (
            chapter.check_lazy,
            lambda train, test: np.bincount(train).argmax() / 8,
            "is not it",
        ),
        (chapter.check_read_idx, lambda content: np.frombuffer(content, np.uint8), "header came out as values"),
        (chapter.check_read_idx, lambda content: read_idx(content).astype(float), "uint8; yours are float64"),
        (chapter.check_read_idx, lambda content: read_idx(content).ravel(), "the shape is"),
        (chapter.check_read_idx, lambda content: read_idx(content)[::-1], "the values of a file"),
        (chapter.check_read_idx, lambda content: read_idx(content).tolist(), "expected an ndarray, got list"),
        (chapter.check_read_idx, read_idx_trusting, "has a byte too many was accepted|ends early"),
        (chapter.check_read_idx, read_idx_any_type, "type 12.*was accepted"),
        (chapter.check_read_idx, read_idx_by_its_length, "a whole image too many was accepted"),
        (chapter.check_read_idx, lambda content: read_idx(content, slice(2, 4)), "ValueError: not such a file"),
        (chapter.check_read_idx, lambda content: read_idx(content, slice(3, 4)), "ValueError: not such a file"),
        (chapter.check_read_idx, read_idx_without_first_bytes, "other bytes was accepted"),
        (
            chapter.check_read_idx,
            read_idx_of_a_whole_header,
            "within its header raised error|is empty raised IndexError",
        ),
        (chapter.check_read_idx, read_idx_little, "ValueError: cannot reshape"),
        (chapter.check_split, lambda *arguments: split(*arguments)[::-1], "exchanged"),
        (chapter.check_split, split_anywhere, "a fifth of each"),
        (chapter.check_split, lambda *arguments: split(*arguments, rounded=int), "a fifth of each"),
        (chapter.check_split, lambda *arguments: split(*arguments, rounded=np.ceil), "a fifth of each"),
        (chapter.check_split, split_blocks, "a block of neighbours"),
        (chapter.check_split, split_evenly, "equally far apart"),
        (chapter.check_split, lambda labels, share, rng: split(labels, share, rng)[0], "two arrays of positions"),
        (
            chapter.check_split,
            lambda labels, share, rng: split(labels, share, rng, classes=range(3)),
            "positions came back",
        ),
        (chapter.check_split, lambda *arguments: split(*arguments, shuffle=False), "not random"),
        (chapter.check_split, lambda labels, share, rng: split(labels, share, np.random.default_rng()), "same seed"),
        (chapter.check_split, lambda *arguments: split(*arguments, classes=[1, 4]), "253 positions"),
        (
            chapter.check_split,
            lambda labels, share, rng: (np.arange(264), split(labels, share, rng)[1]),
            "in both parts",
        ),
        (chapter.check_standardise, standardise_each, "its own numbers"),
        (chapter.check_standardise, lambda a, b: standardise(a, b, np.concatenate([a, b])), "leaked in"),
        (chapter.check_standardise, lambda a, b: standardise(a, b, axis=0), "each pixel has a mean of its own"),
        (chapter.check_standardise, lambda a, b: standardise(a, b, dtype=np.float64), "float32 was asked for"),
        (chapter.check_standardise, lambda a, b: tuple((x / a.std()).astype(np.float32) for x in (a, b)), "expected 0"),
        (chapter.check_standardise, standardise_in_place, "work on copies"),
        (chapter.check_standardise, lambda a, b: standardise(a, b)[0], "expected two arrays"),
        (chapter.check_standardise, lambda a, b: standardise(a, b)[::-1], "the training part has the shape"),
        (chapter.check_standardise, lambda a, b: standardise(a, b, power=2), "not by the variance"),
        (chapter.check_standardise, lambda a, b: standardise(a - int(a.mean()), b - int(a.mean())), "Subtract"),
        (chapter.check_centre, lambda image: image.copy(), "nothing has moved"),
        (chapter.check_centre, lambda image: centre(image, middle=13.5), "13.5"),
        (chapter.check_centre, lambda image: centre(image, middle=10), "is possible"),
        (chapter.check_centre, lambda image: np.ones_like(image), "must stay empty"),
        (chapter.check_centre, centre_losing_ink, "ink got lost"),
        (chapter.check_centre, lambda image: centre(image) // 2 * 2, "was changed on the way"),
    ],
)
def test_wrong(function, answer, message):
    with pytest.raises(WrongAnswer, match=message):
        function(answer)


NONSENSE = [None, "39600", [], {}, object(), 3 + 2j, np.nan, lambda *_: None, lambda *_: "x", lambda *_: 1 / 0]


@pytest.mark.parametrize("nonsense", NONSENSE)
@pytest.mark.parametrize("name", ["lazy", "size", "read_idx", "split", "standardise", "centre"])
def test_nonsense_is_refused_without_an_error(name, nonsense):
    with pytest.raises(WrongAnswer):
        getattr(chapter, f"check_{name}")(nonsense)


@pytest.mark.parametrize(
    ("function", "answer"),
    [
        (chapter.check_lazy, lambda train, test: np.float32(lazy(train, test))),
        (chapter.check_size, np.array([39_600])),
        (chapter.check_split, lambda *arguments: [part.tolist() for part in split(*arguments)]),
        (
            chapter.check_standardise,
            lambda a, b: [(x - a.mean()).astype("f") / np.float32(a.std(ddof=1)) for x in (a, b)],
        ),
        (chapter.check_centre, lambda image: centre(image).astype(float)),
    ],
)
def test_other_types_are_right_as_well(function, answer, capsys):
    function(answer)
    assert capsys.readouterr().out.startswith("Right.")


def test_ink_that_comes_in_again_at_the_other_side_is_refused():
    with pytest.raises(WrongAnswer, match="comes in again"):
        chapter.check_centre(lambda image: centre(image, limit=False))
