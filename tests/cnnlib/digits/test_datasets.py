"""Data is found, fetched, checked and stored; what is damaged is refused by name; no half file is ever left behind."""

import gzip
import hashlib
import http.server
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

from cnnlib.digits import datasets as data

REAL_DATA = os.environ.get("CNNLIB_DATA", "")


@pytest.fixture(autouse=True)
def isolated(tmp_path, monkeypatch):
    """No test sees the user's data or cache, or the net."""
    monkeypatch.delenv("CNNLIB_DATA", raising=False)
    monkeypatch.setenv("CNNLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CNNLIB_OFFLINE", "1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def contents(monkeypatch):
    """Put a tiny data set in MNIST's place and return its uncompressed files, by name."""
    rng = np.random.default_rng(0)
    files, contents = {}, {}
    for (part, file), shape in zip(data._MNIST.files.items(), ((6, 28, 28), (6,), (3, 28, 28), (3,)), strict=True):
        file = file._replace(shape=shape)
        content = file.header + rng.integers(0, 10, shape, dtype=np.uint8).tobytes()
        files[part] = file._replace(sha256=hashlib.sha256(content).hexdigest())
        contents[file.name] = content
    monkeypatch.setattr(data, "_MNIST", data._MNIST._replace(files=files, mirrors=()))
    return contents


@pytest.fixture
def folder(contents, tmp_path, monkeypatch):
    """Return a folder that holds the tiny data set, compressed, below CNNLIB_DATA."""
    folder = tmp_path / "data" / "mnist"
    write(folder, contents)
    monkeypatch.setenv("CNNLIB_DATA", str(tmp_path / "data"))
    return folder


def write(folder, contents, compress=True):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / (name + ".gz" * compress)).write_bytes(gzip.compress(content) if compress else content)


def assert_is(dataset, contents):
    """The data set holds the bytes of these files."""
    expected = list(contents.values())
    assert dataset.train_images.tobytes() == expected[0][16:]
    assert dataset.train_labels.astype(np.uint8).tobytes() == expected[1][8:]
    assert dataset.test_images.tobytes() == expected[2][16:]
    assert dataset.test_labels.astype(np.uint8).tobytes() == expected[3][8:]
    assert dataset.train_images.dtype == dataset.test_images.dtype == np.uint8
    assert dataset.train_labels.dtype == dataset.test_labels.dtype == np.int64


# --- The folder in CNNLIB_DATA


@pytest.mark.parametrize("place", ["mnist", "."])
@pytest.mark.parametrize("compress", [True, False])
def test_finds_the_files_compressed_or_not_in_either_place(place, compress, contents, tmp_path, monkeypatch):
    write(tmp_path / "data" / place, contents, compress)
    monkeypatch.setenv("CNNLIB_DATA", str(tmp_path / "data"))
    assert_is(data.load_mnist(), contents)


def test_accepts_files_recompressed_in_several_members_and_ones_unpacked_under_the_old_name(folder, contents):
    names = list(contents)
    first, second = contents[names[0]][:1000], contents[names[0]][1000:]
    (folder / f"{names[0]}.gz").write_bytes(gzip.compress(first, 1) + gzip.compress(second, 9))
    (folder / f"{names[1]}.gz").write_bytes(contents[names[1]])
    assert_is(data.load_mnist(), contents)


def test_prepares_once(folder, contents, tmp_path):
    data.load_mnist()
    prepared = tmp_path / "cache" / "mnist.npz"
    before = prepared.stat()
    assert_is(data.load_mnist(), contents)
    after = prepared.stat()
    assert (before.st_mtime_ns, before.st_ino) == (after.st_mtime_ns, after.st_ino)
    assert os.listdir(prepared.parent) == ["mnist.npz"]


def test_the_prepared_copy_serves_when_the_folder_is_gone(folder, contents, monkeypatch):
    data.load_mnist()
    monkeypatch.delenv("CNNLIB_DATA")
    assert_is(data.load_mnist(), contents)


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


@pytest.mark.parametrize("kind", DAMAGE)
@pytest.mark.parametrize("prepared_before", [False, True])
def test_a_damaged_file_is_refused_by_name(kind, prepared_before, folder, contents, tmp_path):
    if prepared_before:
        data.load_mnist()
    damaged = folder / "train-images-idx3-ubyte.gz"
    damaged.write_bytes(DAMAGE[kind](contents["train-images-idx3-ubyte"]))
    with pytest.raises(data.DataError, match=r"train-images-idx3-ubyte\.gz.*undamaged copy") as caught:
        data.load_mnist(fallback=True)
    assert str(damaged) in str(caught.value)
    assert (tmp_path / "cache" / "mnist.npz").exists() == prepared_before


def test_a_bomb_is_not_unpacked(folder, monkeypatch):
    tracemalloc = pytest.importorskip("tracemalloc")
    (folder / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(bytes(50_000_000)))
    tracemalloc.start()
    with pytest.raises(data.DataError, match="more than"):
        data.load_mnist()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000


