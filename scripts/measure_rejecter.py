"""Measure how much of what is no digit is noticed, and how many digits are refused, on kinds that training did not see.

    CNNLIB_DATA=FOLDER python scripts/measure_rejecter.py [--fonts FOLDER] [--model FILE]
    CNNLIB_DATA=FOLDER python scripts/measure_rejecter.py --fonts FOLDER --store  # book/cnnbook/results/rejecter.json

No digits: letters in the fonts of FOLDER (handwriting, for example), curves of random Fourier series, doodles, clothes
of Fashion-MNIST's test images, pieces of photographs of scikit-image that `make_rejecter.py` leaves out. Digits:
MNIST's test images, the drawings of ten other writers, also in the states of `measure_pictures.py` (of these, what the
network of the package reads correctly), the small digits' test images, digits in these fonts.

FOLDER holds, for the numbers that are stored, the Latin files of these packages of npm, none of which is in the
training: @fontsource/architects-daughter, caveat, gloria-hallelujah, indie-flower, just-another-hand, kalam,
merriweather, nothing-you-could-do, patrick-hand, reenie-beanie, roboto, shadows-into-light.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from make_rejecter import LETTERS, LIKE_DIGITS, clothes, glyph, in_states, pen_digits, photographs, pieces
from make_rejecter import as_photographed as photographed
from measure_pictures import OTHER_WRITERS

import cnnlib
from cnnlib.digits.mnist_frame import frame_of
from cnnlib.digits.strokes import rasterize
from cnnlib.files import atomic_write

RESULT = Path(__file__).resolve().parents[1] / "book" / "cnnbook" / "results" / "rejecter.json"
OTHER_PHOTOGRAPHS = ("camera.png", "chelsea.png", "coffee.png", "coins.png", "gravel.png", "horse.png", "rocket.jpg")

CIRCLE = [(np.cos(a), np.sin(a)) for a in np.linspace(0, 2 * np.pi, 25)]


def ring(x: float, y: float, r: float) -> list:
    return [(x + r * a, y + r * b) for a, b in CIRCLE]


# In a square from 0 to 1, y down
DOODLES = {
    "house": [[(0, 1), (0, 0.4), (0.5, 0), (1, 0.4), (1, 1), (0, 1)], [(0.4, 1), (0.4, 0.6), (0.6, 0.6), (0.6, 1)]],
    "heart": [[(0.5, 1), (0, 0.4), (0.05, 0.1), (0.3, 0), (0.5, 0.25), (0.7, 0), (0.95, 0.1), (1, 0.4), (0.5, 1)]],
    "face": [ring(0.5, 0.5, 0.5), [(0.3, 0.35)], [(0.7, 0.35)], [(0.25, 0.65), (0.5, 0.8), (0.75, 0.65)]],
    "arrow": [[(0, 0.5), (1, 0.5)], [(0.7, 0.2), (1, 0.5), (0.7, 0.8)]],
    "tick": [[(0, 0.6), (0.35, 1), (1, 0)]],
    "cross": [[(0, 0), (1, 1)], [(0, 1), (1, 0)]],
    "plus": [[(0.5, 0), (0.5, 1)], [(0, 0.5), (1, 0.5)]],
    "square": [[(0, 0), (1, 0), (1, 1), (0, 1), (0, 0)]],
    "triangle": [[(0.5, 0), (1, 1), (0, 1), (0.5, 0)]],
    "star": [[(0.2, 1), (0.5, 0), (0.8, 1), (0, 0.4), (1, 0.4), (0.2, 1)]],
    "flower": [ring(0.5, 0.2, 0.2), ring(0.25, 0.45, 0.2), ring(0.75, 0.45, 0.2), [(0.5, 0.4), (0.5, 1)]],
    "tree": [[(0.5, 1), (0.5, 0.6)], [(0.5, 0), (1, 0.6), (0, 0.6), (0.5, 0)]],
    "stick figure": [
        ring(0.5, 0.15, 0.15),
        [(0.5, 0.3), (0.5, 0.7), (0.2, 1)], [(0.5, 0.7), (0.8, 1)], [(0.1, 0.45), (0.9, 0.45)],
    ],
    "lightning": [[(0.6, 0), (0.2, 0.55), (0.6, 0.5), (0.3, 1)]],
    "car": [
        [(0, 0.7), (0, 0.4), (0.25, 0.4), (0.35, 0.1), (0.75, 0.1), (0.8, 0.4), (1, 0.4), (1, 0.7), (0, 0.7)],
        ring(0.25, 0.75, 0.12), ring(0.75, 0.75, 0.12),
    ],
    "hash": [[(0.3, 0), (0.3, 1)], [(0.7, 0), (0.7, 1)], [(0, 0.3), (1, 0.3)], [(0, 0.7), (1, 0.7)]],
    "spiral": [[(0.5 + 0.025 * a * np.cos(a), 0.5 + 0.025 * a * np.sin(a)) for a in np.linspace(0, 20, 80)]],
    "infinity": [[(0.5 + 0.5 * np.sin(a), 0.5 + 0.25 * np.sin(2 * a)) for a in np.linspace(0, 2 * np.pi, 40)]],
    "wave": [[(a, 0.5 + 0.15 * np.sin(20 * a)) for a in np.linspace(0, 1, 60)]],
    "envelope": [[(0, 0.2), (1, 0.2), (1, 0.8), (0, 0.8), (0, 0.2), (0.5, 0.55), (1, 0.2)]],
    "fish": [[(1, 0.3), (0.7, 0.5), (0.35, 0.25), (0, 0.5), (0.35, 0.75), (0.7, 0.5), (1, 0.7), (1, 0.3)]],
    "umbrella": [
        [(0, 0.5), (0.2, 0.15), (0.5, 0), (0.8, 0.15), (1, 0.5), (0, 0.5)],
        [(0.5, 0.5), (0.5, 0.95), (0.35, 1), (0.3, 0.9)],
    ],
    "dots": [[(0, 0)], [(1, 0)], [(0.5, 0.5)], [(0, 1)], [(1, 1)]],
    "equals": [[(0, 0.3), (1, 0.3)], [(0, 0.7), (1, 0.7)]],
}  # fmt: skip


def doodles(each: int, rng: np.random.Generator, name: str = "") -> list[np.ndarray]:
    """Draw doodles several times, a little differently: the one of that name, or all but the square, perhaps a 0."""
    images = []
    for strokes in [DOODLES[name]] if name else [DOODLES[other] for other in DOODLES if other != "square"]:
        for _ in range(each):
            matrix = np.eye(2) + rng.normal(0, 0.1, (2, 2))
            moved = [np.array(stroke, float) @ matrix + rng.normal(0, 0.02, (len(stroke), 2)) for stroke in strokes]
            images.append(rasterize(moved, rng.uniform(2, 3)))
    return images


def curves(count: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Draw curves whose coordinates are random Fourier series."""
    t, images = np.linspace(0, 1, 150)[:, np.newaxis], []
    for _ in range(count):
        terms = np.arange(1, rng.integers(4, 9))
        x, y = (
            (rng.normal(size=len(terms)) * np.sin(2 * np.pi * terms * t + rng.uniform(0, 6, len(terms)))).sum(axis=1)
            for _ in range(2)
        )
        images.append(rasterize([np.stack([x, y], axis=1)], rng.uniform(2, 3)))
    return images


