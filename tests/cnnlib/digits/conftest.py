"""A tiny data set in the place of MNIST, and the ways in which its files can be damaged."""

import gzip
import hashlib

import numpy as np
import pytest

from cnnlib.digits import datasets


class TinyMNIST(dict):
    """The uncompressed files of a tiny data set, by name."""

    def write(self, folder, compress=True):
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in self.items():
            (folder / (name + ".gz" * compress)).write_bytes(gzip.compress(content) if compress else content)

    def assert_equal(self, dataset):
        """The data set holds the bytes of these files."""
        expected = list(self.values())
        assert dataset.train_images.tobytes() == expected[0][16:]
        assert dataset.train_labels.astype(np.uint8).tobytes() == expected[1][8:]
        assert dataset.test_images.tobytes() == expected[2][16:]
        assert dataset.test_labels.astype(np.uint8).tobytes() == expected[3][8:]
        assert dataset.train_images.dtype == dataset.test_images.dtype == np.uint8
        assert dataset.train_labels.dtype == dataset.test_labels.dtype == np.int64


@pytest.fixture
def isolated(tmp_path, monkeypatch):
    """The test does not see the user's data or cache, or the internet."""
    monkeypatch.delenv("CNNLIB_DATA", raising=False)
    monkeypatch.setenv("CNNLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CNNLIB_OFFLINE", "1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def contents(isolated, monkeypatch):
    """Put a tiny data set in MNIST's place."""
    rng = np.random.default_rng(0)
    files, contents = {}, TinyMNIST()
    shapes = ((6, 28, 28), (6,), (3, 28, 28), (3,))
    for (part, file), shape in zip(datasets._MNIST.files.items(), shapes, strict=True):
        file = file._replace(shape=shape)
        content = file.header + rng.integers(0, 10, shape, dtype=np.uint8).tobytes()
        files[part] = file._replace(sha256=hashlib.sha256(content).hexdigest())
        contents[file.name] = content
    monkeypatch.setattr(datasets, "_MNIST", datasets._MNIST._replace(files=files, mirrors=()))
    return contents


def truncate(content):
    return content[: len(content) // 2]


def flip_a_bit(content):
    return content[:-100] + bytes([content[-100] ^ 1]) + content[-99:]


DAMAGE = {
    "truncated": lambda content: truncate(gzip.compress(content)),
    "truncated before compression": lambda content: gzip.compress(truncate(content)),
    "altered": lambda content: gzip.compress(flip_a_bit(content)),
    "altered in the compressed stream": lambda content: flip_a_bit(gzip.compress(content)),
    "too long": lambda content: gzip.compress(content + b"\0"),
    "a bomb": lambda content: gzip.compress(bytes(50_000_000)),
    "another header": lambda content: gzip.compress(content[:3] + b"\4" + content[4:]),
    "a web page": lambda content: b"<html>Not Found</html>",
    "empty": lambda content: b"",
}


@pytest.fixture(params=DAMAGE)
def damage(request):
    """A function that turns the content of a file into a damaged compressed file."""
    return DAMAGE[request.param]
