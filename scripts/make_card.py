"""Draw the picture that messengers show beside a link to the book: book/_static/card.png, 1200 × 630 pixels.

    python scripts/make_card.py

A drawn digit, what the six filters of the first layer see of it, and the answer: computed, as all in the book is.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

import cnnlib
from cnnlib.digits.sample_drawings import sample_drawings

CARD = Path(__file__).parents[1] / "book" / "_static" / "card.png"
BLUE, INK, GREY = "#1260cc", "#14181e", "#48566b"


def draw() -> plt.Figure:
    """Return the picture, drawn for 100 dots per inch."""
    drawings, labels = sample_drawings()
    network = cnnlib.load_pretrained()
    image = cnnlib.rasterize(drawings[np.flatnonzero(labels == 3)[0]])
    maps = np.maximum(network[:1].forward(image.reshape(1, 1, 28, 28)), 0)[0]
    p = network.predict(image.reshape(1, 1, 28, 28))[0]
    figure = plt.figure(figsize=(12, 6.3), dpi=100, facecolor="white")
    figure.text(0.05, 0.79, "Convolutional Neural Networks\nfrom Scratch", fontsize=36, weight="bold", color=INK)
    figure.text(0.05, 0.7, "A free book: every gradient derived, coded and checked.", fontsize=19, color=GREY)
    grid = figure.add_gridspec(2, 4, left=0.05, right=0.66, bottom=0.08, top=0.62, wspace=0.08, hspace=0.08)
    places = [grid[:, :1], *(grid[row, column] for row in range(2) for column in range(1, 4))]
    for place, pixels in zip(places, [image.reshape(28, 28), *maps], strict=True):
        axis = figure.add_subplot(place)
        axis.imshow(pixels, cmap="Greys" if pixels.shape == (28, 28) and axis is figure.axes[0] else "Blues")
        axis.set(xticks=[], yticks=[])
    bars = figure.add_axes((0.72, 0.08, 0.23, 0.54))
    bars.barh(range(10), p, color=[BLUE if digit == p.argmax() else GREY for digit in range(10)])
    bars.set(yticks=range(10), xticks=[], xlim=(0, 1.02))
    bars.invert_yaxis()
    bars.tick_params(labelsize=15, length=0)
    for side in ("top", "right", "bottom"):
        bars.spines[side].set_visible(False)
    return figure


def main() -> None:
    plt.switch_backend("agg")
    draw().savefig(CARD)
    with Image.open(CARD) as picture:  # 64 colours are enough, and a quarter of the size
        small = picture.convert("RGB").quantize(64, dither=Image.Dither.NONE)
    small.save(CARD, optimize=True)
    print(f"{CARD.name}: {small.size[0]} × {small.size[1]} pixels, {CARD.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
