"""Files that are written whole or not at all, and that cannot run code when they are read.

A file is an ordinary ``.npz``: named arrays, plus one named ``description`` that holds JSON text in UTF-8.
"""

import contextlib
import json
import os
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

MAX_BYTES = 2**30  # of all arrays together: far above any model of this book, far below what would stop a computer


@contextlib.contextmanager
def whole_file(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """Open a file for writing that appears under its name only when it is complete.

    The bytes go to a temporary file in the same folder, and to the disk, before it is renamed; whatever stops the
    program on the way, `path` holds the old file or the new one. Missing folders are made.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())  # mkstemp makes files that only their owner can read
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


def save_arrays(path: str | os.PathLike, arrays: dict[str, np.ndarray], description: dict) -> None:
    """Write named arrays and a JSON description to one ``.npz``, whole or not at all."""
    text = np.frombuffer(json.dumps(description).encode(), np.uint8)
    with whole_file(path) as file:
        np.savez(file, description=text, **arrays)


def load_arrays(path: str | os.PathLike) -> tuple[dict[str, np.ndarray], dict]:
    """Read what `save_arrays` wrote.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not such a file, is damaged, or holds more than `MAX_BYTES`.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > MAX_BYTES:
            raise ValueError(f"it holds {size:,} bytes, more than the {MAX_BYTES:,} allowed")
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        description = json.loads(arrays.pop("description").tobytes().decode())
        if not isinstance(description, dict):
            raise TypeError("its description is not a JSON object")
    except FileNotFoundError:
        raise
    except (
        ValueError,
        KeyError,
        TypeError,
        OSError,
        EOFError,
        zipfile.BadZipFile,
        MemoryError,
        AttributeError,
    ) as error:
        raise ValueError(f"{os.fspath(path)} is not a readable cnnlib file: {error}") from error
    return arrays, description
