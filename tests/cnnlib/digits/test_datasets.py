"""Data is found, checked and stored; what is damaged is refused by name; no half file is ever left behind."""

import gzip
import hashlib
import io
import os
import re
import signal
import subprocess
import sys
import tempfile
import textwrap

import numpy as np
import pytest

from cnnlib.digits import datasets
from cnnlib.digits.idx import IdxFile, read_idx

REAL_DATA = os.environ.get("CNNLIB_DATA", "")
pytestmark = pytest.mark.usefixtures("isolated")


@pytest.fixture
def folder(contents, tmp_path, monkeypatch):
    """Return a folder that holds the tiny data set, compressed, below CNNLIB_DATA."""
    folder = tmp_path / "data" / "mnist"
    contents.write(folder)
    monkeypatch.setenv("CNNLIB_DATA", str(tmp_path / "data"))
    return folder


# --- One file

PIXELS = np.arange(6, dtype=np.uint8).reshape(2, 3)
HEADER = b"\0\0\x08\x02\0\0\0\x02\0\0\0\x03"
SMALL = IdxFile("small", (2, 3), hashlib.sha256(HEADER + bytes(PIXELS)).hexdigest())


def test_a_file_holds_its_header_and_then_its_bytes():
    assert SMALL.header == HEADER and SMALL.size == 18
    for content in (HEADER + bytes(PIXELS), gzip.compress(HEADER + bytes(PIXELS))):
        np.testing.assert_array_equal(read_idx(io.BytesIO(content), SMALL), PIXELS)


