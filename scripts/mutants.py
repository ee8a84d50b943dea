"""Mutation testing: plant one fault after the other in the library, and count those that the tests notice.

    python scripts/mutants.py                       # the core, every mutant
    python scripts/mutants.py --sample 30 digits    # of each module in cnnlib/digits, thirty
    python scripts/mutants.py layers/dense losses   # these modules

A mutant is the library with one small fault: a + that is a -, a < that is a <=, a number that is one larger, an
argument, a word of a message or a statement that is left out. It is killed if a test fails, or takes far longer than it
should. What survives is either a gap in the tests, or stands in ``tests/survivors.md`` with the reason why it does no
harm.

A child of this program is forked for each mutant, after everything that takes long to import but is not the library:
a mutant then costs half a second and its tests. They are those of ``tests/cnnlib`` that run the mutant's statement,
which a first run under coverage.py finds out: those of its own file first, the quickest first, until one fails.
"""

import argparse
import ast
import contextlib
import hashlib
import importlib
import json
import math
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
CNNLIB = ROOT / "cnnlib"
SURVIVORS = ROOT / "tests" / "survivors.md"
BUILD = ROOT / "_build" / "mutants"
CORE = (
    *("initializers", "layers", "losses", "optimizers", "schedules", "network", "training", "saving"),
    *("gradient_check", "data_parallel"),
)
SLOW = (  # tests that start programs: they take long, and coverage.py does not see what they run
    *("test_data_parallel.py", "test_command_line.py", "test_imports.py", "test_onnx_export.py", "test_plots.py"),
    *("test_saving.py::test_killed_at_random_moments_and_resumed", "digits/test_fuzz.py"),
    *("test_files.py::test_damaged_files_are_answered_or_refused",),
)
BUDGET = 20  # seconds: tests are chosen for a mutant until they would take as long
MEMORY = 8 << 30  # bytes
HEAVY = (  # what the tests import; the library itself is imported anew for each mutant
    *("numpy", "scipy.ndimage", "scipy.signal", "skimage.measure", "PIL.Image", "matplotlib.pyplot", "click.testing"),
    *("hypothesis", "hypothesis.extra.numpy", "pytest", "tqdm.auto", "pooch", "requests", "threadpoolctl"),
)
ENVIRONMENT = {
    "CNNLIB_OFFLINE": "1",
    "MPLBACKEND": "agg",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    "TQDM_DISABLE": "1",
}

SWAPPED = {
    **{ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Div},
    **{ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.MatMult: ast.Mult, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr},
    **{ast.LShift: ast.RShift, ast.RShift: ast.LShift, ast.And: ast.Or, ast.Or: ast.And, ast.USub: ast.UAdd},
    **{ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq},
    **{ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In},
}
RENAMED = dict(
    pair
    for one, other in (("min", "max"), ("any", "all"), ("minimum", "maximum"), ("argmin", "argmax"), ("floor", "ceil"))
    for pair in ((one, other), (other, one))
)


@dataclass(frozen=True)
class Mutant:
    """One fault: its place, its line before and after, and the whole module with it."""

    module: str
    line: int
    function: str
    before: str
    after: str
    source: str
    ranges: tuple[tuple[int, int], ...]  # the lines of its statement, of what holds it, and so on

    @property
    def row(self) -> str:
        """What `tests/survivors.md` says of it: without the number of the line, which changes often."""
        before, after = (text.replace("|", "\\|") for text in (self.before, self.after))
        return f"| {self.module} | {self.function} | `{before}` | `{after}` |"


