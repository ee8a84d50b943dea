"""Chapter 23: what it counts and draws is true; the checks accept right answers, and name what is wrong with others."""

import math

import matplotlib.pyplot as plt
import numpy as np
import pytest

import cnnlib
from cnnbook import where_the_time_goes as chapter
from cnnbook.checking import WrongAnswer
from cnnlib.layers.fused_convolution import FusedConvolution


@pytest.fixture(scope="module")
def network():
    return cnnlib.lenet5(np.random.default_rng(0))


def texts(axis) -> list[str]:
    return [text.get_text() for text in axis.texts]


# The rungs


def test_all_rungs_compute_the_same(network):
    rng = np.random.default_rng(1)
    x, dy = rng.random((1, 1, 28, 28), dtype=np.float32), rng.standard_normal((1, 10), dtype=np.float32)
    gradients = [chapter.step(each, x, dy) for each in chapter.rungs(network).values()]
    assert len(gradients) == 4
    assert all(chapter.same_gradients(each, gradients[2]) for each in gradients)
    gradients[0][3] = gradients[0][3] + 1
    assert not chapter.same_gradients(gradients[0], gradients[2])


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_the_gradients_of_the_batch_first_layer(padding):
    layer = chapter.BatchFirst(2, 3, 3, padding=padding, rng=0).astype(np.float64)
    x = np.random.default_rng(2).standard_normal((2, 2, 6, 5))
    assert max(cnnlib.gradient_check(layer, x).values()) < 1e-7


# What is counted


def test_products_and_operations(network):
    products = chapter.products_of(network)
    assert list(products.values()) == [117_600, 240_000, 48_000, 10_080, 840]
    assert chapter.operations_of(network, "loops") == 2 * (3 * 416_520 - 117_600)
    wider = 1.2 * np.array([117_600, 240_000])
    assert chapter.operations_of(network, "fused") == 2 * (3 * (sum(wider) + 58_920) - wider[0])


@pytest.mark.parametrize("way", chapter.LABELS)
def test_pieces_have_the_operations_and_the_numbers_of_the_layers(network, way):
    """Run the layers, and count what they hold."""
    pieces = {work.name: work for work in chapter.work_of(network, way)}
    parameters = sum(array.size for array in network.parameters().values())
    assert sum(work.constant for work in pieces.values()) == parameters
    products = chapter.products_of(network)
    for index in (1, 2, 3):
        assert pieces[f"dense {index}"].operations == 2 * products[f"dense {index}"]
    if way == "fused":
        fused = network.fused()
        x = np.zeros((1, 1, 28, 28), np.float32)
        for index in (0, 1):
            y = fused[index].forward(x)
            assert isinstance(fused[index], FusedConvolution)
            work = pieces[f"fused {index + 1}"]
            assert work.numbers == x.size + y.size
            rows, columns, wide = fused[index].cols.shape
            kernels = 2 * len(fused[index].W)
            assert work.operations == 2 * rows * kernels * columns * wide + 5 * y.size
            x = y
        return
    x, position = np.zeros((1, 1, 28, 28), np.float32), 0
    names = list(pieces)
    for layer in network.layers[:-1]:
        y = layer.forward(x)
        if isinstance(layer, cnnlib.Convolutional) and way == "columns":
            assert pieces[names[position]].operations == 0
            assert pieces[names[position]].numbers == x.size + layer.cols.size
            position += 1
            assert pieces[names[position]].numbers == layer.cols.size + y.size
            assert pieces[names[position]].operations == 2 * len(layer.W) * layer.cols.size
        elif not isinstance(layer, cnnlib.Flatten):
            assert pieces[names[position]].numbers == x.size + y.size
        position += not isinstance(layer, cnnlib.Flatten)
        x = y
    assert position == len(names)


def test_bounds():
    work = chapter.Work("w", operations=100, numbers=10, constant=30)
    bound = chapter.bound_of(work, 2, peak=50, bandwidth=20)
    assert bound == {"operations": 200, "bytes": 200, "intensity": 1, "computing": 4, "moving": 10}


# The reference run


def test_the_text_about_the_reference_run_is_true():
    """What the chapter asserts in its cells, so that a new run that denies it does not pass unseen."""
    stored = chapter.reference()
    times = list(chapter.epochs(stored).values())
    assert times == sorted(times, reverse=True) and times[0] > 1000 * times[-1]
    assert list(stored["an image"]) == ["loops", "im2col, batch first", "im2col, batch last", "fused"]
    assert 3 * stored["lines"]["every 16th"] > stored["lines"]["all numbers"]
    assert stored["order"]["im2col, batch first"] > stored["order"]["im2col, batch last"]
    profile = list(stored["profile"].values())
    assert sum(profile[:2]) > sum(profile) / 2
    bench = chapter.reference("bench")
    for what in bench["timed"]:
        assert bench["best"][what]["cnnlib, 1 thread"] < bench["best"][what]["PyTorch, 1 thread"]


