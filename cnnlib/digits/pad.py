"""A pad to draw digits on, in a notebook, with a network that reads along.

The strokes stay in Python, as lists of points, and `cnnlib.rasterize` makes of them what MNIST would have shown:
nothing is read back from the browser's canvas. Every event of the pen is one message to the kernel, and they come
faster than predictions are worth while, so that the network reads at most every `INTERVAL` seconds, and whenever the
pen is lifted; and all that changes with a prediction is one widget, hence one message back.
"""

import asyncio
import base64
import contextlib
import copy
import io
import os
import time
from collections.abc import Iterable

import ipywidgets as widgets
import numpy as np
from ipycanvas import Canvas, hold_canvas
from numpy.typing import ArrayLike
from PIL import Image

from cnnlib.activations import ReLU, Sigmoid
from cnnlib.digits.datasets import load_digits
from cnnlib.digits.fine_tuning import Teacher
from cnnlib.digits.mnist_frame import BOX, FIELD, MIDDLE, PEN, rasterize
from cnnlib.digits.models import load_pretrained
from cnnlib.digits.sample_drawings import CANVAS, middle_of_box, sample_drawings
from cnnlib.network import Network

INTERVAL = 0.08  # seconds between predictions, at least
INK, PAPER = "#1a1a1a", "#ffffff"
WIDTH = 7  # pixels of the canvas, for each pixel of the pen's diameter in the network's image

STYLE = """<style>
.cnnlib-pad canvas { box-shadow: 0 0 0 1px #767676; cursor: crosshair; touch-action: none; }
.cnnlib-pad canvas:focus-visible { outline: 3px solid #56b4e9; outline-offset: 2px; }
.cnnlib-result { color: var(--jp-ui-font-color1, inherit); line-height: 1.3; }
.cnnlib-result { display: flex; flex-wrap: wrap; gap: 16px 24px; }
.cnnlib-result .answer { font-size: 40px; font-weight: 700; line-height: 1; min-height: 44px; margin: 0 0 6px; }
.cnnlib-result .answer small { font-size: 15px; font-weight: 400; }
.cnnlib-result + .cnnlib-result { margin-top: 12px; }
.cnnlib-bars { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.cnnlib-bars th, .cnnlib-bars td { padding: 1px 4px; text-align: right; border: 0; }
.cnnlib-bars .track { width: 130px; text-align: left; }
.cnnlib-bars i { display: block; height: 12px; min-width: 1px; background: #7d8b98; }
.cnnlib-bars .top i { background: #2b87c8; }
.cnnlib-bars .top { font-weight: 700; }
.cnnlib-result figure { margin: 0; max-width: 100%; }
.cnnlib-result figcaption { font-size: 13px; width: 0; min-width: 100%; }
.cnnlib-result img, .cnnlib-result svg { display: block; border: 1px solid #767676; box-sizing: border-box; }
.cnnlib-result img { image-rendering: pixelated; max-width: 100%; }
.cnnlib-pad [role=alert] { color: var(--jp-ui-font-color1, inherit); line-height: 1.35; }
</style>"""


