"""Damage idx and image files at random, and read them: every one is read, or refused by a ValueError.

``python fuzz.py KIND COUNT FOLDER``, with KIND one of idx, prepared and image. It prints one line of JSON: how many
files were read and refused, the errors that escaped (with the seed that makes each), the most processor time and
the most memory.
"""

import gzip
import hashlib
import io
import json
import struct
import sys
import time
import warnings
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from cnnlib.digits import datasets
from cnnlib.digits.idx import IdxFile, read_idx
from cnnlib.digits.reading import read_digit

EXTREMES = [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 65_500, 30_000, 7_000]


def damage(content: bytes, others: list[bytes], rng: np.random.Generator) -> bytes:
    """Return the content of a file with one to six random changes."""
    data = bytearray(content)
    for _ in range(rng.integers(1, 7)):
        if not data:
            break
        # Most of what a reader decides on stands at the beginning.
        place = int(rng.integers(min(len(data), 64) if rng.random() < 0.5 else len(data)))
        length = int(rng.integers(1, 1 + min(len(data) - place, int(rng.choice([4, 32, 1_000])))))
        kind = rng.integers(8)
        if kind == 0:
            data[place] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            data[place : place + length] = rng.bytes(length)
        elif kind == 2:
            del data[place : place + length]
        elif kind == 3:
            data[place:place] = data[place : place + length] * int(rng.choice([1, 2, 50]))
        elif kind == 4:
            del data[place:]
        elif kind == 5:  # a number that counts or measures something
            code = str(rng.choice(["<H", ">H", "<I", ">I", "B"]))
            value = int(rng.choice(EXTREMES)) % 256 ** struct.calcsize(code)
            data[place : place + struct.calcsize(code)] = struct.pack(code, value)
        elif kind == 6:
            other = others[rng.integers(len(others))]
            start = int(rng.integers(len(other)))
            data[place : place + length] = other[start : start + length]
        else:
            data = bytearray(repair(bytes(data), rng))
    return repair(bytes(data), rng) if rng.random() < 0.5 else bytes(data)


def repair(content: bytes, rng: np.random.Generator) -> bytes:
    """Make the checksums of a PNG right, so that what is wrong is not only that; or compress a gzip file anew."""
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        fixed, place = bytearray(content), 8
        while place + 12 <= len(fixed):
            (length,) = struct.unpack(">I", fixed[place : place + 4])
            end = place + 8 + length
            if end + 4 > len(fixed):
                break
            fixed[end : end + 4] = struct.pack(">I", zlib.crc32(fixed[place + 4 : end]))
            place = end + 4
        return bytes(fixed)
    if content.startswith(b"\x00\x00\x08"):
        return gzip.compress(content, int(rng.integers(10)), mtime=0)
    return content


def images() -> list[bytes]:
    """Return small image files of every format, mode and compression that is read."""
    grey = Image.new("L", (60, 48), 255)
    ImageDraw.Draw(grey).line([(15, 10), (45, 10), (27, 41)], fill=0, width=5, joint="curve")
    colour, alpha = grey.convert("RGB"), grey.convert("LA").convert("RGBA")
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    real = Image.fromarray(np.asarray(grey).astype(np.float32) / 255)
    exif = Image.Exif()
    exif[0x0112] = 6
    several = {"save_all": True, "append_images": [grey.rotate(90)]}
    files = []
    for image, kind, options in [
        *[(image, "PNG", {}) for image in (grey, colour, alpha, deep, grey.convert("1"), grey.convert("P"))],
        (grey, "PNG", {"exif": exif}),
        (grey, "PNG", several),
        *[(image, "JPEG", {"exif": exif}) for image in (grey, colour, colour.convert("CMYK"))],
        (colour, "JPEG", {"progressive": True}),
        (grey, "GIF", {}),
        (grey, "GIF", several),
        (grey, "BMP", {}),
        (colour, "BMP", {}),
        *[(image, "TIFF", {}) for image in (grey, colour, alpha, deep, real, colour.convert("LAB"))],
        *[(grey, "TIFF", {"compression": name}) for name in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg")],
        (grey.convert("1"), "TIFF", {"compression": "group4"}),
        (colour, "WEBP", {}),
        (alpha, "WEBP", {"lossless": True}),
        (grey, "WEBP", several),
    ]:
        file = io.BytesIO()
        image.save(file, kind, **options)
        files.append(file.getvalue())
    return files


def readers(kind: str, folder: Path):
    """Return the files to begin with, and a function that reads one and checks what it returns."""
    rng = np.random.default_rng(0)
    path = folder / "file"
    if kind == "image":

        def read(content: bytes) -> None:
            path.write_bytes(content)
            image = read_digit(path, reject=False)
            assert image.shape == (28, 28) and image.dtype == np.float32 and 0 <= image.min() <= image.max() <= 1

        return images(), read
    file = IdxFile("images", (6, 28, 28), "")
    array = rng.integers(0, 256, file.shape, dtype=np.uint8)
    content = file.header + array.tobytes()
    file = file._replace(sha256=hashlib.sha256(content).hexdigest())
    if kind == "idx":

        def read(content: bytes) -> None:
            assert np.array_equal(read_idx(io.BytesIO(content), file), array)

        return [content, gzip.compress(content, mtime=0), gzip.compress(content, 0, mtime=0)], read
    source = datasets._MNIST._replace(files={"train_images": file})
    datasets._store(path, {"train_images": array}, "origin")
    np.savez_compressed(folder / "compressed.npz", origin=np.array("origin"), train_images=array)

    def read(content: bytes) -> None:
        path.write_bytes(content)
        arrays = datasets._read_prepared(path, source, "origin")
        assert arrays is None or np.array_equal(arrays["train_images"], array)

    return [path.read_bytes(), (folder / "compressed.npz").read_bytes()], read


def main(kind: str, count: int, folder: Path) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
    warnings.simplefilter("error")
    files, read = readers(kind, folder)
    for content in files:
        read(content)  # undamaged, each is read
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = {"read": 0, "refused": 0, "escaped": [], "seconds": 0.0, "megabytes": 0}
    for seed in range(count):
        rng = np.random.default_rng(seed)
        content = damage(files[rng.integers(len(files))], files, rng)
        start = time.process_time()
        try:
            read(content)
            result["read"] += 1
        except ValueError:
            result["refused"] += 1
        except BaseException as error:
            result["escaped"].append(f"seed {seed}: {type(error).__name__}: {error}")
        result["seconds"] = max(result["seconds"], time.process_time() - start)
    unit = 1 if sys.platform == "darwin" else 1024
    result["megabytes"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit // 10**6
    print(json.dumps(result))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
