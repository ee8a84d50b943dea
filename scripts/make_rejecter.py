"""Train the network that tells digits from everything else, and store it with its threshold.

    pip install Hershey-Fonts
    python scripts/make_rejecter.py

writes cnnlib/resources/digit_or_not.npz (a network with two outputs, "no digit" and "digit") from

- digits: MNIST's training images; pen strokes of 20 of the 30 writers in CNNLIB_DATA/pendigits, drawn as the pad draws
  them and as pictures are read; the small digits of the package; digits in Matplotlib's fonts, and of straight lines;
- letters and signs in Matplotlib's fonts, printed or thinned and drawn with a pen, and in Hershey's fonts of strokes;
- scribbles of random walks, polygons, arcs and lines; two digits as one; digits turned by 90 degrees;
- clothes (training images of Fashion-MNIST); pieces of half of the photographs that come with scikit-image; blots.

All are distorted a little. Letters that are digits in most handwriting (O, o, I, l) are no part of it. The network gets
the 400 features that the network of the package finds after its second pooling. A sixth of everything is set aside; on
that the threshold is chosen, so that `ACCEPTED` of its handwritten digits pass. The temperature for
`cnnlib.digits.confidence.calibrate` is chosen, too, on drawings and photographs of digits. `measure_rejecter.py` judges
by other fonts, scribbles, photographs, and writers.
"""

import argparse
import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import cnnlib
from cnnlib.digits.augmentation import Distortion, variants
from cnnlib.digits.mnist_frame import frame_of, to_mnist_frame
from cnnlib.digits.pictures import find_digits
from cnnlib.digits.strokes import rasterize

OUTPUT = Path(__file__).resolve().parents[1] / "cnnlib" / "resources" / "digit_or_not.npz"
LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz"  # without O, o, I, l
SIGNS = "&@#%?+=*<>$§£€~^{}äöüßéñçÄÖÜαβγδζηλμξπρσφψωΓΔΘΛΞΠΣΦΨΩДЖИЙЛУФЦШЩЫЮЯ"
TRAINING_WRITERS = range(1, 21)
TRAINING_PHOTOGRAPHS = (
    *("astronaut.png", "brick.png", "cell.png", "clock_motion.png", "color.png", "grass.png", "ihc.png"),
    *("moon.png", "motorcycle_left.png", "page.png", "retina.jpg", "hubble_deep_field.jpg"),
)
ACCEPTED = 0.985


def matplotlib_fonts() -> list[str]:
    """Return the files of Matplotlib's fonts that have letters."""
    from matplotlib import get_data_path

    files = sorted((Path(get_data_path()) / "fonts" / "ttf").glob("*.ttf"))
    return [
        str(file)
        for file in files
        if file.name.startswith(("DejaVu", "STIXGeneral", "cmb10", "cmr10", "cmss", "cmti", "cmtt"))
        and "Display" not in file.name
    ]


