"""Data of one's own: pictures by class, CSV files and IDX files, and what is none of these."""

import gzip
import io
import re
import struct

import numpy as np
import pytest
from PIL import Image, ImageDraw

import cnnlib
from cnnlib.digits import own_data
from cnnlib.digits.own_data import is_transposed, read_any_idx

DIGITS = cnnlib.load_digits()
IMAGES, LABELS = DIGITS.train_images[:60], DIGITS.train_labels[:60]


def idx(array):
    return struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def write_idx(folder, images, labels, kind="train", ending="", pack=bytes):
    """Write images and labels under the names of MNIST's files; return the file of the images."""
    paths = [folder / f"{kind}-{name}{ending}" for name in ("images-idx3-ubyte", "labels-idx1-ubyte")]
    for path, array in zip(paths, (images, labels), strict=True):
        path.write_bytes(pack(idx(array)))
    return paths[0]


def write_pictures(folder, images, labels, names):
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        place = folder / names[label]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"{number}.png")


def same(data, images, labels):
    """Whether a data set holds exactly these images with their labels, in any order."""
    found = [*zip(map(bytes, data.train_images), data.train_labels, strict=True)]
    found += [*zip(map(bytes, data.test_images), data.test_labels, strict=True)]
    return sorted(found) == sorted(zip(map(bytes, images), labels, strict=True))


def test_a_folder_of_pictures(tmp_path):
    write_pictures(tmp_path, IMAGES, LABELS, [str(digit + 5) for digit in range(10)])
    (tmp_path / "6" / "notes.txt").write_text("no picture")
    data = cnnlib.load_own_data(tmp_path)
    assert data.classes == tuple(str(digit + 5) for digit in range(10))  # 10 behind 9
    assert len(data.train_images) == 50 and len(data.test_images) == 10
    assert same(data, IMAGES, LABELS)
    assert data.name == tmp_path.name


def test_which_images_are_set_aside_is_always_the_same(tmp_path):
    """Also in the next version: else results would not compare."""
    data = cnnlib.load_own_data(write_idx(tmp_path, IMAGES, LABELS))
    chosen = [next(n for n in range(60) if np.array_equal(IMAGES[n], image)) for image in data.test_images]
    assert chosen == [16, 27, 20, 8, 42, 34, 51, 4, 52, 57]
    assert np.array_equal(data.test_labels, LABELS[chosen])


def test_pictures_of_every_kind_by_their_endings(tmp_path):
    content = io.BytesIO()
    Image.fromarray(IMAGES[0]).save(content, "PNG")  # what is in it, the file says itself
    endings = ["png", "jpg", "jpeg", "gif", "bmp", "tif", "tiff", "webp"]
    for ending in endings:
        for name in (f"x.{ending}", f"y.{ending.upper()}", f"z.{ending}x", ending):
            (tmp_path / ending).mkdir(exist_ok=True)
            (tmp_path / ending / name).write_bytes(content.getvalue())
    data = cnnlib.load_own_data(tmp_path)
    assert data.classes == tuple(sorted(endings))
    assert np.bincount([*data.train_labels, *data.test_labels]).tolist() == [2] * 8


def test_classes_are_numbers_first_and_then_words(tmp_path):
    names = ["10", "b", "9", "a", "07", "7", "\u00b2", "123456789012345678901234567890"]
    write_pictures(tmp_path, IMAGES[:16], [*range(8)] * 2, names)
    expected = ("07", "7", "9", "10", "123456789012345678901234567890", "a", "b", "\u00b2")
    assert cnnlib.load_own_data(tmp_path).classes == expected


@pytest.mark.parametrize("names", [("train", "test"), ("Training", "TESTING")])
def test_a_test_part_in_a_folder_of_its_own(tmp_path, names):
    for name, part in zip(names, (slice(20, 60), slice(20)), strict=True):
        write_pictures(tmp_path / name, IMAGES[part], LABELS[part], [str(digit) for digit in range(10)])
    data = cnnlib.load_own_data(tmp_path)
    assert sorted(map(bytes, data.test_images)) == sorted(map(bytes, IMAGES[:20]))
    assert np.bincount(data.test_labels).tolist() == np.bincount(LABELS[:20]).tolist()
    assert len(data.train_images) == 40


