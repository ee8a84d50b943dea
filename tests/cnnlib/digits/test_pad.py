"""The notebook's pad, without a browser: its events are called as ipycanvas calls them."""

import asyncio
import base64
import io
import re
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import ipywidgets as widgets
import numpy as np
import pytest
from PIL import Image

import cnnlib
from cnnlib.digits import pad as pad_module
from cnnlib.digits.confidence import calibrate
from cnnlib.digits.pad import INTERVAL, DigitPad
from cnnlib.digits.sample_drawings import sample_drawings
from cnnlib.digits.strokes import centre_by_box

DRAWINGS, LABELS = sample_drawings()


@pytest.fixture
def pad():
    return DigitPad()


def send(pad, event, x=0.0, y=0.0):
    """Let an event of the mouse arrive, as the browser sends it."""
    pad.canvas._handle_frontend_event(pad.canvas, {"event": event, "x": x, "y": y}, [])


def press(pad, key, shift=False):
    content = {"event": "key_down", "key": key, "shift_key": shift, "ctrl_key": False, "meta_key": False}
    pad.canvas._handle_frontend_event(pad.canvas, content, [])


def touch(pad, event, *points):
    pad.canvas._handle_frontend_event(
        pad.canvas, {"event": event, "touches": [{"x": x, "y": y} for x, y in points]}, []
    )


def draw(pad, strokes):
    for first, *rest in ([tuple(point) for point in stroke] for stroke in strokes):
        send(pad, "mouse_down", *first)
        for point in rest:
            send(pad, "mouse_move", *point)
        send(pad, "mouse_up", *(rest or [first])[-1])


@pytest.mark.parametrize("number", [0, 8, 18])
def test_it_reads_what_is_drawn(pad, number):
    draw(pad, DRAWINGS[number])
    assert np.array_equal(pad.image, cnnlib.rasterize(DRAWINGS[number]))
    assert np.array_equal(pad.probabilities, calibrate(cnnlib.load_pretrained().predict(pad.image[np.newaxis]))[0])
    assert pad.prediction == LABELS[number]
    assert f'class="answer">{LABELS[number]} ' in pad.result.value
    assert f"It reads a {LABELS[number]}, 9" in pad.message.value and 'role="alert"' in pad.message.value
    assert pad.result.value.count("<tr") == 10


def test_it_says_what_is_no_digit(pad):
    wave = np.stack([np.arange(40, 240, 4), 140 + 40 * np.sin(np.arange(50))], axis=1)
    for first, *rest in [wave.tolist()]:
        send(pad, "mouse_down", *first)
        for point in rest:
            send(pad, "mouse_move", *point)
    pad._predict()
    assert pad.is_digit  # as long as the pen is down, it may become one
    send(pad, "mouse_up", *wave[-1])
    assert not pad.is_digit and not cnnlib.looks_like_digit(pad.image[np.newaxis])[0]
    assert 'class="answer">? <small>no digit</small>' in pad.result.value and "class=top" not in pad.result.value
    assert "This does not look like a digit. The most similar one is a" in pad.message.value
    pad.fine_tune(3)  # whoever teaches a sign means it
    assert pad.is_digit and pad.prediction == 3
    pad.undo_correction()
    assert not pad.is_digit
    pad.clear()
    assert pad.is_digit and "Draw a digit." not in pad.result.value


def beside(*numbers):
    """Sample drawings by number, side by side, at a third of their size."""
    return [np.round(stroke * 0.35 + [80 * k, 60]) for k, number in enumerate(numbers) for stroke in DRAWINGS[number]]


