"""Image files of every kind come in; hostile ones are refused by name, and cost little."""

import io
import os
import re
import struct
import subprocess
import sys
import zlib
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageDraw

from cnnlib.digits import mnist_frame
from cnnlib.digits.mnist_frame import FORMATS, read_colours
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


def colours_of(folder, image, kind="PNG", **options):
    (folder / "image").write_bytes(encode(image, kind, **options))
    return read_colours(folder / "image")


def test_colours_are_those_of_the_pixels(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    expected = pixels.astype(np.float32) / 255
    for kind in ("PNG", "TIFF", "BMP"):
        np.testing.assert_allclose(colours_of(tmp_path, from_array(pixels), kind), expected, atol=1e-6)
    for path in (os.fsencode(tmp_path / "image"), str(tmp_path / "image")):
        np.testing.assert_allclose(read_colours(path), expected, atol=1e-6)


def with_alpha(pixels, alpha):
    return from_array(np.dstack([pixels, alpha]).astype(np.uint8))


def test_what_is_transparent_is_white(tmp_path):
    """Opaque pixels of several colours, of which each channel alone may tell."""
    alpha = np.full((6, 10), 255)
    alpha[3:] = 51
    alpha[5] = 0
    for channel in range(3):
        pixels = np.zeros((6, 10, 3))
        pixels[:, ::2, channel] = 102
        expected = 1 + alpha[..., np.newaxis] / 255 * (pixels / 255 - 1)
        np.testing.assert_allclose(colours_of(tmp_path, with_alpha(pixels, alpha)), expected, atol=1e-6)
    # All of one colour, but nothing, or everything, is opaque.
    grey = np.full((6, 10, 3), 51)
    assert np.array_equal(colours_of(tmp_path, with_alpha(grey, np.zeros((6, 10)))), np.ones((6, 10, 3)))
    np.testing.assert_allclose(colours_of(tmp_path, with_alpha(grey, np.full((6, 10), 255))), 0.2, atol=1e-6)


def test_ink_that_was_cut_out_is_its_shape(tmp_path):
    """Whatever its colour is, and though a few of its pixels have another."""
    alpha = np.zeros((10, 20))
    alpha[:, 5:15] = 255
    alpha[:, 4] = 102
    pixels = np.full((10, 20, 3), [10, 200, 250])
    pixels[0, 5:9] = 0
    pixels[:, 10:12] += 5
    expected = np.repeat(1 - alpha[..., np.newaxis] / 255, 3, axis=2)
    np.testing.assert_allclose(colours_of(tmp_path, with_alpha(pixels, alpha)), expected, atol=1e-6)


@pytest.mark.parametrize(("shape", "factor"), [((3, 1280), 1), ((3, 1281), 2), ((1281, 3), 2), ((1501, 3002), 3)])
def test_a_large_image_is_reduced_by_a_whole_factor(shape, factor, tmp_path):
    """Each new pixel is the mean of a block; at the edges, of what there is. The last image is read in two strips."""
    height, width = shape
    pixels = np.zeros((*shape, 3), np.uint8)
    pixels[..., 0] = np.arange(width) // factor % 251
    pixels[..., 1] = np.arange(height)[:, np.newaxis] // factor % 241
    pixels[..., 2] = np.arange(width) % factor * 100
    new = colours_of(tmp_path, from_array(pixels), compress_level=1)
    assert new.shape == (-(-height // factor), -(-width // factor), 3)
    np.testing.assert_allclose(new[..., :2], pixels[::factor, ::factor, :2] / np.float32(255), atol=1e-6)
    middle = new[:, : width // factor, 2] * 255
    np.testing.assert_allclose(middle, pixels[0, :factor, 2].mean(), atol=0.51)


@pytest.mark.parametrize("values", [[[-2, 0, 2], [4, 5, 6]], [[0.25, 0.5, 0.375]], [[1000, 1040, 1080]], [[7, 7]]])
def test_more_than_8_bits_are_stretched_from_the_lowest_to_the_highest(values, tmp_path):
    values = np.array(values, np.float32)
    expected = np.floor(255 * (values - values.min()) / max(np.ptp(values), 1e-9)) / 255
    for channel in np.moveaxis(colours_of(tmp_path, from_array(values), "TIFF"), -1, 0):
        np.testing.assert_allclose(channel, expected, atol=1e-6)


def test_an_orientation_and_odd_things_in_a_file_do_no_harm(tmp_path):
    content = encode(seven(60), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\x05\0", quality=95)  # ends too early
    (tmp_path / "odd.jpg").write_bytes(content)
    with pytest.warns(UserWarning, match="Corrupt EXIF"):
        Image.open(io.BytesIO(content))
    np.testing.assert_allclose(read_colours(tmp_path / "odd.jpg")[..., 0], np.asarray(seven(60)) / 255, atol=0.1)


LIMITS = {  # for a picture of 12 x 10 pixels: just enough, and what is said of one less
    "MAX_PIXELS": (120, "it has 12 x 10 pixels, expected at most 119 in all and 30,000 along a side"),
    "MAX_SIDE": (12, "it has 12 x 10 pixels, expected at most 50,000,000 in all and 11 along a side"),
    "MAX_BYTES": (None, "it has {bytes:,} bytes, expected at most {less:,}"),
    "MAX_SCANS": (1, "it is a JPEG of 1 scans, expected at most 0"),
}


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("kind", ["JPEG", "MPO", "PNG"])
def test_as_large_as_may_be(name, kind, tmp_path, monkeypatch):
    if name == "MAX_SCANS" and kind == "PNG":
        pytest.skip("a PNG has no scans")
    (tmp_path / "image").write_bytes(encode(Image.new("L", (12, 10), 200), kind))
    count = (tmp_path / "image").stat().st_size
    limit, message = LIMITS[name]
    limit = limit or count
    monkeypatch.setattr(mnist_frame, name, limit)
    assert read_colours(tmp_path / "image").shape == (10, 12, 3)
    monkeypatch.setattr(mnist_frame, name, limit - 1)
    message = f"{tmp_path / 'image'} is not an image that can be read: {message.format(bytes=count, less=limit - 1)}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        read_colours(tmp_path / "image")


def test_limits_that_are_documented():
    assert (mnist_frame.MAX_PIXELS, mnist_frame.MAX_BYTES, mnist_frame.LARGEST) == (50_000_000, 200_000_000, 1_280)


def test_an_error_without_a_text_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(mnist_frame, "_to_colours", lambda file: 1 // 0 if file is None else [][0])
    (tmp_path / "image").write_bytes(encode(seven(20), "PNG"))
    with pytest.raises(ValueError, match="image is not an image that can be read: list index out of range$"):
        read_colours(tmp_path / "image")

    def fail(file):
        raise MemoryError

    monkeypatch.setattr(mnist_frame, "_to_colours", fail)
    with pytest.raises(ValueError, match="image is not an image that can be read: MemoryError$"):
        read_colours(tmp_path / "image")


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
    message = f"{path} is not an image in one of the formats PNG, JPEG, GIF, BMP, TIFF, WEBP"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        read_digit(path)


def heic(brand=b"heic"):
    """Return the beginning of a HEIC file."""
    return struct.pack(">I4s4sI4s4s", 24, b"ftyp", brand, 0, b"mif1", brand) + bytes(100)


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"mif1"])
def test_a_photograph_of_an_iphone_is_named_as_such(brand, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    path = tmp_path / "IMG_0001.HEIC"
    path.write_bytes(heic(brand))
    with pytest.raises(ValueError, match="IMG_0001.HEIC") as caught:
        read_digit(path)
    assert str(caught.value).endswith(
        " it is a HEIC photograph, which Pillow cannot read. Save it as JPEG (on an iPhone: Settings, Camera, "
        "Formats, Most Compatible), or install the reader: pip install 'cnnlib[heic]'"
    )


def test_only_a_photograph_of_an_iphone_is_opened_by_its_package(monkeypatch):
    calls = []
    module = SimpleNamespace(register_heif_opener=lambda: calls.append("registered"))
    monkeypatch.setitem(sys.modules, "pillow_heif", module)
    for content in (encode(seven(), "PNG"), b"", heic()[4:], heic(b"avif")):
        stream = io.BytesIO(content)
        assert mnist_frame._formats_for(stream) == FORMATS and stream.tell() == 0 and not calls
    stream = io.BytesIO(heic())
    assert mnist_frame._formats_for(stream) == ("HEIF",) and stream.tell() == 0 and calls == ["registered"]


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
    with pytest.raises(TypeError, match=f"^path must be the name of a file, got {re.escape(repr(path))}$"):
        read_digit(path)


def test_a_name_with_a_zero_byte():
    with pytest.raises(ValueError, match="null"):
        read_digit("a\0b.png")
