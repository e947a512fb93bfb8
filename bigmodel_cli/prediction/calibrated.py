"""What `evaluate` chose on the validation split, for predictions: a temperature, and a threshold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from bigmodel_cli.assembly import Restored
from bigmodel_cli.errors import UsageError
from bigmodel_cli.metrics import threshold_at_temperature
from bigmodel_cli.prediction.content import Content
from bigmodel_cli.rundir import file_digest, read_json


def settled(content: Content, members: Sequence[Restored]) -> Content:
    """What is asked for, with the numbers that the runs keep.

    Args:
        content: as the user asks for it.
        members: the run, and those it is averaged with; each has a temperature of its own.

    Raises:
        UsageError: `evaluate` has not chosen them for these models, or the runs have nothing of the kind.
    """
    first = members[0]
    content.check(first.spec)
    temperatures: tuple[float, ...] = ()
    if content.calibrated:
        temperatures = tuple(float(_chosen(member, "--calibrated")["temperature"]) for member in members)
    threshold = content.threshold
    if threshold == "chosen":
        if len(members) > 1:
            raise UsageError(
                "--threshold chosen: was chosen for one run, not for the mean of several; give a number"
            )
        found = _chosen(first, "--threshold chosen")["threshold"]
        if found is None:
            raise UsageError(
                f"--threshold chosen: {first.run} has none, as its validation split has no example of "
                f"{first.spec.target.names[1]}; give a number"
            )
        threshold = float(found["value"])
        # It was chosen without a temperature; the same examples are to lie above it.
        threshold = threshold_at_temperature(threshold, temperatures[0]) if temperatures else threshold
    return replace(content, temperatures=temperatures, threshold=threshold)


def _chosen(restored: Restored, option: str) -> dict[str, Any]:
    """The run's calibration.json.

    Raises:
        UsageError: it is missing, damaged or of another model.
    """
    run = restored.run
    if not run.calibration.exists():
        raise UsageError(
            f"{option}: {run} is not calibrated yet; `bigmodel evaluate {run}` does it on the validation "
            "split"
        )
    found = read_json(run.calibration)
    if not {"temperature", "threshold", "model_sha256"} <= set(found):
        raise UsageError(f"{run.calibration}: is damaged; `bigmodel evaluate {run}` writes it anew")
    if found["model_sha256"] != file_digest(run.model):
        raise UsageError(
            f"{option}: {run.calibration} is of another model than {run.model}; `bigmodel evaluate {run}` "
            "writes it anew"
        )
    return found
