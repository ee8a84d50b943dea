"""Augmentation: what changes, what stays, and that the seed decides."""

import numpy as np
import pytest

import cnnlib
from cnnlib.digits import augmentation
from cnnlib.digits.augmentation import GRID, Distortion, _spline_weights, bilinear_sample, variants
from cnnlib.digits.mnist_frame import to_mnist_frame

STILL = {"rotation": 0, "shear": 0, "scale": 0, "shift": 0, "elastic": 0, "stroke_width": 0}


def digits(count=40):
    return cnnlib.load_digits().train_images[:count]


def centre(image):
    rows, columns = np.indices(image.shape)
    return np.array([(rows * image).sum(), (columns * image).sum()]) / image.sum()


def test_without_settings_nothing_changes():
    images = digits()
    same = Distortion(**STILL)(images, np.random.default_rng(0))
    np.testing.assert_allclose(same, images / 255, atol=1e-5)
    assert same.dtype == np.float32


def test_copies_within_range_decided_by_the_seed():
    images = digits()
    before = images.copy()
    first, again, other = (Distortion()(images, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(images, before)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any() and 0 <= first.min() <= first.max() <= 1
    assert (
        len({image.tobytes() for image in Distortion()(np.repeat(images[:1], 20, axis=0), np.random.default_rng(3))})
        == 20
    )


def test_shift_moves_and_rotation_does_not():
    images = digits(60) / np.float32(255)
    moved = Distortion(**STILL | {"shift": 3})(images, np.random.default_rng(4))
    steps = np.array([centre(b) - centre(a) for a, b in zip(images, moved, strict=True)])
    assert 1 < np.abs(steps).max() <= 3.01 and steps.min() < -1 and steps.max() > 1
    # Turned about the middle of the image, the centre of mass stays about where it is, and so does the ink.
    turned = Distortion(**STILL | {"rotation": 15})(images, np.random.default_rng(5))
    assert max(np.abs(centre(b) - centre(a)).max() for a, b in zip(images, turned, strict=True)) < 0.6
    np.testing.assert_allclose(turned.sum(axis=(1, 2)), images.sum(axis=(1, 2)), rtol=0.02)
    assert np.abs(turned - images).max() > 0.3


@pytest.mark.parametrize("name", ["rotation", "shear", "scale", "shift", "elastic", "stroke_width"])
def test_every_setting_does_something(name):
    images = digits(10)
    changed = Distortion(**STILL | {name: getattr(Distortion(), name)})(images, np.random.default_rng(6))
    assert np.abs(changed - images / 255).max() > 0.05


def test_thin_and_thick_strokes():
    images = digits(100) / np.float32(255)
    ink = Distortion(**STILL | {"stroke_width": 1})(images, np.random.default_rng(7)).sum(axis=(1, 2)) / images.sum(
        axis=(1, 2)
    )
    assert ink.min() < 0.6 and ink.max() > 1.5


class Fixed:
    """In the place of a random generator: every uniform number lies at `share` between its limits."""

    def __init__(self, share):
        self.share = share

    def uniform(self, low, high, shape=()):
        value = low + self.share * (high - low)
        return np.full(shape, value) if shape else value

    def normal(self, mean, deviation, shape):
        return np.full(shape, mean + deviation)


@pytest.mark.parametrize("share", [0, 0.25, 1])
@pytest.mark.parametrize("name", ["rotation", "shear", "scale", "shift", "elastic"])
def test_where_pixels_come_from_by_hand(name, share):
    """About the middle of the image: turned, leaned, stretched, moved, and bent by a grid of equal displacements."""
    limit = {"rotation": 90, "shear": 0.5, "scale": 1, "shift": 3, "elastic": 2}[name]
    amount = (2 * share - 1) * limit
    rows, columns = Distortion(**STILL | {name: limit}).sources(2, 5, 9, Fixed(share))
    r, s = np.meshgrid(np.arange(5) - 2.0, np.arange(9) - 4.0, indexing="ij")
    angle, factor = np.deg2rad(amount), 2 ** (amount / limit)
    bent = np.outer(_spline_weights(5).sum(axis=1), _spline_weights(9).sum(axis=1))  # 1 but for the edges
    expected = {
        "rotation": (np.cos(angle) * r - np.sin(angle) * s, np.sin(angle) * r + np.cos(angle) * s),
        "shear": (r, s + amount * r),
        "scale": (r * factor, s * factor),
        "shift": (r + amount, s + amount),
        "elastic": (r + 2 * bent, s + 2 * bent),
    }[name]
    assert rows.shape == columns.shape and (rows.shape == (2, 5, 9) or name in ("shear", "shift"))
    for found, middle, wanted in ((rows, 2, expected[0]), (columns, 4, expected[1])):
        np.testing.assert_allclose(np.broadcast_to(found, (2, 5, 9)) - middle, [wanted, wanted], atol=2e-5)


def test_every_image_has_its_own_numbers():
    images = np.repeat(digits(1) / np.float32(255), 3, axis=0)
    for name in STILL:
        changed = Distortion(**STILL | {name: 1})(images, np.random.default_rng(9))
        assert len({image.tobytes() for image in changed}) == 3
    rows, columns = Distortion(**STILL | {"scale": 1}).sources(1, 5, 5, np.random.default_rng(9))
    assert abs(rows[0, 0, 0] - columns[0, 0, 0]) > 0.1  # height and width change separately
    rows, columns = Distortion(**STILL | {"shift": 1}).sources(1, 5, 5, np.random.default_rng(9))
    assert abs(rows.flat[0] - columns.flat[0]) > 0.01


@pytest.mark.parametrize(
    ("share", "middle"), [(0, [0.2, 0.2, 0]), (0.25, [0.6, 0.2, 0]), (0.5, [1, 0.2, 0]), (1, [1, 0.84, 0])]
)
def test_strokes_become_thicker_or_thinner_by_hand(share, middle):
    """A line becomes as its neighbours are, up to the share 0.8, and its neighbours as it is."""
    for axis in (0, 1):
        image = np.full((1, 5, 5), 0.0)
        image[0, 2], image[0, 3] = 1, 0.2
        image = image if axis else image.transpose(0, 2, 1)
        changed = Distortion(**STILL | {"stroke_width": 0.8}).change_stroke_width(image, Fixed(share))
        line = changed[0, :, 2] if axis else changed[0, 2]
        amount = 1.6 * share - 0.8
        wanted = {2: 1 + min(amount, 0) * 1, 3: 0.2 + (0.8 if amount > 0 else 0.2) * amount, 4: 0.2 * max(amount, 0)}
        np.testing.assert_allclose(line[2:], [wanted[k] for k in (2, 3, 4)], atol=1e-6)
    assert Distortion(**STILL).change_stroke_width(image, Fixed(share)) is image


def stem():
    """An image of a stem, from row 4 to 23, and in columns 13 to 15."""
    image = np.zeros((28, 28), np.uint8)
    image[4:24, 13:16] = 255
    return image


@pytest.fixture
def added(monkeypatch):
    """The strokes that are added to images: rows, columns and pen."""
    found = []
    monkeypatch.setattr(augmentation, "_with_stroke", lambda image, *stroke: found.append(stroke))
    return found


@pytest.mark.parametrize("share", [0, 0.5, 1])
def test_a_one_gets_an_upstroke(share, added):
    """It leaves the stem at the top, 25 to 65 degrees from it, is 5 to 12 pixels long, and bent by up to a pixel."""
    augmentation.flagged_one(stem(), Fixed(share))
    rows, columns, pen = added[0]
    angle, length, bow = np.deg2rad(25 + 40 * share), 5 + 7 * share, 2 * share - 1
    np.testing.assert_allclose([rows[0], columns[0]], [5, 14], atol=1e-12)
    np.testing.assert_allclose([rows[-1], columns[-1]], [5 + length * np.cos(angle), 14 - length * np.sin(angle)])
    half = 5 + length / 2 * np.cos(angle) + bow * np.sin(angle), 14 - length / 2 * np.sin(angle) + bow * np.cos(angle)
    assert len(rows) == len(columns) == 5 and pen == pytest.approx(1.8 + 1.2 * share)
    np.testing.assert_allclose([rows[2], columns[2]], half)
    bent = (rows[1] - 5 - length / 4 * np.cos(angle), columns[1] - 14 + length / 4 * np.sin(angle))
    np.testing.assert_allclose(bent, bow * np.sqrt(0.5) * np.array([np.sin(angle), np.cos(angle)]), atol=1e-12)


@pytest.mark.parametrize("share", [0, 0.5, 1])
def test_a_seven_gets_a_bar(share, added):
    """Through the stem, at 40 to 75 hundredths of its height, 6 to 13 pixels long."""
    image = stem()
    image[4:6, 2:16] = 255
    augmentation.crossed_seven(image, Fixed(share))
    rows, columns, pen = added[0]
    half, slope, offset = 3 + 3.5 * share, -0.3 + 0.5 * share, -1.5 + 3.5 * share
    row = 4 + (0.4 + 0.35 * share) * 19
    np.testing.assert_allclose(columns, 14 + offset + np.array([-half, half]))
    np.testing.assert_allclose(rows, row + slope * (offset + np.array([-half, half])))
    assert pen == pytest.approx(1.8 + 1.2 * share)
    empty = np.zeros((28, 28), np.uint8)
    empty[4], empty[23] = 255, 255  # a row without ink has its bar at the left
    augmentation.crossed_seven(empty, Fixed(share))
    np.testing.assert_allclose(added[1][1], offset + np.array([-half, half]))


@pytest.mark.parametrize("share", [0, 0.5, 1])
def test_a_nine_gets_a_hook(share, added):
    """An arc to the left, of 80 to 170 degrees, from the lowest ink."""
    augmentation.hooked_nine(stem(), Fixed(share))
    rows, columns, pen = added[0]
    radius, angle, tall = 3 + 3.5 * share, np.deg2rad(80 + 90 * share), 0.6 + 0.5 * share
    along = np.arange(9) / 8 * angle
    np.testing.assert_allclose(rows, 22 + tall * radius * np.sin(along))
    np.testing.assert_allclose(columns, 14 - radius + radius * np.cos(along))
    assert pen == pytest.approx(1.8 + 1.2 * share)


def test_the_end_of_a_stroke_lies_one_pixel_inside():
    image = stem()
    assert augmentation._end_of_stroke(image, top=True) == (5, 14)
    assert augmentation._end_of_stroke(image, top=False) == (22, 14)
    image[5, 15], image[22, 13] = 0, 51  # the centre of the ink there
    assert augmentation._end_of_stroke(image, top=True) == (5, 13.5)
    assert augmentation._end_of_stroke(image, top=False)[1] == pytest.approx((0.2 * 13 + 14 + 15) / 2.2)
    image[3], image[24] = 127, 127  # faint, beside dark ink
    assert augmentation._end_of_stroke(image, top=True)[0] == 5
    assert augmentation._end_of_stroke(image, top=False)[0] == 22
    image[3, 14], image[24, 14] = 128, 128
    assert augmentation._end_of_stroke(image, top=True)[0] == 4
    assert augmentation._end_of_stroke(image, top=False)[0] == 23
    faint = stem() // 100  # 2: what is 1 less is none
    faint[20, 20] = 1
    assert augmentation._end_of_stroke(faint, top=True) == (5, 14)
    one = np.zeros((28, 28), np.uint8)
    one[9, 4] = 255
    assert augmentation._end_of_stroke(one, top=True) == augmentation._end_of_stroke(one, top=False) == (9, 4)
    two = np.zeros((28, 28), np.uint8)
    two[[3, 20], [4, 6]] = 255
    assert augmentation._end_of_stroke(two, top=True) == (3, 4)
    assert augmentation._end_of_stroke(two, top=False) == (20, 6)


def test_a_stroke_is_drawn_over_the_image():
    """And then both come into MNIST's frame; the stroke has round ends, and may reach beyond the image."""
    image = stem()
    new = augmentation._with_stroke(image, np.array([10.0, 10.0]), np.array([8.0, 20.0]), 2.0)
    expected = image / 255
    expected[9:12, 8:21] = np.maximum(expected[9:12, 8:21], [[0.5], [1], [0.5]])
    expected[9:12, [7, 21]] = np.array([[1.5 - np.sqrt(2)], [0.5], [1.5 - np.sqrt(2)]])
    np.testing.assert_allclose(new.astype(int), 255 * to_mnist_frame(expected), atol=0.6)
    assert new.dtype == np.uint8
    far = augmentation._with_stroke(image, np.array([-9.0, 36.0]), np.array([14.0, 14.0]), 2.0)
    assert np.ptp(np.flatnonzero(far.any(axis=1))) + 1 == 20
    assert np.flatnonzero((far > 127).any(axis=0)).tolist() in ([13], [14])  # the stem, too, is narrow by now


def test_sampling_between_pixels():
    images = np.zeros((1, 3, 3))
    images[0, 1, 1], images[0, 1, 2] = 1, 0.5
    at = np.array([[[1.0, 1.0, 0.5, 1.0, -4.0, 2.5]]])
    np.testing.assert_allclose(
        bilinear_sample(images, at, np.array([[[1.0, 1.5, 1.0, 2.5, 1.0, 9.0]]])), [[[1, 0.75, 0.5, 0.25, 0, 0]]]
    )


def test_spline_weights_are_a_partition_of_unity():
    weights = _spline_weights(28)
    assert weights.shape == (28, GRID)
    np.testing.assert_allclose(weights[6:-6].sum(axis=1), 1, rtol=1e-6)
    # Cubic B-splines: 2/3 at the centre, 1/6 at a distance of 1, and 23/48 and 1/48 half way.
    near = np.array([[23, 23, 1, 0, 0], [8, 32, 8, 0, 0], [1, 23, 23, 1, 0], [0, 8, 32, 8, 0]]) / 48
    np.testing.assert_allclose(_spline_weights(7), [*near, *near[2::-1, ::-1]], atol=1e-6)


def test_variants_add_strokes_to_ones_sevens_and_nines():
    data = cnnlib.load_digits()
    images, labels = variants(data.train_images, data.train_labels, 0.2, np.random.default_rng(8))
    expected = {label: round(0.2 * (data.train_labels == label).sum()) for label in (1, 7, 9)}
    assert {label: int((labels == label).sum()) for label in (1, 7, 9)} == expected and len(labels) == sum(
        expected.values()
    )
    assert images.shape[1:] == (28, 28) and images.dtype == np.uint8
    boxes = [np.ptp(np.argwhere(image), axis=0).max() + 1 for image in images]
    assert set(boxes) == {20}  # in MNIST's frame again
    columns = {True: images[labels == 1], False: data.train_images[data.train_labels == 1]}
    widths = {varied: (ones.max(axis=1) > 100).sum(axis=1).mean() for varied, ones in columns.items()}
    assert widths[True] > widths[False] + 1  # the upstroke reaches out to the left
    none = variants(data.train_images, data.train_labels, 0, np.random.default_rng(8))
    assert len(none[0]) == len(none[1]) == 0


def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r"expected images of shape \(N, H, W\), got shape \(28, 28\)"):
        Distortion()(np.zeros((28, 28)), np.random.default_rng(0))
