"""The busy loops that a measurement starts are gone after it, whatever happens."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def measure_busy(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "scripts")
    import measure_busy

    return measure_busy


def test_an_error_ends_the_loops(measure_busy):
    started = []

    def fail():
        with measure_busy.busy_loops(2) as loops:
            started.extend(loops)
            assert [loop.poll() for loop in loops] == [None, None]
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert len(started) == 2 and None not in [loop.poll() for loop in started]


def test_a_loop_ends_with_its_parent(measure_busy):
    code = "import os, subprocess, sys; subprocess.Popen([sys.executable, '-c', sys.argv[1], str(os.getpid())])"
    # It holds the pipe open, and this would wait for it.
    subprocess.run([sys.executable, "-c", code, measure_busy.BUSY_LOOP], capture_output=True, check=True, timeout=60)
