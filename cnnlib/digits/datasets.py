"""The data sets: MNIST and Fashion-MNIST, found or downloaded, and a small set that comes with the package.

What is found or downloaded is checked to the last bit.

Images stay as they are in the files, bytes from 0 to 255. That is a quarter of the memory of float32, and `Network`
divides each batch by 255.

Three environment variables change where data comes from:

CNNLIB_DATA
    A folder that holds the original files, or has them in a folder such as `mnist`, `MNIST/raw` or `fashion-mnist`.
    They are called `train-images-idx3-ubyte` or `train-images.idx3-ubyte`, and so on, with or without `.gz`.
CNNLIB_CACHE
    The folder for prepared data, in place of the user's cache folder.
CNNLIB_OFFLINE
    Set to 1, nothing is downloaded.

A person who has set CNNLIB_DATA wants that data: nothing else silently takes its place.
"""

import contextlib
import os
import tempfile
import warnings
import zipfile
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cnnlib.digits.download import DownloadError, download
from cnnlib.digits.idx import IdxFile, read_idx
from cnnlib.digits.mnist_frame import upscale
from cnnlib.files import atomic_write, open_regular


class DataError(ValueError):
    """A data file is damaged, does not hold what its name says, or is looked for in a folder that cannot be."""


class DataNotFoundError(FileNotFoundError):
    """The data is not on this computer and could not be downloaded."""


class Dataset(NamedTuple):
    """Images with their labels, in two parts: one to train on, one to test on.

    Attributes
    ----------
    name : str
        As people call it, such as "MNIST".
    train_images, test_images : ndarray of shape (N, 28, 28), uint8
        Grey values, 0 (background) to 255.
    train_labels, test_labels : ndarray of shape (N,), int64
        Positions in `classes`.
    classes : tuple of str
    """

    name: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    classes: tuple[str, ...]


class _Source(NamedTuple):
    """Where a data set comes from: folders below CNNLIB_DATA, mirrors on the internet, and its four files.

    Its own folders come first, then those that another data set may use as well: their files have the same names.
    """

    name: str
    classes: tuple[str, ...]
    folders: tuple[str, ...]
    mirrors: tuple[str, ...]
    files: dict[str, IdxFile]

    @property
    def prepared(self) -> str:
        return f"{self.folders[0]}.npz"


SHARED_FOLDERS = (".", "raw")
DIGITS = tuple("0123456789")

