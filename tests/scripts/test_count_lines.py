"""The core of the library stays as small as `scripts/count_lines.py` says, and the script counts right."""

import ast
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
    early = next(int(line.split(";")[0]) for line in run.stdout.splitlines() if line.endswith("; besides:"))
    stated = f"{early:,} without the layers and losses of chapters 16 to 21, {total:,} with them"
    assert stated in (SCRIPTS.parent / "CONTRIBUTING.md").read_text("utf-8"), f"the lines of code are now {stated}"


def test_what_later_chapters_add_is_there_and_counted(count_lines, tmp_path):
    files = count_lines.files(count_lines.CORE)
    defined = {getattr(node, "name", None) for file in files for node in ast.parse(file.read_text("utf-8")).body}
    assert set(count_lines.LATER) <= defined | {file.stem for file in files}
    source = "import os\n\n\n@os.name\nclass Skip:\n    pass\n\n\nclass Dense:\n    pass\n"
    for name, expected in (("layer", 3), ("upsampling", 6)):
        (tmp_path / f"{name}.py").write_text(source)
        assert count_lines.later_lines(tmp_path / f"{name}.py") == expected


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
