"""Train the network that tells digits from everything else, and store it with its threshold.

    pip install Hershey-Fonts
    CNNLIB_DATA=FOLDER python scripts/make_rejecter.py --fonts FONTS

writes cnnlib/resources/digit_or_not.npz (a network with two outputs, "no digit" and "digit") from

- digits: MNIST's training images; pen strokes of 16 of the 30 writers in CNNLIB_DATA/pendigits, drawn as the pad draws
  them, as pictures are read, and in all states of `measure_pictures.py`, so that remains of paper lines and frames do
  not count against a digit; sample drawings; the small digits of the package; digits in fonts, and of straight lines;
- letters and signs in the fonts of FONTS and in two families of Matplotlib's, printed or thinned and drawn with a pen,
  and in Hershey's fonts of strokes, these in all states of pictures, too;
- scribbles of random walks, polygons, arcs and lines, these in all states of pictures, too; smooth curves; things made
  of rings, boxes and lines; several digits as one; digits turned by 90 degrees;
- clothes (training images of Fashion-MNIST); pieces of twelve of the photographs that come with scikit-image; blots.

All are distorted a little. Letters that are digits in most handwriting (`LIKE_DIGITS`) are no part of it. FONTS are the
.ttf and .otf files of these packages of Debian: fonts-breip, -bwht, -dkg-handwriting, -comic-neue, -dancingscript,
-dustin, -ecolier-court, -femkeklaver, -humor-sans, -kristi, -leckerli-one, -kaushanscript, -rufscript, -sjfonts,
-tomsontalks, -staypuft, -junction, -cabin, -comfortaa, -lobstertwo, -havana, -yanone-kaffeesatz, -isabella,
-levien-typoscript, -yusei-magic and -urw-base35.

The threshold is chosen on four other writers, also in all states of pictures, and on images of MNIST and small digits
that are set aside: of none of these kinds more than `REFUSED` are refused. The temperature for
`cnnlib.digits.confidence.calibrate` is chosen, too, on such images of MNIST, and on drawings and photographs of the
first twenty writers' digits. `measure_rejecter.py` judges by other fonts, scribbles, photographs, and writers.
"""

import argparse
import functools
import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from measure_pictures import STATES
from PIL import Image, ImageDraw, ImageFont

import cnnlib
from cnnlib.digits.augmentation import Distortion, variants
from cnnlib.digits.mnist_frame import _shape_or_colour, frame_of, to_mnist_frame
from cnnlib.digits.pictures import find_digits
from cnnlib.digits.sample_drawings import sample_drawings
from cnnlib.digits.strokes import rasterize
from cnnlib.files import atomic_write

OUTPUT = Path(__file__).resolve().parents[1] / "cnnlib" / "resources" / "digit_or_not.npz"
LIKE_DIGITS = "OoIlSsZzBbgq"  # 0, 0, 1, 1, 5, 5, 2, 2, 8, 6, 9, 9
LETTERS = "ACDEFGHJKLMNPQRTUVWXYacdefhijkmnprtuvwxy"  # without these
SIGNS = "&@#%?+=*<>$§£€~^{}äöüñçÄÜαβγδζηλμξπρφψωΓΔΘΛΞΠΣΦΨΩДЖИЙЛУФЦШЩЫЮЯ"
TRAINING_WRITERS = range(1, 17)
VALIDATION_WRITERS = range(17, 21)
VALIDATION_IMAGES = slice(57_500, 60_000)  # of MNIST's training images; the network of the package saw none of them
TRAINING_PHOTOGRAPHS = (
    *("astronaut.png", "brick.png", "cell.png", "clock_motion.png", "color.png", "grass.png", "ihc.png"),
    *("moon.png", "motorcycle_left.png", "page.png", "retina.jpg", "hubble_deep_field.jpg"),
)
REFUSED = 0.012
NO_LETTERS = ("D050000L", "StandardSymbols", "flatline")  # files of fonts whose letters are none


TRAINING_FONTS = ("DejaVu", "STIXGeneral")  # of Matplotlib's
OTHER_FONTS = ("cmb10", "cmr10", "cmss10", "cmtt10")  # Computer Modern, by which the tests judge


