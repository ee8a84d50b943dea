"""A pad to draw digits on, in a notebook, with a network that classifies the drawing while it grows.

The strokes are kept in Python, as lists of points, and `cnnlib.rasterize` turns them into an image, so nothing is read
back from the browser's canvas. Every event of the pen is one message to the kernel, and the messages arrive faster than
predictions are useful. Therefore the network predicts at most every `INTERVAL` seconds, and whenever the pen is lifted.
All that a prediction changes is one widget, so it takes one message back.

Fine-tuning takes seconds, and the kernel does nothing else meanwhile. So before it begins, the pad says that it is
learning, takes the old answer away and locks whatever would have to wait: these messages leave the kernel at once.
"""

import asyncio
import base64
import contextlib
import copy
import html
import io
import os
import time
from collections.abc import Iterable, Iterator

import ipywidgets as widgets
import numpy as np
from ipycanvas import Canvas, hold_canvas
from numpy.typing import ArrayLike
from PIL import Image

from cnnlib.digits.confidence import calibrate, looks_like_digit
from cnnlib.digits.datasets import load_digits
from cnnlib.digits.fine_tuning import FineTuner
from cnnlib.digits.mnist_frame import BOX, FIELD, MIDDLE, PEN_DIAMETER
from cnnlib.digits.models import load_pretrained
from cnnlib.digits.reading import digits_of
from cnnlib.digits.sample_drawings import sample_drawings
from cnnlib.digits.strokes import CANVAS, centre_by_box, rasterize
from cnnlib.layers.activations import ReLU, Sigmoid
from cnnlib.network import Network

INTERVAL = 0.08  # seconds between predictions, at least
INK, PAPER = "#1a1a1a", "#ffffff"
FILE_NAME_WIDTH = "calc(10 * var(--jp-widgets-font-size, 13px))"  # it grows with the letters
PEN_SCALE = 7  # the pen's diameter on the canvas, for each pixel of it in the network's image

STYLE = """<style>
.cnnlib-pad canvas { box-shadow: 0 0 0 1px #767676; cursor: crosshair; touch-action: none; }
.cnnlib-pad :is(canvas, button, input, .noUi-handle):focus-visible { outline: 3px solid #2b87c8; outline-offset: 2px; }
.cnnlib-result { color: var(--jp-ui-font-color1, inherit); line-height: 1.3; }
.cnnlib-result { display: flex; flex-wrap: wrap; gap: 16px 24px; }
.cnnlib-result .answer { font-size: 3em; font-weight: 700; line-height: 1; min-height: 1.1em; margin: 0 0 6px; }
.cnnlib-result .answer small { font-size: 0.375em; font-weight: 400; }
.cnnlib-result + .cnnlib-result { margin-top: 12px; }
.cnnlib-bars { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.cnnlib-bars th, .cnnlib-bars td { padding: 1px 4px; text-align: right; border: 0; }
.cnnlib-bars .track { width: 130px; text-align: left; }
.cnnlib-bars i { display: block; height: 12px; min-width: 1px; background: #7d8b98; }
.cnnlib-bars .top i { background: #2b87c8; }
.cnnlib-bars .top { font-weight: 700; }
.cnnlib-result figure { margin: 0; max-width: 100%; }
.cnnlib-result figcaption { font-size: 1em; width: 0; min-width: 100%; }
.cnnlib-result img, .cnnlib-result svg { display: block; border: 1px solid #767676; box-sizing: border-box; }
.cnnlib-result img { image-rendering: pixelated; max-width: 100%; }
.cnnlib-pad.cnnlib-learning canvas { pointer-events: none; opacity: 0.5; }
.cnnlib-learning .cnnlib-bars td { visibility: hidden; }
.cnnlib-pad [role=alert] { color: var(--jp-ui-font-color1, inherit); line-height: 1.35; }
</style>"""