@pytest.mark.parametrize("turned", [False, True])
def test_a_picture_whose_border_is_mostly_bright_is_turned_round(tmp_path, turned):
    """Here two of its four sides are."""
    image = np.zeros((28, 28), np.uint8)
    image[[0, -1]] = 255
    image[10:15, 12] = 200
    image = image.T if turned else image
    write_pictures(tmp_path, [image] * 12, [0, 1] * 6, "ab")
    assert all(np.array_equal(found, 255 - image) for found in cnnlib.load_own_data(tmp_path).train_images)


def test_pictures_need_not_show_digits(tmp_path):
    canvas = Image.new("L", (120, 140), 245)
    for line in ([30, 30, 90, 110], [90, 30, 30, 110]):
        ImageDraw.Draw(canvas).line(line, fill=30, width=12)
    write_pictures(tmp_path, [np.asarray(canvas)] * 6, [0, 1] * 3, "xy")
    assert cnnlib.load_own_data(tmp_path).train_images.max() == 255


def test_as_many_images_as_may_be(tmp_path, monkeypatch):
    write_pictures(tmp_path / "p", IMAGES, LABELS, [str(digit) for digit in range(10)])
    write_idx(tmp_path, IMAGES, LABELS)
    rows = np.column_stack([LABELS, IMAGES.reshape(60, -1)])
    np.savetxt(tmp_path / "x.csv", rows, "%d", ",")
    places = {
        "p": f"the sub-folders of {tmp_path / 'p'} hold 60 files (.png, .jpg, .jpeg, .gif, .bmp, .tif, .tiff, .webp), "
        "expected 1 to 2 million",
        "train-images-idx3-ubyte": f"{tmp_path / 'train-images-idx3-ubyte'} holds an array of shape (60, 28, 28), "
        "expected at most 59 images",
        "x.csv": f"{tmp_path / 'x.csv'} has more than 59 rows",
    }
    for place, message in places.items():
        monkeypatch.setattr(own_data, "MAX_IMAGES", 60)
        assert len(cnnlib.load_own_data(tmp_path / place).train_images) == 50
        monkeypatch.setattr(own_data, "MAX_IMAGES", 59)
        with pytest.raises(cnnlib.DataError, match=f"^{re.escape(message)}$"):
            cnnlib.load_own_data(tmp_path / place)


def test_pictures_of_other_sizes_come_into_the_frame(tmp_path):
    large = [255 - np.kron(image, np.ones((8, 8), np.uint8)) for image in IMAGES[:12]]
    write_pictures(tmp_path / "train", large[:8], [0, 1] * 4, ["a", "b"])
    write_pictures(tmp_path / "test", 255 - IMAGES[8:12], [0, 1] * 2, ["a", "b"])
    data = cnnlib.load_own_data(tmp_path)
    assert data.train_images.shape == (8, 28, 28) and data.classes == ("a", "b")
    assert sorted(map(bytes, data.test_images)) == sorted(map(bytes, IMAGES[8:12]))  # turned round, else as they are
    for image in data.train_images:
        assert image.max() == 255 and 18 <= np.ptp(np.flatnonzero(image.any(axis=1))) + 1 <= 22


def test_pictures_that_cannot_be_used_are_named_all_at_once(tmp_path):
    """Nobody moves a thousand files one by one."""
    blank = [np.full((40, 40), 200, np.uint8)] * 7
    write_pictures(tmp_path, [*blank, *IMAGES[:12]], [0] * 7 + [1] * 12, ["a", "b"])
    with pytest.raises(cnnlib.DataError) as error:
        cnnlib.load_own_data(tmp_path)
    lines = str(error.value).splitlines()
    assert lines[0] == "of 19 pictures, 7 cannot be used:"
    assert [line.split(" shows")[0] for line in lines[1:6]] == [f"- {tmp_path / 'a' / f'{n}.png'}" for n in range(5)]
    assert lines[6] == "- and 2 more"
    assert lines[7] == "Move them elsewhere, or make all pictures 28 x 28 pixels: those are taken as they are"
    for image in (tmp_path / "a").iterdir():
        Image.open(image).resize((28, 28)).save(image)
    assert len(cnnlib.load_own_data(tmp_path).train_images) == 16


