"""The ladder's reference run has everything that chapter 23 shows. No time is asserted."""

import json
import subprocess
import sys
from pathlib import Path

from cnnbook import where_the_time_goes as chapter

SCRIPT = Path(__file__).parents[2] / "scripts" / "measure_ladder.py"


def test_a_short_run_has_what_the_stored_one_has(tmp_path):
    output = tmp_path / "ladder.json"
    command = [sys.executable, SCRIPT, "--rounds=1", "--repeat=1", f"--output={output}"]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=200)
    result, stored = json.loads(output.read_text()), chapter.reference()
    assert result.keys() == stored.keys()
    for name in ("an image", "points", "order", "lines", "profile"):
        assert result[name].keys() == stored[name].keys()
        assert all(min(value) > 0 if name == "points" else value > 0 for value in result[name].values())
    assert all(name in run.stdout for name in stored["an image"])
    assert str(Path.home()) not in output.read_text()