def test_files_exchanged_are_refused(folder):
    """The labels have the same names in Fashion-MNIST, and the same lengths."""
    train, test = folder / "train-images-idx3-ubyte.gz", folder / "t10k-images-idx3-ubyte.gz"
    train.write_bytes(test.read_bytes())
    with pytest.raises(data.DataError, match="train-images"):
        data.load_mnist()


def test_a_missing_file_is_named(folder):
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(data.DataError, match=r"only a part of MNIST: t10k-labels-idx1-ubyte"):
        data.load_mnist(fallback=True)


# --- Not there at all


@pytest.mark.parametrize("variable", [None, "an empty folder", "no folder"])
def test_not_found_says_what_to_do(variable, contents, tmp_path, monkeypatch):
    if variable:
        monkeypatch.setenv("CNNLIB_DATA", str(tmp_path / variable))
    if variable == "an empty folder":
        (tmp_path / variable).mkdir()
    with pytest.raises(data.DataNotFoundError) as caught:
        data.load_mnist()
    assert isinstance(caught.value, FileNotFoundError)
    message = str(caught.value)
    for expected in ("train-images-idx3-ubyte.gz", "CNNLIB_DATA", "CNNLIB_OFFLINE is set", str(tmp_path / "cache")):
        assert expected in message
    assert (f"CNNLIB_DATA is {tmp_path}" in message) == bool(variable)


def test_the_embedded_digits_stand_in_only_when_asked(contents):
    assert data.load_mnist(fallback=True).name == data.load_digits().name
    with pytest.raises(data.DataNotFoundError):
        data.load_fashion_mnist()


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
    else:
        path.write_bytes({"truncated": truncate, "altered": flip_in_the_middle, "empty": lambda _: b""}[kind](content))


def flip_in_the_middle(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize("kind", ["foreign", "other pixels", "code inside", "truncated", "altered", "empty"])
def test_a_damaged_prepared_file_is_made_anew_or_named(kind, folder, contents, tmp_path, monkeypatch):
    data.load_mnist()
    prepared = tmp_path / "cache" / "mnist.npz"
    sound = prepared.read_bytes()
    damage_prepared(prepared, kind)
    damaged = prepared.read_bytes()
    assert_is(data.load_mnist(), contents)
    assert prepared.read_bytes() == sound

    prepared.write_bytes(damaged)
    monkeypatch.delenv("CNNLIB_DATA")
    with pytest.raises(data.DataError, match=r"mnist\.npz is damaged.*Delete it"):
        data.load_mnist(fallback=True)


def test_works_without_a_cache_folder(folder, contents, tmp_path, monkeypatch):
    (tmp_path / "a file").write_text("not a folder")
    monkeypatch.setenv("CNNLIB_CACHE", str(tmp_path / "a file" / "cache"))
    assert_is(data.load_mnist(), contents)


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_writing_that_fails_leaves_nothing_behind(error, folder, contents, tmp_path, monkeypatch):
    def write_half(file, **arrays):
        file.write(b"half")
        raise error

    monkeypatch.setattr(np, "savez", write_half)
    if error is KeyboardInterrupt:
        with pytest.raises(KeyboardInterrupt):
            data.load_mnist()
    else:
        assert_is(data.load_mnist(), contents)
    assert os.listdir(tmp_path / "cache") == []


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_killed_while_writing_there_is_no_half_file(tmp_path):
    script = textwrap.dedent(
        """
        import os, signal, sys
        import numpy as np
        from pathlib import Path
        from cnnlib.digits import datasets as data

        os.fsync = lambda number: os.kill(os.getpid(), signal.SIGKILL)
        data._store(Path(sys.argv[1]), {"images": np.zeros((100, 28, 28), np.uint8)}, "")
        """
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "mnist.npz")], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "mnist.npz").exists()
    assert [path.suffix for path in tmp_path.iterdir()] == [".tmp"]


# --- Downloads, from a server on this computer


@pytest.fixture
def server(monkeypatch):
    """Run a web server; `server.contents` maps paths to the bytes sent, `server.asked` lists the paths asked for."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.asked.append(self.path)
            content = self.server.contents.get(self.path)
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Length", str(len(content or b"") + self.server.missing_bytes))
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.contents, server.asked, server.missing_bytes = {}, [], 0
        server.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("CNNLIB_OFFLINE", "0")
        yield server
        server.shutdown()
        thread.join()


def offer(server, mirror, contents):
    for name, content in contents.items():
        server.contents[f"/{mirror}/{name}.gz"] = gzip.compress(content)


def use_mirrors(monkeypatch, *mirrors):
    monkeypatch.setattr(data, "_MNIST", data._MNIST._replace(mirrors=mirrors))


@pytest.fixture
def dead_url():
    """Return the address of a port at which nothing listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    return f"http://127.0.0.1:{port}/"


def test_downloads_once(server, contents, monkeypatch):
    offer(server, "a", contents)
    use_mirrors(monkeypatch, f"{server.url}/a/", f"{server.url}/b/")
    assert_is(data.load_mnist(), contents)
    assert_is(data.load_mnist(), contents)
    assert server.asked == [f"/a/{name}.gz" for name in contents]


