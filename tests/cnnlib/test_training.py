"""The training loop, its callbacks, and what happens when numbers go wrong."""

import csv
import math

import numpy as np
import pytest

import cnnlib
from cnnlib.callbacks import HISTORY
from cnnlib.training import shuffled_batches


def blobs(N=60, seed=0):
    rng = np.random.default_rng(seed)
    t = rng.integers(0, 3, N)
    return (3 * np.eye(3)[t] + rng.standard_normal((N, 3))).astype(np.float32), t


def network(seed=0):
    rng = np.random.default_rng(seed)
    return cnnlib.Network(
        [cnnlib.Dense(3, 8, rng=rng), cnnlib.ReLU(), cnnlib.Dense(8, 3, rng=rng), cnnlib.Softmax()], (3,)
    )


def weights(net):
    return {name: array.copy() for name, array in net.parameters().items()}


def same(one, other):
    return all(np.array_equal(array, other[name]) for name, array in one.items())


class Spy(cnnlib.Callback):
    """Notes what it is called for, and the weights after every epoch."""

    def __init__(self):
        self.calls, self.weights = [], []

    def on_train_begin(self, run):
        self.calls.append("begin")

    def on_step_end(self, run):
        self.calls.append((run.epoch, run.step, run.batch_size, run.loss, run.accuracy))

    def on_epoch_end(self, run):
        self.calls.append(f"epoch {run.epoch}")
        self.weights.append(weights(run.network))

    def on_train_end(self, run):
        self.calls.append("end")


def test_callbacks_are_called_in_order():
    spy, (x, t) = Spy(), blobs()
    history = network().train(x, t, epochs=2, batch_size=25, callbacks=[spy], progress=False)
    steps = [call for call in spy.calls if isinstance(call, tuple)]
    assert [call for call in spy.calls if isinstance(call, str)] == ["begin", "epoch 1", "epoch 2", "end"]
    assert [call[:3] for call in steps] == [(e, s, n) for e in (0, 1) for s, n in ((0, 25), (1, 25), (2, 10))]
    assert [call[3] for call in steps] == history["batch_loss"]
    mean = sum(call[3] * call[2] for call in steps[:3]) / 60
    assert history["loss"][0] == pytest.approx(mean)
    assert history["accuracy"][0] == pytest.approx(sum(call[4] * call[2] for call in steps[:3]) / 60)
    assert list(history) == list(HISTORY) and all(type(values) is list for values in history.values())


def test_a_schedule_sees_the_progress_of_all_steps():
    seen = []

    def schedule(progress):
        seen.append(progress)
        return 0.5

    x, t = blobs()
    history = network().train(x, t, epochs=2, batch_size=20, schedule=schedule, progress=False)
    assert seen == pytest.approx(np.arange(6) / 6) and history["learning_rate"] == [0.025, 0.025]


def test_batches_hold_every_example_once():
    rng = np.random.default_rng(0)
    first, second = (list(shuffled_batches(10, 4, rng)) for _ in range(2))
    for batches in (first, second):
        assert [len(batch) for batch in batches] == [4, 4, 2]
        assert sorted(np.concatenate(batches)) == list(range(10))
    assert not np.array_equal(np.concatenate(first), np.concatenate(second))


class Worse(cnnlib.Callback):
    """Makes the recorded validation loss worse from the third epoch on, before others look at it."""

    def on_epoch_end(self, run):
        run.history["validation_loss"][-1] = abs(run.epoch - 3) + 1.0


def test_early_stopping_keeps_the_best_weights():
    spy, stopping, (x, t) = Spy(), cnnlib.EarlyStopping(patience=2), blobs()
    net = network()
    history = net.train(x, t, epochs=20, validation=blobs(seed=1), callbacks=[Worse(), stopping, spy], progress=False)
    assert len(history["loss"]) == 5 and stopping.best_epoch == 3
    assert same(weights(net), spy.weights[2]) and not same(weights(net), spy.weights[4])


@pytest.mark.parametrize(("min_delta", "best"), [(0.0, 3), (0.5, 3), (2.0, 1)])
def test_early_stopping_counts_improvements_above_min_delta(min_delta, best):
    x, t = blobs()
    stopping = cnnlib.EarlyStopping(patience=6, min_delta=min_delta)
    network().train(x, t, epochs=6, validation=blobs(seed=1), callbacks=[Worse(), stopping], progress=False)
    assert stopping.best_epoch == best