def difference(before: str, after: str) -> tuple[str, str]:
    """Return the first line in which two sources differ, of either, and of long lines what is around the difference."""
    pairs = zip(before.splitlines(), after.splitlines(), strict=False)
    one, other = next((one.strip(), other.strip()) for one, other in pairs if one != other)
    prefix = common(one, other)
    suffix = common(one[prefix:][::-1], other[prefix:][::-1])
    cropped = []
    for text in (one, other):
        first, last = max(0, prefix - 30), min(len(text), max(prefix, len(text) - suffix) + 30)
        first, last = (0 if first < 8 else first), (len(text) if last > len(text) - 8 else last)
        part = text[first:last] if last - first < 120 else f"{text[first : first + 100]}..."
        cropped.append(f"{'...' if first else ''}{part}{'...' if last < len(text) and last - first < 120 else ''}")
    return cropped[0], cropped[1]


def common(one: str, other: str) -> int:
    """Return how many letters at the start are the same."""
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def mutants(module: str) -> list[Mutant]:
    """Return all mutants of a module, in the order of its lines."""
    tree = ast.parse((CNNLIB / f"{module}.py").read_text(encoding="utf-8"))
    original = ast.unparse(tree)
    found = []
    for node, function, ranges in places(tree, "", ((1, 10**6),)):
        for owner, field, new, at in changes(node):
            old = getattr(owner, field)
            setattr(owner, field, new)
            source = ast.unparse(ast.fix_missing_locations(tree))
            setattr(owner, field, old)
            if source != original:
                where = ((at.lineno, at.end_lineno), *ranges) if isinstance(at, ast.stmt) else ranges
                found.append(Mutant(module, at.lineno, function, *difference(original, source), source, where))
    return sorted(found, key=lambda mutant: mutant.line)


def places(node: ast.AST, function: str, ranges: tuple) -> Iterator[tuple[ast.AST, str, tuple]]:
    """Yield every node in which faults are planted, with its function, its lines, and those of what holds it."""
    yield node, function, ranges
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "bases", "decorator_list", "format_spec", "type"):
            continue
        for inner in value if isinstance(value, list) else [value]:
            if not isinstance(inner, ast.AST) or is_left_alone(node, inner):
                continue
            place, where = function, ranges
            if isinstance(inner, ast.FunctionDef | ast.ClassDef):
                place = f"{function}.{inner.name}".lstrip(".")
                where = ((inner.body[0].lineno, inner.end_lineno), *ranges)
            elif isinstance(inner, ast.stmt):
                body = getattr(inner, "body", None)
                where = ((inner.lineno, body[0].lineno - 1 if body else inner.end_lineno), *ranges)
            yield from places(inner, place, where)


def is_left_alone(node: ast.AST, inner: ast.AST) -> bool:
    """Whether no fault is planted in this part of a node: docstrings, single words of an f-string, `__all__`."""
    if isinstance(node, ast.JoinedStr) or isinstance(inner, ast.Expr):
        return isinstance(inner if isinstance(node, ast.JoinedStr) else inner.value, ast.Constant)
    return isinstance(inner, ast.Assign) and ast.unparse(inner.targets[0]) == "__all__"


def changes(node: ast.AST) -> Iterator[tuple[ast.AST, str, object, ast.AST]]:
    """Yield the faults of one node: which field of which node gets which value, and where that is."""
    match node:
        case ast.BinOp(op=op) | ast.BoolOp(op=op) | ast.AugAssign(op=op) | ast.UnaryOp(op=op) if type(op) in SWAPPED:
            yield node, "op", SWAPPED[type(op)](), node
        case ast.Compare():
            for index, op in enumerate(node.ops):
                yield node, "ops", replaced(node.ops, index, SWAPPED[type(op)]()), node
        case ast.Constant(value=bool(value)):
            yield node, "value", not value, node
        case ast.Constant(value=int(value) | float(value)):
            yield node, "value", value + 1, node
        case ast.Constant(value=str(value)):
            yield node, "value", "" if value else "XX", node
        case ast.JoinedStr():
            yield node, "values", [part for part in node.values if isinstance(part, ast.FormattedValue)], node
            for index, part in enumerate(node.values):
                if isinstance(part, ast.FormattedValue):
                    yield node, "values", replaced(node.values, index), node
        case ast.Call():
            for index, keyword in enumerate(node.keywords):
                if keyword.arg is not None:
                    yield node, "keywords", replaced(node.keywords, index), node
        case ast.Name(id=name) if name in RENAMED:
            yield node, "id", RENAMED[name], node
        case ast.Attribute(attr=name) if name in RENAMED:
            yield node, "attr", RENAMED[name], node
        case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test) if not isinstance(test, ast.Compare):
            is_not = isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)
            yield node, "test", test.operand if is_not else ast.UnaryOp(ast.Not(), test), node
    for name in ("body", "orelse", "finalbody"):
        body = getattr(node, name, None)
        for index, statement in enumerate(body if isinstance(body, list) else ()):
            if (other := left_out(statement)) is not None:
                yield node, name, replaced(body, index, other), statement


