"""Files that are damaged at random are read or refused: nothing else happens, and none costs much."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("resource")
COUNT = int(os.environ.get("CNNLIB_FUZZ", "400"))


@pytest.mark.parametrize("kind", ["idx", "prepared", "image"])
def test_random_damage(kind, tmp_path):
    command = [sys.executable, str(Path(__file__).with_name("fuzz.py")), kind, str(COUNT), str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300 + 0.1 * COUNT)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    print(kind, found)
    assert found["escaped"] == []
    assert found["read"] + found["refused"] == COUNT and found["refused"] > COUNT / 4
    assert found["seconds"] < 10 and found["megabytes"] < 500