def test_early_stopping_by_accuracy_looks_upwards():
    x, t = blobs()
    stopping = cnnlib.EarlyStopping(patience=3, monitor="accuracy")
    history = network().train(x, t, epochs=8, callbacks=[stopping], progress=False)
    assert stopping.best_epoch == 1 + int(np.argmax(history["accuracy"]))


def test_a_failed_run_says_that_it_has_the_weights_of_its_best_epoch():
    """Early stopping puts those of epoch 3 back, though epoch 4 is the last good one."""
    spy, stopping, (x, t) = Spy(), cnnlib.EarlyStopping(), blobs()
    settings = {"schedule": lambda progress: 1.0 if progress < 0.2 else 1e40, "validation": blobs(seed=1)}
    net = network()
    with pytest.raises(FloatingPointError, match=r"in epoch 5, .* The network has the weights of its best epoch again"):
        net.train(x, t, epochs=20, **settings, callbacks=[Worse(), stopping, spy], progress=False)
    assert stopping.best_epoch == 3 and same(weights(net), spy.weights[2])


def test_early_stopping_needs_something_to_look_at():
    with pytest.raises(ValueError, match=r"no validation_loss to look at: pass validation=\(x, t\)"):
        network().train(*blobs(), callbacks=[cnnlib.EarlyStopping()], progress=False)
    with pytest.raises(ValueError, match="monitor must be one of"):
        cnnlib.EarlyStopping(monitor="val_loss")
    with pytest.raises(ValueError, match="patience must be at least 1"):
        cnnlib.EarlyStopping(patience=0)
    with pytest.raises(ValueError, match="min_delta must be"):
        cnnlib.EarlyStopping(min_delta=math.nan)


def test_early_stopping_goes_on_after_a_stop(tmp_path):
    x, t = blobs()

    class Stop(cnnlib.Callback):
        def on_step_end(self, run):
            if run.epoch == 3 and run.step == 1:
                raise KeyboardInterrupt

    def train(path, *more):
        net, stopping = network(), cnnlib.EarlyStopping(patience=2)
        callbacks = [Worse(), stopping, *more]
        settings = {"validation": blobs(seed=1), "checkpoint": path, "resume": True, "progress": False}
        return net, net.train(x, t, epochs=9, batch_size=30, callbacks=callbacks, **settings)

    expected, whole = train(tmp_path / "a.npz")
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "b.npz", Stop())
    net, history = train(tmp_path / "b.npz")
    assert same(weights(net), weights(expected)) and history["loss"] == whole["loss"] and len(history["loss"]) == 5


