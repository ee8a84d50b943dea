"""Data of one's own: a folder of pictures by class, a CSV file, or the IDX files of any relative of MNIST."""

import gzip
import math
import os
import re
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np

from cnnlib.checks import check_path
from cnnlib.digits.datasets import DataError, Dataset
from cnnlib.digits.mnist_frame import FIELD, read_colours
from cnnlib.digits.reading import read_digit
from cnnlib.files import open_regular

SIZE = FIELD * FIELD
MAX_IMAGES = 2_000_000
TEST_SHARE = 6  # without a test part of their own, one in so many images is set aside for it
PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp")


def load_own_data(path: str | os.PathLike) -> Dataset:
    """Read a data set of one's own.

    Parameters
    ----------
    path : path
        One of these:

        - a folder with a sub-folder of pictures for each class, which is called like it. Pictures of 28 x 28 pixels are
          taken as they are (turned round if their border is bright), others are brought into MNIST's frame, as
          `read_digit` does;
        - a CSV file: in each row a label, a whole number, and 784 values from 0 to 255. A first row of names is left
          out; the label is in its column `label` or `class`, or else in the first;
        - an IDX file of images, or a folder with one, with its labels beside it, named as those of MNIST are:
          ``...train-images-idx3-ubyte`` and ``...train-labels-idx1-ubyte``, with or without ``.gz``. If the digits are
          wider than they are tall, as those of EMNIST, the images were stored with rows and columns exchanged: they are
          turned back, with a warning.

        If there is no test part (two folders `train` and `test`, an IDX file with `test` or `t10k` in its name), a
        sixth of the images is set aside for it, always the same.

    Returns
    -------
    Dataset

    Raises
    ------
    TypeError
        If `path` is not a path.
    FileNotFoundError
        If there is nothing of that name.
    DataError
        If it holds something else.
    """
    path = check_path("path", path)
    if not path.exists():
        raise FileNotFoundError(f"there is neither a file nor a folder {path}")
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if re.search(r"train.*images?.*idx3", file.name))
        if len(files) > 1:
            names = ", ".join(file.name for file in files[:5])
            raise DataError(f"{path} holds several data sets, name the file of one: {names}")
        return _from_idx(files[0], path.name) if files else _from_pictures(path)
    return _from_csv(path) if path.suffix.lower() == ".csv" else _from_idx(path, path.name)


def _dataset(name: str, train: tuple, test: tuple | None, classes: tuple[str, ...]) -> Dataset:
    """Put images and labels together; without a test part, set aside a sixth of them."""
    images, labels = train
    if test is None:
        order = np.random.default_rng(0).permutation(len(images))
        cut = len(images) // TEST_SHARE
        if not cut:
            raise DataError(f"{name} holds {len(images)} images, expected at least {TEST_SHARE}")
        test = images[order[:cut]], labels[order[:cut]]
        images, labels = images[order[cut:]], labels[order[cut:]]
    if len(classes) < 2:
        raise DataError(f"{name} holds {len(classes)} class{'es' * (len(classes) != 1)}, expected at least two")
    return Dataset(name, images, labels, test[0], test[1], classes)


def _from_pictures(folder: Path) -> Dataset:
    """Read the pictures in the sub-folders of a folder."""
    parts = {child.name.lower(): child for child in folder.iterdir() if child.is_dir()}
    split = next((pair for pair in (("train", "test"), ("training", "testing")) if set(pair) == set(parts)), None)
    folders = [parts[part] for part in split] if split else [folder]
    names = sorted({child.name for each in folders for child in each.iterdir() if child.is_dir()}, key=_natural)
    if not names:
        raise DataError(f"{folder} has no sub-folders of pictures, one for each class, and no IDX files")
    found = []
    for each in folders:
        pairs = [
            (file, label)
            for label, name in enumerate(names)
            if (each / name).is_dir()
            for file in sorted((each / name).iterdir())
            if file.suffix.lower() in PICTURES
        ]
        if not pairs or len(pairs) > MAX_IMAGES:
            kinds = ", ".join(PICTURES)
            raise DataError(f"the sub-folders of {each} hold {len(pairs):,} files ({kinds}), expected 1 to 2 million")
        found.append((_pictures([file for file, _ in pairs]), np.array([label for _, label in pairs])))
    return _dataset(folder.name, found[0], found[1] if split else None, tuple(names))


