"""Chapter 15: the checks of its exercises accept right answers, and name what is wrong with others."""

import numpy as np
import pytest

import cnnlib
from cnnbook import draw as chapter
from cnnbook.checking import WrongAnswer
from cnnlib.digits.fine_tuning import FineTuner


def bright_on_dark(image):
    border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    return 1 - image if np.median(border) > 0.5 else image


def to_middle(image):
    return np.roll(image, *shift(image, exchanged=False))


def shift(image, exchanged):
    pixels, mass = np.arange(28), image.sum()
    y, x = (int(np.floor(14 - image.sum(axis=axis) @ pixels / mass + 0.5)) for axis in (1, 0))
    return ((x, y) if exchanged else (y, x)), (0, 1)


def thin(stroke, gap):
    kept = [stroke[0]]
    for point in stroke[1:-1]:
        if np.linalg.norm(point - kept[-1]) >= gap:
            kept.append(point)
    return np.array(kept + [stroke[-1]] * (len(stroke) > 1))


def teach(network, images, labels, replay):
    FineTuner(network, replay).fine_tune(images, labels)


def teach_alone(network, images, labels, replay):
    network.train(images, labels, epochs=60, batch_size=2, optimizer=cnnlib.SGD(0.005), progress=False)


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("centre", (1.75, 0.5)),
        ("distance", (20**0.5,)),
        ("scaled", (11.25,)),
        ("bright_on_dark", (bright_on_dark,)),
        ("to_middle", (to_middle,)),
        ("thin", (thin,)),
        ("teach", (teach,)),
    ],
)
def test_right_answers(name, answer, capsys):
    getattr(chapter, f"check_{name}")(*answer)
    assert capsys.readouterr().out.startswith("Right.")


@pytest.mark.parametrize(
    ("name", "answer", "message"),
    [
        ("centre", (0.5, 1.75), "exchanged"),
        ("centre", (1.0, 0.5), "column number times ink"),
        ("distance", (4,), "the segment ends"),
        ("distance", (20,), "root"),
        ("distance", (41**0.5,), "the end is nearer"),
        ("scaled", (8.75,), "wider"),
        ("scaled", (10.0,), "not scaled"),
        ("bright_on_dark", (lambda image: image,), "stayed so"),
        ("bright_on_dark", (lambda image: 1 - image,), "turned round"),
        ("bright_on_dark", (lambda image: 1 - image if image.mean() > 0.5 else image,), "only the border"),
        ("to_middle", (lambda image: np.roll(image, *shift(image, exchanged=True)),), "exchanged"),
        ("to_middle", (lambda image: image,), "Move it"),
        ("to_middle", (lambda image: image[:14],), "shape"),
        ("thin", (lambda stroke, gap: stroke,), "apart"),
        ("thin", (lambda stroke, gap: stroke[:1],), "last point must stay"),
        ("thin", (lambda stroke, gap: stroke[[0, -1]] if len(stroke) > 1 else stroke,), "too many points"),
        ("teach", (teach_alone,), "mix in replayed"),
        ("teach", (lambda *arguments: None,), "as it was"),
    ],
)
def test_wrong_answers(name, answer, message):
    with pytest.raises(WrongAnswer, match=message):
        getattr(chapter, f"check_{name}")(*answer)