def test_it_reads_numbers_of_several_digits(pad, monkeypatch):
    boxes = []
    monkeypatch.setattr(pad.canvas, "stroke_rect", lambda *box: boxes.append(box))
    strokes = beside(8, 0, 17)
    draw(pad, strokes)
    p = calibrate(cnnlib.load_pretrained().predict(np.stack([cnnlib.rasterize([stroke]) for stroke in strokes])))
    sure = min(int(100 * p.max(axis=1).prod()), 99)
    assert pad.number == "".join(str(LABELS[k]) for k in (8, 0, 17)) and pad.parts == [[0], [1], [2]]
    assert pad.certainty == pytest.approx(p.max(axis=1).prod()) and np.allclose(pad.probabilities, p[-1])
    assert np.array_equal(pad.image, cnnlib.rasterize(strokes[-1:])) and pad.prediction == LABELS[17]
    assert f'class="answer">{pad.number} <small>({sure}%)</small>' in pad.result.value
    assert f"It reads {pad.number}, {sure}% sure. The bars are for the last digit." in pad.message.value
    (left, top, width, height), ink = boxes[-1], strokes[-1]
    assert left < ink[:, 0].min() < ink[:, 0].max() < left + width
    assert top < ink[:, 1].min() < ink[:, 1].max() < top + height and len(boxes) >= 3
    pad.steps_toggle.value = True  # of the last digit
    assert "3. centre of mass" in pad.details.value
    with pytest.raises(ValueError, match="several digits"):
        pad.fine_tune(3)
    pad.correction_buttons[3].click()
    assert "There are several digits" in pad.message.value
    count = len(boxes)
    pad.undo()
    pad.undo()
    assert pad.number == str(LABELS[8]) and len(boxes) == count + 2  # two digits had boxes, one has none


def test_nothing_is_drawn(pad):
    assert pad.prediction is None and not pad.image.any() and not pad.probabilities.any()
    assert pad.number == "" and pad.parts == []
    for action in (pad.clear, pad.undo, pad.undo_correction):
        action()
        assert pad.strokes == []
    send(pad, "mouse_move", 50, 50)
    send(pad, "mouse_up", 50, 50)
    assert pad.strokes == []


def test_it_says_what_to_do_where_widgets_do_not_show(pad):
    assert repr(pad) == "DigitPad: run this cell to draw."


def test_a_dot_is_a_drawing(pad):
    send(pad, "mouse_down", 50, 50)
    send(pad, "mouse_up", 50, 50)
    assert pad.strokes == [[(50, 50)]] and pad.image[14, 14] == 1


def test_leaving_the_canvas_lifts_the_pen(pad):
    send(pad, "mouse_down", 50, 50)
    send(pad, "mouse_move", 60, 50)
    send(pad, "mouse_out", 280, 50)
    send(pad, "mouse_move", 200, 200)  # back, with the button held or not
    assert pad.strokes == [[(50, 50), (60, 50)]]


def test_the_first_finger_draws(pad):
    touch(pad, "touch_start", (10, 10))
    touch(pad, "touch_move", (20, 30), (100, 100))
    touch(pad, "touch_end")
    touch(pad, "touch_move", (90, 90))
    assert pad.strokes == [[(10, 10), (20, 30)]]


def test_clear_and_undo(pad):
    draw(pad, [[(10, 10), (50, 50)], [(60, 10), (60, 90)]])
    press(pad, "z")
    assert pad.strokes == [[(10, 10), (50, 50)]]
    draw(pad, [[(60, 10), (60, 90)]])
    pad.undo_button.click()
    assert len(pad.strokes) == 1
    press(pad, "Escape")
    assert pad.strokes == [] and pad.prediction is None and "The pad is empty" in pad.message.value
    draw(pad, DRAWINGS[0])
    pad.clear_button.click()
    assert pad.strokes == []


def test_tab_leaves_the_canvas(pad, monkeypatch):
    focused = []
    monkeypatch.setattr(type(pad.clear_button), "focus", lambda self: focused.append(self), raising=False)
    monkeypatch.setattr(type(pad.steps_toggle), "focus", lambda self: focused.append(self), raising=False)
    press(pad, "Tab")
    press(pad, "Tab", shift=True)
    assert focused == [pad.steps_toggle, pad.example_button]


def test_tab_comes_to_the_pen_before_the_canvas_which_it_leaves_for_the_buttons_below(pad):
    order = descendants(pad)
    names = (pad.example_button, pad.pen_slider, pad.canvas, pad.steps_toggle)
    assert sorted(names, key=order.index) == list(names)
    assert pad.pen_slider.layout.order == "1" and pad.canvas.layout.order is None  # it stands below


def test_pen_width(pad):
    pad.draw(DRAWINGS[0])
    ink = pad.image.sum()
    pad.pen_slider.value = 4
    assert pad.image.sum() > 1.3 * ink
    assert np.array_equal(pad.image, cnnlib.rasterize(DRAWINGS[0], 4))