def test_the_log_is_the_history(tmp_path):
    x, t = blobs()
    log = cnnlib.CSVLogger(tmp_path / "folder with spaces" / "log.csv")
    history = network().train(x, t, epochs=3, batch_size=60, validation=(x, t), callbacks=[log], progress=False)
    with open(tmp_path / "folder with spaces" / "log.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row.pop("epoch") for row in rows] == ["1", "2", "3"]
    assert {name: [float(row[name]) for row in rows] for name in rows[0]} == {
        name: history[name] for name in HISTORY if name != "batch_loss"
    }


def test_an_average_of_weights_is_ten_lines():
    """The example of the docstring of `Callback`."""

    class AverageWeights(cnnlib.Callback):
        def on_train_begin(self, run):
            self.average = {name: 0 * W for name, W in run.network.parameters().items()}

        def on_epoch_end(self, run):
            for name, W in run.network.parameters().items():
                self.average[name] += (W - self.average[name]) / run.epoch

    spy, average, (x, t) = Spy(), AverageWeights(), blobs()
    network().train(x, t, epochs=4, callbacks=[spy, average], progress=False)
    for name, W in average.average.items():
        np.testing.assert_allclose(W, np.mean([each[name] for each in spy.weights], axis=0), rtol=1e-5, atol=1e-6)


def nan_at_the_end(progress):
    return math.nan if progress >= 0.9 else 1.0


def huge_at_the_end(progress):
    return 1e50 if progress > 0.95 else 1.0


def test_a_last_step_that_blows_up_is_an_error(tmp_path):
    """The loss of each step is computed before it: of the last step, only the weights tell."""
    spy, (x, t), path = Spy(), blobs(), tmp_path / "checkpoint.npz"
    net = network()
    settings = {"epochs": 3, "batch_size": 6, "schedule": huge_at_the_end, "callbacks": [spy], "progress": False}
    with pytest.raises(FloatingPointError, match="W0 is no longer finite in epoch 3, step 10.* the weights of epoch 2"):
        net.train(x, t, checkpoint=path, **settings)
    assert same(weights(net), spy.weights[1]) and len(spy.weights) == 2 and spy.calls[-1] == "end"
    with np.load(path) as stored:
        assert same(weights(net), stored)


def test_a_loss_that_is_not_finite_stops_the_run_with_the_last_good_weights():
    net, (x, t) = network(), blobs()
    before = weights(net)
    with pytest.raises(FloatingPointError, match=r"the loss became nan in epoch 1, step \d.*try one below 1\."):
        net.train(x, t, epochs=2, batch_size=10, optimizer=cnnlib.SGD(1e30), progress=False)
    assert same(weights(net), before)


def test_weight_decay_is_named_where_it_can_be_the_cause():
    for decay, named in ((1e6, True), (1e-3, False)):
        net, optimizer = network(), cnnlib.SGD(1e-2 if named else 1e30, weight_decay=decay if named else 0)
        with pytest.raises(FloatingPointError) as caught:
            net.train(*blobs(), epochs=9, batch_size=10, optimizer=optimizer, progress=False)
        assert ("Or the weight decay is: times the learning rate it is 1e+04" in str(caught.value)) == named


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        (
            {"schedule": nan_at_the_end},
            ValueError,
            "what the schedule returns at 0.9 must be a number in .-inf, inf., got nan",
        ),
        ({"schedule": "cosine"}, TypeError, "schedule must be a function, such as one_cycle, got 'cosine'"),
        ({"optimizer": "sgd"}, TypeError, "optimizer must be an Optimizer, such as SGD.*got 'sgd'"),
        ({"loss": "mse"}, TypeError, "loss must be a Loss, such as MeanSquaredError.*got 'mse'"),
        ({"augment": 3}, TypeError, r"augment must be a function of \(x, rng\), got 3"),
        ({"communicator": 3}, TypeError, "communicator must be a cnnlib.data_parallel.Communicator, got 3"),
        ({"validation": (np.full((2, 3), np.nan), [0, 1])}, ValueError, r"not finite, the first at \(0, 0\): nan"),
    ],
)
def test_settings_that_cannot_work_are_named(changes, error, message):
    with pytest.raises(error, match=message):
        network().train(*blobs(), batch_size=6, progress=False, **changes)


def test_a_step_without_an_optimizer_says_what_one_looks_like():
    with pytest.raises(TypeError, match=r"optimizer must be an Optimizer, such as SGD\(0\.1\), got 'sgd'"):
        network().train_step(*blobs(), "sgd", cnnlib.CategoricalCrossEntropy())


def test_examples_that_are_not_finite_are_named():
    x, t = blobs()
    x[7, 1] = np.inf
    with pytest.raises(ValueError, match=r"x holds numbers that are not finite, the first at \(7, 1\): inf"):
        network().train(x, t, progress=False)


def test_accuracy_refuses_what_it_would_broadcast():
    assert cnnlib.accuracy(np.array([[0.2, 0.8], [0.6, 0.4]]), np.array([[0, 1], [0, 1]])) == 0.5
    assert cnnlib.accuracy(np.array([[0.9], [0.2]]), np.array([[1], [1]])) == 0.5
    for y, t in ((np.ones((3, 2)), np.ones((1, 2))), (np.ones(3), np.ones(3)), (np.ones((0, 2)), np.ones((0, 2)))):
        with pytest.raises(ValueError, match="accuracy expects scores and targets of one shape"):
            cnnlib.accuracy(y, t)


def test_labels_that_are_all_of_one_class_are_accepted():
    x, _ = blobs()
    assert network().train(x, np.zeros(60, int), epochs=20, progress=False)["accuracy"][-1] == 1


