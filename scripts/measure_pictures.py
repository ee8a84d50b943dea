"""Measure how well `read_digit` reads pictures as people have them: frames, specks, shadows, paper, small digits.

    python scripts/measure_pictures.py [--count 100] [--states NAME ...]
    python scripts/measure_pictures.py --ablate    # writes book/cnnbook/results/pictures.json

Draws pen strokes, those of CNNLIB_DATA/pendigits where it is there, else those of the package, into pictures of many
kinds, and prints for each kind how many are read correctly, and how many wrongly although the answer is over 90 % sure.
With --ablate, it leaves out one step of the way from the picture to the digit at a time, to see what each is worth.
"""

import argparse
import contextlib
import gzip
import io
import json
import os
import tempfile
from pathlib import Path
from unittest import mock

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

import cnnlib
from cnnlib.digits import mnist_frame, pictures
from cnnlib.digits.confidence import calibrate
from cnnlib.digits.sample_drawings import sample_drawings
from cnnlib.files import atomic_write

RESULT = Path(__file__).resolve().parents[1] / "book" / "cnnbook" / "results" / "pictures.json"
OTHER_WRITERS = range(21, 31)  # of 1 to 30; those before took part in the training of `make_rejecter.py`
SIDE = 160  # pixels of the plain picture


def drawings(count: int, rng: np.random.Generator) -> list[tuple[list, int]]:
    """Return strokes, in a box from 0 to 1, and labels, of writers who took no part in the training of a network."""
    path = Path(os.environ.get("CNNLIB_DATA", "nowhere")) / "pendigits" / "strokes.json.gz"
    if path.is_file():
        entries = [
            entry for entry in json.loads(gzip.decompress(path.read_bytes())) if entry["writer"] in OTHER_WRITERS
        ]
        chosen = rng.choice(len(entries), count, replace=False)
        return [(entries[i]["strokes"], entries[i]["label"]) for i in chosen]
    found = []
    for strokes, label in zip(*sample_drawings(-(-count // 10)), strict=True):
        low = np.min(np.concatenate(strokes), axis=0)
        size = np.ptp(np.concatenate(strokes), axis=0).max()
        found.append(([((np.array(stroke) - low) / size).tolist() for stroke in strokes], int(label)))
    return found[:count]


def ink(strokes: list, pen: float, side: int = SIDE, gap: float = 0.0, rng=None) -> np.ndarray:
    """Draw strokes into the middle of a square of that side; returns ink from 0 to 1. `gap` leaves pieces out."""
    scale, fine = side * 0.62, 4
    points = [np.array(stroke, float) * scale for stroke in strokes]
    size = np.max(np.concatenate(points), axis=0)
    image = Image.new("L", (side * fine, side * fine))
    draw = ImageDraw.Draw(image)
    width = pen * scale / 20 * fine
    for stroke in points:
        path = [tuple(fine * (point - size / 2 + side / 2)) for point in stroke]
        for a, b in zip(path, path[1:] or path, strict=False):
            if gap and rng.random() < gap:
                continue
            draw.line([a, b], fill=255, width=max(1, round(width)))
            for x, y in (a, b):
                draw.ellipse([x - width / 2, y - width / 2, x + width / 2, y + width / 2], fill=255)
    return np.asarray(image.resize((side, side), Image.Resampling.BOX), float) / 255


def paper(ink_map: np.ndarray, light=(245, 243, 238), dark=(40, 45, 70)) -> np.ndarray:
    """Return an RGB picture: dark ink on light paper, unless other colours are given."""
    a = ink_map[..., np.newaxis]
    return (1 - a) * np.array(light, float) + a * np.array(dark, float)


def shade(height: int, width: int, rng: np.random.Generator, hard: bool) -> np.ndarray:
    """Return factors of brightness: a soft shadow from one side, or one with a hard edge."""
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    along = x * np.cos(angle) + y * np.sin(angle)
    return np.where(along > rng.uniform(-0.3, 0.3), 1, 0.65) if hard else 0.72 + 0.25 * along / np.abs(along).max()


def lines(height: int, width: int, step: int, grid: bool, rng: np.random.Generator) -> np.ndarray:
    """Return the lines of ruled or squared paper, from 0 to 1."""
    found, start = np.zeros((height, width)), rng.integers(step)
    found[start::step] = 1
    if grid:
        found[:, rng.integers(step) :: step] = 1
    return found


def specks(picture: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return a picture with specks of 2 x 2 pixels."""
    picture = picture.copy()
    for row, column in zip(*(rng.integers(0, size - 2, count) for size in picture.shape[:2]), strict=True):
        picture[row : row + 2, column : column + 2] = 40
    return picture


def with_edge(picture: np.ndarray, width: int, value: int) -> np.ndarray:
    return np.pad(picture, ((width, width), (width, width), (0, 0)), constant_values=value)


def framed(picture: np.ndarray, inset: int, width: int, value: int) -> np.ndarray:
    picture = picture.copy()
    inner = slice(inset, -inset or None)
    kept = picture[inset + width : -inset - width, inset + width : -inset - width].copy()
    picture[inner, inner] = value
    picture[inset + width : -inset - width, inset + width : -inset - width] = kept
    return picture


def within(picture: np.ndarray, times: int, rng: np.random.Generator) -> np.ndarray:
    """Return a picture that is so many times larger, with the digit somewhere in it."""
    small = np.asarray(Image.fromarray(picture.clip(0, 255).astype(np.uint8)).resize((56, 56), Image.Resampling.BOX))
    large = np.empty((56 * times, 56 * times, 3))
    large[:] = small[0, 0]
    top, left = rng.integers(0, 56 * (times - 1), 2)
    large[top : top + 56, left : left + 56] = small
    return large


def tilted(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a picture as a camera sees it that is not quite above the paper."""
    size = picture.shape[0]
    image = Image.fromarray(picture.clip(0, 255).astype(np.uint8))
    coefficients = (1, rng.uniform(-0.1, 0.1), 0, rng.uniform(-0.05, 0.05), 1, 0, *rng.uniform(-8e-4, 8e-4, 2))
    return np.asarray(
        image.transform((size, size), Image.Transform.PERSPECTIVE, coefficients, fillcolor=(245, 243, 238))
    )


def jpeg(picture: np.ndarray, quality: int) -> np.ndarray:
    stream = io.BytesIO()
    Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream), float)


def neighbour(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a picture into which a stroke of the next digit reaches from the side."""
    picture, width = picture.copy(), picture.shape[1]
    top = rng.integers(20, 60)
    picture[top : top + 60, width - 7 :] = 45
    return picture


def texture(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a picture on rough paper."""
    noise = Image.fromarray(rng.integers(0, 256, picture.shape[:2], dtype=np.uint8))
    rough = np.asarray(noise.filter(ImageFilter.GaussianBlur(1.2)), float) - 128
    return picture + 0.5 * rough[..., np.newaxis] + rng.normal(0, 4, picture.shape)


STATES = {
    "as they are": lambda s, r: paper(ink(s, 2.2)),
    "inverted": lambda s, r: 255 - paper(ink(s, 2.2)),
    "soft shadow": lambda s, r: paper(ink(s, 2.2)) * shade(SIDE, SIDE, r, hard=False)[..., None],
    "hard-edged shadow": lambda s, r: paper(ink(s, 2.2)) * shade(SIDE, SIDE, r, hard=True)[..., None],
    "dark ink on transparent": lambda s, r: (np.full((SIDE, SIDE, 3), 30.0), ink(s, 2.2)),
    "light ink on transparent": lambda s, r: (np.full((SIDE, SIDE, 3), 250.0), ink(s, 2.2)),
    "light on dark, 2 pixels of light edge": lambda s, r: with_edge(255 - paper(ink(s, 2.2)), 2, 250),
    "light on dark, 20 pixels of light margin": lambda s, r: with_edge(255 - paper(ink(s, 2.2)), 20, 250),
    "dark frame of 2 pixels at the edge": lambda s, r: framed(paper(ink(s, 2.2)), 0, 2, 30),
    "thin frame inside": lambda s, r: framed(paper(ink(s, 2.2)), 8, 2, 60),
    "5 x 5 times its size": lambda s, r: within(paper(ink(s, 2.2)), 5, r),
    "10 x 10 times its size": lambda s, r: within(paper(ink(s, 2.2)), 10, r),
    "squared paper, dark lines": lambda s, r: paper(np.maximum(ink(s, 2.2), 0.75 * lines(SIDE, SIDE, 20, True, r))),
    "squared paper, light lines": lambda s, r: paper(np.maximum(ink(s, 2.2), 0.25 * lines(SIDE, SIDE, 16, True, r))),
    "10 specks": lambda s, r: specks(paper(ink(s, 2.2)), 10, r),
    "100 specks": lambda s, r: specks(paper(ink(s, 2.2)), 100, r),
    # and ten more
    "ruled paper": lambda s, r: paper(np.maximum(ink(s, 2.2), 0.6 * lines(SIDE, SIDE, 32, False, r))),
    "rough paper": lambda s, r: texture(paper(ink(s, 2.2)), r),
    "JPEG of low quality": lambda s, r: jpeg(paper(ink(s, 2.2)), 12),
    "tilted": lambda s, r: tilted(paper(ink(s, 2.2)), r),
    "cell of a table": lambda s, r: framed(paper(ink(s, 2.2)), 0, 3, 90),
    "stroke of a neighbour": lambda s, r: neighbour(paper(ink(s, 2.2)), r),
    "colours of equal luminance": lambda s, r: paper(ink(s, 2.2), (200, 120, 120), (90, 160, 140)),
    "pencil": lambda s, r: paper(0.3 * ink(s, 1.2)),
    "thin pen": lambda s, r: paper(ink(s, 0.5)),
    "bold pen": lambda s, r: paper(ink(s, 4.2)),
    "broken strokes": lambda s, r: paper(ink(s, 1.8, gap=0.12, rng=r)),
}


def save(picture, path: Path) -> None:
    """Write a picture, or colours with their opacity, as PNG."""
    colours, alpha = picture if isinstance(picture, tuple) else (picture, None)
    array = np.asarray(colours).clip(0, 255).astype(np.uint8)
    if alpha is not None:
        array = np.dstack([array, (255 * alpha).astype(np.uint8)])
    Image.fromarray(array).save(path)


def measure(count: int, names: list[str], seed: int = 0) -> dict[str, tuple[float, float]]:
    """Return for each state the shares that are right, and that are wrong although over 90 % sure."""
    network, results = cnnlib.load_pretrained(), {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "picture.png"
        for name in names:
            rng = np.random.default_rng([seed, list(STATES).index(name)])
            right = sure = 0
            for strokes, label in drawings(count, rng):
                save(STATES[name](strokes, rng), path)
                try:
                    p = calibrate(network.predict(cnnlib.read_digit(path)[np.newaxis]))[0]
                except ValueError:
                    continue
                right += p.argmax() == label
                sure += p.argmax() != label and p.max() > 0.9
            results[name] = right / count, sure / count
    return results


# What is put in the place of a step that is left out: module, name, replacement.
ABLATIONS = {
    "all steps": None,
    "shadows stay": (pictures, "ground_of", np.zeros_like),
    "lines stay": (pictures, "without_lines", lambda mask: mask),
    "frames stay": (pictures, "inside_of_frame", lambda found, shape: None),
    "specks stay": (pictures, "SPECK", 0),
    "thin strokes stay": (mnist_frame, "_thicken", lambda ink: ink),
}
ABLATED_STATES = (
    *("as they are", "hard-edged shadow", "squared paper, dark lines", "thin frame inside", "100 specks", "thin pen"),
)


def ablate(count: int) -> dict:
    """Return for each step that is left out the share that is read correctly, in percent, in each of some states."""
    shares = {}
    for name, change in ABLATIONS.items():
        with mock.patch.object(*change) if change else contextlib.nullcontext():
            results = measure(count, list(ABLATED_STATES))
        shares[name] = [round(100 * right) for right, _ in results.values()]
        print(f"{name:20}", shares[name], flush=True)
    return {"count": count, "states": list(ABLATED_STATES), "shares": shares}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--states", nargs="*", default=list(STATES))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ablate", action="store_true")
    options = parser.parse_args()
    if options.ablate:
        with atomic_write(RESULT) as file:
            file.write(json.dumps(ablate(options.count), indent=1).encode())
        raise SystemExit
    for name, (right, sure) in measure(options.count, options.states, options.seed).items():
        print(f"{name:42} {right:6.1%} right, {sure:5.1%} wrong and sure")