OTHER = hashlib.sha256(HEADER + b"abcdef").hexdigest()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it has only 0 bytes, expected 18"),
        (HEADER + b"abcde", "it has only 17 bytes, expected 18"),
        (HEADER + b"abcdefg", "it has more than 18 bytes, expected 18"),
        (HEADER[:11] + b"\4abcdef", f"its header is {HEADER[:11].hex(' ')} 04, expected {HEADER.hex(' ')}"),
        (HEADER + b"abcdef", f"has other content than expected (SHA-256 {OTHER}, not {SMALL.sha256})"),
    ],
)
def test_what_is_wrong_with_a_file(content, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        read_idx(io.BytesIO(content), SMALL)


# Packed bytes have the time in them: a test is not to be called by it.
@pytest.mark.parametrize(
    "content",
    [b"\x1f\x8bnothing", gzip.compress(HEADER)[:-3], gzip.compress(HEADER)[:12] + b"?"],
    ids=["not packed", "cut", "altered"],
)
def test_what_cannot_be_decompressed(content):
    with pytest.raises(ValueError, match=r"^it cannot be decompressed \(.+\)$") as caught:
        read_idx(io.BytesIO(content), SMALL)
    assert str(caught.value) == f"it cannot be decompressed ({caught.value.__cause__})"


@pytest.mark.parametrize("array", [PIXELS.astype(np.int8), PIXELS.T, PIXELS.astype(float).T])
def test_the_array_of_another_file(array):
    shape = array.shape
    message = f"holds {array.dtype} of shape {shape}, expected uint8 of shape (2, 3)"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        SMALL.check(array)


# --- The folder in CNNLIB_DATA


@pytest.mark.parametrize("source", [datasets._MNIST, datasets._FASHION_MNIST])
def test_what_a_source_says_of_its_files(source):
    """No checksum is left out or given twice, and every address and name is one."""
    sizes = {"images": (28, 28), "labels": ()}
    names = {"train": ("train", 60_000), "test": ("t10k", 10_000)}
    assert {part: (file.name, file.shape) for part, file in source.files.items()} == {
        f"{part}_{kind}": (f"{name}-{kind}-idx{1 + len(size)}-ubyte", (count, *size))
        for part, (name, count) in names.items()
        for kind, size in sizes.items()
    }
    sums = {file.sha256 for each in (datasets._MNIST, datasets._FASHION_MNIST) for file in each.files.values()}
    assert len(sums) == 8 and all(re.fullmatch("[0-9a-f]{64}", each) for each in sums)
    assert len(source.mirrors) >= 2 and all(
        re.fullmatch(r"https?://[\w.-]+/([\w.-]+/)*", each) for each in source.mirrors
    )
    assert len(set(source.classes)) == 10 and all(source.classes)


def test_the_data_sets_are_called_as_people_call_them(contents, fashion, tmp_path, monkeypatch):
    for files, name in ((contents, "mnist"), (fashion, "fashion-mnist")):
        files.write(tmp_path / name)
    monkeypatch.setenv("CNNLIB_DATA", str(tmp_path))
    mnist, clothes = datasets.load_mnist(), datasets.load_fashion_mnist()
    assert (mnist.name, clothes.name, datasets.load_digits().name) == ("MNIST", "Fashion-MNIST", "UCI Optdigits")
    assert mnist.classes == tuple("0123456789") and clothes.classes[0] == "T-shirt/top"
    assert sorted(os.listdir(tmp_path / "cache")) == ["fashion-mnist.npz", "mnist.npz"]


@pytest.mark.parametrize("place", ["mnist", "."])
@pytest.mark.parametrize("compress", [True, False])
def test_finds_the_files_compressed_or_not_in_either_place(place, compress, contents, tmp_path, monkeypatch):
    contents.write(tmp_path / "data" / place, compress)
    monkeypatch.setenv("CNNLIB_DATA", str(tmp_path / "data"))
    contents.assert_equal(datasets.load_mnist())


LAYOUTS = [
    ".",
    "mnist",
    "mnist/raw",
    "MNIST",
    "MNIST/raw",  # torchvision's
    "raw",
]


@pytest.mark.parametrize("place", LAYOUTS)
@pytest.mark.parametrize("naming", ["hyphen", "dot", "folder"])  # the last is Kaggle's
@pytest.mark.parametrize("compress", [True, False])
def test_layouts_that_people_have(place, naming, compress, contents, tmp_path, monkeypatch):
    if naming == "folder" and compress:
        pytest.skip("nobody has these")
    folder = tmp_path / "Dätá of mine" / place
    contents.write(folder, compress)
    for name in contents:
        path = folder / (name + ".gz" * compress)
        if naming == "dot":
            path.rename(folder / path.name.replace("-idx", ".idx"))
        elif naming == "folder":
            path.rename(folder / "file")
            path.mkdir()
            (folder / "file").rename(path / name)
    monkeypatch.setenv("CNNLIB_DATA", str(tmp_path / "Dätá of mine"))
    contents.assert_equal(datasets.load_mnist())


@pytest.fixture
def fashion(contents, monkeypatch):
    """Put another tiny data set in the place of Fashion-MNIST; its files have the same names."""
    files, fashion = {}, type(contents)()
    for (part, file), (name, content) in zip(datasets._MNIST.files.items(), contents.items(), strict=True):
        fashion[name] = content[:-3] + bytes(9 - byte for byte in content[-3:])
        files[part] = file._replace(sha256=hashlib.sha256(fashion[name]).hexdigest())
    monkeypatch.setattr(datasets, "_FASHION_MNIST", datasets._FASHION_MNIST._replace(files=files, mirrors=()))
    return fashion


FASHION_LAYOUTS = [
    *(".", "raw", "fashion-mnist", "fashion-mnist/raw", "FashionMNIST", "FashionMNIST/raw"),
    *("fashion_mnist", "fashion"),
]


@pytest.mark.parametrize("place", FASHION_LAYOUTS)
def test_fashion_is_found_in_the_same_way(place, fashion, tmp_path, monkeypatch):
    fashion.write(tmp_path / "data" / place)
    monkeypatch.setenv("CNNLIB_DATA", str(tmp_path / "data"))
    fashion.assert_equal(datasets.load_fashion_mnist())
    with pytest.raises(datasets.DataNotFoundError, match="has none of the files"):
        datasets.load_mnist()


@pytest.mark.parametrize("place", [".", "raw"])
def test_a_folder_of_the_one_is_not_taken_for_the_other(place, contents, fashion, tmp_path, monkeypatch):
    contents.write(tmp_path / "data" / place)
    monkeypatch.setenv("CNNLIB_DATA", str(tmp_path / "data"))
    contents.assert_equal(datasets.load_mnist())
    with pytest.raises(datasets.DataNotFoundError):
        datasets.load_fashion_mnist()


def test_a_folder_is_told_by_its_smallest_file(contents, fashion, tmp_path, monkeypatch):
    """Damaged images beside the labels of the other data set are not this one's: the labels say so."""
    for name in ("train-images-idx3-ubyte", "t10k-images-idx3-ubyte"):
        fashion[name] = bytes(len(fashion[name]))
    fashion.write(tmp_path / "data")
    monkeypatch.setenv("CNNLIB_DATA", str(tmp_path / "data"))
    with pytest.raises(datasets.DataNotFoundError, match="has none of the files"):
        datasets.load_mnist()


def test_both_side_by_side(contents, fashion, tmp_path, monkeypatch):
    contents.write(tmp_path / "data")
    fashion.write(tmp_path / "data" / "FashionMNIST" / "raw")
    monkeypatch.setenv("CNNLIB_DATA", str(tmp_path / "data"))
    contents.assert_equal(datasets.load_mnist())
    fashion.assert_equal(datasets.load_fashion_mnist())


@pytest.mark.parametrize("variable", ["CNNLIB_DATA", "CNNLIB_CACHE"])
def test_the_home_folder_of_nobody(variable, contents, monkeypatch):
    monkeypatch.setenv(variable, "~there-is-no-such-user/x")
    message = f"{variable} is ~there-is-no-such-user/x, but the home folder in it is not known: .*home"
    with pytest.raises(datasets.DataError, match=message):
        datasets.load_mnist(fallback=True)


def test_without_a_home_folder_no_folder_is_called_tilde(folder, contents, tmp_path, monkeypatch):
    import pooch

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CNNLIB_CACHE")
    monkeypatch.setattr(pooch, "os_cache", lambda name: os.path.join("~", ".cache", name))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    contents.assert_equal(datasets.load_mnist())
    assert not (tmp_path / "~").exists() and (tmp_path / "temporary" / "cnnlib" / "mnist.npz").exists()


def test_the_user_s_cache_folder_is_called_cnnlib(folder, contents, tmp_path, monkeypatch):
    import pooch

    monkeypatch.delenv("CNNLIB_CACHE")
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / "caches" / name)
    contents.assert_equal(datasets.load_mnist())
    assert os.listdir(tmp_path / "caches") == ["cnnlib"]
    assert os.listdir(tmp_path / "caches" / "cnnlib") == ["mnist.npz"]