def test_a_bad_target_is_found_before_the_first_step():
    net, (x, t) = network(), blobs()
    before, targets = weights(net), cnnlib.one_hot(t, 3)
    targets[-1] = [2, -1, 0]
    for changes in ({"t": targets}, {"t": t, "validation": (x, targets)}):
        with pytest.raises(ValueError, match=r"no entry may be negative; got \[2.0, -1.0, 0.0\] in row 59"):
            net.train(**{"x": x, "batch_size": 10, "progress": False} | changes)
    assert same(weights(net), before)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimizer": ""}, "optimizer must be an Optimizer"),
        ({"resume": "no"}, "resume must be True or False, got 'no'"),
        ({"progress": 1}, "progress must be True or False, got 1"),
        ({"callbacks": ["early"]}, "each of callbacks must be a Callback, such as EarlyStopping.., got 'early'"),
        ({"seed": "0"}, "seed must be a whole number, got '0'"),
        ({"validation": 3}, "validation must be a tuple of x and t, got 3"),
        ({"checkpoint": 3}, "checkpoint must be the path of a file, got 3"),
    ],
)
def test_settings_of_the_wrong_kind_are_named(changes, message):
    with pytest.raises(TypeError, match=message):
        network().train(*blobs(), **{"progress": False} | changes)


def test_numbers_that_are_too_large_are_not_called_a_learning_rate():
    net, (x, t) = network(), blobs()
    with pytest.raises(FloatingPointError, match="No step had been taken: the numbers in x, or the weights, are too"):
        net.train(x * np.float32(2e37), t, progress=False)
    net[0].W[0, 0] = np.nan
    with pytest.raises(ValueError, match=r"W0 holds numbers that are not finite, the first at \(0, 0\): nan"):
        net.train(x, t, progress=False)


def test_augmentation_that_leaves_the_scale_is_an_error():
    layers = [cnnlib.Flatten(), cnnlib.Dense(16, 2, rng=0), cnnlib.Softmax()]
    net, x = cnnlib.Network(layers, (1, 4, 4)), np.full((4, 4, 4), 200, np.uint8)
    with pytest.raises(ValueError, match="numbers up to 200: floating point must be scaled already"):
        net.train(x, [0, 1, 0, 1], augment=lambda images, rng: images.astype(float), progress=False)


def test_accuracy_of_what_is_no_number_is_none():
    assert math.isnan(cnnlib.accuracy([[np.nan, 1], [0, 1]], [[1, 0], [0, 1]]))


class Bar:
    """Notes what a progress bar is told."""

    def __init__(self, **options):
        self.options, self.told = options, []
        Bar.last = self

    def set_description(self, text, refresh):
        self.told.append((text, refresh))

    def set_postfix(self, loss, refresh):
        self.told.append((loss, refresh))

    def update(self):
        self.told.append("step")

    def close(self):
        self.told.append("closed")


def test_the_progress_bar_counts_all_steps(tmp_path, monkeypatch):
    import tqdm.auto

    monkeypatch.setattr(tqdm.auto, "tqdm", Bar)
    x, t = blobs()

    class Stop(cnnlib.Callback):
        def on_epoch_end(self, run):
            raise KeyboardInterrupt

    options = {"epochs": 3, "batch_size": 25, "checkpoint": tmp_path / "a.npz", "resume": True}
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    with pytest.raises(KeyboardInterrupt):
        network().train(x, t, callbacks=[Stop()], **options)
    assert Bar.last.options == {"total": 9, "initial": 0, "unit": "step", "disable": False}
    network().train(x, t, epochs=1, batch_size=60)  # to have another bar
    assert Bar.last.options["total"] == 1
    monkeypatch.setenv("TQDM_DISABLE", "1")
    history = network().train(x, t, **options)
    assert Bar.last.options == {"total": 9, "initial": 0, "unit": "step", "disable": True}
    assert Bar.last.told[-1] == "closed" and Bar.last.told.count("step") == 9
    told = [each for each in Bar.last.told if isinstance(each, tuple)]
    assert [text for text, _ in told[::2]] == [f"Epoch {epoch}/3" for epoch in (1, 1, 1, 2, 2, 2, 3, 3, 3)]
    means = [np.mean(history["batch_loss"][: count + 1]) for count in range(9)]
    assert [float(text) for text, _ in told[1::2]] == pytest.approx(means, abs=6e-4)
    assert not any(refresh for _, refresh in told)


