"""Files are written whole or not at all, nothing is left behind, and only ordinary files are read or replaced."""

import os
import signal
import subprocess
import sys

import pytest

from cnnlib.files import atomic_write, check_writable, open_regular

posix = pytest.mark.skipif(os.name != "posix", reason="this system has no such files or signals")

DIE = """if True:
    import os, signal, sys
    from cnnlib.files import atomic_write
    with atomic_write(sys.argv[1]) as file:
        file.write(b"half")
        os.kill(os.getpid(), signal.SIGKILL)
"""
STAY = """if True:
    import sys
    from cnnlib.files import atomic_write
    with atomic_write(sys.argv[1]) as file:
        file.write(b"slow")
        print("writing", flush=True)
        sys.stdin.readline()
"""


def write(path, content):
    with atomic_write(path) as file:
        file.write(content)


@posix
def test_files_of_killed_programs_are_removed(tmp_path):
    path = tmp_path / "a b.npz"
    for _ in range(3):
        assert subprocess.run([sys.executable, "-c", DIE, str(path)], check=False).returncode == -signal.SIGKILL
        assert len(os.listdir(tmp_path)) == 1
    check_writable(path)
    assert os.listdir(tmp_path) == []
    subprocess.run([sys.executable, "-c", DIE, str(path)], check=False)
    write(path, b"new")
    assert os.listdir(tmp_path) == ["a b.npz"] and path.read_bytes() == b"new"


@posix
def test_files_of_living_programs_and_other_files_stay(tmp_path):
    path = tmp_path / "a.npz"
    others = [".a.npz.tmp", ".a.npz.notes.tmp", ".a.npz.12345678.bak", ".b.npz.12345678.tmp", "a.npz.12345678.tmp"]
    for name in others:
        (tmp_path / name).write_bytes(b"")
    command = [sys.executable, "-c", STAY, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "writing\n"
        write(path, b"quick")
        assert path.read_bytes() == b"quick"
        process.communicate("\n")
    assert process.returncode == 0 and path.read_bytes() == b"slow"
    assert sorted(os.listdir(tmp_path)) == sorted(["a.npz", *others])


@posix
@pytest.mark.parametrize("kind", ["a folder", "a pipe", "a device"])
def test_only_ordinary_files_are_replaced(kind, tmp_path):
    path = tmp_path / "target"
    {"a folder": path.mkdir, "a pipe": lambda: os.mkfifo(path), "a device": lambda: path.symlink_to(os.devnull)}[kind]()
    for action in (check_writable, lambda path: write(path, b"")):
        with pytest.raises(OSError, match=f"target is .*{kind.split()[1]}.*expected an ordinary file"):
            action(path)
    with pytest.raises(ValueError, match="expected an ordinary file"):
        open_regular(path)
    assert os.listdir(tmp_path) == ["target"]


def test_whether_a_file_can_be_written_is_known_before(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "a.npz", tmp_path / ("x" * 300), tmp_path):
        with pytest.raises(OSError):
            check_writable(path)
    check_writable(tmp_path / "new" / "folder" / "a.npz")
    check_writable(tmp_path / "file")
    assert os.listdir(tmp_path / "new" / "folder") == []
    assert (tmp_path / "file").read_text() == ""