def replaced(items: list, index: int, *new) -> list:
    """Return the list with another item, or none, in that place."""
    return [*items[:index], *new, *items[index + 1 :]]


def left_out(statement: ast.AST) -> ast.AST | None:
    """Return what a statement becomes when it is left out; None for one that nothing could do without."""
    match statement:
        case ast.Expr(value=ast.Call()) | ast.Raise() | ast.AugAssign():
            return ast.Pass()
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript(), *_]):
            return ast.Pass()
        case ast.Continue():
            return ast.Break()
        case ast.Break():
            return ast.Continue()
    return None


class Choice:
    """A plugin of pytest: the given tests, in their order; and how long each took, and which statements it ran."""

    def __init__(self, names: list[str] | None = None, coverage=None, ignore: str | None = None):
        self.names, self.coverage, self.ignore = names, coverage, ignore
        self.seconds: dict[str, float] = {}

    def pytest_collection_modifyitems(self, items):
        if self.names is not None:
            found = {item.nodeid: item for item in items}
            items[:] = [found[name] for name in self.names if name in found]

    def pytest_runtest_logstart(self, nodeid):
        if self.coverage is not None:
            self.coverage.switch_context(nodeid)

    def pytest_runtest_logreport(self, report):
        if report.outcome == "passed":
            self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration


def run_tests(tree: Path, choice: Choice, log: int) -> int:
    """Run tests in this process, a child that ends afterwards: in a copy of the project, and with its library."""
    import hypothesis
    import pytest

    os.chdir(tree)
    os.environ["PYTHONPATH"] = str(tree)
    sys.path[:0] = [str(tree), str(tree / "book")]
    os.dup2(log, 1)
    os.dup2(log, 2)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # A failing example need not be made smaller, nor explained: that there is one is enough.
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    hypothesis.settings.register_profile("mutants", deadline=None, derandomize=True, database=None, phases=phases)
    files = ["tests/cnnlib"] if choice.names is None else sorted({name.partition("::")[0] for name in choice.names})
    options = [f"--basetemp={tree / 'tmp'}", "-x", "-q", "--tb=line", "-p", "no:cacheprovider"]
    options += ["-p", "_hypothesis_pytestplugin", "--hypothesis-profile=mutants"]
    options += [f"--ignore={choice.ignore}"] if choice.ignore else []
    options += [f"--{'deselect' if '::' in name else 'ignore'}=tests/cnnlib/{name}" for name in SLOW]
    return pytest.main([*options, *files], plugins=[choice])


def fork(tree: Path, choice: Choice, seconds: float, before=lambda: None, after=lambda: None) -> int | None:
    """Run tests in a child; return its exit status, or None if it had to be killed."""
    with open(tree / "log", "w+b") as log:
        child = os.fork()
        if child == 0:
            status = 70
            try:
                os.setsid()
                before()
                status = int(run_tests(tree, choice, log.fileno()))
                after()
            finally:
                os._exit(status)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            kill_group(child)  # what it has left behind
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    kill_group(child)
    os.waitpid(child, 0)
    return None


