"""Downloads, from a server on this computer: each file is checked, and each failure is explained."""

import gzip
import http.server
import socket
import threading
import time

import pytest

from cnnlib.digits import datasets, download


@pytest.fixture
def server(isolated, monkeypatch):
    """Run a web server; `server.contents` maps paths to the bytes sent, `server.requested` lists what was requested."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.requested.append(self.path)
            content = self.server.contents.get(self.path)
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Length", str(len(content or b"") + self.server.missing_bytes))
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.contents, server.requested, server.missing_bytes = {}, [], 0
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
    with pytest.warns(UserWarning, match="could not keep the download"):
        dataset = datasets.load_mnist()
    contents.assert_equal(dataset)


def test_offline_nothing_is_requested(server, contents, monkeypatch):
    offer(server, "a", contents)
    use_mirrors(monkeypatch, f"{server.url}/a/")
    monkeypatch.setenv("CNNLIB_OFFLINE", "1")
    with pytest.raises(datasets.DataNotFoundError):
        datasets.load_mnist()
    assert server.requested == []
