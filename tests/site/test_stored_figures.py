"""The figures that the build has drawn are those that the notebooks have stored: nbval compares texts, this pictures.

Antialiasing differs from machine to machine, so pictures are compared small: by the mean ink of blocks of 8 by 8
pixels. A curve that has moved, a panel that is missing, or another word on an axis is noticed, see the last tests.
"""

import base64
import io
import json
import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
EXECUTED = ROOT / "_build" / "executed" / "notebooks"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
BLOCKS, DIFFERENCE = 3, 0.12  # at most so many blocks may differ by more than this


def pictures(outputs) -> list[np.ndarray]:
    """The pictures of a cell, grey values from 0 to 1."""
    encoded = [output["data"]["image/png"] for output in outputs if "image/png" in output.get("data", {})]
    images = [Image.open(io.BytesIO(base64.b64decode("".join(png)))) for png in encoded]
    return [np.asarray(image.convert("L"), float) / 255 for image in images]


def blocks(picture: np.ndarray) -> np.ndarray:
    """The mean of every 8 by 8 pixels."""
    h, w = (side // 8 * 8 for side in picture.shape)
    return picture[:h, :w].reshape(h // 8, 8, w // 8, 8).mean(axis=(1, 3))


def differ(ours: np.ndarray, stored: np.ndarray) -> str:
    """Say in what two pictures differ; nothing if they show the same."""
    sides = np.array(ours.shape) / stored.shape
    if np.abs(sides - 1).max() > 0.03:  # labels of other fonts move the edge by some pixels
        return f"size {ours.shape}, stored {stored.shape}"
    h, w = np.minimum(ours.shape, stored.shape)
    different = np.sum(np.abs(blocks(ours[:h, :w]) - blocks(stored[:h, :w])) > DIFFERENCE)
    return f"{different} blocks of the picture" if different > BLOCKS else ""


def changed(cell: dict, ours: list[np.ndarray], stored: list[np.ndarray]) -> str:
    """Say in what the pictures of a cell differ from those that it stores; nothing if they do not."""
    if len(ours) != len(stored):
        return f"{len(ours)} pictures, stored {len(stored)}"
    for one, other in zip(ours, stored, strict=True):
        if np.ptp(one) <= 0.3 or min(one.shape) <= 60:
            return "an empty picture"
        if "nbval-ignore-output" not in cell["metadata"].get("tags", []) and (what := differ(one, other)):
            return f"{what} differs"
    return ""


def code_cells(path: Path) -> list[dict]:
    return [cell for cell in json.loads(path.read_text("utf-8"))["cells"] if cell["cell_type"] == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_build_draws_what_is_stored(path):
    text = path.read_text("utf-8")
    if os.environ.get("CNNLIB_OFFLINE") and ("load_mnist" in text or "fashion_mnist" in text):
        pytest.skip("this chapter was stored with MNIST or Fashion-MNIST")
    executed = EXECUTED / f"{path.stem}.json"
    if not executed.exists():
        pytest.skip("the book is not built: make book")
    for cell, outputs in zip(code_cells(path), json.loads(executed.read_text("utf-8"))["outputs"], strict=True):
        what = changed(cell, pictures(outputs), pictures(cell["outputs"]))
        assert not what, f"{what}:\n{''.join(cell['source'])}"


def test_a_changed_figure_is_noticed():
    rng = np.random.default_rng(0)
    figure = np.ones((240, 400))
    for column in range(20, 380):
        row = int(120 + 80 * np.sin(column / 40))
        figure[row - 1 : row + 2, column] = 0
    assert (
        differ(figure, figure) == "" and differ(np.clip(figure + rng.normal(0, 0.03, figure.shape), 0, 1), figure) == ""
    )
    assert "of the picture" in differ(np.roll(figure, 12, axis=0), figure)
    assert "of the picture" in differ(np.ones_like(figure), figure)
    assert "size" in differ(figure[:, :300], figure) and "size" in differ(np.ones((1, 1)), figure)


def drawn(label: str = "epoch", name: str = "training", values: tuple[float, ...] = (2.0, 0.9, 0.5, 0.4)) -> np.ndarray:
    """A small figure in the book's style."""
    with plt.style.context("cnnlib.book"):
        figure, axis = plt.subplots()
        axis.plot(values, label=name)
        axis.set(xlabel=label, ylim=(0, 2.2))
        axis.legend()
        file = io.BytesIO()
        figure.savefig(file)
        plt.close(figure)
    return np.asarray(Image.open(file).convert("L"), float) / 255


@pytest.mark.parametrize(
    "other",
    [{"label": "epochs"}, {"label": "step"}, {"name": "validation"}, {"values": (2.0, 0.9, 0.5, 0.44)}],
    ids=repr,
)
def test_another_word_or_another_number_in_a_figure_is_noticed(other):
    assert differ(drawn(), drawn()) == ""
    assert "of the picture" in differ(drawn(**other), drawn())


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_one_replaced_picture_is_noticed(path):
    """Each stored figure in turn: by one pixel, by an empty sheet, without its right half, moved, and left out."""
    for cell in code_cells(path):
        stored = pictures(cell["outputs"])
        assert not changed(cell, stored, stored)
        if not stored:
            continue
        assert changed(cell, stored[1:], stored) == f"{len(stored) - 1} pictures, stored {len(stored)}"
        first, *rest = stored
        half, moved = first.copy(), np.ones_like(first)
        half[:, first.shape[1] // 2 :] = 1
        distance = first.shape[1] // 40
        moved[:, distance:] = first[:, :-distance]
        for other in (np.zeros((1, 1)), np.ones_like(first)):
            assert changed(cell, [other, *rest], stored) == "an empty picture"
        for other in (half, moved):
            noticed = "differs" in changed(cell, [other, *rest], stored)
            assert noticed or "nbval-ignore-output" in cell["metadata"].get("tags", []), cell["source"]
