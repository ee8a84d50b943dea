"""IDX, the file format of MNIST: a header, then the bytes of one array.

MNIST's files are published, so it is known what they hold. Here a file is read only if it holds exactly that.
"""

import gzip
import hashlib
import math
import struct
import zlib
from typing import BinaryIO, NamedTuple

import numpy as np


class IdxFile(NamedTuple):
    """What a file must hold.

    Attributes
    ----------
    name : str
        The file's name, without ``.gz``.
    shape : tuple of int
        Of its array, which is of type uint8.
    sha256 : str
        The SHA-256, in hexadecimal, of header and array, uncompressed.
    """

    name: str
    shape: tuple[int, ...]
    sha256: str

    @property
    def header(self) -> bytes:
        """Two zero bytes, 8 for "unsigned bytes", the number of axes, then each axis' length (32 bits, big-endian)."""
        return struct.pack(f">4B{len(self.shape)}I", 0, 0, 8, len(self.shape), *self.shape)

    @property
    def size(self) -> int:
        """The number of bytes, uncompressed."""
        return len(self.header) + math.prod(self.shape)

    def check(self, array: np.ndarray) -> None:
        """Raise ValueError unless `array` is the content of this file, to the last bit."""
        if array.shape != self.shape or array.dtype != np.uint8:
            raise ValueError(f"holds {array.dtype} of shape {array.shape}, expected uint8 of shape {self.shape}")
        digest = hashlib.sha256(self.header)
        digest.update(np.ascontiguousarray(array))
        if digest.hexdigest() != self.sha256:
            raise ValueError(f"has other content than expected (SHA-256 {digest.hexdigest()}, not {self.sha256})")


def read_idx(stream: BinaryIO, file: IdxFile) -> np.ndarray:
    """Return the array in an IDX file, compressed by gzip or not.

    Raises
    ------
    ValueError
        If `stream` does not hold exactly what `file` describes.
    """
    compressed = stream.read(2) == b"\x1f\x8b"
    stream.seek(0)
    try:
        # One byte more than expected shows that a file is too long. Thus a small file cannot unpack to fill the memory.
        content = (gzip.GzipFile(fileobj=stream) if compressed else stream).read(file.size + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"it cannot be decompressed ({error})") from error
    if len(content) != file.size:
        found = f"more than {file.size:,}" if len(content) > file.size else f"only {len(content):,}"
        raise ValueError(f"it has {found} bytes, expected {file.size:,}")
    if not content.startswith(file.header):
        raise ValueError(f"its header is {content[: len(file.header)].hex(' ')}, expected {file.header.hex(' ')}")
    array = np.frombuffer(bytearray(content), np.uint8, offset=len(file.header)).reshape(file.shape)
    file.check(array)
    return array
