"""Files that are written whole or not at all, and files that can be read without a surprise."""

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows, where a file that is open cannot be removed: no lock is needed there
    fcntl = None


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
    path = Path(path)
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


def check_writable(path: str | os.PathLike) -> None:
    """Raise an OSError if `atomic_write` could not write to `path`; missing folders are made.

    Long work should fail before it begins, not when its result is to be stored.
    """
    file, temporary = _open_temporary(Path(path))
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
        # Where the file system knows no locks, abandoned files cannot be told from others, and stay.
        with contextlib.suppress(OSError):
            if fcntl:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        # Another process may have taken it for abandoned before it was locked.
        if os.path.exists(temporary):
            return os.fdopen(descriptor, "wb"), temporary
        os.close(descriptor)


def _remove_abandoned(folder: Path, prefix: str) -> None:
    """Remove temporary files that no living process holds: the system gives up a lock when its process ends."""
    for name in os.listdir(folder):
        if not (name.startswith(prefix) and name.endswith(".tmp") and len(name) == len(prefix) + len("12345678.tmp")):
            continue
        with contextlib.suppress(OSError):
            if not fcntl:
                os.unlink(folder / name)
                continue
            descriptor = os.open(folder / name, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(folder / name)
            finally:
                os.close(descriptor)


def _publish(temporary: str, path: Path) -> None:
    os.chmod(temporary, 0o666 & ~_umask())  # mkstemp makes files that only their owner can read
    os.replace(temporary, path)


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask
