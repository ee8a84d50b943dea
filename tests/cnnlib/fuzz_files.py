"""Damage models and checkpoints in every way, and see that reading them ends in an answer or in one kind of error.

    python tests/cnnlib/fuzz_files.py model 100000 0

Runs in a process of its own, with a limit on its memory and on the time of each input, and prints what came of it as
JSON. An escape is any exception other than a ValueError that names the file, a crash, or a network that has changed.
"""

import copy
import io
import json
import random
import resource
import signal
import struct
import sys
import tempfile
import warnings
import zipfile
from pathlib import Path

import numpy as np

import cnnlib

MEMORY = 512 * 2**20  # more than the process has at its start
SECONDS = 5
NASTY = [None, True, False, "", "x", "W0", -1, 0, 1, 7, 0.5, 10**9, 10**30, -(10**400), 1e308, float("nan"), [], {}]
NASTY += [[0], [[]], {"a": 1}, "é" * 100, "9" * 5000, [1] * 1000, float("inf"), "float16", "Dense", "Sequential"]
X, T = np.random.default_rng(0).random((8, 1, 6, 6), dtype=np.float32), np.arange(8) % 2


def network():
    rng = np.random.default_rng(0)
    inner = cnnlib.Residual([cnnlib.Convolutional(2, 2, 3, padding="same", rng=rng)])
    layers = [cnnlib.Convolutional(1, 2, 3, rng=rng), cnnlib.ReLU(), inner, cnnlib.MaxPooling(2), cnnlib.Flatten()]
    return cnnlib.Network([*layers, cnnlib.Dense(8, 2, rng=rng), cnnlib.Softmax()], (1, 6, 6))


class StopAfterOne(cnnlib.Callback):
    def on_epoch_end(self, run):
        run.stop = True


def train(path, *callbacks, net=None):
    callbacks = [cnnlib.EarlyStopping(3, "loss"), *callbacks]
    net = net or network()
    net.train(
        X, T, epochs=2, optimizer=cnnlib.Adam(), checkpoint=path, resume=True, progress=False, callbacks=callbacks
    )
    return net


def read_model(path):
    """Load a model; one that is accepted must work and can be saved."""
    net = cnnlib.Network.load(path)
    net.summary()
    net.save(path.with_name("again.npz"), **{"notes": net.notes})


def read_checkpoint(path):
    """Resume a run; one that is refused leaves the weights as they were."""
    net = network()
    before = {name: array.copy() for name, array in net.parameters().items()}
    try:
        train(path, net=net)
    except ValueError:
        assert all((array == before[name]).all() for name, array in net.parameters().items()), "weights have changed"
        raise
    except FloatingPointError:  # finite, but too large to go on with: documented
        pass


def members(data):
    """Return the names and contents of an archive."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pack(parts, compression=zipfile.ZIP_STORED):
    """Return an archive of (name, content) pairs: its checksums are right, whatever the contents."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that stand there twice
        for name, content in parts:
            archive.writestr(name, content)
    return file.getvalue()


def change_bytes(data, rng):
    """Change, remove, insert, repeat or cut off bytes."""
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 8])):
        at, length = rng.randrange(len(data) or 1), rng.choice([1, 1, 2, 4, 8, 64])
        how = rng.randrange(5)
        if how == 0:
            data[at : at + length] = rng.randbytes(len(data[at : at + length]))
        elif how == 1:
            del data[at : at + length]
        elif how == 2:
            data[at:at] = rng.choice([rng.randbytes(length), b"\0" * length, b"\xff" * length])
        elif how == 3:
            data[at:at] = data[at : at + length]
        elif rng.random() < 0.2:
            del data[max(at, 1) :]
    return bytes(data)


def change_structure(data, rng):
    """Leave members out, double, rename, swap or compress them; or write numbers into the directory of the archive."""
    parts = list(members(data).items())
    how = rng.randrange(6)
    if how == 0:
        del parts[rng.randrange(len(parts))]
    elif how == 1:
        parts.insert(rng.randrange(len(parts)), rng.choice(parts))
    elif how == 2:
        i, (name, content) = next(iter(rng.sample(list(enumerate(parts)), 1)))
        parts[i] = (rng.choice([name[:-4], "../x.npy", "W0.0.npy", "best.W0.npy", "x.y.npy", "a" * 300]), content)
    elif how == 3:
        i, j = rng.randrange(len(parts)), rng.randrange(len(parts))
        parts[i] = parts[i][0], parts[j][1]
    elif how == 4:
        return pack(parts, rng.choice([zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]))
    else:
        packed = bytearray(pack(parts))
        directory = packed.index(b"PK\1\2")
        at = rng.randrange(directory, len(packed) - 8)
        form = rng.choice(["<H", "<I", "<Q"])
        limit = 2 ** (8 * struct.calcsize(form)) - 1
        struct.pack_into(form, packed, at, rng.choice([0, 1, limit, limit // 2, rng.randrange(limit)]))
        return bytes(packed)
    return pack(parts)


def change_array(data, rng):
    """Change the header of an array, or its numbers, and let the archive fit."""
    parts = list(members(data).items())
    i = rng.randrange(len(parts))
    name, content = parts[i]
    start, header = content[:10], content[10 : 10 + struct.unpack("<H", content[8:10])[0]]
    numbers = content[10 + len(header) :]
    how = rng.randrange(6)
    if how == 0:
        numbers = change_bytes(numbers or b"\0", rng)
    elif how == 1:
        numbers = rng.choice([b"\xff", b"\0", b"\x7f", rng.randbytes(1)]) * len(numbers)
    elif how == 2:
        descr = rng.choice(["|O", "<f2", ">f4", "<f8", "|u1", "<i8", "|V1000000000", "<U99999999", "<M8[s]", "<c8"])
        header = header.replace(b"<f4", descr.encode()).replace(b"|u1", descr.encode())
    elif how == 3:
        text = header.decode("latin1")
        shape = rng.choice(
            ["()", "(1000000000000,)", "(-1,)", "(0, 99999999999)", "(9,)", "(" * 50, "(1,2,3)", "('a',)"]
        )
        header = (text[: text.index("(")] + shape + text[text.index(")") + 1 :]).encode("latin1")
    elif how == 4:
        header = change_bytes(header, rng)
    else:
        start = start[:6] + rng.choice([b"\1\0", b"\2\0", b"\3\0", b"\xff\0"]) + rng.randbytes(2)
    if rng.random() < 0.7 and how not in (5,):
        start = start[:8] + struct.pack("<H", len(header) % 65536)
    parts[i] = name, start + header + numbers
    return pack(parts)


def places(value, path=()):
    """Yield the path to everything in a JSON value."""
    yield path
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(inner, (*path, key))


def change_description(data, rng):
    """Replace, remove or add something in the description, and let the archive fit."""
    parts = members(data)
    content = parts["description.npy"]
    start = 10 + struct.unpack("<H", content[8:10])[0]
    description = json.loads(content[start:])
    for _ in range(rng.choice([1, 1, 2])):
        path = rng.choice([path for path in places(description) if path] or [("format",)])
        holder = description
        for key in path[:-1]:
            holder = holder[key]
        how = rng.randrange(4)
        if how == 0 and path[-1] in (holder if isinstance(holder, dict) else range(len(holder))):
            del holder[path[-1]]
        elif how == 1 and isinstance(holder, list):
            holder.extend(copy.deepcopy(holder * rng.choice([1, 3, 300])))
        else:
            holder[path[-1]] = copy.deepcopy(rng.choice(NASTY))
    text = json.dumps(description)
    if rng.random() < 0.1:
        text = rng.choice([text[:-1], "[" * 100_000, text + "x", "1" * 10_000, '{"format": ' + text + "}", "nul\0"])
    text = text[:1_000_000]  # the cost of large files is measured elsewhere
    file = io.BytesIO()
    np.save(file, np.frombuffer(text.encode(), np.uint8))
    parts["description.npy"] = file.getvalue()
    return pack(parts.items())


CHANGES = (change_bytes, change_structure, change_array, change_description)
READERS = {"model": read_model, "checkpoint": read_checkpoint}


class TooSlow(BaseException):
    pass


def too_slow(*_):
    raise TooSlow


def main(kind, count, seed):
    rng, read, escapes, accepted = random.Random(seed), READERS[kind], [], 0
    with tempfile.TemporaryDirectory() as folder, np.errstate(all="ignore"):
        path = Path(folder) / "file.npz"
        if kind == "model":
            network().save(path, note="x")
        else:
            train(path, StopAfterOne())
        valid = path.read_bytes()
        read(path)  # the file as it is
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
        signal.signal(signal.SIGALRM, too_slow)
        warnings.simplefilter("error")
        for number in range(count):
            change = rng.choice(CHANGES)
            data = change(valid, rng)
            path.write_bytes(data)
            signal.alarm(SECONDS)
            try:
                read(path)
                accepted += 1
            except ValueError as error:
                if str(path) not in str(error):
                    escapes.append(f"{number} {change.__name__}: without the file's name: {error!r}"[:400])
            except BaseException as error:
                escapes.append(f"{number} {change.__name__}: {error!r}"[:400])
            signal.alarm(0)
    print(json.dumps({"inputs": count, "accepted": accepted, "escapes": len(escapes), "first": escapes[:10]}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