@pytest.mark.skipif(os.name != "posix", reason="this system has no pipes in folders")
def test_a_pipe_in_the_place_of_a_file(folder):
    (folder / "train-labels-idx1-ubyte.gz").unlink()
    os.mkfifo(folder / "train-labels-idx1-ubyte.gz")
    with pytest.raises(datasets.DataError, match="only a part of MNIST: train-labels"):
        datasets.load_mnist()


def test_accepts_files_recompressed_in_several_members_and_ones_unpacked_under_the_old_name(folder, contents):
    names = list(contents)
    first, second = contents[names[0]][:1000], contents[names[0]][1000:]
    (folder / f"{names[0]}.gz").write_bytes(gzip.compress(first, 1) + gzip.compress(second, 9))
    (folder / f"{names[1]}.gz").write_bytes(contents[names[1]])
    contents.assert_equal(datasets.load_mnist())


def test_prepares_once(folder, contents, tmp_path):
    datasets.load_mnist()
    prepared = tmp_path / "cache" / "mnist.npz"
    before = prepared.stat()
    contents.assert_equal(datasets.load_mnist())
    after = prepared.stat()
    assert (before.st_mtime_ns, before.st_ino) == (after.st_mtime_ns, after.st_ino)
    assert os.listdir(prepared.parent) == ["mnist.npz"]


