"""Sources are shown as they are, but for their docstrings."""

import ast
import inspect
import pkgutil
import textwrap
from importlib import import_module

import pytest

import cnnlib
from cnnbook.display import show_source, without_docstrings


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('def f(x):\n    """Say."""\n    return x  # why\n', "def f(x):\n    return x  # why"),
        (
            'def f(x):\n    """Say.\n\n    More.\n    """\n\n    # Why.\n    return x\n',
            "def f(x):\n    # Why.\n    return x",
        ),
        ('    def f(self):\n        """Say."""\n        return "it"\n', 'def f(self):\n    return "it"'),
        ('class E(ValueError):\n    """Say."""\n', "class E(ValueError):\n    pass"),
        ('def f(): "Say."\n', "def f(): pass"),
        ('def f(): "Ä, ö"; return 1\n', "def f(): return 1"),
        ('def f():\n    "Say."  # noqa\n    return 1\n', "def f():\n    # noqa\n    return 1"),
        ('def f():\n    "Say."  # noqa\n', "def f():\n    pass  # noqa"),
        ('def f():\n    r"""Say:\nfar left."""\n    return 1\n', "def f():\n    return 1"),
        (
            '@property\nasync def f(\n    x,\n):\n    "A" "b"\n    return x\n',
            "@property\nasync def f(\n    x,\n):\n    return x",
        ),
        ('def f():\n    return """no\n    docstring"""\n', 'def f():\n    return """no\n    docstring"""'),
        ('def f():\n    f"""no {1}"""\n    "docstring"\n', 'def f():\n    f"""no {1}"""\n    "docstring"'),
        ("A = 1  # one\n", "A = 1  # one"),
        (
            'class A:\n    """Say."""\n\n    a = 1\n\n    def f(self):\n        """Say."""\n\n        def g():\n'
            '            """Say."""\n\n        return g\n',
            "class A:\n    a = 1\n\n    def f(self):\n        def g():\n            pass\n\n        return g",
        ),
    ],
)
def test_docstrings_are_left_out(source, expected):
    assert without_docstrings(source) == expected


def of_the_library():
    """All classes and functions that the library defines."""
    names = [module.name for module in pkgutil.walk_packages(cnnlib.__path__, "cnnlib.")]
    for module in (import_module(name) for name in names if name != "cnnlib.__main__"):
        for name, thing in vars(module).items():
            is_own = getattr(thing, "__module__", None) == module.__name__
            if name == "__annotate__":  # which Python 3.14 makes of a module's annotations
                continue
            if is_own and (inspect.isclass(thing) or inspect.isfunction(thing)):
                yield thing


def structure(source: str) -> str:
    """What Python makes of a source, its docstrings aside."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            if ast.get_docstring(node, clean=False) is not None:
                del node.body[0]
            node.body = node.body or [ast.Pass()]
    return ast.dump(tree)


def test_the_library_stays_the_same_code_and_keeps_its_comments():
    things = list(of_the_library())
    assert len(things) > 100
    for thing in things:
        source = textwrap.dedent(inspect.getsource(thing))
        shown = without_docstrings(source)
        assert structure(shown) == structure(source)
        assert '"""' not in shown
        left = iter(source.splitlines())
        assert all(line in left for line in shown.splitlines() if line.strip() != "pass")  # in this order


def test_several_sources_are_one_block():
    shown = show_source(cnnlib.Dense.forward, cnnlib.GradientError).data
    assert shown.startswith("```python\ndef forward(self, x: np.ndarray) -> np.ndarray:\n    ")
    assert shown.endswith("\n\nclass GradientError(AssertionError):\n    pass\n```")
