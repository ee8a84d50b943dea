"""The core of the library stays as small as `scripts/count_lines.py` says, and the script counts right."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture
def count_lines(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    import count_lines

    return count_lines


def test_the_core_is_small(count_lines):
    run = subprocess.run([sys.executable, SCRIPTS / "count_lines.py"], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout
    total = next(int(line.split()[0]) for line in run.stdout.splitlines() if "in all" in line)
    assert 500 < total <= count_lines.MAX_LINES and "too long" not in run.stdout


def test_every_module_of_the_core_is_there(count_lines):
    for name in (*count_lines.CORE, *count_lines.BESIDES):
        assert count_lines.files((name,))


def test_comments_docstrings_and_blank_lines_do_not_count(count_lines):
    docstring = ['"""Doc,', "", 'longer."""', ""]
    source = [
        *docstring,
        "import os  # why",
        "",
        "# a comment",
        "def f():",
        '    """Doc."""',
        "    return (",
        "1",
        ")",
        "",
    ]
    assert count_lines.code_lines("\n".join(source)) == {5, 8, 10, 11, 12}


@pytest.mark.parametrize(
    ("name", "lines", "allowed"),
    [
        ("Dense.forward", 12, True),
        ("Dense.forward", 13, False),
        ("FusedConvolution.backward", 25, True),
        ("FusedConvolution.backward", 26, False),
        ("Dense.parameters", 40, True),
        ("Dense.parameters", 41, False),
    ],
)
def test_functions_have_limits(count_lines, name, lines, allowed):
    owner, function = name.split(".")
    source = f"class {owner}:\n    def {function}(self):\n" + (lines - 1) * "        pass\n"
    assert count_lines.too_long(source) == ([] if allowed else [f"{name}: {lines} lines"])
