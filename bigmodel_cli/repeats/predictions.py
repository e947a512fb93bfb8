"""The held-out predictions of all folds in one table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bigmodel_cli import assembly, rundir
from bigmodel_cli.errors import DataError
from bigmodel_cli.repeats.series import Series


def join_predictions(series: Series, labels: Sequence[str], name: str) -> Path:
    """Write the predictions of the folds for their held-out examples, a row an example, in storage order.

    Columns: `base`, the base split of the source; `id`, the example's position there, from 0; `fold`, the
    number of the fold that held it out, from 1; and those of a run's predictions.parquet.

    Args:
        series: a cross-validation.
        labels: of the folds that count, each evaluated.
        name: of the Parquet file in the series' folder.

    Raises:
        DataError: the data is no longer what a fold was trained on.
    """
    import pyarrow as pa
    from pyarrow import parquet

    source = assembly.open_source(series.config)
    tables = []
    for number, member in enumerate(series.members, 1):
        if member.label not in labels:
            continue
        run = series.run(member)
        held_out = assembly.divide(member.config, source)["test"]
        rows = parquet.read_table(run.evaluation("test") / "predictions.parquet")
        if run.read_splits()["test"]["sha256"] != held_out.fingerprint() or rows.num_rows != held_out.size:
            raise DataError(
                f"dataset {series.config.dataset.name}: is not what {run} was trained on; bring the data "
                "back, or cross-validate again"
            )
        columns = {
            "base": np.repeat([part.base for part in held_out.parts], [part.size for part in held_out.parts]),
            "id": np.concatenate([part.indices for part in held_out.parts]),
            "fold": np.full(held_out.size, number),
        }
        own = {key: rows[key] for key in rows.column_names if key not in columns}
        tables.append(pa.table({**columns, **own}))
    joined = pa.concat_tables(tables, promote_options="default")
    joined = joined.sort_by([("base", "ascending"), ("id", "ascending")])
    path = series.path / name
    rundir.write_atomically(path, lambda temporary: parquet.write_table(joined, temporary))
    return path
