"""Everything public about digits refuses wrong arguments by their name, with the built-in error that fits."""

import re

import numpy as np
import pytest

import cnnlib
from cnnlib.digits.augmentation import LIMITS, Distortion, variants
from cnnlib.digits.detection import average_precision, suppress
from cnnlib.digits.fine_tuning import FineTuner
from cnnlib.digits.mnist_frame import to_mnist_frame
from cnnlib.digits.sample_drawings import sample_drawings
from cnnlib.digits.scenes import make_scenes
from cnnlib.digits.strokes import PREPARATIONS, rasterize

RNG = np.random.default_rng(0)
NO_NUMBERS = [None, "1", [1], np.zeros(2), 1j, True, object(), {}]
ODD_ARRAYS = [
    None,
    "abc",
    object(),
    np.array(["a"]),
    np.array([1j]),
    np.array(["2020"], "datetime64[D]"),
    np.zeros(2, [("a", float)]),
    [[1, 2], [3]],
    {},
]


def test_the_largest_settings_of_a_distortion():
    """As its docstring has them."""
    assert LIMITS == {"rotation": 180, "shear": 10, "scale": 10, "shift": 1_000, "elastic": 1_000, "stroke_width": 1}


@pytest.mark.parametrize("name", LIMITS)
def test_settings_of_a_distortion(name):
    for value in (-1, np.nan, np.inf, -np.inf, 1e300, LIMITS[name] + 1):
        message = re.escape(f"{name} must be a number in [0, {LIMITS[name]}], got {value!r}")
        with pytest.raises(ValueError, match=message):
            Distortion(**{name: value})
    for value in NO_NUMBERS:
        with pytest.raises(TypeError, match=f"{name} must be a number, got"):
            Distortion(**{name: value})
    images = np.zeros((2, 28, 28), np.float32)
    images[:, 10:18] = 1
    largest = Distortion(**{name: LIMITS[name]})(images, np.random.default_rng(0))
    assert np.isfinite(largest).all() and 0 <= largest.min() <= largest.max() <= 1


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (np.zeros((28, 28)), ValueError, r"shape \(N, H, W\), got shape \(28, 28\)"),
        (np.zeros((2, 1, 28, 28)), ValueError, r"got shape \(2, 1, 28, 28\)"),
        (np.full((1, 3, 3), 255.0), ValueError, r"from 0 to 1, got 255\.0 to 255\.0; divide"),
        (np.full((1, 3, 3), np.nan), ValueError, "from 0 to 1, got nan"),
        (np.ones((1, 3, 3), int), TypeError, r"got int64; .*astype\(np\.uint8\)"),
        (np.ones((1, 3, 3), np.uint8), ValueError, r"nothing above 1; .*astype\(bool\)"),
        *[(odd, (TypeError, ValueError), "expected images") for odd in ODD_ARRAYS],
    ],
)
def test_images_to_distort(images, error, message):
    with pytest.raises(error, match=message):
        Distortion()(images, RNG)


@pytest.mark.parametrize("rng", [0, None, "seed", np.random.RandomState(0), np.random])
def test_what_is_no_random_generator(rng):
    calls = [
        lambda: Distortion()(np.zeros((1, 28, 28)), rng),
        lambda: variants(np.zeros((1, 28, 28), np.uint8), np.array([1]), 0.5, rng),
    ]
    for call in calls + ([lambda: cnnlib.lenet5(rng)] if rng is not None else []):
        with pytest.raises(
            TypeError, match=r"rng must be a random generator such as np\.random\.default_rng\(0\), got"
        ):
            call()


@pytest.mark.parametrize(
    ("images", "labels", "share", "error"),
    [
        (np.zeros((1, 28, 28)), [1], 0.5, ValueError),
        (np.zeros((1, 20, 20), np.uint8), [1], 0.5, ValueError),
        (np.zeros((2, 28, 28), np.uint8), [1], 0.5, ValueError),
        (np.zeros((1, 28, 28), np.uint8), [1], 1.5, ValueError),
        (np.zeros((1, 28, 28), np.uint8), [1], np.nan, ValueError),
        (np.zeros((1, 28, 28), np.uint8), [1], None, TypeError),
    ],
)
def test_arguments_of_variants(images, labels, share, error):
    with pytest.raises(error):
        variants(images, labels, share, RNG)


@pytest.mark.parametrize("label", [1, 7, 9])
@pytest.mark.parametrize("value", [1, 2, 100, 127, 128, 255])
@pytest.mark.parametrize("row", [0, 14, 27])
def test_variants_of_odd_images(label, value, row):
    """Faint ones, dots, lines at the border, pieces apart from each other; and blank ones, which stay out."""
    images = np.zeros((5, 28, 28), np.uint8)
    images[0, row, 14] = value
    images[1, row] = value
    images[2, [row, 13], [3, 20]] = value
    images[3, [0, 27], [0, 27]] = value
    images[:4, 5, 5] = np.maximum(images[:4, 5, 5], 2)  # so that it is not taken for an image of truth values
    new, labels = variants(images, np.full(5, label), 1, np.random.default_rng(0))
    assert new.shape == (4, 28, 28) and labels.tolist() == [label] * 4 and new.any(axis=(1, 2)).all()