def _natural(name: str) -> tuple:
    """Sort 10 behind 9, and words behind numbers."""
    return (int(name) if name.isascii() and name.isdigit() else math.inf, name)


def _pictures(files: list[Path]) -> np.ndarray:
    """Read pictures as images (N, 28, 28); DataError, which names those that cannot be used, if there are any."""
    images, reasons = [], []
    for file in files:
        try:
            images.append(_picture(file))
        except ValueError as error:
            reasons.append(str(error))
    if reasons:
        more = [f"and {len(reasons) - 5:,} more"] if len(reasons) > 5 else []
        raise DataError(
            f"of {len(files):,} pictures, {len(reasons):,} cannot be used:\n- "
            + "\n- ".join([*reasons[:5], *more])
            + f"\nMove them elsewhere, or make all pictures {FIELD} x {FIELD} pixels: those are taken as they are"
        )
    return np.stack(images)


def _picture(path: Path) -> np.ndarray:
    """Read a picture as an image (28, 28) of bytes, bright on dark."""
    grey = read_colours(path).mean(axis=2)
    if grey.shape == (FIELD, FIELD):
        border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
        image = 1 - grey if np.median(border) > 0.5 else grey
    else:
        image = read_digit(path, reject=False)
    return np.round(255 * image).astype(np.uint8)


