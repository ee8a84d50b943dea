"""Files that are written whole or not at all, and by one program at a time."""

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from cnnlib.config import check_path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None
    import msvcrt

STALE = 60.0  # seconds after which a temporary file that nobody holds has been left behind


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """Open a file for writing that appears under its name only when it is complete.

    The bytes go to a temporary file in the same folder, and to the disk, before it is renamed; whatever stops the
    program on the way, `path` holds the old file or the new one. Missing folders are made. What a program that was
    killed has left behind is removed by the next that writes to the same path.
    """
    path = check_path("path", path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_stale(path)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as file:
            _try_lock(file)
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())  # mkstemp makes files that only their owner can read
        os.replace(temporary, path)
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


def _remove_stale(path: Path) -> None:
    """Remove the temporary files of `path` whose program has ended without doing so."""
    start, end = f".{path.name}.", ".tmp"
    for entry in os.scandir(path.parent):
        if not (entry.name.startswith(start) and entry.name.endswith(end) and len(entry.name) == len(start + end) + 8):
            continue
        with contextlib.suppress(OSError):  # gone meanwhile, or another user's
            if entry.is_file(follow_symlinks=False) and time.time() - entry.stat().st_mtime > STALE:
                with open(entry, "ab") as file:
                    if _try_lock(file):
                        os.unlink(entry)


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask
