"""How long `bigmodel summary` takes for a model of a billion parameters, and how much memory.

    python bench/summary_large.py --repeats 5

A network of 96 residual blocks (998,556,810 parameters) is written in YAML and summarised by whole processes,
in turn with a process that does nothing but `import tensorflow, keras`; medians are told. The weights alone
would take 4 GB.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CONFIG = """\
name: large
dataset: {name: random, shape: [64, 1280], classes: 10, examples: 64}
model:
  name: layers
  layers:
    - repeat: 48
      layers:
        - residual: [layer_normalization, {dense: {units: 5120, activation: gelu}}, {dense: {units: 1280}}]
        - residual: [layer_normalization, {dense: {units: 3000, activation: gelu}}, {dense: {units: 1280}}]
    - global_average_pooling1d
"""

MEMORY = """
import re, sys
try:
    {}
finally:
    print(re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1], file=sys.stderr)
"""
"""A program, and the largest memory it had in KiB as the last thing it says."""

PROGRAMS = {
    "summary": 'from bigmodel_cli.cli import main; main(["summary", "--json", sys.argv[1]])',
    "import": "import tensorflow, keras",
}


def ran(program: str, config: Path) -> tuple[float, float, str]:
    """Seconds and MiB of a program in a process of its own, and what it printed."""
    began = time.perf_counter()
    process = subprocess.run(
        [sys.executable, "-c", MEMORY.format(program), str(config)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    seconds = time.perf_counter() - began
    return seconds, int(re.findall(r"\d+", process.stderr)[-1]) / 1024, process.stdout


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="one JSON document")
    options = parser.parse_args()
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in PROGRAMS}
    parameters = 0
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "large.yaml"
        config.write_text(CONFIG, encoding="utf-8")
        # The first turn brings the packages into the system's memory.
        for turn in range(options.repeats + 1):
            for name, program in PROGRAMS.items():
                seconds, memory, printed = ran(program, config)
                if turn:
                    found[name].append((seconds, memory))
                if name == "summary":
                    parameters = json.loads(printed)["parameters"]
    took = {name: statistics.median(one for one, _ in pairs) for name, pairs in found.items()}
    held = {name: statistics.median(one for _, one in pairs) for name, pairs in found.items()}
    ratio = statistics.median(
        one / other for (one, _), (other, _) in zip(found["summary"], found["import"], strict=True)
    )
    document = {"parameters": parameters, "seconds": took, "MiB": held, "summary / import": ratio}
    if options.json:
        print(json.dumps(document, indent=2))
        return
    print(f"{parameters:,} parameters")
    for name in PROGRAMS:
        print(f"{name}  {took[name]:.1f} s  {held[name]:,.0f} MiB")
    print(f"summary / import {ratio:.2f}")


if __name__ == "__main__":
    main()
