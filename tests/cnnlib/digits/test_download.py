"""Downloads, from a server on this computer: each file is checked, and each failure is explained."""

import gzip
import http.server
import socket
import threading
import time
from types import SimpleNamespace
from typing import ClassVar

import pytest

from cnnlib.digits import datasets, download


@pytest.fixture
def server(isolated, monkeypatch):
    """Run a web server; `server.contents` maps paths to the bytes sent, `server.requested` lists what was requested."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.requested.append(self.path)
            self.server.accepted.add(self.headers["Accept-Encoding"])
            content = self.server.contents.get(self.path)
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Length", str(len(content or b"") + self.server.missing_bytes))
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.contents, server.requested, server.accepted, server.missing_bytes = {}, [], set(), 0
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
    monkeypatch.setattr(datasets, "_MNIST", datasets._MNIST._replace(mirrors=mirrors))


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
    contents.assert_equal(datasets.load_mnist())
    contents.assert_equal(datasets.load_mnist())
    assert server.requested == [f"/a/{name}.gz" for name in contents]
    assert server.accepted == {"identity"}  # what comes is the file as it is


class Bar:
    """In the place of tqdm's bar: what it was told."""

    made: ClassVar[list] = []

    def __init__(self, **settings):
        self.settings, self.received, self.total = settings, 0, settings["total"]
        self.made.append(self)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def update(self, count):
        self.received += count


def test_a_bar_says_what_comes_and_goes_when_it_is_there(server, contents, monkeypatch):
    monkeypatch.setattr("tqdm.auto.tqdm", Bar)
    monkeypatch.setattr(Bar, "made", [])
    offer(server, "a", contents)
    use_mirrors(monkeypatch, f"{server.url}/a/")
    datasets.load_mnist()
    assert [bar.settings["desc"] for bar in Bar.made] == list(contents)
    for bar, content in zip(Bar.made, contents.values(), strict=True):
        assert bar.settings["total"] == len(content)  # until the server says how many bytes come
        assert bar.received == bar.total == len(gzip.compress(content))
        assert bar.settings["unit"] == "B" and bar.settings["unit_scale"] is True
        assert bar.settings["leave"] is False and 0 < bar.settings["delay"] < 1


class Slow:
    """In the place of the thread that receives: `counts` bytes come in each window, and it ends after the last."""

    def __init__(self, *counts):
        self.counts, self.content, self.now = [*counts], SimpleNamespace(received=0), 0.0

    def join(self, seconds):
        self.content.received += self.counts.pop(0)
        self.now += seconds

    def is_alive(self):
        return bool(self.counts)


def wait_for(thread, monkeypatch):
    monkeypatch.setattr(download.time, "monotonic", lambda: 1000 + thread.now)
    download._wait(thread, thread.content)
    return thread