def test_both_columns_are_labelled(capsys):
    chapter.beside({"loops": 86.4, "fused": 0.5}, {"fused": 2000.0, "loops": 1.0})
    lines = capsys.readouterr().out.splitlines()
    assert " ".join(lines[0].split()) == "reference run this machine, now"
    assert lines[1].split() == ["loops", "86", "s", "1.00", "s"]
    assert lines[2].split() == ["fused", "0.50", "s", "2,000", "s"]


def test_measurements_are_positive(network, monkeypatch):
    monkeypatch.setattr(chapter, "seconds", lambda work, repeat=5: (work(), 0.5)[1])
    x = np.random.default_rng(0).random((2, 1, 28, 28), dtype=np.float32)
    dy = np.ones((2, 10), np.float32)
    fused = chapter.rungs(network)["fused"]
    assert set(chapter.measure_profile(fused, x, dy).values()) == {1.0}
    assert chapter.measure_machine() == {"peak": 4 * 512**3, "bandwidth": 4 * 64_000_000}
    assert set(chapter.measure_order().values()) == set(chapter.measure_lines().values()) == {0.5}
    points = chapter.measure_points()
    assert points["large product"] == (pytest.approx(512 / 6), 4 * 512**3)
    assert points["addition"] == (1 / 12, 16_000_000)


# The simulated machine


def test_a_quiet_machine_takes_the_time_of_the_work():
    machine = chapter.Machine(seed=0, drift=0)
    work = machine.work("A", 2.0)
    times = []
    for _ in range(200):
        start = machine.clock()
        work()
        times.append(machine.clock() - start)
    assert times[0] >= 12 and min(times[1:]) == pytest.approx(2)
    slow = sum(took > 2.001 for took in times[1:])
    assert 20 < slow < 60
    assert machine.calls == ["A"] * 200


def test_it_slows_down():
    machine = chapter.Machine(seed=0, drift=0.01)
    work, times = machine.work("A", 1.0), []
    for _ in range(101):
        start = machine.clock()
        work()
        times.append(machine.clock() - start)
    assert min(times[1:21]) < 1.2 and min(times[-20:]) > 1.8


# Figures


def test_the_bars_are_the_operations(network):
    products = chapter.products_of(network)
    chapter.draw_operations(products)
    widths = [[bar.get_width() for bar in bars] for bars in plt.gca().containers]
    total = 2e-6 * (3 * sum(products.values()) - products["convolution 1"])
    assert np.sum(widths) == pytest.approx(total)
    assert widths[2][0] == 0 and widths[0][1] == pytest.approx(0.48)


def test_both_orders_hold_the_same_and_copy_the_same():
    chapter.draw_orders()
    orders = [texts(axis) for axis in plt.gcf().axes]
    names = np.array(orders[0]).reshape(3, 1, 1, 4)
    assert names[2, 0, 0, 1] == "2,1"
    assert orders[1] == names.transpose(1, 2, 3, 0).ravel().tolist()
    runs = []
    for axis in plt.gcf().axes:
        coloured = "".join("x" if patch.get_facecolor()[:3] != (1, 1, 1) else " " for patch in axis.patches)
        runs.append([len(run) for run in coloured.split()])
    assert runs == [[3, 3, 3], [9]]


def test_the_roofline_bends_where_both_limits_meet():
    machine = {"peak": 1e11, "bandwidth": 5e10, "points": {"slow": (0.1, 1e9), "fast": (10, 5e10)}}
    chapter.draw_roofline(machine, machine | {"peak": 2e11})
    tops = []
    for axis in plt.gcf().axes:
        line, *points = axis.lines
        tops.append(line.get_ydata().max())
        assert [point.get_ydata()[0] for point in points] == pytest.approx([1, 50])
    assert tops == pytest.approx([100, 200])
    plt.gcf().canvas.draw()


def test_pieces_lie_on_the_roofline(network):
    stored = {"peak": 1e11, "bandwidth": 2.5e10}
    chapter.draw_pieces(network, stored)
    _, *kinds = plt.gca().lines
    assert [len(line.get_xdata()) for line in kinds] == [2, 3, 4, 2]
    for line in kinds:
        np.testing.assert_allclose(line.get_ydata(), np.minimum(100, 25 * np.array(line.get_xdata())))