@pytest.mark.parametrize(("count", "last"), [(5, "4.png"), (6, "and 1 more")])
def test_five_pictures_are_named_and_the_rest_is_counted(tmp_path, count, last):
    write_pictures(tmp_path, [np.zeros((40, 40), np.uint8)] * count, [0] * count, ["a", "b"])
    with pytest.raises(cnnlib.DataError, match=f"of {count} pictures, {count} cannot") as error:
        cnnlib.load_own_data(tmp_path)
    assert last in str(error.value).splitlines()[-2] and len(str(error.value).splitlines()) == count + 2


@pytest.mark.parametrize("header", [False, True, "behind", "class", "numbers"])
def test_a_csv_file(tmp_path, header):
    rows = np.column_stack([LABELS, IMAGES.reshape(60, -1)])
    names = ["label", *(f"pixel{n}" for n in range(784))]
    if header == "behind":
        rows, names = np.roll(rows, -1, axis=1), [*names[1:], "Label"]
    elif header == "class":
        rows, names = np.insert(rows[:, 1:], 3, LABELS, axis=1), [*names[1:4], ' "Class" ', *names[4:]]
    elif header == "numbers":
        names = ["digit", *map(str, range(784))]
    with open(tmp_path / "digits.csv", "w") as file:
        file.write(",".join(names) + "\n" if header else "")
        np.savetxt(file, rows, "%d", ",")
    data = cnnlib.load_own_data(tmp_path / "digits.csv")
    assert data.name == "digits" and data.classes == tuple("0123456789") and same(data, IMAGES, LABELS)


@pytest.mark.parametrize(("ending", "pack"), [("", bytes), (".gz", gzip.compress)])
def test_idx_files(tmp_path, ending, pack):
    path = write_idx(tmp_path, IMAGES[:40], LABELS[:40] + 1, ending=ending, pack=pack)
    data = cnnlib.load_own_data(path)
    assert same(data, IMAGES[:40], LABELS[:40]) and len(data.test_images) == 6
    assert data.classes == tuple(str(digit) for digit in range(1, 11))
    write_idx(tmp_path, IMAGES[40:], LABELS[40:] + 1, "t10k", ending, pack)
    for where in (path, tmp_path):
        data = cnnlib.load_own_data(where)
        assert np.array_equal(data.train_images, IMAGES[:40]) and np.array_equal(data.test_labels, LABELS[40:])
        assert np.array_equal(data.train_labels, LABELS[:40]) and np.array_equal(data.test_images, IMAGES[40:])
        assert data.name == where.name
    alone = cnnlib.load_own_data(path.with_name(path.name.replace("train", "t10k")))
    assert same(alone, IMAGES[40:], LABELS[40:]) and len(alone.test_images) == 3


def test_other_names_of_idx_files(tmp_path):
    for kind, part in (("train", slice(40)), ("test", slice(40, 60))):
        (tmp_path / f"{kind}-image-idx3").write_bytes(idx(IMAGES[part]))
        (tmp_path / f"{kind}-label-idx1").write_bytes(idx(LABELS[part]))
    data = cnnlib.load_own_data(tmp_path)
    assert np.array_equal(data.test_images, IMAGES[40:]) and np.array_equal(data.train_labels, LABELS[:40])


def test_emnist_s_images_are_turned_back_and_its_letters_named(tmp_path):
    path = write_idx(tmp_path, IMAGES.transpose(0, 2, 1), LABELS % 3, "emnist-x-train")
    (tmp_path / "emnist-x-mapping.txt").write_text("0 65 97\n1 66 98\n2 67 99\n")
    text = "what is in the images is wider than tall, as in EMNIST, whose rows and columns are exchanged. "
    with pytest.warns(UserWarning, match=re.escape(f"{path}: {text}They were turned back.")) as warned:
        data = cnnlib.load_own_data(path)
    assert warned[0].filename == __file__  # the line that asked for the data
    assert data.classes == ("A", "B", "C") and same(data, IMAGES, LABELS % 3)
    (tmp_path / "emnist-x-mapping.txt").write_text("0 x\n")
    message = re.escape(f"{tmp_path / 'emnist-x-mapping.txt'} is no list of labels and codes of characters")
    with pytest.raises(cnnlib.DataError, match=f"^{message}$"):
        cnnlib.load_own_data(path)