def test_each_window_must_bring_enough(monkeypatch):
    enough = download.MIN_RATE * download.WINDOW
    assert not wait_for(Slow(enough, enough, 0), monkeypatch).counts  # the last one may be short
    message = "^it sends only 1,000 bytes per second, expected at least 2,000$"
    for counts in ([enough // 2, 0], [9 * enough, enough // 2, 0]):
        with pytest.raises(TimeoutError, match=message):
            wait_for(Slow(*counts), monkeypatch)
    with pytest.raises(TimeoutError, match="sends only"):
        wait_for(Slow(enough - 1, 0), monkeypatch)


def test_no_file_may_take_longer_than_an_hour(monkeypatch):
    windows = 3600 // download.WINDOW
    wait_for(Slow(*[10**6] * (windows + 1)), monkeypatch)
    with pytest.raises(TimeoutError, match="^a file was not complete after 3,600 seconds$"):
        wait_for(Slow(*[10**6] * (windows + 2)), monkeypatch)


def test_a_buffer_takes_as_much_as_it_may():
    buffer = download._LimitedBuffer(1000)
    assert buffer.write(bytes(400)) == 400 and buffer.write(bytes(600)) == 600 and buffer.received == 1000
    with pytest.raises(ValueError, match="^it sends more than 1,000 bytes$"):
        buffer.write(b"x")
    assert buffer.getvalue() == bytes(1000)


def test_every_reason_is_in_the_error():
    error = download.DownloadError(["one", "two"])
    assert str(error) == "one; two" and error.reasons == ["one", "two"]


def test_a_dead_mirror_is_passed_over(server, contents, dead_url, monkeypatch):
    offer(server, "b", contents)
    use_mirrors(monkeypatch, dead_url, f"{server.url}/b/")
    contents.assert_equal(datasets.load_mnist())


def test_a_silent_mirror_costs_no_more_than_its_time_limit(server, contents, monkeypatch):
    offer(server, "b", contents)
    monkeypatch.setattr(download, "TIMEOUT", (0.2, 0.2))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        use_mirrors(monkeypatch, f"http://127.0.0.1:{silent.getsockname()[1]}/", f"{server.url}/b/")
        start = time.perf_counter()
        contents.assert_equal(datasets.load_mnist())
    assert 0.2 < time.perf_counter() - start < 5


class Dripper:
    """A server that sends its answer byte by byte: from the first header on, or only the content."""

    def __init__(self, head):
        self.socket, self.head, self.stopped = socket.create_server(("127.0.0.1", 0)), head, threading.Event()
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/"
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        while not self.stopped.is_set():
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection:
                try:
                    connection.recv(65_536)
                    connection.sendall(self.head)
                    while not self.stopped.wait(0.02):
                        connection.sendall(b"x")
                except OSError:  # the client has left
                    pass

    def stop(self):
        self.stopped.set()
        self.socket.close()
        with socket.socket() as wake:
            wake.connect_ex(("127.0.0.1", int(self.url.split(":")[2][:-1])))
        self.thread.join()


def test_the_thread_of_a_download_that_was_left_ends(contents, isolated, monkeypatch):
    """When the next byte comes; until then it does not keep Python from ending."""
    monkeypatch.setenv("CNNLIB_OFFLINE", "0")
    monkeypatch.setattr(download, "WINDOW", 0.1)
    before, dripper = set(threading.enumerate()), Dripper(b"HTTP/1.1 200 OK\r\n\r\n")
    monkeypatch.setattr(download, "CHUNK", 1)
    seen, wait = [], download._wait

    def watched(thread, content):
        seen.append(thread)
        return wait(thread, content)

    monkeypatch.setattr(download, "_wait", watched)
    try:
        use_mirrors(monkeypatch, dripper.url)
        with pytest.raises(datasets.DataNotFoundError, match="bytes per second"):
            datasets.load_mnist()
        seen[0].join(5)
        assert not seen[0].is_alive() and seen[0].daemon
    finally:
        dripper.stop()
    assert len(seen) == 1 and set(threading.enumerate()) <= before


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n", b"HTTP/1.1 200 OK\r\nX-Header: "])
def test_a_mirror_that_drips_is_left(head, server, contents, monkeypatch):
    offer(server, "b", contents)
    monkeypatch.setattr(download, "WINDOW", 2)
    dripper = Dripper(head)
    try:
        use_mirrors(monkeypatch, dripper.url, f"{server.url}/b/")
        start = time.perf_counter()
        contents.assert_equal(datasets.load_mnist())
        assert 2 <= time.perf_counter() - start < 30
        use_mirrors(monkeypatch, dripper.url)
        with pytest.raises(datasets.DataNotFoundError, match="bytes per second, expected at least 2,000"):
            datasets._download(datasets._MNIST)
    finally:
        dripper.stop()


def test_no_download_takes_for_ever(server, contents, monkeypatch):
    """However fast its bytes come."""
    monkeypatch.setattr(download, "WINDOW", 0.1)
    monkeypatch.setattr(download, "MIN_RATE", 1)
    monkeypatch.setattr(download, "CHUNK", 1)
    monkeypatch.setattr(download, "TIME_LIMIT", 0.3)
    dripper = Dripper(b"HTTP/1.1 200 OK\r\n\r\n")
    try:
        use_mirrors(monkeypatch, dripper.url)
        with pytest.raises(datasets.DataNotFoundError, match="was not complete after"):
            datasets.load_mnist()
    finally:
        dripper.stop()


def test_a_content_encoding_that_is_a_bomb(contents, isolated, monkeypatch):
    """Twice compressed, 200 MB are a few hundred bytes."""
    tracemalloc = pytest.importorskip("tracemalloc")
    monkeypatch.setenv("CNNLIB_OFFLINE", "0")
    bomb = gzip.compress(gzip.compress(bytes(200_000_000), 9), 9)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Encoding", "gzip, gzip")
            self.send_header("Content-Length", str(len(bomb)))
            self.end_headers()
            self.wfile.write(bomb)

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        use_mirrors(monkeypatch, f"http://127.0.0.1:{server.server_port}/")
        tracemalloc.start()
        with pytest.raises(datasets.DataNotFoundError):
            datasets.load_mnist()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        server.shutdown()
        thread.join()
    assert peak < 20_000_000


@pytest.mark.parametrize(
    ("value", "offline"), [("1", True), ("yes", True), ("0", False), ("false", False), ("No", False)]
)
def test_what_counts_as_offline(value, offline, dead_url, contents, monkeypatch):
    monkeypatch.setenv("CNNLIB_OFFLINE", value)
    use_mirrors(monkeypatch, dead_url)
    with pytest.raises(datasets.DataNotFoundError) as caught:
        datasets.load_mnist()
    assert ("CNNLIB_OFFLINE is set" in str(caught.value)) == offline


def test_what_one_mirror_lacks_the_next_one_gives(server, contents, monkeypatch):
    offer(server, "a", contents)
    offer(server, "b", contents)
    del server.contents["/a/t10k-labels-idx1-ubyte.gz"]
    use_mirrors(monkeypatch, f"{server.url}/a/", f"{server.url}/b/")
    contents.assert_equal(datasets.load_mnist())
    assert [path for path in server.requested if path.startswith("/b/")] == ["/b/t10k-labels-idx1-ubyte.gz"]


def test_a_damaged_download_is_refused_and_not_kept(damage, server, contents, tmp_path, monkeypatch):
    offer(server, "a", contents)
    server.contents["/a/t10k-images-idx3-ubyte.gz"] = damage(contents["t10k-images-idx3-ubyte"])
    use_mirrors(monkeypatch, f"{server.url}/a/")
    with pytest.raises(datasets.DataNotFoundError, match=f"{server.url}/a/: "):
        datasets.load_mnist()
    assert not (tmp_path / "cache").exists()


def test_a_connection_that_breaks_off_is_refused_and_not_kept(server, contents, tmp_path, monkeypatch):
    offer(server, "a", contents)
    server.missing_bytes = 1
    use_mirrors(monkeypatch, f"{server.url}/a/")
    with pytest.raises(datasets.DataNotFoundError, match=f"{server.url}/a/: "):
        datasets.load_mnist()
    assert not (tmp_path / "cache").exists()


def test_a_mirror_that_never_stops_sending_is_cut_off(server, contents, monkeypatch):
    offer(server, "a", contents)
    server.contents["/a/train-images-idx3-ubyte.gz"] = bytes(1_000_000)
    use_mirrors(monkeypatch, f"{server.url}/a/")
    with pytest.raises(datasets.DataNotFoundError, match="sends more than"):
        datasets.load_mnist()


def test_when_all_mirrors_fail_each_reason_is_given(server, contents, dead_url, monkeypatch):
    use_mirrors(monkeypatch, dead_url, f"{server.url}/b/")
    with pytest.raises(datasets.DataNotFoundError) as caught:
        datasets.load_mnist()
    assert f"{dead_url}: " in str(caught.value)
    assert f"{server.url}/b/: 404" in str(caught.value)
    assert datasets.load_mnist(fallback=True).name == datasets.load_digits().name


def test_a_download_that_cannot_be_kept_is_used_with_a_warning(server, contents, tmp_path, monkeypatch):
    offer(server, "a", contents)
    use_mirrors(monkeypatch, f"{server.url}/a/")
    (tmp_path / "a file").write_text("not a folder")
    monkeypatch.setenv("CNNLIB_CACHE", str(tmp_path / "a file" / "cache"))
    message = "^could not keep the download, next time it is repeated: .*a file"
    with pytest.warns(UserWarning, match=message) as warned:
        dataset = datasets.load_mnist()
    assert warned[0].filename == __file__  # the line that asked for the data
    contents.assert_equal(dataset)


def test_offline_nothing_is_requested(server, contents, monkeypatch):
    offer(server, "a", contents)
    use_mirrors(monkeypatch, f"{server.url}/a/")
    monkeypatch.setenv("CNNLIB_OFFLINE", "1")
    with pytest.raises(datasets.DataNotFoundError):
        datasets.load_mnist()
    assert server.requested == []
