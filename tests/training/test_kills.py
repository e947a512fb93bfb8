"""Real processes, killed at random moments: see bench/kills.py."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench" / "kills.py"


@pytest.mark.slow
def test_kills_leave_no_trace() -> None:
    done = subprocess.run(
        [sys.executable, str(BENCH), "--kills", "5", "--seed", "1", "--json"],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert found["kills"] >= 5
    assert found["identical"] == found["runs"] >= 1
    # In several epochs, not only before or after all of them.
    assert len(found["killed_in"]) >= 3, found