def test_what_is_upright_stays_so():
    assert not is_transposed(DIGITS.train_images) and is_transposed(DIGITS.train_images.transpose(0, 2, 1))


def blocks(count, tall, wide, value=255):
    images = np.zeros((count, 28, 28), np.uint8)
    images[:, 3 : 3 + tall, 4 : 4 + wide] = value
    return images


def test_wider_than_tall_is_said_of_the_first_two_thousand():
    images = blocks(2001, 10, 11)
    images[-1, 3] = 255
    assert not is_transposed(images)  # 1.1 times as wide is not more than that
    assert is_transposed(images[1:])
    assert is_transposed(images[:2000], 1.0)
    assert not is_transposed(blocks(3, 10, 20, 60)) and is_transposed(blocks(3, 10, 20, 61))


@pytest.mark.parametrize(("name", "tall", "wide"), [("x-train", 20, 23), ("EMNIST-train", 20, 21)])
def test_a_little_wider_is_enough_for_emnist(tmp_path, name, tall, wide):
    path = write_idx(tmp_path, blocks(12, tall, wide), LABELS[:12], name)
    with pytest.warns(UserWarning, match="turned back"):
        assert np.array_equal(cnnlib.load_own_data(path).train_images, blocks(10, tall, wide).transpose(0, 2, 1))
    path = write_idx(tmp_path, blocks(12, tall, wide - 1 - (name[0] == "x")), LABELS[:12], name)
    cnnlib.load_own_data(path)  # without a warning


def test_a_csv_file_is_turned_back_too(tmp_path):
    np.savetxt(tmp_path / "x.csv", np.column_stack([LABELS, IMAGES.transpose(0, 2, 1).reshape(60, -1)]), "%d", ",")
    with pytest.warns(UserWarning, match=r"x\.csv: what is in") as warned:
        assert same(cnnlib.load_own_data(tmp_path / "x.csv"), IMAGES, LABELS)
    assert warned[0].filename == __file__


def test_several_data_sets_in_a_folder(tmp_path):
    names = [f"{letter}-train-images-idx3-ubyte" for letter in "gfedcba"]
    for count in (2, 7):
        for name in names[:count]:
            (tmp_path / name).write_bytes(b"")
        listed = ", ".join(sorted(names[:count])[:5])
        message = re.escape(f"{tmp_path} holds several data sets, name the file of one: {listed}")
        with pytest.raises(cnnlib.DataError, match=f"^{message}$"):
            cnnlib.load_own_data(tmp_path)


HUGE = struct.pack(">4B3I", 0, 0, 8, 3, *[2**32 - 1] * 3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is no IDX file of bytes: it begins with "),
        (b"hello world", "is no IDX file of bytes: it begins with 68 65 6c 6c"),
        (b"\0\0\x0d\x03", "is no IDX file of bytes: it begins with 00 00 0d 03"),
        (b"\0\0\x08\x04" + bytes(16), "is no IDX file of bytes: it begins with 00 00 08 04"),
        (b"\0\0\x08\x00" + bytes(16), "is no IDX file of bytes: it begins with 00 00 08 00"),
        (b"\0\0\x08", "is no IDX file of bytes: it begins with 00 00 08"),
        (b"\0\0\x08\x03" + bytes(11), "ends within its header"),
        (idx(IMAGES)[:-1], "has only 47,039 bytes of 47,040"),
        (idx(IMAGES) + b"xy", "has more than 47,040 bytes of 47,040"),
        (idx(IMAGES[:, :27]), "holds an array of shape (60, 27, 28), expected images (N, 28, 28)"),
        (idx(IMAGES[0]), "holds an array of shape (28, 28), expected images (N, 28, 28)"),
        (idx(LABELS), "holds an array of shape (60,), expected images (N, 28, 28)"),
        (idx(IMAGES[:0]), "holds an array of shape (0, 28, 28), expected images (N, 28, 28)"),
        (HUGE, f"holds an array of shape {(2**32 - 1,) * 3}, expected at most 2,000,000 images"),
        (idx(IMAGES), "has no file of labels beside it, expected x-train-labels-idx1"),
    ],
)
def test_damaged_idx_files(tmp_path, content, message):
    path = tmp_path / "x-train-images-idx3"
    path.write_bytes(content)
    with pytest.raises(cnnlib.DataError, match=f"^{re.escape(f'{path} {message}')}$"):
        cnnlib.load_own_data(path)


