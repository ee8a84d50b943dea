"""Files that are written whole or not at all, by one program at a time, and that are ordinary files when read.

What the library writes are ordinary ``.npz`` files: named arrays, uncompressed, plus one named ``description`` that
holds JSON text in UTF-8. They cannot run code when they are read, and cost no more than their size.
"""

import contextlib
import json
import os
import re
import stat
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from cnnlib.checks import DTYPES, check_finite, check_path, shown, to_numpy

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]
    import msvcrt

MAX_COST = 40  # the most that JSON text costs: each of many empty lists has three bytes, and takes a hundred
# The header of an array in version 1 of NumPy's format; before it stand 8 bytes and the header's length in 2.
HEADER = re.compile(
    rb"\x93NUMPY\x01\0..\{'descr': '(<f4|<f8|>f4|>f8|\|u1)', 'fortran_order': (True|False), "
    rb"'shape': \(([0-9, ]*)\), \} *\n",
    re.DOTALL,
)


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """Open a file for writing that appears under its name only when it is complete.

    The bytes go to a temporary file in the same folder, and to the disk, before it is renamed; whatever stops the
    program on the way, `path` holds the old file or the new one. Missing folders are made. Temporary files of programs
    that were killed while they wrote to `path` are removed.

    Raises
    ------
    OSError
        If the file cannot be written, or if `path` is a folder, a device or a pipe.
    """
    path = check_path("path", path)
    file, temporary = _open_temporary(path)
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if fcntl:
                _publish(temporary, path)  # while the lock is held
        if not fcntl:
            _publish(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def exclusive(path: str | os.PathLike) -> Iterator[None]:
    """Keep all others that call this for the same path out, in this program and in others.

    The lock is one of the operating system, on a file beside `path`. It ends with the program, however that ends, so
    that none is ever left behind: a file that is, is not locked.

    Raises
    ------
    RuntimeError
        If another one has not finished yet.
    """
    path = check_path("path", path)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_name(f".{path.name}.lock")
    while True:
        file = open(lock, "ab")  # noqa: SIM115
        if not _try_lock(file):
            file.close()
            raise RuntimeError(f"another run is writing to {path}: wait until it has ended, or choose another file")
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), os.stat(lock)):
                break
        file.close()  # the one before us has removed the file between our opening and our locking it
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # Windows removes no open file: there it stays, unlocked
            lock.unlink()
        file.close()


def _try_lock(file: BinaryIO) -> bool:
    """Lock an open file until it is closed; return False if another one holds it."""
    try:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:  # a file system without locks
        pass
    return True


def check_writable(path: str | os.PathLike) -> None:
    """Raise an OSError if `atomic_write` could not write to `path`; missing folders are made.

    Long work should fail before it begins, not when its result is to be stored.
    """
    file, temporary = _open_temporary(check_path("path", path))
    file.close()
    os.unlink(temporary)


def open_regular(path: str | os.PathLike) -> BinaryIO:
    """Open an ordinary file for reading; ValueError if it is none: a pipe would make us wait, a device has no end."""
    _check_regular(os.stat(path).st_mode, path)  # before it is opened, for opening a pipe waits, too
    return open(path, "rb")


def _check_regular(mode: int, path: str | os.PathLike) -> None:
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a pipe, a device or a socket"
        raise ValueError(f"{os.fspath(path)} is {kind}, expected an ordinary file")


def _open_temporary(path: Path) -> tuple[BinaryIO, str]:
    """Return a new temporary file beside `path`, locked as long as it is open, and its name."""
    if path.exists():
        try:
            _check_regular(path.stat().st_mode, path)
        except ValueError as error:
            raise OSError(str(error)) from None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise NotADirectoryError(f"{path.parent} is not a folder, so nothing can be written to it") from None
    prefix = f".{path.name}."
    _remove_abandoned(path.parent, prefix)
    while True:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=prefix, suffix=".tmp")
        file = os.fdopen(descriptor, "wb")
        _try_lock(file)
        # Another process may have taken it for abandoned before it was locked.
        if os.path.exists(temporary):
            return file, temporary
        file.close()


def _remove_abandoned(folder: Path, prefix: str) -> None:
    """Remove temporary files that no living process holds: the system gives up a lock when its process ends."""
    for entry in os.scandir(folder):
        name = entry.name
        if not (name.startswith(prefix) and name.endswith(".tmp") and len(name) == len(prefix) + len("12345678.tmp")):
            continue
        with contextlib.suppress(OSError):  # gone meanwhile, or another user's
            if entry.is_file(follow_symlinks=False):
                with open(entry, "ab") as file:
                    if _try_lock(file):
                        os.unlink(entry)


def _publish(temporary: str, path: Path) -> None:
    os.chmod(temporary, 0o666 & ~_umask())  # mkstemp makes files that only their owner can read
    os.replace(temporary, path)


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


def write_arrays(path: str | os.PathLike, arrays: dict[str, np.ndarray], description: dict) -> None:
    """Write named arrays and a JSON description to one ``.npz``, whole or not at all."""
    text = np.frombuffer(json.dumps(description).encode(), np.uint8)
    with atomic_write(path) as file:
        arrays = {name: to_numpy(array) for name, array in arrays.items()}
        np.savez(file, allow_pickle=False, description=text, **arrays)


def read_arrays(path: str | os.PathLike, expected_format: str) -> tuple[dict[str, np.ndarray], dict]:
    """Read what `write_arrays` wrote. It costs memory for at most `MAX_COST` times the file's size.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not such a file, or is damaged.
    """
    path = check_path("path", path)
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        if not path.is_file():  # a pipe would make us wait, a device may have no end
            raise ValueError("it is not an ordinary file")
        with open(path, "rb") as file, zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            if any(member.compress_type != zipfile.ZIP_STORED for member in members):
                raise ValueError("its arrays are compressed: write them with np.savez, not np.savez_compressed")
            if sum(member.file_size for member in members) > os.fstat(file.fileno()).st_size:
                raise ValueError("its arrays claim to be larger than the file")
            arrays = {member.filename.removesuffix(".npy"): _read_array(archive, member) for member in members}
        if len(arrays) != len(members):
            raise ValueError("two of its arrays have one name")
        description = json.loads(arrays.pop("description").tobytes().decode())
        if description.get("format") != expected_format:
            raise ValueError(f"its format is {shown(description.get('format'))}, expected {expected_format!r}")
    except Exception as error:  # a damaged archive makes zipfile, json and numpy raise nearly anything
        raise ValueError(f"{path} is not a readable cnnlib file: {message_of(error)}") from error
    return arrays, description


def _read_array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    """Read one array. NumPy's own reader believes a header, and makes an array of the size that it claims."""
    data = archive.read(member)
    header = HEADER.match(data)
    if header is None:
        raise ValueError(f"{member.filename} is not an array of {', '.join(DTYPES)} or uint8 that np.savez wrote")
    descr, fortran_order, sizes = (group.decode() for group in header.groups())
    array = np.frombuffer(data, descr, offset=10 + int.from_bytes(data[8:10], "little"))
    shape = tuple(int(size) for size in sizes.split(",") if size.strip())
    array = array.reshape(shape, order="F" if fortran_order == "True" else "C").copy()
    return check_finite(member.filename.removesuffix(".npy"), array.astype(array.dtype.newbyteorder("="), copy=False))


def message_of(error: Exception) -> str:
    """Return what an exception says; a KeyError says no more than the key."""
    return f"it has no {error}" if isinstance(error, KeyError) else str(error) or type(error).__name__