def matplotlib_fonts(names: tuple[str, ...]) -> list[str]:
    """Return the files of Matplotlib's fonts whose names begin so, without DejaVu's for large sizes."""
    from matplotlib import get_data_path

    files = sorted((Path(get_data_path()) / "fonts" / "ttf").glob("*.ttf"))
    return [str(file) for file in files if file.name.startswith(names) and "Display" not in file.name]


def training_fonts(folder: Path) -> list[str]:
    """Return two families of Matplotlib's fonts, and those in a folder and in the folders in it."""
    files = sorted(file for file in folder.rglob("*") if file.suffix in (".ttf", ".otf") and file.exists())
    if not files:
        raise SystemExit(f"there are no fonts in {folder}: see the beginning of scripts/make_rejecter.py")
    return matplotlib_fonts(TRAINING_FONTS) + [str(file) for file in files if not file.name.startswith(NO_LETTERS)]


@functools.cache
def glyph(font: str, character: str, size: int = 40) -> np.ndarray:
    """Return a character as ink (H, W) from 0 to 1, with a margin; empty if the font does not have it."""
    drawn = ImageFont.truetype(font, size)
    image, none = (Image.new("L", (3 * size, 3 * size)) for _ in range(2))
    ImageDraw.Draw(image).text((size, size // 2), character, fill=255, font=drawn)
    ImageDraw.Draw(none).text((size, size // 2), "\uffff", fill=255, font=drawn)  # what stands for a missing one
    box = image.getbbox()
    if box is None or image.tobytes() == none.tobytes() or max(box[2] - box[0], box[3] - box[1]) < size // 4:
        return np.zeros((0, 0))
    return np.pad(np.asarray(image.crop(box), float) / 255, size // 4)


def warped(ink: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return ink sheared and stretched at random, as hands do."""
    shear, wide = rng.uniform(-0.35, 0.35), np.exp(rng.uniform(-0.3, 0.3))
    height, width = ink.shape
    side = round(1.5 * max(height, width))
    middle = np.array([width / 2, height / 2]) - np.array([wide * side / 2 + shear * side / 2, side / 2])
    matrix = (wide, shear, middle[0], 0, 1, middle[1])
    image = Image.fromarray((255 * ink).astype(np.uint8))
    return np.asarray(image.transform((side, side), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)) / 255


def written(ink: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the thinned lines of ink, drawn with a pen."""
    from scipy.ndimage import distance_transform_edt
    from skimage.morphology import skeletonize

    skeleton = skeletonize(ink > 0.5)
    if not skeleton.any():
        return ink
    rows, columns = np.nonzero(skeleton)
    pen = max(np.ptp(rows), np.ptp(columns), 8) / 20 * rng.uniform(1.8, 3.2)
    return np.clip(pen / 2 - distance_transform_edt(~skeleton) + 0.5, 0, 1)


def characters(fonts: list[str], text: str, count: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Draw random characters of a text in random fonts, printed or with a pen, as images (28, 28)."""
    while count:
        ink = glyph(fonts[rng.integers(len(fonts))], text[rng.integers(len(text))])
        if not ink.size:
            continue
        ink = warped(ink, rng)
        image = frame_of(written(ink, rng) if rng.random() < 0.6 else ink)
        if image.any():
            count -= 1
            yield image


def hershey(text: str, count: int, rng: np.random.Generator) -> Iterator[list[np.ndarray]]:
    """Return the strokes of random characters of a text in Hershey's fonts, a little out of place."""
    from HersheyFonts import HersheyFonts

    fonts = {}
    for name in ("futural", "cursive", "rowmans", "scripts", "timesi", "greek"):
        fonts[name] = HersheyFonts()
        fonts[name].load_default_font(name)
    names = list(fonts)
    while count:
        strokes = list(fonts[names[rng.integers(len(names))]].strokes_for_text(text[rng.integers(len(text))]))
        strokes = [np.array(list(stroke), float) for stroke in strokes]
        strokes = [stroke for stroke in strokes if len(stroke)]
        if not strokes or sum(map(len, strokes)) < 3:
            continue
        size = np.ptp(np.concatenate(strokes), axis=0).max()
        matrix = np.array([[np.exp(rng.normal(0, 0.15)), rng.uniform(-0.3, 0.3)], [0, 1]])
        count -= 1
        yield [stroke @ matrix.T + rng.normal(0, 0.03 * size, stroke.shape) for stroke in strokes]


def drawn(all_strokes, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Draw strokes as the pad draws them, with any pen."""
    for strokes in all_strokes:
        yield rasterize(strokes, rng.uniform(1.7, 3.4))


def in_states(all_strokes: list, rng: np.random.Generator, labels: np.ndarray | None = None) -> Iterator[np.ndarray]:
    """Draw strokes into pictures in the states of `measure_pictures.py`, one after the other, and find them there.

    With labels, only images are returned that the network of the package reads as these: the others are not the digit.
    """
    network = cnnlib.load_pretrained()
    states = list(STATES.values())
    for number, strokes in enumerate(all_strokes):
        points = np.concatenate(strokes)
        low, size = points.min(axis=0), max(np.ptp(points, axis=0).max(), 1e-6)
        picture = states[number % len(states)]([(np.asarray(stroke) - low) / size for stroke in strokes], rng)
        found = find_digits(colours_of(picture))
        if not found:
            continue
        image = frame_of(max(found, key=lambda digit: digit.ink.size).ink)
        if image.any() and (labels is None or network.predict(image[np.newaxis])[0].argmax() == labels[number]):
            yield image


def colours_of(picture) -> np.ndarray:
    """Return what `read_colours` reads from the file of a picture: colours (H, W, 3) from 0 to 1."""
    if not isinstance(picture, tuple):
        return np.floor(np.clip(picture, 0, 255)).astype(np.float32) / 255
    colours, alpha = picture
    return _shape_or_colour(np.dstack([colours / 255, alpha]).astype(np.float32))


# Digits of straight lines, as a mouse, a ruler or a display draws them; in a square from 0 to 1, y down
PLAIN = (
    ("0,0 1,0 1,1 0,1 0,0", ".5,0 .9,.25 .9,.75 .5,1 .1,.75 .1,.25 .5,0"),
    (".5,0 .5,1", ".2,.25 .5,0 .5,1", ".2,.25 .5,0 .5,1;.2,1 .8,1"),
    ("0,0 1,0 1,.5 0,.5 0,1 1,1", "0,.2 .3,0 .8,0 1,.25 0,1 1,1"),
    ("0,0 1,0 1,1 0,1;0,.5 1,.5", "0,.1 .5,0 .9,.2 .4,.5 1,.75 .6,1 0,.9", "0,0 1,0 .4,.4 1,.7 .5,1 0,.9"),
    ("0,0 0,.5 1,.5;1,0 1,1", ".6,0 0,.7 1,.7;.7,.4 .7,1", ".7,1 .7,0 0,.7 1,.7"),
    ("1,0 0,0 0,.5 1,.5 1,1 0,1", "1,0 .1,0 0,.45 .6,.4 1,.7 .6,1 0,.9"),
    ("1,0 0,0 0,1 1,1 1,.5 0,.5", ".8,0 .2,.4 0,.75 .4,1 .9,.8 .6,.55 .1,.7"),
    ("0,0 1,0 1,1", "0,0 1,0 .4,1", "0,0 1,0 .4,1;.3,.5 .9,.5"),
    ("0,0 1,0 1,1 0,1 0,0;0,.5 1,.5", ".5,.45 .1,.2 .5,0 .9,.2 .5,.45 0,.75 .5,1 1,.75 .5,.45"),
    ("1,.5 0,.5 0,0 1,0 1,1 0,1", ".9,.3 .5,.5 .1,.3 .5,0 .9,.2 .9,.3 .7,1"),
)


def plain_digits(count: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Draw digits of straight lines, a little out of place."""
    for _ in range(count):
        shapes = PLAIN[rng.integers(10)]
        strokes = [
            np.array([[float(value) for value in point.split(",")] for point in stroke.split()])
            for stroke in shapes[rng.integers(len(shapes))].split(";")
        ]
        matrix = np.array([[rng.uniform(0.45, 0.9), rng.uniform(-0.25, 0.15)], [0, 1]])
        yield rasterize(
            [stroke @ matrix.T + rng.normal(0, 0.02, stroke.shape) for stroke in strokes], rng.uniform(1.8, 3.4)
        )


def scribbles(count: int, rng: np.random.Generator) -> Iterator[list[np.ndarray]]:
    """Return strokes of random walks, polygons, stars, arcs, crosses, zigzags and lines, one to five in an image."""
    for _ in range(count):
        strokes = []
        for _ in range(rng.choice([1, 2, 3, 4, 5], p=[0.45, 0.25, 0.15, 0.1, 0.05])):
            kind = rng.integers(7)
            place, size = rng.uniform(0, 1, 2), rng.uniform(0.3, 1)
            if kind == 0:  # a random walk whose direction turns
                turn = np.cumsum(rng.normal(0, rng.uniform(0.2, 1.2), rng.integers(12, 90)))
                steps = np.stack([np.cos(turn), np.sin(turn)], axis=1)
                stroke = np.cumsum(steps, axis=0) * size / 12
            elif kind == 1:  # points anywhere, joined by lines
                stroke = rng.uniform(0, size, (rng.integers(4, 12), 2))
            elif kind == 2:  # a polygon or star
                corners = rng.integers(3, 8)
                step = rng.choice([1, 2]) if corners >= 5 else 1
                angle = 2 * np.pi * step * np.arange(corners + 1) / corners + rng.uniform(0, 2 * np.pi)
                stroke = size / 2 * np.stack([np.cos(angle), rng.uniform(0.5, 1) * np.sin(angle)], axis=1)
            elif kind == 3:  # a spiral or an arc
                angle = np.linspace(0, rng.uniform(2, 20), 60) + rng.uniform(0, 6)
                radius = np.linspace(rng.uniform(0, 1), 1, 60) * size / 2
                stroke = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
            elif kind == 4:  # a cross
                angle = rng.uniform(0, np.pi)
                arm = size / 2 * np.array([np.cos(angle), np.sin(angle)])
                strokes.append(np.array([place - arm, place + arm]))
                stroke = np.array([-arm[::-1] * [1, -1], arm[::-1] * [1, -1]])
            elif kind == 5:  # a zigzag
                teeth = rng.integers(4, 14)
                stroke = np.stack([np.arange(teeth) / teeth, np.arange(teeth) % 2 * rng.uniform(0.2, 1)], axis=1) * size
                stroke = stroke[:, ::-1] if rng.random() < 0.4 else stroke
            else:  # a wave
                t = np.linspace(0, 1, 50)
                stroke = size * np.stack([t, 0.3 * np.sin(rng.uniform(8, 30) * t)], axis=1)
            strokes.append(stroke + place)
        if len(strokes) == 1 and kind == 3 and rng.random() < 0.7:
            strokes.append(rng.uniform(0, 1, (3, 2)))  # an arc alone may be a 0, a 6 or a 9
        yield strokes


def splines(count: int, rng: np.random.Generator) -> Iterator[list[np.ndarray]]:
    """Return one or two smooth curves through five to twelve random points each, some of them closed."""
    from scipy.interpolate import CubicSpline

    for _ in range(count):
        strokes = []
        for _ in range(rng.choice([1, 2], p=[0.8, 0.2])):
            points = rng.uniform(0, 1, (rng.integers(5, 13), 2)) * rng.uniform(0.5, 1, 2)
            closed = rng.random() < 0.4
            points = np.vstack([points, points[:1]]) if closed else points
            spline = CubicSpline(np.arange(len(points)), points, bc_type="periodic" if closed else "natural")
            strokes.append(spline(np.linspace(0, len(points) - 1, 12 * len(points))))
        yield strokes


def things(count: int, rng: np.random.Generator) -> Iterator[list[np.ndarray]]:
    """Return strokes of two to seven rings, boxes, triangles, lines, arcs and dots, many of them in symmetry."""
    around = np.linspace(0, 2 * np.pi, 25)
    shapes = [
        np.stack([np.cos(around), np.sin(around)], axis=1),
        np.array([[-1, -1], [1, -1], [1, 1], [-1, 1], [-1, -1]], float),
        np.array([[0, -1], [1, 1], [-1, 1], [0, -1]], float),
        np.array([[-1, 0], [1, 0]], float),
        np.array([[0, -1], [0, 1]], float),
        np.array([[-1, 1], [1, -1]], float),
        np.stack([np.cos(around[:13]), np.sin(around[:13])], axis=1),
        np.zeros((1, 2)),
    ]
    for _ in range(count):
        strokes = []
        large = shapes[rng.integers(7)] * rng.uniform(0.4, 1, 2)
        if rng.random() < 0.7:
            strokes.append(large)
        mirrored = rng.random() < 0.6
        while len(strokes) < 2 or (len(strokes) < 7 and rng.random() < 0.55):
            shape = shapes[rng.integers(len(shapes))] * rng.uniform(0.1, 0.6, 2) + rng.uniform(-1, 1, 2)
            strokes.append(shape)
            if mirrored:
                strokes.append(shape * [-1, 1])
        angle = rng.normal(0, 0.15)
        matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        yield [stroke @ matrix + rng.normal(0, 0.02, stroke.shape) for stroke in strokes]


def several(images: np.ndarray, count: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Put two or three digits side by side, or one above the other, and take them for one."""
    for _ in range(count):
        some = [image[:, image.any(axis=0)] for image in images[rng.integers(len(images), size=rng.integers(2, 4))]]
        kind = rng.integers(4)
        if kind == 3:
            pair = np.vstack([np.pad(part, ((0, 0), (0, 28 - part.shape[1]))) for part in some[:2]])
        else:
            gaps = [np.zeros((28, int(rng.integers(0, 4))), np.uint8) for _ in some]
            pair = np.hstack([part for both in zip(some, gaps, strict=True) for part in both])
        yield frame_of(np.kron(pair / 255, np.ones((3, 3))))


def turned(images: np.ndarray, labels: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return digits turned by 90 degrees to either side, of 2, 3, 4, 5 and 7, which are none then."""
    chosen = rng.choice(np.flatnonzero(np.isin(labels, (2, 3, 4, 5, 7))), count)
    half = count // 2
    return np.concatenate([np.rot90(images[chosen[:half]], 1, (1, 2)), np.rot90(images[chosen[half:]], -1, (1, 2))])


def clothes(images: np.ndarray, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Bring images of clothes into the frame, as a drawing, a photograph or unchanged."""
    for image in images:
        kind = rng.integers(3)
        if kind == 0:
            yield image / np.float32(255)
        elif kind == 1:
            yield to_mnist_frame(np.where(image > 0.2 * image.max(), image, 0) / max(int(image.max()), 1))
        else:
            edges = np.abs(np.diff(np.pad(image.astype(float), ((0, 1), (0, 0))), axis=0))
            edges += np.abs(np.diff(np.pad(image.astype(float), ((0, 0), (0, 1))), axis=1))
            yield to_mnist_frame(np.where(edges > 60, np.minimum(edges / 255, 1), 0))


def pieces(photographs: list[np.ndarray], count: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Cut pieces out of photographs (H, W, 3), from 0 to 1, and take for digits what `find_digits` finds in them."""
    while count > 0:
        photograph = photographs[rng.integers(len(photographs))]
        side = int(rng.integers(60, min(200, *photograph.shape[:2])))
        top, left = (rng.integers(size - side + 1) for size in photograph.shape[:2])
        piece = photograph[top : top + side, left : left + side]
        if rng.random() < 0.3:  # as it is, without looking for ink
            small = Image.fromarray((255 * piece.mean(axis=2)).astype(np.uint8)).resize((28, 28))
            image = np.asarray(small, np.float32) / 255
            image = image - image.min()
            yield image / max(image.max(), 0.01)
            count -= 1
            continue
        for found in find_digits(piece)[:4]:
            image = frame_of(found.ink)
            if image.any() and count > 0:
                count -= 1
                yield image


def blots(count: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Draw smooth random shapes."""
    from scipy.ndimage import gaussian_filter

    for _ in range(count):
        field = gaussian_filter(rng.normal(size=(60, 60)), rng.uniform(2, 8))
        ink = np.clip((field - np.quantile(field, rng.uniform(0.5, 0.93))) / field.std() * 4, 0, 1)
        yield frame_of(ink)


def photographs(names: tuple[str, ...]) -> list[np.ndarray]:
    """Return images that come with scikit-image, as colours from 0 to 1."""
    import skimage

    folder = Path(skimage.__file__).parent / "data"
    return [np.asarray(Image.open(folder / name).convert("RGB"), float) / 255 for name in names]


def pen_digits(writers) -> tuple[list, np.ndarray]:
    """Return strokes and labels of these writers of CNNLIB_DATA/pendigits."""
    path = Path(os.environ["CNNLIB_DATA"]) / "pendigits" / "strokes.json.gz"
    entries = [entry for entry in json.loads(gzip.decompress(path.read_bytes())) if entry["writer"] in writers]
    return [entry["strokes"] for entry in entries], np.array([entry["label"] for entry in entries])


def as_photographed(strokes: list, rng: np.random.Generator) -> np.ndarray:
    """Draw strokes in a large image with any pen, and read them as `read_digit` does."""
    side = 120
    image = Image.new("L", (side + 60, side + 60))
    draw = ImageDraw.Draw(image)
    width = side / 20 * rng.choice([0.6, 1.2, 2.2, 2.6, 4.0])
    for stroke in strokes:
        points = [tuple(30 + side * np.array(point)) for point in stroke]
        draw.line(points if len(points) > 1 else 2 * points, fill=255, width=max(1, round(width)), joint="curve")
        for x, y in points:
            draw.ellipse([x - width / 2, y - width / 2, x + width / 2, y + width / 2], fill=255)
    return frame_of(np.asarray(image, float) / 255)


def mnist(n: int, rng: np.random.Generator) -> np.ndarray:
    """Return some n training images of MNIST, a sixth of them ones, sevens and nines with other strokes."""
    data = cnnlib.load_mnist()
    chosen = rng.choice(VALIDATION_IMAGES.start, n, replace=False)
    other, _ = variants(data.train_images[chosen], data.train_labels[chosen], 0.5, rng)
    return np.concatenate([data.train_images[chosen[len(chosen) // 5 :]], other[: n // 5]]) / np.float32(255)


def with_labels(function, n: int, rng: np.random.Generator) -> np.ndarray:
    """Return what a function makes of MNIST's training images."""
    data, first = cnnlib.load_mnist(), slice(VALIDATION_IMAGES.start)
    return function(data.train_images[first], data.train_labels[first], n, rng) / np.float32(255)


def strokes_of(n: int, rng: np.random.Generator, writers=TRAINING_WRITERS) -> tuple[list, np.ndarray]:
    """Return strokes and labels of n drawings, or of all of them and some of them again."""
    strokes, labels = pen_digits(writers)
    chosen = np.resize(rng.permutation(len(strokes)), n)
    return [strokes[k] for k in chosen], labels[chosen]


def sampled(n: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Return sample drawings with seeds from 1,000 on, so that those of the book are others."""
    drawings, _ = sample_drawings(-(-n // 40), seed=1_000)
    return drawn(drawings[:n], rng)


def photographic(n: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Return pieces of photographs, each four times, turned and mirrored."""
    found = pieces(photographs(TRAINING_PHOTOGRAPHS), -(-n // 4), rng)
    return [each for image in found for each in (image, image[::-1], np.rot90(image), np.rot90(image)[:, ::-1])][:n]


def states_of_digits(n: int, rng: np.random.Generator, writers=TRAINING_WRITERS) -> Iterator[np.ndarray]:
    strokes, labels = strokes_of(n, rng, writers)
    return in_states(strokes, rng, labels)


FONTS: list[str] = []  # set by main
DIGITS = {  # how many, and how they are made
    "MNIST": (25_000, mnist),
    "pen strokes": (4_000, lambda n, rng: drawn(strokes_of(n, rng)[0], rng)),
    "photographed": (1_500, lambda n, rng: [as_photographed(each, rng) for each in strokes_of(n, rng)[0]]),
    "digits in pictures": (4_050, states_of_digits),
    "small digits": (5_000, lambda n, rng: np.resize(cnnlib.load_digits().train_images[:1_250], (n, 28, 28)) / 255.0),
    "sample drawings": (800, sampled),
    "printed digits": (2_500, lambda n, rng: characters(FONTS, "0123456789", n, rng)),
    "plain digits": (1_500, plain_digits),
}
KINDS = {
    **DIGITS,
    "letters": (12_000, lambda n, rng: characters(FONTS, LETTERS, n, rng)),
    "signs": (1_500, lambda n, rng: characters(FONTS, SIGNS, n, rng)),
    "letters of strokes": (2_500, lambda n, rng: drawn(hershey(LETTERS, n, rng), rng)),
    "letters in pictures": (1_350, lambda n, rng: in_states(list(hershey(LETTERS, n, rng)), rng)),
    "scribbles": (4_000, lambda n, rng: drawn(scribbles(n, rng), rng)),
    "scribbles in pictures": (810, lambda n, rng: in_states(list(scribbles(n, rng)), rng)),
    "splines": (3_000, lambda n, rng: drawn(splines(n, rng), rng)),
    "things": (4_000, lambda n, rng: drawn(things(n, rng), rng)),
    "several": (2_000, lambda n, rng: several(cnnlib.load_mnist().train_images, n, rng)),
    "turned": (2_000, lambda n, rng: with_labels(turned, n, rng)),
    "clothes": (3_000, lambda n, rng: clothes(cnnlib.load_fashion_mnist().train_images[:n], rng)),
    "photographs": (4_000, photographic),
    "blots": (1_000, blots),
}


def images_of(kind: str, seed: int, cache: Path | None, scale: float = 1.0) -> np.ndarray:
    """Return images of one kind (N, 28, 28), slightly distorted, as bytes; from the cache, if they are there."""
    path = cache and cache / f"{kind.replace(' ', '-')}-{seed}-{scale:g}.npy"
    if path and path.is_file():
        return np.load(path)
    rng, (count, make) = np.random.default_rng([seed, list(KINDS).index(kind)]), KINDS[kind]
    images = np.stack(list(make(round(scale * count), rng))).astype(np.float32)
    images = np.round(255 * Distortion(rotation=6, scale=0.1, elastic=0.7, stroke_width=0.5)(images, rng))
    if path:
        with atomic_write(path) as file:
            np.save(file, images.astype(np.uint8))
    return images.astype(np.uint8)


def make_data(seed: int, cache: Path | None, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Return images (N, 28, 28), and what they are (0: no digit, 1: digit)."""
    images = [images_of(kind, seed, cache, scale) for kind in KINDS]
    is_digit = np.repeat([kind in DIGITS for kind in KINDS], list(map(len, images))).astype(int)
    order = np.random.default_rng(seed).permutation(len(is_digit))
    return np.concatenate(images)[order], is_digit[order]


def set_aside(seed: int) -> dict[str, np.ndarray]:
    """Return digits (N, 28, 28) by kind, from 0 to 1, on which the threshold is chosen."""
    rng, (strokes, _) = np.random.default_rng([seed, 99]), pen_digits(VALIDATION_WRITERS)
    return {
        "MNIST": cnnlib.load_mnist().train_images[VALIDATION_IMAGES] / np.float32(255),
        "pen strokes": np.stack([rasterize(each) for each in strokes]),
        "in pictures": np.stack(list(states_of_digits(540, rng, VALIDATION_WRITERS))),
        "small digits": cnnlib.load_digits().train_images[1_250:] / np.float32(255),
    }


def choose_temperature(seed: int) -> float:
    """Return the temperature with the lowest loss, of MNIST's last training images, drawings, photographs.

    The network that reads the digits was not trained on any of these.
    """
    rng, mnist = np.random.default_rng(seed), cnnlib.load_mnist()
    strokes, labels = (part[::4] for part in pen_digits(range(1, 21)))
    images = [mnist.train_images[-2_500:] / np.float32(255), [rasterize(each) for each in strokes]]
    images = np.concatenate([*images, [as_photographed(each, rng) for each in strokes]])
    t = np.concatenate([mnist.train_labels[-2_500:], labels, labels])
    z = cnnlib.load_pretrained()[:-1].predict(images)

    def loss(temperature: float) -> float:
        warm = z / temperature - (z / temperature).max(axis=1, keepdims=True)
        return float(np.mean(np.log(np.exp(warm).sum(axis=1)) - warm[np.arange(len(t)), t]))

    return float(min(np.linspace(0.8, 2, 25), key=loss).round(2))


def new_network(filters: tuple[int, int], hidden: int, seed: int) -> cnnlib.Network:
    """Return an untrained network from images (1, 28, 28) to two probabilities."""
    rng, (first, second) = np.random.default_rng(seed), filters
    layers = [
        *(cnnlib.Convolutional(1, first, 5, padding="same", rng=rng), cnnlib.ReLU(), cnnlib.MaxPooling(2)),
        *(cnnlib.Convolutional(first, second, 5, rng=rng), cnnlib.ReLU(), cnnlib.MaxPooling(2), cnnlib.Flatten()),
        *(cnnlib.Dense(25 * second, hidden, rng=rng), cnnlib.ReLU(), cnnlib.Dropout(0.3, rng=rng)),
        *(cnnlib.Dense(hidden, 2, rng=rng), cnnlib.Softmax()),
    ]
    return cnnlib.Network(layers, input_shape=(1, 28, 28))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fonts", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--filters", type=int, nargs=2, default=(8, 20))
    parser.add_argument("--hidden", type=int, default=96)
    parser.add_argument("--scale", type=float, default=1.0, help="how much of the data")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--cache", type=Path, help="a folder to keep the images in")
    parser.add_argument("--checkpoint", type=Path, help="a file to keep the training in, and to go on from")
    parser.add_argument("--only", nargs="*", help="make only these kinds of images, for the cache")
    options = parser.parse_args()
    FONTS.extend(training_fonts(options.fonts))
    if options.only:
        for kind in options.only:
            print(kind, images_of(kind, options.seed, options.cache, options.scale).shape, flush=True)
        return
    images, t = make_data(options.seed, options.cache, options.scale)
    network = new_network(options.filters, options.hidden, options.seed)
    recipe = {"epochs": options.epochs, "batch_size": 64, "learning_rate": 0.05, "weight_decay": 2e-4}
    network.train(
        images,
        t,
        epochs=options.epochs,
        batch_size=recipe["batch_size"],
        optimizer=cnnlib.SGD(recipe["learning_rate"], momentum=0.9, weight_decay=recipe["weight_decay"]),
        schedule=cnnlib.one_cycle,
        seed=options.seed,
        checkpoint=options.checkpoint,
        resume=bool(options.checkpoint and options.checkpoint.is_file()),
    )
    for array in network.parameters().values():
        array[...] = array.astype(np.float16)  # half of the bytes in a page, and the same answers
    p = {kind: network.predict(digits)[:, 1] for kind, digits in set_aside(options.seed).items()}
    threshold = float(min(np.quantile(each, REFUSED) for each in p.values()))
    for kind, each in p.items():
        print(f"{kind:14} {np.mean(each < threshold):.2%} refused")
    temperature = choose_temperature(options.seed)
    print(f"threshold {threshold:.3f}, temperature {temperature}")
    network.save(options.output, threshold=threshold, temperature=temperature, refused=REFUSED, **recipe)


if __name__ == "__main__":
    main()