def test_a_resumed_progress_bar_begins_where_the_run_was(tmp_path, monkeypatch):
    import tqdm.auto

    monkeypatch.setattr(tqdm.auto, "tqdm", Bar)
    x, t = blobs()

    class Stop(cnnlib.Callback):
        def on_step_end(self, run):
            if run.epoch == 2:
                raise KeyboardInterrupt

    options = {"epochs": 4, "batch_size": 25, "checkpoint": tmp_path / "a.npz", "resume": True}
    with pytest.raises(KeyboardInterrupt):
        network().train(x, t, callbacks=[Stop()], **options)
    network().train(x, t, **options)
    assert Bar.last.options["initial"] == 6 and Bar.last.told.count("step") == 6
    network().train(x, t, progress=False)
    assert Bar.last.options["total"] == 12  # no new bar


def test_the_progress_of_a_run():
    run = cnnlib.callbacks.Run(None, None, None, epochs=4, steps=5)
    assert run.progress == 0 and run.is_main
    run.epoch, run.step = 3, 2
    assert run.progress == 17 / 20
    assert run.history == {name: [] for name in HISTORY} and run.stop is False and run.scale == 1
    assert math.isnan(run.loss) and math.isnan(run.accuracy) and run.batch_size == 0


def test_the_defaults_of_training():
    """One epoch, batches of 64, SGD, a constant rate, cross-entropy, the seed 0."""
    x, t = blobs(130)
    plain, spelled = network(), network()
    history = plain.train(x, t, progress=False)
    spelled.train(
        *(x, t),
        **{"epochs": 1, "batch_size": 64, "optimizer": cnnlib.SGD(0.05, 0.9), "schedule": cnnlib.constant, "seed": 0},
        **{"loss": cnnlib.CategoricalCrossEntropy(), "progress": False},
    )
    assert same(weights(plain), weights(spelled)) and len(history["batch_loss"]) == 3
    stopping = cnnlib.EarlyStopping()
    assert (stopping.patience, stopping.monitor, stopping.min_delta) == (5, "validation_loss", 0.0)
    assert plain.evaluate(x, t) == plain.evaluate(x, t, cnnlib.CategoricalCrossEntropy())


def test_a_weight_scales_loss_accuracy_and_gradients():
    net, (x, t) = network().astype(np.float64), blobs()
    loss = cnnlib.CategoricalCrossEntropy()
    whole = net.backpropagate(x, t, loss)
    gradients = {name: gradient.copy() for name, gradient in net.gradients().items() if name in ("W0", "b2")}
    half = net.backpropagate(x, t, loss, weight=0.5)
    assert half == pytest.approx([number / 2 for number in whole])
    for name, gradient in gradients.items():
        np.testing.assert_allclose(net.gradients()[name], gradient / 2, rtol=1e-12)


def test_a_single_output_is_right_on_its_side_of_one_half():
    assert cnnlib.accuracy([[0.5], [0.51], [0.49]], [[0], [1], [1]]) == pytest.approx(2 / 3)
    assert cnnlib.accuracy([[0.7]], [[0.5]]) == 0
    assert cnnlib.accuracy([[0.1, 0.2], [0.3, 0.1]], [[0, 1], [0, 1]]) == 0.5


def test_loss_alone_without_accuracy():
    loss = cnnlib.SumOfLosses([cnnlib.LossPart(slice(0, 3), cnnlib.MeanSquaredError())])
    net = cnnlib.Network([cnnlib.Dense(3, 3, rng=0)], (3,))
    history = net.train(*blobs()[:1], np.eye(3)[blobs()[1]], loss=loss, progress=False)
    assert math.isnan(history["accuracy"][0]) and math.isfinite(history["loss"][0])


def test_a_schedule_is_named_with_the_progress_at_which_it_failed():
    with pytest.raises(ValueError) as caught:
        network().train(*blobs(), epochs=3, batch_size=20, schedule=lambda p: p * 1e400, progress=False)
    expected = "what the schedule returns at 0 must be a number in (-inf, inf), got nan"
    assert str(caught.value) == expected


def test_a_step_has_the_full_rate_by_default():
    x, t = blobs()
    plain, spelled = network(), network()
    plain.train_step(x, t, cnnlib.SGD(), cnnlib.CategoricalCrossEntropy())
    spelled.train_step(x, t, cnnlib.SGD(), cnnlib.CategoricalCrossEntropy(), 1.0)
    assert same(weights(plain), weights(spelled))