class DigitPad(widgets.VBox):
    """Draw a digit with mouse, pen or finger, and watch the network read it.

    On the canvas, the keys ``c`` and ``Escape`` clear it, ``z`` and ``Backspace`` take the last stroke back, and
    ``Tab`` leads on to the buttons.

    Parameters
    ----------
    network : Network, optional
        From 28x28 images to ten probabilities; by default the one that comes with the package. The pad works with a
        copy, so that teaching leaves yours as it is.

    Attributes
    ----------
    network : Network
        The pad's copy, with what it has been taught.
    strokes : list of list of (x, y)
        The drawing, in pixels of the canvas of 280 x 280, y down.
    image : ndarray of shape (28, 28), float32
        The drawing as the network saw it last.
    probabilities : ndarray of shape (10,)
        What the network made of it; all zeros as long as nothing is drawn.
    lessons : list of (ndarray, int)
        The images and labels that the network has been taught.
    """

    def __init__(self, network: Network | None = None):
        self.network = copy.deepcopy(network) if network is not None else load_pretrained()
        self.teacher = Teacher(self.network)
        self.others = load_digits()  # its test images show what teaching costs
        self.others_before = self._others_read()
        self.lessons: list[tuple[np.ndarray, int]] = []
        self.strokes: list[list[tuple[float, float]]] = []
        self.drawing = False
        self.examples, _ = sample_drawings()
        self.example_order = np.random.default_rng(0).permutation(len(self.examples))
        self.example = 0
        self.read_at = -np.inf  # the time of the last prediction
        self.timer: asyncio.TimerHandle | None = None
        self._make_widgets()
        super().__init__(self._arranged())
        self.add_class("cnnlib-pad")
        self._redraw()
        self._read()

    def __repr__(self) -> str:
        return "DigitPad: run this cell to draw."  # what a notebook shows as long as it has not been run

    # What programs call

    @property
    def pen(self) -> float:
        """The pen's diameter, in pixels of the network's image."""
        return self.pen_slider.value

    @property
    def prediction(self) -> int | None:
        """The digit that the network reads; None as long as nothing is drawn."""
        return int(self.probabilities.argmax()) if self.strokes else None

    def draw(self, strokes: Iterable[ArrayLike]) -> None:
        """Put a drawing on the canvas in place of what is there: strokes (n, 2) of points x, y, in pixels of it."""
        rasterize(strokes := [np.asarray(stroke, float) for stroke in strokes])  # raises if they are none
        self.strokes = [[(float(x), float(y)) for x, y in stroke] for stroke in strokes if len(stroke)]
        self._finish()

    def clear(self) -> None:
        """Remove the drawing."""
        self.strokes = []
        self._finish("The pad is empty.")

    def undo(self) -> None:
        """Remove the last stroke."""
        del self.strokes[-1:]
        self._finish(None if self.strokes else "The pad is empty.")

    def teach(self, digit: int) -> None:
        """Tell the network which digit the drawing is, and let it learn that: see `cnnlib.digits.fine_tuning`.

        Raises
        ------
        ValueError
            If nothing is drawn, or `digit` is not from 0 to 9.
        """
        if digit not in range(10):
            raise ValueError(f"expected a digit from 0 to 9, got {digit!r}")
        if not self.strokes:
            raise ValueError("there is nothing to learn: draw a digit first")
        self._read()
        if self.lessons and np.array_equal(self.lessons[-1][0], self.image):
            self.lessons.pop()  # the same drawing again: the last word counts
        self._learn([*self.lessons, (self.image, int(digit))])

    def undo_teaching(self) -> None:
        """Take the last lesson back."""
        self._learn(self.lessons[:-1])

    def save(self, path: str | os.PathLike) -> None:
        """Write the network, with what it has been taught, to a file that `Network.load` reads."""
        self.network.save(path, lessons=len(self.lessons))

    # How it is made

    def _make_widgets(self) -> None:
        fixed = widgets.Layout(width=f"{CANVAS}px", height=f"{CANVAS}px", flex="0 0 auto")
        self.canvas = Canvas(width=CANVAS, height=CANVAS, layout=fixed)
        self.canvas.line_cap = self.canvas.line_join = "round"
        self.canvas.stroke_style = INK
        self.canvas.on_mouse_down(self._pen_down)
        self.canvas.on_mouse_move(self._pen_move)
        self.canvas.on_mouse_up(self._pen_up)
        self.canvas.on_mouse_out(self._pen_up)
        # A list of touches comes; the first finger draws.
        self.canvas.on_touch_start(lambda touches: self._pen_down(*touches[0]))
        self.canvas.on_touch_move(lambda touches: self._pen_move(*touches[0]))
        self.canvas.on_touch_end(lambda touches: self._pen_up())
        self.canvas.on_touch_cancel(lambda touches: self._pen_up())
        self.canvas.on_key_down(self._key_down)

        self.clear_button = _button("Clear", self.clear, "Remove the drawing (key: c)")
        self.undo_button = _button("Undo", self.undo, "Remove the last stroke (key: z)")
        self.example_button = _button("Example", self._show_example, "Show a drawing that comes with the book")
        self.pen_slider = widgets.FloatSlider(
            PEN, min=1, max=5, step=0.5, description="Pen", readout_format=".1f", continuous_update=False
        )
        self.pen_slider.style.description_width = "auto"
        self.pen_slider.layout.width = f"{CANVAS}px"
        self.pen_slider.observe(lambda change: self._finish(), "value")

        self.result = widgets.HTML()
        self.details = widgets.HTML()
        self.message = widgets.HTML()
        self.steps_toggle = widgets.ToggleButton(False, description="Steps", tooltip="From the drawing to the image")
        self.maps_toggle = widgets.ToggleButton(False, description="Feature maps", tooltip="What the convolutions see")
        for toggle in (self.steps_toggle, self.maps_toggle):
            toggle.layout.width = "auto"
            toggle.observe(lambda change: self._read(), "value")

        self.teach_buttons = [
            _button(
                str(digit), lambda digit=digit: self._teach_clicked(digit), f"Teach the network that it is a {digit}"
            )
            for digit in range(10)
        ]
        self.undo_teaching_button = _button("Undo teaching", self.undo_teaching, "Take the last lesson back")
        self.save_button = _button("Save", self._save_clicked, "Save the network with what it has learned")
        self.path_field = widgets.Text("my-model.npz", tooltip="File name", layout=widgets.Layout(width="130px"))
        self.undo_teaching_button.disabled = self.save_button.disabled = True

    def _arranged(self) -> list[widgets.Widget]:
        wrap = widgets.Layout(flex_flow="row wrap", align_items="flex-start", grid_gap="4px")
        apart = widgets.Layout(flex_flow="row wrap", align_items="flex-start", grid_gap="8px 24px", overflow="visible")
        narrow = widgets.Layout(width=f"{CANVAS + 8}px", padding="1px", flex="0 0 auto", overflow="visible")
        self.result.layout = widgets.Layout(flex="1 1 280px", min_width="0")
        pad = widgets.VBox(
            [
                widgets.HBox([self.clear_button, self.undo_button, self.example_button], layout=wrap),
                self.canvas,
                self.pen_slider,
            ],
            layout=narrow,
        )
        lesson = [widgets.HTML("Wrong? It is a"), *self.teach_buttons]
        return [
            widgets.HTML(STYLE),
            widgets.HBox([pad, self.result], layout=apart),
            self.message,
            widgets.HBox([self.steps_toggle, self.maps_toggle], layout=wrap),
            self.details,
            widgets.HBox(lesson, layout=wrap),
            widgets.HBox([self.undo_teaching_button, self.save_button, self.path_field], layout=wrap),
        ]

    # The pen

    def _pen_down(self, x: float, y: float) -> None:
        self.drawing = True
        self.strokes.append([(x, y)])
        self._ink([(x, y), (x, y)])
        self._read_soon()

    def _pen_move(self, x: float, y: float) -> None:
        if self.drawing:
            stroke = self.strokes[-1]
            stroke.append((x, y))
            self._ink(stroke[-2:])
            self._read_soon()

    def _pen_up(self, x: float = 0, y: float = 0) -> None:
        """End the stroke: the pen was lifted, or has left the canvas."""
        if self.drawing:
            self.drawing = False
            self._read()
            self._say(self._answer())

    def _ink(self, points: list[tuple[float, float]]) -> None:
        self.canvas.line_width = WIDTH * self.pen
        self.canvas.stroke_lines(points)

    def _redraw(self) -> None:
        with hold_canvas():
            self.canvas.fill_style = PAPER
            self.canvas.fill_rect(0, 0, CANVAS, CANVAS)
            for stroke in self.strokes:
                self._ink(stroke if len(stroke) > 1 else 2 * stroke)

    def _finish(self, message: str | None = None) -> None:
        """Show a drawing that was changed otherwise than by the pen."""
        self.drawing = False
        self._redraw()
        self._read()
        self._say(message or self._answer())

    def _key_down(self, key: str, shift: bool, ctrl: bool, meta: bool) -> None:
        if key in ("c", "C", "Escape"):
            self.clear()
        elif key in ("z", "Z", "Backspace"):
            self.undo()
        elif key == "Tab":  # the canvas takes every key for itself, and would hold the focus for ever
            (self.example_button if shift else self.steps_toggle).focus()

    def _show_example(self) -> None:
        self.draw(self.examples[self.example_order[self.example % len(self.examples)]])
        self.example += 1

    # The network

    def _read_soon(self) -> None:
        """Read the drawing now, or after the interval; the timer is for a pen that rests without being lifted."""
        wait = self.read_at + INTERVAL - time.monotonic()
        if wait <= 0:
            self._read()
        elif self.timer is None:
            with contextlib.suppress(RuntimeError):  # no kernel; then the pen's end will do
                self.timer = asyncio.get_running_loop().call_later(wait, self._read)

    def _read(self) -> None:
        """Let the network read the drawing, and show what it says."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        self.image = rasterize(self.strokes, self.pen)
        self.probabilities = self.network.predict(self.image[np.newaxis])[0]
        if not self.strokes:
            self.probabilities = np.zeros_like(self.probabilities)
        picture = _figure(self.image, "what the network sees", 140)
        self.result.value = _RESULT.format(_bars(self.probabilities, self.prediction) + picture)
        steps = self._steps() if self.steps_toggle.value and self.strokes else ""
        maps = self._feature_maps() if self.maps_toggle.value and self.strokes else ""
        self.details.value = "".join(_RESULT.format(part) for part in (steps, maps) if part)
        self.read_at = time.monotonic()

    def _answer(self) -> str:
        if not self.strokes:
            return "Draw a digit."
        return f"It reads {_a(self.prediction)}, {_percent(self.probabilities.max())} sure."

    def _say(self, text: str) -> None:
        """Show a message, which screen readers read aloud."""
        self.message.value = f'<div role="alert">{text}</div>'

    def _steps(self) -> str:
        boxed = middle_of_box([np.array(stroke) for stroke in self.strokes])
        pixels = np.arange(FIELD)
        x, y = boxed.sum(axis=0) @ pixels / boxed.sum(), boxed.sum(axis=1) @ pixels / boxed.sum()
        points = np.concatenate(self.strokes)
        low, extent = points.min(axis=0), np.ptp(points, axis=0)
        lines = "".join(
            f'<polyline points="{" ".join(f"{x:.0f},{y:.0f}" for x, y in line)}"/>'
            for line in (stroke if len(stroke) > 1 else 2 * stroke for stroke in self.strokes)
        )
        drawing = (
            f'<figure><svg viewBox="0 0 {CANVAS} {CANVAS}" width="112" height="112" role="img" '
            f'aria-label="The drawing with the box around its ink." style="background:{PAPER}">'
            f'<g fill="none" stroke="{INK}" stroke-width="{WIDTH * self.pen}" stroke-linecap="round">{lines}</g>'
            f'<rect x="{low[0]:.0f}" y="{low[1]:.0f}" width="{extent[0]:.0f}" height="{extent[1]:.0f}" fill="none" '
            f'stroke="#d55e00" stroke-width="5"/></svg><figcaption>1. crop to the ink</figcaption></figure>'
        )
        return (
            drawing
            + _figure(boxed, f"2. longer side {BOX} pixels; + is the centre of mass", 112, (x, y))
            + _figure(self.image, f"3. centre of mass to ({MIDDLE}, {MIDDLE})", 112, (MIDDLE, MIDDLE))
        )

    def _feature_maps(self) -> str:
        y, parts = self.network.prepare(self.image[np.newaxis]), ""
        for layer, shape in zip(self.network.layers, self.network.shapes, strict=True):
            y = layer.forward(y)
            if len(shape) == 3 and isinstance(layer, (ReLU, Sigmoid)):
                text = f"{shape[0]} feature maps of {shape[1]} x {shape[2]}, after {type(layer).__name__}"
                sheet = _montage(y[0])
                parts += _figure(sheet, text, 2 * sheet.shape[1] if shape[1] > 14 else 4 * sheet.shape[1])
        return parts

    # Teaching

    def _teach_clicked(self, digit: int) -> None:
        try:
            self.teach(digit)
        except ValueError as error:
            self._say(f"{error}.".capitalize())

    def _learn(self, lessons: list[tuple[np.ndarray, int]]) -> None:
        """Teach the network these lessons, and say what has changed."""
        before, sure = self.prediction, self.probabilities.max()
        start = time.perf_counter()
        self.lessons = lessons
        self.teacher.teach([image for image, _ in lessons], [digit for _, digit in lessons])
        seconds = time.perf_counter() - start
        self._read()
        self.undo_teaching_button.disabled = self.save_button.disabled = not lessons
        parts = [f"Learned in {seconds:.1f} s." if lessons else "The network is as it was before the first lesson."]
        if before is not None:
            parts.append(
                f"This drawing is now read as {_a(self.prediction)} ({_percent(self.probabilities.max())}), "
                f"before as {_a(before)} ({_percent(sure)})."
            )
        if lessons:
            read = self.network.predict(np.stack([image for image, _ in lessons])).argmax(axis=1)
            known = sum(int(answer) == digit for answer, (_, digit) in zip(read, lessons, strict=True))
            parts.append(f"Of your drawings it reads {known} of {len(lessons)}.")
            total = len(self.others.test_images)
            parts.append(
                f"Of {total} digits by other people it reads {self._others_read()}, "
                f"before the first lesson {self.others_before}."
            )
        self._say(" ".join(parts))

    def _others_read(self) -> int:
        """Count the digits of other people that the network reads right."""
        return int(np.sum(self.network.predict(self.others.test_images).argmax(axis=1) == self.others.test_labels))

    def _save_clicked(self) -> None:
        try:
            self.save(self.path_field.value)
        except OSError as error:
            self._say(f"It could not be saved: {error}")
        else:
            self._say(f"Saved. To draw with it again: cnnlib.DigitPad(cnnlib.Network.load({self.path_field.value!r}))")


_RESULT = '<div class="cnnlib-result">{}</div>'


def _a(digit: int) -> str:
    return f"an {digit}" if digit == 8 else f"a {digit}"


def _percent(p: float) -> str:
    """Return a probability in percent, never rounded up to certainty."""
    return f"{min(round(100 * float(p)), 99)}%"


def _button(text: str, action, tooltip: str) -> widgets.Button:
    button = widgets.Button(description=text, tooltip=tooltip, layout=widgets.Layout(width="auto", min_width="32px"))
    button.on_click(lambda _: action())
    return button


def _bars(probabilities: np.ndarray, prediction: int | None) -> str:
    """Return the answer and a table of ten bars."""
    rows = "".join(
        f'<tr{" class=top" if digit == prediction else ""}><th scope="row">{digit}</th>'
        f'<td class="track"><i style="width:{100 * p:.1f}%"></i></td><td>{_percent(p)}</td></tr>'
        for digit, p in enumerate(probabilities)
    )
    answer = "?" if prediction is None else f"{prediction} <small>{_percent(probabilities.max())} sure</small>"
    return f'<div><p class="answer">{answer}</p><table class="cnnlib-bars">{rows}</table></div>'


def _figure(image: np.ndarray, caption: str, width: int, cross: tuple[float, float] | None = None) -> str:
    """Return an image (H, W), 0 to 1, as HTML, with a cross at (x, y) if there is one."""
    pixels = Image.fromarray(np.round(255 * image).astype(np.uint8))
    if cross is not None:
        scale = 4
        pixels = pixels.resize((scale * pixels.width, scale * pixels.height), Image.Resampling.NEAREST).convert("RGB")
        column, row = (round(scale * (value + 0.5)) for value in cross)
        for across, down in ((5, 0), (0, 5)):
            pixels.paste((255, 140, 0), (column - across - 1, row - down - 1, column + across + 1, row + down + 1))
    file = io.BytesIO()
    pixels.save(file, "PNG")
    data = base64.b64encode(file.getvalue()).decode()
    return (
        f'<figure><img src="data:image/png;base64,{data}" width="{width}" alt="{caption}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _montage(maps: np.ndarray, columns: int = 8) -> np.ndarray:
    """Return maps (C, H, W) side by side, in rows, in grey from 0 to their common maximum."""
    C, H, W = maps.shape
    columns = min(C, columns)
    rows = -(-C // columns)
    sheet = np.full((rows * (H + 1) - 1, columns * (W + 1) - 1), 0.35, np.float32)
    for index, map_ in enumerate(maps / max(maps.max(), 1e-9)):
        row, column = divmod(index, columns)
        sheet[row * (H + 1) : row * (H + 1) + H, column * (W + 1) : column * (W + 1) + W] = map_
    return sheet