def test_the_prepared_copy_says_of_which_files_it_is(folder, contents, tmp_path):
    """Name, size and time of each, a line for each: a change in any of them makes it anew."""
    datasets.load_mnist()
    with np.load(tmp_path / "cache" / "mnist.npz") as stored:
        origin = str(stored["origin"])
    files = [(folder / f"{name}.gz").resolve() for name in contents]
    assert origin.splitlines() == [f"{file} {file.stat().st_size} {file.stat().st_mtime_ns}" for file in files]
    os.utime(files[1], ns=(0, 10**18))
    datasets.load_mnist()
    with np.load(tmp_path / "cache" / "mnist.npz") as stored:
        assert str(stored["origin"]) != origin


def test_the_prepared_copy_serves_when_the_folder_is_gone(folder, contents, monkeypatch):
    datasets.load_mnist()
    monkeypatch.delenv("CNNLIB_DATA")
    contents.assert_equal(datasets.load_mnist())


@pytest.mark.parametrize("prepared_before", [False, True])
def test_a_damaged_file_is_refused_by_name(damage, prepared_before, folder, contents, tmp_path):
    if prepared_before:
        datasets.load_mnist()
    damaged = folder / "train-images-idx3-ubyte.gz"
    damaged.write_bytes(damage(contents["train-images-idx3-ubyte"]))
    with pytest.raises(datasets.DataError) as caught:
        datasets.load_mnist(fallback=True)
    reason = str(caught.value.__cause__)
    assert str(caught.value) == (
        f"{damaged.resolve()} is not the file train-images-idx3-ubyte that it should be: {reason}. "
        "Put an undamaged copy in its place, or unset CNNLIB_DATA to have one downloaded."
    )
    assert reason.startswith(("it ", "its header", "has other content"))
    assert (tmp_path / "cache" / "mnist.npz").exists() == prepared_before


def test_a_prepared_bomb_is_not_unpacked(contents, tmp_path):
    tracemalloc = pytest.importorskip("tracemalloc")
    (tmp_path / "cache").mkdir()
    np.savez_compressed(tmp_path / "cache" / "mnist.npz", origin=np.zeros(50_000_000, np.uint8))
    tracemalloc.start()
    with pytest.raises(datasets.DataError, match="claims to hold 50,0"):
        datasets.load_mnist()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000


def test_a_bomb_is_not_unpacked(folder, monkeypatch):
    tracemalloc = pytest.importorskip("tracemalloc")
    (folder / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(bytes(50_000_000)))
    tracemalloc.start()
    with pytest.raises(datasets.DataError, match="more than"):
        datasets.load_mnist()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000


def test_files_exchanged_are_refused(folder):
    """The labels have the same names in Fashion-MNIST, and the same lengths."""
    train, test = folder / "train-images-idx3-ubyte.gz", folder / "t10k-images-idx3-ubyte.gz"
    train.write_bytes(test.read_bytes())
    with pytest.raises(datasets.DataError, match="train-images"):
        datasets.load_mnist()


def test_a_missing_file_is_named(folder):
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(datasets.DataError) as caught:
        datasets.load_mnist(fallback=True)
    assert str(caught.value) == (
        f"{folder.resolve()} holds only a part of MNIST: t10k-labels-idx1-ubyte (or the same with .gz) "
        "is not there. Add it, or unset CNNLIB_DATA."
    )
    (folder / "train-images-idx3-ubyte.gz").unlink()
    with pytest.raises(datasets.DataError, match=r": train-images-idx3-ubyte, t10k-labels-idx1-ubyte \(or"):
        datasets.load_mnist()


# --- Not there at all


@pytest.mark.parametrize("variable", [None, "an empty folder"])
def test_not_found_says_what_to_do(variable, contents, tmp_path, monkeypatch):
    if variable:
        monkeypatch.setenv("CNNLIB_DATA", str(tmp_path / variable))
        (tmp_path / variable).mkdir()
    with pytest.raises(datasets.DataNotFoundError) as caught:
        datasets.load_mnist()
    assert isinstance(caught.value, FileNotFoundError)
    message = str(caught.value)
    for expected in ("train-images-idx3-ubyte.gz", "CNNLIB_DATA", "CNNLIB_OFFLINE is set", str(tmp_path / "cache")):
        assert expected in message
    assert (f"CNNLIB_DATA is {tmp_path}" in message) == bool(variable)