def test_a_bad_setting_is_found_before_a_checkpoint_is_written(tmp_path):
    for bad in ({"optimizer": "sgd"}, {"loss": "mse"}, {"schedule": 3}, {"epochs": 0}, {"batch_size": 0}):
        with pytest.raises((TypeError, ValueError)):
            network().train(*blobs(), checkpoint=tmp_path / "a.npz", progress=False, **bad)
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_is_not_resumed_unless_that_is_meant(tmp_path):
    network().train(*blobs(), checkpoint=tmp_path / "a.npz", progress=False)
    with pytest.raises(FileExistsError, match=r"a.npz is there already: pass resume=True to go on with that run, or"):
        network().train(*blobs(), checkpoint=tmp_path / "a.npz", progress=False)


class Spoil(cnnlib.Callback):
    """Makes something that is not finite, when it is called for an event."""

    def __init__(self, event, spoil):
        setattr(self, event, lambda run: spoil(run) if run.epoch == 2 or event == "on_step_end" else None)


def spoil_weights(run):
    run.network[0].W[0, 0] = np.nan


def spoil_optimizer(run):
    run.optimizer.state["velocity"][0][0, 0] = np.inf


@pytest.mark.parametrize(
    ("event", "spoil", "message"),
    [
        ("on_step_end", spoil_weights, "the loss became nan in epoch 1, step 2.*that it began with"),
        ("on_epoch_end", spoil_weights, "W0 is no longer finite in epoch 2.*A callback has changed it.*of epoch 1"),
        ("on_epoch_end", spoil_optimizer, "velocity of W0 is no longer finite in epoch 2.*A callback.*of epoch 1"),
        ("on_train_end", spoil_weights, "W0 is no longer finite in epoch 2.*A callback has changed it.*of epoch 2"),
    ],
)
@pytest.mark.parametrize("with_checkpoint", [False, True])
def test_what_a_callback_spoils_is_no_success_and_reaches_no_checkpoint(
    event, spoil, message, with_checkpoint, tmp_path
):
    net, (x, t), path = network(), blobs(), tmp_path / "checkpoint.npz"
    settings = {"epochs": 2, "progress": False, "checkpoint": path if with_checkpoint else None}
    with pytest.raises(FloatingPointError, match=message):
        net.train(x, t, callbacks=[Spoil(event, spoil)], batch_size=20, **settings)
    assert all(np.isfinite(array).all() for array in weights(net).values())
    if with_checkpoint:
        network().train(x, t, resume=True, batch_size=20, **settings)


def test_what_adam_cannot_square_stops_the_run(tmp_path):
    """The mean of the squares is infinite then, so that no step would move anything: a success in all but learning."""
    net, (x, t) = cnnlib.Network([cnnlib.Dense(3, 3, rng=0)], (3,)), blobs()
    settings = {"loss": cnnlib.MeanSquaredError(), "progress": False, "checkpoint": tmp_path / "checkpoint.npz"}
    with pytest.raises(FloatingPointError, match="square of W0 is no longer finite.*The gradients are too large"):
        net.train(1e15 * x, np.eye(3)[t], optimizer=cnnlib.Adam(), **settings)
    with np.load(tmp_path / "checkpoint.npz") as stored:
        assert same(weights(net), stored)


@pytest.mark.parametrize("optimizer", [cnnlib.SGD(1e30), cnnlib.SGD(0.1, weight_decay=1e38)])
def test_a_last_step_to_weights_that_are_finite_but_huge_is_an_error(optimizer, recwarn, tmp_path):
    """A loss is computed before its step: nobody would see that the last one of an epoch has made all others NaN."""
    net, (x, t), path = network(), blobs(), tmp_path / "checkpoint.npz"
    before = weights(net)
    with pytest.raises(FloatingPointError, match="the loss of the last batch became .* by its step in epoch 1"):
        net.train(x, t, optimizer=optimizer, progress=False, checkpoint=path)
    assert same(weights(net), before) and not recwarn.list
    with np.load(path) as stored:
        assert same(before, stored)


def test_a_validation_loss_that_is_not_finite_stops_the_run(recwarn):
    net, (x, t) = cnnlib.Network([cnnlib.Dense(3, 3, rng=0)], (3,)), blobs()
    before, settings = weights(net), {"loss": cnnlib.MeanSquaredError(), "progress": False}
    with pytest.raises(FloatingPointError, match="the validation loss became inf in epoch 1.*that it began with"):
        net.train(x, np.eye(3)[t], validation=(x, 1e30 * np.eye(3)[t]), **settings)
    assert same(weights(net), before) and not recwarn.list


