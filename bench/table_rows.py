"""Rows a second and resident memory of training on a CSV of millions of rows, beside pandas and a generator.

    python bench/table_rows.py mpg.csv mpg --rows 500000 5000000 --cache memory disk

The table is repeated, with noise on its numbers, up to each number of rows. Each is trained for two epochs by
`bigmodel train` in a process of its own: peak resident memory of the process, rows a second from start to
exit (the import of TensorFlow included) and in the second epoch. The textbook way
(bench/plain_pandas_table.py, needs pandas) runs on `--peer-rows` of them. At ten times the rows the memory
should be about the same.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

PEER = Path(__file__).with_name("plain_pandas_table.py")
CONFIG = """
name: rows
dataset:
  name: {kind}
  path: {path}
  target: {target}
  cache: {cache}
  cache_dir: {folder}/cache
model: {{name: mlp, hidden: [64]}}
training: {{epochs: 2, batch_size: 1024, tensorboard: false, precision: float32}}
"""


def write_table(source: Path, path: Path, rows: int) -> None:
    """Repeat a table, with noise on its numbers, as CSV or Parquet."""
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    table = pa.csv.read_csv(source)
    # A column of texts that differ in every row is no feature, and would only make the file large.
    kept = [
        name
        for name in table.column_names
        if len(table[name].unique()) < 0.5 * table.num_rows or name != "name"
    ]
    table = table.select(kept)
    generator = np.random.default_rng(0)
    parquet = path.suffix == ".parquet"
    writer: Any = None
    done = 0
    while done < rows:
        count = min(200_000, rows - done)
        some = table.take(pa.array(generator.integers(0, table.num_rows, count)))
        for index, field in enumerate(some.schema):
            if pa.types.is_floating(field.type):
                noise = pa.array(generator.normal(0, 0.05, count).round(3))
                some = some.set_column(index, field.name, pa.compute.add(some[index], noise))
        if writer is None:
            kind = pyarrow.parquet.ParquetWriter if parquet else pyarrow.csv.CSVWriter
            writer = kind(path, some.schema)
        writer.write_table(some) if parquet else writer.write(some)
        done += count
    writer.close()


def measure(command: list[str], folder: Path) -> tuple[float, float, str]:
    """Wall seconds, peak resident gigabytes and output of a process and its children."""
    script = (
        "import resource, subprocess, sys; done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, "
        "text=True);"
        "print(done.stdout); print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); "
        "sys.exit(done.returncode)"
    )
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", script, *command], cwd=folder, capture_output=True, text=True, check=False
    )
    wall = time.perf_counter() - began
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    *output, peak = done.stdout.strip().splitlines()
    return wall, int(peak) / 2**20, "\n".join(output)


def main() -> None:
    """Measure and print a line for each number of rows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", type=Path)
    parser.add_argument("target")
    parser.add_argument("--rows", type=int, nargs="+", default=[500_000, 5_000_000])
    parser.add_argument("--kind", choices=["csv", "parquet"], default="csv")
    parser.add_argument("--cache", nargs="+", default=["memory", "disk"])
    parser.add_argument("--peer-rows", type=int, default=200_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for rows in options.rows:
            path = folder / f"rows.{options.kind}"
            write_table(options.table.resolve(), path, rows)
            if rows == options.rows[0] and options.kind == "csv" and options.peer_rows:
                command = [
                    sys.executable,
                    str(PEER),
                    str(path),
                    options.target,
                    "--rows",
                    str(options.peer_rows),
                ]
                wall, peak, output = measure(command, folder)
                peer = json.loads(output)
                print(
                    f"textbook  {peer['rows']:>10,} rows  {peer['rows'] / wall:>9,.0f} rows/s in all  "
                    f"{peak:.2f} GB"
                )
            for cache in options.cache:
                config = folder / "rows.yaml"
                config.write_text(
                    CONFIG.format(
                        path=path, target=options.target, cache=cache, folder=folder, kind=options.kind
                    )
                )
                run = folder / f"run-{rows}-{cache}"
                wall, peak, _ = measure(
                    [sys.executable, "-m", "bigmodel_cli", "train", str(config), "--run-dir", str(run)],
                    folder,
                )
                epochs = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
                print(
                    f"{cache:<9} {rows:>10,} rows  {2 * rows / wall:>9,.0f} rows/s in all (2 epochs, "
                    f"{wall:.1f} s)  "
                    f"{epochs[1]['examples_per_second']:>9,.0f} in epoch 2, data wait "
                    f"{epochs[1]['data_wait']:.0%}  {peak:.2f} GB",
                    flush=True,
                )
            path.unlink()


if __name__ == "__main__":
    main()