def kill_group(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def copy_project(folder: Path) -> Path:
    """Copy what tests/cnnlib needs, so that a mutant is seen by the programs that tests start, too."""
    tree = folder / "project"
    for name in ("cnnlib", "tests/cnnlib", "scripts", "book/cnnbook"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("tests/conftest.py", "pyproject.toml", "CITATION.cff"):
        shutil.copy(ROOT / name, tree / name)
    return tree


class Tests:
    """Which tests there are, how long they take, and which of them run which lines."""

    def __init__(self, tree: Path, ignore: str | None):
        """Run all tests once, under coverage.py; what comes of it is kept until the library or a test changes."""
        digest = hashlib.sha256(repr(ignore).encode())
        for path in sorted(tree.rglob("*.py")):
            digest.update(path.read_bytes())
        stored = BUILD / f"tests-{digest.hexdigest()[:16]}.json"
        if not stored.exists():
            self.measure(tree, ignore, stored)
        self.seconds, lines = json.loads(stored.read_text())
        self.lines = {
            module: {int(line): set(names) for line, names in contexts.items()} for module, contexts in lines.items()
        }

    def measure(self, tree: Path, ignore: str | None, stored: Path) -> None:
        import coverage

        measured = coverage.Coverage(data_file=None, include=[f"{tree}/cnnlib/*"], config_file=False)
        choice = Choice(coverage=measured, ignore=ignore)

        def store() -> None:
            measured.stop()
            data, lines = measured.get_data(), {}
            for file in data.measured_files():
                module = Path(file).relative_to(tree / "cnnlib").with_suffix("").as_posix()
                lines[module] = data.contexts_by_lineno(file)
            stored.write_text(json.dumps([choice.seconds, lines]))

        status = fork(tree, choice, 3600, before=measured.start, after=store)
        if status != 0:
            sys.exit(f"{(tree / 'log').read_text()}\nThe tests fail without a mutant.")

    def of(self, mutant: Mutant) -> list[str]:
        """Return the tests of a mutant: of those that run its statement, or what is around it, as many as have time."""
        lines, names = self.lines.get(mutant.module, {}), set()
        for first, last in mutant.ranges:
            names = set().union(*(tests for line, tests in lines.items() if first <= line <= last))
            if names and "" not in names:  # that is what runs while the library, or a test, is imported
                break
        own = f"tests/cnnlib/{mutant.module.rpartition('/')[0] or f'test_{mutant.module}'}"
        if "" in names:
            names |= {name for name in self.seconds if name.startswith(own)}
        chosen, seconds = [], 0.0
        for name in sorted(
            names & self.seconds.keys(), key=lambda name: (not name.startswith(own), self.seconds[name])
        ):
            seconds += self.seconds[name]
            if seconds > BUDGET and chosen:
                break
            chosen.append(name)
        return chosen


def is_killed(tree: Path, mutant: Mutant, tests: Tests) -> bool:
    """Plant a mutant in a copy of the project, and run its tests."""
    names = tests.of(mutant)
    if not names:
        return False
    place = tree / "cnnlib" / f"{mutant.module}.py"
    original = place.read_bytes()
    try:
        place.write_text(mutant.source, encoding="utf-8")
        return fork(tree, Choice(names), 10 + 5 * sum(tests.seconds[name] for name in names), before=no_bytecode) != 0
    finally:
        place.write_bytes(original)


def no_bytecode() -> None:
    """Leave no bytecode of a mutant behind: the next one of the same size and second would be mistaken for it."""
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"


def modules(names: list[str]) -> list[str]:
    """Return the modules of these names; that of a folder stands for all modules in it."""
    found = []
    for name in names:
        place = CNNLIB / name
        found += sorted(place.glob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    return [path.relative_to(CNNLIB).with_suffix("").as_posix() for path in found if path.name != "__init__.py"]


def work(chosen: list[Mutant], tests: Tests, tree: Path, workers: int, end: float) -> list[bool | None]:
    """Return for each mutant whether it is killed, or None if there was no time left for it."""
    answers = [tree.parent / f"answer {number}" for number in range(workers)]
    children = []
    for number, answer in enumerate(answers):
        child = os.fork()
        if child == 0:
            own = tree if number == 0 else copy_project(tree.parent / str(number))
            with open(answer, "w") as file:
                for index in range(number, len(chosen), workers):
                    if time.monotonic() > end:
                        break
                    killed = is_killed(own, chosen[index], tests)
                    print(index, int(killed), file=file, flush=True)
                    if not killed:
                        print(f"{chosen[index].line:4} {chosen[index].row}", flush=True)
            os._exit(0)
        children.append(child)
    if any(os.waitpid(child, 0)[1] for child in children):
        sys.exit("a worker failed")
    results = dict(line.split() for answer in answers for line in answer.read_text().splitlines())
    return [results[str(index)] == "1" if str(index) in results else None for index in range(len(chosen))]


def main() -> int:
    """Print how many mutants were killed, and those that were not."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("modules", nargs="*", default=CORE, help="below cnnlib, such as layers/dense; the core if none")
    parser.add_argument("--sample", type=int, help="of each module, this many mutants at most, drawn at random")
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop then: what was done is a random sample")
    parser.add_argument("--seed", type=int, default=0, help="of the draw, and of the order of the mutants")
    parser.add_argument("--again", action="store_true", help="only those that survived the last run")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    options = parser.parse_args()
    os.environ.update(ENVIRONMENT)
    os.environ.pop("CNNLIB_DATA", None)
    BUILD.mkdir(parents=True, exist_ok=True)
    last = BUILD / "survivors.json"
    survived = set(json.loads(last.read_text())) if options.again else set()
    chosen = []
    for module in modules(options.modules):
        found = [mutant for mutant in mutants(module) if not options.again or mutant.row in survived]
        if options.sample is not None and len(found) > options.sample:
            found = random.Random(f"{options.seed} {module}").sample(found, options.sample)
        chosen += found
    random.Random(options.seed).shuffle(chosen)
    folder = Path(tempfile.mkdtemp(prefix="mutants"))
    try:
        for name in HEAVY:
            importlib.import_module(name)
        start, tree = time.monotonic(), copy_project(folder)
        in_digits = any(mutant.module.startswith("digits/") for mutant in chosen)
        tests = Tests(tree, ignore=None if in_digits else "tests/cnnlib/digits")
        print(
            f"{len(chosen)} mutants, {len(tests.seconds)} tests, {time.monotonic() - start:.0f} s to run them once",
            flush=True,
        )
        killed = work(chosen, tests, tree, options.workers, start + 60 * options.minutes)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    done = [(mutant, dead) for mutant, dead in zip(chosen, killed, strict=True) if dead is not None]
    last.write_text(json.dumps([mutant.row for mutant, dead in done if not dead]))
    return report(done, len(chosen), time.monotonic() - start)


def report(done: list[tuple[Mutant, bool]], count: int, seconds: float) -> int:
    """Print the counts; return 1 if a survivor has no reason."""
    reasons = SURVIVORS.read_text(encoding="utf-8")
    for module in sorted({mutant.module for mutant, _ in done}):
        dead = [dead for mutant, dead in done if mutant.module == module]
        print(f"{sum(dead):5} of {len(dead):5}  {module}")
    killed = sum(dead for _, dead in done)
    print(f"{killed:5} of {len(done):5}  killed, {killed / len(done):.1%}, in {seconds / 60:.0f} minutes", end="")
    print(f"; a random sample of {count}" if len(done) < count else "; all that there are")
    new = [mutant for mutant, dead in done if not dead and mutant.row not in reasons]
    print(f"{len(new)} of the others are not in {SURVIVORS.name}")
    return int(bool(new))


if __name__ == "__main__":
    sys.exit(main())
