"""A test report that cannot show a failure: a result beyond its tolerance raises an error, and there is no report.

The plumbing of the page "How we know it is right". That page says what is compared, on which input and why; here errors
are measured, collected and laid out in tables.
"""

import json
import platform
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import threadpoolctl
from IPython.display import Markdown

import cnnlib
from cnnlib.gradient_check import gradient_check
from cnnlib.layers import LAYERS, Dropout, Layer, Sequential
from cnnlib.layers.fused_convolution import FusedConvolution, RowConvolution
from cnnlib.losses import Loss
from cnnlib.optimizers import Optimizer

Pairs = Iterable[tuple[str, np.ndarray, np.ndarray]]  # (name of the array, ours, theirs)

WITNESSES = ("differences", "loops", "reference")
REFERENCE = Path(__file__).parent / "results" / "reference.npz"


class ReportError(AssertionError):
    """A result that is wrong, or a check that is missing."""


def relative_error(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Return the largest difference of two arrays of one shape, relative to the largest entry of `theirs`."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    if ours.shape != theirs.shape:
        raise ReportError(f"ours has the shape {ours.shape}, theirs {theirs.shape}")
    scale = np.abs(theirs).max(initial=np.finfo(float).tiny)
    return float(np.abs(ours - theirs).max(initial=0) / scale)


@dataclass(frozen=True)
class Row:
    """One check that has passed: the relative error of every array that was compared."""

    subject: str  # the name of the layer, loss or optimizer
    settings: str
    why: str
    witness: str
    errors: dict[str, float]
    allowed: float
    seconds: float


class Report:
    """Compares, remembers every error, and raises as soon as one is beyond its tolerance.

    Attributes
    ----------
    rows : list of Row
    checked : list of tuple
        What `differences` has checked: (function, x, t).
    """

    def __init__(self):
        self.rows: list[Row] = []
        self.checked: list[tuple] = []
        self._shown = 0
        self._began = time.perf_counter()

    def differences(self, function, x: np.ndarray, why: str, t: np.ndarray | None = None, allowed: float = 1e-7):
        """Check every gradient of a layer, network or loss at `x` against central differences."""
        start = time.perf_counter()
        errors = gradient_check(function, x, t, tolerance=allowed)
        if isinstance(function, Loss):
            errors = {"gradient": errors["dx"]}
        self.checked.append((function, x, t))
        self._keep(function, f"{x.shape}: {why}", "differences", errors, allowed, start)

    def loops(self, subject, draw: Callable[[], Pairs], why: str, times: int = 30, allowed: float = 1e-12) -> None:
        """Compare as `compare` does, `times` times; `draw` returns pairs with other numbers each time."""
        pairs = (pair for _ in range(times) for pair in draw())
        self.compare("loops", subject, pairs, f"{why}; {times} times" if times > 1 else why, allowed)

    def compare(self, witness: str, subject, pairs: Pairs, why: str, allowed: float = 1e-12) -> None:
        """Compare arrays of ours with those of a witness; of each name, the largest relative error counts."""
        start = time.perf_counter()
        errors: dict[str, float] = {}
        for name, ours, theirs in pairs:
            try:
                error = relative_error(ours, theirs)
            except ReportError as problem:
                raise ReportError(f"{settings(subject)}, {witness}: {name}: {problem}") from None
            if not error <= allowed:  # so that nan is refused, too
                raise ReportError(
                    f"{settings(subject)}, {witness}: the relative error of {name} is {error:.1e}, "
                    f"allowed is {allowed:.0e}"
                )
            errors[name] = max(errors.get(name, 0), error)
        if not errors:
            raise ReportError(f"{settings(subject)}, {witness}: nothing was compared")
        self._keep(subject, why, witness, errors, allowed, start)

    def _keep(self, subject, why: str, witness: str, errors: dict[str, float], allowed: float, start: float) -> None:
        seconds = time.perf_counter() - start
        name = subject if isinstance(subject, str) else getattr(subject, "__name__", type(subject).__name__)
        self.rows.append(Row(name, settings(subject), why, witness, errors, allowed, seconds))

    def table(self) -> Markdown:
        """Show the checks since the last table."""
        rows, self._shown = self.rows[self._shown :], len(self.rows)
        return table(
            ("what", "input, and why this one", "relative error", "allowed", "ms"),
            [
                (
                    row.settings,
                    row.why,
                    "<br>".join(f"{name}\u00a0{short(error)}" for name, error in row.errors.items()),
                    short(row.allowed),
                    f"{1000 * row.seconds:.0f}",
                )
                for row in rows
            ],
        )

    def summary(self) -> Markdown:
        """Show the largest error of every array before each witness; raise if one that must have spoken has not."""
        rows = []
        order = {row.subject: index for index, row in reversed(list(enumerate(self.rows)))}  # as they came up
        for subject, arrays in sorted(required().items(), key=lambda item: order.get(item[0], 0)):
            for array, witnesses in arrays.items():
                cells = []
                for witness in WITNESSES:
                    errors = [
                        row.errors[array]
                        for row in self.rows
                        if (row.subject, row.witness) == (subject, witness) and array in row.errors
                    ]
                    if witness in witnesses and not errors:
                        raise ReportError(f"{array} of {subject} was not checked: {witness}")
                    cells.append(short(max(errors)) if errors else "")
                rows.append((subject, array, *cells))
        return table(("layer, loss or optimizer", "array", *WITNESSES), rows)

    def environment(self, seconds: dict[str, float]) -> Markdown:
        """Show times, how long all took since the report began, and with which versions."""
        pools = threadpoolctl.threadpool_info()
        return table(
            ("what", ""),
            [
                *((what, f"{1000 * value:.1f} ms") for what, value in seconds.items()),
                ("this page, all together", f"{time.perf_counter() - self._began:.1f} s"),
                ("cnnlib", version("cnnlib")),
                ("Python", platform.python_version()),
                ("NumPy", np.__version__),
                ("matrix products by", ", ".join(f"{pool['internal_api']} {pool['version']}" for pool in pools)),
                ("threads", max((pool["num_threads"] for pool in pools), default=1)),
                ("processor and system", f"{platform.machine()}, {sys.platform}"),
            ],
        )


def required() -> dict[str, dict[str, set[str]]]:
    """For every layer, loss and optimizer of the library: its arrays, and the witnesses that each must have passed."""
    found = {}
    for name, layer in {**LAYERS, "FusedConvolution": FusedConvolution, "RowConvolution": RowConvolution}.items():
        # A composition, or nobody else has it, or what it draws is not what another one draws
        alone = layer in (FusedConvolution, RowConvolution, Dropout) or issubclass(layer, Sequential)
        everyone = {"loops"} if alone else {"loops", "reference"}
        gradients = ["dx", *(f"d{parameter}" for parameter in layer.params)]
        found[name] = {"y": everyone} | {gradient: everyone | {"differences"} for gradient in gradients}
    everyone = {"loops", "reference"}
    public = [getattr(cnnlib, name) for name in cnnlib.__all__]
    for subject in public:
        if isinstance(subject, type) and issubclass(subject, Loss):
            witnesses = {"loops"} if subject is cnnlib.SumOfLosses else everyone
            found[subject.__name__] = {"value": witnesses, "gradient": witnesses | {"differences"}}
        elif isinstance(subject, type) and issubclass(subject, Optimizer):
            found[subject.__name__] = {"parameters": everyone}
    return found


def reference_cases(path: str | Path = REFERENCE) -> Iterator[tuple[object, str, Pairs]]:
    """Yield what another framework has computed: our layer, loss or optimizer, its input, and the pairs to compare.

    Raises
    ------
    FileNotFoundError
        If the file is not there.
    """
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    for number, case in enumerate(json.loads(str(arrays["cases"]))):
        own = f"{number}."
        stored = {name.removeprefix(own): array for name, array in arrays.items() if name.startswith(own)}
        if "layer" in case:
            layer = getattr(cnnlib, case["layer"])(**case["config"]).astype(np.float64)
            layer.training = case.get("training", False)
            yield layer, str(stored["x"].shape), _layer_pairs(layer, case["parameters"], stored)
        elif "loss" in case:
            loss, y, t = getattr(cnnlib, case["loss"])(**case.get("config", {})), stored["y"], stored["t"]
            ours = loss.value(y, t), loss.gradient(y, t)
            yield loss, str(y.shape), zip(("value", "gradient"), ours, (stored["value"], stored["dy"]), strict=True)
        else:
            optimizer, parameter = getattr(cnnlib, case["optimizer"])(**case["config"]), stored["start"].copy()
            pairs = [("parameters", _moved(optimizer, parameter, g), y) for g, y in _steps(stored)]
            yield optimizer, f"{parameter.shape}, {len(pairs)} steps", pairs


def reference_versions(path: str | Path = REFERENCE) -> str:
    """Say with which versions the other framework has computed the file."""
    with np.load(path, allow_pickle=False) as file:
        versions, cases = json.loads(str(file["versions"])), json.loads(str(file["cases"]))
    return f"{len(cases)} cases, computed by PyTorch {versions['torch']} with NumPy {versions['numpy']}"


def _layer_pairs(layer: Layer, parameters: list[str], stored: dict[str, np.ndarray]) -> Pairs:
    for name in parameters:
        setattr(layer, name, stored[name])
    yield "y", layer.forward(stored["x"]), stored["y"]
    yield "dx", layer.backward(stored["dy"]), stored["dx"]
    for name, gradient in layer.gradients().items():
        yield f"d{name}", gradient, stored[f"d{name}"]


def _steps(stored: dict[str, np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    return zip(stored["gradients"], stored["steps"], strict=True)


def _moved(optimizer: Optimizer, parameter: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    optimizer.step([(parameter, gradient)])
    return parameter.copy()


def settings(subject) -> str:
    """Return the settings of a layer, loss or optimizer, written so that a line may break; of a class, its name."""
    if isinstance(subject, type):
        return subject.__name__
    return subject if isinstance(subject, str) else repr(subject).replace(", initializer='he'", "").replace("=", " = ")


def short(error: float) -> str:
    """Return one digit and the exponent, with a hyphen at which no line breaks."""
    return f"{error:.0e}".replace("-", "\u2011") if error else "0"


def table(header: tuple[str, ...], rows: Iterable[tuple]) -> Markdown:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return Markdown("\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines))