@pytest.mark.parametrize("value", [None, "1", 1.0, [1], True])
def test_numbers_of_drawings(value):
    for name in ("each", "seed"):
        with pytest.raises(TypeError, match=f"{name} must be a whole number, got"):
            sample_drawings(**{name: value})
    with pytest.raises(ValueError, match="each must be at least 1, got 0"):
        sample_drawings(0)
    with pytest.raises(ValueError, match="seed must be at least 0, got -1"):
        sample_drawings(seed=-1)


@pytest.mark.parametrize("name", PREPARATIONS)
@pytest.mark.parametrize("strokes", [None, 5, "abc", b"ab", {}, object()])
def test_what_holds_no_strokes(name, strokes):
    with pytest.raises(TypeError, match="strokes must be a list of arrays of shape"):
        PREPARATIONS[name](strokes)


@pytest.mark.parametrize("name", PREPARATIONS)
@pytest.mark.parametrize(
    "stroke", [None, "ab", [["1", "2"]], [[1j, 0]], np.zeros((2, 3)), [1, 2], [[np.nan, 0]], [[1, 2], [3]], 5]
)
def test_what_is_no_stroke(name, stroke):
    with pytest.raises(ValueError, match=r"strokes\[1\] .*"):
        PREPARATIONS[name]([[(1, 2)], stroke])


@pytest.mark.parametrize("name", PREPARATIONS)
def test_no_strokes_give_an_image_without_ink(name):
    for strokes in ([], [[]], np.zeros((0, 2)), iter([])):
        image = PREPARATIONS[name](strokes)
        assert image.shape == (28, 28) and np.ptp(image) == 0


@pytest.mark.parametrize("pen", NO_NUMBERS)
def test_pens_that_are_no_numbers(pen):
    with pytest.raises(TypeError, match="pen must be a number, got"):
        rasterize([[(0, 0)]], pen)


@pytest.mark.parametrize("image", ODD_ARRAYS)
def test_images_to_frame(image):
    with pytest.raises((TypeError, ValueError), match="expected an image"):
        to_mnist_frame(image)


def test_truth_values_of_dtype_uint8_are_not_read_as_black():
    image = np.zeros((5, 5), np.uint8)
    image[1:4, 2] = 1
    with pytest.raises(ValueError, match=r"nothing above 1; .*astype\(bool\)"):
        to_mnist_frame(image)
    assert to_mnist_frame(image.astype(bool)).max() == 1


@pytest.fixture(scope="module")
def tuner():
    return FineTuner(cnnlib.load_pretrained(), replay=cnnlib.load_digits().train_images[:20])


@pytest.mark.parametrize(
    ("labels", "error"),
    [
        ([1.5], TypeError),
        (["1"], TypeError),
        ([None], TypeError),
        ([True], TypeError),
        ([[1]], TypeError),
        (None, TypeError),
        (3, TypeError),
        ([-1], ValueError),
        ([10], ValueError),
        ([1, 2], ValueError),
    ],
)
def test_labels_to_learn(labels, error, tuner):
    image = np.full((1, 28, 28), 0.5)
    with pytest.raises(error, match="label|from 0 to 9"):
        tuner.fine_tune(image, labels)


@pytest.mark.parametrize(
    ("images", "error"),
    [
        (np.full((1, 28, 28), 255.0), ValueError),
        (np.full((1, 28, 28), np.nan), ValueError),
        (np.full((1, 28, 28), 255), TypeError),
        (np.zeros((1, 20, 28)), ValueError),
        (["abc"], TypeError),
        ([None], TypeError),
    ],
)
def test_images_to_learn(images, error, tuner):
    before = {name: array.copy() for name, array in tuner.network.parameters().items()}
    with pytest.raises(error, match="expected"):
        tuner.fine_tune(images, [1])
    for value in (-1, 1.5, "0", None):
        with pytest.raises((TypeError, ValueError), match="seed must be"):
            tuner.fine_tune(np.zeros((1, 28, 28)), [1], seed=value)
    for name, array in tuner.network.parameters().items():
        np.testing.assert_array_equal(array, before[name])


@pytest.mark.parametrize("network", [None, "lenet5", cnnlib.lenet5, cnnlib.Softmax()])
def test_what_is_no_network(network):
    with pytest.raises(TypeError, match="network must be a Network, got"):
        FineTuner(network)