@pytest.mark.parametrize("content", [b"\x1f\x8bnothing", gzip.compress(idx(IMAGES))[:-30]], ids=["not packed", "cut"])
def test_idx_files_that_cannot_be_decompressed(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(cnnlib.DataError, match=re.escape(f"{tmp_path / 'x'} cannot be decompressed (")) as caught:
        read_any_idx(tmp_path / "x")
    assert f"({caught.value.__cause__})" in str(caught.value)


def test_a_file_of_images_is_not_its_own_file_of_labels(tmp_path):
    (tmp_path / "pictures").write_bytes(idx(IMAGES))
    with pytest.raises(cnnlib.DataError, match="no file of labels beside it, expected pictures"):
        cnnlib.load_own_data(tmp_path / "pictures")


def test_labels_of_another_length(tmp_path):
    path = write_idx(tmp_path, IMAGES, LABELS[:50])
    with pytest.raises(cnnlib.DataError, match=r"labels-idx1-ubyte holds an array of shape \(50,\), expected \(60,\)"):
        cnnlib.load_own_data(path)


SEVENS = ",".join(["7"] * 785) + "\n"
NO_NUMBERS = r"x\.csv holds something else than whole numbers from 0 to 255: .+$"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"x\.csv has 1 columns, expected 785: a label and 784 pixels$"),
        ("1,2,3\n", r"x\.csv has 3 columns, expected 785: a label and 784 pixels$"),
        (",".join(["7"] * 1001), r"x\.csv has 1,001 columns, expected 785"),
        (",".join(["label"] * 785) + "\n", r"x\.csv has no rows$"),
        (SEVENS, "^x holds 1 images, expected at least 6$"),
        (SEVENS * 5, "^x holds 5 images, expected at least 6$"),
        (SEVENS * 6, "^x holds 1 class, expected at least two$"),
        (",".join(["300"] * 785) + "\n", NO_NUMBERS),
        (SEVENS + ",".join(["1"] * 784), NO_NUMBERS),
        (SEVENS + ",".join(["1"] * 785) + "\n" + ",".join(["a"] * 785), NO_NUMBERS),
        (SEVENS.replace("7\n", "\udcff\n") + SEVENS, NO_NUMBERS),
    ],
)
def test_other_csv_files(tmp_path, text, message):
    (tmp_path / "x.csv").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(cnnlib.DataError, match=message) as caught:
        cnnlib.load_own_data(tmp_path / "x.csv")
    assert str(caught.value).startswith((str(tmp_path / "x.csv"), "x holds"))


def test_two_classes_are_enough(tmp_path):
    (tmp_path / "X.CSV").write_text((SEVENS + "8" + SEVENS[1:]) * 3)
    assert cnnlib.load_own_data(tmp_path / "X.CSV").classes == ("7", "8")


def test_other_folders(tmp_path):
    with pytest.raises(FileNotFoundError, match="^there is neither a file nor a folder .*nowhere$"):
        cnnlib.load_own_data(tmp_path / "nowhere")
    message = f"^{re.escape(str(tmp_path))} has no sub-folders of pictures, one for each class, and no IDX files$"
    with pytest.raises(cnnlib.DataError, match=message):
        cnnlib.load_own_data(tmp_path)
    (tmp_path / "a").mkdir()
    with pytest.raises(cnnlib.DataError, match="hold 0 files"):
        cnnlib.load_own_data(tmp_path)
    (tmp_path / "a" / "x.png").write_text("no picture")
    with pytest.raises(cnnlib.DataError, match=r"x\.png is not an image"):
        cnnlib.load_own_data(tmp_path)
    for path in (None, 5, "", "a\0b", b"x"):
        with pytest.raises((TypeError, ValueError), match="path must be the path of a file"):
            cnnlib.load_own_data(path)