def test_the_whole_text_of_not_found(contents, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setenv("CNNLIB_DATA", str(tmp_path / "elsewhere"))
    with pytest.raises(datasets.DataNotFoundError) as caught:
        datasets.load_mnist()
    names = ["train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"]
    assert str(caught.value).splitlines() == [
        "MNIST is not on this computer and could not be downloaded. Any of these helps:",
        "- connect to the internet and try again: it is downloaded once;",
        f"- put {', '.join(f'{name}-ubyte.gz' for name in names)} into a folder, and set CNNLIB_DATA to it;",
        f"- copy mnist.npz from a computer where this worked to {tmp_path / 'cache'}.",
        "What was tried:",
        "- CNNLIB_OFFLINE is set, so nothing was downloaded",
        f"- CNNLIB_DATA is {tmp_path / 'elsewhere'}, which has none of the files",
    ]


def test_nothing_stands_in_for_data_that_somebody_has_put_somewhere(contents, tmp_path, monkeypatch):
    monkeypatch.setenv("CNNLIB_DATA", str(tmp_path))
    with pytest.raises(datasets.DataNotFoundError, match="which has none of the files"):
        datasets.load_mnist(fallback=True)


@pytest.mark.parametrize("fallback", [False, True])
def test_a_folder_that_is_not_there_is_an_error_where_a_prepared_copy_is_too(fallback, folder, tmp_path, monkeypatch):
    """Else who prepares a room at home, and misspells the folder, learns of it in the room."""
    assert datasets.load_mnist(fallback).name == "MNIST"
    monkeypatch.setenv("CNNLIB_DATA", str(tmp_path / "misspelt"))
    with pytest.raises(
        datasets.DataError, match=r"^CNNLIB_DATA is .*misspelt, which is no folder. Correct it, or unset"
    ):
        datasets.load_mnist(fallback)


@pytest.mark.parametrize("fallback", ["no", None, 1, []])
def test_fallback_is_yes_or_no(fallback, contents):
    with pytest.raises(TypeError, match="fallback must be True or False, got"):
        datasets.load_mnist(fallback)


def test_the_embedded_digits_stand_in_only_when_asked(contents):
    assert datasets.load_mnist(fallback=True).name == datasets.load_digits().name
    with pytest.raises(datasets.DataNotFoundError):
        datasets.load_fashion_mnist()


# --- The prepared file


def damage_prepared(path, kind):
    content = path.read_bytes()
    if kind == "foreign":
        np.savez(path, something=np.zeros(3))
    elif kind == "other pixels":
        with np.load(path) as stored:
            arrays = dict(stored)
        arrays["test_images"] = 255 - arrays["test_images"]
        np.savez(path, **arrays)
    elif kind == "code inside":
        with np.load(path) as stored:
            arrays = dict(stored)
        arrays["test_images"] = np.array([print], dtype=object)
        np.savez(path, **arrays)
    elif kind == "a bomb":
        np.savez_compressed(path, origin=np.array(""), test_images=np.zeros(50_000_000, np.uint8))
    else:
        middle = len(content) // 2
        altered = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        path.write_bytes({"truncated": content[:middle], "altered": altered, "empty": b""}[kind])


@pytest.mark.parametrize("kind", ["foreign", "other pixels", "code inside", "truncated", "altered", "empty", "a bomb"])
def test_a_damaged_prepared_file_is_made_anew_or_named(kind, folder, contents, tmp_path, monkeypatch):
    datasets.load_mnist()
    prepared = tmp_path / "cache" / "mnist.npz"
    sound = prepared.read_bytes()
    damage_prepared(prepared, kind)
    damaged = prepared.read_bytes()
    contents.assert_equal(datasets.load_mnist())
    assert prepared.read_bytes() == sound

    prepared.write_bytes(damaged)
    monkeypatch.delenv("CNNLIB_DATA")
    message = r"^the prepared file .*mnist\.npz is damaged \(\w+: .*\)\. Delete it, and then:\nMNIST is not on this"
    with pytest.raises(datasets.DataError, match=message) as caught:
        datasets.load_mnist(fallback=True)
    assert f"the prepared file {prepared} is" in str(caught.value)


def test_works_without_a_cache_folder(folder, contents, tmp_path, monkeypatch):
    (tmp_path / "a file").write_text("not a folder")
    monkeypatch.setenv("CNNLIB_CACHE", str(tmp_path / "a file" / "cache"))
    contents.assert_equal(datasets.load_mnist())


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_writing_that_fails_leaves_nothing_behind(error, folder, contents, tmp_path, monkeypatch):
    def write_half(file, **arrays):
        file.write(b"half")
        raise error

    monkeypatch.setattr(np, "savez", write_half)
    if error is KeyboardInterrupt:
        with pytest.raises(KeyboardInterrupt):
            datasets.load_mnist()
    else:
        contents.assert_equal(datasets.load_mnist())
    assert os.listdir(tmp_path / "cache") == []


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_killed_while_writing_there_is_no_half_file(tmp_path):
    script = textwrap.dedent(
        """
        import os, signal, sys
        import numpy as np
        from pathlib import Path
        from cnnlib.digits import datasets

        os.fsync = lambda number: os.kill(os.getpid(), signal.SIGKILL)
        datasets._store(Path(sys.argv[1]), {"images": np.zeros((100, 28, 28), np.uint8)}, "")
        """
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "mnist.npz")], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "mnist.npz").exists()
    assert [path.suffix for path in tmp_path.iterdir()] == [".tmp"]
    # The next one that writes the same file tidies up.
    datasets._store(tmp_path / "mnist.npz", {"images": np.zeros((100, 28, 28), np.uint8)}, "")
    assert os.listdir(tmp_path) == ["mnist.npz"]


