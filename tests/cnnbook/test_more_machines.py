"""Chapter 24's model, engines and checks: right answers pass, and each wrong one is told what is wrong with it."""

import json
from fractions import Fraction
from importlib import resources

import numpy as np
import pytest

import cnnlib
from cnnbook import more_machines as chapter
from cnnbook.checking import WrongAnswer


def refused(check, *answer, message):
    with pytest.raises(WrongAnswer, match=message):
        check(*answer)


# The model


def test_the_size_is_that_of_the_gradients():
    assert cnnlib.lenet5().parameter_count + 2 == chapter.SIZE // 4


@pytest.mark.parametrize("P", [2, 4, 8, 64])
def test_an_allreduce_by_counting_messages(P):
    latency, bandwidth, size = 1e-3, 1e6, 1e5
    first = 2 * (P - 1) * (latency + size / bandwidth)
    ring = sum(latency + size / P / bandwidth for _ in range(2 * (P - 1)))
    halves, part = 0.0, size
    while part > 1.5 * size / P:
        part /= 2
        halves += 2 * (latency + part / bandwidth)
    for way, expected in zip(chapter.WAYS, (first, ring, halves), strict=True):
        assert chapter.allreduce_time(P, size, latency, bandwidth, way) == pytest.approx(expected)


def test_one_process_sends_nothing():
    assert [chapter.allreduce_time(1, 1e6, 1, 1, way) for way in chapter.WAYS] == [0, 0, 0]
    assert chapter.speedup(1, 512, **chapter.OFFICE) == 1


def test_the_stored_runs_have_all_settings():
    for N in (128, 512):
        rows = chapter.rows_of_hosts(N)
        assert [row[2] for row in rows] == [1, 2, 4] + [2, 4] * 3
        assert all(1 < measured / model < 1.6 for *_, measured, model in rows)
    found = chapter.stored("batches")["accuracies"]
    assert {way: list(row) for way, row in found.items()} == {
        way: ["64"] * (way == "the same rate") + ["256", "1024", "4096"] for way in found
    }


def test_without_mpi_the_stored_results_are_shown(monkeypatch):
    monkeypatch.setattr(chapter, "can_start", lambda: False)
    monkeypatch.setattr(chapter, "STORED", chapter.StoredEngines())
    engines, source = chapter.start_engines(2)
    assert source.startswith("stored")
    names = json.loads((resources.files("cnnbook") / "results" / "engines.json").read_text())
    assert set(names) == {"losses", "messages", "accuracy", "train"}

    def losses(together):
        raise AssertionError("stored results need no function")

    first, second = engines.run(losses, True)
    assert first == second and len(first) == 22
    engines.stop()


# The checks


@pytest.mark.parametrize("kind", [int, float, np.float32, np.array, Fraction, lambda value: [value]])
def test_by_hand_accepts_any_number(kind, capsys):
    chapter.check_by_hand(kind(5), kind(6))
    assert "Right" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((6, 5), "wrong places"),
        ((15, 6), "number of examples"),
        ((7.5, 6), "not by that of the processes"),
        ((6, 6), "counting both processes alike"),
        ((4, 6), "Weight each share"),
        ((5, 5), "equal weights"),
        ((5, 12), "the sum of both means"),
        ((5, 7), "and then the mean of both"),
        (("five", 6), "expected numbers"),
        ((np.nan, 6), "gradient = nan"),
    ],
)
def test_by_hand_refuses(answer, message):
    refused(chapter.check_by_hand, *answer, message=message)


