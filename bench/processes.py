"""Runs a command as a process of its own and says what it took; and how the benches print a table."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# The command line of this Python, whatever is on the PATH.
BIGMODEL = (sys.executable, "-m", "bigmodel_cli")


@dataclass(frozen=True)
class Process:
    """One that ended well.

    Attributes:
        wall: seconds from start to exit.
        cpu: seconds of all cores, user and system.
        peak: largest resident memory, in bytes.
        output: what it wrote to standard output.
    """

    wall: float
    cpu: float
    peak: int
    output: str


def run(command: Sequence[str], folder: Path) -> Process:
    """Run a command in a folder; exit with what it said when it fails."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        began = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=errors)
        # wait4, because only it tells the memory of this one child.
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        said = []
        for file in (output, errors):
            file.seek(0)
            said.append(file.read().decode(errors="replace"))
    if process.returncode:
        sys.exit(
            f"{' '.join(command)}\nended with exit code {process.returncode}:\n"
            f"{said[0][-2000:]}{said[1][-4000:]}"
        )
    # Linux counts in KiB, macOS in bytes.
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return Process(wall, usage.ru_utime + usage.ru_stime, peak, said[0])


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns of plain text, the first to the left, the others to the right."""
    lines = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if index else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