def test_steps_and_feature_maps(pad):
    assert pad.details.value == ""
    pad.steps_toggle.value = pad.maps_toggle.value = True
    pad.draw(DRAWINGS[0])
    assert "6 feature maps of 28 x 28" in pad.details.value and "16 feature maps of 10 x 10" in pad.details.value
    assert pad.details.value.count("<figure>") == 5
    assert pad.details.value.count("alt=") == pad.details.value.count("<img") == 4
    pad.steps_toggle.value = pad.maps_toggle.value = False
    assert pad.details.value == ""


def test_examples_come_one_after_the_other(pad):
    seen = set()
    order = np.random.default_rng(0).permutation(40)
    for number in order:
        pad.example_button.click()
        assert np.array_equal(pad.strokes[0], DRAWINGS[number][0])
        seen.add(str(pad.strokes))
    assert len(seen) == 40
    pad.example_button.click()
    assert str(pad.strokes) in seen


@pytest.mark.parametrize("strokes", [[[[1, 2, 3]]], [[[1, np.nan]]], [["a"]]])
def test_what_is_no_drawing_is_refused(pad, strokes):
    pad.draw(DRAWINGS[0])
    before = pad.strokes
    with pytest.raises(ValueError):
        pad.draw(strokes)
    assert pad.strokes == before


