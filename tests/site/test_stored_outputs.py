"""What the build has put out is what the notebooks have stored: their texts, as nbval would compare them.

The build executes every notebook, so that `make test` need not do it a second time. What may differ from run to run is
named in `tests/sanitize.cfg`, or the cell carries the tag `nbval-ignore-output`. Pictures: `test_stored_figures.py`.
"""

import copy
import json
import os
import re
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXECUTED = ROOT / "_build" / "executed" / "notebooks"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SANITIZE = re.findall(r"^regex: (.*)\nreplace: (.*)$", (ROOT / "tests" / "sanitize.cfg").read_text("utf-8"), re.M)


def texts(outputs: list[dict]) -> dict[str, list]:
    """What a cell has put out, by stream and by kind of data, without pictures, and without what may differ."""
    found = defaultdict(list)
    for output in outputs:
        if output["output_type"] == "stream":
            found[output["name"]].append(output["text"])
        elif output["output_type"] == "error":
            found["error"] += [output["ename"], output["evalue"]]
        for kind, value in output.get("data", {}).items():
            if kind not in ("image/png", "image/jpeg"):
                found[kind].append(value)
    for kind, values in found.items():
        values = ["".join(value) if isinstance(value, list) else value for value in values]
        if kind in ("stdout", "stderr"):  # in how many pieces they come is chance
            values = ["".join(values)]
        found[kind] = [sanitized(value) if isinstance(value, str) else value for value in values]
    return found


def sanitized(text: str) -> str:
    for regex, replacement in SANITIZE:
        text = re.sub(regex, replacement, text)
    return text


def code_cells(path: Path) -> list[dict]:
    return [cell for cell in json.loads(path.read_text("utf-8"))["cells"] if cell["cell_type"] == "code"]


def is_compared(cell: dict) -> bool:
    return "nbval-ignore-output" not in cell["metadata"].get("tags", [])


def test_patterns_are_found():
    assert len(SANITIZE) == 2 and sanitized("took 1.25 s at 0x7f00aabbcc") == "took SECONDS at ADDRESS"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_build_puts_out_what_is_stored(path):
    if os.environ.get("CNNLIB_OFFLINE"):
        pytest.skip("chapters were stored with MNIST")
    executed = EXECUTED / f"{path.stem}.json"
    if not executed.exists():
        pytest.skip("the book is not built: make book")
    for cell, outputs in zip(code_cells(path), json.loads(executed.read_text("utf-8"))["outputs"], strict=True):
        if is_compared(cell):
            assert texts(outputs) == texts(cell["outputs"]), "".join(cell["source"])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_changed_output_is_noticed(path):
    """Each output in turn: left out, doubled, of another kind, or with one more letter."""
    for cell in filter(is_compared, code_cells(path)):
        stored = cell["outputs"]
        assert texts(copy.deepcopy(stored)) == texts(stored)
        for k, output in enumerate(stored):
            if not texts([output]):
                continue  # a picture
            changed = [stored[:k] + stored[k + 1 :], [*stored[:k], output, *stored[k:]]]
            changed.append([*stored[: k + 1], {"output_type": "error", "ename": "E", "evalue": "", "traceback": []}])
            other = copy.deepcopy(output)
            if "text" in other:
                other["text"] = [*other["text"], "x"]
            for kind, value in other.get("data", {}).items():
                other["data"][kind] = [*value, "x"] if isinstance(value, list) else [value, "x"]
            if "evalue" in other:
                other["evalue"] += "x"
            changed.append([*stored[:k], other, *stored[k + 1 :]])
            for outputs in changed:
                assert texts(outputs) != texts(stored), "".join(cell["source"])
