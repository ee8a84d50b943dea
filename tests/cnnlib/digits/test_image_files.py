"""Image files of every kind come in; hostile ones are refused by name, and cost little."""

import io
import os
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image, ImageDraw

from cnnlib.digits.mnist_frame import FORMATS
from cnnlib.digits.reading import read_digit

posix = pytest.mark.skipif(os.name != "posix", reason="this system has no such files")


def seven(size=300):
    """Return a 7, dark on light."""
    image = Image.new("L", (size, size), 255)
    points = [(size * x, size * y) for x, y in ((0.25, 0.2), (0.75, 0.2), (0.45, 0.85))]
    ImageDraw.Draw(image).line(points, fill=0, width=size // 12, joint="curve")
    return image


def png(width, height, rows=None, depth=8):
    """Return a grey PNG that claims this size; with all rows, or fewer, all of zeros."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    data = zlib.compress(bytes((width * depth // 8 + 1) * (height if rows is None else rows)))
    header = struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def encode(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


# --- What is read


def from_array(values):
    return Image.fromarray(values)


grey = np.asarray(seven())
READ = {
    "png": (seven(), "PNG"),
    "jpeg": (seven(), "JPEG"),
    "gif": (seven(), "GIF"),
    "bmp": (seven(), "BMP"),
    "tiff": (seven(), "TIFF"),
    "webp": (seven(), "WEBP"),
    "bilevel": (seven().convert("1"), "PNG"),
    "palette": (seven().convert("P"), "PNG"),
    "colour": (seven().convert("RGB"), "TIFF"),
    "CMYK JPEG": (seven().convert("CMYK"), "JPEG"),
    "CMYK TIFF": (seven().convert("CMYK"), "TIFF"),
    "L*a*b*": (seven().convert("RGB").convert("LAB"), "TIFF"),
    "alpha": (Image.merge("RGBA", [Image.new("L", (300, 300))] * 3 + [Image.eval(seven(), lambda v: 255 - v)]), "PNG"),
    "16 bits": (from_array(grey.astype(np.uint16) * 257), "PNG"),
    "16 bits of which 12 are used": (from_array(grey.astype(np.uint16) * 16), "PNG"),
    "32 bits": (from_array(grey.astype(np.int32) * 1000), "TIFF"),
    "float 0 to 1": (from_array(grey.astype(np.float32) / 255), "TIFF"),
    "float -1 to 1": (from_array(grey.astype(np.float32) / 127.5 - 1), "TIFF"),
}


@pytest.mark.parametrize("name", READ)
def test_every_mode_gives_the_same_digit(name, tmp_path):
    image, kind = READ[name]
    path = tmp_path / "digit"
    path.write_bytes(encode(image, kind))
    expected = tmp_path / "expected.png"
    seven().save(expected)
    # The noise of JPEG may move the digit by a pixel.
    assert np.abs(read_digit(path) - read_digit(expected)).mean() < (0.06 if kind == "JPEG" else 0.02)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "TIFF", "WEBP"])
def test_of_several_images_the_first_is_read(kind, tmp_path):
    path, expected = tmp_path / "several", tmp_path / "expected.png"
    path.write_bytes(encode(seven(), kind, save_all=True, append_images=[seven().rotate(90)] * 2))
    seven().save(expected)
    assert np.abs(read_digit(path) - read_digit(expected)).mean() < 0.02


@pytest.mark.parametrize("kind", ["JPEG", "TIFF", "PNG"])
def test_a_camera_held_upright_is_turned_back(kind, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees, clockwise
    path, expected = tmp_path / "turned", tmp_path / "expected.png"
    path.write_bytes(encode(seven().transpose(Image.Transpose.ROTATE_90), kind, exif=exif))
    seven().save(expected)
    assert np.abs(read_digit(path) - read_digit(expected)).mean() < 0.02


def test_a_large_photo_is_reduced_while_it_is_decoded(tmp_path, monkeypatch):
    (tmp_path / "photo.jpg").write_bytes(encode(seven(3200), "JPEG"))
    loaded = []
    plain = Image.Image.load
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: loaded.append(self.size) or plain(self))
    with pytest.raises(ValueError):
        read_digit(tmp_path / "photo.jpg")  # nothing was decoded
    assert max(map(max, loaded)) <= 1600


# --- What is refused


OTHER = ["EPS", "PDF", "PPM", "TGA", "PCX", "ICO", "JPEG2000", "SGI", "DDS"]


@pytest.mark.parametrize("kind", OTHER)
def test_other_formats_are_not_even_opened(kind, tmp_path):
    path = tmp_path / "image.png"
    path.write_bytes(encode(seven().convert("RGB"), kind))
    with pytest.raises(ValueError, match=rf"image\.png is not an image in one of the formats {', '.join(FORMATS)}"):
        read_digit(path)


def heic(brand=b"heic"):
    """Return the beginning of a HEIC file."""
    return struct.pack(">I4s4sI4s4s", 24, b"ftyp", brand, 0, b"mif1", brand) + bytes(100)


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"mif1"])
def test_a_photograph_of_an_iphone_is_named_as_such(brand, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    path = tmp_path / "IMG_0001.HEIC"
    path.write_bytes(heic(brand))
    with pytest.raises(ValueError, match=r"IMG_0001.HEIC .*a HEIC photograph.*Save it as JPEG.*cnnlib\[heic\]"):
        read_digit(path)


def test_a_photograph_of_an_iphone_is_read_where_its_package_is(tmp_path):
    pillow_heif = pytest.importorskip("pillow_heif")
    path, expected = tmp_path / "photo.heic", tmp_path / "expected.png"
    pillow_heif.register_heif_opener()
    seven().convert("RGB").save(path, "HEIF")
    seven().save(expected)
    assert np.abs(read_digit(path) - read_digit(expected)).mean() < 0.06
    path.write_bytes(heic())
    with pytest.raises(ValueError, match="cannot be read"):
        read_digit(path)


def test_ghostscript_is_never_started(tmp_path, monkeypatch):
    path = tmp_path / "image.png"
    path.write_bytes(encode(seven().convert("RGB"), "EPS"))
    monkeypatch.setattr(subprocess, "Popen", lambda *arguments, **options: pytest.fail("a program was started"))
    with pytest.raises(ValueError, match="is not an image"):
        read_digit(path)


@pytest.mark.parametrize("values", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("everywhere", [False, True])
def test_numbers_that_are_not_finite(values, everywhere, tmp_path):
    image = grey.astype(np.float32)
    image[...] = np.where(np.arange(300) == 7, values, image) if not everywhere else values
    from_array(image).save(tmp_path / "image.tif")
    with pytest.raises(ValueError, match=r"image\.tif.*not finite"):
        read_digit(tmp_path / "image.tif")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an image"),
        (png(1, 1), "nothing that stands out"),
        (png(1, 3000), "nothing that stands out"),
        (png(13_000, 13_000, rows=1), "13,000 x 13,000 pixels, expected at most 50,000,000"),
        (png(7_072, 7_072, rows=1), "pixels"),
        (png(40_000, 10), "30,000 along a side"),
        (png(2**31 - 1, 2**31 - 1, rows=0), "not an image"),
        (encode(seven(), "GIF")[:6] + b"\xff\xff\xff\xff" + encode(seven(), "GIF")[10:], "pixels"),
    ],
)
def test_sizes_are_checked_before_anything_is_decoded(content, message, tmp_path, monkeypatch):
    path = tmp_path / "image.png"
    path.write_bytes(content)
    if "pixels" in message:
        monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("it was decoded"))
    with pytest.raises(ValueError, match=rf"image\.png.*{message}"):
        read_digit(path)


def test_the_largest_image_that_is_read_costs_little(tmp_path):
    pytest.importorskip("resource")
    script = """if True:
        import resource, sys, cnnlib
        from PIL import Image
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            cnnlib.read_digit(sys.argv[1])
        except ValueError as error:
            print(error)
        print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * (1 if sys.platform == "darwin" else 1024))
    """
    (tmp_path / "large.png").write_bytes(png(7_000, 7_000))
    command = [sys.executable, "-c", script, str(tmp_path / "large.png")]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    message, memory = result.stdout.splitlines()
    assert "nothing that stands out" in message and int(memory) < 300_000_000


def test_a_jpeg_of_very_many_scans(tmp_path):
    """Each scan costs time for the whole image, but only a few bytes."""
    content = encode(seven(), "JPEG", progressive=True)
    last = content.rindex(b"\xff\xda")
    (tmp_path / "image.jpg").write_bytes(content[:-2] + 100 * content[last:-2] + content[-2:])
    with pytest.raises(ValueError, match=r"image\.jpg.*a JPEG of \d+ scans, expected at most 32"):
        read_digit(tmp_path / "image.jpg")
    (tmp_path / "image.jpg").write_bytes(content)
    read_digit(tmp_path / "image.jpg")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_files_that_end_too_early(kind, share, tmp_path):
    content = encode(seven(), kind)
    path = tmp_path / "image.png"
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=r"image\.png is not an image"):
        read_digit(path)


@posix
def test_only_ordinary_files_are_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    for name in ("pipe.png", "zero.png"):
        with pytest.raises(ValueError, match=rf"{name} is a pipe, a device or a socket, expected an ordinary file"):
            read_digit(tmp_path / name)
    with pytest.raises(ValueError, match="is a folder"):
        read_digit(tmp_path)


@posix
def test_files_that_cannot_be_opened(tmp_path):
    (tmp_path / "loop.png").symlink_to("loop.png")
    with pytest.raises(OSError, match=r"loop\.png"):
        read_digit(tmp_path / "loop.png")
    (tmp_path / "nowhere.png").symlink_to("none.png")
    with pytest.raises(FileNotFoundError, match=r"nowhere\.png"):
        read_digit(tmp_path / "nowhere.png")
    with open(tmp_path / "large.png", "wb") as file:
        file.truncate(10**10)  # of holes
    with pytest.raises(ValueError, match=r"large\.png.*expected at most 200,000,000"):
        read_digit(tmp_path / "large.png")


@pytest.mark.parametrize("path", [None, 0, 1.5, ["image.png"], np.zeros((28, 28))])
def test_what_is_no_path(path):
    with pytest.raises(TypeError, match="path must be the name of a file, got"):
        read_digit(path)


def test_a_name_with_a_zero_byte():
    with pytest.raises(ValueError, match="null"):
        read_digit("a\0b.png")