def test_it_reads_at_most_every_interval_and_loses_no_point(pad, monkeypatch):
    now, reads = [100.0], []
    pad.prediction_time = 0.0
    rasterize = pad_module.rasterize
    monkeypatch.setattr(pad_module, "rasterize", lambda *arguments: reads.append(now[0]) or rasterize(*arguments))
    monkeypatch.setattr(pad_module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    points = [(140 + 100 * np.cos(a), 140 + 100 * np.sin(a)) for a in np.linspace(0, 6, 500)]
    send(pad, "mouse_down", *points[0])
    for point in points[1:]:
        now[0] += 0.004
        send(pad, "mouse_move", *point)
    send(pad, "mouse_up", *points[-1])
    assert pad.strokes == [points]
    assert np.diff(reads[:-1]).min() >= INTERVAL
    assert 20 <= len(reads) <= 500 * 0.004 / INTERVAL + 2
    assert np.array_equal(pad.image, cnnlib.rasterize([points]))


def test_a_pen_that_rests_is_read_too(pad):
    """Points that came within the interval are read when it is over, though the pen is still down."""

    async def rest():
        draw(pad, [DRAWINGS[0][0][:1]])
        send(pad, "mouse_down", *DRAWINGS[0][0][0])
        for point in DRAWINGS[0][0]:
            send(pad, "mouse_move", *point)
        await asyncio.sleep(2 * INTERVAL)

    with ThreadPoolExecutor() as pool:  # this thread may have a loop already: that of another test's browser
        pool.submit(asyncio.run, rest()).result()
    assert np.array_equal(pad.image, cnnlib.rasterize(pad.strokes))


# Fine-tuning


def test_fine_tune_and_undo(pad):
    pad.draw(DRAWINGS[0])
    before = pad.probabilities.copy()
    assert pad.undo_correction_button.disabled
    pad.correction_buttons[6].click()
    assert pad.prediction == 6
    assert [label for _, label in pad.corrections] == [6]
    assert "now read as a 6" in pad.message.value and "before as a 0" in pad.message.value
    assert "Of your drawings it reads 1 of 1 correctly" in pad.message.value
    assert "before the first correction" in pad.message.value
    pad.fine_tune(5)  # the same drawing again: only the last label counts
    assert [label for _, label in pad.corrections] == [5] and pad.prediction == 5
    pad.draw(DRAWINGS[12])
    pad.fine_tune(3)
    assert len(pad.corrections) == 2
    pad.undo_correction_button.click()
    pad.undo_correction_button.click()
    pad.draw(DRAWINGS[0])
    assert pad.corrections == [] and pad.undo_correction_button.disabled
    assert np.array_equal(pad.probabilities, before)


def waiting(pad):
    """What must wait while the network learns: all that can be pressed, but the file's name."""
    kinds = (widgets.Button, widgets.ToggleButton, widgets.FloatSlider)
    return [widget for widget in descendants(pad) if isinstance(widget, kinds)]


def descendants(widget):
    return [each for child in getattr(widget, "children", ()) for each in (child, *descendants(child))]


def test_while_it_learns_it_says_so_and_locks_what_must_wait(pad, monkeypatch):
    pad.draw(DRAWINGS[0])
    locked_before = [widget.disabled for widget in waiting(pad)]
    assert len(waiting(pad)) == 18 and sum(locked_before) == 2  # there is nothing to undo or to save
    seen, fine_tune = [], pad.fine_tuner.fine_tune

    def learn(*arguments):
        state = pad.message.value, pad.result.value, pad._dom_classes
        seen.append((*state, all(widget.disabled for widget in waiting(pad))))
        fine_tune(*arguments)

    monkeypatch.setattr(pad.fine_tuner, "fine_tune", learn)
    pad.correction_buttons[8].click()
    pad.undo_correction_button.click()
    for (message, result, classes, locked), text in zip(
        seen, ("Learning that this is an 8 ...", "Undoing the last correction ..."), strict=True
    ):
        assert message == f'<div role="alert">{text}</div>'
        assert 'class="answer">? <small>learning ...</small>' in result and "class=top" not in result
        assert "cnnlib-learning" in classes and locked
    assert "cnnlib-learning" not in pad._dom_classes
    assert [widget.disabled for widget in waiting(pad)] == locked_before
    assert "learning" not in pad.result.value and "cnnlib-learning canvas { pointer-events: none" in pad_module.STYLE


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_learning_that_is_interrupted_leaves_the_network_as_it_was(pad, monkeypatch, error):
    pad.draw(DRAWINGS[0])
    pad.fine_tune(6)
    before = pad.probabilities.copy()

    def stopped(*arguments):
        for array in pad.network.parameters().values():
            array += 1
        raise error

    monkeypatch.setattr(pad.fine_tuner, "fine_tune", stopped)
    for action in (lambda: pad.fine_tune(3), pad.undo_correction):
        with pytest.raises(error):
            action()
        assert [label for _, label in pad.corrections] == [6]
        assert np.array_equal(pad.probabilities, before) and 'class="answer">6 ' in pad.result.value
        assert "Learning was interrupted" in pad.message.value
        assert not any(widget.disabled for widget in waiting(pad)) and "cnnlib-learning" not in pad._dom_classes


def test_what_has_been_learned_is_not_learned_again(pad, monkeypatch):
    """As when somebody presses a button twice, before it is locked."""
    pad.draw(DRAWINGS[0])
    pad.fine_tune(6)
    monkeypatch.setattr(pad.fine_tuner, "fine_tune", None)
    pad.correction_buttons[6].click()
    assert "This drawing has been learned as a 6 already." in pad.message.value and len(pad.corrections) == 1


def test_a_drawing_is_learned_as_it_is_while_the_pen_is_down(pad):
    for point in DRAWINGS[0][0]:
        send(pad, "mouse_move" if pad.strokes else "mouse_down", *point)
    pad.fine_tune(6)
    assert np.array_equal(pad.corrections[0][0], cnnlib.rasterize([[tuple(point) for point in DRAWINGS[0][0]]]))


def test_fine_tuning_leaves_the_given_network_alone():
    network = cnnlib.load_pretrained()
    pad = DigitPad(network)
    pad.draw(DRAWINGS[0])
    pad.fine_tune(6)
    assert network.predict(pad.image[np.newaxis]).argmax() == 0


def test_what_cannot_be_learned(pad):
    with pytest.raises(ValueError, match="draw a digit first"):
        pad.fine_tune(3)
    pad.correction_buttons[3].click()
    assert "draw a digit first" in pad.message.value
    pad.draw(DRAWINGS[0])
    for digit in (10, -1, "3", None):
        with pytest.raises(ValueError, match="from 0 to 9"):
            pad.fine_tune(digit)
    assert pad.corrections == []


def test_save(pad, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pad.draw(DRAWINGS[0])
    pad.fine_tune(6)
    pad.save_button.click()
    saved = cnnlib.Network.load(tmp_path / "my-model.npz")
    assert np.array_equal(calibrate(saved.predict(pad.image[np.newaxis]))[0], pad.probabilities)
    assert saved.notes == {"corrections": 1}
    pad.path_field.value = "my-model.npz/x.npz"
    pad.save_button.click()
    assert "could not be saved" in pad.message.value


def test_a_network_of_another_shape_is_refused():
    with pytest.raises(ValueError, match="from \\(1, 28, 28\\)"):
        DigitPad(cnnlib.Network([cnnlib.Dense(2, 2), cnnlib.Softmax()], (2,)))


@pytest.mark.parametrize(
    ("p", "text"), [(0.0, "0%"), (0.994, "99%"), (1.0, "99%"), (0.126, "12%"), (0.29, "29%"), (0.006, "0%")]
)
def test_nothing_is_certain(p, text):
    assert pad_module._percent(p) == text


# What it shows, word by word


def test_what_stands_on_the_buttons(pad):
    def texts(widget):
        own = [(widget.description, widget.tooltip)] if type(widget).__name__ in ("Button", "ToggleButton") else []
        return own + [text for child in getattr(widget, "children", ()) for text in texts(child)]

    assert texts(pad) == [
        ("Clear", "Remove the drawing (key: c)"),
        ("Undo", "Remove the last stroke (key: z)"),
        ("Example", "Show a drawing that comes with the book"),
        ("Steps", "From the drawing to the image"),
        ("Feature maps", "What the convolutions see"),
        *[(str(digit), f"Teach the network that it is a {digit}") for digit in range(10)],
        ("Undo teaching", "Undo the last correction"),
        ("Save", "Save the fine-tuned network"),
    ]
    assert pad.children[5].children[0].value == "Wrong? It is a"
    assert (pad.path_field.value, pad.path_field.tooltip) == ("my-model.npz", "File name")
    slider = pad.pen_slider
    assert (slider.description, slider.min, slider.max, slider.step, slider.value) == ("Pen", 1, 5, 0.5, 2.5)
    assert slider.readout_format == ".1f" and not slider.continuous_update
    assert not pad.steps_toggle.value and not pad.maps_toggle.value
    assert "cnnlib-pad" in pad._dom_classes and ".cnnlib-pad canvas" in pad.children[0].value


def test_where_everything_stands(pad):
    """The canvas keeps its size; rows of buttons break where the page is narrow; the result stands beside, or below."""
    canvas = pad.canvas.layout
    assert (canvas.width, canvas.height, canvas.flex) == ("280px", "280px", "0 0 auto")
    assert (pad.canvas.width, pad.canvas.height) == (280, 280)
    assert pad.pen_slider.layout.width == "280px" and pad.pen_slider.style.description_width == "auto"
    left, result = pad.children[1].children
    assert result is pad.result and (result.layout.flex, result.layout.min_width) == ("1 1 280px", "0")
    narrow = left.layout
    assert (narrow.width, narrow.padding, narrow.flex, narrow.overflow) == ("288px", "1px", "0 0 auto", "visible")
    for row in (pad.children[1], left.children[0], pad.children[3], pad.children[5], pad.children[6]):
        gap = "8px 24px" if row is pad.children[1] else "4px"
        assert (row.layout.flex_flow, row.layout.align_items, row.layout.grid_gap) == ("row wrap", "flex-start", gap)
    assert pad.children[1].layout.overflow == "visible"
    assert pad.steps_toggle.layout.width == pad.maps_toggle.layout.width == "auto"
    for button in (pad.clear_button, *pad.correction_buttons):
        assert (button.layout.width, button.layout.min_width) == ("auto", "32px")
    assert pad.path_field.layout.width == "calc(10 * var(--jp-widgets-font-size, 13px))"


def test_what_is_drawn_on_the_canvas(pad, monkeypatch):
    done = []
    for name in ("stroke_lines", "fill_rect", "stroke_rect"):
        monkeypatch.setattr(
            pad.canvas,
            name,
            lambda *what, name=name: done.append((name, *what, pad.canvas.line_width, pad.canvas.stroke_style)),
        )
    ink = (7 * 2.5, "#1a1a1a")
    assert pad.canvas.line_cap == pad.canvas.line_join == "round" and pad.canvas.stroke_style == "#1a1a1a"
    draw(pad, [[(30, 40)], [(50, 60), (70, 80)]][:1])
    assert done == [("stroke_lines", [(30, 40), (30, 40)], *ink)]
    done.clear()
    send(pad, "mouse_down", 50, 60)
    send(pad, "mouse_move", 70, 80)
    assert done == [("stroke_lines", [(50, 60), (50, 60)], *ink), ("stroke_lines", [(50, 60), (70, 80)], *ink)]
    done.clear()
    pad.parts = []
    pad._redraw()
    assert [entry[:5] for entry in done[:1]] == [("fill_rect", 0, 0, 280, 280)] and pad.canvas.fill_style == "#ffffff"
    assert done[1:] == [
        ("stroke_lines", [(30, 40), (30, 40)], *ink),
        ("stroke_lines", [(50, 60), (70, 80)], *ink),
    ]
    done.clear()
    pad._draw_box(np.array([[30, 40], [50, 100]]))
    margin = 7 * 2.5 / 2 + 2
    assert done == [("stroke_rect", 30 - margin, 40 - margin, 20 + 2 * margin, 60 + 2 * margin, 2, "#d55e00")]
    assert pad.canvas.stroke_style == "#1a1a1a"


@pytest.mark.parametrize("key", ["c", "C", "Escape", "z", "Z", "Backspace", "x"])
def test_keys(pad, key):
    pad.draw([[(10, 10), (50, 50)], [(60, 10), (60, 90)]])
    press(pad, key)
    assert len(pad.strokes) == (0 if key in ("c", "C", "Escape") else 2 if key == "x" else 1)


def announced(pad):
    """What is read aloud."""
    text = pad.message.value
    assert text.startswith('<div role="alert">') and text.endswith("</div>")
    return text.removeprefix('<div role="alert">').removesuffix("</div>")


def test_what_is_announced(pad, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pad.clear()
    assert announced(pad) == "The pad is empty."
    pad._finish()
    assert announced(pad) == "Draw a digit."
    pad.draw([[(10, 10), (50, 50)], [(60, 10), (60, 90)]])
    pad.undo()
    assert announced(pad) == pad._describe_prediction()
    pad.undo()
    assert announced(pad) == "The pad is empty."
    pad.correction_buttons[3].click()
    assert announced(pad) == "There is nothing to learn: draw a digit first."
    pad.draw(DRAWINGS[0])
    sure = pad_module._percent(pad.probabilities.max())
    assert announced(pad) == f"It reads a 0, {sure} sure."
    before = pad._count_correct_digits()
    pad.correction_buttons[8].click()
    after, sure_of_8 = pad._count_correct_digits(), pad_module._percent(pad.probabilities.max())
    assert re.fullmatch(
        rf"Learned in \d+\.\d s\. This drawing is now read as an 8 \({sure_of_8}\), before as a 0 \({sure}\)\. "
        r"Of your drawings it reads 1 of 1 correctly\. "
        rf"Of 300 digits by other people it reads {after} correctly, before the first correction {before}\.",
        announced(pad),
    )
    pad.save_button.click()
    assert announced(pad) == ("Saved. To draw with it again: cnnlib.DigitPad(cnnlib.Network.load('my-model.npz'))")
    pad.undo_correction_button.click()
    assert announced(pad) == (
        "The network is as it was before the first correction. "
        f"This drawing is now read as a 0 ({sure}), before as an 8 ({sure_of_8})."
    )
    assert pad.undo_correction_button.disabled and pad.save_button.disabled
    pad.clear()
    pad.undo_correction_button.click()
    pad._apply_corrections([])
    assert announced(pad) == "The network is as it was before the first correction."
    pad.path_field.value = "my-model.npz/x.npz"
    pad._save_clicked()
    assert announced(pad).startswith("It could not be saved: ")


def test_bars_by_hand():
    p = np.array([0.05, 0.9, 0.05])
    row = '<tr{}><th scope="row">{}</th><td class="track"><i style="width:{}%"></i></td><td>{}</td></tr>'
    rows = row.format("", 0, "5.0", "5%") + row.format(" class=top", 1, "90.0", "90%") + row.format("", 2, "5.0", "5%")
    page = '<div><p class="answer">{}</p><table class="cnnlib-bars">{}</table></div>'
    plain = rows.replace(" class=top", "")
    assert pad_module._bars(p, 1, True) == page.format("1 <small>90% sure</small>", rows)
    assert pad_module._bars(p, 1, False) == page.format("? <small>no digit</small>", plain)
    assert pad_module._bars(p, None, True) == page.format("?", plain)
    assert pad_module._bars(p, 1, True, "21 <small>") == page.format("21 <small>", rows)


def shown(html):
    """The picture in the HTML of a figure."""
    data = re.search(r'src="data:image/png;base64,([^"]+)"', html).group(1)
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


def test_figures_by_hand():
    image = np.array([[0, 0.5, 1], [0.25, 0, 0]])
    html = pad_module._figure(image, "what it is", 140)
    start, end = html.split(html[html.index("iVBOR") : html.index('" width')])
    assert start == '<figure><img src="data:image/png;base64,'
    assert end == '" width="140" alt="what it is"><figcaption>what it is</figcaption></figure>'
    assert shown(html).tolist() == [[0, 128, 255], [64, 0, 0]]
    large = shown(pad_module._figure(np.zeros((6, 7)), "", 1, (3, 2)))
    expected = np.zeros((24, 28, 3))
    expected[9:11, 8:20] = expected[4:16, 13:15] = (255, 140, 0)  # four pixels for one, and its centre at 3.5, 2.5
    assert large.tolist() == expected.tolist()


def test_a_montage_by_hand():
    maps = np.arange(3 * 2 * 2).reshape(3, 2, 2)
    sheet = pad_module._montage(maps, 2)
    expected = np.full((5, 5), 0.35)
    expected[:2, :2], expected[:2, 3:], expected[3:, :2] = maps / 11
    np.testing.assert_allclose(sheet, expected, rtol=1e-6)
    assert pad_module._montage(np.zeros((2, 3, 4))).shape == (3, 9) and pad_module._montage(
        np.zeros((9, 1, 1))
    ).shape == (3, 15)
    assert not pad_module._montage(np.zeros((1, 3, 4))).any()


def test_the_steps_by_hand(pad):
    pad.steps_toggle.value = True
    pad.draw([[(100, 50), (100, 150), (160, 150)], [(130, 100)]])
    html = pad.details.value
    assert html.startswith(
        '<div class="cnnlib-result"><figure><svg viewBox="0 0 280 280" width="112" height="112" role="img" '
        'aria-label="The drawing with the box around its ink." style="background:#ffffff">'
        '<g fill="none" stroke="#1a1a1a" stroke-width="17.5" stroke-linecap="round">'
        '<polyline points="100,50 100,150 160,150"/><polyline points="130,100 130,100"/></g>'
        '<rect x="100" y="50" width="60" height="100" fill="none" stroke="#d55e00" stroke-width="5"/></svg>'
        "<figcaption>1. crop to the ink</figcaption></figure>"
    )
    captions = ["2. longer side 20 pixels; + is the centre of mass", "3. centre of mass to (14, 14)"]
    assert re.findall('width="112" alt="([^"]+)"', html) == captions
    boxed = centre_by_box([np.array(stroke) for stroke in pad.strokes])
    centre = [boxed.sum(axis=axis) @ np.arange(28) / boxed.sum() for axis in (0, 1)]
    wanted = [
        pad_module._figure(boxed, captions[0], 112, centre),
        pad_module._figure(pad.image, captions[1], 112, (14, 14)),
    ]
    assert html.endswith("".join(wanted) + "</div>")


def test_the_feature_maps_by_hand(pad):
    pad.maps_toggle.value = True
    pad.draw(DRAWINGS[0])
    html = pad.details.value
    captions = [f"{count} feature maps of {size} x {size}, after ReLU" for count, size in ((6, 28), (16, 10))]
    assert html.startswith('<div class="cnnlib-result"><figure><img') and html.endswith("</figure></div>")
    assert re.findall('width="([0-9]+)" alt="([^"]+)"', html) == [("346", captions[0]), ("348", captions[1])]
    y = cnnlib.load_pretrained()[:2].predict(pad.image[np.newaxis])[0]
    expected = np.round(255 * pad_module._montage(y))
    first = shown(html)
    np.testing.assert_allclose(first.astype(int), expected, atol=1)


def test_errors_of_teaching_word_by_word(pad):
    with pytest.raises(ValueError, match="^expected a digit from 0 to 9, got 10$"):
        pad.fine_tune(10)
    with pytest.raises(ValueError, match="^there is nothing to learn: draw a digit first$"):
        pad.fine_tune(3)
    pad.draw(beside(8, 0))
    with pytest.raises(ValueError, match="^there are several digits: draw the one to learn alone$"):
        pad.fine_tune(3)