def in_fonts(fonts: list[str], text: str) -> list[np.ndarray]:
    """Return every character of a text in every font, as it is read in a picture."""
    glyphs = [glyph(font, character) for font in fonts for character in text]
    return [frame_of(ink) for ink in glyphs if ink.size]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fonts", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--store", action="store_true", help="write the numbers of which chapter 15 speaks")
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    fonts = sorted(map(str, options.fonts.glob("*.*"))) if options.fonts else []
    if options.store and (options.model or not fonts):
        parser.error("--store is for the network of the package and needs the fonts, or numbers would be missing")
    strokes, labels = (part[::6] for part in pen_digits(OTHER_WRITERS))
    digits = {
        "MNIST's test images": cnnlib.load_mnist().test_images[::2] / np.float32(255),
        "pen strokes": [rasterize(each) for each in strokes],
        "pen strokes, photographed": [photographed(each, rng) for each in strokes],
        "pen strokes, in all states of pictures": list(in_states(strokes, rng, labels)),
        "small digits": cnnlib.load_digits().test_images / np.float32(255),
        "digits in fonts": in_fonts(fonts, "0123456789"),
    }
    others = {
        "letters in fonts": in_fonts(fonts, LETTERS),
        "curves": curves(300, rng),
        "doodles": doodles(20, rng),
        "clothes": list(clothes(cnnlib.load_fashion_mnist().test_images[:500], rng)),
        "photographs": list(pieces(photographs(OTHER_PHOTOGRAPHS), 300, rng)),
    }
    alike = {"letters " + LIKE_DIGITS: in_fonts(fonts, LIKE_DIGITS), "a square, drawn": doodles(100, rng, "square")}
    network = cnnlib.Network.load(options.model) if options.model else None
    if network is None:
        from cnnlib.digits.confidence import load_rejecter

        network = load_rejecter()
    threshold = network.notes["threshold"]
    print(f"threshold {threshold:.3f}")
    stored = {}
    for title, kinds in (
        ("digits that are refused", digits),
        ("what is no digit, and flagged", others),
        ("what may be a digit, and is flagged", alike),
    ):
        print(title)
        shares, stored[title] = [], {}
        for name, images in kinds.items():
            if len(images):
                p = network.predict(np.stack(list(images)).astype(np.float32))[:, 1]
                shares.append(np.mean(p < threshold))
                stored[title][name] = [int(np.sum(p < threshold)), len(images)]
                print(f"  {name:38} {shares[-1]:7.2%} of {len(images):,}")
        if len(shares) > 1:
            print(f"  {'mean of these kinds':38} {np.mean(shares):7.2%}")
    if options.store:
        with atomic_write(RESULT) as file:
            file.write(json.dumps(stored, indent=1).encode())


if __name__ == "__main__":
    main()