def test_a_dead_mirror_is_passed_over(server, contents, dead_url, monkeypatch):
    offer(server, "b", contents)
    use_mirrors(monkeypatch, dead_url, f"{server.url}/b/")
    assert_is(data.load_mnist(), contents)


def test_a_silent_mirror_costs_no_more_than_its_time_limit(server, contents, monkeypatch):
    offer(server, "b", contents)
    monkeypatch.setattr(data, "_TIMEOUT", (0.2, 0.2))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        use_mirrors(monkeypatch, f"http://127.0.0.1:{silent.getsockname()[1]}/", f"{server.url}/b/")
        start = time.perf_counter()
        assert_is(data.load_mnist(), contents)
    assert 0.2 < time.perf_counter() - start < 5


def test_what_one_mirror_lacks_the_next_one_gives(server, contents, monkeypatch):
    offer(server, "a", contents)
    offer(server, "b", contents)
    del server.contents["/a/t10k-labels-idx1-ubyte.gz"]
    use_mirrors(monkeypatch, f"{server.url}/a/", f"{server.url}/b/")
    assert_is(data.load_mnist(), contents)
    assert [path for path in server.asked if path.startswith("/b/")] == ["/b/t10k-labels-idx1-ubyte.gz"]


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_download_is_refused_and_not_kept(kind, server, contents, tmp_path, monkeypatch):
    offer(server, "a", contents)
    server.contents["/a/t10k-images-idx3-ubyte.gz"] = DAMAGE[kind](contents["t10k-images-idx3-ubyte"])
    use_mirrors(monkeypatch, f"{server.url}/a/")
    with pytest.raises(data.DataNotFoundError, match=f"{server.url}/a/: "):
        data.load_mnist()
    assert not (tmp_path / "cache").exists()


def test_a_connection_that_breaks_off_is_refused_and_not_kept(server, contents, tmp_path, monkeypatch):
    offer(server, "a", contents)
    server.missing_bytes = 1
    use_mirrors(monkeypatch, f"{server.url}/a/")
    with pytest.raises(data.DataNotFoundError, match=f"{server.url}/a/: "):
        data.load_mnist()
    assert not (tmp_path / "cache").exists()


def test_a_mirror_that_never_stops_sending_is_cut_off(server, contents, monkeypatch):
    offer(server, "a", contents)
    server.contents["/a/train-images-idx3-ubyte.gz"] = bytes(1_000_000)
    use_mirrors(monkeypatch, f"{server.url}/a/")
    with pytest.raises(data.DataNotFoundError, match="sends more than"):
        data.load_mnist()


def test_when_all_mirrors_fail_each_reason_is_given(server, contents, dead_url, monkeypatch):
    use_mirrors(monkeypatch, dead_url, f"{server.url}/b/")
    with pytest.raises(data.DataNotFoundError) as caught:
        data.load_mnist()
    assert f"{dead_url}: " in str(caught.value)
    assert f"{server.url}/b/: 404" in str(caught.value)
    assert data.load_mnist(fallback=True).name == data.load_digits().name


def test_a_download_that_cannot_be_kept_is_used_with_a_warning(server, contents, tmp_path, monkeypatch):
    offer(server, "a", contents)
    use_mirrors(monkeypatch, f"{server.url}/a/")
    (tmp_path / "a file").write_text("not a folder")
    monkeypatch.setenv("CNNLIB_CACHE", str(tmp_path / "a file" / "cache"))
    with pytest.warns(UserWarning, match="could not keep the download"):
        dataset = data.load_mnist()
    assert_is(dataset, contents)


def test_offline_asks_nobody(server, contents, monkeypatch):
    offer(server, "a", contents)
    use_mirrors(monkeypatch, f"{server.url}/a/")
    monkeypatch.setenv("CNNLIB_OFFLINE", "1")
    with pytest.raises(data.DataNotFoundError):
        data.load_mnist()
    assert server.asked == []


# --- The embedded digits


def test_the_embedded_digits():
    digits = data.load_digits()
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
    digits = data.load_digits()
    images = np.concatenate([digits.train_images, digits.test_images])
    assert hashlib.sha256(images.tobytes()).hexdigest() == (
        "91f56d5dc809a10d38d9d97bb1b8adf5fc21e768a96056e3576e56e4896dcbdb"
    )


def test_the_embedded_digits_are_digits():
    """The nearest training image, by plain distance, tells most test digits (guessing would tell a tenth)."""
    digits = data.load_digits()
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
    load = {"mnist": data.load_mnist, "fashion-mnist": data.load_fashion_mnist}[name]
    for _ in ("from the files", "prepared"):
        dataset = load()
        assert dataset.train_images.shape == (60_000, 28, 28)
        assert dataset.test_images.shape == (10_000, 28, 28)
        assert len(dataset.classes) == 10
        for labels in (dataset.train_labels, dataset.test_labels):
            assert set(np.unique(labels)) == set(range(10))
    assert (tmp_path / "cache" / f"{name}.npz").exists()