def test_a_network_without_probabilities():
    scores = cnnlib.Network([cnnlib.Flatten(), cnnlib.Dense(784, 10)], (1, 28, 28))
    with pytest.raises(ValueError, match=r"predicts probabilities.* is Dense\(.*expected Softmax"):
        FineTuner(scores)


@pytest.mark.parametrize("replay", [np.full((1, 28, 28), 255.0), "abc", np.zeros((28, 28)), [None]])
def test_what_cannot_be_replayed(replay):
    with pytest.raises((TypeError, ValueError), match="expected replay|from 0 to 1"):
        FineTuner(cnnlib.load_pretrained(), replay)


@pytest.fixture(scope="module")
def pad():
    return cnnlib.DigitPad()


@pytest.mark.filterwarnings("ignore")
def test_arguments_of_the_pad(pad):
    with pytest.raises(TypeError, match="network must be a Network"):
        cnnlib.DigitPad("lenet5")
    for strokes, error in ((None, TypeError), ("abc", TypeError), ([[(0, 0, 0)]], ValueError), ([["a"]], ValueError)):
        with pytest.raises(error, match="strokes"):
            pad.draw(strokes)
    pad.draw([[(10, 10), (200, 200)]])
    for digit in (10, -1, 1.5, None, "1", [1], np.array([1, 2]), np.nan):
        with pytest.raises(ValueError, match="expected a digit from 0 to 9, got"):
            pad.fine_tune(digit)


@pytest.mark.filterwarnings("ignore")
def test_what_the_pad_shows_is_text(pad, tmp_path):
    pad.path_field.value = str(tmp_path / "<img src=x onerror=alert(1)>.npz")
    pad._save_clicked()
    assert "<img" not in pad.message.value and "&lt;img" in pad.message.value
    pad.path_field.value = "a\0b"
    pad._save_clicked()
    assert "could not be saved" in pad.message.value


@pytest.mark.parametrize("value", [None, "abc", object(), np.nan, [1], [[1, 2], [3]], np.ones((2, 3)), 1j, -1, 10**12])
def test_what_scenes_boxes_and_drawings_are_made_of(value):
    """The error is ours, and names the argument."""
    images, labels = np.full((2, 28, 28), 200, np.uint8), [1, 2]
    scenes = make_scenes(images, labels, 1, RNG, digits=(1, 1))
    found, boxes = [(np.zeros((0, 4)), np.zeros(0, int), np.zeros(0))], [[0, 0, 1, 1]]
    tuner = object.__new__(FineTuner)  # its arguments are looked at before its network
    tuner.network = cnnlib.lenet5(RNG)
    calls = {
        "count": lambda: make_scenes(images, labels, value, RNG),
        "heights": lambda: make_scenes(images, labels, 1, RNG, heights=value),
        "scores": lambda: suppress(boxes, value, 0.5),
        "max_iou": lambda: suppress(boxes, [0.5], value),
        "label": lambda: average_precision(found, scenes, value),
        "min_iou": lambda: average_precision(found, scenes, 1, value),
        "images": lambda: tuner.fine_tune(value, labels),
        "labels": lambda: tuner.fine_tune(images, value),
    }
    for name, call in calls.items():
        if name == "scores" and isinstance(value, list) and value == [1]:
            continue  # these are scores
        with pytest.raises((TypeError, ValueError), match=name):
            call()


@pytest.mark.parametrize(
    ("call", "name", "shape"),
    [
        (lambda images: Distortion()(images, RNG), "images", "(N, H, W)"),
        (lambda images: variants(images, [1], 1, RNG), "images", "(N, 28, 28)"),
        (to_mnist_frame, "an image", "(height, width)"),
        (cnnlib.looks_like_digit, "images", "(N, 28, 28)"),
        (lambda images: make_scenes(images, [1], 1, RNG), "images", "(M, H, W)"),
        (lambda images: FineTuner(cnnlib.load_pretrained(), images), "replay", "(N, 28, 28)"),
    ],
)
def test_images_are_called_by_their_names(call, name, shape):
    images = np.zeros(3)
    with pytest.raises(ValueError, match=f"^{re.escape(f'expected {name} of shape {shape}, got shape (3,)')}$"):
        call(images)


def test_images_to_learn_are_called_by_their_name(tuner):
    with pytest.raises(ValueError, match=r"^expected images of shape \(N, 28, 28\), got shape \(3,\)$"):
        tuner.fine_tune(np.zeros(3), [1])


@pytest.mark.parametrize(
    ("images", "labels"),
    [(np.zeros((1, 28, 28)), [1]), (np.zeros((1, 20, 20), np.uint8), [1]), (np.zeros((2, 28, 28), np.uint8), [1])],
)
def test_what_variants_says_of_them(images, labels):
    message = (
        f"expected images (N, 28, 28) of uint8 and labels (N,), got {images.dtype} of shape {images.shape} and "
        "labels of shape (1,)"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        variants(images, labels, 1, RNG)
