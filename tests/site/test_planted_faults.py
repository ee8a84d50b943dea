"""Would the tests of a live figure notice a fault in it? Here each figure gets some, one at a time, and must fail.

A fault is a change of one line, in the figure's own script or in the engine below it: a sign, an index, a factor, `=`
for `+=`. The page is served with it, and the test that compares the figure with `cnnlib` runs, with its arguments.
"""

import functools
import importlib.util
import inspect
from pathlib import Path

import pytest
from playwright.sync_api import Error

import cnnlib

HERE = Path(__file__).resolve().parent
ENGINE = "cnnlib"


@functools.cache
def suite_of(figure: str):
    """The module of a figure's tests."""
    name = f"test_figure_{figure.replace('-', '_')}"
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# Figure, the test that must fail and its arguments, script ("" is the figure's own), what is replaced, by what.
NUMBERS = "test_every_setting_shows_the_library_s_numbers"
NUMBER = "test_every_number_is_the_library_s"
EVERY_PLACE = "test_every_place_of_every_shape_shows_the_library_s_numbers"
EVERY_ENTRY = "test_every_entry_shows_the_library_s_numbers"
SLIDERS = "test_sliders_show_the_library_s_numbers"
ONE_BY_ONE = "test_the_right_numbers_are_given_one_by_one"
TWO_BATCHES = "test_two_batches_in_four_presses_each"
SINGLE_STEPS = "test_every_number_of_single_steps"
EVERY_PEN = "test_every_digit_size_and_pen"
ADVERSARIAL = "test_values_gradients_and_the_adversarial_step"
FORGETS = "test_without_replay_it_forgets"
ORDERS = "test_every_order_and_rule"
PIECES = "test_every_piece_shows_what_is_counted"
ONE_IMAGE = {"peak": 100, "bandwidth": 25, "batch": 1}
MANY_SETTINGS = "test_every_number_in_many_settings"
SCORES = "test_scores_temperatures_and_shifts"
FAULTS = [
    ("neuron", SLIDERS, [], "", "[[next[0]], [next[1]]]", "[[next[1]], [next[0]]]"),
    ("neuron", SLIDERS, [], ENGINE, "value * y[k] * (1 - y[k])", "value * y[k]"),
    (
        "neuron",
        "test_steps_are_those_of_the_library",
        [0.3],
        "",
        "learning_rate: rate.value",
        "learning_rate: -rate.value",
    ),
    (
        "neuron",
        "test_the_loss_over_a_parameter_is_the_library_s",
        [],
        "",
        "neurons.map((neuron) => neuron[2])",
        "neurons.map((neuron) => -neuron[2])",
    ),
    ("chain-rule", NUMBER, [], "", "slopes[from] += slope", "slopes[from] = slope"),
    ("chain-rule", NUMBER, [], "", "arrive(now.layers, end, slopes[end])", "arrive(now.layers, end, 1)"),
    (
        "chain-rule",
        NUMBER,
        [],
        "",
        "map(([from, to]) => local[from + to]).reduce((a, b) => a * b, 1)",
        "map(([from, to]) => local[from + to]).reduce((a, b) => a + b, 1)",
    ),
    (
        "dense",
        EVERY_ENTRY,
        [2],
        ENGINE,
        "add_matmul(matrix(dy), matrix(this.W).T, matrix(dx))",
        "add_matmul(matrix(dy), matrix(this.W), matrix(dx))",
    ),
    ("dense", EVERY_ENTRY, [3], ENGINE, "(k) => dy.data[k + m]", "(k) => dy.data[m]"),
    (
        "dense",
        EVERY_ENTRY,
        [3],
        "",
        'dx: () => all.dy[i].map((_, m) => [["dy", i, m], ["W", j, m]])',
        'dx: () => all.dy[i].map((_, m) => [["dy", i, m], ["W", m, j]])',
    ),
    (
        "relu-bends",
        "test_numbers_typed_for_every_target",
        [],
        "",
        "[...hidden.db.data].map((value) => -value)",
        "[...hidden.db.data]",
    ),
    (
        "relu-bends",
        "test_the_curve_is_the_network_s",
        [],
        "",
        "Array.from(bias, (b) => -b)",
        "Array.from(bias, (b) => b)",
    ),
    (
        "relu-bends",
        "test_descent_takes_the_library_s_steps",
        [True],
        "",
        "optimizer.step([[hidden.b, hidden.db], ",
        "optimizer.step([",
    ),
    ("signal", NUMBERS, ["ReLU", cnnlib.ReLU], "", "values[k] * values[k]", "values[k]"),
    ("signal", "test_the_answers_of_the_text", [], "", "times * made.initial[place]", "made.initial[place]"),
    ("softmax", SCORES, [], "", "(value + shift.value) / tau.value", "(value + shift.value) * tau.value"),
    ("softmax", SCORES, [], ENGINE, "y.data[k] * (dy.data[k] - mean)", "y.data[k] * (dy.data[k] + mean)"),
    (
        "softmax",
        "test_entries_and_dy_by_keyboard_mouse_and_touch",
        [False],
        "",
        "number(J[i][j])}`",
        "number(J[j][i] * 2)}`",
    ),
    ("convolution", NUMBERS, [], "", "const q = r * h + s;", "const q = s * h + r;"),
    ("convolution", NUMBERS, [], "", "sum + pixel * row[c][k], 0", "pixel * row[c][k], 0"),
    ("convolution", NUMBERS, [], ENGINE, "steps(w, stride, steps(h, stride * W))", "steps(w, 1, steps(h, stride * W))"),
    ("convolution", NUMBERS, [], ENGINE, "data.fill(this.b.data[f], ", "data.fill(0, "),
    ("convolution-backward", NUMBERS, [3], ENGINE, "(x.data[pixel] += cols", "(x.data[pixel] = cols"),
    (
        "convolution-backward",
        NUMBERS,
        [3],
        "",
        "upper.flat().map((value) => weight * value)",
        "upper.flat().map((value) => weight + value)",
    ),
    ("convolution-backward", NUMBERS, [2], ENGINE, "add_matmul(dy_n, cols.T, matrix(this.dW));", "matrix(this.dW);"),
    ("your-gradient", ONE_BY_ONE, ["dx"], ENGINE, "store(dx.data, n);", "store(dx.data, 0);"),
    ("max-pooling", NUMBERS, [], ENGINE, "values[at] > values[best]", "values[at] < values[best]"),
    ("max-pooling", NUMBERS, [], ENGINE, "(dx.data[from] += dy.data[k])", "(dx.data[from] = dy.data[k])"),
    ("max-pooling", NUMBERS, [], "", "cnnlib.MaxPooling(size.value, stride.value)", "cnnlib.MaxPooling(size.value)"),
    ("flatten", EVERY_PLACE, [(2, 3, 2)], "", "(c * shape[1] + r) * shape[2] + s", "(c * shape[2] + r) * shape[1] + s"),
    (
        "flatten",
        EVERY_PLACE,
        [(2, 3, 2)],
        "",
        "Math.floor(d / shape[2]) % shape[1]",
        "Math.floor(d / shape[1]) % shape[1]",
    ),
    (
        "losses",
        NUMBERS,
        [],
        ENGINE,
        "(dz.data[k] * weight - t.data[k]) / count(z)",
        "(t.data[k] - dz.data[k]) / count(z)",
    ),
    ("losses", NUMBERS, [], ENGINE, "(2 * (value - t.data[k])) / y.data.length", "(value - t.data[k]) / y.data.length"),
    ("losses", NUMBERS, [], "", "N * slopes[n * M + moved]", "slopes[n * M + moved]"),
    ("descent", NUMBER, [], "", "2 * (1 + momentum.value) / each", "2 / each"),
    ("descent", NUMBER, [], ENGINE, "this.momentum * velocity[k] - learning_rate", "velocity[k] - learning_rate"),
    ("training-step", TWO_BATCHES, [], "", "[first.b, first.db], ", ""),
    ("training-step", TWO_BATCHES, [], ENGINE, "values[k] > 0 ? from[k] : 0", "from[k]"),
    (
        "mnist-frame",
        EVERY_PEN,
        [],
        "digits",
        "value + clip(MIDDLE - centre[axis]",
        "value - clip(MIDDLE - centre[axis]",
    ),
    ("mnist-frame", EVERY_PEN, [], "digits", "pen / 2 - sqrt(distance) + 0.5", "pen / 2 - sqrt(distance)"),
    ("training", SINGLE_STEPS, [], "digits", "sum[k] += share * data[k]", "sum[k] += data[k]"),
    ("training", SINGLE_STEPS, [], "", "optimizer.learning_rate = message.learning_rate;", ""),
    ("looking-inside", ADVERSARIAL, [], "", "epsilon.value * Math.sign(dx[k])", "epsilon.value * dx[k]"),
    (
        "looking-inside",
        ADVERSARIAL,
        [],
        "",
        "found.unshift(layer.backward(found[0]))",
        "found.unshift(layer.backward(dz))",
    ),
    (
        "looking-inside",
        "test_turn_shift_and_noise",
        [],
        "",
        "cos * (r - MIDDLE) + sin * (s - MIDDLE)",
        "cos * (r - MIDDLE) - sin * (s - MIDDLE)",
    ),
    (
        "looking-inside",
        "test_what_made_a_value",
        [3],
        "",
        "channels + c) * K + i) * K + j",
        "channels + c) * K + j) * K + i",
    ),
    ("autograd", ORDERS, ["add", "complete"], "", "slopes[parents[k]] + share : share", "share : share"),
    ("autograd", ORDERS, ["add", "once"], "", "slopes: () => [1, -1]", "slopes: () => [1, 1]"),
    ("autograd", ORDERS, ["add", "complete"], "", "slopes: (w, x) => [x, w]", "slopes: (w, x) => [w, x]"),
    ("roofline", PIECES, ["columns", ONE_IMAGE], "", "piece.numbers * batch.value + piece.constant", "piece.numbers"),
    ("roofline", PIECES, ["fused", ONE_IMAGE], "", "const bytes = 4 *", "const bytes = 8 *"),
    ("roofline", PIECES, ["separate", ONE_IMAGE], "", "if (moving > computing) all.waiting", "if (moving) all.waiting"),
    ("roofline", "test_the_ladder_is_the_reference_run", [], "", "operations / seconds", "data.peak / seconds"),
    ("roofline", "test_points_lie_on_the_roofline", [], "", "up(operations / least / 1e9)", "up(peak.value)"),
    ("more-machines", MANY_SETTINGS, ["ring"], "", "* (P - 1) / P;", "* (P - 1);"),
    ("more-machines", MANY_SETTINGS, ["halves"], "", "Math.ceil(Math.log2(P))", "P"),
    (
        "more-machines",
        MANY_SETTINGS,
        ["halves"],
        "",
        "data.per_image * batch.value / P",
        "data.per_image * batch.value",
    ),
    ("more-machines", "test_widths_are_times", [], "", "x + part * width, 418", "x + size * width, 418"),
    ("fine-tuning", FORGETS, [], "", "data.set(parameters[k])", "data.set(parameters[k].map((p) => -p))"),
    ("fine-tuning", FORGETS, [], "", "count / counts[digit]", "count / total"),
    ("fine-tuning", FORGETS, [], "", "number(next[digit], 2)", "number(old[digit], 2)"),
    ("fine-tuning", FORGETS, [], "", "labels: all.map((lesson) => lesson.label)", "labels: all.map(() => 0)"),
    ("fine-tuning", FORGETS, [], "digits", "max(MIN_MIX, 1 - 1 / images.length)", "1"),
    ("batch-normalization", "test_modes_and_sliders", [], "", "-g * dbeta / m", "-g * dbeta"),
    (
        "batch-normalization",
        "test_modes_and_sliders",
        [],
        ENGINE,
        "(dbeta[c] + x_hat[k] * dgamma[c]) / m",
        "dbeta[c] / m",
    ),
    ("overfitting", "test_it_trains_as_the_library_does", [1], "", "weight_decay: +decay.value", "weight_decay: 0"),
    (
        "overfitting",
        "test_dropout_is_for_training_only",
        [],
        "",
        "set_training(network, false, ",
        "set_training(network, true, ",
    ),
    ("transfer", "test_it_trains_as_the_library_does", [10, 1, False], "", "[n]]-- > 0", "[n]] > 0"),
    (
        "transfer",
        "test_it_trains_as_the_library_does",
        [10, 1, False],
        "",
        "(value) => value * scale",
        "(value) => value",
    ),
    (
        "detection",
        "test_the_scene_and_its_boxes",
        [],
        "",
        "cell % 8].map((value) => CELL",
        "cell % 8].map((value) => 2 + CELL",
    ),
    ("detection", "test_the_scene_and_its_boxes", [], "", "p / (1 + Math.exp(-z[0]))", "p / (1 + Math.exp(z[0]))"),
    (
        "segmentation",
        "test_the_probability_of_a_class",
        [],
        "",
        "score(label) - score(best)) / sum",
        "score(label) - score(best))",
    ),
    ("generation", "test_digits_of_every_class", [], "", "without.data[k] + guidance", "without.data[k] - guidance"),
    ("generation", "test_digits_of_every_class", [], "", "(value + next.data[j]) / 2", "value"),
]


@pytest.mark.parametrize(
    ("figure", "test", "arguments", "script", "old", "new"), FAULTS, ids=[f"{f[0]}-{k}" for k, f in enumerate(FAULTS)]
)
def test_it_is_noticed(open_figure, request, figure, test, arguments, script, old, new):
    suite = suite_of(figure)
    function = getattr(suite, test)
    rest = iter(arguments)
    given = {}
    for name in inspect.signature(function).parameters:
        fixture = name in ("open_figure", "network", "mulberry", "monkeypatch")
        own = name == "network" and hasattr(suite, "page_network")
        given[name] = suite.page_network() if own else request.getfixturevalue(name) if fixture else next(rest)
    open_figure.faults[script or f"figures/{figure}"] = (old, new)
    with pytest.raises((AssertionError, Error)):
        function(**given)


def test_every_figure_has_faults(markup):
    assert {name for _, name in markup} == {fault[0] for fault in FAULTS}
