"""Download IDX files from the first of several mirrors that has them, checked to the last bit.

With the environment variable CNNLIB_OFFLINE set to 1, nothing is downloaded.
"""

import io
import os
import threading
import time
from collections.abc import Iterable, Mapping

import numpy as np

from cnnlib.digits.idx import IdxFile, read_idx

# Seconds to wait for a connection, and for the next bytes. A name may stand for eight addresses, tried one by one.
TIMEOUT = (3.05, 10)
# A server that sends a byte now and then would never exceed that. So, while a file is coming, each `WINDOW` of seconds
# must bring `MIN_RATE` bytes per second on average; and no file may take longer than `TIME_LIMIT` seconds.
WINDOW, MIN_RATE, TIME_LIMIT = 30, 2_000, 3_600
CHUNK = 8_192  # bytes


class DownloadError(OSError):
    """Nothing may be downloaded, or no mirror has all files.

    Attributes
    ----------
    reasons : list of str
        One for each mirror that was tried.
    """

    def __init__(self, reasons: list[str]):
        super().__init__("; ".join(reasons))
        self.reasons = reasons


def download(mirrors: Iterable[str], files: Mapping[str, IdxFile]) -> dict[str, np.ndarray]:
    """Return the arrays of `files` under the same keys, each from the first mirror that has it.

    Parameters
    ----------
    mirrors : iterable of str
        Addresses to which a file's name and ``.gz`` are appended.
    files : dict of str to IdxFile

    Raises
    ------
    DownloadError
        If a file cannot be had from any mirror.
    """
    if os.environ.get("CNNLIB_OFFLINE", "").lower() not in ("", "0", "false", "no"):
        raise DownloadError(["CNNLIB_OFFLINE is set, so nothing was downloaded"])
    arrays: dict[str, np.ndarray] = {}
    reasons = []
    for mirror in mirrors:
        try:
            for key, file in files.items():
                if key not in arrays:
                    arrays[key] = _fetch(f"{mirror}{file.name}.gz", file)
            return arrays
        except (OSError, ValueError) as error:  # requests' errors are OSErrors
            reasons.append(f"{mirror}: {error}")
    raise DownloadError(reasons)


def _fetch(url: str, file: IdxFile) -> np.ndarray:
    from tqdm.auto import tqdm  # here, because it is slow to import and downloads are rare

    content = _LimitedBuffer(file.size + 65_536)  # incompressible data grows a little when compressed
    # The bar appears only once bytes have been coming for a moment, so a failure leaves no empty bar on the page.
    with tqdm(desc=file.name, total=file.size, unit="B", unit_scale=True, leave=False, delay=0.3) as progress:
        errors: list[Exception] = []

        def work() -> None:
            try:
                _receive(url, content, progress)
            except Exception as error:
                errors.append(error)

        # In a thread, since a call that waits for the next byte cannot be stopped from outside: it can only be left.
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        try:
            _wait(thread, content)
        except BaseException:
            content.limit = 0  # ends the thread when the next bytes come
            raise
    if errors:
        raise errors[0]
    content.seek(0)
    return read_idx(content, file)


def _receive(url: str, content: "_LimitedBuffer", progress) -> None:
    """Write to `content` what a server sends, as it is: unpacking a Content-Encoding could fill the memory."""
    import requests  # slow to import, as tqdm
    import urllib3

    try:
        with requests.get(url, stream=True, timeout=TIMEOUT, headers={"Accept-Encoding": "identity"}) as response:
            response.raise_for_status()
            if response.headers.get("Content-Length", "").isdecimal():
                progress.total = int(response.headers["Content-Length"])
            while chunk := response.raw.read(CHUNK, decode_content=False):
                content.write(chunk)
                progress.update(len(chunk))
    except urllib3.exceptions.HTTPError as error:  # requests' own errors are OSErrors
        raise OSError(str(error)) from error


def _wait(thread: threading.Thread, content: "_LimitedBuffer") -> None:
    """Wait until the thread has ended; TimeoutError if it fills `content` too slowly."""
    start, before = time.monotonic(), 0
    while True:
        thread.join(WINDOW)
        if not thread.is_alive():
            return
        received = content.received
        if received - before < MIN_RATE * WINDOW:
            rate = (received - before) / WINDOW
            raise TimeoutError(f"it sends only {rate:,.0f} bytes per second, expected at least {MIN_RATE:,}")
        if time.monotonic() - start > TIME_LIMIT:
            raise TimeoutError(f"a file was not complete after {TIME_LIMIT:,} seconds")
        before = received


class _LimitedBuffer(io.BytesIO):
    """A file in memory that refuses to grow beyond `limit` bytes, and knows how many it has received."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit, self.received = limit, 0

    def write(self, data) -> int:
        if self.received + len(data) > self.limit:
            raise ValueError(f"it sends more than {self.limit:,} bytes")
        self.received += len(data)
        return super().write(data)