_MNIST = _Source(
    name="MNIST",
    classes=DIGITS,
    folders=("mnist", "MNIST/raw", "mnist/raw", "MNIST"),
    mirrors=(
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
    ),
    files={
        "train_images": IdxFile(
            "train-images-idx3-ubyte",
            (60_000, 28, 28),
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        ),
        "train_labels": IdxFile(
            "train-labels-idx1-ubyte",
            (60_000,),
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        ),
        "test_images": IdxFile(
            "t10k-images-idx3-ubyte",
            (10_000, 28, 28),
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        ),
        "test_labels": IdxFile(
            "t10k-labels-idx1-ubyte",
            (10_000,),
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    },
)

_FASHION_MNIST = _Source(
    name="Fashion-MNIST",
    classes=(
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    folders=("fashion-mnist", "FashionMNIST/raw", "fashion-mnist/raw", "FashionMNIST", "fashion_mnist", "fashion"),
    mirrors=(
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        # Without encryption, which does no harm: the SHA-256 shows whether the content is right.
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ),
    files={
        part: file._replace(sha256=sha256)
        for (part, file), sha256 in zip(
            _MNIST.files.items(),
            (
                "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
                "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
                "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
                "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
            ),
            strict=True,
        )
    },
)


def load_mnist(fallback: bool = False) -> Dataset:
    """Return MNIST: 60,000 handwritten digits to train on, 10,000 to test on.

    The data comes from the first place that has it: the folder named by CNNLIB_DATA, the copy prepared earlier in the
    user's cache folder, or a download of 11 MB. The first time, it is checked and stored in the
    cache folder as one file; anything that is not MNIST to the last bit is refused.

    Parameters
    ----------
    fallback : bool
        If MNIST is not available, return `load_digits()` in its place; the data set's `name` tells which it is.
        Damaged files are an error even then. So is MNIST that is not found though CNNLIB_DATA is set: whoever has set
        it does not expect other digits.

    Raises
    ------
    DataError
        If CNNLIB_DATA is no folder, if a file in it is damaged or foreign, if only some of the files are there, or if
        the prepared file is damaged and cannot be made anew.
    DataNotFoundError
        If MNIST is not on this computer and cannot be downloaded, and `fallback` is false or CNNLIB_DATA is set.
    TypeError
        If `fallback` is not a bool.

    References
    ----------
    LeCun, Cortes and Burges, "The MNIST database of handwritten digits"; LeCun, Bottou, Bengio and Haffner (1998),
    "Gradient-based learning applied to document recognition".
    """
    if not isinstance(fallback, bool):
        raise TypeError(f"fallback must be True or False, got {fallback!r}")
    try:
        return _load(_MNIST)
    except DataNotFoundError:
        if not fallback or os.environ.get("CNNLIB_DATA"):
            raise
        return load_digits()


def load_fashion_mnist() -> Dataset:
    """Return Fashion-MNIST: pictures of clothes in MNIST's format, but harder to classify; found as by `load_mnist`.

    Raises
    ------
    DataError, DataNotFoundError
        As `load_mnist`.

    References
    ----------
    Xiao, Rasul and Vollgraf (2017), "Fashion-MNIST: a novel image dataset for benchmarking machine learning
    algorithms", arXiv:1708.07747.
    """
    return _load(_FASHION_MNIST)


def load_digits() -> Dataset:
    """Return the digits that come with this package: 1,797 real handwritten ones, in MNIST's 28x28 frame.

    They are the test partition of UCI's Optical Recognition of Handwritten Digits, 8x8 pixels with values 0 to 16, in
    the order of scikit-learn's copy, brought to 28x28 by `upscale`. The first 1,497 are for training, the last 300 for
    testing: a split of our own, always the same. The set does not say who wrote which digit, so digits by the same
    person may occur in both parts.

    References
    ----------
    Alpaydin and Kaynak (1998), "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository,
    doi:10.24432/C50P49, CC BY 4.0.
    """
    path = resources.files("cnnlib") / "resources" / "digits.npz"
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        images, labels = upscale(arrays["images"]), arrays["labels"].astype(np.int64)
    train, test = slice(1_497), slice(1_497, None)
    return Dataset("UCI Optdigits", images[train], labels[train], images[test], labels[test], DIGITS)


def _load(source: _Source) -> Dataset:
    paths = _find(source)
    # Which files the prepared copy was made from: if they change, it is made anew, and they are checked again.
    origin = "\n".join(f"{path} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in paths.values())
    prepared = _cache_folder() / source.prepared
    damage = None
    arrays = None
    if os.path.isfile(prepared):
        try:
            arrays = _read_prepared(prepared, source, origin)
        except DataError as error:
            damage = error
    if arrays is None:
        if paths:
            arrays = {part: _read_file(paths[part], file) for part, file in source.files.items()}
        else:
            try:
                arrays = _download(source)
            except DataNotFoundError as error:
                if damage:
                    raise DataError(f"{damage}. Delete it, and then:\n{error}") from error
                raise
        try:
            _store(prepared, arrays, origin)
        except OSError as error:
            if not paths:
                warnings.warn(f"could not keep the download, next time it is repeated: {error}", stacklevel=3)
    for part in ("train_labels", "test_labels"):
        arrays[part] = arrays[part].astype(np.int64)
    return Dataset(name=source.name, classes=source.classes, **arrays)


def _folder_in(variable: str) -> Path | None:
    """Return the folder that an environment variable names; None if it is not set or empty."""
    value = os.environ.get(variable)
    if not value:
        return None
    try:
        return Path(value).expanduser()
    except RuntimeError as error:  # nobody of this name is known
        raise DataError(f"{variable} is {value}, but the home folder in it is not known: {error}") from error


def _cache_folder() -> Path:
    if folder := _folder_in("CNNLIB_CACHE"):
        return folder
    import pooch  # slow to import

    folder = Path(pooch.os_cache("cnnlib"))
    # Without a home folder it is relative; the folder for temporary files is better than one called "~".
    return folder if folder.is_absolute() else Path(tempfile.gettempdir()) / "cnnlib"


def _find(source: _Source) -> dict[str, Path]:
    """Return where below CNNLIB_DATA the source's four files are; nothing if none of them is there."""
    root = _folder_in("CNNLIB_DATA")
    if root is None:
        return {}
    if not os.path.isdir(root):
        raise DataError(f"CNNLIB_DATA is {root}, which is no folder. Correct it, or unset it to do without.")
    for name in (*source.folders, *SHARED_FOLDERS):
        folder = root / name
        paths = {part: path for part, file in source.files.items() if (path := _find_file(folder, file))}
        if not paths or (name in SHARED_FOLDERS and _is_of_another(paths, source)):
            continue
        if missing := [file.name for part, file in source.files.items() if part not in paths]:
            raise DataError(
                f"{folder.resolve()} holds only a part of {source.name}: {', '.join(missing)} (or the same with .gz) "
                "is not there. Add it, or unset CNNLIB_DATA."
            )
        return paths
    return {}


def _find_file(folder: Path, file: IdxFile) -> Path | None:
    """Return where in a folder a file is, under one of the names that it is known by; None if it is not there."""
    dotted = file.name.replace("-idx", ".idx")
    for name in (file.name, f"{file.name}.gz", dotted, f"{dotted}.gz", f"{file.name}/{file.name}"):
        if os.path.isfile(folder / name):
            return (folder / name).resolve()
    return None


def _is_of_another(paths: dict[str, Path], source: _Source) -> bool:
    """Return whether the smallest of these files is one of another data set."""
    part, path = min(paths.items(), key=lambda item: source.files[item[0]].size)
    for other in (_MNIST, _FASHION_MNIST):
        if other.name != source.name:
            with contextlib.suppress(OSError, ValueError), open_regular(path) as stream:
                read_idx(stream, other.files[part])
                return True
    return False


def _read_file(path: Path, file: IdxFile) -> np.ndarray:
    try:
        with open_regular(path) as stream:
            return read_idx(stream, file)
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} is not the file {file.name} that it should be: {error}. "
            "Put an undamaged copy in its place, or unset CNNLIB_DATA to have one downloaded."
        ) from error


def _read_prepared(path: Path, source: _Source, origin: str) -> dict[str, np.ndarray] | None:
    """Return the arrays of a prepared file, or None if it was made from other files than `origin` names."""
    try:
        # Opened here, for np.load would leave a damaged archive open.
        with open_regular(path) as file:
            with zipfile.ZipFile(file) as archive:
                size = sum(member.file_size for member in archive.infolist())
            if size > sum(file.size for file in source.files.values()) + 100_000:
                raise ValueError(f"it claims to hold {size:,} bytes")
            file.seek(0)
            with np.load(file, allow_pickle=False) as stored:
                if origin and str(stored["origin"]) != origin:
                    return None
                arrays = {part: stored[part] for part in source.files}
        for part, array in arrays.items():
            source.files[part].check(array)
        return arrays
    except Exception as error:  # a damaged archive makes zipfile, zlib and numpy raise nearly anything
        raise DataError(f"the prepared file {path} is damaged ({type(error).__name__}: {error})") from error


def _store(path: Path, arrays: dict[str, np.ndarray], origin: str) -> None:
    with atomic_write(path) as file:
        np.savez(file, allow_pickle=False, origin=np.array(origin), **arrays)


def _download(source: _Source) -> dict[str, np.ndarray]:
    """Return the source's arrays; DataNotFoundError, which says what to do, if they cannot be downloaded."""
    try:
        return download(source.mirrors, source.files)
    except DownloadError as error:
        reasons = error.reasons
        if folder := os.environ.get("CNNLIB_DATA"):
            reasons = [*reasons, f"CNNLIB_DATA is {folder}, which has none of the files"]
        names = ", ".join(f"{file.name}.gz" for file in source.files.values())
        raise DataNotFoundError(
            f"{source.name} is not on this computer and could not be downloaded. Any of these helps:\n"
            "- connect to the internet and try again: it is downloaded once;\n"
            f"- put {names} into a folder, and set CNNLIB_DATA to it;\n"
            f"- copy {source.prepared} from a computer where this worked to {_cache_folder()}.\n"
            "What was tried:\n" + "\n".join(f"- {reason}" for reason in reasons)
        ) from error
