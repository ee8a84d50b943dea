"""The notebook's pad, without a browser: its events are called as ipycanvas calls them."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import ipywidgets as widgets
import numpy as np
import pytest

import cnnlib
from cnnlib.digits import pad as pad_module
from cnnlib.digits.confidence import calibrate
from cnnlib.digits.pad import INTERVAL, DigitPad
from cnnlib.digits.sample_drawings import sample_drawings

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
    for _ in range(40):
        pad.example_button.click()
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
