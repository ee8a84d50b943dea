"""Data of one's own: pictures by class, CSV files and IDX files, and what is none of these."""

import gzip
import struct

import numpy as np
import pytest
from PIL import Image

import cnnlib
from cnnlib.digits.own_data import is_transposed

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
    again = cnnlib.load_own_data(tmp_path)
    assert np.array_equal(again.test_images, data.test_images)


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
    with pytest.raises(cnnlib.DataError, match="of 19 pictures, 7 cannot be used") as error:
        cnnlib.load_own_data(tmp_path)
    lines = str(error.value).splitlines()
    assert [line.split(" shows")[0] for line in lines[1:6]] == [f"- {tmp_path / 'a' / f'{n}.png'}" for n in range(5)]
    assert lines[6] == "- and 2 more"
    assert lines[7] == "Move them elsewhere, or make all pictures 28 x 28 pixels: those are taken as they are"
    for image in (tmp_path / "a").iterdir():
        Image.open(image).resize((28, 28)).save(image)
    assert len(cnnlib.load_own_data(tmp_path).train_images) == 16


@pytest.mark.parametrize("header", [False, True, "behind"])
def test_a_csv_file(tmp_path, header):
    rows = np.column_stack([LABELS, IMAGES.reshape(60, -1)])
    names = ["label", *(f"pixel{n}" for n in range(784))]
    if header == "behind":
        rows, names = np.roll(rows, -1, axis=1), [*names[1:], "Label"]
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


def test_emnist_s_images_are_turned_back_and_its_letters_named(tmp_path):
    path = write_idx(tmp_path, IMAGES.transpose(0, 2, 1), LABELS % 3, "emnist-x-train")
    (tmp_path / "emnist-x-mapping.txt").write_text("0 65 97\n1 66 98\n2 67 99\n")
    with pytest.warns(UserWarning, match="emnist-x-train.*wider than tall.*turned back"):
        data = cnnlib.load_own_data(path)
    assert data.classes == ("A", "B", "C") and same(data, IMAGES, LABELS % 3)
    (tmp_path / "emnist-x-mapping.txt").write_text("0 x\n")
    with pytest.warns(UserWarning, match="turned back"), pytest.raises(cnnlib.DataError, match="no list of labels"):
        cnnlib.load_own_data(path)


def test_what_is_upright_stays_so():
    assert not is_transposed(DIGITS.train_images) and is_transposed(DIGITS.train_images.transpose(0, 2, 1))


def test_several_data_sets_in_a_folder(tmp_path):
    for name in ("emnist-letters-train", "emnist-digits-train"):
        write_idx(tmp_path, IMAGES, LABELS, name)
    with pytest.raises(cnnlib.DataError, match="several data sets, name the file of one: emnist-digits"):
        cnnlib.load_own_data(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no IDX file"),
        (b"hello world", "no IDX file of bytes: it begins with 68"),
        (b"\0\0\x0d\x03", "no IDX file of bytes"),
        (b"\0\0\x08\x03\0\0", "within its header"),
        (idx(IMAGES)[:-1], "only"),
        (idx(IMAGES) + b"x", "more than"),
        (idx(IMAGES[:, :27]), r"shape \(60, 27, 28\), expected images \(N, 28, 28\)"),
        (idx(IMAGES[0]), "expected images"),
        (idx(IMAGES[:0]), "expected images"),
        (struct.pack(">4B3I", 0, 0, 8, 3, *[2**32 - 1] * 3), "at most 2,000,000 images"),
        (b"\x1f\x8bnothing", "cannot be decompressed"),
        (gzip.compress(idx(IMAGES))[:-30], "cannot be decompressed"),
        (idx(IMAGES), "no file of labels beside it, expected x-train-labels-idx1"),
    ],
)
def test_damaged_idx_files(tmp_path, content, message):
    (tmp_path / "x-train-images-idx3").write_bytes(content)
    with pytest.raises(cnnlib.DataError, match=message):
        cnnlib.load_own_data(tmp_path / "x-train-images-idx3")


def test_labels_of_another_length(tmp_path):
    path = write_idx(tmp_path, IMAGES, LABELS[:50])
    with pytest.raises(cnnlib.DataError, match=r"labels-idx1-ubyte holds an array of shape \(50,\), expected \(60,\)"):
        cnnlib.load_own_data(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "1 columns, expected 785"),
        ("1,2,3\n", "3 columns, expected 785"),
        (",".join(["label"] * 785) + "\n", "no rows"),
        (",".join(["7"] * 785) + "\n", "holds 1 images, expected at least 6"),
        ((",".join(["7"] * 785) + "\n") * 12, "1 class, expected at least two"),
        (",".join(["300"] * 785) + "\n", "whole numbers from 0 to 255"),
        (",".join(["1"] * 785) + "\n" + ",".join(["1"] * 784), "whole numbers from 0 to 255"),
        (",".join(["1"] * 785) + "\n" + ",".join(["a"] * 785), "whole numbers from 0 to 255"),
    ],
)
def test_other_csv_files(tmp_path, text, message):
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(cnnlib.DataError, match=message):
        cnnlib.load_own_data(tmp_path / "x.csv")


def test_other_folders(tmp_path):
    with pytest.raises(FileNotFoundError, match="neither a file nor a folder"):
        cnnlib.load_own_data(tmp_path / "nowhere")
    with pytest.raises(cnnlib.DataError, match="no sub-folders of pictures"):
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