def _from_csv(path: Path) -> Dataset:
    """Read a CSV file of labels and pixels."""
    with open_regular(path) as stream:
        first = stream.readline(100_000).decode("utf-8", "replace").strip().split(",")
    if len(first) != SIZE + 1:
        raise DataError(f"{path} has {len(first):,} columns, expected {SIZE + 1}: a label and {SIZE} pixels")
    names = [name.strip().strip("\"'").lower() for name in first]
    header = not all(name.isdigit() for name in names)
    column = next((names.index(name) for name in ("label", "class") if name in names), 0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a file without rows, which the next lines tell
            warnings.simplefilter("error", DeprecationWarning)  # NumPy 2.2 takes 300 modulo 256, with this warning
            table = np.loadtxt(path, np.uint8, delimiter=",", skiprows=int(header), ndmin=2, max_rows=MAX_IMAGES + 1)
    except (ValueError, OverflowError, UnicodeDecodeError, DeprecationWarning) as error:
        raise DataError(f"{path} holds something else than whole numbers from 0 to 255: {error}") from error
    if not len(table):
        raise DataError(f"{path} has no rows")
    if len(table) > MAX_IMAGES:
        raise DataError(f"{path} has more than {MAX_IMAGES:,} rows")
    images = np.delete(table, column, axis=1).reshape(-1, FIELD, FIELD)
    labels, classes = _classes(table[:, column].astype(np.int64), None)
    return _dataset(path.stem, (_upright(images, path), labels), None, classes)


def _classes(labels: np.ndarray, names: dict[int, str] | None) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return labels as positions in the classes that occur, and the names of these."""
    values, positions = np.unique(labels, return_inverse=True)
    return positions, tuple((names or {}).get(int(value), str(value)) for value in values)


def _from_idx(path: Path, name: str) -> Dataset:
    """Read IDX files of images and labels."""
    train = _pair(path)
    others = [path.name.replace("train", other) for other in ("test", "t10k")] if "train" in path.name else []
    found = next((path.with_name(other) for other in others if path.with_name(other).is_file()), None)
    if found is None:
        labels, classes = _classes(train[1], _mapping(path))
        return _dataset(name, (_upright(train[0], path), labels), None, classes)
    test, cut = _pair(found), len(train[1])
    labels, classes = _classes(np.concatenate([train[1], test[1]]), _mapping(path))
    return _dataset(name, (_upright(train[0], path), labels[:cut]), (_upright(test[0], found), labels[cut:]), classes)


def _mapping(path: Path) -> dict[int, str] | None:
    """Read EMNIST's file of what its labels mean, lines of a label and the codes of its characters, if it is there."""
    mapping = path.with_name(re.sub(r"-(train|test)-images.*", "-mapping.txt", path.name))
    if mapping == path or not mapping.is_file():
        return None
    try:
        with open_regular(mapping) as stream:
            rows = [line.split() for line in stream.read(100_000).decode("ascii").splitlines() if line.strip()]
        return {int(row[0]): chr(int(row[1])) for row in rows}
    except (ValueError, IndexError, OverflowError) as error:
        raise DataError(f"{mapping} is no list of labels and codes of characters") from error


def _pair(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read a file of images, and the file of labels beside it."""
    images = read_any_idx(path)
    if images.shape[1:] != (FIELD, FIELD) or not len(images):
        raise DataError(f"{path} holds an array of shape {images.shape}, expected images (N, {FIELD}, {FIELD})")
    other = path.with_name(path.name.replace("images", "labels").replace("image", "label").replace("idx3", "idx1"))
    if other == path or not other.is_file():
        raise DataError(f"{path} has no file of labels beside it, expected {other.name}")
    labels = read_any_idx(other)
    if labels.shape != images.shape[:1]:
        raise DataError(f"{other} holds an array of shape {labels.shape}, expected ({len(images)},)")
    return images, labels.astype(np.int64)


def read_any_idx(path: Path) -> np.ndarray:
    """Return the array of bytes in an IDX file, compressed by gzip or not; DataError if it is no such file."""
    with open_regular(path) as stream:
        compressed = stream.read(2) == b"\x1f\x8b"
        stream.seek(0)
        content = gzip.GzipFile(fileobj=stream) if compressed else stream
        try:
            start = content.read(4)
            if start[:3] != b"\0\0\x08" or start[3:] not in (b"\1", b"\2", b"\3"):
                raise DataError(f"{path} is no IDX file of bytes: it begins with {start.hex(' ')}")
            lengths = content.read(4 * start[3])
            if len(lengths) < 4 * start[3]:
                raise DataError(f"{path} ends within its header")
            shape = struct.unpack(f">{start[3]}I", lengths)
            if math.prod(shape) > MAX_IMAGES * SIZE:
                raise DataError(f"{path} holds an array of shape {shape}, expected at most {MAX_IMAGES:,} images")
            values = content.read(math.prod(shape) + 1)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DataError(f"{path} cannot be decompressed ({error})") from error
    if len(values) != math.prod(shape):
        more = "more than " if len(values) > math.prod(shape) else "only "
        raise DataError(f"{path} has {more}{min(len(values), math.prod(shape)):,} bytes of {math.prod(shape):,}")
    return np.frombuffer(bytearray(values), np.uint8).reshape(shape)


def is_transposed(images: np.ndarray, limit: float = 1.1) -> bool:
    """Say whether images (N, 28, 28) of writing have rows and columns exchanged: they are wider than they are tall.

    Of MNIST, the digits are 1.27 times as tall as they are wide; of Fashion-MNIST, the clothes 1.09 times.
    """
    some = images[:2_000] > 60
    tall, wide = some.any(axis=2).sum(axis=1).mean(), some.any(axis=1).sum(axis=1).mean()
    return bool(wide > limit * tall)


def _upright(images: np.ndarray, path: Path) -> np.ndarray:
    """Return images with rows and columns exchanged if they need it, and say so."""
    if not is_transposed(images, 1.0 if "emnist" in path.name.lower() else 1.1):
        return images
    warnings.warn(
        f"{path}: what is in the images is wider than tall, as in EMNIST, whose rows and columns are exchanged. "
        "They were turned back.",
        stacklevel=4,
    )
    return np.ascontiguousarray(images.transpose(0, 2, 1))