def test_the_ladder_says_how_long_each_rung_takes():
    chapter.draw_ladder({"loops": 72_000.0, "fused": 2.5}, {"loops": 36_000.0, "fused": 3.0}, (1.0, 1.5))
    assert [texts(axis) for axis in plt.gcf().axes] == [["20 hours", "2.5 s"], ["10 hours", "3.0 s"]]
    assert [axis.get_title() for axis in plt.gcf().axes] == ["reference run", "this machine, now"]
    plt.gcf().canvas.draw()


def test_turns_are_drawn_in_the_order_of_the_calls():
    times = {"A": [1.0, 2.0], "B": [3.0, 4.0]}
    chapter.draw_turns(times, times)
    left, right = plt.gcf().axes
    assert [list(line.get_xdata()) for line in left.lines] == [[0, 1], [2, 3]]
    assert [list(line.get_xdata()) for line in right.lines] == [[0, 2], [1, 3]]


# The checks of the exercises


def intensity(m, k, n):
    return 2 * m * k * n / (4 * (m * k + k * n + m * n))


def images(D, M, peak, bandwidth, *, terms=2, size=4, read=1, up=math.ceil, never=None):
    ridge = peak / bandwidth
    gain = terms * D * M - size * ridge * (D + M) * read
    return never if gain <= 0 else up(size * ridge * (D * M + M) / gain)


def threads(one, two, n, half=2):
    s = half * (1 - two / one)
    return one * (1 - s + s / n)


def timed(work, clock):
    start = clock()
    work()
    return clock() - start


def by_turns(a, b, clock):
    pairs = [(timed(a, clock), timed(b, clock)) for _ in range(31)][1:]
    return np.median([after / before for before, after in pairs])


def best_of_turns(a, b, clock):
    pairs = np.array([(timed(a, clock), timed(b, clock)) for _ in range(20)])
    return pairs[:, 1].min() / pairs[:, 0].min()


def there_and_back(a, b, clock):
    found = []
    for _ in range(20):
        first, second, third, fourth = (timed(work, clock) for work in (a, b, b, a))
        found.append((second + third) / (first + fourth))
    return np.median(found)


def means_of_turns(a, b, clock):
    pairs = np.array([(timed(a, clock), timed(b, clock)) for _ in range(20)])
    return pairs[:, 1].mean() / pairs[:, 0].mean()


def all_of_one(a, b, clock):
    return min([timed(b, clock) for _ in range(20)][::-1]) / min(timed(a, clock) for _ in range(20))


def tiles(n, b, *, read=2.0, written=1.0, size=4, terms=2):
    return terms * n**3 / (size * (read * n**3 / b + written * n**2))


RIGHT = [
    (chapter.check_flop, 1_440_000),
    (chapter.check_flop, np.float32(1.44e6)),
    (chapter.check_intensity, intensity),
    (chapter.check_images, images),
    (chapter.check_images, lambda *given: (found := images(*given)) and np.float64(found)),
    (chapter.check_threads, threads),
    (chapter.check_threads, lambda one, two, n: 2 * two - one + 2 * (one - two) / n),
    (chapter.check_ratio, by_turns),
    (chapter.check_ratio, best_of_turns),
    (chapter.check_ratio, there_and_back),
    (chapter.check_tiles, tiles),
    (chapter.check_tiles, lambda n, b: 1 / (4 / b + 2 / n)),
]

