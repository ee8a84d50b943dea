"""Download IDX files from the first of several mirrors that has them, checked to the last bit.

With the environment variable CNNLIB_OFFLINE set to 1, nothing is downloaded.
"""

import io
import os
from collections.abc import Iterable, Mapping

import numpy as np

from cnnlib.digits.idx import IdxFile, read_idx

# Seconds to wait for a connection, and for the next bytes. A name may stand for eight addresses, tried one by one.
TIMEOUT = (3.05, 10)


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
    if os.environ.get("CNNLIB_OFFLINE", "0") not in ("", "0"):
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
    # Imported here, because they are slow to import and downloads are rare.
    import pooch
    from tqdm.auto import tqdm

    # The bar appears only once bytes have been coming for a moment, so a failure leaves no empty bar on the page.
    # It needs some total to begin with: pooch puts the real one in its place.
    with tqdm(desc=file.name, total=file.size, unit="B", unit_scale=True, leave=False, delay=0.3) as progress:
        content = _LimitedBuffer(file.size + 65_536)  # incompressible data grows a little when compressed
        pooch.HTTPDownloader(progressbar=progress, chunk_size=65_536, timeout=TIMEOUT)(url, content, None)
    content.seek(0)
    return read_idx(content, file)


class _LimitedBuffer(io.BytesIO):
    """A file in memory that refuses to grow beyond `limit` bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit

    def write(self, data: bytes) -> int:
        if self.tell() + len(data) > self.limit:
            raise ValueError(f"it sends more than {self.limit:,} bytes")
        return super().write(data)