SHARES = [
    (lambda N, rank, size: slice(N // size * rank, N // size * (rank + 1)), "belong to nobody"),
    (lambda N, rank, size: slice(rank, N, size), "first examples"),
    (lambda N, rank, size: slice(0, N), "two processes"),
    (lambda N, rank, size: slice(N * rank // size, N * (rank + 1) // size + 1), "two processes"),
    (lambda N, rank, size: slice(N // size * rank, N if rank == size - 1 else N // size * (rank + 1)), "all wait"),
    (lambda N, rank, size: range(N), "return a slice, not range"),
    (lambda N, rank: slice(N), "TypeError"),
    (lambda N, rank, size: None, "return a slice, not NoneType"),
    (lambda N, rank, size: slice(N * rank / size, N * (rank + 1) / size), "TypeError|integers"),
]


@pytest.mark.parametrize(("share", "message"), SHARES)
def test_share_refuses(share, message):
    refused(chapter.check_share, share, message=message)


def test_share_accepts(capsys):
    chapter.check_share(lambda N, rank, size: slice(N * rank // size, N * (rank + 1) // size))

    def first_ones_larger(N, rank, size):
        return slice(rank * (N // size) + min(rank, N % size), (rank + 1) * (N // size) + min(rank + 1, N % size))

    chapter.check_share(first_ones_larger)
    assert capsys.readouterr().out.count("Right") == 2


def weighted(parts, counts, weigh=lambda n, total, P: n / total):
    shares = [weigh(n, sum(counts), len(counts)) for n in counts]
    return {k: sum(w * p[k] for w, p in zip(shares, parts, strict=True)) for k in parts[0]}


def in_place(parts, counts):
    for name, array in parts[0].items():
        array *= counts[0] / sum(counts)
        for n, part in zip(counts[1:], parts[1:], strict=True):
            array += n / sum(counts) * part[name]
    return parts[0]


ADDED = [
    (lambda parts, counts: weighted(parts, counts, lambda n, total, P: 1), "needs its weight"),
    (lambda parts, counts: weighted(parts, counts, lambda n, total, P: 1 / P), "must not count alike"),
    (lambda parts, counts: weighted(parts, counts, lambda n, total, P: n), "add up to 1"),
    (lambda parts, counts: weighted(parts, counts, lambda n, total, P: n / total / P), "not right yet"),
    (lambda parts, counts: weighted(parts, counts[::-1]), "not right yet"),
    (lambda parts, counts: list(weighted(parts, counts).values()), "return a dictionary, not list"),
    (lambda parts, counts: {"W": weighted(parts, counts)["W"]}, "expected the names"),
    (lambda parts, counts: {k: v.sum() for k, v in weighted(parts, counts).items()}, "has the shape"),
    (in_place, "were changed"),
    (lambda parts, counts: parts[3], "IndexError"),
]


@pytest.mark.parametrize(("add_up", "message"), ADDED)
def test_add_up_refuses(add_up, message):
    refused(chapter.check_add_up, add_up, message=message)


def test_add_up_accepts(capsys):
    chapter.check_add_up(weighted)
    assert "Right" in capsys.readouterr().out


def best(time, most):
    P = min(range(1, most + 1), key=time)
    return P, time(P)


BEST = [
    (lambda time, most: (best(time, most)[0] - 1, 0), "counting begins at 1|not the fastest"),
    (lambda time, most: (max(range(1, most + 1), key=time), 0), "take longest"),
    (lambda time, most: (most, time(most)), "not the fastest|take longest"),
    (lambda time, most: best(time, most)[0], "a number of processes and its seconds"),
    (lambda time, most: (best(time, most)[0], time(1) / 1000), "second value"),
    (lambda time, most: best(time, most - 1), "itself is allowed"),
    (lambda time, most: best(time, most)[::-1], "not the fastest"),
    (lambda time, most: time[1], "TypeError"),
]


@pytest.mark.parametrize(("answer", "message"), BEST)
def test_best_refuses(answer, message):
    refused(chapter.check_best, answer, message=message)


def test_best_accepts(capsys):
    chapter.check_best(best)
    assert "Right" in capsys.readouterr().out


def schedule(start=1 / 8, fifth=0.2, wave_from=0.2, low=0.0, power=1):
    def warm_up(p):
        if p < fifth:
            return start + (1 - start) * (p / fifth) ** power
        return low + (1 - low) * cnnlib.cosine((p - wave_from) / (1 - wave_from))

    return warm_up


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (schedule(start=0), "would do nothing"),
        (schedule(start=1), "must be low"),
        (schedule(start=1 / 4), "begins at 1/8"),
        (schedule(power=2), "no straight line"),
        (schedule(low=0.1), "At the end|at the end"),
        (schedule(wave_from=0), "begin at 1"),
        (schedule(fifth=0.4, wave_from=0.4), "after a fifth|full rate"),
        (lambda p: schedule()(p) if p < 0.2 else (1 - p) / 0.8, "the wave"),
        (lambda p: None, "expected"),
        (lambda p: 1 / p, "ZeroDivisionError"),
    ],
)
def test_warm_up_refuses(answer, message):
    refused(chapter.check_warm_up, answer, message=message)


def test_warm_up_accepts(capsys):
    chapter.check_warm_up(schedule())
    assert "Right" in capsys.readouterr().out


def butterfly(arrays, partner=lambda i, k: i ^ 2**k, rounds=None):
    found = []
    for k in range(len(arrays).bit_length() - 1 if rounds is None else rounds(len(arrays))):
        arrays = [a + arrays[partner(i, k)] for i, a in enumerate(arrays)]
        found.append(arrays)
    return found


def one_after_the_other(arrays):
    arrays, found = list(arrays), []
    for k in range(len(arrays).bit_length() - 1):
        for i in range(len(arrays)):
            arrays[i] = arrays[i] + arrays[i ^ 2**k]
        found.append(list(arrays))
    return found


def adds_in_place(arrays):
    for array in arrays:
        array += 1
    return butterfly(arrays)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (one_after_the_other, "All read before any writes"),
        (adds_in_place, "were changed"),
        (lambda arrays: butterfly(arrays)[-1][0].sum(), "return a list of rounds"),
        (lambda arrays: butterfly(arrays)[:-1], "rounds, not"),
        (lambda arrays: butterfly(arrays, lambda i, k: i ^ 1), "is not right|no process"),
        (lambda arrays: butterfly(arrays, lambda i, k: i), "no process has"),
        (lambda arrays: butterfly(arrays, lambda i, k: (i + 1) % len(arrays), lambda P: P - 1), "ring|is not right"),
        (lambda arrays: [step[:1] for step in butterfly(arrays)], "has 1 arrays"),
        (lambda arrays: [[a.sum() for a in step] for step in butterfly(arrays)], "changed its shape"),
        (lambda arrays: arrays[99], "IndexError"),
    ],
)
def test_butterfly_refuses(answer, message):
    refused(chapter.check_butterfly, answer, message=message)


def test_butterfly_accepts(capsys):
    chapter.check_butterfly(butterfly)
    assert "Right" in capsys.readouterr().out