def glyph(font: str, character: str, size: int = 40) -> np.ndarray:
    """Return a character as ink (H, W) from 0 to 1, with a margin; empty if the font does not have it."""
    drawn = ImageFont.truetype(font, size)
    image = Image.new("L", (3 * size, 3 * size))
    ImageDraw.Draw(image).text((size, size // 2), character, fill=255, font=drawn)
    box = image.getbbox()
    if box is None or max(box[2] - box[0], box[3] - box[1]) < size // 4:
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


def hershey(text: str, count: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Draw random characters of a text from the strokes of Hershey's fonts, a little out of place."""
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
        strokes = [stroke @ matrix.T + rng.normal(0, 0.03 * size, stroke.shape) for stroke in strokes]
        count -= 1
        yield rasterize(strokes, rng.uniform(1.8, 3.2))


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


def scribbles(count: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Draw random walks, polygons, stars, arcs, crosses, zigzags and lines, one to five in an image."""
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
        yield rasterize(strokes, rng.uniform(1.6, 3.4))


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


def features(images: np.ndarray) -> np.ndarray:
    """Return the 400 features that the network of the package finds in images (N, 28, 28)."""
    return cnnlib.load_pretrained()[:7].predict(images)


def mnist(n: int, rng: np.random.Generator) -> np.ndarray:
    """Return training images of MNIST, a fifth of them ones, sevens and nines with other strokes."""
    data = cnnlib.load_mnist()
    chosen = rng.choice(len(data.train_images), n, replace=False)
    other, _ = variants(data.train_images[chosen], data.train_labels[chosen], 0.5, rng)
    return np.concatenate([data.train_images[chosen[len(chosen) // 5 :]], other[: n // 5]]) / np.float32(255)


def with_labels(function, n: int, rng: np.random.Generator) -> np.ndarray:
    """Return what a function makes of MNIST's training images."""
    data = cnnlib.load_mnist()
    return function(data.train_images, data.train_labels, n, rng) / np.float32(255)


def strokes_of(n: int, rng: np.random.Generator) -> list:
    strokes, _ = pen_digits(TRAINING_WRITERS)
    return [strokes[k] for k in rng.choice(len(strokes), n, replace=False)]


HANDWRITTEN = {  # how many, and how they are made
    "MNIST": (10_000, mnist),
    "pen strokes": (3_000, lambda n, rng: [rasterize(each, rng.uniform(1.8, 3.4)) for each in strokes_of(n, rng)]),
    "photographed": (2_000, lambda n, rng: [as_photographed(each, rng) for each in strokes_of(n, rng)]),
    "small digits": (1_497, lambda n, rng: cnnlib.load_digits().train_images[:n] / np.float32(255)),
}
DIGITS = {
    **HANDWRITTEN,
    "printed digits": (1_500, lambda n, rng: characters(matplotlib_fonts(), "0123456789", n, rng)),
    "plain digits": (2_000, plain_digits),
}
KINDS = {
    **DIGITS,
    "letters": (5_000, lambda n, rng: characters(matplotlib_fonts(), LETTERS, n, rng)),
    "signs": (1_000, lambda n, rng: characters(matplotlib_fonts(), SIGNS, n, rng)),
    "letters of strokes": (2_500, lambda n, rng: hershey(LETTERS, n, rng)),
    "scribbles": (6_000, scribbles),
    "several": (2_000, lambda n, rng: several(cnnlib.load_mnist().train_images, n, rng)),
    "turned": (2_000, lambda n, rng: with_labels(turned, n, rng)),
    "clothes": (2_000, lambda n, rng: clothes(cnnlib.load_fashion_mnist().train_images[:n], rng)),
    "photographs": (1_000, lambda n, rng: pieces(photographs(TRAINING_PHOTOGRAPHS), n, rng)),
    "blots": (1_000, blots),
}


def images_of(kind: str, seed: int, cache: Path | None, scale: float = 1.0) -> np.ndarray:
    """Return images of one kind (N, 28, 28), slightly distorted, as bytes; from the cache, if they are there."""
    path = cache and cache / f"{kind.replace(' ', '-')}.npy"
    if path and path.is_file():
        return np.load(path)
    rng, (count, make) = np.random.default_rng([seed, list(KINDS).index(kind)]), KINDS[kind]
    images = np.stack(list(make(round(scale * count), rng))).astype(np.float32)
    images = np.round(255 * Distortion(rotation=6, scale=0.1, elastic=0.7, stroke_width=0.5)(images, rng))
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, images.astype(np.uint8))
    return images.astype(np.uint8)


def make_data(seed: int, cache: Path | None, scale: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return images (N, 28, 28), what they are (0: no digit, 1: digit), and which of them are handwritten digits."""
    images = {kind: images_of(kind, seed, cache, scale) for kind in KINDS}
    counts = [len(each) for each in images.values()]
    is_digit, by_hand = (np.repeat([kind in group for kind in KINDS], counts) for group in (DIGITS, HANDWRITTEN))
    order = np.random.default_rng(seed).permutation(sum(counts))
    return np.concatenate(list(images.values()))[order], is_digit[order].astype(int), by_hand[order]


def choose_temperature(seed: int) -> float:
    """Return the temperature with the lowest loss, of MNIST's last training images, drawings, photographs.

    The network that reads the digits was not trained on any of these.
    """
    rng, mnist = np.random.default_rng(seed), cnnlib.load_mnist()
    strokes, labels = (part[::2] for part in pen_digits(TRAINING_WRITERS))
    images = [mnist.train_images[-2_500:] / np.float32(255), [rasterize(each) for each in strokes]]
    images = np.concatenate([*images, [as_photographed(each, rng) for each in strokes]])
    t = np.concatenate([mnist.train_labels[-2_500:], labels, labels])
    z = cnnlib.load_pretrained()[:-1].predict(images)

    def loss(temperature: float) -> float:
        warm = z / temperature - (z / temperature).max(axis=1, keepdims=True)
        return float(np.mean(np.log(np.exp(warm).sum(axis=1)) - warm[np.arange(len(t)), t]))

    return float(min(np.linspace(0.8, 2, 25), key=loss).round(2))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--hidden", type=int, default=96)
    parser.add_argument("--scale", type=float, default=1.0, help="how much of the data")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--cache", type=Path, help="a folder to keep the images in")
    options = parser.parse_args()
    images, t, by_hand = make_data(options.seed, options.cache, options.scale)
    x, cut = features(images), len(images) * 5 // 6
    rng = np.random.default_rng(options.seed)
    hidden, output = cnnlib.Dense(x.shape[1], options.hidden, rng=rng), cnnlib.Dense(options.hidden, 2, rng=rng)
    network = cnnlib.Network([hidden, cnnlib.ReLU(), output, cnnlib.Softmax()], input_shape=x.shape[1:])
    recipe = {"epochs": options.epochs, "batch_size": 128, "learning_rate": 0.1, "weight_decay": 5e-4}
    network.train(
        x[:cut],
        t[:cut],
        epochs=options.epochs,
        batch_size=recipe["batch_size"],
        optimizer=cnnlib.SGD(recipe["learning_rate"], momentum=0.9, weight_decay=recipe["weight_decay"]),
        schedule=cnnlib.one_cycle,
        validation=(x[cut:], t[cut:]),
        seed=options.seed,
    )
    for array in network.parameters().values():
        array[...] = array.astype(np.float16)  # half of the bytes in a page, and the same answers
    p = network.predict(x[cut:])[:, 1]
    threshold = float(np.quantile(p[by_hand[cut:]], 1 - ACCEPTED))
    flagged = np.mean(p[t[cut:] == 0] < threshold)
    print(f"threshold {threshold:.3f}: of what is set aside, {flagged:.1%} of what is no digit is flagged")
    temperature = choose_temperature(options.seed)
    print(f"temperature {temperature}")
    notes = {"threshold": threshold, "temperature": temperature, "accepted": ACCEPTED, "flagged": float(flagged)}
    network.save(options.output, **notes, **recipe)


if __name__ == "__main__":
    main()