# --- The embedded digits


def test_the_embedded_digits():
    digits = datasets.load_digits()
    assert digits.train_images.shape == (1_497, 28, 28)
    assert digits.test_images.shape == (300, 28, 28)
    assert digits.train_labels.shape == (1_497,)
    assert digits.test_labels.shape == (300,)
    assert digits.train_images.dtype == digits.test_images.dtype == np.uint8
    assert digits.train_labels.dtype == digits.test_labels.dtype == np.int64
    assert digits.classes == tuple("0123456789")
    # The set begins with the digits in order.
    np.testing.assert_array_equal(digits.train_labels[:10], np.arange(10))
    # Every digit is there to be tested.
    assert np.bincount(digits.test_labels, minlength=10).min() >= 25


def test_the_embedded_digits_are_the_same_everywhere():
    digits = datasets.load_digits()
    images = np.concatenate([digits.train_images, digits.test_images])
    assert hashlib.sha256(images.tobytes()).hexdigest() == (
        "91f56d5dc809a10d38d9d97bb1b8adf5fc21e768a96056e3576e56e4896dcbdb"
    )


def test_the_embedded_digits_are_digits():
    """The nearest training image, by plain distance, tells most test digits (guessing would tell a tenth)."""
    digits = datasets.load_digits()
    train = digits.train_images.reshape(1_497, -1).astype(np.float32)
    test = digits.test_images.reshape(300, -1).astype(np.float32)
    nearest = ((train**2).sum(axis=1) - 2 * test @ train.T).argmin(axis=1)
    assert (digits.train_labels[nearest] == digits.test_labels).mean() > 0.9


# --- The real data, where it is


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_real_data(name, tmp_path, monkeypatch):
    if not os.path.isdir(os.path.join(REAL_DATA, name)):
        pytest.skip(f"CNNLIB_DATA has no {name}")
    monkeypatch.setenv("CNNLIB_DATA", REAL_DATA)
    load = {"mnist": datasets.load_mnist, "fashion-mnist": datasets.load_fashion_mnist}[name]
    for _ in ("from the files", "prepared"):
        dataset = load()
        assert dataset.train_images.shape == (60_000, 28, 28)
        assert dataset.test_images.shape == (10_000, 28, 28)
        assert len(dataset.classes) == 10
        for labels in (dataset.train_labels, dataset.test_labels):
            assert set(np.unique(labels)) == set(range(10))
    assert (tmp_path / "cache" / f"{name}.npz").exists()
