"""Files that are written whole or not at all, by one program at a time, and that are ordinary files when read."""

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from cnnlib.config import check_path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None
    import msvcrt


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
