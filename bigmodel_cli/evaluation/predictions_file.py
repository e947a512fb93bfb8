"""What the model said of each example, as a Parquet file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bigmodel_cli import rundir
from bigmodel_cli.assembly import Restored
from bigmodel_cli.targets import joined_labels, predicted_labels


def write_predictions(
    path: Path, restored: Restored, ids: np.ndarray, targets: np.ndarray, outputs: np.ndarray
) -> None:
    """Write id, target, prediction and probabilities, a row an example.

    Args:
        path: the Parquet file.
        restored: whose predictions they are.
        ids: of the examples (n,): positions in their split, or texts.
        targets: class indices (n,), labels (n, labels) of 0 and 1, or values (n, targets).
        outputs: probabilities (n, classes) or (n, labels), or predictions (n, targets).
    """
    import pyarrow as pa
    from pyarrow import parquet

    spec = restored.spec
    columns: dict[str, Any] = {"id": ids}
    if spec.task == "classification":
        names = np.asarray(spec.target.names)
        columns |= {"target": names[targets], "prediction": names[outputs.argmax(axis=1)]}
        columns |= {f"probability_{name}": outputs[:, index] for index, name in enumerate(spec.target.names)}
    elif spec.task == "multi_label":
        flags = {"target": targets, "prediction": predicted_labels(outputs)}
        columns |= {what: joined_labels(given, spec.target.names) for what, given in flags.items()}
        for index, name in enumerate(spec.target.names):
            columns |= {f"target_{name}": targets[:, index].astype(np.uint8)}
            columns |= {f"probability_{name}": outputs[:, index]}
    else:
        for index, name in enumerate(spec.target.names):
            columns |= {f"target_{name}": targets[:, index], f"prediction_{name}": outputs[:, index]}
    rundir.write_atomically(path, lambda temporary: parquet.write_table(pa.table(columns), temporary))