WRONG = [
    (chapter.check_flop, 480_000, "forward pass alone"),
    (chapter.check_flop, 720_000, "addition"),
    (chapter.check_flop, 960_000, "not the first"),
    (chapter.check_flop, 240_000, "more to a training step"),
    (chapter.check_flop, 6 * 16 * 14 * 14 * 150, "without padding"),
    (chapter.check_flop, 1_440_000 * 64, "Three times"),
    (chapter.check_flop, 1_500_000, "Three times"),
    (chapter.check_flop, None, "expected numbers"),
    (chapter.check_intensity, lambda m, k, n: 4 * intensity(m, k, n), "4 bytes"),
    (chapter.check_intensity, lambda m, k, n: intensity(m, k, n) / 2, "two operations"),
    (chapter.check_intensity, lambda m, k, n: m * k * n / (2 * (m * k + k * n)), "written"),
    (chapter.check_intensity, lambda m, k, n: 1 / intensity(m, k, n), "bytes for each operation|operations / bytes"),
    (chapter.check_intensity, lambda m, k, n: (m * k + k * n + m * n) * 2 / (m * k * n), "bytes for each operation"),
    (chapter.check_intensity, lambda m, k, n: m * k * n, "operations / bytes"),
    (chapter.check_intensity, lambda m, k, n: None, "expected numbers"),
    (chapter.check_intensity, lambda m, k: 1, "stops with TypeError"),
    (chapter.check_images, lambda *given: images(*given, up=math.floor), "round up"),
    (chapter.check_images, lambda *given: images(*given, up=lambda value: value), "whole number"),
    (chapter.check_images, lambda *given: images(*given, terms=1), "two operations"),
    (chapter.check_images, lambda *given: images(*given, size=8), "has 4 bytes"),
    (chapter.check_images, lambda *given: images(*given, read=0), "each image is read|no batch"),
    (chapter.check_images, lambda *given: images(*given, never=0), "return None"),
    (chapter.check_images, lambda *given: None, "there is such a batch"),
    (chapter.check_images, lambda D, M, peak, bandwidth: images(D, M, bandwidth, peak), "compare the intensity"),
    (chapter.check_threads, lambda one, two, n: one / n, "stays on one thread"),
    (chapter.check_threads, lambda one, two, n: 2 * (1 - two / one), "the share s"),
    (chapter.check_threads, lambda one, two, n: one / threads(one, two, n), "the speedup"),
    (chapter.check_threads, lambda one, two, n: threads(one, two, n, half=1), "s / 2"),
    (chapter.check_threads, lambda one, two, n: one - (one - two) * (n - 1), "solve equation"),
    (chapter.check_threads, lambda one, two, n: 2 * two - one, "endless"),
    (chapter.check_threads, lambda one, two, n: 2 * two / n, "once more"),
    (chapter.check_threads, lambda one, two, n: two, "solve equation"),
    (chapter.check_ratio, lambda a, b, clock: timed(b, clock) / timed(a, clock), "few calls"),
    (chapter.check_ratio, lambda a, b, clock: 1.25, "call both"),
    (chapter.check_ratio, all_of_one, "Take turns"),
    (chapter.check_ratio, means_of_turns, "A mean keeps"),
    (chapter.check_ratio, lambda a, b, clock: 1 / by_turns(a, b, clock), "other way round"),
    (chapter.check_ratio, lambda a, b, clock: by_turns(a, b, clock) - 1, "it says"),
    (chapter.check_ratio, lambda a, b, clock: by_turns(a, a, clock), "call both"),
    (chapter.check_ratio, lambda a, b: 1, "stops with TypeError"),
    (chapter.check_tiles, lambda n, b: tiles(n, b, read=1), "both factors"),
    (chapter.check_tiles, lambda n, b: tiles(n, b, written=0), "written, too"),
    (chapter.check_tiles, lambda n, b: tiles(n, b, read=4), "written once"),
    (chapter.check_tiles, lambda n, b: tiles(n, b * b), "b \\* b numbers"),
    (chapter.check_tiles, lambda n, b: tiles(n, 1), "used b times"),
    (chapter.check_tiles, lambda n, b: tiles(n, n), "do not fit"),
    (chapter.check_tiles, lambda n, b: tiles(n, b, size=1), "4 bytes"),
    (chapter.check_tiles, lambda n, b: tiles(n, b, terms=1), "an addition"),
    (chapter.check_tiles, lambda n, b: b / 4, "written, too"),
    (chapter.check_tiles, lambda n, b: n, "operations / bytes"),
]


@pytest.mark.parametrize(("function", "answer"), RIGHT)
def test_right_answers_pass(function, answer, capsys):
    function(answer)
    assert capsys.readouterr().out.startswith("Right.")


@pytest.mark.parametrize(("function", "answer", "message"), WRONG)
def test_wrong_answers_are_named(function, answer, message):
    with pytest.raises(WrongAnswer, match=message):
        function(answer)


def test_the_tiles_move_what_the_answer_says():
    """Multiply tile by tile, and count."""
    n, b, moved = 12, 3, 0
    A, B = np.random.default_rng(5).standard_normal((2, n, n))
    product = np.empty((n, n))
    for i in range(0, n, b):
        for j in range(0, n, b):
            tile = np.zeros((b, b))
            for k in range(0, n, b):
                tile += A[i : i + b, k : k + b] @ B[k : k + b, j : j + b]
                moved += 2 * b * b
            product[i : i + b, j : j + b] = tile
            moved += b * b
    np.testing.assert_allclose(product, A @ B)
    assert tiles(n, b) == pytest.approx(2 * n**3 / (4 * moved))


def test_the_images_that_are_enough_reach_the_roof():
    for D, M, ridge in ((400, 120, 4), (120, 84, 10)):
        found = images(D, M, ridge, 1)
        reached = [intensity_of_dense(D, M, N) >= ridge for N in (found - 1, found)]
        assert reached == [False, True]


def intensity_of_dense(D, M, N):
    return 2 * N * D * M / (4 * (N * D + D * M + M + N * M))