class DigitPad(widgets.VBox):
    """Draw a digit with mouse, pen or finger, and watch the network classify it; or a number of several digits.

    While the canvas has the focus, the keys ``c`` and ``Escape`` clear it, ``z`` and ``Backspace`` remove the last
    stroke, and ``Tab`` moves the focus to the buttons.

    Parameters
    ----------
    network : Network, optional
        From 28x28 images to ten probabilities; by default the one that comes with the package. The pad works with a
        copy, so fine-tuning does not change yours.

    Attributes
    ----------
    network : Network
        The pad's copy, fine-tuned on `corrections`.
    strokes : list of list of (x, y)
        The drawing, in pixels of the canvas of 280 x 280, y down.
    parts : list of list of int
        Which strokes, by number, make up each digit, line by line, from left to right: see `digits_of`.
    number : str
        The digits that are read, such as "2026"; empty as long as nothing is drawn.
    certainty : float
        The probability that all of them are right.
    image : ndarray of shape (28, 28), float32
        The last input of the network: of several digits, the last one, to which all that follows belongs, too.
    probabilities : ndarray of shape (10,)
        Its prediction, as `calibrate` makes it for the network of the package; all zeros as long as nothing is drawn.
    is_digit : bool
        Whether the drawing looks like a digit, as `looks_like_digit` says; never in doubt of a number, while the pen is
        down, nor after corrections, since these may be of any sign.
    corrections : list of (ndarray, int)
        The images and labels on which the network is fine-tuned.
    """

    def __init__(self, network: Network | None = None):
        self.network = copy.deepcopy(network) if network is not None else load_pretrained()
        self.calibrated = network is None  # the temperature is that of the network of the package
        self.fine_tuner = FineTuner(self.network)
        self.digits = load_digits()  # its test images show what fine-tuning costs
        self.initially_correct = self._count_correct_digits()
        self.corrections: list[tuple[np.ndarray, int]] = []
        self.strokes: list[list[tuple[float, float]]] = []
        self.parts: list[list[int]] = []
        self.drawing = False
        self.examples, _ = sample_drawings()
        self.example_order = np.random.default_rng(0).permutation(len(self.examples))
        self.example = 0
        self.prediction_time = -np.inf  # of the last prediction, in seconds
        self.timer: asyncio.TimerHandle | None = None
        self._make_widgets()
        super().__init__(self._arrange())
        self.add_class("cnnlib-pad")
        self._predict()
        self._redraw()

    def __repr__(self) -> str:
        return "DigitPad: run this cell to draw."  # what a notebook shows as long as it has not been run

    # For programs

    @property
    def pen(self) -> float:
        """The pen's diameter, in pixels of the network's image."""
        return self.pen_slider.value

    @property
    def prediction(self) -> int | None:
        """The digit with the highest probability, of several the last one; None as long as nothing is drawn."""
        return int(self.probabilities.argmax()) if self.strokes else None

    def draw(self, strokes: Iterable[ArrayLike]) -> None:
        """Replace the drawing by strokes (n, 2) of points x, y, in pixels of the canvas."""
        strokes = list(strokes) if isinstance(strokes, Iterator) else strokes  # they are needed twice
        rasterize(strokes)  # raises an error if they are not strokes
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

    def fine_tune(self, digit: int) -> None:
        """Fine-tune the network on this drawing, as an example of `digit`, and on those before: see `FineTuner`.

        Raises
        ------
        ValueError
            If nothing is drawn, or `digit` is not from 0 to 9.
        """
        if not isinstance(digit, int | np.integer) or digit not in range(10):
            raise ValueError(f"expected a digit from 0 to 9, got {digit!r}")
        if not self.strokes:
            raise ValueError("there is nothing to learn: draw a digit first")
        if self.drawing:  # otherwise the whole drawing has been classified
            self._classify()
        if len(self.parts) > 1:
            raise ValueError("there are several digits: draw the one to learn alone")
        earlier = self.corrections
        if earlier and np.array_equal(earlier[-1][0], self.image):  # the same drawing again: only the last label counts
            if earlier[-1][1] == digit:
                self._announce(f"This drawing has been learned as {_with_article(digit)} already.")
                return
            earlier = earlier[:-1]
        with self._learning(f"Learning that this is {_with_article(digit)} ..."):
            self._apply_corrections([*earlier, (self.image, int(digit))])

    def undo_correction(self) -> None:
        """Remove the last correction."""
        with self._learning("Undoing the last correction ..."):
            self._apply_corrections(self.corrections[:-1])

    def save(self, path: str | os.PathLike) -> None:
        """Write the fine-tuned network to a file that `Network.load` reads."""
        self.network.save(path, corrections=len(self.corrections))

    # The widgets

    def _make_widgets(self) -> None:
        fixed = widgets.Layout(width=f"{CANVAS}px", height=f"{CANVAS}px", flex="0 0 auto")
        self.canvas = Canvas(width=CANVAS, height=CANVAS, layout=fixed)
        self.canvas.line_cap = self.canvas.line_join = "round"
        self.canvas.stroke_style = INK
        self.canvas.on_mouse_down(self._pen_down)
        self.canvas.on_mouse_move(self._pen_move)
        self.canvas.on_mouse_up(self._pen_up)
        self.canvas.on_mouse_out(self._pen_up)
        # An event lists all touches; the first finger draws.
        self.canvas.on_touch_start(lambda touches: self._pen_down(*touches[0]))
        self.canvas.on_touch_move(lambda touches: self._pen_move(*touches[0]))
        self.canvas.on_touch_end(lambda touches: self._pen_up())
        self.canvas.on_touch_cancel(lambda touches: self._pen_up())
        self.canvas.on_key_down(self._key_down)

        self.clear_button = _button("Clear", self.clear, "Remove the drawing (key: c)")
        self.undo_button = _button("Undo", self.undo, "Remove the last stroke (key: z)")
        self.example_button = _button("Example", self._show_example, "Show a drawing that comes with the book")
        self.pen_slider = widgets.FloatSlider(
            PEN_DIAMETER, min=1, max=5, step=0.5, description="Pen", readout_format=".1f", continuous_update=False
        )
        self.pen_slider.style.description_width = "auto"
        self.pen_slider.layout.width = f"{CANVAS}px"
        self.pen_slider.layout.order = "1"  # below the canvas, though Tab comes to it before: see _key_down
        self.pen_slider.observe(lambda change: self._finish(), "value")

        self.result = widgets.HTML()
        self.details = widgets.HTML()
        self.message = widgets.HTML()
        self.steps_toggle = widgets.ToggleButton(False, description="Steps", tooltip="From the drawing to the image")
        self.maps_toggle = widgets.ToggleButton(False, description="Feature maps", tooltip="What the convolutions see")
        for toggle in (self.steps_toggle, self.maps_toggle):
            toggle.layout.width = "auto"
            toggle.observe(lambda change: self._predict(), "value")

        self.correction_buttons = [
            _button(str(digit), lambda digit=digit: self._correct(digit), f"Teach the network that it is a {digit}")
            for digit in range(10)
        ]
        self.undo_correction_button = _button("Undo teaching", self.undo_correction, "Undo the last correction")
        self.save_button = _button("Save", self._save_clicked, "Save the fine-tuned network")
        self.path_field = widgets.Text("my-model.npz", tooltip="File name", layout={"width": FILE_NAME_WIDTH})
        self.undo_correction_button.disabled = self.save_button.disabled = True
        self.waiting = [  # while the network learns
            *(self.clear_button, self.undo_button, self.example_button, self.pen_slider),
            *(self.steps_toggle, self.maps_toggle, *self.correction_buttons),
            *(self.undo_correction_button, self.save_button),
        ]

    def _arrange(self) -> list[widgets.Widget]:
        wrap = widgets.Layout(flex_flow="row wrap", align_items="flex-start", grid_gap="4px", overflow="visible")
        apart = widgets.Layout(flex_flow="row wrap", align_items="flex-start", grid_gap="8px 24px", overflow="visible")
        narrow = widgets.Layout(width=f"{CANVAS + 8}px", padding="1px", flex="0 0 auto", overflow="visible")
        self.result.layout = widgets.Layout(flex="1 1 280px", min_width="0")
        pad = widgets.VBox(
            [
                widgets.HBox([self.clear_button, self.undo_button, self.example_button], layout=wrap),
                self.pen_slider,
                self.canvas,
            ],
            layout=narrow,
        )
        correction = [widgets.HTML("Wrong? It is a"), *self.correction_buttons]
        return [
            widgets.HTML(STYLE),
            widgets.HBox([pad, self.result], layout=apart),
            self.message,
            widgets.HBox([self.steps_toggle, self.maps_toggle], layout=wrap),
            self.details,
            widgets.HBox(correction, layout=wrap),
            widgets.HBox([self.undo_correction_button, self.save_button, self.path_field], layout=wrap),
        ]

    # The pen

    def _pen_down(self, x: float, y: float) -> None:
        self.drawing = True
        self.strokes.append([(x, y)])
        self._draw_lines([(x, y), (x, y)])
        self._predict_soon()

    def _pen_move(self, x: float, y: float) -> None:
        if self.drawing:
            stroke = self.strokes[-1]
            stroke.append((x, y))
            self._draw_lines(stroke[-2:])
            self._predict_soon()

    def _pen_up(self, x: float = 0, y: float = 0) -> None:
        """End the stroke: the pen was lifted or left the canvas."""
        if self.drawing:
            self.drawing = False
            boxes = len(self.parts) > 1
            self._predict()
            if boxes or len(self.parts) > 1:
                self._redraw()
            self._announce(self._describe_prediction())

    def _draw_lines(self, points: list[tuple[float, float]]) -> None:
        self.canvas.line_width = PEN_SCALE * self.pen
        self.canvas.stroke_lines(points)

    def _redraw(self) -> None:
        with hold_canvas():
            self.canvas.fill_style = PAPER
            self.canvas.fill_rect(0, 0, CANVAS, CANVAS)
            for stroke in self.strokes:
                self._draw_lines(stroke if len(stroke) > 1 else 2 * stroke)
            if len(self.parts) > 1:
                for part in self.parts:
                    self._draw_box(np.concatenate([self.strokes[number] for number in part]))

    def _draw_box(self, points: np.ndarray) -> None:
        """Draw a box around the ink of strokes through these points (n, 2)."""
        margin = PEN_SCALE * self.pen / 2 + 2
        (left, top), (width, height) = points.min(axis=0) - margin, np.ptp(points, axis=0) + 2 * margin
        self.canvas.line_width, self.canvas.stroke_style = 2, "#d55e00"
        self.canvas.stroke_rect(left, top, width, height)
        self.canvas.stroke_style = INK

    def _finish(self, message: str | None = None) -> None:
        """Show a drawing that was not changed by the pen but by a button, a key or a program."""
        self.drawing = False
        self._predict()
        self._redraw()
        self._announce(message or self._describe_prediction())

    def _key_down(self, key: str, shift: bool, ctrl: bool, meta: bool) -> None:
        if key in ("c", "C", "Escape"):
            self.clear()
        elif key in ("z", "Z", "Backspace"):
            self.undo()
        elif key == "Tab":  # the canvas handles every key itself, so without this line the focus could not leave it
            (self.example_button if shift else self.steps_toggle).focus()

    def _show_example(self) -> None:
        self.draw(self.examples[self.example_order[self.example % len(self.examples)]])
        self.example += 1

    # The network

    def _predict_soon(self) -> None:
        """Predict now, or after the interval; the timer is for a pen that rests without being lifted."""
        wait = self.prediction_time + INTERVAL - time.monotonic()
        if wait <= 0:
            self._predict()
        elif self.timer is None:
            with contextlib.suppress(RuntimeError):  # outside of a kernel; there the end of the stroke is enough
                self.timer = asyncio.get_running_loop().call_later(wait, self._predict)

    def _predict(self) -> None:
        """Classify the drawing, and show the prediction."""
        self._classify()
        self._show_prediction()
        self.prediction_time = time.monotonic()

    def _classify(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        strokes = [np.array(stroke) for stroke in self.strokes]
        self.parts = digits_of(strokes, self.pen, unfinished=self.drawing)
        drawings = [[strokes[number] for number in part] for part in self.parts] or [[]]
        images = np.stack([rasterize(drawing, self.pen) for drawing in drawings])
        p = self.network.predict(images)
        p = calibrate(p) if self.calibrated else p
        self.number = "".join(str(digit) for digit in p.argmax(axis=1)) if strokes else ""
        self.certainty = float(p.max(axis=1).prod())
        self.image, self.probabilities = images[-1], p[-1] if strokes else np.zeros_like(p[-1])
        certain = self.drawing or self.corrections or len(self.parts) != 1
        self.is_digit = bool(certain or looks_like_digit(self.image[np.newaxis])[0])
        self.picture = _figure(np.hstack(list(images)), "what the network sees", 140)

    def _show_prediction(self) -> None:
        several = f"{self.number} <small>({_percent(self.certainty)})</small>" if len(self.parts) > 1 else ""
        bars = _bars(self.probabilities, self.prediction, self.is_digit, several)
        self.result.value = _RESULT.format(bars + self.picture)
        steps = self._steps_html() if self.steps_toggle.value and self.strokes else ""
        maps = self._feature_maps_html() if self.maps_toggle.value and self.strokes else ""
        self.details.value = "".join(_RESULT.format(part) for part in (steps, maps) if part)

    def _describe_prediction(self) -> str:
        if not self.strokes:
            return "Draw a digit."
        if len(self.parts) > 1:
            return f"It reads {self.number}, {_percent(self.certainty)} sure. The bars are for the last digit."
        if not self.is_digit:
            return f"This does not look like a digit. The most similar one is {_with_article(self.prediction)}."
        return f"It reads {_with_article(self.prediction)}, {_percent(self.probabilities.max())} sure."

    def _announce(self, text: str) -> None:
        """Show a message, which screen readers read aloud."""
        self.message.value = f'<div role="alert">{html.escape(text, quote=False)}</div>'

    def _steps_html(self) -> str:
        strokes = [self.strokes[number] for number in self.parts[-1]]
        boxed = centre_by_box([np.array(stroke) for stroke in strokes])
        pixels = np.arange(FIELD)
        x, y = boxed.sum(axis=0) @ pixels / boxed.sum(), boxed.sum(axis=1) @ pixels / boxed.sum()
        points = np.concatenate(strokes)
        low, extent = points.min(axis=0), np.ptp(points, axis=0)
        lines = "".join(
            f'<polyline points="{" ".join(f"{x:.0f},{y:.0f}" for x, y in line)}"/>'
            for line in (stroke if len(stroke) > 1 else 2 * stroke for stroke in self.strokes)
        )
        drawing = (
            f'<figure><svg viewBox="0 0 {CANVAS} {CANVAS}" width="112" height="112" role="img" '
            f'aria-label="The drawing with the box around its ink." style="background:{PAPER}">'
            f'<g fill="none" stroke="{INK}" stroke-width="{PEN_SCALE * self.pen}" stroke-linecap="round">{lines}</g>'
            f'<rect x="{low[0]:.0f}" y="{low[1]:.0f}" width="{extent[0]:.0f}" height="{extent[1]:.0f}" fill="none" '
            f'stroke="#d55e00" stroke-width="5"/></svg><figcaption>1. crop to the ink</figcaption></figure>'
        )
        return (
            drawing
            + _figure(boxed, f"2. longer side {BOX} pixels; + is the centre of mass", 112, (x, y))
            + _figure(self.image, f"3. centre of mass to ({MIDDLE}, {MIDDLE})", 112, (MIDDLE, MIDDLE))
        )

    def _feature_maps_html(self) -> str:
        y, parts = self.network.to_input(self.image[np.newaxis]), ""
        for layer, shape in zip(self.network.layers, self.network.shapes, strict=True):
            y = layer.forward(y)
            if len(shape) == 3 and isinstance(layer, (ReLU, Sigmoid)):
                text = f"{shape[0]} feature maps of {shape[1]} x {shape[2]}, after {type(layer).__name__}"
                sheet = _montage(y[0])
                parts += _figure(sheet, text, 2 * sheet.shape[1] if shape[1] > 14 else 4 * sheet.shape[1])
        return parts

    # Fine-tuning

    def _correct(self, digit: int) -> None:
        try:
            self.fine_tune(digit)
        except ValueError as error:
            self._announce(f"{error}.".capitalize())

    @contextlib.contextmanager
    def _learning(self, text: str) -> Iterator[None]:
        """Say that the network learns, and lock what must wait; if it is interrupted, nothing has been learned."""
        self._announce(text)
        bars = _bars(np.zeros(10), None, True, "? <small>learning ...</small>")
        self.result.value = _RESULT.format(bars + self.picture)
        self.add_class("cnnlib-learning")
        for widget in self.waiting:
            widget.disabled = True
        corrections = self.corrections
        parameters = {name: array.copy() for name, array in self.network.parameters().items()}
        try:
            yield
        except BaseException:
            self.corrections = corrections
            for name, array in self.network.parameters().items():
                array[...] = parameters[name]
            self._predict()
            self._announce("Learning was interrupted. The network is as it was before.")
            raise
        finally:
            self.remove_class("cnnlib-learning")
            nothing_learned = [] if self.corrections else [self.undo_correction_button, self.save_button]
            for widget in self.waiting:
                widget.disabled = widget in nothing_learned

    def _apply_corrections(self, corrections: list[tuple[np.ndarray, int]]) -> None:
        """Fine-tune the network on these corrections, and show what has changed."""
        prediction_before, probability_before = self.prediction, self.probabilities.max()
        start = time.perf_counter()
        self.corrections = corrections
        labels = [label for _, label in corrections]
        self.fine_tuner.fine_tune([image for image, _ in corrections], labels)
        seconds = time.perf_counter() - start
        self._predict()
        sentences = [
            f"Learned in {seconds:.1f} s." if corrections else "The network is as it was before the first correction."
        ]
        if prediction_before is not None:
            sentences.append(
                f"This drawing is now read as {_with_article(self.prediction)} ({_percent(self.probabilities.max())}), "
                f"before as {_with_article(prediction_before)} ({_percent(probability_before)})."
            )
        if corrections:
            images = np.stack([image for image, _ in corrections])
            correct = np.sum(self.network.predict(images).argmax(axis=1) == labels)
            sentences.append(f"Of your drawings it reads {correct} of {len(corrections)} correctly.")
            sentences.append(
                f"Of {len(self.digits.test_images)} digits by other people it reads {self._count_correct_digits()} "
                f"correctly, before the first correction {self.initially_correct}."
            )
        self._announce(" ".join(sentences))

    def _count_correct_digits(self) -> int:
        """Return how many test digits by other people the network classifies correctly."""
        predictions = self.network.predict(self.digits.test_images).argmax(axis=1)
        return int(np.sum(predictions == self.digits.test_labels))

    def _save_clicked(self) -> None:
        try:
            self.save(self.path_field.value)
        except (OSError, ValueError) as error:
            self._announce(f"It could not be saved: {error}")
        else:
            self._announce(
                f"Saved. To draw with it again: cnnlib.DigitPad(cnnlib.Network.load({self.path_field.value!r}))"
            )


_RESULT = '<div class="cnnlib-result">{}</div>'


def _with_article(digit: int) -> str:
    return f"an {digit}" if digit == 8 else f"a {digit}"


def _percent(p: float) -> str:
    """Return a probability in percent, rounded down, so that ten of them add up to 100% at most; nothing is certain."""
    return f"{min(int(100 * float(p) + 1e-9), 99)}%"


def _button(text: str, action, tooltip: str) -> widgets.Button:
    button = widgets.Button(description=text, tooltip=tooltip, layout=widgets.Layout(width="auto", min_width="32px"))
    button.on_click(lambda _: action())
    return button


def _bars(probabilities: np.ndarray, prediction: int | None, is_digit: bool, several: str = "") -> str:
    """Return HTML with the prediction, of one or several digits, or that there is none, and a table of ten bars."""
    rows = "".join(
        f'<tr{" class=top" if is_digit and digit == prediction else ""}><th scope="row">{digit}</th>'
        f'<td class="track"><i style="width:{100 * p:.1f}%"></i></td><td>{_percent(p)}</td></tr>'
        for digit, p in enumerate(probabilities)
    )
    answer = "?" if prediction is None else f"{prediction} <small>{_percent(probabilities.max())} sure</small>"
    answer = several or (answer if is_digit else "? <small>no digit</small>")
    return f'<div><p class="answer">{answer}</p><table class="cnnlib-bars">{rows}</table></div>'


def _figure(image: np.ndarray, caption: str, width: int, cross: tuple[float, float] | None = None) -> str:
    """Return HTML that shows an image (H, W), 0 to 1, and a cross at (x, y) if one is given."""
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
    """Return one image that shows maps (C, H, W) in rows, from 0 to 1, which is their common maximum."""
    C, H, W = maps.shape
    columns = min(C, columns)
    rows = -(-C // columns)
    sheet = np.full((rows * (H + 1) - 1, columns * (W + 1) - 1), 0.35, np.float32)
    for index, map_ in enumerate(maps / max(maps.max(), 1e-9)):
        row, column = divmod(index, columns)
        sheet[row * (H + 1) : row * (H + 1) + H, column * (W + 1) : column * (W + 1) + W] = map_
    return sheet
