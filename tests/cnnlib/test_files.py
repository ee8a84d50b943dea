"""Files: whole or not at all, by one program at a time; and damaged ones are refused, at a bounded cost."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import cnnlib
from cnnlib import files, saving
from cnnlib.files import atomic_write, check_writable, exclusive, open_regular

resource = pytest.importorskip("resource")  # not on Windows
# How many damaged files each reader is given: `make test-all` sets a hundred thousand.
INPUTS = max(300, int(os.environ.get("CNNLIB_FUZZ", "0")))
HOLD = """
import sys, time
from cnnlib.files import exclusive
with exclusive(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def holder(path):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    return process


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs a system that can limit memory")
@pytest.mark.parametrize("kind", ["model", "checkpoint"])
def test_damaged_files_are_answered_or_refused(kind):
    command = [sys.executable, str(Path(__file__).with_name("fuzz_files.py")), kind, str(INPUTS), str(INPUTS)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60 + INPUTS / 10)
    assert run.returncode == 0, run.stderr
    result = json.loads(run.stdout)
    assert result["escapes"] == 0 and result["inputs"] == INPUTS, result["first"]
    assert 0 < result["accepted"] < INPUTS / 2


def description_file(path, text):
    with open(path, "wb") as file:
        np.savez(file, description=np.frombuffer(text.encode(), np.uint8))


def layers_text(layers, shape=(4,)):
    network = {"dtype": "float32", "input_shape": shape, "layers": layers}
    return json.dumps({"format": saving.MODEL, "network": network, "notes": {}})


@pytest.mark.parametrize(
    "text",
    [
        f"[{'[],' * 500_000}[]]",
        f"[{'{},' * 500_000}0]",
        "{" + ",".join(f'"{i:x}":{{}}' for i in range(200_000)) + "}",
        "[" * 500_000,
        layers_text([{"class": "ReLU"}] * 80_000),
        layers_text([{"class": "Sequential", "layers": [{"class": "ReLU"}] * 1_000}] * 50),
        layers_text([{"class": "Dense", "inputs": 10_000, "outputs": 10_000, "initializer": "he"}], (10_000,)),
        layers_text([{"class": "Dense", "inputs": 1, "outputs": 10**8, "initializer": "he"}], (1,)),
    ],
    ids=["lists", "dictionaries", "keys", "depth", "layers", "many layers", "wide", "long bias"],
)
def test_a_small_file_costs_little(tmp_path, text):
    path = tmp_path / "model.npz"
    description_file(path, text)
    began, resident = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tracemalloc.start()
    with contextlib.suppress(ValueError):
        cnnlib.Network.load(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.process_time() - began < 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - resident < 2**17  # kB; what is not touched is not there
    if "Dense" not in text:
        print(peak / path.stat().st_size)
        assert peak < 2**20 + files.MAX_COST * path.stat().st_size


def test_what_is_no_ordinary_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, "/dev/zero"):
        with pytest.raises(ValueError, match="it is not an ordinary file"):
            cnnlib.Network.load(path)


def test_what_is_no_path_is_refused():
    """A number would be taken as a file descriptor, and standard output closed."""
    for path in (1, True, None, b"model.npz", "", "a\0b"):
        with pytest.raises((TypeError, ValueError), match="path must be the path of a file, got"):
            cnnlib.Network.load(path)


def test_a_second_run_is_refused_as_long_as_the_first_lives(tmp_path):
    path = tmp_path / "folder" / "checkpoint.npz"
    process = holder(path)
    try:
        with pytest.raises(RuntimeError, match="another run is writing to .*checkpoint.npz"), exclusive(path):
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
        # The file of the lock is still there, and nobody holds it.
        with exclusive(path), pytest.raises(RuntimeError, match="another run"), exclusive(path):
            pass
        assert list(path.parent.iterdir()) == []
    finally:
        process.kill()
        process.stdout.close()
        process.wait()


def test_training_holds_the_lock_and_gives_it_back(tmp_path):
    path = tmp_path / "checkpoint.npz"
    x, t = np.random.default_rng(0).random((6, 4)), np.arange(6) % 2

    class Second(cnnlib.Callback):
        def on_step_end(self, run):
            with pytest.raises(RuntimeError, match="another run is writing to"):
                train()

    def train(*callbacks):
        network = cnnlib.Network([cnnlib.Dense(4, 2, rng=0), cnnlib.Softmax()], (4,))
        network.train(x, t, checkpoint=path, resume=True, progress=False, callbacks=callbacks)

    train(Second())
    train()
    assert list(tmp_path.iterdir()) == [path]


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


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    """Otherwise a power cut could leave an empty file under the name of a good one."""
    path, done = tmp_path / "a.npz", []
    fsync, replace = os.fsync, os.replace

    def note_fsync(descriptor):
        done.append(("fsync", os.fstat(descriptor).st_size, path.exists()))
        fsync(descriptor)

    def note_replace(source, target):
        done.append(("replace", os.stat(source).st_size, target == path))
        replace(source, target)

    monkeypatch.setattr(files.os, "fsync", note_fsync)
    monkeypatch.setattr(files.os, "replace", note_replace)
    write(path, b"content")
    assert done == [("fsync", 7, False), ("replace", 7, True)]


@posix
def test_a_file_has_the_permissions_that_the_user_wants(tmp_path):
    umask = os.umask(0o027)
    try:
        write(tmp_path / "a.npz", b"")
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(umask)
    assert (tmp_path / "a.npz").stat().st_mode & 0o777 == 0o640


def test_what_is_said_of_a_file_that_is_none(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    path = tmp_path / "model.npz"
    for call, kind, message in (
        (lambda: saving.read_arrays(path, "f"), FileNotFoundError, f"there is no file {path}"),
        (lambda: open_regular(tmp_path), ValueError, f"{tmp_path} is a folder, expected an ordinary file"),
        (
            lambda: check_writable(tmp_path / "file" / "a.npz"),
            NotADirectoryError,
            f"{tmp_path / 'file'} is not a folder, so nothing can be written to it",
        ),
    ):
        with pytest.raises(kind) as caught:
            call()
        assert str(caught.value) == message


def test_what_is_said_of_a_damaged_file(tmp_path):
    path = tmp_path / "model.npz"

    def message(**arrays):
        with open(path, "wb") as file:
            np.savez(file, **arrays)
        with pytest.raises(ValueError) as caught:
            saving.read_arrays(path, "a format")
        return str(caught.value).removeprefix(f"{path} is not a readable cnnlib file: ")

    def text(value):
        return np.frombuffer(json.dumps(value).encode(), np.uint8)

    assert message(W=np.ones(2)) == "it has no 'description'"
    assert message(description=text({"format": "other"})) == "its format is 'other', expected 'a format'"
    assert message(W=np.ones(2, int), description=text({})) == (
        "W.npy is not an array of float32, float64 or uint8 that np.savez wrote"
    )
