"""The examples in docstrings, which the page "The library" shows, give what they say."""

import doctest
import importlib
import pkgutil

import pytest

import cnnlib

MODULES = [
    module.name for module in pkgutil.walk_packages(cnnlib.__path__, "cnnlib.") if not module.name.endswith("__main__")
]
FINDER = doctest.DocTestFinder(exclude_empty=True)


def examples(module: str) -> list[doctest.DocTest]:
    return [test for test in FINDER.find(importlib.import_module(module)) if test.examples]


@pytest.mark.parametrize("module", MODULES)
def test_examples(module):
    runner = doctest.DocTestRunner(optionflags=doctest.FAIL_FAST)
    for test in examples(module):
        said: list[str] = []
        runner.run(test, out=said.append)
        assert not runner.failures, "".join(said)


def test_there_are_examples():
    assert sum(len(examples(module)) > 0 for module in MODULES) >= 8