def test_statistics_that_overflow_are_not_called_a_learning_rate_alone():
    net, (x, t) = cnnlib.Network([cnnlib.BatchNormalization(3), *network()], (3,)), blobs()
    with pytest.raises(FloatingPointError, match=r"running_variance0 is .*\. The numbers in x, or between the layers"):
        net.train(1e30 * x, t, progress=False)


@pytest.mark.parametrize(("rate", "scale"), [(0.05, 1e300), (100, 1e308)])
def test_a_schedule_that_is_far_above_one_is_named(rate, scale):
    net, (x, t) = network(), blobs()
    message = rf"The schedule returned {scale:.3g}.*".replace("+", r"\+") + rf"try one below {min(rate, 1)}\."
    with pytest.raises(FloatingPointError, match=message):
        net.train(x, t, optimizer=cnnlib.SGD(rate), schedule=lambda progress: scale, progress=False)


def test_the_same_optimizer_can_be_used_again_with_a_lower_rate():
    net, (x, t), optimizer = network(), blobs(), cnnlib.SGD(1e30)
    with pytest.raises(FloatingPointError):
        net.train(x, t, epochs=2, optimizer=optimizer, progress=False)
    optimizer.learning_rate = 0.05
    assert net.train(x, t, optimizer=optimizer, progress=False)["loss"][0] < 10


def test_an_optimizer_that_remembers_what_is_not_finite_is_refused():
    net, (x, t), optimizer = network(), blobs(), cnnlib.SGD()
    net.train(x, t, optimizer=optimizer, progress=False)
    optimizer.state["velocity"][1][0] = np.nan
    with pytest.raises(ValueError, match="velocity of b0 of SGD.* holds numbers that are not finite"):
        net.train(x, t, optimizer=optimizer, progress=False)


def test_a_network_that_is_not_finite_leaves_no_checkpoint(tmp_path):
    net, (x, t) = network(), blobs()
    net[0].W[1, 1] = np.inf
    with pytest.raises(ValueError, match=r"W0 holds numbers that are not finite, the first at \(1, 1\)"):
        net.train(x, t, progress=False, checkpoint=tmp_path / "checkpoint.npz")
    assert not list(tmp_path.iterdir())


def test_targets_that_are_too_large_are_named(recwarn):
    net, (x, t) = cnnlib.Network([cnnlib.Dense(3, 3, rng=0)], (3,)), blobs()
    for call in (net.train, net.evaluate):
        with pytest.raises(ValueError, match=r"targets holds numbers up to 1e\+300, which are too large for float32"):
            call(x, 1e300 * np.eye(3)[t], loss=cnnlib.MeanSquaredError())
    assert not recwarn.list


def test_augmentation_must_return_as_many_examples():
    for made in (lambda x: x[:3], lambda x: x[0, 0], lambda x: None):
        with pytest.raises((TypeError, ValueError), match="what augment returns must be .*, got"):
            network().train(*blobs(), augment=lambda x, rng, made=made: made(x), progress=False)


def test_infinite_scores_are_compared(recwarn):
    assert cnnlib.accuracy([[np.inf, -np.inf], [1, 0]], [[1, 0], [0, 1]]) == 0.5 and not recwarn.list
    assert np.isnan(cnnlib.accuracy([[np.nan, 1], [1, 0]], [[1, 0], [0, 1]]))


def test_the_warning_of_a_mask_names_the_line_that_called():
    """Python prints a warning once for each line: if it were one of the library, the second mask would be silent."""
    net = cnnlib.Network([cnnlib.Flatten(), cnnlib.Dense(16, 3, rng=0), cnnlib.Softmax()], (1, 4, 4))
    mask = np.random.default_rng(0).integers(0, 2, (6, 4, 4), np.uint8)
    calls = (
        lambda: net.train(mask, [0] * 6, progress=False),
        lambda: net.predict(mask),
        lambda: net.evaluate(mask, [0] * 6),
        lambda: net.train(mask > 0, [0] * 6, validation=(mask, [0] * 6), progress=False),
    )
    for call in calls:
        with pytest.warns(UserWarning, match="nothing above 1") as caught:
            call()
        assert caught[0].filename == __file__
